//! The states of a task: which are final, and which may follow which.

use proto::v1::TaskState;

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
}
