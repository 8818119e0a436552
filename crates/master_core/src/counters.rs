//! What a master counts: one closed enum with the names Mesos gives the metrics, and the ends of tasks by cause. The
//! gauges, which are looked up in the state, are in `metrics`.

use std::collections::BTreeMap;

use proto::v1::{
    OperationState, TaskState,
    offer::operation,
    task_status::{Reason, Source},
};

macro_rules! counters {
    ($($variant:ident = $name:literal,)*) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Counter {
            $($variant,)*
        }

        const NAMES: &[&str] = &[$($name,)*];
        const ALL: [Counter; NAMES.len()] = [$(Counter::$variant,)*];
    };
}

counters! {
    DroppedMessages = "master/dropped_messages",
    MessagesRegisterFramework = "master/messages_register_framework",
    MessagesReregisterFramework = "master/messages_reregister_framework",
    MessagesUnregisterFramework = "master/messages_unregister_framework",
    MessagesDeactivateFramework = "master/messages_deactivate_framework",
    MessagesKillTask = "master/messages_kill_task",
    MessagesStatusUpdateAcknowledgement = "master/messages_status_update_acknowledgement",
    MessagesResourceRequest = "master/messages_resource_request",
    MessagesLaunchTasks = "master/messages_launch_tasks",
    MessagesDeclineOffers = "master/messages_decline_offers",
    MessagesReviveOffers = "master/messages_revive_offers",
    MessagesSuppressOffers = "master/messages_suppress_offers",
    MessagesReconcileOperations = "master/messages_reconcile_operations",
    MessagesReconcileTasks = "master/messages_reconcile_tasks",
    MessagesFrameworkToExecutor = "master/messages_framework_to_executor",
    MessagesOperationStatusUpdateAcknowledgement = "master/messages_operation_status_update_acknowledgement",
    MessagesExecutorToFramework = "master/messages_executor_to_framework",
    MessagesRegisterAgent = "master/messages_register_slave",
    MessagesReregisterAgent = "master/messages_reregister_slave",
    MessagesUnregisterAgent = "master/messages_unregister_slave",
    MessagesStatusUpdate = "master/messages_status_update",
    MessagesOperationStatusUpdate = "master/messages_operation_status_update",
    MessagesExitedExecutor = "master/messages_exited_executor",
    MessagesUpdateAgent = "master/messages_update_slave",
    MessagesAuthenticate = "master/messages_authenticate",
    ValidFrameworkToExecutorMessages = "master/valid_framework_to_executor_messages",
    InvalidFrameworkToExecutorMessages = "master/invalid_framework_to_executor_messages",
    ValidExecutorToFrameworkMessages = "master/valid_executor_to_framework_messages",
    InvalidExecutorToFrameworkMessages = "master/invalid_executor_to_framework_messages",
    ValidStatusUpdates = "master/valid_status_updates",
    InvalidStatusUpdates = "master/invalid_status_updates",
    ValidStatusUpdateAcknowledgements = "master/valid_status_update_acknowledgements",
    InvalidStatusUpdateAcknowledgements = "master/invalid_status_update_acknowledgements",
    ValidOperationStatusUpdates = "master/valid_operation_status_updates",
    InvalidOperationStatusUpdates = "master/invalid_operation_status_updates",
    ValidOperationStatusUpdateAcknowledgements = "master/valid_operation_status_update_acknowledgements",
    InvalidOperationStatusUpdateAcknowledgements = "master/invalid_operation_status_update_acknowledgements",
    RecoveryAgentRemovals = "master/recovery_slave_removals",
    AgentRegistrations = "master/slave_registrations",
    AgentReregistrations = "master/slave_reregistrations",
    AgentRemovals = "master/slave_removals",
    AgentRemovalsUnhealthy = "master/slave_removals/reason_unhealthy",
    AgentRemovalsUnregistered = "master/slave_removals/reason_unregistered",
    AgentRemovalsRegistered = "master/slave_removals/reason_registered",
    AgentShutdownsScheduled = "master/slave_shutdowns_scheduled",
    AgentShutdownsCompleted = "master/slave_shutdowns_completed",
    AgentShutdownsCanceled = "master/slave_shutdowns_canceled",
    AgentUnreachableScheduled = "master/slave_unreachable_scheduled",
    AgentUnreachableCompleted = "master/slave_unreachable_completed",
    AgentUnreachableCanceled = "master/slave_unreachable_canceled",
    TasksFinished = "master/tasks_finished",
    TasksFailed = "master/tasks_failed",
    TasksKilled = "master/tasks_killed",
    TasksLost = "master/tasks_lost",
    TasksError = "master/tasks_error",
    TasksDropped = "master/tasks_dropped",
    TasksGone = "master/tasks_gone",
    TasksGoneByOperator = "master/tasks_gone_by_operator",
}

