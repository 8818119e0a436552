//! Who waits for something of a container: for the outcome of a launch, or for its end.

use crate::{
    container_id::ContainerId,
    effect::{Effect, Effects, Reply},
    launch::spec::Limits,
    listener::Listener,
    termination::Termination,
};
use proto::v1::{
    self,
    agent::{Response, response},
};
use std::collections::BTreeMap;
use stdx::{ConnectionId, RequestId, Ticket};

/// A caller that waits for a container's end.
#[derive(Debug)]
pub(crate) struct Wait {
    pub req: RequestId,
    pub conn: ConnectionId,
    /// Asked by WAIT_NESTED_CONTAINER, and to be answered likewise.
    pub nested_call: bool,
}

/// A launch whose outcome a caller waits for.
#[derive(Debug)]
pub(crate) struct OperatorLaunch {
    pub req: RequestId,
    /// The write that the launch waits for.
    pub ticket: Option<Ticket>,
    /// The session's stream.
    pub session: Option<ConnectionId>,
    pub command: Option<v1::CommandInfo>,
    pub container_info: Option<v1::ContainerInfo>,
    pub limits: Limits,
}

/// Callers who wait for something of a container, and all that answering them may change.
pub(crate) struct Waiting<'a> {
    pub waits: &'a mut BTreeMap<ContainerId, Vec<Wait>>,
    pub launches: &'a mut BTreeMap<ContainerId, OperatorLaunch>,
    pub conns: &'a mut BTreeMap<ConnectionId, Listener>,
}

impl Waiting<'_> {
    /// Answers everybody who waits for the end of this container.
    pub(crate) fn answer_waits(&mut self, id: &ContainerId, termination: &Termination, out: &mut Effects) {
        for wait in self.waits.remove(id).unwrap_or_default() {
            self.conns.remove(&wait.conn);
            out.push(Effect::Reply { req: wait.req, reply: wait_reply(termination, wait.nested_call) });
        }
    }

    pub(crate) fn forget_wait(&mut self, id: &ContainerId, conn: ConnectionId) {
        if let Some(waits) = self.waits.get_mut(id) {
            waits.retain(|wait| wait.conn != conn);
            if waits.is_empty() {
                self.waits.remove(id);
            }
        }
    }

    /// Tells the caller of a launch that will not come about.
    pub(super) fn answer_unlaunched(&mut self, id: &ContainerId, out: &mut Effects) {
        if let Some(launch) = self.launches.remove(id) {
            if let Some(conn) = launch.session {
                self.conns.remove(&conn);
            }
            out.push(Effect::Reply {
                req: launch.req,
                reply: Reply::BadRequest(format!("Container {id} was destroyed while it was launched")),
            });
        }
    }

    /// The program ends the session's stream by itself, together with the output.
    pub(super) fn forget_session(&mut self, id: &ContainerId) {
        self.conns.retain(|_, listener| !matches!(listener, Listener::Session(session) if session == id));
    }
}

pub(super) fn wait_reply(termination: &Termination, nested_call: bool) -> Reply {
    let state = termination.state.map(i32::from);
    let reason = termination.reason.map(i32::from);
    let (limitation, message) = (termination.limitation.clone(), termination.message.clone());
    let exit_status = termination.status;
    let response = if nested_call {
        Response {
            r#type: Some(response::Type::WaitNestedContainer as i32),
            wait_nested_container: Some(response::WaitNestedContainer {
                exit_status,
                state,
                reason,
                limitation,
                message,
            }),
            ..Default::default()
        }
    } else {
        Response {
            r#type: Some(response::Type::WaitContainer as i32),
            wait_container: Some(response::WaitContainer { exit_status, state, reason, limitation, message }),
            ..Default::default()
        }
    };
    Reply::Ok(Some(Box::new(response)))
}
