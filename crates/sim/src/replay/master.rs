//! A master's recording.

use std::collections::BTreeSet;

use master_core::{
    Effects, Master,
    recording::{self, Beginning},
};

use super::{Label, Subject};

pub(super) fn begin(record: &[u8]) -> Option<Box<dyn Subject>> {
    let Beginning { info, seed, config } = Beginning::decode(record)?;
    println!("master {} with seed {seed}", info.id);
    Some(Box::new(Master::new(config, info, seed)))
}

pub(super) fn label(record: &[u8]) -> Option<Label> {
    recording::decode(record).map(|input| (input.now, recording::kind_of(&input.event)))
}

impl Subject for Master {
    fn handle(&mut self, record: &[u8]) -> Vec<String> {
        let Some(input) = recording::decode(record) else { return Vec::new() };
        let mut effects = Effects::new();
        Master::handle(self, input, &mut effects);
        effects.iter().map(|effect| format!("{effect:?}")).collect()
    }

    fn lines(&self) -> BTreeSet<String> {
        let state = self.view();
        let mut lines = BTreeSet::from([format!("phase {:?}", state.phase)]);
        for agent in state.agents.values() {
            let connected = if agent.connected { "connected" } else { "disconnected" };
            lines.insert(format!("agent {} at {}: {connected}, total {}", agent.id, agent.pid, agent.total));
        }
        lines.extend(state.recovered_agents.keys().map(|id| format!("agent {id}: expected back")));
        lines.extend(state.registry.unreachable.keys().map(|id| format!("agent {id}: unreachable")));
        lines.extend(state.registry.gone.keys().map(|id| format!("agent {id}: gone")));
        for framework in state.frameworks.values() {
            lines.insert(format!("framework {}: {:?}", framework.label(), framework.link));
            for task in framework.tasks.values() {
                lines.insert(format!("task {} of {} on {}: {:?}", task.id, framework.id, task.agent, task.state()));
            }
        }
        for offer in state.offers.values() {
            lines.insert(format!("offer {} to {} of {}: {}", offer.id, offer.framework, offer.agent, offer.resources));
        }
        lines
    }
}
