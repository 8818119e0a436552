//! Random histories through allocator and oracle: every grant agrees, every invariant holds after every step, and when
//! the allocator has nothing to do, the oracle finds nothing to grant.
#![allow(clippy::unwrap_used)]

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use model::{AgentCapabilities, AgentId, FrameworkCapabilities, FrameworkId};
use proptest::{collection::vec, prelude::*, sample::select};
use proto::v1;
use resources::{Quantities, Resources, conversion::Conversion};
use stdx::{Rng, Tick};

use super::{Oracle, Run};
use crate::{
    Allocator, AllocatorConfig, Budget, ConstraintLimits, FrameworkProfile, Grant, OfferConstraints, Settlement,
    SorterKind, profile::AgentProfile,
};

const ROLES: [&str; 4] = ["*", "a", "a/b", "c"];

#[derive(Clone, Debug)]
enum Step {
    AddFramework(u8, Box<Shape>),
    UpdateFramework(u8, Box<Shape>),
    RemoveFramework(u8),
    Connect(u8, bool),
    Suppress(u8, Vec<usize>),
    Revive(u8, Vec<usize>),
    Weight(usize, f64),
    AddAgent(u8, Box<Machine>),
    Total(u8, usize),
    Profile(u8, Box<Machine>),
    Activate(u8, bool),
    RemoveAgent(u8),
    Whitelist(Option<BTreeSet<u8>>),
    /// Answers an outstanding offer: how much is used, whether some is reserved first, and the filter.
    Settle {
        offer: usize,
        use_part: u8,
        reserve: bool,
        filter: Option<u16>,
    },
    Rescind(usize),
    Finish(usize, Option<u16>),
    Wait(u16),
}

#[derive(Clone, Debug)]
struct Shape {
    roles: BTreeSet<usize>,
    suppressed: BTreeSet<usize>,
    caps: [bool; 6],
    min: Option<usize>,
    constraint: Option<usize>,
}

#[derive(Clone, Debug)]
struct Machine {
    total: usize,
    rack: Option<u8>,
    remote: bool,
    old: bool,
    active: bool,
}

const TOTALS: [&str; 7] = [
    "cpus:4;mem:4096",
    "cpus:8;mem:1024;disk:1000;ports:[1000-1010]",
    "cpus:1;mem:64;cpus(a):2;mem(a):512",
    "cpus:2;mem:256;gpus:1",
    "cpus(a/b):1;mem(a/b):128;cpus(c):1;mem(c):64",
    "cpus:0.005;mem:16;foo:7",
    "",
];

fn total(index: usize) -> Resources {
    match index {
        7 => with_revocable_and_shared(),
        _ => Resources::parse(TOTALS[index % TOTALS.len()], "*").unwrap(),
    }
}

/// Resources as only operations and estimators make them.
fn with_revocable_and_shared() -> Resources {
    let scalar = |name: &str, value| v1::Resource {
        name: name.into(),
        r#type: v1::value::Type::Scalar as i32,
        scalar: Some(v1::value::Scalar { value }),
        ..Default::default()
    };
    let revocable = v1::Resource { revocable: Some(v1::resource::RevocableInfo::default()), ..scalar("cpus", 3.0) };
    let reservation = |role: &str, kind: v1::resource::reservation_info::Type| v1::resource::ReservationInfo {
        r#type: Some(kind as i32),
        role: Some(role.into()),
        ..Default::default()
    };
    use v1::resource::reservation_info::Type::{Dynamic, Static};
    let refined = v1::Resource {
        reservations: vec![reservation("a", Static), reservation("a/b", Dynamic)],
        ..scalar("mem", 99.0)
    };
    let volume = v1::Resource {
        reservations: vec![reservation("a", Dynamic)],
        shared: Some(Default::default()),
        disk: Some(v1::resource::DiskInfo {
            persistence: Some(v1::resource::disk_info::Persistence { id: "v".into(), principal: None }),
            volume: Some(v1::Volume {
                container_path: "v".into(),
                mode: v1::volume::Mode::Rw as i32,
                ..Default::default()
            }),
            ..Default::default()
        }),
        ..scalar("disk", 50.0)
    };
    Resources::from_protos(&[scalar("cpus", 2.0), scalar("mem", 128.0), revocable, refined, volume]).unwrap()
}

