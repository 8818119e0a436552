//! How much frameworks may burden a master with, in bytes. What is too heavy is refused by name; what has ended keeps
//! no more than a reader of the history needs. What only passes by (`TaskInfo.data`, messages) does not count: the size
//! of a message bounds it.

use std::sync::Arc;

use proto::{
    v1::{self, scheduler::OfferConstraints},
    wire,
};
use resources::Resources;

use crate::{
    Config,
    state::{Framework, Task},
};

/// What an ended task or framework may weigh before it is stripped, as each of a task's statuses
/// (`model::history`).
const KEPT_MAX: usize = model::history::STATUS_BYTES_MAX;

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

/// All that is reserved on an agent, once `added` is, too.
pub(crate) fn check_reservations(config: &Config, total: &Resources, added: &[v1::Resource]) -> Result<(), String> {
    let bytes = total.checkpointed().to_protos().iter().chain(added).map(wire::len).sum();
    check("What would be reserved on the agent", bytes, config.reservation_bytes_max, "max_reservation_bytes")
}

fn check(what: &str, bytes: usize, max: usize, flag: &str) -> Result<(), String> {
    match bytes > max {
        true => Err(format!("{what} takes {bytes} bytes; at most {max} are allowed (--{flag} of the master)")),
        false => Ok(()),
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
            model::history::lighten(proto);
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
    fn reservations_of_an_agent_are_weighed_together() {
        let config = Config { reservation_bytes_max: 16 << 10, ..Config::default() };
        let reserved = |labels: usize| -> v1::Resource {
            let of_role = v1::resource::ReservationInfo {
                r#type: Some(v1::resource::reservation_info::Type::Dynamic.into()),
                role: Some("r".into()),
                labels: heavy_labels(labels),
                ..Default::default()
            };
            v1::Resource {
                name: "cpus".into(),
                r#type: v1::value::Type::Scalar.into(),
                scalar: Some(v1::value::Scalar { value: 1.0 }),
                reservations: vec![of_role],
                ..Default::default()
            }
        };
        let total = Resources::from_protos(&[reserved(9 << 10)]).expect("resources");
        assert_eq!(check_reservations(&config, &total, &[reserved(1 << 10)]), Ok(()));
        let why = check_reservations(&config, &total, &[reserved(9 << 10)]).expect_err("too heavy");
        assert!(why.contains("at most 16384 are allowed (--max_reservation_bytes of the master)"), "{why}");
    }
}
