//! Writes effects and state down, one line each, the same at every run.

use master_core::{Actor, Effect, Reply, State};
use proto::{
    Message,
    link::{ToAgent, ToDriver},
};
use registry::Operation;

use crate::short;

pub fn effect(effect: &Effect) -> String {
    let text = match effect {
        Effect::ToAgent { from_actor, to, message } => {
            let by = if *from_actor == Actor::Master { String::new() } else { format!(" by {from_actor}") };
            format!("agent {}{by} {}", to.host.rsplit('.').next().unwrap_or_default(), to_agent(message))
        }
        Effect::ToDriver { to, message } => {
            format!("driver {} {}", to.host.rsplit('.').next().unwrap_or_default(), to_driver(message))
        }
        Effect::Link { peer } => format!("link {peer}"),
        Effect::Unlink { peer } => format!("unlink {peer}"),
        Effect::ToScheduler { conn, event } => format!("scheduler {conn} {}", short::typed(&**event)),
        Effect::Reply { reply, .. } => format!("reply {}", self::reply(reply)),
        Effect::Close { conn } => format!("close {conn}"),
        Effect::Persist { operations, .. } => {
            format!("persist {}", operations.iter().map(operation).collect::<Vec<_>>().join(", "))
        }
        Effect::Publish { event } => format!("publish {}", short::typed(&**event)),
        Effect::StepDown { why } => format!("step down: {why}"),
    };
    short::lines(&text)
}

fn named<M: Message>(message: &M) -> String {
    let name = M::full_name();
    let name = name.rsplit('.').next().unwrap_or(name);
    format!("{} {}", name.strip_suffix("Message").unwrap_or(name), short::message(message)).trim_end().to_owned()
}

fn to_agent(message: &ToAgent) -> String {
    match message {
        ToAgent::SlaveRegistered(m) => named(&**m),
        ToAgent::SlaveReregistered(m) => named(&**m),
        ToAgent::PingSlave(m) => named(&**m),
        ToAgent::RunTask(m) => named(&**m),
        ToAgent::RunTaskGroup(m) => named(&**m),
        ToAgent::KillTask(m) => named(&**m),
        ToAgent::ShutdownExecutor(m) => named(&**m),
        ToAgent::ShutdownFramework(m) => named(&**m),
        ToAgent::FrameworkToExecutor(m) => named(&**m),
        ToAgent::UpdateFramework(m) => named(&**m),
        ToAgent::StatusUpdateAcknowledgement(m) => named(&**m),
        ToAgent::DrainSlave(m) => named(&**m),
        ToAgent::ApplyOperation(m) => named(&**m),
        ToAgent::CheckpointResources(m) => named(&**m),
        ToAgent::ReconcileOperations(m) => named(&**m),
        ToAgent::AcknowledgeOperationStatus(m) => named(&**m),
        ToAgent::Shutdown(m) => named(&**m),
    }
}

fn to_driver(message: &ToDriver) -> String {
    match message {
        ToDriver::FrameworkRegistered(m) => named(&**m),
        ToDriver::FrameworkReregistered(m) => named(&**m),
        ToDriver::ResourceOffers(m) => named(&**m),
        ToDriver::RescindResourceOffer(m) => named(&**m),
        ToDriver::StatusUpdate(m) => named(&**m),
        ToDriver::LostSlave(m) => named(&**m),
        ToDriver::ExitedExecutor(m) => named(&**m),
        ToDriver::ExecutorToFramework(m) => named(&**m),
        ToDriver::FrameworkError(m) => named(&**m),
        ToDriver::SubmitScheduler(m) => named(&**m),
    }
}

fn reply(reply: &Reply) -> String {
    match reply {
        Reply::Accepted => "202".into(),
        Reply::Ok(None) => "200".into(),
        Reply::Ok(Some(body)) => format!("200 {}", short::typed(&**body)),
        Reply::Stream { .. } => "200 stream".into(),
        Reply::BadRequest(why) => format!("400 {why}"),
        Reply::Forbidden(why) => format!("403 {why}"),
        Reply::NotFound(why) => format!("404 {why}"),
        Reply::Conflict(why) => format!("409 {why}"),
        Reply::Unavailable(why) => format!("503 {why}"),
        Reply::NotImplemented(why) => format!("501 {why}"),
    }
}

