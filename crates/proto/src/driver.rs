//! What a v0 driver says to the master. Drivers since Mesos 0.23 send `mesos.scheduler.Call`; older ones have a message
//! for each call. Both become the calls of v1 here, so that nobody else need know the difference.

use crate::{
    internal,
    link::LinkError,
    scheduler_v0::{CALL_NAME, CallV0, decode_v0},
    v1::{
        self,
        offer::{Operation, operation},
        scheduler::{Call, call},
    },
    wire,
};

/// One message of a driver.
#[derive(Debug, Clone, PartialEq)]
pub enum FromDriver {
    /// A call, in whatever words it was said.
    Call(Box<CallV0>),
    /// An old driver's first SUBSCRIBE; its framework must have no id.
    Register(Box<v1::FrameworkInfo>),
    /// An old driver's later SUBSCRIBE; its framework must have an id.
    Reregister { info: Box<v1::FrameworkInfo>, failover: bool },
    /// The driver has aborted: it stays connected and wants no more offers.
    Deactivate(v1::FrameworkId),
    /// Asks for something no master has offered for long.
    Submit { name: String },
}

impl FromDriver {
    /// Whether a message of this name is one of a driver's. No message of an agent has such a name.
    pub fn is_named(name: &str) -> bool {
        name == CALL_NAME || Old::is_named(name)
    }

    pub fn decode(name: &str, body: &[u8]) -> Result<FromDriver, LinkError> {
        if name == CALL_NAME {
            let call = decode_v0(body).map_err(|error| LinkError::Body { name: CALL_NAME, error })?;
            return Ok(FromDriver::Call(Box::new(call)));
        }
        Ok(translate(Old::decode(name, body)?))
    }
}

macro_rules! old {
    ($($variant:ident($message:ident),)*) => {
        /// The messages of old drivers.
        enum Old {
            $($variant(internal::$message),)*
        }

        impl Old {
            fn is_named(name: &str) -> bool {
                use crate::Message;
                false $(|| name == internal::$message::full_name())*
            }

            fn decode(name: &str, body: &[u8]) -> Result<Old, LinkError> {
                use crate::Message;
                $(if name == internal::$message::full_name() {
                    return wire::decode(body).map(Old::$variant).map_err(|error| {
                        LinkError::Body { name: internal::$message::full_name(), error }
                    });
                })*
                Err(LinkError::Unknown(name.to_owned()))
            }
        }
    };
}

old! {
    Register(RegisterFrameworkMessage),
    Reregister(ReregisterFrameworkMessage),
    Unregister(UnregisterFrameworkMessage),
    Deactivate(DeactivateFrameworkMessage),
    Request(ResourceRequestMessage),
    Launch(LaunchTasksMessage),
    Revive(ReviveOffersMessage),
    Kill(KillTaskMessage),
    Acknowledge(StatusUpdateAcknowledgementMessage),
    Message(FrameworkToExecutorMessage),
    Reconcile(ReconcileTasksMessage),
    Submit(SubmitSchedulerRequest),
}

fn translate(old: Old) -> FromDriver {
    use call::Type;
    let of = |id: v1::FrameworkId, kind: Type| Call {
        framework_id: Some(id),
        r#type: Some(kind.into()),
        ..Default::default()
    };
    let call = match old {
        Old::Register(m) => return FromDriver::Register(Box::new(m.framework)),
        Old::Reregister(m) => return FromDriver::Reregister { info: Box::new(m.framework), failover: m.failover },
        Old::Deactivate(m) => return FromDriver::Deactivate(m.framework_id),
        Old::Submit(m) => return FromDriver::Submit { name: m.name },
        Old::Unregister(m) => of(m.framework_id, Type::Teardown),
        Old::Request(m) => {
            Call { request: Some(call::Request { requests: m.requests }), ..of(m.framework_id, Type::Request) }
        }
        // An empty list of tasks is how old drivers decline; a LAUNCH of nothing means the same.
        Old::Launch(m) => {
            let launch = Operation {
                r#type: Some(operation::Type::Launch.into()),
                launch: Some(operation::Launch { task_infos: m.tasks }),
                ..Default::default()
            };
            let accept = call::Accept { offer_ids: m.offer_ids, operations: vec![launch], filters: Some(m.filters) };
            Call { accept: Some(accept), ..of(m.framework_id, Type::Accept) }
        }
        Old::Revive(m) => Call { revive: Some(call::Revive { roles: m.roles }), ..of(m.framework_id, Type::Revive) },
        Old::Kill(m) => {
            let kill = call::Kill { task_id: m.task_id, agent_id: None, kill_policy: m.kill_policy };
            Call { kill: Some(kill), ..of(m.framework_id, Type::Kill) }
        }
        Old::Acknowledge(m) => {
            let acknowledge = call::Acknowledge { agent_id: m.agent_id, task_id: m.task_id, uuid: m.uuid };
            Call { acknowledge: Some(acknowledge), ..of(m.framework_id, Type::Acknowledge) }
        }
        Old::Message(m) => {
            let message = call::Message { agent_id: m.agent_id, executor_id: m.executor_id, data: m.data };
            Call { message: Some(message), ..of(m.framework_id, Type::Message) }
        }
        Old::Reconcile(m) => {
            let asked =
                |status: v1::TaskStatus| call::reconcile::Task { task_id: status.task_id, agent_id: status.agent_id };
            let tasks = m.statuses.into_iter().map(asked).collect();
            Call { reconcile: Some(call::Reconcile { tasks }), ..of(m.framework_id, Type::Reconcile) }
        }
    };
    FromDriver::Call(Box::new(CallV0 { call, force: false }))
}
