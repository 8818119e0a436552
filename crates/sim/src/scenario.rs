//! What one run is: sizes, workload, faults. A TOML file can say it all; `swarm` draws it from a seed.

mod groups;
mod swarm;

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

pub use groups::{GroupPlan, QuotaPlan, serving};
pub(crate) use groups::{POOL, pool, round};

/// One run. Times are in seconds of the simulated world, rates of rare things in mean seconds between two of them
/// (0: never), chances from 0 to 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Scenario {
    pub seed: u64,
    pub masters: u32,
    /// Agents with the real core and simulated containers.
    pub agents: u32,
    /// Agents of some hundred bytes that say the same.
    pub light_agents: u32,
    pub agent_cpus: f64,
    pub agent_mem_mb: f64,
    /// Pods need some.
    pub agent_disk_mb: f64,
    pub warm_up_secs: f64,
    pub fault_secs: f64,
    /// How long healing may take before it counts as never.
    pub heal_secs: f64,
    pub network: Network,
    pub faults: Faults,
    pub operators: Operators,
    pub tuning: Tuning,
    pub weights: BTreeMap<String, f64>,
    /// Into how many pools agents are divided, by an attribute; 0 for no such attribute.
    pub pools: u32,
    /// A bug to switch on, in a build that holds them.
    pub bug: Option<String>,
    /// What the agents have, kind by kind, where they are not all alike; the last kind is that of all further ones.
    pub fleet: Vec<AgentKind>,
    pub frameworks: Vec<FrameworkPlan>,
    /// What stands in the registry from the beginning, and again once operators rest.
    pub groups: Vec<GroupPlan>,
    pub quotas: Vec<QuotaPlan>,
}

