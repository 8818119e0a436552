//! The master's own numbers: `master/*`, `allocator/*`, and of `registrar/*` what does not change.

use std::collections::BTreeSet;

use master_core::State;
use observe::metrics::{Kind, Snapshot};
use resources::{Name, Quantities, Resources};
use stdx::Tick;
use transport::inbox::Waiting;

use crate::traffic::Allocation;

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

/// So many frameworks, and so many principals, have series of their own.
const FRAMEWORKS_MAX: usize = 100;

pub fn add(state: &State, allocation: &Allocation, around: Around, snapshot: &mut Snapshot) {
    // Frameworks that are over have no series, and of very many only those that were there first.
    let with_series: BTreeSet<&str> = state.frameworks.keys().take(FRAMEWORKS_MAX).map(|id| id.as_str()).collect();
    let mut principals: BTreeSet<String> = BTreeSet::new();
    for (name, value) in state.metrics(around.now) {
        if let Some(principal) = principal_of(&name) {
            if principals.len() < FRAMEWORKS_MAX {
                principals.insert(principal.to_owned());
            }
            match principals.contains(principal) {
                true => snapshot.put(name, value),
                false => snapshot.put_for_json(name, value),
            }
            continue;
        }
        match framework_of(&name) {
            None => snapshot.put(name, value),
            Some(_) if !around.per_framework => {}
            // Whoever collects series keeps each of them for weeks, and frameworks come and go by the thousand.
            Some(id) if value != 0.0 && with_series.contains(id) => snapshot.put(name, value),
            Some(_) => snapshot.put_for_json(name, value),
        }
    }
    let left_out = state.frameworks.len().saturating_sub(FRAMEWORKS_MAX);
    snapshot.put_own("frameworks_not_shown", Kind::Gauge, left_out as f64);
    snapshot.put_counter("master/http_cache_hits", around.shared_reads as f64);
    let Waiting { messages, requests, events, dropped } = around.waiting;
    snapshot.put("master/event_queue_messages", messages as f64);
    snapshot.put("master/event_queue_http_requests", requests as f64);
    snapshot.put("master/event_queue_dispatches", events as f64);
    snapshot.put_own("inbox/dropped_messages", Kind::Counter, dropped as f64);
    // Nobody can subscribe to the operator event stream yet.
    snapshot.put("master/operator_event_stream_subscribers", 0.0);
    add_allocator(state, allocation, snapshot);
    snapshot.put("registrar/registry_size_bytes", state.registry.encode().len() as f64);
    // The registry is read before a master leads, from a store that answers as one.
    snapshot.put("registrar/log/recovered", f64::from(u8::from(state.is_leading())));
    snapshot.put("registrar/log/ensemble_size", 1.0);
}

/// The framework that a number is of.
fn framework_of(name: &str) -> Option<&str> {
    name.strip_prefix("master/frameworks/")?.split('/').nth(1)
}

/// The principal that a number is of.
fn principal_of(name: &str) -> Option<&str> {
    name.strip_prefix("frameworks/")?.split('/').next()
}

fn add_allocator(state: &State, allocation: &Allocation, snapshot: &mut Snapshot) {
    let mut put = |name: String, value: f64| snapshot.put(format!("allocator/mesos/{name}"), value);
    for (role, share) in &allocation.shares {
        put(format!("roles/{role}/shares/dominant"), *share);
        let filters = allocation.filters.get(role).copied().unwrap_or(0);
        put(format!("offer_filters/roles/{role}/active"), filters as f64);
    }
    let total: Resources = state.agents.values().map(|agent| &agent.total).sum();
    let taken: Resources = state
        .agents
        .values()
        .flat_map(|agent| state.used_on(agent).into_values().chain([state.offered_on(agent)]))
        .sum();
    for name in ["cpus", "mem", "disk"] {
        let amount = |resources: &Resources| resources.scalar(name).map_or(0.0, |quantity| quantity.as_f64());
        put(format!("resources/{name}/total"), amount(&total));
        put(format!("resources/{name}/offered_or_allocated"), amount(&taken));
    }
    for (role, quota) in &state.registry.quotas {
        let taken = taken.allocated_in_subtree(role).scalar_quantities();
        let consumed = allocation.consumed.get(role);
        let amount =
            |amounts: Option<&Quantities>, name: &str| amounts.map_or(0.0, |all| all.get(&Name::from(name)).as_f64());
        for (kind, promised) in [("guarantee", &quota.guarantees), ("limit", &quota.limits)] {
            for (name, scalar) in promised {
                put(format!("quota/roles/{role}/resources/{name}/{kind}"), scalar.value);
                put(format!("quota/roles/{role}/resources/{name}/offered_or_allocated"), amount(Some(&taken), name));
                put(format!("quota/roles/{role}/resources/{name}/consumed"), amount(consumed, name));
            }
        }
    }
    for (role, consumed) in allocation.consumed.iter().filter(|(role, _)| !state.registry.quotas.contains_key(*role)) {
        for (name, amount) in consumed.iter().filter(|(_, amount)| amount.as_f64() > 0.0) {
            put(format!("quota/roles/{role}/resources/{}/consumed", name.as_str()), amount.as_f64());
        }
    }
    for status in state.groups.iter() {
        let name = |what: &str| format!("allocator/groups/{}/{what}", status.group.name);
        snapshot.put(name("held_units"), status.held_units() as f64);
        snapshot.put(name("supply"), status.supply() as f64);
        snapshot.put_counter(name("won"), status.won_total() as f64);
        snapshot.put_counter(name("returned"), status.returned_total() as f64);
    }
    snapshot.put_counter("allocator/mesos/allocation_runs", allocation.runs as f64);
    // The master calls its allocator; nothing ever waits for it.
    for queue in ["allocator/event_queue_dispatches", "allocator/mesos/event_queue_dispatches"] {
        snapshot.put(queue, 0.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_framework_of_a_number_is_found() {
        assert_eq!(framework_of("master/frameworks/a%2Fb/id-0001/calls/accept"), Some("id-0001"));
        assert_eq!(framework_of("master/frameworks_active"), None);
        assert_eq!(principal_of("frameworks/a%2Fb/messages_received"), Some("a%2Fb"));
        assert_eq!(principal_of("frameworks_not_shown"), None);
    }
}