/// The counts since this process began.
#[derive(Clone, Debug)]
pub struct Counters {
    counts: [u64; NAMES.len()],
    /// Ends of tasks that have a reason, by state, source and reason, as the enums' numbers.
    ends: BTreeMap<(i32, i32, i32), u64>,
    /// What became of operations, by type and state, as the enums' numbers.
    operations: BTreeMap<(i32, i32), u64>,
    /// Messages of v0 drivers, by the principals of their frameworks.
    messages: BTreeMap<String, u64>,
}

impl Default for Counters {
    fn default() -> Counters {
        Counters {
            counts: [0; NAMES.len()],
            ends: BTreeMap::new(),
            operations: BTreeMap::new(),
            messages: BTreeMap::new(),
        }
    }
}

impl Counters {
    pub fn get(&self, counter: Counter) -> u64 {
        self.counts.get(counter as usize).copied().unwrap_or(0)
    }

    /// Every counter under its name.
    pub fn iter(&self) -> impl Iterator<Item = (String, u64)> + '_ {
        let plain = ALL.iter().zip(NAMES).map(|(counter, name)| ((*name).to_owned(), self.get(*counter)));
        plain.chain(self.ends.iter().filter_map(|(key, count)| Some((end_name(*key)?, *count))))
    }

    pub(crate) fn add(&mut self, counter: Counter) {
        if let Some(count) = self.counts.get_mut(counter as usize) {
            *count += 1;
        }
    }

    /// Counts an operation's arrival in a state that it does not leave.
    pub(crate) fn add_operation(&mut self, kind: operation::Type, state: OperationState) {
        *self.operations.entry((kind.into(), state.into())).or_default() += 1;
    }

    pub(crate) fn operations(&self, kind: operation::Type, state: OperationState) -> u64 {
        self.operations.get(&(kind.into(), state.into())).copied().unwrap_or(0)
    }

    pub(crate) fn add_message(&mut self, principal: &str) {
        match self.messages.get_mut(principal) {
            Some(count) => *count += 1,
            None => drop(self.messages.insert(principal.to_owned(), 1)),
        }
    }

    pub(crate) fn messages(&self, principal: &str) -> u64 {
        self.messages.get(principal).copied().unwrap_or(0)
    }

    /// No framework is left that has this principal.
    pub(crate) fn forget_messages(&mut self, principal: &str) {
        self.messages.remove(principal);
    }

    /// Counts the end of a task; states that are no end are not counted.
    pub(crate) fn add_end(&mut self, state: TaskState, source: Source, reason: Option<Reason>) {
        let counter = match state {
            TaskState::TaskFinished => Counter::TasksFinished,
            TaskState::TaskFailed => Counter::TasksFailed,
            TaskState::TaskKilled => Counter::TasksKilled,
            TaskState::TaskLost => Counter::TasksLost,
            TaskState::TaskError => Counter::TasksError,
            TaskState::TaskDropped => Counter::TasksDropped,
            TaskState::TaskGone => Counter::TasksGone,
            TaskState::TaskGoneByOperator => Counter::TasksGoneByOperator,
            TaskState::TaskStaging
            | TaskState::TaskStarting
            | TaskState::TaskRunning
            | TaskState::TaskKilling
            | TaskState::TaskUnreachable
            | TaskState::TaskUnknown => return,
        };
        self.add(counter);
        if let Some(reason) = reason {
            *self.ends.entry((state as i32, source as i32, reason as i32)).or_default() += 1;
        }
    }
}

/// `master/task_lost/source_slave/reason_slave_removed`: metrics keep the words of v0.
fn end_name((state, source, reason): (i32, i32, i32)) -> Option<String> {
    let state = TaskState::try_from(state).ok()?.as_str_name().to_ascii_lowercase();
    let source = Source::try_from(source).ok()?.as_str_name().to_ascii_lowercase().replace("agent", "slave");
    let reason = Reason::try_from(reason).ok()?.as_str_name().to_ascii_lowercase().replace("agent", "slave");
    Some(format!("master/{state}/{source}/{reason}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_of_tasks_are_counted_by_cause_in_the_words_of_v0() {
        let mut counters = Counters::default();
        counters.add_end(TaskState::TaskLost, Source::Master, Some(Reason::AgentRemoved));
        counters.add_end(TaskState::TaskRunning, Source::Executor, None);
        let all: BTreeMap<String, u64> = counters.iter().collect();
        assert_eq!(all["master/tasks_lost"], 1);
        assert_eq!(all["master/task_lost/source_master/reason_slave_removed"], 1);
        assert!(!all.keys().any(|name| name.starts_with("master/task_running")));
    }

    #[test]
    fn every_name_is_there_once() {
        let names: std::collections::BTreeSet<_> = NAMES.iter().collect();
        assert_eq!(names.len(), NAMES.len());
    }
}
