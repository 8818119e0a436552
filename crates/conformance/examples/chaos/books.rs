//! What a framework of the chaos run launched and what became of it. Each task leaves a trace when it runs, so that its
//! final state can be held against what happened.

use std::{collections::BTreeMap, path::PathBuf};

use proto::v1::{self, TaskState};

pub struct Books {
    traces: PathBuf,
    tasks: BTreeMap<String, Task>,
    /// The framework's, once it has one; it keeps it for good.
    id: String,
    pub problems: Vec<String>,
}

struct Task {
    agent: v1::AgentId,
    end: Option<TaskState>,
}

pub struct Report {
    pub ended: usize,
    pub problems: Vec<String>,
}

impl Books {
    pub fn new(traces: PathBuf) -> Books {
        Books { traces, tasks: BTreeMap::new(), id: String::new(), problems: Vec::new() }
    }

    pub fn launched(&self) -> u64 {
        self.tasks.len() as u64
    }

    pub fn id(&self) -> &str {
        &self.id
    }

    /// The framework is registered, not necessarily for the first time.
    pub fn on_registered(&mut self, id: &str) {
        if id.is_empty() || (!self.id.is_empty() && self.id != id) {
            self.problems.push(format!("{} is registered as '{id}'", self.id));
        }
        self.id = id.to_owned();
    }

    /// What a task shall do.
    pub fn command(&self, id: &str) -> String {
        format!("echo ran >> {}; sleep 0.2", self.traces.join(id).display())
    }

    pub fn on_launch(&mut self, id: String, agent: v1::AgentId) {
        self.tasks.insert(id, Task { agent, end: None });
    }

    /// Tasks that did not end, and where they are.
    pub fn open(&self) -> impl Iterator<Item = (&String, &v1::AgentId)> {
        self.tasks.iter().filter(|(_, task)| task.end.is_none()).map(|(id, task)| (id, &task.agent))
    }

    /// `told` if an executor or agent said so, and not a master that was asked.
    pub fn on_state(&mut self, id: &str, state: TaskState, told: bool, why: &str) {
        let Some(task) = self.tasks.get_mut(id) else { return };
        let ends = matches!(
            state,
            TaskState::TaskFinished
                | TaskState::TaskFailed
                | TaskState::TaskKilled
                | TaskState::TaskLost
                | TaskState::TaskError
                | TaskState::TaskDropped
                | TaskState::TaskGone
        );
        match task.end {
            None if ends => task.end = Some(state),
            // What a master does not know any more it calls gone when asked.
            Some(former) if ends && former != state && told => {
                self.problems.push(format!("{id} ended as {former:?} and then as {state:?} ({why})"));
            }
            None | Some(_) => {}
        }
    }

    /// A finished task ran once; one that ran did not end as one that never started.
    pub fn close(mut self) -> Report {
        for (id, task) in &self.tasks {
            let trace = std::fs::read_to_string(self.traces.join(id)).unwrap_or_default();
            let ran = trace.lines().count();
            let wrong = match task.end {
                Some(TaskState::TaskFinished) => ran != 1,
                Some(TaskState::TaskDropped | TaskState::TaskError) => ran != 0,
                Some(_) => ran > 1,
                None => true,
            };
            if wrong {
                self.problems.push(format!("{id} ended as {:?} and ran {ran} times", task.end));
            }
        }
        Report { ended: self.tasks.values().filter(|task| task.end.is_some()).count(), problems: self.problems }
    }
}
