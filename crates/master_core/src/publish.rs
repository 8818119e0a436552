//! News for the subscribers of the operator event stream. Nothing is built when nobody listens.

use model::AgentId;
use proto::v1::{
    self,
    master::{
        Event,
        event::{self, Type},
        response::{get_agents, get_frameworks},
    },
};
use stdx::WallTime;

use crate::{
    Config, Step,
    effect::Effect,
    state::{Agent, Framework, State, Task},
};

fn publish(event: Event, step: &mut Step<'_>) {
    step.out.push(Effect::Publish { event: Box::new(event) });
}

fn of(kind: Type) -> Event {
    Event { r#type: Some(kind.into()), ..Default::default() }
}

pub(crate) fn task_added(config: &Config, task: &Task, step: &mut Step<'_>) {
    if config.publish {
        let added = event::TaskAdded { task: task.proto.clone() };
        publish(Event { task_added: Some(added), ..of(Type::TaskAdded) }, step);
    }
}

pub(crate) fn task_updated(config: &Config, task: &Task, status: &v1::TaskStatus, step: &mut Step<'_>) {
    if config.publish {
        let updated = event::TaskUpdated {
            framework_id: task.framework.to_proto(),
            status: v1::TaskStatus { data: None, ..status.clone() },
            state: task.proto.state,
        };
        publish(Event { task_updated: Some(updated), ..of(Type::TaskUpdated) }, step);
    }
}

pub(crate) fn agent_added(config: &Config, state: &State, agent: &Agent, step: &mut Step<'_>) {
    if config.publish {
        let added = event::AgentAdded { agent: agent_to_proto(state, agent) };
        publish(Event { agent_added: Some(added), ..of(Type::AgentAdded) }, step);
    }
}

pub(crate) fn agent_removed(config: &Config, agent: &AgentId, step: &mut Step<'_>) {
    if config.publish {
        let removed = event::AgentRemoved { agent_id: agent.to_proto() };
        publish(Event { agent_removed: Some(removed), ..of(Type::AgentRemoved) }, step);
    }
}

pub(crate) fn framework_added(config: &Config, state: &State, framework: &Framework, step: &mut Step<'_>) {
    if config.publish {
        let added = event::FrameworkAdded { framework: without_offers(framework_to_proto(state, framework)) };
        publish(Event { framework_added: Some(added), ..of(Type::FrameworkAdded) }, step);
    }
}

pub(crate) fn framework_updated(config: &Config, state: &State, framework: &Framework, step: &mut Step<'_>) {
    if config.publish {
        let updated = event::FrameworkUpdated { framework: without_offers(framework_to_proto(state, framework)) };
        publish(Event { framework_updated: Some(updated), ..of(Type::FrameworkUpdated) }, step);
    }
}

pub(crate) fn framework_removed(config: &Config, framework: &Framework, step: &mut Step<'_>) {
    if config.publish {
        let removed = event::FrameworkRemoved { framework_info: v1::FrameworkInfo::clone(&framework.info) };
        publish(Event { framework_removed: Some(removed), ..of(Type::FrameworkRemoved) }, step);
    }
}

fn without_offers(mut framework: get_frameworks::Framework) -> get_frameworks::Framework {
    framework.offers.clear();
    framework.inverse_offers.clear();
    framework
}

fn time(wall: WallTime) -> v1::TimeInfo {
    v1::TimeInfo { nanoseconds: wall.0 }
}

/// An agent as GET_AGENTS shows it.
pub(crate) fn agent_to_proto(state: &State, agent: &Agent) -> get_agents::Agent {
    get_agents::Agent {
        agent_info: v1::AgentInfo::clone(&agent.info),
        active: agent.is_active(),
        deactivated: Some(agent.deactivated),
        version: agent.version.clone(),
        pid: Some(agent.pid.to_string()),
        registered_time: Some(time(agent.registered)),
        reregistered_time: agent.reregistered.map(time),
        total_resources: agent.total.to_protos_endpoint(),
        allocated_resources: state.used_on(agent).values().cloned().sum::<resources::Resources>().to_protos_endpoint(),
        offered_resources: state.offered_on(agent).to_protos_endpoint(),
        capabilities: agent.capability_list.clone(),
        resource_providers: Vec::new(),
        drain_info: agent.drain_info,
        estimated_drain_start_time: agent.drain_started.filter(|_| agent.drain_info.is_some()).map(time),
    }
}

/// A framework as GET_FRAMEWORKS shows it.
pub(crate) fn framework_to_proto(state: &State, framework: &Framework) -> get_frameworks::Framework {
    let offers = framework.offers.iter().filter_map(|id| state.offer_to_proto(state.offers.get(id)?));
    get_frameworks::Framework {
        framework_info: v1::FrameworkInfo::clone(&framework.info),
        active: framework.is_active(),
        connected: framework.is_connected(),
        recovered: framework.is_recovered(),
        registered_time: Some(time(framework.registered)),
        reregistered_time: Some(time(framework.reregistered.unwrap_or(framework.registered))),
        unregistered_time: framework.unregistered.map(time),
        offers: offers.collect(),
        inverse_offers: framework
            .inverse_offers
            .iter()
            .filter_map(|id| state.inverse_offer_to_proto(state.inverse_offers.get(id)?))
            .collect(),
        allocated_resources: state
            .used_by(framework)
            .values()
            .cloned()
            .sum::<resources::Resources>()
            .to_protos_endpoint(),
        offered_resources: state.offered_to(framework).to_protos_endpoint(),
        offer_constraints: Some(framework.offer_constraints.as_ref().map(|c| (**c).clone()).unwrap_or_default()),
    }
}

impl State {
    /// An agent as GET_AGENTS and AGENT_ADDED show it.
    pub fn agent_to_proto(&self, agent: &Agent) -> get_agents::Agent {
        agent_to_proto(self, agent)
    }

    /// A framework as GET_FRAMEWORKS shows it; `completed` ones hold no offers and no resources.
    pub fn framework_to_proto(&self, framework: &Framework) -> get_frameworks::Framework {
        framework_to_proto(self, framework)
    }
}