fn operation(operation: &Operation) -> String {
    let id = |info: &proto::v1::AgentInfo| info.id.as_ref().map(|id| id.value.clone()).unwrap_or_default();
    match operation {
        Operation::RecordMaster(info) => format!("RecordMaster({})", info.id),
        Operation::AdmitAgent(info) => format!("AdmitAgent({})", id(info)),
        Operation::UpdateAgent(info) => format!("UpdateAgent({})", id(info)),
        Operation::MarkReachable(info) => format!("MarkReachable({})", id(info)),
        Operation::MarkUnreachable { agent, since } => format!("MarkUnreachable({agent}, {since})"),
        Operation::MarkGone { agent, since } => format!("MarkGone({agent}, {since})"),
        Operation::UpdateQuota(configs) => {
            format!("UpdateQuota({})", configs.iter().map(short::message).collect::<Vec<_>>().join(", "))
        }
        Operation::UpdateWeights(weights) => {
            format!("UpdateWeights({})", weights.iter().map(short::message).collect::<Vec<_>>().join(", "))
        }
        Operation::UpdateSchedule(schedule) => format!("UpdateSchedule({})", short::message(schedule)),
        Operation::StartMaintenance(machines) => {
            format!("StartMaintenance({})", machines.iter().map(short::message).collect::<Vec<_>>().join(", "))
        }
        Operation::StopMaintenance(machines) => {
            format!("StopMaintenance({})", machines.iter().map(short::message).collect::<Vec<_>>().join(", "))
        }
        Operation::RecordFramework(info) => {
            format!("RecordFramework({})", info.id.as_ref().map(|id| id.value.as_str()).unwrap_or_default())
        }
        Operation::RemoveFramework { framework, at } => format!("RemoveFramework({framework}, {at})"),
        Operation::SetGroup(group) => format!("SetGroup({})", short::message(&**group)),
        other => format!("{other:?}"),
    }
}

/// The tables in short.
pub fn state(state: &State) -> Vec<String> {
    let mut lines = vec![format!("phase {:?}", state.phase)];
    for (id, agent) in state.agents.iter() {
        let used: resources::Resources = state.used_on(agent).into_values().sum();
        lines.push(format!(
            "agent {id}: {}{} total [{}] used [{used}] offered [{}]",
            if agent.connected { "connected" } else { "disconnected" },
            agent.drain_info.map_or(if agent.deactivated { " deactivated" } else { "" }.to_owned(), |drain| {
                format!(" deactivated {}", drain.state().as_str_name())
            }),
            agent.total,
            state.offered_on(agent)
        ));
        for (framework, executor) in agent.executors.keys() {
            lines.push(format!("  executor {executor} of {framework}"));
        }
    }
    for row in state.operations.values() {
        let by = row.framework.as_ref().map_or("an operator".to_owned(), ToString::to_string);
        lines.push(format!(
            "operation {} of {by}: {}",
            row.proto.info.r#type().as_str_name(),
            row.state().as_str_name()
        ));
    }
    for (role, quota) in &state.registry.quotas {
        lines.push(format!("quota of {role}: {}", short::message(quota)));
    }
    for (role, weight) in &state.registry.weights {
        lines.push(format!("weight of {role}: {weight}"));
    }
    for machine in state.registry.machines.values() {
        lines.push(format!("machine {}", short::message(machine)));
    }
    for id in state.recovered_agents.keys() {
        lines.push(format!("recovered agent {id}"));
    }
    for (id, since) in &state.registry.unreachable {
        let drain = since.drain_info.map_or("", |drain| drain.state().as_str_name());
        lines.push(format!("unreachable agent {id} since {} {drain}", since.since).trim_end().to_owned());
    }
    for (id, since) in &state.registry.gone {
        lines.push(format!("gone agent {id} since {since}"));
    }
    for framework in state.frameworks.values() {
        let link = match framework.conn() {
            None if framework.is_connected() => {
                let active = if framework.is_active() { "" } else { ", aborted" };
                format!("driver {}{active}", framework.pid.as_ref().map(ToString::to_string).unwrap_or_default())
            }
            Some(conn) => format!("subscribed on {conn}"),
            None if framework.is_recovered() => "recovered".into(),
            None => "disconnected".into(),
        };
        lines.push(format!("framework {}: {link}", framework.id));
        tasks(framework, &mut lines);
    }
    for framework in state.completed_frameworks.iter() {
        lines.push(format!("completed framework {}", framework.id));
        tasks(framework, &mut lines);
    }
    lines.iter().map(|line| short::lines(line)).collect()
}

fn tasks(framework: &master_core::state::Framework, lines: &mut Vec<String>) {
    let mut add = |kind: &str, task: &master_core::state::Task| {
        let forwarded = task.forwarded().map_or("nothing", |(state, _)| state.as_str_name());
        let statuses: Vec<&str> = task.proto.statuses.iter().map(|status| status.state().as_str_name()).collect();
        lines.push(format!(
            "  {kind}task {} on {}: {}, forwarded {forwarded}, told {}",
            task.id,
            task.agent,
            task.state().as_str_name(),
            statuses.join(" ")
        ));
    };
    framework.tasks.values().for_each(|task| add("", task));
    framework.unreachable_tasks.iter().for_each(|task| add("unreachable ", task));
    framework.completed_tasks.iter().for_each(|task| add("completed ", task));
}
