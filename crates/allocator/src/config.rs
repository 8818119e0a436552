//! How an allocator behaves, and how much it may do in one call.

use std::{collections::BTreeSet, time::Duration};

use resources::{Name, Quantities, Quantity};
use stdx::Tick;

#[derive(Clone, Debug)]
pub struct AllocatorConfig {
    /// The batch interval: how often freed resources are offered when `event_driven` is off, and the least life of a
    /// filter.
    pub interval: Duration,
    /// Offer resources as soon as they come free, not at the next batch.
    pub event_driven: bool,
    /// How long an allocation waits for others to join it.
    pub coalesce: Duration,
    /// An offer must hold at least one of these; with none, anything goes.
    pub min_allocatable: Vec<Quantities>,
    pub role_sorter: SorterKind,
    pub framework_sorter: SorterKind,
    /// Names that do not count for dominant shares.
    pub fair_sharing_excluded: BTreeSet<String>,
    /// Hide agents with GPUs from frameworks without the capability for them.
    pub filter_gpu_resources: bool,
    /// The region of the master; agents of other regions are for region-aware frameworks only.
    pub region: Option<String>,
    /// Quotas bind whole subtrees of roles, and roles below others may have their own. Mesos looks at the role itself
    /// only, and refuses nested ones.
    pub nested_quota: bool,
    /// Which agents count for the room that guarantees need: those that can be offered, or all, as in Mesos.
    pub headroom: Headroom,
    /// Reservations that nobody uses count for the dominant share of their role. In Mesos they do not.
    pub idle_reservations_count: bool,
    /// After a failover with quotas, offers wait for this part of the agents.
    pub agent_recovery_factor: f64,
    /// And for no longer than this.
    pub recovery_timeout: Duration,
}

impl Default for AllocatorConfig {
    fn default() -> AllocatorConfig {
        let at_least = |name: &str, thousandths| [(Name::from(name), Quantity(thousandths))].into_iter().collect();
        AllocatorConfig {
            interval: Duration::from_secs(1),
            event_driven: true,
            coalesce: Duration::from_millis(1),
            min_allocatable: vec![at_least("cpus", 10), at_least("mem", 32_000)],
            role_sorter: SorterKind::Drf,
            framework_sorter: SorterKind::Drf,
            fair_sharing_excluded: BTreeSet::new(),
            filter_gpu_resources: true,
            region: None,
            nested_quota: true,
            headroom: Headroom::Offerable,
            idle_reservations_count: true,
            agent_recovery_factor: 0.8,
            recovery_timeout: Duration::from_secs(600),
        }
    }
}

impl AllocatorConfig {
    /// Allocates as Mesos does, its known flaws included.
    pub fn mesos() -> AllocatorConfig {
        AllocatorConfig {
            event_driven: false,
            nested_quota: false,
            headroom: Headroom::Everything,
            idle_reservations_count: false,
            ..AllocatorConfig::default()
        }
    }

    /// The first batch after `now`.
    pub(crate) fn tick_after(&self, now: Tick) -> Tick {
        let interval = self.interval_bounded();
        let nanos = u64::try_from(interval.as_nanos()).unwrap_or(u64::MAX).max(1);
        Tick((now.0 / nanos).saturating_add(1).saturating_mul(nanos))
    }

    pub(crate) fn interval_bounded(&self) -> Duration {
        self.interval.max(Duration::from_millis(1))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SorterKind {
    /// The least weighted dominant share first.
    Drf,
    /// A new random order for each agent; a weight of 2 comes first twice as often.
    Random,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Headroom {
    /// Free resources of agents that are active and whitelisted.
    Offerable,
    /// Free resources of all agents, also of those that cannot be offered.
    Everything,
}

/// How much one call of `allocate` may do. What is left over goes on with the next call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Agents looked at plus frameworks tried on them.
    pub steps: usize,
}

impl Budget {
    pub const UNLIMITED: Budget = Budget { steps: usize::MAX };
}

const REFUSE_SECONDS_DEFAULT: f64 = 5.0;
const REFUSE_SECONDS_MAX: f64 = 31_536_000.0;

/// The filter that `refuse_seconds` asks for: none for 0, the default for what is no duration, a year at most.
pub fn refusal_duration(refuse_seconds: Option<f64>) -> Option<Duration> {
    let seconds = match refuse_seconds {
        Some(seconds) if seconds >= 0.0 => seconds.min(REFUSE_SECONDS_MAX),
        _ => REFUSE_SECONDS_DEFAULT,
    };
    let duration = Duration::from_secs_f64(seconds);
    (!duration.is_zero()).then_some(duration)
}
