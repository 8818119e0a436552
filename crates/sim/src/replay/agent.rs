//! An agent's recording.

use std::collections::BTreeSet;

use agent_core::{
    Agent, Effects,
    recording::{self, Beginning},
};

use super::{Label, Subject};

struct Replayed {
    beginning: Beginning,
    core: Agent,
}

pub(super) fn begin(record: &[u8]) -> Option<Box<dyn Subject>> {
    let beginning = Beginning::decode(record)?;
    println!(
        "agent {} with seed {} and {} records in its journal",
        beginning.config.upid,
        beginning.seed,
        beginning.journal.len()
    );
    let core = Agent::new(beginning.config.clone(), beginning.seed);
    Some(Box::new(Replayed { beginning, core }))
}

pub(super) fn label(record: &[u8]) -> Option<Label> {
    recording::decode(record).map(|input| (input.now, recording::kind_of(&input.event)))
}

impl Subject for Replayed {
    fn handle(&mut self, record: &[u8]) -> Vec<String> {
        let Some(input) = recording::decode(record) else { return Vec::new() };
        let mut effects = Effects::new();
        self.core.handle(self.beginning.complete(input), &mut effects);
        let lines = effects.iter().map(|effect| format!("{effect:?}")).collect();
        drop(effects.drain());
        lines
    }

    fn lines(&self) -> BTreeSet<String> {
        let state = self.core.view();
        let id = state.agent_id.as_ref().map_or("nobody yet", |id| id.as_str());
        let master = state.master.as_ref().map_or("none".to_owned(), ToString::to_string);
        let mut lines = BTreeSet::from([format!("{id}: {:?}, master {master}", state.phase)]);
        for framework in state.frameworks.values() {
            lines.insert(format!("framework {}: {:?}", framework.id, framework.phase));
        }
        for executor in state.executors() {
            let (framework, id) = (&executor.framework, &executor.id);
            lines.insert(format!("executor {id} of {framework} in {}: {:?}", executor.container, executor.phase));
            for (task, row) in &executor.tasks {
                lines.insert(format!("task {task} of {framework}: {:?}, {:?}", row.phase, row.row.state()));
            }
        }
        lines
    }
}