fn sets(index: usize) -> Vec<Quantities> {
    let one = |name: &str, amount| [(name.into(), resources::Quantity::from_units(amount))].into_iter().collect();
    match index {
        0 => vec![],
        1 => vec![one("cpus", 3)],
        _ => vec![one("mem", 20), one("disk", 10)],
    }
}

fn constraints(index: usize, roles: &BTreeSet<String>) -> OfferConstraints {
    use v1::scheduler::{
        AttributeConstraint,
        attribute_constraint::{Predicate, Selector, predicate, selector},
        offer_constraints::{RoleConstraints, role_constraints::Group},
    };
    let predicate = match index {
        0 => predicate::Predicate::Exists(Default::default()),
        1 => predicate::Predicate::TextMatches(predicate::TextMatches { regex: "r[0-1]".into() }),
        _ => predicate::Predicate::TextNotEquals(predicate::TextNotEquals { value: "r0".into() }),
    };
    let constraint = AttributeConstraint {
        selector: Selector { selector: Some(selector::Selector::AttributeName("rack".into())) },
        predicate: Predicate { predicate: Some(predicate) },
    };
    let spec = RoleConstraints { groups: vec![Group { attribute_constraints: vec![constraint] }] };
    let role_constraints = roles.iter().take(1).map(|role| (role.clone(), spec.clone())).collect();
    let spec = v1::scheduler::OfferConstraints { role_constraints };
    OfferConstraints::compile(&spec, ConstraintLimits::default()).unwrap()
}

impl Shape {
    fn profile(&self) -> FrameworkProfile {
        let roles: BTreeSet<String> = self.roles.iter().map(|r| ROLES[*r].to_owned()).collect();
        let [revocable, gpus, shared, multi, refinement, region] = self.caps;
        FrameworkProfile {
            suppressed: self.suppressed.iter().map(|r| ROLES[*r].to_owned()).filter(|r| roles.contains(r)).collect(),
            capabilities: FrameworkCapabilities {
                revocable_resources: revocable,
                gpu_resources: gpus,
                shared_resources: shared,
                multi_role: multi,
                reservation_refinement: refinement,
                region_aware: region,
                ..Default::default()
            },
            min_allocatable: self.min.map(|m| roles.iter().map(|r| (r.clone(), sets(m))).collect()).unwrap_or_default(),
            constraints: self.constraint.map(|index| constraints(index, &roles)),
            active: true,
            roles,
        }
    }
}

impl Machine {
    fn profile(&self, number: u8) -> AgentProfile {
        let rack = self.rack.map(|rack| v1::Attribute {
            name: "rack".into(),
            r#type: v1::value::Type::Text as i32,
            text: Some(v1::value::Text { value: format!("r{rack}") }),
            ..Default::default()
        });
        let domain = self.remote.then(|| v1::DomainInfo {
            fault_domain: Some(v1::domain_info::FaultDomain {
                region: v1::domain_info::fault_domain::RegionInfo { name: "far".into() },
                zone: v1::domain_info::fault_domain::ZoneInfo { name: "z".into() },
            }),
        });
        AgentProfile {
            hostname: format!("host{number}"),
            attributes: rack.into_iter().collect(),
            domain,
            capabilities: if self.old { AgentCapabilities::default() } else { AgentCapabilities::ALL },
            active: self.active,
        }
    }
}

