//! RESERVE, UNRESERVE, CREATE, DESTROY, GROW_VOLUME and SHRINK_VOLUME: what they make takes the place of what they
//! consume, for the operations that follow in the same ACCEPT too.

use model::{FrameworkId, OfferId, parse::operation::Asker};
use proto::v1::offer::{Operation, operation::Type};
use resources::conversion::{self, Conversion};

use super::Basket;
use crate::{
    Master, Step,
    offers::Offers,
    state::{Agent, Framework},
};

/// An agent as the texts of refusals name it.
pub(crate) fn label(agent: &Agent) -> String {
    format!("agent {} at {} ({})", agent.id, agent.pid, agent.info.hostname)
}

impl Master {
    pub(super) fn convert(&mut self, id: &FrameworkId, operation: Operation, basket: &mut Basket, step: &mut Step<'_>) {
        let kind = operation.r#type();
        let conversions = match self.plan_conversions(id, &operation, basket) {
            Ok(conversions) => conversions,
            Err(why) => {
                self.tasks().send_operation_error(id, &operation, &why, step);
                return;
            }
        };
        if kind == Type::Destroy {
            self.offers().rescind_of_volumes(basket, &conversions, step);
        }
        // A resized volume counts for the operations of the next ACCEPT.
        let usable_now = !matches!(kind, Type::GrowVolume | Type::ShrinkVolume);
        if let Err(error) = self.operations().begin(Some(id), &basket.agent, operation.clone(), &conversions, step) {
            stdx::never!("offered resources are not in the agent's total: {error}");
            self.tasks().send_operation_error(id, &operation, &error.to_string(), step);
            return;
        }
        basket.apply(conversions, usable_now);
        self.tasks().count_operation(id, kind);
    }

    fn plan_conversions(
        &self,
        id: &FrameworkId,
        operation: &Operation,
        basket: &Basket,
    ) -> Result<Vec<Conversion>, String> {
        let (Some(framework), Some(agent)) = (self.state.frameworks.get(id), self.state.agents.get(&basket.agent))
        else {
            return Err("The framework or the agent is gone".to_owned());
        };
        check_feedback(operation, agent)?;
        self.check_operation(operation, framework, agent).map_err(|why| format!("{why}; on {}", label(agent)))?;
        let name = operation.r#type().as_str_name();
        let prefix = if matches!(operation.r#type(), Type::GrowVolume | Type::ShrinkVolume) {
            format!("Invalid {name} operation: ")
        } else {
            String::new()
        };
        let conversions = conversion::of_operation(operation).map_err(|why| format!("{prefix}{why}"))?;
        conversion::apply_all(&basket.available(), &conversions).map_err(|why| format!("{prefix}{why}"))?;
        Ok(conversions)
    }

    fn check_operation(&self, operation: &Operation, framework: &Framework, agent: &Agent) -> Result<(), String> {
        let wire_id = framework.id.to_proto();
        let asker = Asker {
            principal: framework.info.principal.as_deref(),
            framework: Some((&wire_id, framework.capabilities)),
        };
        match operation.r#type() {
            Type::CreateDisk | Type::DestroyDisk => Err("'source' is not managed by a resource provider".to_owned()),
            _ => self.check_conversion(operation, agent, asker),
        }
    }
}

impl Offers<'_> {
    /// Other frameworks may be offered a shared volume that is about to go.
    fn rescind_of_volumes(&mut self, basket: &Basket, conversions: &[Conversion], step: &mut Step<'_>) {
        let gone: Vec<_> = conversions.iter().filter_map(|conversion| conversion.gone.as_ref()).collect();
        let Some(agent) = self.agents.get(&basket.agent) else { return };
        let holds_one = |offer: &OfferId| {
            let held = self.offers.get(offer).map(|offer| offer.resources.unallocate()).unwrap_or_default();
            gone.iter().any(|volume| held.contains_one(&volume.with_allocation(None)))
        };
        let offers: Vec<OfferId> = agent.offers.iter().filter(|offer| holds_one(offer)).cloned().collect();
        for offer in offers {
            self.rescind(&offer, None, step);
        }
    }
}

impl Basket {
    fn apply(&mut self, conversions: Vec<Conversion>, usable_now: bool) {
        for conversion in &conversions {
            self.remaining -= &conversion.consumed;
            self.shared -= conversion.consumed.shared();
            if usable_now {
                self.remaining += &conversion.converted;
                self.shared += conversion.converted.shared();
            }
        }
        self.conversions.extend(conversions);
    }
}

/// Who wants to hear of the outcome needs an agent that tells.
fn check_feedback(operation: &Operation, agent: &Agent) -> Result<(), String> {
    let capabilities = agent.capabilities;
    if operation.id.is_none() {
        return Ok(());
    }
    if capabilities.resource_provider && capabilities.agent_operation_feedback {
        return Ok(());
    }
    Err(format!(
        "Operation on agent default resources requested feedback, but agent {} does not have the required \
         AGENT_OPERATION_FEEDBACK and RESOURCE_PROVIDER capabilities",
        agent.id
    ))
}
