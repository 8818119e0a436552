//! The master's own numbers: `master/*`, `allocator/*`, and of `registrar/*` what does not change.

use observe::metrics::{Kind, Snapshot};
use resources::Resources;
use stdx::Tick;
use transport::inbox::Waiting;

use crate::runtime::View;

/// What is not in the view.
#[derive(Clone, Copy, Debug)]
pub struct Around {
    pub now: Tick,
    /// How many reads have got a rendering that another one asked for.
    pub shared_reads: u64,
    pub waiting: Waiting,
    /// Whether each framework has metrics of its own.
    pub per_framework: bool,
}

pub fn add(view: &View, around: Around, snapshot: &mut Snapshot) {
    for (name, value) in view.state.metrics(around.now) {
        if around.per_framework || !name.starts_with("master/frameworks/") {
            snapshot.put(name, value);
        }
    }
    snapshot.put_counter("master/http_cache_hits", around.shared_reads as f64);
    let Waiting { messages, requests, events, dropped } = around.waiting;
    snapshot.put("master/event_queue_messages", messages as f64);
    snapshot.put("master/event_queue_http_requests", requests as f64);
    snapshot.put("master/event_queue_dispatches", events as f64);
    snapshot.put_own("inbox/dropped_messages", Kind::Counter, dropped as f64);
    add_allocator(view, snapshot);
    // The registry is one file of this machine's, read before the master answers anything.
    snapshot.put("registrar/log/recovered", 1.0);
    snapshot.put("registrar/log/ensemble_size", 1.0);
}

fn add_allocator(view: &View, snapshot: &mut Snapshot) {
    snapshot.put_counter("allocator/mesos/allocation_runs", view.allocation.runs as f64);
    // The master calls its allocator; nothing ever waits for it.
    snapshot.put("allocator/event_queue_dispatches", 0.0);
    snapshot.put("allocator/mesos/event_queue_dispatches", 0.0);
    for (role, share) in &view.allocation.shares {
        snapshot.put(format!("allocator/mesos/roles/{role}/shares/dominant"), *share);
    }
    let state = &view.state;
    let total: Resources = state.agents.values().map(|agent| &agent.total).sum();
    let taken: Resources = state
        .agents
        .values()
        .flat_map(|agent| state.used_on(agent).into_values().chain([state.offered_on(agent)]))
        .sum();
    for name in ["cpus", "mem", "disk"] {
        let amount = |resources: &Resources| resources.scalar(name).map_or(0.0, |quantity| quantity.as_f64());
        snapshot.put(format!("allocator/mesos/resources/{name}/total"), amount(&total));
        snapshot.put(format!("allocator/mesos/resources/{name}/offered_or_allocated"), amount(&taken));
    }
}
