//! Updates arrive at least once and in order: the next is sent when the last was acknowledged, and what an agent has
//! taken on reaches its framework in the end.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use model::{FrameworkId, TaskId};

use super::{Check, names::Names};
use crate::{observation::Fact, scenario::Scenario};

pub(super) struct Updates {
    /// What executors said of each task, in order.
    said: BTreeMap<(FrameworkId, TaskId), Vec<Bytes>>,
    acknowledged: BTreeSet<Bytes>,
    heard: BTreeSet<Bytes>,
    /// What agents promised to executors to deliver, by the machine that holds it.
    promised: BTreeMap<Bytes, (u32, FrameworkId, TaskId)>,
    /// Which agents were told that a framework is over: they forget what they hold of it.
    shut: BTreeSet<(u32, FrameworkId)>,
    checkpoints: Vec<bool>,
    /// What is said of two tasks of one name has no order.
    shared: Names,
    /// The frameworks that live, and which they are.
    live: BTreeMap<FrameworkId, u32>,
}

impl Updates {
    pub fn new(scenario: &Scenario) -> Updates {
        Updates {
            said: BTreeMap::new(),
            acknowledged: BTreeSet::new(),
            heard: BTreeSet::new(),
            promised: BTreeMap::new(),
            shut: BTreeSet::new(),
            checkpoints: scenario.frameworks.iter().map(|plan| plan.checkpoint).collect(),
            shared: Names::default(),
            live: BTreeMap::new(),
        }
    }
}

impl Check for Updates {
    fn name(&self) -> &'static str {
        "updates"
    }

    fn note(&mut self, fact: &Fact) -> Result<(), String> {
        self.shared.note(fact);
        match fact {
            Fact::FrameworkSubscribed { framework, id } => drop(self.live.insert(id.clone(), *framework)),
            Fact::FrameworkEnded { id, .. } => drop(self.live.remove(id)),
            Fact::FrameworkShutDown { agent, id } => {
                self.shut.insert((*agent, id.clone()));
                self.promised.retain(|_, (of, framework, _)| of != agent || framework != id);
            }
            Fact::MachineLost { agent } => self.promised.retain(|_, (of, _, _)| of != agent),
            Fact::ExecutorSaid { framework, task, uuid, .. } => {
                self.said.entry((framework.clone(), task.clone())).or_default().push(uuid.clone());
            }
            Fact::FrameworkAcknowledged { uuid, .. } => drop(self.acknowledged.insert(uuid.clone())),
            Fact::FrameworkHeard { uuid, .. } => drop(self.heard.insert(uuid.clone())),
            Fact::ExecutorAcknowledged { agent, framework, task, uuid, .. }
                if !self.shut.contains(&(*agent, framework.clone())) =>
            {
                self.promised.insert(uuid.clone(), (*agent, framework.clone(), task.clone()));
            }
            Fact::AgentSaid { framework, task, state, uuid, .. } => {
                if !self.live.contains_key(framework) || self.shared.are_shared(framework, task) {
                    return Ok(());
                }
                let said = self.said.get(&(framework.clone(), task.clone()));
                let earlier = said.into_iter().flatten().take_while(|other| *other != uuid);
                let known = said.is_some_and(|said| said.contains(uuid));
                if known && earlier.into_iter().any(|other| !self.acknowledged.contains(other)) {
                    return Err(format!("{state:?} of task {task} is sent before what came first is acknowledged"));
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn owed(&self) -> Option<String> {
        let (agent, index, task) = self.promised.iter().find_map(|(uuid, (agent, framework, task))| {
            let index = self.live.get(framework)?;
            let unheard = self.checkpoints[*index as usize] && !self.heard.contains(uuid);
            unheard.then_some((agent, index, task))
        })?;
        Some(format!("framework {index} never heard of an update of task {task} that agent {agent} took"))
    }
}
