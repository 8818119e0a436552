//! What an operator may set, as plain values. Where flags are read: the `agent` program.

use proto::{upid::Upid, v1};
use std::time::Duration;

#[derive(Clone, Debug)]
pub struct Config {
    /// Our wire identity, `slave(1)@ip:port`.
    pub upid: Upid,
    /// Hostname, port, resources, attributes, domain. The id is the core's business.
    pub info: v1::AgentInfo,
    /// The Mesos API level told to masters.
    pub version: String,
    pub capabilities: Vec<v1::agent_info::capability::Type>,
    /// Absolute, without a trailing slash.
    pub work_dir: String,
    /// Where a container with its own root file system sees its sandbox.
    pub sandbox_directory: String,
    /// Run tasks as the framework's (or command's) user.
    pub switch_user: bool,
    /// Added to every executor's environment, before what the executor's own command sets.
    pub executor_environment: Vec<(String, String)>,
    /// Where executors may reach us without the network.
    pub domain_socket: Option<String>,
    /// Send every executor to the domain socket, not only our own kinds.
    pub http_executor_domain_sockets: bool,
    pub registration_backoff_factor: Duration,
    /// Whether there is a credential to prove who we are before we register.
    pub authenticate: bool,
    pub authentication_backoff_factor: Duration,
    pub authentication_timeout_min: Duration,
    pub authentication_timeout_max: Duration,
    pub executor_registration_timeout: Duration,
    pub executor_reregistration_timeout: Duration,
    pub executor_shutdown_grace_period: Duration,
    pub recovery_timeout: Duration,
    pub gc_delay: Duration,
    /// The share of the disk that removal of sandboxes keeps free.
    pub gc_disk_headroom: f64,
    pub disk_watch_interval: Duration,
    pub max_completed_executors_per_framework: usize,
    /// Whether tasks can be held to a limit of cpus that is not their request, and of memory.
    pub cpu_limits: bool,
    pub mem_limits: bool,
    /// Without it every container found at start is destroyed, and the agent exits.
    pub recover: Recover,
    pub reconfiguration_policy: ReconfigurationPolicy,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recover {
    Reconnect,
    Cleanup,
}

/// How a restarted agent's info may differ from the recorded one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReconfigurationPolicy {
    Equal,
    /// More resources, attributes or a first domain; never less or other.
    Additive,
}

/// Fixed in Mesos, too.
pub const MAX_COMPLETED_FRAMEWORKS: usize = 50;
pub const MAX_COMPLETED_TASKS_PER_EXECUTOR: usize = 200;
/// How many ended sessions below one root container are remembered for those who ask how they ended.
pub const MAX_ENDED_SESSIONS_PER_ROOT: usize = 100;
pub const REGISTRATION_BACKOFF_MAX: Duration = Duration::from_secs(60);
pub const UPDATE_RETRY_MIN: Duration = Duration::from_secs(10);
pub const UPDATE_RETRY_MAX: Duration = Duration::from_secs(600);
/// Until the master says otherwise: five pings of 15 s.
pub const DEFAULT_PING_TIMEOUT: Duration = Duration::from_secs(75);
pub const EXECUTOR_HEARTBEAT_INTERVAL: Duration = Duration::from_secs(30 * 60);
/// What a command task's executor may use beyond the task, charged to nobody.
pub const COMMAND_EXECUTOR_CPUS: f64 = 0.1;
pub const COMMAND_EXECUTOR_MEM_MB: f64 = 32.0;

impl Config {
    /// Mesos's defaults.
    pub fn new(upid: Upid, info: v1::AgentInfo, work_dir: impl Into<String>) -> Config {
        use v1::agent_info::capability::Type;
        let work_dir: String = work_dir.into();
        Config {
            upid,
            info,
            version: "1.11.0".into(),
            capabilities: vec![
                Type::MultiRole,
                Type::HierarchicalRole,
                Type::ReservationRefinement,
                Type::ResourceProvider,
                Type::ResizeVolume,
                Type::AgentOperationFeedback,
                Type::AgentDraining,
                Type::TaskResourceLimits,
            ],
            work_dir: work_dir.trim_end_matches('/').to_owned(),
            sandbox_directory: "/mnt/mesos/sandbox".into(),
            switch_user: true,
            executor_environment: Vec::new(),
            domain_socket: None,
            http_executor_domain_sockets: false,
            registration_backoff_factor: Duration::from_secs(1),
            authenticate: false,
            authentication_backoff_factor: Duration::from_secs(1),
            authentication_timeout_min: Duration::from_secs(5),
            authentication_timeout_max: Duration::from_secs(60),
            executor_registration_timeout: Duration::from_secs(60),
            executor_reregistration_timeout: Duration::from_secs(2),
            executor_shutdown_grace_period: Duration::from_secs(5),
            recovery_timeout: Duration::from_secs(15 * 60),
            gc_delay: Duration::from_secs(7 * 24 * 3600),
            gc_disk_headroom: 0.1,
            disk_watch_interval: Duration::from_secs(60),
            max_completed_executors_per_framework: 150,
            cpu_limits: true,
            mem_limits: true,
            recover: Recover::Reconnect,
            reconfiguration_policy: ReconfigurationPolicy::Equal,
        }
    }
}
