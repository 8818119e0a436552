//! Frameworks come, change and end.

use model::FrameworkId;
use proto::v1;
use stdx::WallTime;

use super::{Mutation, Refusal};
use crate::{document::Registry, key::Key};

/// How many removed frameworks are remembered.
const REMOVED_MAX: usize = 1_000;

/// One that is over stays over.
pub(super) fn record(registry: &mut Registry, info: &v1::FrameworkInfo, m: &mut Mutation) -> Result<(), Refusal> {
    let id = info.id.as_ref().map(FrameworkId::from).ok_or(Refusal::NoFrameworkId)?;
    if !registry.removed_frameworks.contains_key(&id) && registry.frameworks.get(&id) != Some(info) {
        registry.frameworks.insert(id.clone(), info.clone());
        m.touch(Key::Framework(id));
    }
    Ok(())
}

/// What was removed before keeps its time.
pub(super) fn remove(registry: &mut Registry, id: &FrameworkId, at: WallTime, m: &mut Mutation) {
    if registry.frameworks.remove(id).is_some() {
        m.touch(Key::Framework(id.clone()));
    }
    if registry.removed_frameworks.contains_key(id) {
        return;
    }
    registry.removed_frameworks.insert(id.clone(), at);
    m.touch(Key::RemovedFramework(id.clone()));
    while registry.removed_frameworks.len() > REMOVED_MAX {
        let oldest = registry.removed_frameworks.iter().min_by_key(|(id, at)| (**at, *id)).map(|(id, _)| id.clone());
        let Some(oldest) = oldest else { return };
        registry.removed_frameworks.remove(&oldest);
        m.touch(Key::RemovedFramework(oldest));
    }
}
