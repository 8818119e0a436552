//! Schedulers as decisions: what they want, and what they answer to events. Who carries their calls is
//! `world/schedulers`; how they behave is in the files below.

mod buggy;
pub(crate) mod jobs;
pub(crate) mod steady;
pub(crate) mod swarm;

use model::TaskId;
use proto::v1::{
    self, TaskState,
    scheduler::{Call, Event, call},
};
use stdx::Tick;

/// What a scheduler wants done.
pub(crate) enum Say {
    Call(Box<Call>),
    /// A call with a stream id that is not its own.
    Stray(Box<Call>),
    /// Another instance takes over.
    TakeOver,
}

pub(crate) trait Scheduler {
    /// Without the id.
    fn info(&self) -> &v1::FrameworkInfo;
    fn suppressed(&self) -> Vec<String> {
        Vec::new()
    }
    fn on_event(&mut self, now: Tick, event: &Event, out: &mut Vec<Say>);
    fn on_wake(&mut self, now: Tick, out: &mut Vec<Say>);
    fn next_deadline(&self) -> Option<Tick>;
    /// Its process ended, and what it knew is lost.
    fn forget(&mut self) {}
    /// It is a new framework from here on.
    fn renew(&mut self) {}
    /// Nothing new is launched from here on, so that all comes to rest.
    fn rest(&mut self) {}
    /// The tasks it takes for its own, and how they are.
    fn tasks(&self) -> Vec<(TaskId, TaskState)> {
        Vec::new()
    }
    /// Whether it would take an offer now.
    fn is_hungry(&self) -> bool {
        false
    }
    fn jobs(&self) -> Option<&jobs::Jobs> {
        None
    }
}

/// A call of a kind, with nothing in it.
pub(crate) fn bare(kind: call::Type) -> Call {
    Call { r#type: Some(kind as i32), ..Call::default() }
}

pub(crate) fn accept(offers: Vec<v1::OfferId>, operations: Vec<v1::offer::Operation>, refuse: f64) -> Box<Call> {
    let filters = Some(v1::Filters { refuse_seconds: Some(refuse) });
    let accept = call::Accept { offer_ids: offers, operations, filters };
    Box::new(Call { accept: Some(accept), ..bare(call::Type::Accept) })
}

pub(crate) fn decline(offers: Vec<v1::OfferId>, refuse: f64) -> Box<Call> {
    let filters = Some(v1::Filters { refuse_seconds: Some(refuse) });
    Box::new(Call { decline: Some(call::Decline { offer_ids: offers, filters }), ..bare(call::Type::Decline) })
}

/// The answer that an update wants, if it wants one.
pub(crate) fn acknowledge(status: &v1::TaskStatus) -> Option<Box<Call>> {
    let uuid = status.uuid.clone().filter(|uuid| !uuid.is_empty())?;
    let agent_id = status.agent_id.clone()?;
    let acknowledge = call::Acknowledge { agent_id, task_id: status.task_id.clone(), uuid };
    Some(Box::new(Call { acknowledge: Some(acknowledge), ..bare(call::Type::Acknowledge) }))
}

pub(crate) fn launch(tasks: Vec<v1::TaskInfo>) -> v1::offer::Operation {
    v1::offer::Operation {
        r#type: Some(v1::offer::operation::Type::Launch as i32),
        launch: Some(v1::offer::operation::Launch { task_infos: tasks }),
        ..Default::default()
    }
}

/// How much of a scalar an offer holds.
pub(crate) fn amount(offer: &v1::Offer, name: &str) -> f64 {
    let of_name = offer.resources.iter().filter(|resource| resource.name == name);
    of_name.filter_map(|resource| resource.scalar.as_ref()).map(|scalar| scalar.value).sum()
}

/// An amount out of an offer, allocated as the offer is.
pub(crate) fn scalar(offer: &v1::Offer, name: &str, value: f64) -> v1::Resource {
    v1::Resource {
        name: name.to_owned(),
        r#type: v1::value::Type::Scalar as i32,
        scalar: Some(v1::value::Scalar { value }),
        allocation_info: offer.allocation_info.clone(),
        ..Default::default()
    }
}

pub(crate) fn shell() -> v1::CommandInfo {
    v1::CommandInfo { value: Some("work".into()), ..Default::default() }
}

pub(crate) fn info(name: &str, role: &str, capabilities: &[v1::framework_info::capability::Type]) -> v1::FrameworkInfo {
    use v1::framework_info::{Capability, capability::Type};
    let base = [Type::MultiRole, Type::ReservationRefinement];
    let all = base.iter().chain(capabilities).map(|kind| Capability { r#type: Some(*kind as i32) });
    v1::FrameworkInfo {
        user: "nobody".into(),
        name: name.to_owned(),
        roles: vec![role.to_owned()],
        capabilities: all.collect(),
        checkpoint: Some(true),
        failover_timeout: Some(3600.0),
        ..Default::default()
    }
}