fn shape() -> impl Strategy<Value = Box<Shape>> {
    let roles = || proptest::collection::btree_set(0..ROLES.len(), 0..4);
    let rare = || proptest::option::weighted(0.2, 0..3usize);
    (roles(), roles(), any::<[bool; 6]>(), rare(), rare()).prop_map(|(roles, suppressed, caps, min, constraint)| {
        let suppressed = if caps[1] && caps[2] { suppressed } else { BTreeSet::new() };
        let caps = [caps[0], caps[1] || caps[0], caps[2], caps[3], caps[4], caps[5]];
        Box::new(Shape { roles, suppressed, caps, min, constraint })
    })
}

fn machine() -> impl Strategy<Value = Box<Machine>> {
    (0..8usize, proptest::option::of(0..3u8), 0..8u8).prop_map(|(total, rack, odd)| {
        Box::new(Machine { total, rack, remote: odd == 1, old: odd == 2, active: odd != 3 })
    })
}

fn step(frameworks: u8, agents: u8) -> impl Strategy<Value = Step> {
    let f = move || 0..frameworks;
    let a = move || 0..agents;
    let some_roles = || vec(0..ROLES.len(), 0..2);
    let filter = || proptest::option::of(select(vec![0u16, 300, 1000, 1700, 5000]));
    prop_oneof![
        4 => (f(), shape()).prop_map(|(f, s)| Step::AddFramework(f, s)),
        1 => (f(), shape()).prop_map(|(f, s)| Step::UpdateFramework(f, s)),
        1 => f().prop_map(Step::RemoveFramework),
        2 => (f(), any::<bool>()).prop_map(|(f, on)| Step::Connect(f, on)),
        1 => (f(), some_roles()).prop_map(|(f, r)| Step::Suppress(f, r)),
        2 => (f(), some_roles()).prop_map(|(f, r)| Step::Revive(f, r)),
        1 => (0..ROLES.len(), select(vec![0.5, 1.0, 2.0])).prop_map(|(r, w)| Step::Weight(r, w)),
        4 => (a(), machine()).prop_map(|(a, m)| Step::AddAgent(a, m)),
        1 => (a(), 0..8usize).prop_map(|(a, t)| Step::Total(a, t)),
        1 => (a(), machine()).prop_map(|(a, m)| Step::Profile(a, m)),
        1 => (a(), any::<bool>()).prop_map(|(a, on)| Step::Activate(a, on)),
        1 => a().prop_map(Step::RemoveAgent),
        1 => proptest::option::weighted(0.4, proptest::collection::btree_set(a(), 0..4)).prop_map(Step::Whitelist),
        12 => (any::<usize>(), 0..5u8, any::<bool>(), filter())
            .prop_map(|(offer, use_part, reserve, filter)| Step::Settle { offer, use_part, reserve, filter }),
        1 => any::<usize>().prop_map(Step::Rescind),
        4 => (any::<usize>(), filter()).prop_map(|(n, filter)| Step::Finish(n, filter)),
        10 => (0..1500u16).prop_map(Step::Wait),
    ]
}

fn config() -> impl Strategy<Value = AllocatorConfig> {
    let sorter = || select(vec![SorterKind::Drf, SorterKind::Drf, SorterKind::Drf, SorterKind::Random]);
    (any::<bool>(), sorter(), sorter(), any::<[bool; 3]>()).prop_map(|(event_driven, roles, frameworks, odd)| {
        AllocatorConfig {
            event_driven,
            role_sorter: roles,
            framework_sorter: frameworks,
            filter_gpu_resources: odd[0],
            fair_sharing_excluded: if odd[1] { BTreeSet::from(["mem".to_owned()]) } else { BTreeSet::new() },
            region: odd[2].then(|| "near".to_owned()),
            ..Default::default()
        }
    })
}

fn framework(n: u8) -> FrameworkId {
    FrameworkId::from(format!("framework-{n:02}"))
}

fn agent(n: u8) -> AgentId {
    AgentId::from(format!("agent-{n:02}"))
}

fn millis(n: Option<u16>) -> Option<Duration> {
    n.filter(|n| *n > 0).map(|n| Duration::from_millis(n.into()))
}

