//! Random histories as data: what happens to frameworks, agents, quotas and offers, with made-up but realistic values.

use std::collections::BTreeSet;

use model::{AgentCapabilities, FrameworkCapabilities};
use proto::{meseta, v1};
use resources::{Quantities, Resources};
use stdx::Rng;

use crate::{
    AllocatorConfig, ConstraintLimits, FrameworkProfile, Group, Headroom, OfferConstraints, Quota, SorterKind,
    profile::AgentProfile,
};

pub(super) const ROLES: [&str; 6] = ["*", "a", "a/b", "a/b/d", "c", "c/e"];

#[derive(Clone, Debug)]
pub(super) enum Step {
    AddFramework(u8, Box<Shape>),
    UpdateFramework(u8, Box<Shape>),
    RemoveFramework(u8),
    Connect(u8, bool),
    Suppress(u8, Vec<usize>),
    Revive(u8, Vec<usize>),
    Weight(usize, f64),
    Quota(usize, Box<Quota>),
    Groups(Vec<Club>),
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
    /// An operator reserves free resources of an agent to a role, or takes a reservation back.
    Reserve(u8, usize),
    Unreserve(u8),
    Unavailable(u8, bool),
    /// Answers an outstanding inverse offer.
    AnswerInverse(usize, Option<bool>, Option<u16>),
    Recovery(u8),
    Wait(u16),
}

#[derive(Clone, Debug)]
pub(super) struct Shape {
    roles: BTreeSet<usize>,
    suppressed: BTreeSet<usize>,
    caps: [bool; 6],
    min: Option<usize>,
    constraint: Option<usize>,
}

/// A resource group.
#[derive(Clone, Debug)]
pub(super) struct Club {
    name: u8,
    roles: BTreeSet<usize>,
    racks: Option<u8>,
    unit: usize,
    weight: f64,
    min: u64,
    max: Option<u64>,
    sorter: Option<i32>,
    exclusive: bool,
}

impl Club {
    pub(super) fn group(&self) -> Group {
        let scalar = |(name, value): &(&str, f64)| ((*name).to_owned(), v1::value::Scalar { value: *value });
        let units: [&[(&str, f64)]; 3] = [&[("cpus", 1.0)], &[("cpus", 0.5), ("mem", 64.0)], &[("mem", 100.0)]];
        let role = |r: &usize| ROLES[*r].to_owned();
        let spec = meseta::v1::ResourceGroup {
            name: format!("club{}", self.name),
            selector: self.racks.map(|rack| role_constraints(rack.into())),
            roles: self.roles.iter().map(role).collect(),
            weight: Some(self.weight),
            unit: units[self.unit].iter().map(scalar).collect(),
            capacity: Some(meseta::v1::resource_group::Capacity { min: Some(self.min), max: self.max }),
            sorter: self.sorter,
            exclusive: Some(self.exclusive),
        };
        Group::compile(&spec, ConstraintLimits::default()).unwrap()
    }
}

