//! What happened to a task, as its row keeps it at a master and at an agent: the latest state, the statuses that led to
//! it, and which of them the framework was told last. The row is bounded, whatever an executor says.

use bytes::Bytes;
use proto::{
    v1::{self, TaskState, task_status::Reason},
    wire,
};

use crate::task_state;

/// What a status may weigh, in bytes, before a row keeps it stripped.
pub const STATUS_BYTES_MAX: usize = 16 << 10;
/// Of a heavy status, as much of the message is kept.
const TEXT_MAX: usize = 4 << 10;
/// Of a task, as many statuses are kept.
const STATUSES_MAX: usize = 64;

/// What a status changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Noted {
    /// It brought the state of the status before it again, whose place it took.
    pub repeats: bool,
    /// It tells of a check rather than of the task.
    pub is_check: bool,
}

/// Takes a status into a row. `latest` is the state beyond it, if it is an old one that is told again. A terminal state
/// stays; a status in the state of the last one replaces it; the data for the framework is not kept.
pub fn note(row: &mut v1::Task, status: &v1::TaskStatus, latest: Option<TaskState>) -> Noted {
    if !task_state::is_terminal(state(row)) {
        row.state = latest.unwrap_or(status.state()).into();
    }
    let repeats = row.statuses.last().is_some_and(|last| last.state == status.state);
    if repeats {
        row.statuses.pop();
    }
    row.statuses.push(kept(status));
    if row.statuses.len() > STATUSES_MAX {
        // The first one says when the task began.
        row.statuses.drain(1..=row.statuses.len() - STATUSES_MAX);
    }
    let is_check = status.reason.is_some()
        && matches!(status.reason(), Reason::TaskCheckStatusUpdated | Reason::TaskHealthCheckStatusUpdated);
    Noted { repeats, is_check }
}

/// The latest state, which says whether the task still holds its resources.
pub fn state(row: &v1::Task) -> TaskState {
    TaskState::try_from(row.state).unwrap_or(TaskState::TaskUnknown)
}

/// The status was sent on its way to the framework, which is to acknowledge it.
pub fn note_forwarded(row: &mut v1::Task, state: i32, uuid: Option<&Bytes>) {
    row.status_update_state = Some(state);
    row.status_update_uuid = uuid.cloned();
}

/// The state and the uuid of the last update that went to the framework.
pub fn forwarded(row: &v1::Task) -> Option<(TaskState, &Bytes)> {
    let state = TaskState::try_from(row.status_update_state?).ok()?;
    Some((state, row.status_update_uuid.as_ref()?))
}

/// Strips the statuses of a row that is kept for readers only.
pub fn lighten(row: &mut v1::Task) {
    row.statuses.iter_mut().for_each(|status| *status = kept(status));
}

/// A status as a row keeps it.
fn kept(status: &v1::TaskStatus) -> v1::TaskStatus {
    if wire::len(status) - status.data.as_ref().map_or(0, |data| data.len()) <= STATUS_BYTES_MAX {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn staging() -> v1::Task {
        v1::Task { state: TaskState::TaskStaging.into(), ..Default::default() }
    }

    fn status(state: TaskState) -> v1::TaskStatus {
        v1::TaskStatus { state: state.into(), data: Some("x".into()), ..Default::default() }
    }

    fn heavy_labels(bytes: usize) -> Option<v1::Labels> {
        let label = v1::Label { key: "k".into(), value: Some("x".repeat(bytes)) };
        Some(v1::Labels { labels: vec![label] })
    }

    #[test]
    fn a_status_replaces_its_predecessor_of_the_same_state_and_loses_its_data() {
        let mut row = staging();
        let plain = Noted { repeats: false, is_check: false };
        assert_eq!(note(&mut row, &status(TaskState::TaskRunning), None), plain);
        assert_eq!(note(&mut row, &status(TaskState::TaskRunning), None), Noted { repeats: true, ..plain });
        let reason = Some(Reason::TaskHealthCheckStatusUpdated.into());
        let check = v1::TaskStatus { reason, ..status(TaskState::TaskRunning) };
        assert_eq!(note(&mut row, &check, None), Noted { repeats: true, is_check: true });
        assert_eq!(row.statuses.len(), 1);
        assert!(row.statuses.iter().all(|status| status.data.is_none()));
    }

    #[test]
    fn the_state_is_the_latest_one_and_a_terminal_one_stays() {
        let mut row = staging();
        note(&mut row, &status(TaskState::TaskStarting), Some(TaskState::TaskRunning));
        assert_eq!(state(&row), TaskState::TaskRunning);
        note(&mut row, &status(TaskState::TaskLost), None);
        note(&mut row, &status(TaskState::TaskRunning), None);
        assert_eq!((state(&row), row.statuses.len()), (TaskState::TaskLost, 3));
    }

    #[test]
    fn what_the_framework_was_told_is_a_state_with_its_uuid() {
        let mut row = staging();
        assert_eq!(forwarded(&row), None);
        let uuid = Bytes::from_static(b"u");
        note_forwarded(&mut row, TaskState::TaskRunning.into(), Some(&uuid));
        assert_eq!(forwarded(&row), Some((TaskState::TaskRunning, &uuid)));
    }

    #[test]
    fn a_heavy_status_keeps_what_happened_and_the_beginning_of_its_message() {
        let heavy = v1::TaskStatus {
            message: Some("ü".repeat(1 << 20)),
            labels: heavy_labels(1 << 20),
            data: Some(vec![0; 1 << 20].into()),
            ..status(TaskState::TaskFailed)
        };
        let stripped = kept(&heavy);
        assert_eq!(stripped.state(), TaskState::TaskFailed);
        assert!(wire::len(&stripped) < STATUS_BYTES_MAX);
        assert!(stripped.message.is_some_and(|text| text.starts_with("üü")));
        let light = v1::TaskStatus { message: Some("m".into()), labels: heavy_labels(10), ..Default::default() };
        assert_eq!(kept(&light), light);
    }

    #[test]
    fn statuses_are_bounded_in_number() {
        let mut row = staging();
        for n in 0..200 {
            let state = [TaskState::TaskStarting, TaskState::TaskRunning][n % 2];
            note(&mut row, &v1::TaskStatus { timestamp: Some(n as f64), ..status(state) }, None);
        }
        let (first, last) = (row.statuses[0].timestamp, row.statuses.last().and_then(|status| status.timestamp));
        assert_eq!((row.statuses.len(), first, last), (STATUSES_MAX, Some(0.0), Some(199.0)));
    }
}