fn text(grants: &[Grant]) -> Vec<String> {
    grants.iter().map(|g| format!("{} in {} gets of {}: {}", g.framework, g.role, g.agent, g.resources)).collect()
}

struct World {
    now: Tick,
    allocator: Allocator,
    oracle: Oracle,
    offers: Vec<Grant>,
    running: Vec<(FrameworkId, AgentId, Resources)>,
}

impl World {
    fn new(config: AllocatorConfig, seed: u64) -> World {
        World {
            now: Tick(10_000_000),
            oracle: Oracle::new(config.clone()),
            allocator: Allocator::new(config, Rng::new(seed)),
            offers: Vec::new(),
            running: Vec::new(),
        }
    }

    fn apply(&mut self, step: &Step) {
        let now = self.now;
        let (real, oracle) = (&mut self.allocator, &mut self.oracle);
        let names = |roles: &[usize]| roles.iter().map(|r| ROLES[*r].to_owned()).collect::<Vec<_>>();
        match step {
            Step::AddFramework(f, shape) => {
                let id = framework(*f);
                self.offers.retain(|offer| offer.framework != id);
                let mut used = BTreeMap::<AgentId, Resources>::new();
                for agent in (0..16).map(agent) {
                    used.insert(agent, Resources::EMPTY);
                }
                for (_, agent, resources) in self.running.iter().filter(|(f, ..)| *f == id) {
                    *used.entry(agent.clone()).or_default() += resources;
                }
                real.add_framework(now, &id, shape.profile(), &used);
                oracle.add_framework(&id, shape.profile(), &used);
            }
            Step::UpdateFramework(f, shape) => {
                real.update_framework(now, &framework(*f), shape.profile());
                oracle.update_framework(&framework(*f), shape.profile());
            }
            Step::RemoveFramework(f) => {
                let id = framework(*f);
                real.remove_framework(now, &id);
                oracle.remove_framework(&id);
                self.offers.retain(|offer| offer.framework != id);
                self.running.retain(|(f, ..)| *f != id);
            }
            Step::Connect(f, on) => {
                let id = framework(*f);
                if *on {
                    real.activate_framework(now, &id)
                } else {
                    real.deactivate_framework(now, &id)
                }
                oracle.set_framework_active(&id, *on);
            }
            Step::Suppress(f, roles) => {
                real.suppress(now, &framework(*f), &names(roles));
                oracle.suppress(&framework(*f), &names(roles));
            }
            Step::Revive(f, roles) => {
                real.revive(now, &framework(*f), &names(roles));
                oracle.revive(&framework(*f), &names(roles));
            }
            Step::Weight(role, weight) => {
                real.set_weight(ROLES[*role], *weight);
                oracle.set_weight(ROLES[*role], *weight);
            }
            Step::AddAgent(a, machine) => {
                let id = agent(*a);
                let mut used = BTreeMap::<FrameworkId, Resources>::new();
                for (f, _, resources) in self.running.iter().filter(|(_, at, _)| *at == id) {
                    *used.entry(f.clone()).or_default() += resources;
                }
                self.offers.retain(|offer| offer.agent != id);
                real.add_agent(now, &id, machine.profile(*a), total(machine.total), &used);
                oracle.add_agent(&id, machine.profile(*a), total(machine.total), &used);
            }
            Step::Total(a, index) => {
                real.update_agent_total(now, &agent(*a), total(*index));
                oracle.update_agent_total(&agent(*a), total(*index));
            }
            Step::Profile(a, machine) => {
                real.update_agent_profile(now, &agent(*a), machine.profile(*a));
                oracle.update_agent_profile(&agent(*a), machine.profile(*a));
            }
            Step::Activate(a, on) => {
                if *on {
                    real.activate_agent(now, &agent(*a))
                } else {
                    real.deactivate_agent(now, &agent(*a))
                }
                oracle.set_agent_active(&agent(*a), *on);
            }
            Step::RemoveAgent(a) => {
                let id = agent(*a);
                real.remove_agent(now, &id);
                oracle.remove_agent(&id);
                self.offers.retain(|offer| offer.agent != id);
                self.running.retain(|(_, a, _)| *a != id);
            }
            Step::Whitelist(list) => {
                let list: Option<BTreeSet<String>> =
                    list.as_ref().map(|list| list.iter().map(|a| format!("host{a}")).collect());
                real.set_whitelist(now, list.clone());
                oracle.set_whitelist(list);
            }
            Step::Settle { offer, use_part, reserve, filter } => {
                if self.offers.is_empty() {
                    return;
                }
                let offer = self.offers.swap_remove(offer % self.offers.len());
                let settlement = settlement(&offer, *use_part, *reserve, *filter);
                if !settlement.used.is_empty() {
                    self.running.push((offer.framework.clone(), offer.agent.clone(), settlement.used.clone()));
                }
                oracle.settle(now, &offer.framework, &offer.agent, &settlement);
                real.settle(now, &offer.framework, &offer.agent, settlement);
            }
            Step::Rescind(n) => {
                if self.offers.is_empty() {
                    return;
                }
                let offer = self.offers.swap_remove(n % self.offers.len());
                real.recover(now, &offer.framework, &offer.agent, &offer.resources, None);
                oracle.recover(now, &offer.framework, &offer.agent, &offer.resources, None);
            }
            Step::Finish(n, filter) => {
                if self.running.is_empty() {
                    return;
                }
                let (f, a, resources) = self.running.swap_remove(n % self.running.len());
                real.recover(now, &f, &a, &resources, millis(*filter));
                oracle.recover(now, &f, &a, &resources, millis(*filter));
            }
            Step::Wait(n) => self.now = now + Duration::from_millis((*n).into()),
        }
    }

