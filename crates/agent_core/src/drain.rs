//! Draining: the master empties this agent. Every task is killed within a bounded time, no new one starts.

use crate::{
    agent::Agent,
    effect::Effects,
    recovery::{Record, record},
    state::{Drain, DrainWait, Executor, TaskPhase},
    timers::Timer,
};
use model::{ExecutorId, FrameworkId, TaskId};
use proto::v1::{self, TaskState, task_status::Reason};
use std::{collections::BTreeMap, time::Duration};
use stdx::WallTime;

impl Agent {
    pub(crate) fn on_drain(&mut self, config: v1::DrainConfig, out: &mut Effects) {
        let drain = Drain { config, since: self.wall };
        if self.is_empty() || self.state.drain.as_ref().is_some_and(|known| known.config == drain.config) {
            return;
        }
        tracing::info!("draining");
        let record = record::DrainRecord { config: Some(drain.config), since: drain.since.0 };
        self.record(Record::Drain(record), out);
        self.state.drain = Some(drain);
        self.kill_for_drain(out);
    }

    /// Kills every task, granting each at most the drain's grace period.
    pub(crate) fn kill_for_drain(&mut self, out: &mut Effects) {
        let Some(bound) = self.state.drain.as_ref().map(|drain| drain.config.max_grace_period) else { return };
        let mut kills: Vec<(FrameworkId, ExecutorId, TaskId, Option<v1::KillPolicy>)> = Vec::new();
        for row in self.state.executors() {
            for (id, task) in row.tasks.iter().filter(|(_, task)| task.phase != TaskPhase::Ended) {
                let own = task.row.kill_policy.as_ref().and_then(|policy| policy.grace_period);
                let policy = shorter(own, bound);
                kills.push((row.framework.clone(), row.id.clone(), id.clone(), policy));
            }
        }
        for (framework, executor, task, policy) in kills {
            self.kill_task(&framework, &executor, &task, policy, out);
        }
    }

    /// Ends the draining once nothing is left to end or to tell. That is when the master sees it too: whatever it then
    /// sends is new, and must not be refused because an executor without tasks takes its time to leave.
    pub(crate) fn settle_drain(&mut self, out: &mut Effects) {
        if self.state.drain.is_some() && self.is_empty() && !self.exited {
            tracing::info!("drained");
            self.state.drain = None;
            self.record(Record::Drain(record::DrainRecord::default()), out);
        }
        self.note_drain_waits();
    }

    /// For people who wonder why a drain does not end: once nothing runs any more, it waits for frameworks to say that
    /// they have heard of it, however long that takes them.
    fn note_drain_waits(&mut self) {
        let works = |row: &std::sync::Arc<Executor>| row.tasks.values().any(|task| task.phase != TaskPhase::Ended);
        let mut waits = Vec::new();
        if self.state.drain.is_some() && !self.state.executors().any(works) {
            let again = self.told_again();
            for ((framework, task), stream) in &self.streams {
                let Some(update) = stream.open().next().map(|open| &open.update) else { continue };
                waits.push(DrainWait {
                    framework: framework.clone(),
                    task: task.clone(),
                    state: update.status.state(),
                    told_again: again.get(&(framework, task)).copied(),
                });
            }
        }
        if waits.is_empty() && self.state.drain_waits.is_empty() {
            return;
        }
        if self.state.drain_waits.is_empty() {
            let count = waits.len();
            tracing::info!("the drain waits for frameworks to acknowledge updates of {count} task(s)");
        }
        self.state.drain_waits = waits.into();
    }

    /// When updates are told again, by task.
    fn told_again(&self) -> BTreeMap<(&FrameworkId, &TaskId), WallTime> {
        let retries = self.timers.iter().filter_map(|(at, timer)| match timer {
            Timer::UpdateRetry { framework, task } => Some(((framework, task), at.since(self.now))),
            _ => None,
        });
        let wall = |wait: Duration| self.wall.0.saturating_add(i64::try_from(wait.as_nanos()).unwrap_or(i64::MAX));
        retries.map(|(task, wait)| (task, WallTime(wall(wait)))).collect()
    }

    /// Whether every task's and operation's end is acknowledged.
    pub(crate) fn is_empty(&self) -> bool {
        self.streams.is_empty() && self.state.operations.is_empty()
    }

    /// Tells frameworks why their tasks are killed on a draining agent.
    pub(crate) fn mark_draining(&self, framework: &FrameworkId, status: &mut v1::TaskStatus) {
        let Some(drain) = &self.state.drain else { return };
        match status.state() {
            TaskState::TaskKilling => status.set_reason(Reason::AgentDraining),
            TaskState::TaskKilled => {
                status.set_reason(Reason::AgentDraining);
                if drain.config.mark_gone()
                    && self.state.frameworks.get(framework).is_some_and(|row| row.is_partition_aware())
                {
                    status.set_state(TaskState::TaskGoneByOperator);
                }
            }
            // The others say themselves what happened.
            _ => {}
        }
    }
}

fn shorter(own: Option<v1::DurationInfo>, bound: Option<v1::DurationInfo>) -> Option<v1::KillPolicy> {
    let grace = match (own, bound) {
        (Some(own), Some(bound)) => own.nanoseconds.min(bound.nanoseconds),
        (None, Some(bound)) => bound.nanoseconds,
        (_, None) => return None,
    };
    Some(v1::KillPolicy { grace_period: Some(v1::DurationInfo { nanoseconds: grace }) })
}
