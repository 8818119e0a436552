//! What a competition of resource groups costs: 50 groups that overlap draw all that 50,000 agents have free, then what
//! one agent that changes costs.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use allocator::{
    AgentProfile, Allocator, AllocatorConfig, Budget, ConstraintLimits, FrameworkProfile, Group, Settlement,
};
use model::{AgentCapabilities, FrameworkCapabilities};
use proto::{
    meseta,
    v1::{
        self,
        scheduler::{
            AttributeConstraint,
            attribute_constraint::{Predicate, Selector, predicate, selector},
            offer_constraints::{RoleConstraints, role_constraints},
        },
    },
};
use stdx::{Rng, Tick};

use crate::{
    cluster::{agent, framework, parse},
    figure::{median_ms, print},
};

const AGENTS: usize = 50_000;
const GROUPS: usize = 50;
/// Agents differ by an attribute with so many values; a group selects half of them.
const SETS: usize = 10;
const FRAMEWORKS: usize = 100;
/// What a master lets the allocator do in one step.
const MASTERS: Budget = Budget { steps: 20_000 };

pub fn competition() {
    let (mut whole, mut competitions) = (Vec::new(), Vec::new());
    let (mut won, mut busy) = (0, Vec::new());
    let (mut single, mut pieces) = (Vec::new(), Vec::new());
    for seed in 0..5 {
        let mut allocator = cluster(seed);
        let now = Tick::ZERO + Duration::from_secs(1);
        let (begin, cpu) = (Instant::now(), cpu_time());
        let mut grants = Vec::new();
        // The competition comes first; small pieces, so that the last one does not go on with the agents for long.
        while allocator.is_competing() || grants.is_empty() {
            grants.extend(allocator.allocate(now, Budget { steps: 500 }));
        }
        competitions.push(begin.elapsed());
        busy.push(cpu_time().saturating_sub(cpu));
        grants.extend(allocator.allocate(now, Budget::UNLIMITED));
        whole.push(begin.elapsed());
        won = allocator.group_standings().iter().map(|standing| standing.won_total).sum();
        for grant in grants.iter().take(100) {
            let used = grant.resources.clone();
            let settlement = Settlement { offered: used.clone(), used: used.clone(), ..Default::default() };
            allocator.settle(now, &grant.framework, &grant.agent, settlement);
            allocator.recover(now, &grant.framework, &grant.agent, &used, None);
            let begin = Instant::now();
            let next = now + Duration::from_secs(1 + single.len() as u64);
            assert!(!allocator.allocate(next, Budget::UNLIMITED).is_empty());
            single.push(begin.elapsed());
        }
    }
    let mut allocator = cluster(9);
    while pieces.is_empty() || allocator.is_cut() {
        let piece = Instant::now();
        std::hint::black_box(allocator.allocate(Tick::ZERO + Duration::from_secs(1), MASTERS));
        pieces.push(piece.elapsed());
    }
    let conditions = format!(
        "{AGENTS} agents, {GROUPS} groups that select half of them each, {FRAMEWORKS} frameworks; {won} units won; median of 5; one thread"
    );
    print(
        "groups.50000x50_ms",
        median_ms(&mut competitions),
        "ms",
        &format!("one competition, {:.0} ms of it on a CPU; {conditions}", median_ms(&mut busy)),
        None,
    );
    pieces.sort();
    print(
        "groups.50000x50_longest_step_ms",
        pieces.last().map_or(0.0, |piece| piece.as_secs_f64() * 1000.0),
        "ms",
        &format!(
            "the longest call with the master's budget of {} steps, of {}; {conditions}",
            MASTERS.steps,
            pieces.len()
        ),
        None,
    );
    print("groups.50000x50_cycle_ms", median_ms(&mut whole), "ms", &format!("the cycle with it; {conditions}"), None);
    let conditions = format!("{conditions}; a cycle after one agent's units came back");
    print("groups.50000x50_one_agent_ms", median_ms(&mut single), "ms", &conditions, None);
}

/// How long this thread has been on a CPU; nothing where the kernel does not tell. Neighbours disturb it less than the
/// clock.
fn cpu_time() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    Duration::from_nanos(text.split(' ').next().and_then(|nanos| nanos.parse().ok()).unwrap_or(0))
}

fn cluster(seed: u64) -> Allocator {
    let (mut allocator, mut rng) = (Allocator::new(AllocatorConfig::default(), Rng::new(seed)), Rng::new(seed));
    let groups: Vec<Group> = (0..GROUPS).map(group).collect();
    allocator.set_groups(Tick::ZERO, groups);
    for f in 0..FRAMEWORKS {
        let profile = FrameworkProfile {
            roles: BTreeSet::from([format!("role{}", f % GROUPS)]),
            capabilities: FrameworkCapabilities { reservation_refinement: true, ..Default::default() },
            active: true,
            ..Default::default()
        };
        allocator.add_framework(Tick::ZERO, &framework(f), profile, &BTreeMap::new());
    }
    for a in 0..AGENTS {
        let attributes = format!("set:s{};competition_weight:{}", rng.below(SETS as u64), 1 + rng.below(3));
        let profile = AgentProfile {
            hostname: format!("agent{a}"),
            attributes: resources::attributes::parse(&attributes).unwrap_or_default(),
            domain: None,
            capabilities: AgentCapabilities::ALL,
            active: true,
        };
        let cpus = 4 + rng.below(12);
        let total = parse(&format!("cpus:{cpus};mem:{};disk:4096;ports:[31000-32000]", (cpus + rng.below(8)) * 1024));
        allocator.add_agent(Tick::ZERO, &agent(a), profile, total, &BTreeMap::new());
    }
    allocator
}

fn group(number: usize) -> Group {
    let sets: Vec<String> = (0..SETS / 2).map(|n| format!("s{}", (number + n) % SETS)).collect();
    let matches = predicate::TextMatches { regex: sets.join("|") };
    let constraint = AttributeConstraint {
        selector: Selector { selector: Some(selector::Selector::AttributeName("set".to_owned())) },
        predicate: Predicate { predicate: Some(predicate::Predicate::TextMatches(matches)) },
    };
    let scalar = |value| v1::value::Scalar { value };
    let spec = meseta::v1::ResourceGroup {
        name: format!("group{number}"),
        selector: Some(RoleConstraints {
            groups: vec![role_constraints::Group { attribute_constraints: vec![constraint] }],
        }),
        roles: vec![format!("role{number}")],
        weight: Some(1.0 + number as f64 / 10.0),
        unit: BTreeMap::from([("cpus".to_owned(), scalar(1.0)), ("mem".to_owned(), scalar(1024.0))]),
        capacity: Some(meseta::v1::resource_group::Capacity { min: Some(100), max: None }),
        ..Default::default()
    };
    match Group::compile(&spec, ConstraintLimits::default()) {
        Ok(group) => group,
        Err(why) => panic!("{why}"),
    }
}