    /// Lets both allocate what is due, cut into pieces of `budget`, and compares.
    fn run(&mut self, budget: Budget) {
        match self.allocator.next_deadline() {
            None => self.expect_nothing(self.now),
            Some((deadline, _)) if deadline <= self.now => {
                let mut grants = self.allocator.allocate(self.now, budget);
                let run = self.allocator.last_run.clone().unwrap();
                while self.allocator.cycle.is_some() {
                    grants.extend(self.allocator.allocate(self.now, budget));
                }
                if run.began {
                    assert_eq!(text(&grants), text(&self.oracle.allocate(&run)));
                } else {
                    assert_eq!(grants, []);
                }
                self.offers.extend(grants);
            }
            Some(_) => assert_eq!(self.allocator.allocate(self.now, budget), []),
        }
    }

    /// Nothing could be granted at `at`.
    fn expect_nothing(&self, at: Tick) {
        let grants = self.oracle.clone().allocate(&Run { cutoff: at, ..Default::default() });
        assert!(grants.is_empty(), "{:?}", text(&grants));
    }

    fn check(&mut self) {
        self.allocator.check_invariants().unwrap();
        for (role, share) in self.allocator.role_shares() {
            assert_eq!(share, self.oracle.role_share(&role), "share of role {role}");
            for (id, share) in self.allocator.framework_shares(&role) {
                assert_eq!(share, self.oracle.client_share(&id, &role), "share of {id} in {role}");
            }
        }
    }

    /// Allocates until nothing is left to do; the oracle must agree that nothing is.
    fn finish(&mut self) {
        for _ in 0..200 {
            self.run(Budget::UNLIMITED);
            let Some((deadline, _)) = self.allocator.next_deadline() else { break };
            self.now = self.now.max(deadline);
        }
    }
}

