//! What an agent wants done: the closed list of outputs. Fire and forget; what must be waited for returns as an
//! `Event`.

use crate::{
    container_id::ContainerId,
    launch::spec::{LaunchSpec, Limits, VolumeLink},
    recovery::record::Record,
};
use proto::{
    link::{ToExecutor, ToMaster},
    upid::Upid,
    v1,
};
use stdx::{ConnectionId, RequestId, Ticket, WallTime};

#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Send to a master (or its observer) as the actor `slave(1)`.
    ToMaster {
        to: Upid,
        message: ToMaster,
    },
    /// Prove to this master who we are; `Authenticated` tells how it went. A newer request takes an older one's place.
    Authenticate {
        master: Upid,
    },
    /// Watch the link to this address: `Event::Exited` when it breaks. Asking again while it stands is harmless.
    Link {
        peer: Upid,
    },
    Unlink {
        peer: Upid,
    },
    /// An event for the executor that reads this stream.
    ToExecutor {
        conn: ConnectionId,
        event: Box<v1::executor::Event>,
    },
    /// A message to the driver of a v0 executor.
    ToDriver {
        to: Upid,
        message: ToExecutor,
    },
    Reply {
        req: RequestId,
        reply: Reply,
    },
    /// End this stream.
    Close {
        conn: ConnectionId,
    },
    /// Append to the journal, in the order given. With a ticket: say `Checkpointed` once it is durable.
    Checkpoint {
        ticket: Option<Ticket>,
        record: Box<Record>,
    },
    /// Start a container: `Launched` follows, and `Terminated` after a success.
    Launch {
        spec: Box<LaunchSpec>,
    },
    UpdateLimits {
        container: ContainerId,
        limits: Limits,
    },
    /// Send a signal to the first process of the container.
    Signal {
        container: ContainerId,
        signal: i32,
    },
    /// Kill the whole container. While it is being launched: give the launch up (`Launched` with an error) or kill what
    /// comes of it. `Terminated` follows for a launched one. Unknown containers are no error.
    Destroy {
        container: ContainerId,
    },
    /// Forget what is kept about an ended nested or standalone container, and remove its sandbox.
    Remove {
        container: ContainerId,
        sandbox: String,
    },
    /// This directory is garbage since `at`; a later `PruneSandboxes` says when to remove it. The list must survive
    /// restarts; the same path may be retired twice.
    RetireSandbox {
        path: String,
        at: WallTime,
    },
    /// Make the directory of a persistent volume; one that is there stays as it is.
    MakeVolume {
        path: String,
    },
    /// Remove a persistent volume and all that is in it; the directory itself stays if it is a disk's mount point.
    RemoveVolume {
        path: String,
        keep_directory: bool,
    },
    /// Let a running container see more volumes in its sandbox: `VolumesLinked` follows.
    LinkVolumes {
        ticket: Ticket,
        container: ContainerId,
        volumes: Vec<VolumeLink>,
    },
    /// Answer with `DiskMeasured`.
    MeasureDisk,
    /// Remove every retired sandbox whose `at` is not after `retired_until`.
    PruneSandboxes {
        retired_until: WallTime,
    },
    /// The agent is done: end the process with this exit code.
    Exit {
        code: u8,
        why: String,
    },
}

/// The answer to one request.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// 202
    Accepted,
    /// 200, with a body for the calls that have one.
    Ok(Option<Box<v1::agent::Response>>),
    /// 200 and an event stream on the `conn` of the call.
    Stream,
    /// 200 and the output of this container as a stream of `ProcessIO` on the `conn` of the call, until it ends.
    Output { container: ContainerId },
    /// 400
    BadRequest(String),
    /// 403
    Forbidden(String),
    /// 404
    NotFound(String),
    /// 409
    Conflict(String),
    /// 500
    Internal(String),
    /// 501
    NotImplemented(String),
    /// 503
    Unavailable(String),
}

/// The effects of one or more steps, in order.
#[derive(Debug, Default)]
pub struct Effects(Vec<Effect>);

impl Effects {
    pub fn new() -> Effects {
        Effects::default()
    }

    pub fn push(&mut self, effect: Effect) {
        self.0.push(effect);
    }

    pub fn drain(&mut self) -> std::vec::Drain<'_, Effect> {
        self.0.drain(..)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn iter(&self) -> std::slice::Iter<'_, Effect> {
        self.0.iter()
    }
}
