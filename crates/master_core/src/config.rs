//! What an operator may choose about a master's decisions. Flags and their texts are the program's; the defaults here
//! are Mesos's.

use std::{collections::BTreeSet, time::Duration};

use allocator::{AllocatorConfig, ConstraintLimits};

#[derive(Clone, Debug)]
pub struct Config {
    pub agent_ping_timeout: Duration,
    pub max_agent_ping_timeouts: u32,
    pub agent_reregister_timeout: Duration,
    /// The share of recovered agents (0 to 1) that may be removed after an election; more, and the master gives up.
    pub recovery_agent_removal_limit: f64,
    /// At most this many removals of silent agents in that time.
    pub agent_removal_rate_limit: Option<(u32, Duration)>,
    /// Whether agents without a fault domain are turned away.
    pub require_agent_domain: bool,
    pub constraint_limits: ConstraintLimits,
    pub offer_timeout: Option<Duration>,
    pub heartbeat_interval: Duration,
    /// Whether v0 drivers, and agents, must have proved who they are before they register.
    pub authenticate_frameworks: bool,
    pub authenticate_agents: bool,
    pub root_submissions: bool,
    /// How large what a framework says about itself may be, its offer constraints included.
    pub framework_bytes_max: usize,
    /// How large a task with its executor may be, without the task's data.
    pub task_bytes_max: usize,
    /// How large the descriptions of all reservations and volumes of one agent may be together.
    pub reservation_bytes_max: usize,
    /// The only roles frameworks may use, if set.
    pub roles: Option<BTreeSet<String>>,
    pub max_completed_frameworks: usize,
    pub max_completed_tasks_per_framework: usize,
    pub max_unreachable_tasks_per_framework: usize,
    pub registry_gc_interval: Duration,
    pub registry_max_agent_age: Duration,
    pub registry_max_agent_count: usize,
    /// Whether `Effect::Publish` is wanted; without a reader it is only work.
    pub publish: bool,
    pub allocator: AllocatorConfig,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            agent_ping_timeout: Duration::from_secs(15),
            max_agent_ping_timeouts: 5,
            agent_reregister_timeout: Duration::from_secs(600),
            recovery_agent_removal_limit: 1.0,
            agent_removal_rate_limit: None,
            require_agent_domain: false,
            constraint_limits: ConstraintLimits::default(),
            offer_timeout: None,
            heartbeat_interval: Duration::from_secs(15),
            authenticate_frameworks: false,
            authenticate_agents: false,
            root_submissions: true,
            framework_bytes_max: 256 << 10,
            task_bytes_max: 512 << 10,
            reservation_bytes_max: 1 << 20,
            roles: None,
            max_completed_frameworks: 50,
            max_completed_tasks_per_framework: 1000,
            max_unreachable_tasks_per_framework: 1000,
            registry_gc_interval: Duration::from_secs(15 * 60),
            registry_max_agent_age: Duration::from_secs(14 * 24 * 3600),
            registry_max_agent_count: 102_400,
            publish: false,
            allocator: AllocatorConfig::default(),
        }
    }
}

impl Config {
    /// How long an agent may hear no ping before it must assume that the master gave it up.
    pub(crate) fn total_ping_timeout(&self) -> Duration {
        self.agent_ping_timeout * self.max_agent_ping_timeouts
    }
}