#[derive(Clone, Debug)]
pub(super) struct Machine {
    pub total: usize,
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

pub(super) fn total(index: usize) -> Resources {
    match index {
        7 => with_revocable_and_shared(),
        8 => with_whole_disks(),
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
        disk: Some(Box::new(v1::resource::DiskInfo {
            persistence: Some(v1::resource::disk_info::Persistence { id: "v".into(), principal: None }),
            volume: Some(v1::Volume {
                container_path: "v".into(),
                mode: v1::volume::Mode::Rw as i32,
                ..Default::default()
            }),
            ..Default::default()
        })),
        ..scalar("disk", 50.0)
    };
    Resources::from_protos(&[scalar("cpus", 2.0), scalar("mem", 128.0), revocable, refined, volume]).unwrap()
}

/// Disks that cannot be divided.
fn with_whole_disks() -> Resources {
    let mut rows = Resources::parse("cpus:3;mem:300;disk:20", "*").unwrap().to_protos();
    for (size, root) in [(5.0, "x"), (8.0, "y"), (8.0, "z")] {
        rows.push(v1::Resource {
            name: "disk".into(),
            r#type: v1::value::Type::Scalar as i32,
            scalar: Some(v1::value::Scalar { value: size }),
            disk: Some(Box::new(v1::resource::DiskInfo {
                source: Some(v1::resource::disk_info::Source {
                    r#type: v1::resource::disk_info::source::Type::Mount as i32,
                    mount: Some(v1::resource::disk_info::source::Mount { root: Some(root.into()) }),
                    ..Default::default()
                }),
                ..Default::default()
            })),
            ..Default::default()
        });
    }
    Resources::from_protos(&rows).unwrap()
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
    let spec = role_constraints(index);
    let role_constraints = roles.iter().take(1).map(|role| (role.clone(), spec.clone())).collect();
    let spec = v1::scheduler::OfferConstraints { role_constraints };
    OfferConstraints::compile(&spec, ConstraintLimits::default()).unwrap()
}

fn role_constraints(index: usize) -> v1::scheduler::offer_constraints::RoleConstraints {
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
    RoleConstraints { groups: vec![Group { attribute_constraints: vec![constraint] }] }
}

impl Shape {
    pub(super) fn profile(&self) -> FrameworkProfile {
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
    pub(super) fn profile(&self, number: u8) -> AgentProfile {
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

/// Where a history comes from: its seed tells all of it.
pub(super) struct Maker {
    pub rng: Rng,
    pub frameworks: u64,
    pub agents: u64,
}

impl Maker {
    fn below(&mut self, bound: usize) -> usize {
        self.rng.below(bound as u64) as usize
    }

    fn chance(&mut self, one_in: u64) -> bool {
        self.rng.below(one_in) == 0
    }

    fn coin(&mut self) -> bool {
        self.chance(2)
    }

    fn one_of<T: Clone>(&mut self, all: &[T]) -> T {
        let at = self.below(all.len());
        all[at].clone()
    }

    fn f(&mut self) -> u8 {
        self.rng.below(self.frameworks) as u8
    }

    fn a(&mut self) -> u8 {
        self.rng.below(self.agents) as u8
    }

    fn roles(&mut self, most: usize) -> BTreeSet<usize> {
        let count = self.below(most + 1);
        (0..count).map(|_| self.below(ROLES.len())).collect()
    }

    fn filter(&mut self) -> Option<u16> {
        self.one_of(&[None, Some(0), Some(300), Some(1000), Some(1700), Some(5000)])
    }

    pub fn config(&mut self) -> AllocatorConfig {
        let defaults = if self.chance(3) { AllocatorConfig::mesos() } else { AllocatorConfig::default() };
        let sorters = [SorterKind::Drf, SorterKind::Drf, SorterKind::Drf, SorterKind::Random];
        AllocatorConfig {
            event_driven: self.coin(),
            role_sorter: self.one_of(&sorters),
            framework_sorter: self.one_of(&sorters),
            filter_gpu_resources: self.coin(),
            fair_sharing_excluded: if self.coin() { BTreeSet::from(["mem".to_owned()]) } else { BTreeSet::new() },
            region: self.coin().then(|| "near".to_owned()),
            nested_quota: if self.chance(4) { self.coin() } else { defaults.nested_quota },
            headroom: self.one_of(&[defaults.headroom, Headroom::Offerable]),
            idle_reservations_count: if self.chance(4) { self.coin() } else { defaults.idle_reservations_count },
            ..defaults
        }
    }

    fn shape(&mut self) -> Box<Shape> {
        let suppressed = if self.chance(4) { self.roles(3) } else { BTreeSet::new() };
        let caps = [self.coin(), self.chance(4), self.coin(), self.coin(), self.coin(), self.coin()];
        let caps = [caps[0], !caps[1], caps[2], caps[3], caps[4], caps[5]];
        let min = self.chance(5).then(|| self.below(3));
        let constraint = self.chance(5).then(|| self.below(3));
        Box::new(Shape { roles: self.roles(4), suppressed, caps, min, constraint })
    }

    fn machine(&mut self) -> Box<Machine> {
        let odd = self.below(10);
        let rack = self.coin().then(|| self.below(3) as u8);
        Box::new(Machine { total: self.below(9), rack, remote: odd == 1, old: odd == 2, active: odd != 3 })
    }

    fn quota(&mut self) -> Box<Quota> {
        if self.chance(4) {
            return Box::default();
        }
        let names = [("cpus", 12), ("mem", 3000), ("disk", 900)];
        let mut guarantees = Vec::new();
        let mut limits = Vec::new();
        for (name, most) in names {
            let low = self.below(most) as f64 / 2.0;
            if self.coin() {
                guarantees.push((name, low));
            }
            if self.coin() {
                limits.push((name, low + self.below(most) as f64 / 2.0));
            }
        }
        Box::new(Quota::from_numbers(guarantees, limits).unwrap())
    }

    fn clubs(&mut self) -> Vec<Club> {
        let count = self.below(4) as u8;
        (0..count).map(|name| self.club(name)).collect()
    }

    fn club(&mut self, name: u8) -> Club {
        let min = self.rng.below(4);
        let mut roles = self.roles(2);
        roles.insert(self.below(ROLES.len()));
        Club {
            name,
            roles,
            racks: self.coin().then(|| self.below(3) as u8),
            unit: self.below(3),
            weight: self.one_of(&[0.5, 1.0, 3.0]),
            min,
            max: self.coin().then(|| min.max(1) + self.rng.below(5)),
            sorter: self.one_of(&[None, Some(0), Some(1)]),
            exclusive: self.chance(4),
        }
    }

    pub fn arrival(&mut self) -> Step {
        match self.below(5) {
            0..=1 => Step::AddFramework(self.f(), self.shape()),
            2..=3 => Step::AddAgent(self.a(), self.machine()),
            _ => Step::Quota(self.below(ROLES.len()), self.quota()),
        }
    }

    pub fn step(&mut self) -> Step {
        match self.below(64) {
            0..=3 => Step::AddFramework(self.f(), self.shape()),
            4 => Step::UpdateFramework(self.f(), self.shape()),
            5 => Step::RemoveFramework(self.f()),
            6..=7 => Step::Connect(self.f(), self.coin()),
            8 => Step::Suppress(self.f(), self.roles(1).into_iter().collect()),
            9..=10 => Step::Revive(self.f(), self.roles(1).into_iter().collect()),
            11 => Step::Weight(self.below(ROLES.len()), self.one_of(&[0.5, 1.0, 2.0])),
            12..=14 => Step::Quota(self.below(ROLES.len()), self.quota()),
            15..=18 => Step::AddAgent(self.a(), self.machine()),
            19 => Step::Total(self.a(), self.below(9)),
            20 => Step::Profile(self.a(), self.machine()),
            21 => Step::Activate(self.a(), self.coin()),
            22 => Step::RemoveAgent(self.a()),
            23 => {
                let count = self.below(4);
                let list = (0..count).map(|_| self.a()).collect();
                Step::Whitelist(self.chance(3).then_some(list))
            }
            24..=38 => Step::Settle {
                offer: self.below(1000),
                use_part: self.below(5) as u8,
                reserve: self.coin(),
                filter: self.filter(),
            },
            39 => Step::Rescind(self.below(1000)),
            40..=44 => Step::Finish(self.below(1000), self.filter()),
            45..=46 => Step::Reserve(self.a(), self.below(ROLES.len())),
            47 => Step::Unreserve(self.a()),
            48 => Step::Unavailable(self.a(), !self.chance(3)),
            49..=50 => {
                let answer = self.one_of(&[None, Some(true), Some(false)]);
                Step::AnswerInverse(self.below(1000), answer, self.filter())
            }
            52..=53 => Step::Groups(self.clubs()),
            51 if self.chance(8) => Step::Recovery(self.below(6) as u8),
            _ => Step::Wait(self.below(1500) as u16),
        }
    }

    /// A history that begins with some frameworks, agents and quotas.
    pub fn history(&mut self, len: usize) -> Vec<Step> {
        let arrivals = 3 + self.below((self.frameworks + self.agents) as usize);
        let mut steps: Vec<Step> = (0..arrivals).map(|_| self.arrival()).collect();
        steps.extend((0..len).map(|_| self.step()));
        steps
    }
}
