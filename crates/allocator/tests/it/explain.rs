//! Why a framework got nothing: each cause once.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use allocator::{
    AgentProfile, Allocator, AllocatorConfig, Budget, ConstraintLimits, FrameworkProfile, Grant, Group,
    OfferConstraints, Quota, Settlement,
    explain::{Cause, Reason},
};
use model::{AgentCapabilities, AgentId, FrameworkCapabilities, FrameworkId};
use proto::{meseta, v1};
use resources::Resources;
use stdx::{Rng, Tick};

const SECOND: Duration = Duration::from_secs(1);

struct Cluster {
    allocator: Allocator,
    now: Tick,
}

impl Cluster {
    fn new() -> Cluster {
        let config = AllocatorConfig { coalesce: Duration::ZERO, ..Default::default() };
        Cluster { allocator: Allocator::new(config, Rng::new(5)), now: Tick(1) }
    }

    fn framework_with(&mut self, id: &str, role: &str, change: impl FnOnce(&mut FrameworkProfile)) {
        let mut profile = FrameworkProfile {
            roles: BTreeSet::from([role.to_owned()]),
            active: true,
            capabilities: FrameworkCapabilities { reservation_refinement: true, ..Default::default() },
            ..Default::default()
        };
        change(&mut profile);
        self.allocator.add_framework(self.now, &FrameworkId::from(id), profile, &BTreeMap::new());
    }

    fn framework(&mut self, id: &str, role: &str) {
        self.framework_with(id, role, |_| {});
    }

    fn agent(&mut self, id: &str, total: &str) {
        let profile = AgentProfile {
            hostname: id.to_owned(),
            attributes: Vec::new(),
            domain: None,
            capabilities: AgentCapabilities::ALL,
            active: true,
        };
        let total = Resources::parse(total, "*").unwrap();
        self.allocator.add_agent(self.now, &AgentId::from(id), profile, total, &BTreeMap::new());
    }

    fn group(&mut self, name: &str, role: &str, max: Option<u64>, exclusive: bool) -> Group {
        let spec = meseta::v1::ResourceGroup {
            name: name.to_owned(),
            roles: vec![role.to_owned()],
            unit: BTreeMap::from([("cpus".to_owned(), v1::value::Scalar { value: 1.0 })]),
            capacity: Some(meseta::v1::resource_group::Capacity { min: None, max }),
            exclusive: Some(exclusive),
            ..Default::default()
        };
        Group::compile(&spec, ConstraintLimits::default()).unwrap()
    }

    fn allocate(&mut self) -> Vec<Grant> {
        let mut all = Vec::new();
        for _ in 0..10 {
            all.extend(self.allocator.allocate(self.now, Budget::UNLIMITED));
        }
        all
    }

    fn accept(&mut self, grant: &Grant) {
        let used = grant.resources.clone();
        let settlement = Settlement { offered: used.clone(), used, ..Default::default() };
        self.allocator.settle(self.now, &grant.framework, &grant.agent, settlement);
    }

    fn decline(&mut self, grant: &Grant, filter: Duration) {
        let settlement = Settlement { offered: grant.resources.clone(), filter: Some(filter), ..Default::default() };
        self.allocator.settle(self.now, &grant.framework, &grant.agent, settlement);
    }

    fn reasons(&self, framework: &str) -> Vec<Reason> {
        let mut all =
            self.allocator.explain(self.now, Some(&FrameworkId::from(framework)), None, usize::MAX).explanations;
        assert_eq!(all.len(), 1);
        all.remove(0).reasons
    }

    fn causes(&self, framework: &str) -> Vec<(Cause, u64)> {
        self.reasons(framework).into_iter().map(|reason| (reason.cause, reason.agents)).collect()
    }
}

