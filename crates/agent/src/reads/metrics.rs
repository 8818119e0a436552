//! The agent's own numbers, `slave/*`.

use agent_core::State;
use observe::metrics::Snapshot;
use stdx::{WallTime, clock};

/// `started` is when this process was.
pub fn add(state: &State, started: WallTime, snapshot: &mut Snapshot) {
    let uptime = clock::wall().as_secs_f64() - started.as_secs_f64();
    snapshot.put("slave/uptime_secs", uptime.max(0.0));
    for (name, value) in state.metrics() {
        snapshot.put(name, value);
    }
}
