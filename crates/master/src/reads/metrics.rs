//! The master's own numbers, `master/*` and `allocator/*`.

use master_core::State;
use observe::metrics::Snapshot;
use stdx::Tick;

pub fn add(state: &State, now: Tick, snapshot: &mut Snapshot) {
    for (name, value) in state.metrics(now) {
        snapshot.put(name, value);
    }
}