/// Some agents that are alike.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AgentKind {
    pub count: u32,
    pub cpus: f64,
    pub mem_mb: f64,
    pub disk_mb: f64,
    pub gpus: f64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Network {
    pub latency_min_ms: f64,
    pub latency_max_ms: f64,
    /// The chance that a message takes up to `spike_secs`.
    pub spike: f64,
    pub spike_secs: f64,
    /// Encode and decode every message, as real ones are.
    pub encode: bool,
    /// How many events a scheduler's stream holds before the master cuts it off.
    pub outbox: u32,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Faults {
    /// The chance that a connection breaks under a message.
    pub lose: f64,
    pub duplicate: f64,
    pub partition_every: f64,
    pub one_way_every: f64,
    pub partition_secs: f64,
    pub break_link_every: f64,
    pub agent_crash_every: f64,
    pub agent_reboot_every: f64,
    pub agent_away_secs: f64,
    pub master_crash_every: f64,
    pub master_away_secs: f64,
    /// A leader loses its session; it hears of it up to `deposed_late_secs` later.
    pub depose_every: f64,
    pub deposed_late_secs: f64,
    pub framework_crash_every: f64,
    pub executor_crash_every: f64,
    pub store_slow: f64,
    pub store_slow_secs: f64,
    pub store_fail: f64,
    pub store_fail_after: f64,
    /// The store has no quorum: nothing is written, read, elected or detected until it is back.
    pub store_outage_every: f64,
    pub store_outage_secs: f64,
    /// It takes no writes and answers everything else.
    pub store_full_every: f64,
    pub store_full_secs: f64,
    /// The leader reaches everybody but the store.
    pub store_parted_every: f64,
    pub store_parted_secs: f64,
    /// A master stops and goes on later as if nothing had happened.
    pub pause_every: f64,
    pub pause_secs: f64,
    /// The leader is asked to let another one lead.
    pub hand_over_every: f64,
    /// A master of another program joins where ours meet, and leaves again.
    pub foreign_every: f64,
    pub foreign_secs: f64,
    /// Two agents come back at each other's addresses.
    pub swap_every: f64,
    pub disk_slow: f64,
    pub disk_fail: f64,
    pub launch_fail: f64,
    pub compact_every: f64,
    pub slow_reader_every: f64,
    pub clock_drift_ppm: u32,
    pub wall_step_every: f64,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Operators {
    pub mark_gone_every: f64,
    pub teardown_every: f64,
    pub drain_every: f64,
    pub deactivate_every: f64,
    pub quota_every: f64,
    pub weights_every: f64,
    pub maintenance_every: f64,
    pub groups_every: f64,
}

/// The masters' and agents' own settings, shorter than in production so that what is rare there is common here.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tuning {
    pub ping_secs: f64,
    pub ping_timeouts: u32,
    pub reregister_secs: f64,
    pub offer_timeout_secs: f64,
    pub removals_per_minute: u32,
    pub registry_gc_secs: f64,
    pub registry_max_agents: u32,
    pub history: u32,
    pub event_driven: bool,
    pub random_sorters: bool,
    pub backoff_secs: f64,
    pub executor_reregister_secs: f64,
    /// How long a master waits for a write to the registry.
    pub store_timeout_secs: f64,
    /// Agents must prove who they are.
    pub authenticate: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FrameworkPlan {
    pub temper: Temper,
    pub role: String,
    pub executor: ExecutorStyle,
    pub checkpoint: bool,
    pub partition_aware: bool,
    pub failover_secs: f64,
    /// How many tasks it wants to have at a time.
    pub parallel: u32,
    pub cpus: f64,
    pub mem_mb: f64,
    pub task_secs_min: f64,
    pub task_secs_max: f64,
    /// The chance that a task fails, or that the framework kills it early.
    pub task_fails: f64,
    pub kills: f64,
}

/// How a framework behaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Temper {
    /// Takes every offer at once.
    #[default]
    Greedy,
    /// Declines most, filters, suppresses and revives.
    Picky,
    /// Answers late and reads late.
    Slow,
    /// Comes and goes, and forgets what it ran.
    Crashing,
    /// A second instance takes over while the first is still there.
    FailingOver,
    /// Bad calls, stale ids.
    Buggy,
    /// Tasks N(30 s, 10 s) one after the other, and no housekeeping: for figures.
    Steady,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExecutorStyle {
    #[default]
    Command,
    /// One executor of the framework's for several tasks.
    Custom,
    /// Task groups under the built-in pod executor.
    Group,
}

impl Default for Scenario {
    fn default() -> Scenario {
        Scenario {
            seed: 0,
            masters: 1,
            agents: 3,
            light_agents: 0,
            agent_cpus: 4.0,
            agent_mem_mb: 4096.0,
            agent_disk_mb: 0.0,
            fleet: Vec::new(),
            warm_up_secs: 30.0,
            fault_secs: 240.0,
            heal_secs: 3600.0,
            network: Network::default(),
            faults: Faults::default(),
            operators: Operators::default(),
            tuning: Tuning::default(),
            weights: BTreeMap::new(),
            pools: 0,
            bug: None,
            frameworks: vec![FrameworkPlan::default()],
            groups: Vec::new(),
            quotas: Vec::new(),
        }
    }
}

impl Default for Network {
    fn default() -> Network {
        Network { latency_min_ms: 0.2, latency_max_ms: 1.0, spike: 0.0, spike_secs: 2.0, encode: false, outbox: 2048 }
    }
}

impl Default for Tuning {
    fn default() -> Tuning {
        Tuning {
            ping_secs: 15.0,
            ping_timeouts: 5,
            reregister_secs: 600.0,
            offer_timeout_secs: 0.0,
            removals_per_minute: 0,
            registry_gc_secs: 900.0,
            registry_max_agents: 102_400,
            history: 1000,
            event_driven: true,
            random_sorters: false,
            backoff_secs: 1.0,
            executor_reregister_secs: 2.0,
            store_timeout_secs: 20.0,
            authenticate: false,
        }
    }
}

impl Default for FrameworkPlan {
    fn default() -> FrameworkPlan {
        FrameworkPlan {
            temper: Temper::Greedy,
            role: "a".into(),
            executor: ExecutorStyle::Command,
            checkpoint: true,
            partition_aware: true,
            failover_secs: 600.0,
            parallel: 4,
            cpus: 0.5,
            mem_mb: 128.0,
            task_secs_min: 2.0,
            task_secs_max: 20.0,
            task_fails: 0.0,
            kills: 0.0,
        }
    }
}

impl Scenario {
    pub fn all_agents(&self) -> u32 {
        self.agents + self.light_agents
    }

    /// What an agent has.
    pub fn kind_of(&self, agent: u32) -> AgentKind {
        let mut left = agent;
        for kind in &self.fleet {
            if left < kind.count {
                return *kind;
            }
            left -= kind.count;
        }
        let alike = AgentKind {
            count: 1,
            cpus: self.agent_cpus,
            mem_mb: self.agent_mem_mb,
            disk_mb: self.agent_disk_mb,
            gpus: 0.0,
        };
        self.fleet.last().copied().unwrap_or(alike)
    }

    pub fn from_toml(text: &str) -> Result<Scenario, toml::de::Error> {
        toml::from_str(text)
    }

    pub fn to_toml(&self) -> String {
        toml::to_string(self).unwrap_or_else(|error| format!("# cannot be written: {error}"))
    }
}

/// Seconds as a duration; what is none is zero.
pub(crate) fn secs(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scenario_survives_its_text() {
        for seed in 0..50 {
            let scenario = Scenario::of_seed(seed, None, None);
            assert_eq!(Scenario::from_toml(&scenario.to_toml()), Ok(scenario));
        }
    }

    #[test]
    fn a_misspelt_field_is_refused() {
        assert!(Scenario::from_toml("agent = 3").is_err());
    }
}
