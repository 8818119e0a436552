//! Everything that can be on the heap: the closed list of what happens in a simulated world.

use std::time::Duration;

use agent_core::{ContainerId, Termination};
use bytes::Bytes;
use master_core::{Actor, ConnectionId, RequestId};
use proto::{
    link::{FromExecutor, ToAgent, ToExecutor, ToMaster},
    upid::Upid,
    v1,
};

use super::faults::Fault;

/// A process on the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Node {
    Master(u32),
    Agent(u32),
    Framework(u32),
}

/// Counts the lives of one process.
pub(crate) type Life = u32;

pub(crate) enum Happening {
    Deliver(Box<Delivery>),
    Wake(Node),
    /// The link that `node` keeps to `peer` is broken.
    Exited {
        node: Node,
        life: Life,
        peer: Node,
    },
    Start(Node),
    /// The detector of `node` says who leads.
    Detect {
        node: Node,
        life: Life,
        leader: Option<u32>,
        epoch: u64,
    },
    /// A deposed master's process ends.
    Deposed {
        master: u32,
        life: Life,
    },
    /// The service has not heard of a session for too long. `late`: how long after that the session hears of it.
    SessionExpires {
        session: u64,
        late: Duration,
    },
    /// The next question of a session reaches the service.
    Asked {
        session: u64,
    },
    /// The next word of the service reaches a master.
    Told {
        session: u64,
    },
    /// A master has heard out an agent that proves who it is.
    HeardOut {
        master: u32,
        life: Life,
        agent: u32,
        peer: Upid,
    },
    /// A deadline of a master's candidate.
    WakeCandidate {
        master: u32,
        life: Life,
    },
    /// A deadline of a leader's ledger.
    WakeLedger {
        master: u32,
        life: Life,
        serial: u64,
    },
    /// A master of another program leaves.
    ForeignLeaves {
        number: i64,
    },
    /// A paused process goes on.
    Resumes {
        master: u32,
        life: Life,
    },
    /// An event stream of a scheduler is cut off, as seen from one end.
    StreamEnds {
        at: Node,
        conn: ConnectionId,
    },
    /// A scheduler's call got no answer.
    CallFails {
        framework: u32,
        life: Life,
        req: RequestId,
    },
    /// An agent's disk has written what was handed to it up to here.
    Synced {
        agent: u32,
        life: Life,
        count: usize,
        fails: bool,
    },
    Machine(Box<MachineEvent>),
    Fault(Fault),
    Operate(super::operators::Deed),
}

/// What happens on one agent's machine.
pub(crate) struct MachineEvent {
    pub agent: u32,
    /// Counts the boots of the machine: what the last boot had planned does not happen.
    pub boot: Life,
    pub what: Local,
}

pub(crate) enum Local {
    /// A container is up, or could not be made.
    Launched {
        container: ContainerId,
        fails: bool,
    },
    /// All processes of a container are gone.
    Ended {
        container: ContainerId,
        termination: Termination,
    },
    /// The agent's program no longer keeps what it knows of an ended container.
    Forgotten {
        life: Life,
        container: ContainerId,
    },
    /// An executor's process looks at its clock.
    Executor(ContainerId),
    /// An executor's request reaches its agent's process.
    Call {
        life: Life,
        container: ContainerId,
        req: RequestId,
        conn: Option<ConnectionId>,
        call: Box<v1::executor::Call>,
    },
    /// A v0 executor's message reaches its agent's process. `conn` stands for what it registers with.
    Said {
        life: Life,
        container: ContainerId,
        conn: Option<ConnectionId>,
        message: FromExecutor,
    },
    /// The agent's, the executor.
    Told {
        container: ContainerId,
        message: ToExecutor,
    },
    /// The answer, or `None` when the process went away.
    Answer {
        container: ContainerId,
        req: RequestId,
        reply: Option<agent_core::Reply>,
    },
    Event {
        container: ContainerId,
        conn: ConnectionId,
        event: Box<v1::executor::Event>,
    },
    /// An executor's stream is over, as seen by the executor.
    StreamEnds {
        container: ContainerId,
        conn: ConnectionId,
    },
    /// The same, as seen by the agent's process.
    Closed {
        life: Life,
        conn: ConnectionId,
    },
    DiskMeasured {
        life: Life,
    },
}

pub(crate) struct Delivery {
    pub from: Node,
    pub to: Node,
    /// Of the sender.
    pub from_life: Life,
    /// Of the receiver: what was sent to a process that is no more is lost.
    pub life: Life,
    /// Of the connection: what was under way when it broke is lost.
    pub generation: u32,
    pub message: Message,
}

#[derive(Clone, Debug)]
pub(crate) enum Message {
    /// With the sender and the actor it goes to.
    ToMaster(Upid, Actor, ToMaster),
    ToAgent(Upid, ToAgent),
    /// An agent wants to prove who it is.
    Prove(Upid),
    /// How that went, says the master at this address.
    Proof(Upid, bool),
    Call {
        req: RequestId,
        conn: Option<ConnectionId>,
        stream_id: Option<String>,
        call: Box<v1::scheduler::Call>,
    },
    Reply {
        req: RequestId,
        reply: master_core::Reply,
    },
    Event {
        conn: ConnectionId,
        event: Box<v1::scheduler::Event>,
    },
}

impl Message {
    pub fn name(&self) -> &'static str {
        match self {
            Message::ToMaster(_, _, message) => message.name(),
            Message::ToAgent(_, message) => message.name(),
            Message::Prove(_) => "prove",
            Message::Proof(..) => "proof",
            Message::Call { call, .. } => call.r#type().as_str_name(),
            Message::Reply { .. } => "reply",
            Message::Event { event, .. } => event.r#type().as_str_name(),
        }
    }

    /// What comes out at the other end of a wire.
    pub fn through_the_wire(self) -> Message {
        fn again<M: proto::Message>(message: &M) -> M {
            proto::wire::decode(&proto::wire::encode(message))
                .unwrap_or_else(|error| panic!("cannot be read back: {error}"))
        }
        match self {
            Message::ToMaster(from, to, message) => {
                let body: Bytes = message.encode();
                let back = ToMaster::decode(message.name(), &body);
                Message::ToMaster(from, to, back.unwrap_or_else(|error| panic!("cannot be read back: {error}")))
            }
            Message::ToAgent(from, message) => {
                let back = ToAgent::decode(message.name(), &message.encode());
                Message::ToAgent(from, back.unwrap_or_else(|error| panic!("cannot be read back: {error}")))
            }
            Message::Call { req, conn, stream_id, call } => {
                Message::Call { req, conn, stream_id, call: Box::new(again(&*call)) }
            }
            Message::Event { conn, event } => Message::Event { conn, event: Box::new(again(&*event)) },
            Message::Reply { .. } | Message::Prove(_) | Message::Proof(..) => self,
        }
    }
}