#[test]
fn what_keeps_a_framework_from_all_agents_is_told_alone() {
    let mut cluster = Cluster::new();
    cluster.framework("F", "a");
    assert_eq!(cluster.causes("F"), [(Cause::NoAgents, 0)]);
    cluster.agent("A", "cpus:1;mem:64");
    assert_eq!(cluster.causes("F"), [(Cause::NextCycle, 1)]);
    let grants = cluster.allocate();
    assert_eq!(cluster.causes("F"), [(Cause::Granted, 1)]);
    cluster.decline(&grants[0], 5 * SECOND);
    cluster.now = cluster.now + SECOND;
    let reason = &cluster.reasons("F")[0];
    assert_eq!((&reason.cause, reason.remaining), (&Cause::Granted, None));
    cluster.allocator.suppress(cluster.now, &FrameworkId::from("F"), &[]);
    assert_eq!(cluster.causes("F"), [(Cause::Suppressed, 0)]);
    cluster.allocator.deactivate_framework(cluster.now, &FrameworkId::from("F"));
    assert_eq!(cluster.causes("F"), [(Cause::Inactive, 0)]);
}

#[test]
fn each_agent_has_its_cause() {
    let mut cluster = Cluster::new();
    cluster.framework("first", "a");
    cluster.agent("held", "cpus:1;mem:64");
    let grants = cluster.allocate();
    cluster.accept(&grants[0]);
    cluster.framework_with("F", "b", |profile| profile.capabilities.gpu_resources = false);
    cluster.agent("declined", "cpus:1;mem:64");
    cluster.agent("gpus", "cpus:1;mem:64;gpus:1");
    cluster.agent("small", "cpus:0.001;mem:1");
    cluster.agent("others", "cpus(x):1;mem(x):64");
    cluster.agent("away", "cpus:1;mem:64");
    cluster.allocator.deactivate_agent(cluster.now, &AgentId::from("away"));
    cluster.allocator.suppress(cluster.now, &FrameworkId::from("first"), &[]);
    for grant in cluster.allocate() {
        cluster.decline(&grant, 30 * SECOND);
    }
    cluster.now = cluster.now + SECOND;
    cluster.agent("new", "cpus:1;mem:64");
    cluster.allocate();
    let mut causes = cluster.causes("F");
    causes.sort();
    assert_eq!(
        causes,
        [
            (Cause::Granted, 1),
            (Cause::AgentInactive, 1),
            (Cause::Capability("GPU_RESOURCES"), 1),
            (Cause::SetApart, 1),
            (Cause::BelowMinimum, 1),
            (Cause::Filtered, 1),
            (Cause::OthersFirst(FrameworkId::from("first")), 1),
        ]
    );
    let reasons = cluster.reasons("F");
    let filtered = reasons.iter().find(|reason| reason.cause == Cause::Filtered).unwrap();
    assert_eq!((filtered.remaining, &filtered.example), (Some(29 * SECOND), &Some(AgentId::from("declined"))));
}

#[test]
fn quotas_are_named() {
    let mut cluster = Cluster::new();
    let now = cluster.now;
    cluster.allocator.set_quota(now, "small", Quota::from_numbers([], [("cpus", 0.0)]).unwrap());
    cluster.allocator.set_quota(now, "promised", Quota::from_numbers([("cpus", 4.0), ("mem", 64.0)], []).unwrap());
    cluster.framework("F", "small");
    cluster.framework("G", "b");
    cluster.framework("H", "promised");
    cluster.allocator.suppress(now, &FrameworkId::from("H"), &[]);
    cluster.agent("A", "cpus:4;mem:64");
    cluster.allocate();
    assert_eq!(cluster.causes("F"), [(Cause::Limit("small".into()), 1)]);
    assert_eq!(cluster.causes("G"), [(Cause::Headroom(Some("promised".into())), 1)]);
}

