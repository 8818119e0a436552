//! How much frameworks may burden a master with, in bytes. What is too heavy is refused by name; what has ended keeps
//! no more than a reader of the history needs. What only passes by (`TaskInfo.data`, messages) does not count: the size
//! of a message bounds it.

use std::sync::Arc;

use proto::{
    v1::{self, scheduler::OfferConstraints},
    wire,
};

use crate::{
    Config,
    state::{Framework, Task},
};

/// What an ended task or framework, or one of a task's statuses, may weigh before it is stripped.
const KEPT_MAX: usize = 16 << 10;
/// Of a heavy status, as much of the message is kept.
const TEXT_MAX: usize = 4 << 10;
/// Of a task, as many statuses are kept.
const STATUSES_MAX: usize = 64;

pub(crate) fn check_framework(
    config: &Config,
    info: &v1::FrameworkInfo,
    constraints: Option<&OfferConstraints>,
) -> Result<(), String> {
    let bytes = wire::len(info) + constraints.map_or(0, wire::len);
    check("The framework's description", bytes, config.framework_bytes_max, "max_framework_bytes")
}

/// A task with its executor, without its data.
pub(crate) fn check_task(config: &Config, info: &v1::TaskInfo) -> Result<(), String> {
    let bytes = wire::len(info) - info.data.as_ref().map_or(0, |data| data.len());
    check("The task's description", bytes, config.task_bytes_max, "max_task_bytes")
}

pub(crate) fn check_executor(config: &Config, info: &v1::ExecutorInfo) -> Result<(), String> {
    check("The executor's description", wire::len(info), config.task_bytes_max, "max_task_bytes")
}

fn check(what: &str, bytes: usize, max: usize, flag: &str) -> Result<(), String> {
    match bytes > max {
        true => Err(format!("{what} takes {bytes} bytes; at most {max} are allowed (--{flag} of the master)")),
        false => Ok(()),
    }
}

/// A status as a task's row keeps it.
pub(crate) fn kept_status(status: &v1::TaskStatus) -> v1::TaskStatus {
    if wire::len(status) - status.data.as_ref().map_or(0, |data| data.len()) <= KEPT_MAX {
        return v1::TaskStatus { data: None, ..status.clone() };
    }
    let message = status.message.as_deref().map(|text| {
        let end = (0..=TEXT_MAX.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.get(..end).unwrap_or_default().to_owned()
    });
    v1::TaskStatus {
        task_id: status.task_id.clone(),
        state: status.state,
        message,
        source: status.source,
        reason: status.reason,
        agent_id: status.agent_id.clone(),
        executor_id: status.executor_id.clone(),
        timestamp: status.timestamp,
        uuid: status.uuid.clone(),
        healthy: status.healthy,
        unreachable_time: status.unreachable_time,
        ..Default::default()
    }
}

/// Keeps the latest statuses of a task, and the first.
pub(crate) fn bound_statuses(statuses: &mut Vec<v1::TaskStatus>) {
    if statuses.len() > STATUSES_MAX {
        statuses.drain(1..=statuses.len() - STATUSES_MAX);
    }
}

impl Framework {
    /// Takes an ended task into the history.
    pub(crate) fn remember(&mut self, mut task: Arc<Task>, cap: usize) {
        if wire::len(&task.proto) > KEPT_MAX {
            let proto = &mut Arc::make_mut(&mut task).proto;
            proto.labels = None;
            proto.discovery = None;
            proto.container = None;
            proto.health_check = None;
            proto.statuses.iter_mut().for_each(|status| *status = kept_status(status));
        }
        self.completed_tasks.push(task, cap);
    }

    /// The framework has ended.
    pub(crate) fn lighten(&mut self) {
        self.offer_constraints = None;
        if wire::len(&*self.info) > KEPT_MAX {
            let info = Arc::make_mut(&mut self.info);
            info.labels = None;
            info.offer_filters.clear();
            info.webui_url = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heavy_labels(bytes: usize) -> Option<v1::Labels> {
        let label = v1::Label { key: "k".into(), value: Some("x".repeat(bytes)) };
        Some(v1::Labels { labels: vec![label] })
    }

    #[test]
    fn what_is_too_heavy_is_refused_with_both_figures() {
        let config = Config::default();
        let info = v1::FrameworkInfo { labels: heavy_labels(30 << 20), ..Default::default() };
        let why = check_framework(&config, &info, None).expect_err("too heavy");
        assert!(why.contains("at most 262144 are allowed (--max_framework_bytes of the master)"), "{why}");
        let task = v1::TaskInfo { labels: heavy_labels(1 << 20), ..Default::default() };
        assert!(check_task(&config, &task).expect_err("too heavy").contains("--max_task_bytes"));
        let executor = v1::ExecutorInfo { data: Some(vec![0; 1 << 20].into()), ..Default::default() };
        assert!(check_executor(&config, &executor).is_err());
        let passing = v1::TaskInfo { data: Some(vec![0; 8 << 20].into()), ..Default::default() };
        assert_eq!(check_task(&config, &passing), Ok(()), "data is for the executor");
    }

    #[test]
    fn a_heavy_status_keeps_what_happened_and_the_beginning_of_its_message() {
        let status = v1::TaskStatus {
            state: v1::TaskState::TaskFailed.into(),
            message: Some("ü".repeat(1 << 20)),
            labels: heavy_labels(1 << 20),
            data: Some(vec![0; 1 << 20].into()),
            ..Default::default()
        };
        let kept = kept_status(&status);
        assert_eq!(kept.state(), v1::TaskState::TaskFailed);
        assert!(wire::len(&kept) < KEPT_MAX && kept.message.is_some_and(|text| text.starts_with("üü")));
        let light = v1::TaskStatus { message: Some("m".into()), labels: heavy_labels(10), ..Default::default() };
        assert_eq!(kept_status(&light), light);
    }

    #[test]
    fn statuses_are_bounded_in_number() {
        let mut statuses: Vec<v1::TaskStatus> =
            (0..200).map(|n| v1::TaskStatus { timestamp: Some(f64::from(n)), ..Default::default() }).collect();
        bound_statuses(&mut statuses);
        let (first, last) = (statuses[0].timestamp, statuses.last().and_then(|status| status.timestamp));
        assert_eq!((statuses.len(), first, last), (STATUSES_MAX, Some(0.0), Some(199.0)));
    }
}
