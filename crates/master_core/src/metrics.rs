//! The master's metrics under Mesos's names: its counters, and gauges that are looked up in the state.

use std::collections::BTreeMap;

use proto::v1::{
    OperationState, TaskState,
    offer::operation,
    scheduler::{call, event},
};
use resources::Resources;
use stdx::Tick;

use crate::state::{Framework, Phase, State};

impl State {
    /// Everything below `master/`, and what is counted of each principal below `frameworks/`. Walks all tasks: ask for
    /// it when somebody reads.
    pub fn metrics(&self, now: Tick) -> BTreeMap<String, f64> {
        let mut all: BTreeMap<String, f64> = self.counters.iter().map(|(name, count)| (name, count as f64)).collect();
        let mut set = |name: &str, value: f64| {
            all.insert(format!("master/{name}"), value);
        };
        set("elected", if matches!(self.phase, Phase::Recovering | Phase::Leading { .. }) { 1.0 } else { 0.0 });
        set("uptime_secs", now.since(Tick::ZERO).as_secs_f64());

        let count = |n: usize| n as f64;
        let connected = self.agents.values().filter(|agent| agent.connected).count();
        let active = self.agents.values().filter(|agent| agent.is_active()).count();
        set("slaves_connected", count(connected));
        set("slaves_disconnected", count(self.agents.len() - connected));
        set("slaves_active", count(active));
        set("slaves_inactive", count(self.agents.len() - active));
        set("slaves_unreachable", count(self.registry.unreachable.len()));
        let subscribed = self.frameworks.values().filter(|framework| framework.is_connected()).count();
        for kind in ["connected", "active"] {
            set(&format!("frameworks_{kind}"), count(subscribed));
        }
        for kind in ["disconnected", "inactive"] {
            set(&format!("frameworks_{kind}"), count(self.frameworks.len() - subscribed));
        }
        set("outstanding_offers", count(self.offers.len()));

        for (name, state) in [
            ("staging", TaskState::TaskStaging),
            ("starting", TaskState::TaskStarting),
            ("running", TaskState::TaskRunning),
            ("killing", TaskState::TaskKilling),
        ] {
            let tasks = self.frameworks.values().flat_map(|framework| framework.tasks.values());
            set(&format!("tasks_{name}"), count(tasks.filter(|task| task.state() == state).count()));
        }
        let unreachable = self.frameworks.values().map(|framework| framework.unreachable_tasks.len()).sum();
        set("tasks_unreachable", count(unreachable));

        let total: Resources = self.agents.values().map(|agent| &agent.total).sum();
        let used: Resources = self.agents.values().flat_map(|agent| self.used_on(agent).into_values()).sum();
        for (suffix, total, used) in
            [("", total.non_revocable(), used.non_revocable()), ("_revocable", total.revocable(), used.revocable())]
        {
            for kind in ["cpus", "gpus", "mem", "disk"] {
                let of = |resources: &Resources| resources.scalar(kind).map_or(0.0, |quantity| quantity.as_f64());
                let (total, used) = (of(&total), of(&used));
                set(&format!("{kind}{suffix}_total"), total);
                set(&format!("{kind}{suffix}_used"), used);
                set(&format!("{kind}{suffix}_percent"), if total > 0.0 { used / total } else { 0.0 });
            }
        }
        self.add_operations(&mut all);
        for principal in self.frameworks.values().filter_map(|framework| framework.info.principal.as_deref()) {
            // Messages of drivers are taken in the order they come, and none is put off.
            for what in ["messages_received", "messages_processed"] {
                let count = self.counters.messages(principal) as f64;
                all.insert(format!("frameworks/{}/{what}", one_part(principal)), count);
            }
        }
        let completed = self.completed_frameworks.iter().map(AsRef::as_ref);
        for framework in self.frameworks.values().chain(completed) {
            add_framework(framework, &mut all);
        }
        all
    }
}

/// The states of operations that have a metric, and whether these are counted as they are reached, for good.
const OPERATION_STATES: [(&str, OperationState, bool); 8] = [
    ("pending", OperationState::OperationPending, false),
    ("recovering", OperationState::OperationRecovering, false),
    ("unreachable", OperationState::OperationUnreachable, false),
    ("finished", OperationState::OperationFinished, true),
    ("failed", OperationState::OperationFailed, true),
    ("error", OperationState::OperationError, true),
    ("dropped", OperationState::OperationDropped, true),
    ("gone_by_operator", OperationState::OperationGoneByOperator, true),
];