fn settlement(offer: &Grant, use_part: u8, reserve: bool, filter: Option<u16>) -> Settlement {
    let mut conversions = Vec::new();
    let mut rest = offer.resources.clone();
    if reserve && *offer.role != *"*" {
        let consumed = rest.filter(|r| r.is_unreserved() && !r.is_revocable() && r.scalar().is_some());
        let consumed = consumed.filter(|r| *r.name() == "cpus");
        let reservation = resources::Reservation::new_dynamic(offer.role.clone(), None);
        if let Ok(converted) = consumed.push_reservation(&reservation)
            && !consumed.is_empty()
        {
            rest = rest - &consumed + &converted;
            conversions.push(Conversion { consumed, converted, gone: None });
        }
    }
    let used = match use_part {
        0 | 1 => Resources::EMPTY,
        2 => rest.clone(),
        3 => rest.get("cpus") + &rest.shared() + &rest.shared(),
        _ => rest
            .iter()
            .filter_map(|r| Some(r.with_scalar(resources::Quantity(r.scalar()?.0 / 2))))
            .filter(|r| !r.is_exclusive())
            .collect(),
    };
    Settlement { offered: offer.resources.clone(), conversions, used, filter: millis(filter) }
}

/// A history that begins with some frameworks and agents.
fn history(frameworks: u8, agents: u8, len: usize) -> impl Strategy<Value = Vec<Step>> {
    let arrival = prop_oneof![
        (0..frameworks, shape()).prop_map(|(f, s)| Step::AddFramework(f, s)),
        (0..agents, machine()).prop_map(|(a, m)| Step::AddAgent(a, m)),
    ];
    (vec(arrival, 3..usize::from(frameworks + agents)), vec(step(frameworks, agents), 1..len))
        .prop_map(|(arrivals, steps)| arrivals.into_iter().chain(steps).collect())
}

fn play(config: AllocatorConfig, seed: u64, steps: &[Step], budget: Budget) {
    let mut world = World::new(config, seed);
    for step in steps {
        world.now = world.now + Duration::from_millis(1);
        world.apply(step);
        world.check();
        world.run(budget);
        world.check();
    }
    world.finish();
    world.check();
}

/// So many cases, or as many as the environment asks for.
fn cases(usual: u32) -> ProptestConfig {
    let asked = std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok());
    ProptestConfig { cases: asked.unwrap_or(usual), failure_persistence: None, ..Default::default() }
}

proptest! {
    #![proptest_config(cases(100))]

    #[test]
    fn every_grant_agrees(config in config(), seed in any::<u64>(), steps in history(6, 6, 80)) {
        play(config, seed, &steps, Budget::UNLIMITED);
    }

    #[test]
    fn cut_cycles_grant_the_same(config in config(), seed in any::<u64>(), steps in history(6, 6, 60), n in 1..9usize) {
        play(config, seed, &steps, Budget { steps: n });
    }

    /// With changes between the pieces of a cut cycle the order may differ, but nothing is forgotten.
    #[test]
    fn cut_cycles_forget_nothing(config in config(), seed in any::<u64>(), steps in history(6, 6, 80), n in 1..5usize) {
        let mut world = World::new(config, seed);
        for step in &steps {
            world.apply(step);
            let grants = world.allocator.allocate(world.now, Budget { steps: n });
            for grant in &grants {
                world.oracle.hold(&grant.agent, &grant.framework, &grant.role, &grant.resources.unallocate());
            }
            world.offers.extend(grants);
            world.check();
        }
        // Every batch and every filter that is due by the end, without anything else happening.
        for _ in 0..200 {
            let Some((deadline, _)) = world.allocator.next_deadline() else { break };
            world.now = world.now.max(deadline);
            let grants = world.allocator.allocate(world.now, Budget { steps: n });
            for grant in &grants {
                world.oracle.hold(&grant.agent, &grant.framework, &grant.role, &grant.resources.unallocate());
            }
        }
        if world.allocator.next_deadline().is_none() {
            world.expect_nothing(world.now);
        }
    }
}

proptest! {
    #![proptest_config(cases(12))]

    /// Enough frameworks that the order of all is walked, not only that of few candidates.
    #[test]
    fn many_frameworks_agree(seed in any::<u64>(), steps in history(60, 5, 150)) {
        play(AllocatorConfig::default(), seed, &steps, Budget::UNLIMITED);
    }
}
