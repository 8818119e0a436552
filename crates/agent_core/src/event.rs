//! What can happen to an agent: the closed list of inputs. What it answers with: `effect`.

pub use crate::termination::Termination;

use crate::{container_id::ContainerId, recovery::replay::RecoveredState};
use proto::{
    link::{FromExecutor, ToAgent},
    upid::Upid,
    v1::{self, task_status::Reason},
};
use stdx::{ConnectionId, RequestId, Tick, Ticket, WallTime};

/// One step's input.
#[derive(Debug)]
pub struct Input {
    pub now: Tick,
    pub wall: WallTime,
    pub event: Event,
}

#[derive(Debug)]
pub enum Event {
    /// A deadline that `next_deadline` named has passed. Legal at any time.
    Wake,
    /// First of all events: what the journal held, and which of its containers exist.
    Recovered {
        state: Box<RecoveredState>,
        /// Every container found on the machine that this agent's work directory owns, known to the journal or not.
        found: Vec<Found>,
        /// Identifies this boot of the machine.
        boot_id: String,
    },
    /// The leading master as now known. Sent again whenever the detection changes.
    MasterDetected { master: Option<Upid> },
    /// How `Effect::Authenticate` went with this master.
    Authenticated { master: Upid, proof: Proof },
    /// A libprocess message of a master (or its agent observer), or of a v0 scheduler's driver that speaks to us
    /// directly.
    FromMaster { from: Upid, message: ToAgent },
    /// The persistent link to that address broke or could not be made.
    Exited { peer: Upid },
    /// A call on the executor API. `conn` names the stream that the reply to a SUBSCRIBE would open.
    FromExecutor { req: RequestId, conn: Option<ConnectionId>, caller: Caller, call: Box<v1::executor::Call> },
    /// A libprocess message of a v0 executor, whose driver is at this address.
    FromDriver { from: Upid, caller: Caller, message: FromExecutor },
    /// A call on the operator API that changes something or waits for something; plain reads are answered from
    /// `Agent::view`. `conn` names the stream the reply would open (LAUNCH_NESTED_CONTAINER_SESSION), and for the
    /// others the request, so that `Closed` can tell of a caller who no longer waits.
    FromOperator { req: RequestId, conn: ConnectionId, caller: Caller, call: Box<v1::agent::Call> },
    /// The peer of a stream (or of a waiting request) has gone, or its outbox overflowed.
    Closed { conn: ConnectionId },
    /// The outcome of a durable write that asked for it.
    Checkpointed { ticket: Ticket, outcome: Result<(), String> },
    /// The outcome of `Effect::Launch`. After `Err` no `Terminated` follows.
    Launched { container: ContainerId, outcome: Result<Launched, LaunchFailure> },
    /// A launched (or recovered) container is gone with all its processes. Sent once for each.
    Terminated { container: ContainerId, termination: Termination },
    /// `Effect::UpdateLimits` failed.
    LimitsRefused { container: ContainerId, message: String },
    /// The outcome of `Effect::LinkVolumes`.
    VolumesLinked { ticket: Ticket, outcome: Result<(), String> },
    /// The answer to `Effect::MeasureDisk`, or told when the disk is found to be full: which share of the work
    /// directory's disk is in use, 0 to 1.
    DiskMeasured { used: f64 },
    /// Stop for good: unregister, end every executor, then `Effect::Exit` (SIGUSR1; SIGTERM needs no event, for
    /// executors outlive an agent that merely exits).
    Shutdown { why: String },
}

/// On whose behalf a call comes, as the program has found out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Caller {
    /// May do everything: proved it, or could do it anyway.
    Operator,
    /// A process of this container, and of none inside it; or who shows the token of the executor in it.
    Container(ContainerId),
    /// Somebody in the network, where nothing has to be proved.
    Network,
    /// A process of this machine and of no container, running as a user who may not do everything.
    User(u32),
    /// Nobody knows who, and these words tell why.
    Stranger(String),
}

/// What became of the proof of who we are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proof {
    Taken,
    /// The principal is unknown or the secret is wrong.
    Refused,
    /// Something else is wrong, perhaps not for long.
    Failed(String),
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Launched {
    pub pid: Option<u32>,
}

/// Why a container did not start.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LaunchFailure {
    /// `None` means REASON_CONTAINER_LAUNCH_FAILED.
    pub reason: Option<Reason>,
    pub message: String,
    /// The `ContainerInfo` asks for something this agent cannot do (400, not 500).
    pub not_supported: bool,
}

/// A container that the program found at start.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    pub container: ContainerId,
    pub life: Life,
    /// The sandbox, where known: it is retired together with an orphan.
    pub sandbox: Option<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Life {
    /// Runs; the program watches it and will send `Terminated`.
    Running { pid: Option<u32> },
    /// Ended while no agent was there to see it. No `Terminated` follows.
    Ended(Termination),
}