#[test]
fn groups_are_named() {
    let mut cluster = Cluster::new();
    let groups = vec![cluster.group("g", "a", Some(1), false), cluster.group("alone", "c", Some(1), true)];
    cluster.allocator.set_groups(cluster.now, groups);
    cluster.framework("F", "a");
    cluster.framework("G", "b");
    cluster.framework("H", "c");
    cluster.agent("A", "cpus:2;mem:640");
    let grants = cluster.allocate();
    let of = |framework: &str| grants.iter().find(|grant| grant.framework == FrameworkId::from(framework));
    assert_eq!(grants.len(), 1, "an exclusive group and another share no agent: {grants:?}");
    match of("F") {
        Some(grant) => {
            let grant = grant.clone();
            cluster.accept(&grant);
            assert_eq!(cluster.causes("H"), [(Cause::LostDraw("g".into()), 1)]);
        }
        None => {
            assert_eq!(cluster.causes("F"), [(Cause::Exclusive("alone".into()), 1)]);
            assert_eq!(cluster.causes("G"), [(Cause::Exclusive("alone".into()), 1)]);
        }
    }
    let last = grants[0].framework.clone();
    cluster.agent("B", "cpus:2;mem:640");
    let full = cluster.causes(last.as_str());
    assert!(full.iter().any(|(cause, _)| matches!(cause, Cause::GroupFull(_))), "{full:?}");
}

#[test]
fn constraints_that_no_agent_passes_are_told() {
    use v1::scheduler::{
        AttributeConstraint,
        attribute_constraint::{Predicate, Selector, predicate, selector},
        offer_constraints::{RoleConstraints, role_constraints},
    };
    let constraint = AttributeConstraint {
        selector: Selector { selector: Some(selector::Selector::AttributeName("rack".to_owned())) },
        predicate: Predicate { predicate: Some(predicate::Predicate::Exists(Default::default())) },
    };
    let rule = RoleConstraints { groups: vec![role_constraints::Group { attribute_constraints: vec![constraint] }] };
    let spec = v1::scheduler::OfferConstraints { role_constraints: BTreeMap::from([("a".to_owned(), rule)]) };
    let mut cluster = Cluster::new();
    cluster.framework_with("F", "a", |profile| {
        profile.constraints = Some(OfferConstraints::compile(&spec, ConstraintLimits::default()).unwrap());
    });
    for agent in ["A", "B", "C"] {
        cluster.agent(agent, "cpus:1;mem:64");
    }
    assert_eq!(cluster.allocate(), []);
    assert_eq!(cluster.causes("F"), [(Cause::Constraints, 3)]);
    cluster.allocator.set_whitelist(cluster.now, Some(BTreeSet::from(["A".to_owned()])));
    assert_eq!(cluster.causes("F"), [(Cause::NotWhitelisted, 2), (Cause::Constraints, 1)]);
}

#[test]
fn a_lost_draw_is_told_with_the_group_that_won() {
    let mut cluster = Cluster::new();
    let groups = vec![cluster.group("lucky", "a", None, false), cluster.group("late", "b", None, false)];
    cluster.allocator.set_groups(cluster.now, groups);
    cluster.framework("F", "a");
    cluster.agent("A", "cpus:2");
    let grants = cluster.allocate();
    cluster.accept(&grants[0]);
    cluster.framework("G", "b");
    assert_eq!(cluster.allocate(), []);
    assert_eq!(cluster.causes("G"), [(Cause::LostDraw("lucky".into()), 1)]);
}

#[test]
fn a_role_stands_for_those_below_it_and_what_was_not_looked_at_is_counted() {
    let mut cluster = Cluster::new();
    for (id, role) in [("a", "eng/web"), ("b", "eng"), ("c", "engine"), ("d", "ops")] {
        cluster.framework(id, role);
    }
    for agent in ["x", "y"] {
        cluster.agent(agent, "cpus:1;mem:64");
    }
    let ask = |role, looks| cluster.allocator.explain(cluster.now, None, role, looks);
    let roles = |role, looks| ask(role, looks).explanations.iter().map(|one| one.role.to_string()).collect::<Vec<_>>();
    assert_eq!(roles(Some("eng"), usize::MAX), ["eng/web", "eng"]);
    assert_eq!(roles(Some("ops"), 0), ["ops"], "one is told in any case");
    assert_eq!((ask(None, 6).explanations.len(), ask(None, 6).left_out), (3, 1));
    assert_eq!(ask(None, 8).left_out, 0);
}
