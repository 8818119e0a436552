//! The figures of `slave/*`: counters as they were counted, gauges computed from the tables. Those that need the clock
//! or the machine are the program's.

use crate::state::{ExecutorPhase, FrameworkPhase, Metrics, Phase, State, TaskPhase};
use proto::v1::{self, TaskState};

impl Metrics {
    pub(crate) fn count_end(&mut self, state: TaskState) {
        match state {
            TaskState::TaskFinished => self.tasks_finished += 1,
            TaskState::TaskKilled => self.tasks_killed += 1,
            TaskState::TaskLost | TaskState::TaskDropped => self.tasks_lost += 1,
            TaskState::TaskGone | TaskState::TaskGoneByOperator => self.tasks_gone += 1,
            _ => self.tasks_failed += 1,
        }
    }
}

impl State {
    /// Every metric by its name, in no particular order.
    pub fn metrics(&self) -> Vec<(String, f64)> {
        let m = &self.metrics;
        let mut all: Vec<(String, f64)> = Vec::with_capacity(64);
        let mut put = |name: &str, value: f64| all.push((format!("slave/{name}"), value));
        put("registered", f64::from(u8::from(self.phase == Phase::Running)));
        put("recovery_errors", m.recovery_errors as f64);
        put("executor_directory_max_allowed_age_secs", m.executor_directory_max_allowed_age_secs as f64);
        put("container_launch_errors", m.container_launch_errors as f64);
        put("valid_status_updates", m.valid_status_updates as f64);
        put("invalid_status_updates", m.invalid_status_updates as f64);
        put("valid_framework_messages", m.valid_framework_messages as f64);
        put("invalid_framework_messages", m.invalid_framework_messages as f64);
        put("tasks_finished", m.tasks_finished as f64);
        put("tasks_failed", m.tasks_failed as f64);
        put("tasks_killed", m.tasks_killed as f64);
        put("tasks_lost", m.tasks_lost as f64);
        put("tasks_gone", m.tasks_gone as f64);
        put("executors_terminated", m.executors_terminated as f64);
        put("executors_preempted", 0.0);
        let active = self.frameworks.values().filter(|row| row.phase == FrameworkPhase::Active).count();
        put("frameworks_active", active as f64);

        let mut executors = [0u32; 3];
        let mut tasks = [0u32; 4];
        let mut used = Scalars::default();
        for row in self.executors() {
            match row.phase {
                ExecutorPhase::Registering => executors[0] += 1,
                ExecutorPhase::Running => executors[1] += 1,
                ExecutorPhase::Terminating => executors[2] += 1,
                ExecutorPhase::Terminated => {}
            }
            if row.is_known_to_master() && row.phase != ExecutorPhase::Terminated {
                used.add(&row.info.resources);
            }
            for task in row.tasks.values().filter(|task| task.phase != TaskPhase::Ended) {
                used.add(&task.row.resources);
                match task.row.state() {
                    TaskState::TaskStaging => tasks[0] += 1,
                    TaskState::TaskStarting => tasks[1] += 1,
                    TaskState::TaskKilling => tasks[3] += 1,
                    _ => tasks[2] += 1,
                }
            }
        }
        for (name, value) in ["registering", "running", "terminating"].iter().zip(executors) {
            put(&format!("executors_{name}"), f64::from(value));
        }
        for (name, value) in ["staging", "starting", "running", "killing"].iter().zip(tasks) {
            put(&format!("tasks_{name}"), f64::from(value));
        }
        let mut total = Scalars::default();
        total.add(&self.info.resources);
        for (index, name) in NAMES.iter().enumerate() {
            for (suffix, total, used) in [
                ("", total.firm[index], used.firm[index]),
                ("_revocable", total.revocable[index], used.revocable[index]),
            ] {
                put(&format!("{name}{suffix}_total"), total);
                put(&format!("{name}{suffix}_used"), used);
                put(&format!("{name}{suffix}_percent"), if total > 0.0 { used / total } else { 0.0 });
            }
        }
        all
    }
}

const NAMES: [&str; 4] = ["cpus", "mem", "disk", "gpus"];

#[derive(Default)]
struct Scalars {
    firm: [f64; 4],
    revocable: [f64; 4],
}

impl Scalars {
    fn add(&mut self, resources: &[v1::Resource]) {
        for resource in resources {
            let (Some(scalar), Some(index)) = (&resource.scalar, NAMES.iter().position(|name| *name == resource.name))
            else {
                continue;
            };
            let side = if resource.revocable.is_some() { &mut self.revocable } else { &mut self.firm };
            side[index] += scalar.value;
        }
    }
}
