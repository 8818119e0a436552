//! Why a task does not run, or runs no longer, in our words; and the one table that turns each reason into the state
//! and the reason of Mesos. The message that goes with it is the caller's.

use proto::v1::{
    TaskState,
    task_status::{Reason, Source},
};

/// What a framework is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    pub state: TaskState,
    pub reason: Reason,
    pub source: Source,
}

/// Each row: who says it; what a partition-aware framework is told; what any other is told.
macro_rules! refusals {
    ($($(#[$doc:meta])* $name:ident: $source:ident, $state:ident $reason:ident, $old_state:ident $old_reason:ident;)+) => {
        /// Every way in which a task ends otherwise than by its executor's own report.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Refusal {
            $($(#[$doc])* $name,)+
        }

        impl Refusal {
            /// Every refusal, for tests and counters.
            pub const ALL: &[Refusal] = &[$(Refusal::$name,)+];

            /// Looks the refusal up in the table.
            pub fn verdict(self, partition_aware: bool) -> Verdict {
                let (source, (state, reason), old) = match self {
                    $(Refusal::$name => (
                        Source::$source,
                        (TaskState::$state, Reason::$reason),
                        (TaskState::$old_state, Reason::$old_reason),
                    ),)+
                };
                let (state, reason) = if partition_aware { (state, reason) } else { old };
                Verdict { state, reason, source }
            }
        }
    };
}

refusals! {
    /// The ACCEPT named an offer that is not (or no longer) this framework's.
    InvalidOffers: Master, TaskDropped InvalidOffers, TaskLost InvalidOffers;
    /// The agent's connection broke while the launch was judged.
    AgentDisconnectedAtLaunch: Master, TaskDropped AgentDisconnected, TaskLost AgentDisconnected;
    /// The agent went away while the launch was judged.
    AgentRemovedAtLaunch: Master, TaskDropped AgentRemoved, TaskLost AgentRemoved;
    /// The task makes no sense, or does not fit.
    TaskInvalid: Master, TaskError TaskInvalid, TaskError TaskInvalid;
    /// The framework may not run this task.
    TaskUnauthorized: Master, TaskError TaskUnauthorized, TaskError TaskUnauthorized;
    /// One task of the group, or its executor, makes no sense or does not fit.
    TaskGroupInvalid: Master, TaskError TaskGroupInvalid, TaskError TaskGroupInvalid;
    /// The framework may not run one task of the group.
    TaskGroupUnauthorized: Master, TaskError TaskGroupUnauthorized, TaskError TaskGroupUnauthorized;
    /// The framework was torn down.
    FrameworkRemoved: Master, TaskKilled FrameworkRemoved, TaskKilled FrameworkRemoved;
    /// The agent's connection broke, and the task's framework does not checkpoint.
    AgentDisconnected: Master, TaskLost AgentDisconnected, TaskLost AgentDisconnected;
    /// The agent left, or another took its place.
    AgentRemoved: Master, TaskLost AgentRemoved, TaskLost AgentRemoved;
    /// The agent did not answer for too long.
    AgentUnreachable: Master, TaskUnreachable AgentRemoved, TaskLost AgentRemoved;
    /// An operator says that the agent will not come back.
    AgentGone: Master, TaskGoneByOperator AgentRemovedByOperator, TaskLost AgentRemoved;
    /// Asked about a task that its registered agent does not have.
    UnknownOnAgent: Master, TaskGone Reconciliation, TaskLost Reconciliation;
    /// Asked about a task of an unreachable agent.
    UnknownOnUnreachable: Master, TaskUnreachable Reconciliation, TaskLost Reconciliation;
    /// Asked about a task of a gone agent.
    UnknownOnGone: Master, TaskGoneByOperator Reconciliation, TaskLost Reconciliation;
    /// Asked about a task that nobody knows.
    Unknown: Master, TaskUnknown Reconciliation, TaskLost Reconciliation;
    /// The master believes in a task that this agent does not have.
    NeverArrived: Agent, TaskDropped Reconciliation, TaskLost Reconciliation;
    /// The agent itself may not run this task.
    ForbiddenOnAgent: Agent, TaskError TaskUnauthorized, TaskError TaskUnauthorized;
    /// The agent itself may not run one task of the group.
    GroupForbiddenOnAgent: Agent, TaskError TaskGroupUnauthorized, TaskError TaskGroupUnauthorized;
    /// The framework's directories could not be saved from removal.
    GcFailed: Agent, TaskDropped GcError, TaskLost GcError;
    /// The task sets limits that this agent cannot hold anybody to. (The reason is Mesos's.)
    LimitsUnsupported: Agent, TaskDropped GcError, TaskLost GcError;
    /// The agent is being drained.
    AgentDraining: Agent, TaskDropped AgentDraining, TaskLost AgentDraining;
    /// The master's picture of the agent's resources was outdated.
    StaleResources: Agent, TaskDropped InvalidOffers, TaskLost InvalidOffers;
    /// The task uses checkpointed resources that the agent does not have.
    ResourcesUnknown: Agent, TaskDropped ResourcesUnknown, TaskLost ResourcesUnknown;
    /// The executor that should take the task is ending, or is not the one the master has in mind.
    ExecutorTerminating: Agent, TaskDropped ExecutorTerminated, TaskLost ExecutorTerminated;
    /// A command task whose id names an executor that still lives.
    ExecutorReused: Agent, TaskDropped TaskInvalid, TaskLost TaskInvalid;
    /// A kill overtook the launch.
    KilledDuringLaunch: Agent, TaskKilled TaskKilledDuringLaunch, TaskKilled TaskKilledDuringLaunch;
    /// The agent restarted before the task reached its executor.
    AgentRestarted: Agent, TaskDropped AgentRestarted, TaskLost AgentRestarted;
    ContainerLaunchFailed: Agent, TaskFailed ContainerLaunchFailed, TaskFailed ContainerLaunchFailed;
    ContainerUpdateFailed: Agent, TaskGone ContainerUpdateFailed, TaskLost ContainerUpdateFailed;
    /// Others need what was revocable.
    ContainerPreempted: Agent, TaskGone ContainerPreempted, TaskLost ContainerPreempted;
    /// The container used more than it may of something.
    ContainerLimitation: Agent, TaskFailed ContainerLimitation, TaskFailed ContainerLimitation;
    DiskLimitation: Agent, TaskFailed ContainerLimitationDisk, TaskFailed ContainerLimitationDisk;
    MemoryLimitation: Agent, TaskFailed ContainerLimitationMemory, TaskFailed ContainerLimitationMemory;
    /// The executor did not subscribe in time.
    ExecutorRegistrationTimeout: Agent, TaskFailed ExecutorRegistrationTimeout, TaskFailed ExecutorRegistrationTimeout;
    /// The executor did not return after the agent's restart.
    ExecutorReregistrationTimeout: Agent, TaskGone ExecutorReregistrationTimeout, TaskLost ExecutorReregistrationTimeout;
    /// The executor ended and left the task unfinished.
    ExecutorTerminated: Agent, TaskFailed ExecutorTerminated, TaskFailed ExecutorTerminated;
    /// The command executor itself failed.
    CommandExecutorFailed: Executor, TaskFailed CommandExecutorFailed, TaskFailed CommandExecutorFailed;
    /// The task ran longer than it may.
    MaxCompletionTimeReached: Executor, TaskFailed MaxCompletionTimeReached, TaskFailed MaxCompletionTimeReached;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task_state::{as_seen_by, is_terminal};

    #[test]
    fn whoever_does_not_know_partitions_is_told_the_same_in_older_words() {
        for refusal in Refusal::ALL {
            let (aware, unaware) = (refusal.verdict(true), refusal.verdict(false));
            assert_eq!(unaware.state, as_seen_by(aware.state, false), "{refusal:?}");
            assert_eq!(unaware.source, aware.source);
            assert!(is_terminal(unaware.state), "{refusal:?}");
            if *refusal != Refusal::AgentGone {
                assert_eq!(unaware.reason, aware.reason, "{refusal:?}");
            }
        }
    }

    #[test]
    fn only_what_may_come_back_is_not_terminal() {
        let open: Vec<_> = Refusal::ALL.iter().filter(|refusal| !is_terminal(refusal.verdict(true).state)).collect();
        assert_eq!(open, [&Refusal::AgentUnreachable, &Refusal::UnknownOnUnreachable, &Refusal::Unknown]);
    }

    #[test]
    fn a_gone_agent_is_an_operator_s_doing_only_to_who_knows_partitions() {
        let told = |aware| Refusal::AgentGone.verdict(aware);
        assert_eq!(
            (told(true).state, told(true).reason),
            (TaskState::TaskGoneByOperator, Reason::AgentRemovedByOperator)
        );
        assert_eq!((told(false).state, told(false).reason), (TaskState::TaskLost, Reason::AgentRemoved));
    }
}
