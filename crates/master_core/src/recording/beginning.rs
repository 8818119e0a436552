//! What a recording begins with. One list of fields serves writing and reading, and it names every field of the
//! configuration: a new one that is not recorded does not compile.

use std::{collections::BTreeSet, time::Duration};

use allocator::{AllocatorConfig, ConstraintLimits, Headroom, SorterKind};
use proto::{v1, wire};
use resources::{Name, Quantities, Quantity};
use stdx::pack::{Pack, Unpack};

use crate::Config;

/// All that a master is made from.
#[derive(Clone, Debug)]
pub struct Beginning {
    pub info: v1::MasterInfo,
    pub seed: u64,
    pub config: Config,
}

impl Beginning {
    pub fn encode(&self) -> Vec<u8> {
        let Beginning { info, seed, config } = self;
        let mut out = Pack::default();
        out.bytes(&wire::encode(info)).number(*seed);
        let mut fields = Fields::Written(out);
        // Writing has no end to meet.
        let _ = each(&mut fields, &mut config.clone());
        match fields {
            Fields::Written(mut out) => out.take(),
            Fields::Read(_) => Vec::new(),
        }
    }

    pub fn decode(bytes: &[u8]) -> Option<Beginning> {
        let mut from = Unpack::new(bytes);
        let info = wire::decode(from.bytes()?).ok()?;
        let seed = from.number()?;
        // Nothing was too large for the masters of older recordings, which do not say what is.
        let mut config = Config {
            framework_bytes_max: usize::MAX,
            task_bytes_max: usize::MAX,
            reservation_bytes_max: usize::MAX,
            ..Config::default()
        };
        each(&mut Fields::Read(from), &mut config)?;
        Some(Beginning { info, seed, config })
    }
}

/// Every field, in the order of the recording.
fn each(fields: &mut Fields<'_>, config: &mut Config) -> Option<()> {
    let Config {
        agent_ping_timeout,
        max_agent_ping_timeouts,
        agent_reregister_timeout,
        recovery_agent_removal_limit,
        agent_removal_rate_limit,
        require_agent_domain,
        constraint_limits: ConstraintLimits { regex_size },
        offer_timeout,
        heartbeat_interval,
        authenticate_frameworks,
        authenticate_agents,
        root_submissions,
        framework_bytes_max,
        task_bytes_max,
        reservation_bytes_max,
        roles,
        max_completed_frameworks,
        max_completed_tasks_per_framework,
        max_unreachable_tasks_per_framework,
        registry_gc_interval,
        registry_max_agent_age,
        registry_max_agent_count,
        publish,
        allocator,
    } = config;
    let AllocatorConfig {
        interval,
        event_driven,
        coalesce,
        min_allocatable,
        role_sorter,
        framework_sorter,
        fair_sharing_excluded,
        filter_gpu_resources,
        region,
        nested_quota,
        headroom,
        idle_reservations_count,
        agent_recovery_factor,
        recovery_timeout,
    } = allocator;

    fields.time(agent_ping_timeout)?;
    fields.time(agent_reregister_timeout)?;
    let mut offers_last = offer_timeout.unwrap_or_default();
    fields.time(&mut offers_last)?;
    *offer_timeout = Some(offers_last).filter(|time| !time.is_zero());
    [heartbeat_interval, registry_gc_interval, registry_max_agent_age, interval, coalesce]
        .into_iter()
        .try_for_each(|time| fields.time(time))?;
    let mut timeouts = *max_agent_ping_timeouts as usize;
    fields.count(&mut timeouts)?;
    *max_agent_ping_timeouts = u32::try_from(timeouts).ok()?;
    [
        max_completed_frameworks,
        max_completed_tasks_per_framework,
        max_unreachable_tasks_per_framework,
        registry_max_agent_count,
    ]
    .into_iter()
    .try_for_each(|count| fields.count(count))?;
    fields.float(recovery_agent_removal_limit)?;
    [authenticate_frameworks, authenticate_agents, root_submissions, require_agent_domain, event_driven]
        .into_iter()
        .try_for_each(|switch| fields.switch(switch))?;
    if fields.are_over() {
        return Some(());
    }
    fields.count(framework_bytes_max)?;
    fields.count(task_bytes_max)?;
    if fields.are_over() {
        return Some(());
    }
    fields.maybe(agent_removal_rate_limit, |fields, (removals, time)| {
        let mut count = *removals as usize;
        fields.count(&mut count)?;
        *removals = u32::try_from(count).ok()?;
        fields.time(time)
    })?;
    fields.count(regex_size)?;
    fields.maybe(roles, Fields::texts)?;
    fields.switch(publish)?;
    fields.list(min_allocatable, Fields::quantities)?;
    for sorter in [role_sorter, framework_sorter] {
        fields.one_of(sorter, &[SorterKind::Drf, SorterKind::Random])?;
    }
    fields.texts(fair_sharing_excluded)?;
    fields.maybe(region, Fields::text)?;
    fields.one_of(headroom, &[Headroom::Offerable, Headroom::Everything])?;
    [filter_gpu_resources, nested_quota, idle_reservations_count]
        .into_iter()
        .try_for_each(|switch| fields.switch(switch))?;
    fields.float(agent_recovery_factor)?;
    fields.time(recovery_timeout)?;
    if fields.are_over() {
        return Some(());
    }
    fields.count(reservation_bytes_max)
}

