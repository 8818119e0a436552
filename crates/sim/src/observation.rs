//! What checkers are told: the closed list of facts about a run. The world notes them while it goes on.

use std::collections::BTreeSet;

use agent_core::ContainerId;
use bytes::Bytes;
use model::{AgentId, FrameworkId, OfferId, TaskId};
use proto::v1::{TaskState, task_status::Source};
use resources::Quantities;
use stdx::Tick;

/// Who can be guaranteed something.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Guaranteed {
    Role(String),
    Group(String),
}

#[derive(Clone, Debug)]
pub enum Fact {
    /// A master was elected; its writes are good while no later epoch begins.
    Elected {
        master: u32,
        epoch: u64,
    },
    Leads {
        master: u32,
        epoch: u64,
    },
    /// A master heard that it leads no longer, or gave up.
    Deposed {
        master: u32,
        epoch: u64,
    },
    /// A master said or wrote something. `deposed`: after it knew that it must not.
    MasterSpoke {
        master: u32,
        deposed: bool,
        what: &'static str,
    },
    /// The store took a write.
    Stored {
        master: u32,
        epoch: u64,
        current: u64,
    },
    /// The registry's store found a write that does not fit.
    StoreRefused {
        master: u32,
        why: String,
    },
    /// A request of a scheduler or operator was answered `times` times when its step was over.
    Unanswered {
        what: String,
    },
    MintedFramework {
        master: u32,
        id: FrameworkId,
    },
    MintedAgent {
        master: u32,
        id: AgentId,
    },
    /// A master told an agent that it is registered. `recorded`: the store has it.
    LetIn {
        master: u32,
        id: AgentId,
        recorded: bool,
    },
    Offered {
        master: u32,
        framework: u32,
        offer: OfferId,
        agent: AgentId,
        /// The role, and the resource group that serves it.
        role: String,
        group: Option<String>,
    },
    /// What a role with a limit has, and is offered, right after it was offered more.
    RoleOffered {
        role: String,
        cpus: f64,
        limit: f64,
    },
    /// What the roles of a resource group hold of what its unit names, counted, and as the master has it in its books.
    GroupHolds {
        name: String,
        counted: Quantities,
        booked: Quantities,
    },
    /// An agent is offered to a role of a resource group, or of none.
    GroupOffered {
        /// As it follows from the registry, and as the offer says.
        name: Option<String>,
        said: Option<String>,
        agent: AgentId,
        /// Its selector, if it has one, admits the agent.
        selects: bool,
        /// What else has something there: groups, or `None` for what is in no group.
        others: BTreeSet<Option<String>>,
        /// It has something else there itself.
        begun: bool,
        /// The exclusive ones of all groups.
        exclusive: BTreeSet<String>,
        /// Parts of units counted as whole ones.
        held_units: u64,
        max: Option<u64>,
    },
    /// Whether somebody has less than it is guaranteed, and a framework that could do with more. All is well otherwise.
    Lacks {
        whom: Guaranteed,
        lacks: bool,
    },
    /// A scheduler heard that an offer is no more.
    Rescinded {
        framework: u32,
        offer: OfferId,
    },
    FrameworkSubscribed {
        framework: u32,
        id: FrameworkId,
    },
    /// It ended for good: by its own word or an operator's, or because it stayed away too long.
    FrameworkEnded {
        framework: u32,
        id: FrameworkId,
    },
    /// A master told an agent that a framework is over.
    FrameworkShutDown {
        agent: u32,
        id: FrameworkId,
    },
    /// A scheduler asked for a launch. `again`: under a name that it gave before.
    Launched {
        framework: u32,
        id: Option<FrameworkId>,
        task: TaskId,
        again: bool,
    },
    /// A launch came to its agent after the master had given the task up.
    LaunchedLate {
        framework: FrameworkId,
        task: TaskId,
    },
    /// A process does a task's work.
    TaskStarted {
        agent: u32,
        container: ContainerId,
        framework: FrameworkId,
        task: TaskId,
        cpus: f64,
        mem_mb: f64,
    },
    TaskStopped {
        agent: u32,
        container: ContainerId,
        framework: FrameworkId,
        task: TaskId,
    },
    /// An executor said something about a task for the first time.
    ExecutorSaid {
        agent: u32,
        framework: FrameworkId,
        task: TaskId,
        state: TaskState,
        uuid: Bytes,
    },
    /// An agent sent an update to a master.
    AgentSaid {
        agent: u32,
        framework: FrameworkId,
        task: TaskId,
        state: TaskState,
        uuid: Bytes,
        recorded: bool,
    },
    /// A scheduler got an update.
    FrameworkHeard {
        framework: u32,
        id: FrameworkId,
        task: TaskId,
        state: TaskState,
        uuid: Bytes,
        source: Source,
        reconciled: bool,
    },
    FrameworkAcknowledged {
        framework: u32,
        task: TaskId,
        uuid: Bytes,
    },
    /// A master passed an acknowledgement on.
    AgentAcknowledged {
        agent: u32,
        framework: FrameworkId,
        task: TaskId,
        uuid: Bytes,
    },
    /// An agent acknowledged an update to an executor. `recorded`: its journal has it, or its framework is being shut
    /// down, so that nobody waits for it.
    ExecutorAcknowledged {
        agent: u32,
        framework: FrameworkId,
        task: TaskId,
        uuid: Bytes,
        recorded: bool,
    },
    /// An agent starts a container. `recorded`: its journal knows.
    ContainerLaunched {
        agent: u32,
        container: ContainerId,
        recorded: bool,
        twice: bool,
    },
    /// An agent's process is back: which of its containers that the journal knows it does not know.
    AgentRecovered {
        agent: u32,
        forgot: Vec<ContainerId>,
        oddities: u64,
    },
    /// All a machine had is gone, its disk too, or its agent was shut down and gave it up.
    MachineLost {
        agent: u32,
    },
    /// Somebody logged an error.
    Error(String),
    /// A core says that its own laws are broken.
    Broken {
        who: String,
        why: String,
    },
    /// A master took a KILL of a task whose agent is back with it now, and still runs it.
    KillOwed {
        framework: FrameworkId,
        task: TaskId,
    },
    /// A framework wants a task killed.
    KillAsked {
        framework: u32,
        task: TaskId,
    },
    /// A master told an agent to kill a task.
    KillSent {
        framework: FrameworkId,
        task: TaskId,
    },
    /// A master told an agent to end.
    ShutDown {
        agent: u32,
        why: String,
    },
    At(Tick),
}
