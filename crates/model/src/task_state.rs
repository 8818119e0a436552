//! The states of a task: which are final, which may follow which, and which of a task's two states is meant.

use proto::{
    internal,
    v1::{self, TaskState},
};

/// Every state, for tests and tables.
pub const ALL: [TaskState; 14] = [
    TaskState::TaskStaging,
    TaskState::TaskStarting,
    TaskState::TaskRunning,
    TaskState::TaskKilling,
    TaskState::TaskFinished,
    TaskState::TaskFailed,
    TaskState::TaskKilled,
    TaskState::TaskError,
    TaskState::TaskLost,
    TaskState::TaskDropped,
    TaskState::TaskUnreachable,
    TaskState::TaskGone,
    TaskState::TaskGoneByOperator,
    TaskState::TaskUnknown,
];

/// Whether a task in this state holds no resources and sends no further states. UNREACHABLE and UNKNOWN are not
/// terminal: such a task may come back.
pub fn is_terminal(state: TaskState) -> bool {
    match state {
        TaskState::TaskFinished
        | TaskState::TaskFailed
        | TaskState::TaskKilled
        | TaskState::TaskError
        | TaskState::TaskLost
        | TaskState::TaskDropped
        | TaskState::TaskGone
        | TaskState::TaskGoneByOperator => true,
        TaskState::TaskStaging
        | TaskState::TaskStarting
        | TaskState::TaskRunning
        | TaskState::TaskKilling
        | TaskState::TaskUnreachable
        | TaskState::TaskUnknown => false,
    }
}

/// Why a state may not follow another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransitionError {
    #[error("the task has ended as {}", .0.as_str_name())]
    Ended(TaskState),
    #[error("a launched task does not return to TASK_STAGING")]
    Staging,
    #[error("TASK_UNKNOWN is an answer about a task, not a state of one")]
    Unknown,
}

/// Whether a known task may go from one state to another. Repeating a live state is legal (health checks do), and so is
/// going back to an earlier live one: executors are free there.
pub fn check_transition(from: TaskState, to: TaskState) -> Result<(), TransitionError> {
    if is_terminal(from) {
        return Err(TransitionError::Ended(from));
    }
    match to {
        TaskState::TaskStaging => Err(TransitionError::Staging),
        TaskState::TaskUnknown => Err(TransitionError::Unknown),
        _ => Ok(()),
    }
}

/// How a framework that does not know partitions sees a state.
pub fn as_seen_by(state: TaskState, partition_aware: bool) -> TaskState {
    match state {
        TaskState::TaskDropped
        | TaskState::TaskUnreachable
        | TaskState::TaskGone
        | TaskState::TaskGoneByOperator
        | TaskState::TaskUnknown
            if !partition_aware =>
        {
            TaskState::TaskLost
        }
        other => other,
    }
}

/// The newest state that an update tells of, which may be ahead of the one it reports. It drives the accounting.
pub fn latest_of(update: &internal::StatusUpdate) -> TaskState {
    update.latest_state.and_then(|state| TaskState::try_from(state).ok()).unwrap_or_else(|| update.status.state())
}

/// The state that the framework was last told: what reconciliation answers with.
pub fn forwarded_of(task: &v1::Task) -> TaskState {
    task.status_update_state.and_then(|state| TaskState::try_from(state).ok()).unwrap_or_else(|| task.state())
}

#[cfg(test)]
mod tests {
    use super::*;
    use TaskState::*;

    const TERMINAL: [TaskState; 8] =
        [TaskFinished, TaskFailed, TaskKilled, TaskError, TaskLost, TaskDropped, TaskGone, TaskGoneByOperator];

    #[test]
    fn every_transition() {
        for from in ALL {
            assert_eq!(is_terminal(from), TERMINAL.contains(&from));
            for to in ALL {
                let expected = if TERMINAL.contains(&from) {
                    Err(TransitionError::Ended(from))
                } else if to == TaskStaging {
                    Err(TransitionError::Staging)
                } else if to == TaskUnknown {
                    Err(TransitionError::Unknown)
                } else {
                    Ok(())
                };
                assert_eq!(check_transition(from, to), expected, "{from:?} -> {to:?}");
            }
        }
    }

    #[test]
    fn partitions_look_like_loss_to_who_does_not_know_them() {
        for state in ALL {
            assert_eq!(as_seen_by(state, true), state);
            let hidden = [TaskDropped, TaskUnreachable, TaskGone, TaskGoneByOperator, TaskUnknown].contains(&state);
            assert_eq!(as_seen_by(state, false), if hidden { TaskLost } else { state });
        }
    }

    #[test]
    fn the_latest_state_wins_over_the_reported_one() {
        let mut update = internal::StatusUpdate::default();
        update.status.set_state(TaskRunning);
        assert_eq!(latest_of(&update), TaskRunning);
        update.set_latest_state(TaskFinished);
        assert_eq!(latest_of(&update), TaskFinished);

        let mut task = v1::Task::default();
        task.set_state(TaskFinished);
        assert_eq!(forwarded_of(&task), TaskFinished);
        task.set_status_update_state(TaskRunning);
        assert_eq!(forwarded_of(&task), TaskRunning);
    }
}