/// Values that are written, or read into their places.
enum Fields<'a> {
    Written(Pack),
    Read(Unpack<'a>),
}

impl Fields<'_> {
    /// Older recordings end early.
    fn are_over(&self) -> bool {
        matches!(self, Fields::Read(from) if from.is_empty())
    }

    fn number(&mut self, value: &mut u64) -> Option<()> {
        match self {
            Fields::Written(out) => drop(out.number(*value)),
            Fields::Read(from) => *value = from.number()?,
        }
        Some(())
    }

    fn text(&mut self, value: &mut String) -> Option<()> {
        match self {
            Fields::Written(out) => drop(out.text(value)),
            Fields::Read(from) => *value = from.text()?,
        }
        Some(())
    }

    fn time(&mut self, value: &mut Duration) -> Option<()> {
        let mut nanos = u64::try_from(value.as_nanos()).unwrap_or(u64::MAX);
        self.number(&mut nanos)?;
        *value = Duration::from_nanos(nanos);
        Some(())
    }

    fn count(&mut self, value: &mut usize) -> Option<()> {
        let mut number = *value as u64;
        self.number(&mut number)?;
        *value = usize::try_from(number).ok()?;
        Some(())
    }

    fn float(&mut self, value: &mut f64) -> Option<()> {
        let mut bits = value.to_bits();
        self.number(&mut bits)?;
        *value = f64::from_bits(bits);
        Some(())
    }

    fn switch(&mut self, value: &mut bool) -> Option<()> {
        let mut number = u64::from(*value);
        self.number(&mut number)?;
        *value = number != 0;
        Some(())
    }

    /// By its place among `all`.
    fn one_of<T: Copy + PartialEq>(&mut self, value: &mut T, all: &[T]) -> Option<()> {
        let mut place = all.iter().position(|one| one == value)?;
        self.count(&mut place)?;
        *value = *all.get(place)?;
        Some(())
    }

    fn maybe<T: Default>(
        &mut self,
        value: &mut Option<T>,
        of: impl FnOnce(&mut Self, &mut T) -> Option<()>,
    ) -> Option<()> {
        let mut is_there = value.is_some();
        self.switch(&mut is_there)?;
        match is_there {
            true => of(self, value.get_or_insert_default()),
            false => {
                *value = None;
                Some(())
            }
        }
    }

    fn list<T: Default>(
        &mut self,
        values: &mut Vec<T>,
        mut of: impl FnMut(&mut Self, &mut T) -> Option<()>,
    ) -> Option<()> {
        let mut count = values.len();
        self.count(&mut count)?;
        let mut all = std::mem::take(values).into_iter();
        for _ in 0..count {
            let mut value = all.next().unwrap_or_default();
            of(self, &mut value)?;
            values.push(value);
        }
        Some(())
    }

    fn texts(&mut self, values: &mut BTreeSet<String>) -> Option<()> {
        let mut all: Vec<String> = std::mem::take(values).into_iter().collect();
        self.list(&mut all, Fields::text)?;
        values.extend(all);
        Some(())
    }

    fn quantities(&mut self, values: &mut Quantities) -> Option<()> {
        let mut all: Vec<(String, f64)> =
            values.iter().map(|(name, amount)| (name.as_str().to_owned(), amount.as_f64())).collect();
        self.list(&mut all, |fields, (name, amount)| {
            fields.text(name)?;
            fields.float(amount)
        })?;
        let amount = |(name, amount): (String, f64)| (Name::from(name.as_str()), Quantity::from_f64(amount));
        *values = all.into_iter().map(amount).collect();
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Nothing is as it is by default, so that what is left out is missed.
    fn unusual() -> Config {
        let secs = Duration::from_secs;
        Config {
            agent_ping_timeout: secs(1),
            max_agent_ping_timeouts: 2,
            agent_reregister_timeout: secs(3),
            recovery_agent_removal_limit: 0.4,
            agent_removal_rate_limit: Some((5, secs(6))),
            require_agent_domain: true,
            constraint_limits: ConstraintLimits { regex_size: 7 },
            offer_timeout: Some(secs(8)),
            heartbeat_interval: secs(9),
            authenticate_frameworks: true,
            authenticate_agents: true,
            root_submissions: false,
            framework_bytes_max: 10,
            task_bytes_max: 11,
            reservation_bytes_max: 21,
            roles: Some(BTreeSet::from(["a".into(), "b".into()])),
            max_completed_frameworks: 12,
            max_completed_tasks_per_framework: 13,
            max_unreachable_tasks_per_framework: 14,
            registry_gc_interval: secs(15),
            registry_max_agent_age: secs(16),
            registry_max_agent_count: 17,
            publish: true,
            allocator: AllocatorConfig {
                interval: secs(18),
                event_driven: false,
                coalesce: secs(19),
                min_allocatable: vec![[(Name::from("cpus"), Quantity(20))].into_iter().collect()],
                role_sorter: SorterKind::Random,
                framework_sorter: SorterKind::Random,
                fair_sharing_excluded: BTreeSet::from(["gpus".into()]),
                filter_gpu_resources: false,
                region: Some("r".into()),
                nested_quota: false,
                headroom: Headroom::Everything,
                idle_reservations_count: false,
                agent_recovery_factor: 0.21,
                recovery_timeout: secs(22),
            },
        }
    }

    #[test]
    fn a_beginning_comes_back_as_it_was() {
        for config in [Config::default(), unusual()] {
            let beginning =
                Beginning { info: v1::MasterInfo { id: "m".into(), ..Default::default() }, seed: 9, config };
            let back = Beginning::decode(&beginning.encode());
            assert_eq!(back.map(|back| format!("{back:?}")), Some(format!("{beginning:?}")));
        }
    }

    #[test]
    fn an_older_one_leaves_the_rest_as_it_was_then() {
        let beginning = Beginning { info: v1::MasterInfo::default(), seed: 1, config: unusual() };
        let bytes = beginning.encode();
        // The bounds follow the last of the switches; each takes a byte here.
        let before = Beginning { config: Config { framework_bytes_max: 100, ..unusual() }, ..beginning }.encode();
        let at = bytes.iter().zip(&before).position(|(one, other)| one != other).expect("they differ");
        let old = Beginning::decode(&bytes[..at]).expect("an older beginning");
        assert_eq!(old.config.framework_bytes_max, usize::MAX);
        assert_eq!(old.config.registry_max_agent_count, 17);
        assert!(Beginning::decode(&bytes[..at - 1]).is_none());
    }
}