impl State {
    fn add_operations(&self, all: &mut BTreeMap<String, f64>) {
        use operation::Type;
        let mut sums: BTreeMap<&str, u64> = BTreeMap::new();
        let kinds = [
            Type::Reserve,
            Type::Unreserve,
            Type::Create,
            Type::Destroy,
            Type::GrowVolume,
            Type::ShrinkVolume,
            Type::CreateDisk,
            Type::DestroyDisk,
        ];
        for kind in kinds {
            let mut total = 0;
            let name = kind.as_str_name().to_ascii_lowercase();
            for (label, state, counted) in OPERATION_STATES {
                let count = if counted {
                    self.counters.operations(kind, state)
                } else {
                    let rows = self.operations.values();
                    rows.filter(|row| row.proto.info.r#type() == kind && row.state() == state).count() as u64
                };
                total += count;
                *sums.entry(label).or_default() += count;
                all.insert(format!("master/operations/{name}/{label}"), count as f64);
            }
            *sums.entry("total").or_default() += total;
            all.insert(format!("master/operations/{name}/total"), total as f64);
        }
        for (label, count) in sums {
            all.insert(format!("master/operations/{label}"), count as f64);
        }
    }
}

fn add_framework(framework: &Framework, all: &mut BTreeMap<String, f64>) {
    let prefix = format!("master/frameworks/{}/{}/", percent_encoded(&framework.info.name), framework.id);
    let mut set = |name: String, value: f64| {
        all.insert(format!("{prefix}{name}"), value);
    };
    let counters = &framework.counters;
    set("subscribed".to_owned(), if framework.is_connected() { 1.0 } else { 0.0 });
    for (group, kinds, counts) in [
        ("calls", names(|n| Some(call::Type::try_from(n).ok()?.as_str_name())), &counters.calls),
        ("events", names(|n| Some(event::Type::try_from(n).ok()?.as_str_name())), &counters.events),
        ("operations", names(|n| Some(operation::Type::try_from(n).ok()?.as_str_name())), &counters.operations),
    ] {
        set(group.to_owned(), counts.values().sum::<u64>() as f64);
        for (number, kind) in kinds {
            set(format!("{group}/{}", kind.to_ascii_lowercase()), counts.get(&number).copied().unwrap_or(0) as f64);
        }
    }
    for (kind, n) in [
        ("sent", counters.offers_sent),
        ("accepted", counters.offers_accepted),
        ("declined", counters.offers_declined),
        ("rescinded", counters.offers_rescinded),
    ] {
        set(format!("offers/{kind}"), n as f64);
    }
    for state in (0..=32).filter_map(|n| TaskState::try_from(n).ok()) {
        let name = state.as_str_name().to_ascii_lowercase();
        if model::task_state::is_terminal(state) {
            set(
                format!("tasks/terminal/{name}"),
                counters.terminal_tasks.get(&state.into()).copied().unwrap_or(0) as f64,
            );
        } else {
            let of_state = framework.tasks.values().filter(|task| task.state() == state).count();
            let unreachable = framework.unreachable_tasks.iter().filter(|task| task.state() == state).count();
            set(format!("tasks/active/{name}"), (of_state + unreachable) as f64);
        }
    }
    for role in &framework.roles {
        let suppressed = framework.suppressed.contains(role);
        set(format!("roles/{role}/suppressed"), if suppressed { 1.0 } else { 0.0 });
    }
}

/// The values of an enum and their names, all but 0, which means unknown.
fn names(name: impl Fn(i32) -> Option<&'static str>) -> Vec<(i32, &'static str)> {
    (1..=32).filter_map(|number| Some((number, name(number)?))).collect()
}

fn percent_encoded(name: &str) -> String {
    encoded(name, |c| !c.is_ascii_alphanumeric() && !"-_.~".contains(c))
}

/// A principal as Mesos writes it, unless it would not be one part of a metric's name.
fn one_part(principal: &str) -> String {
    encoded(principal, |c| matches!(c, '/' | '%') || c.is_control())
}

fn encoded(text: &str, is_special: impl Fn(char) -> bool) -> String {
    let mut encoded = String::with_capacity(text.len());
    for c in text.chars() {
        if is_special(c) {
            let mut bytes = [0; 4];
            c.encode_utf8(&mut bytes).bytes().for_each(|byte| encoded.push_str(&format!("%{byte:02X}")));
        } else {
            encoded.push(c);
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_frameworks_are_encoded() {
        assert_eq!(percent_encoded("my framework/1ü"), "my%20framework%2F1%C3%BC");
        assert_eq!(one_part("me@example.com"), "me@example.com");
        assert_eq!(one_part("a/b%"), "a%2Fb%25");
    }

    #[test]
    fn an_empty_master_has_all_gauges_at_zero() {
        let metrics = State::new(Default::default()).metrics(Tick(2_000_000_000));
        assert_eq!(metrics["master/uptime_secs"], 2.0);
        assert_eq!(metrics["master/cpus_percent"], 0.0);
        assert_eq!(metrics["master/tasks_running"], 0.0);
        assert_eq!(metrics["master/slave_registrations"], 0.0);
    }
}
