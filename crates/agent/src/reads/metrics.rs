//! The agent's own numbers, `slave/*`.

use agent_core::State;
use observe::metrics::Snapshot;

pub fn add(state: &State, snapshot: &mut Snapshot) {
    for (name, value) in state.metrics() {
        snapshot.put(name, value);
    }
}
