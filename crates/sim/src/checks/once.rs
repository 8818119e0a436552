//! No task runs twice under one id, least of all at once. Where a framework gave an id twice, two may run until the
//! master has heard of both.

use std::collections::{BTreeMap, BTreeSet};

use agent_core::ContainerId;
use model::{FrameworkId, TaskId};

use super::{Check, names::Names};
use crate::{observation::Fact, world::World};

type Name = (FrameworkId, TaskId);

#[derive(Default)]
pub(super) struct Once {
    /// Where each task runs, or ran last.
    runs: BTreeMap<Name, (u32, ContainerId)>,
    live: BTreeMap<Name, BTreeSet<(u32, ContainerId)>>,
    shared: Names,
}

impl Check for Once {
    fn name(&self) -> &'static str {
        "once"
    }

    fn note(&mut self, fact: &Fact) -> Result<(), String> {
        self.shared.note(fact);
        match fact {
            Fact::TaskStarted { agent, container, framework, task, .. } => {
                let key = (framework.clone(), task.clone());
                let live = self.live.entry(key.clone()).or_default();
                let alone = live.is_empty();
                live.insert((*agent, container.clone()));
                if let Some((other, there)) = self.runs.insert(key, (*agent, container.clone()))
                    && !self.shared.are_shared(framework, task)
                {
                    return Err(match alone {
                        true => format!("task {task} ran on agent {other}, and runs on {agent} again"),
                        false => format!("task {task} runs on agent {other} in {there}, and on {agent} in {container}"),
                    });
                }
            }
            Fact::TaskStopped { agent, container, framework, task } => {
                let key = (framework.clone(), task.clone());
                if let Some(live) = self.live.get_mut(&key) {
                    live.remove(&(*agent, container.clone()));
                    if live.is_empty() {
                        self.live.remove(&key);
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn at_rest(&mut self, world: &World) -> Result<(), String> {
        let twice = self.live.iter().filter(|(key, live)| live.len() > 1 && !world.late.contains(*key));
        match twice.map(|((_, task), live)| (task, live)).next() {
            Some((task, live)) => Err(format!("task {task} runs {} times: {live:?}", live.len())),
            None => Ok(()),
        }
    }
}
