//! Every decision of an agent, as a pure state machine: knows frameworks, executors, tasks, status updates, containers'
//! lives and the master's link. Does not know sockets, files, processes, clocks or threads: it is handed an `Input` and
//! answers with `Effects`.
//!
//! Start at `agent` (the steps), then `event` and `effect` (its face). `link` talks to the master, `launch` starts
//! executors and tasks, `executor_calls` answers executors, `updates` delivers status updates reliably, `operator`
//! answers container calls, `recovery` is what survives a crash, `recording` turns inputs into bytes, `end` how
//! executors and frameworks end.

#![forbid(unsafe_code)]

mod agent;
mod config;
mod container_id;
mod effect;
mod event;
mod listener;
mod pending;
mod state;
mod termination;
mod timers;

mod drain;
mod end;
mod executor_calls;
mod gc;
mod invariants;
mod launch;
mod link;
mod metrics;
mod operations;
mod operator;
pub mod recording;
mod recovery;
mod rights;
mod updates;

pub use agent::Agent;
pub use config::{Config, ReconfigurationPolicy, Recover};
pub use container_id::ContainerId;
pub use effect::{Effect, Effects, Reply};
pub use event::{Caller, Event, Found, Input, LaunchFailure, Launched, Life, Proof, Termination};
pub use launch::spec::{Class, ExecutorKind, LaunchSpec, Limits, Output, Program, VolumeLink};
pub use recovery::{Record, RecordError, RecoveredState, replay};
pub use state::{
    Container, ContainerLife, DrainWait, Executor, ExecutorPhase, Framework, FrameworkPhase, Metrics, Operation, Phase,
    State, Task, TaskPhase,
};
pub use stdx::{ConnectionId, RequestId, Ticket};
