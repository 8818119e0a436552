//! What the agent wants to be woken for; `stdx` keeps the order. What happens at a deadline: the file of the thing that
//! armed it.

use crate::container_id::ContainerId;
use bytes::Bytes;
use model::{FrameworkId, TaskId};
pub use stdx::timers::TimerKey;

/// Why the agent wants to be woken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Timer {
    Register,
    Authenticate,
    PingTimeout,
    UpdateRetry { framework: FrameworkId, task: TaskId },
    OperationRetry { operation: Bytes },
    ExecutorRegistration { container: ContainerId },
    ExecutorReregistration,
    ShutdownGrace { container: ContainerId },
    ExecutorHeartbeat,
    DiskWatch,
}

impl Timer {
    pub fn name(&self) -> &'static str {
        match self {
            Timer::Register => "register with the master",
            Timer::Authenticate => "authenticate with the master",
            Timer::PingTimeout => "ping timeout",
            Timer::UpdateRetry { .. } => "resend a status update",
            Timer::OperationRetry { .. } => "resend an operation's status",
            Timer::ExecutorRegistration { .. } => "executor registration timeout",
            Timer::ExecutorReregistration => "executor reregistration timeout",
            Timer::ShutdownGrace { .. } => "executor shutdown grace period",
            Timer::ExecutorHeartbeat => "executor heartbeat",
            Timer::DiskWatch => "disk watch",
        }
    }
}

pub type Timers = stdx::timers::Timers<Timer>;

/// Takes a timer back, if there is one; one that has fired is no error.
pub fn cancel(timers: &mut Timers, key: Option<TimerKey>) {
    if let Some(key) = key {
        timers.cancel(key);
    }
}
