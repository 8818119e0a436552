//! What an executor says of a task that ended, held against what the kernel counts: an executor hears of the end first,
//! but not that memory was the reason.

use agent_core::{Event, State};
use containers::Containerizer;
use model::{ExecutorId, FrameworkId};
use proto::{
    link::FromExecutor,
    v1::{self, TaskState, executor::call},
};

use super::translate;

/// Gives the end of a task in a container that has run out of memory its reason, whichever way the executor took it.
pub fn explain(event: &mut Event, state: &State, containers: &dyn Containerizer) {
    let Some((framework, executor, status)) = update_in(event).filter(|(.., status)| may_be_memory(status)) else {
        return;
    };
    let container = state.find_executor(&framework, &executor).map(|executor| &executor.container);
    let container = container.and_then(translate::to_container_id);
    let Some(limitation) = container.and_then(|container| containers.find_limitation(&container)) else { return };
    status.state = TaskState::TaskFailed.into();
    status.reason = Some(translate::reason(limitation.reason).into());
    status.limitation = Some(translate::limitation(&limitation));
    status.message = Some(limitation.message);
}

/// What an executor says of a task, whichever API it speaks.
fn update_in(event: &mut Event) -> Option<(FrameworkId, ExecutorId, &mut v1::TaskStatus)> {
    match event {
        Event::FromExecutor { call, .. } if call.r#type() == call::Type::Update => {
            let status = &mut call.update.as_mut()?.status;
            Some(((&call.framework_id).into(), (&call.executor_id).into(), status))
        }
        Event::FromDriver { message: FromExecutor::StatusUpdate(message), .. } => {
            let update = &mut message.update;
            Some(((&update.framework_id).into(), update.executor_id.as_ref()?.into(), &mut update.status))
        }
        _ => None,
    }
}

/// A task that was killed on request, or whose end has a reason already, is none of these.
fn may_be_memory(status: &v1::TaskStatus) -> bool {
    status.reason.is_none() && matches!(status.state(), TaskState::TaskFailed | TaskState::TaskFinished)
}
