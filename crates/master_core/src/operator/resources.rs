//! RESERVE_RESOURCES, UNRESERVE_RESOURCES, CREATE_VOLUMES, DESTROY_VOLUMES, GROW_VOLUME, SHRINK_VOLUME: an operator
//! does to the free resources of an agent what frameworks do to offered ones. Offers that stand in the way are
//! rescinded.

use allocator::refusal_duration;
use model::{
    AgentId,
    parse::operation::{self, Asker},
};
use proto::v1::{
    master::{Call, call},
    offer::{
        Operation,
        operation::{Create, Destroy, GrowVolume, Reserve, ShrinkVolume, Type, Unreserve},
    },
};
use resources::{Resources, conversion};

use crate::{
    Master, Step, calls::label, effect::Reply, event::RequestId, offers::Offers, operations::unallocated, state::Agent,
};

const UNKNOWN_AGENT: &str = "No agent found with specified ID";

impl Master {
    pub(super) fn on_resources_call(
        &mut self,
        req: RequestId,
        call: Call,
        principal: Option<&str>,
        step: &mut Step<'_>,
    ) {
        let reply = match read(call).map_err(Reply::BadRequest) {
            Ok((agent, operation)) => self.operate(&agent, operation, principal, step),
            Err(refusal) => refusal,
        };
        step.reply(req, reply);
    }

    fn operate(&mut self, id: &AgentId, operation: Operation, principal: Option<&str>, step: &mut Step<'_>) -> Reply {
        let Some(agent) = self.state.agents.get(id) else { return Reply::BadRequest(UNKNOWN_AGENT.to_owned()) };
        let asker = Asker { principal, framework: None };
        if let Err(why) = self.check_operator(&operation, agent, asker) {
            return Reply::BadRequest(why);
        }
        if !agent.connected {
            return Reply::Conflict(format!("{} is not connected; try again when it is", label(agent)));
        }
        let conversions = match conversion::of_operation(&operation) {
            Ok(conversions) => unallocated(&conversions),
            Err(error) => return Reply::Conflict(error.to_string()),
        };
        let needed: Resources = conversions.iter().map(|conversion| &conversion.consumed).sum();
        self.offers().free(id, needed, step);
        if let Err(error) = self.allocator.update_available(step.now, id, &conversions) {
            return Reply::Conflict(error.to_string());
        }
        if let Err(error) = self.operations().begin(None, id, operation, &conversions, step) {
            stdx::never!("free resources are not in the agent's total: {error}");
        }
        Reply::Accepted
    }

    fn check_operator(&self, operation: &Operation, agent: &Agent, asker: Asker<'_>) -> Result<(), String> {
        let kind = operation.r#type();
        let name = kind.as_str_name();
        self.check_conversion(operation, agent, asker).map_err(|why| match kind {
            Type::Unreserve | Type::Destroy => format!("Invalid {name} operation: {why}"),
            _ => format!("Invalid {name} operation on {}: {why}", label(agent)),
        })
    }
}

impl Offers<'_> {
    /// Rescinds the agent's offers that hold some of what is needed. Those who lose one are not offered the like for
    /// the usual while, so that the operator wins the race.
    fn free(&mut self, id: &AgentId, mut needed: Resources, step: &mut Step<'_>) {
        let offers = self.agents.get(id).map(|agent| agent.offers.clone()).unwrap_or_default();
        for offer in offers {
            let held = self.offers.get(&offer).map(|offer| offer.resources.unallocate()).unwrap_or_default();
            let rest = &needed - &held;
            if rest != needed {
                needed = rest;
                self.rescind(&offer, refusal_duration(None), step);
            }
        }
    }
}

/// The operation that a call means, with its resources checked one by one and in the new format.
fn read(call: Call) -> Result<(AgentId, Operation), String> {
    let mut result = Operation::default();
    let agent = if let Some(call::ReserveResources { agent_id, mut resources, mut source }) = call.reserve_resources {
        operation::upgrade_list(&mut resources)?;
        operation::upgrade_list(&mut source)?;
        result.set_type(Type::Reserve);
        result.reserve = Some(Reserve { source, resources });
        Some(agent_id)
    } else if let Some(call::UnreserveResources { agent_id, mut resources }) = call.unreserve_resources {
        operation::upgrade_list(&mut resources)?;
        result.set_type(Type::Unreserve);
        result.unreserve = Some(Unreserve { resources });
        Some(agent_id)
    } else if let Some(call::CreateVolumes { agent_id, mut volumes }) = call.create_volumes {
        operation::upgrade_list(&mut volumes)?;
        result.set_type(Type::Create);
        result.create = Some(Create { volumes });
        Some(agent_id)
    } else if let Some(call::DestroyVolumes { agent_id, mut volumes }) = call.destroy_volumes {
        operation::upgrade_list(&mut volumes)?;
        result.set_type(Type::Destroy);
        result.destroy = Some(Destroy { volumes });
        Some(agent_id)
    } else if let Some(call::GrowVolume { agent_id, mut volume, mut addition }) = call.grow_volume {
        operation::upgrade_list(std::slice::from_mut(&mut volume))?;
        operation::upgrade_list(std::slice::from_mut(&mut addition))?;
        result.set_type(Type::GrowVolume);
        result.grow_volume = Some(Box::new(GrowVolume { volume, addition }));
        agent_id
    } else if let Some(call::ShrinkVolume { agent_id, mut volume, subtract }) = call.shrink_volume {
        operation::upgrade_list(std::slice::from_mut(&mut volume))?;
        result.set_type(Type::ShrinkVolume);
        result.shrink_volume = Some(Box::new(ShrinkVolume { volume, subtract }));
        agent_id
    } else {
        None
    };
    let agent = agent.ok_or_else(|| UNKNOWN_AGENT.to_owned())?;
    Ok((AgentId::from(&agent), result))
}
