//! From the last status of a task to an exit code, as shells count them. The only place that reads the texts in which
//! executors tell how a command ended.

use proto::v1::{TaskState, TaskStatus, task_status::Reason};

/// The command line makes no sense.
pub const USAGE: u8 = 2;
/// Meseta itself failed: no master, a refused task, a file that cannot be read.
pub const MESETA_FAILED: u8 = 125;
/// One of several tasks failed, or a task in a way that has no code.
pub const FAILED: u8 = 1;
const SIGNAL_BASE: u8 = 128;
const SIGKILL: u8 = 9;

/// The names that executors give signals, which are the C library's.
const SIGNALS: [(&str, u8); 23] = [
    ("Hangup", 1),
    ("Interrupt", 2),
    ("Quit", 3),
    ("Illegal instruction", 4),
    ("Trace/breakpoint trap", 5),
    ("Aborted", 6),
    ("Bus error", 7),
    ("Floating point exception", 8),
    ("Killed", SIGKILL),
    ("User defined signal 1", 10),
    ("Segmentation fault", 11),
    ("User defined signal 2", 12),
    ("Broken pipe", 13),
    ("Alarm clock", 14),
    ("Terminated", 15),
    ("Stack fault", 16),
    ("Stopped (signal)", 19),
    ("CPU time limit exceeded", 24),
    ("File size limit exceeded", 25),
    ("Virtual timer expired", 26),
    ("I/O possible", 29),
    ("Power failure", 30),
    ("Bad system call", 31),
];

/// The exit code that stands for a task's end.
pub fn code(status: &TaskStatus) -> u8 {
    if status.state() == TaskState::TaskFinished {
        return 0;
    }
    let told = status.message.as_deref().and_then(code_in);
    match told {
        // A command that ends well although its task failed, say because it was killed, is no success.
        Some(0) => FAILED,
        Some(code) => code,
        None if is_memory_limit(status) => SIGNAL_BASE + SIGKILL,
        None => FAILED,
    }
}

/// Whether the command itself ended, and the exit code says how.
pub fn is_told(status: &TaskStatus) -> bool {
    status.message.as_deref().and_then(code_in).is_some_and(|code| code == self::code(status))
}

/// The code of several ends together.
pub fn code_of_all<'a>(statuses: impl ExactSizeIterator<Item = &'a TaskStatus>) -> u8 {
    let several = statuses.len() > 1;
    let worst = statuses.map(code).max().unwrap_or(0);
    if several && worst > 0 { FAILED } else { worst }
}

fn is_memory_limit(status: &TaskStatus) -> bool {
    status.reason == Some(Reason::ContainerLimitationMemory as i32)
}

/// "Command exited with status 3", "Command terminated with signal Killed: …" → 3, 137.
fn code_in(message: &str) -> Option<u8> {
    if let Some((_, rest)) = message.split_once("exited with status ") {
        let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
        return digits.parse().ok();
    }
    let (_, rest) = message.split_once("terminated with signal ")?;
    let (_, signal) = SIGNALS.iter().find(|(name, _)| rest.starts_with(name))?;
    Some(SIGNAL_BASE + signal)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(state: TaskState, message: &str) -> TaskStatus {
        TaskStatus { state: state as i32, message: Some(message.to_owned()), ..Default::default() }
    }

    #[test]
    fn a_task_that_ends_gives_its_own_code() {
        for (state, message, expected) in [
            (TaskState::TaskFinished, "Command exited with status 0", 0),
            (TaskState::TaskFailed, "Command exited with status 3", 3),
            (TaskState::TaskFailed, "Command exited with status 255", 255),
            (TaskState::TaskFailed, "Command exited with status 1: disk full", 1),
            (TaskState::TaskFailed, "Command terminated with signal Killed", 137),
            (TaskState::TaskFailed, "Command terminated with signal Segmentation fault (core dumped)", 139),
            (TaskState::TaskKilled, "Command terminated with signal Terminated", 143),
            (TaskState::TaskKilled, "Command exited with status 0", 1),
            (TaskState::TaskFailed, "Command exited with status 300", 1),
            (TaskState::TaskFailed, "no such user", 1),
            (TaskState::TaskError, "", 1),
            (TaskState::TaskGone, "", 1),
        ] {
            assert_eq!(code(&ended(state, message)), expected, "{message}");
        }
    }

    #[test]
    fn a_task_over_its_memory_counts_as_killed() {
        let reason = Some(Reason::ContainerLimitationMemory as i32);
        let status = TaskStatus { reason, ..ended(TaskState::TaskFailed, "Memory limit exceeded") };
        assert_eq!(code(&status), 137);
    }

    #[test]
    fn one_task_gives_its_code_and_several_one() {
        let (good, bad) = (
            ended(TaskState::TaskFinished, "Command exited with status 0"),
            ended(TaskState::TaskFailed, "Command exited with status 7"),
        );
        assert_eq!(code_of_all([&bad].into_iter()), 7);
        assert_eq!(code_of_all([&good, &good].into_iter()), 0);
        assert_eq!(code_of_all([&good, &bad].into_iter()), 1);
    }
}
