//! What the agent has not acknowledged yet: tasks and updates, as a SUBSCRIBE after a restart must list them. Pure.

use bytes::Bytes;
use proto::v1::{self, executor::call};

/// Unacknowledged tasks and updates, in the order they came up.
#[derive(Debug, Default)]
pub struct Outbox {
    tasks: Vec<v1::TaskInfo>,
    updates: Vec<call::Update>,
}

impl Outbox {
    /// Remembers a task until its first update is acknowledged.
    pub fn add_task(&mut self, task: v1::TaskInfo) {
        self.tasks.push(task);
    }

    pub fn add_update(&mut self, update: call::Update) -> Option<&call::Update> {
        self.updates.push(update);
        self.updates.last()
    }

    /// Takes an acknowledgement in; true if nothing is left of that task.
    pub fn acknowledge(&mut self, task: &v1::TaskId, uuid: &Bytes) -> bool {
        self.tasks.retain(|known| known.task_id != *task);
        self.updates.retain(|update| update.status.task_id != *task || update.status.uuid.as_ref() != Some(uuid));
        !self.updates.iter().any(|update| update.status.task_id == *task)
    }

    pub fn updates(&self) -> &[call::Update] {
        &self.updates
    }

    /// What a SUBSCRIBE lists.
    pub fn subscribe(&self) -> call::Subscribe {
        call::Subscribe { unacknowledged_tasks: self.tasks.clone(), unacknowledged_updates: self.updates.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn update(task: &str, uuid: &'static [u8]) -> call::Update {
        call::Update {
            status: v1::TaskStatus {
                task_id: v1::TaskId { value: task.into() },
                uuid: Some(Bytes::from_static(uuid)),
                ..Default::default()
            },
        }
    }

    #[test]
    fn an_acknowledgement_removes_its_update_and_the_task() {
        let mut outbox = Outbox::default();
        let task = v1::TaskId { value: "a".into() };
        outbox.add_task(v1::TaskInfo { task_id: task.clone(), ..Default::default() });
        outbox.add_update(update("a", b"1"));
        outbox.add_update(update("b", b"1"));
        outbox.add_update(update("a", b"2"));
        assert!(!outbox.acknowledge(&task, &Bytes::from_static(b"1")));
        assert!(outbox.subscribe().unacknowledged_tasks.is_empty());
        assert!(!outbox.acknowledge(&task, &Bytes::from_static(b"unknown")));
        assert!(outbox.acknowledge(&task, &Bytes::from_static(b"2")));
        assert_eq!(outbox.updates(), [update("b", b"1")]);
    }
}
