//! What agents say of a task moves only along the table of task states.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use model::{FrameworkId, TaskId, task_state};
use proto::v1::TaskState;

use super::{Check, names::Names};
use crate::observation::Fact;

#[derive(Default)]
pub(super) struct States {
    last: BTreeMap<(FrameworkId, TaskId, u32), TaskState>,
    seen: BTreeSet<Bytes>,
    /// A second task of a name begins anew.
    shared: Names,
}

impl Check for States {
    fn name(&self) -> &'static str {
        "states"
    }

    fn note(&mut self, fact: &Fact) -> Result<(), String> {
        self.shared.note(fact);
        match fact {
            // A machine set up anew has no past.
            Fact::MachineLost { agent } => self.last.retain(|(_, _, of), _| of != agent),
            Fact::AgentSaid { agent, framework, task, state, uuid, .. } => {
                let shared = self.shared.are_shared(framework, task);
                let begins = shared && matches!(state, TaskState::TaskStaging | TaskState::TaskStarting);
                if !self.seen.insert(uuid.clone()) {
                    return Ok(());
                }
                let key = (framework.clone(), task.clone(), *agent);
                let from = self.last.insert(key, *state).filter(|_| !begins).unwrap_or(TaskState::TaskStaging);
                if let Err(why) = task_state::check_transition(from, *state)
                    && !is_said_of_the_forgotten(from, *state)
                {
                    return Err(format!("agent {agent} says {state:?} of task {task} after {from:?}: {why}"));
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// Asked about a task that is over and forgotten, an agent says that it has none.
fn is_said_of_the_forgotten(from: TaskState, to: TaskState) -> bool {
    task_state::is_terminal(from) && matches!(to, TaskState::TaskLost | TaskState::TaskGone | TaskState::TaskDropped)
}
