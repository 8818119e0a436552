//! Why a framework got nothing: each cause once.

use std::collections::{BTreeMap, BTreeSet};

use allocator::{
    ConstraintLimits, FrameworkProfile, OfferConstraints, Quota,
    explain::{Cause, Reason},
};
use model::{AgentId, FrameworkCapabilities, FrameworkId};
use proto::{meseta, v1};

use crate::cluster::{Cluster, SECOND, all_capabilities, profile};

fn group(name: &str, role: &str, max: Option<u64>, exclusive: bool) -> meseta::v1::ResourceGroup {
    meseta::v1::ResourceGroup {
        name: name.to_owned(),
        roles: vec![role.to_owned()],
        unit: BTreeMap::from([("cpus".to_owned(), v1::value::Scalar { value: 1.0 })]),
        capacity: Some(meseta::v1::resource_group::Capacity { min: None, max }),
        exclusive: Some(exclusive),
        ..Default::default()
    }
}

fn reasons(cluster: &Cluster, framework: &str) -> Vec<Reason> {
    let id = FrameworkId::from(framework);
    let mut all = cluster.allocator.explain(cluster.now, Some(&id), None, usize::MAX).explanations;
    assert_eq!(all.len(), 1);
    all.remove(0).reasons
}

fn causes(cluster: &Cluster, framework: &str) -> Vec<(Cause, u64)> {
    reasons(cluster, framework).into_iter().map(|reason| (reason.cause, reason.agents)).collect()
}

#[test]
fn what_keeps_a_framework_from_all_agents_is_told_alone() {
    let mut cluster = Cluster::eager();
    cluster.framework("F", &["a"]);
    assert_eq!(causes(&cluster, "F"), [(Cause::NoAgents, 0)]);
    cluster.agent("A", "cpus:1;mem:64");
    assert_eq!(causes(&cluster, "F"), [(Cause::NextCycle, 1)]);
    let grants = cluster.grants_at_rest();
    assert_eq!(causes(&cluster, "F"), [(Cause::Granted, 1)]);
    cluster.decline(&grants[0], Some(5 * SECOND));
    cluster.now = cluster.now + SECOND;
    let reason = &reasons(&cluster, "F")[0];
    assert_eq!((&reason.cause, reason.remaining), (&Cause::Granted, None));
    cluster.allocator.suppress(cluster.now, &FrameworkId::from("F"), &[]);
    assert_eq!(causes(&cluster, "F"), [(Cause::Suppressed, 0)]);
    cluster.allocator.deactivate_framework(cluster.now, &FrameworkId::from("F"));
    assert_eq!(causes(&cluster, "F"), [(Cause::Inactive, 0)]);
}

#[test]
fn each_agent_has_its_cause() {
    let mut cluster = Cluster::eager();
    cluster.framework("first", &["a"]);
    cluster.agent("held", "cpus:1;mem:64");
    let grants = cluster.grants_at_rest();
    cluster.accept_all(&grants[0]);
    let capabilities = FrameworkCapabilities { gpu_resources: false, ..all_capabilities() };
    cluster.framework_with("F", FrameworkProfile { capabilities, ..profile(&["b"]) });
    cluster.agent("declined", "cpus:1;mem:64");
    cluster.agent("gpus", "cpus:1;mem:64;gpus:1");
    cluster.agent("small", "cpus:0.001;mem:1");
    cluster.agent("others", "cpus(x):1;mem(x):64");
    cluster.agent("away", "cpus:1;mem:64");
    cluster.allocator.deactivate_agent(cluster.now, &AgentId::from("away"));
    cluster.allocator.suppress(cluster.now, &FrameworkId::from("first"), &[]);
    for grant in cluster.grants_at_rest() {
        cluster.decline(&grant, Some(30 * SECOND));
    }
    cluster.now = cluster.now + SECOND;
    cluster.agent("new", "cpus:1;mem:64");
    cluster.grants_at_rest();
    let mut causes = causes(&cluster, "F");
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
    let reasons = reasons(&cluster, "F");
    let filtered = reasons.iter().find(|reason| reason.cause == Cause::Filtered).unwrap();
    assert_eq!((filtered.remaining, &filtered.example), (Some(29 * SECOND), &Some(AgentId::from("declined"))));
}

#[test]
fn quotas_are_named() {
    let mut cluster = Cluster::eager();
    let now = cluster.now;
    cluster.allocator.set_quota(now, "small", Quota::from_numbers([], [("cpus", 0.0)]).unwrap());
    cluster.allocator.set_quota(now, "promised", Quota::from_numbers([("cpus", 4.0), ("mem", 64.0)], []).unwrap());
    cluster.framework("F", &["small"]);
    cluster.framework("G", &["b"]);
    cluster.framework("H", &["promised"]);
    cluster.allocator.suppress(now, &FrameworkId::from("H"), &[]);
    cluster.agent("A", "cpus:4;mem:64");
    cluster.grants_at_rest();
    assert_eq!(causes(&cluster, "F"), [(Cause::Limit("small".into()), 1)]);
    assert_eq!(causes(&cluster, "G"), [(Cause::Headroom(Some("promised".into())), 1)]);
}

#[test]
fn groups_are_named() {
    let mut cluster = Cluster::eager();
    cluster.groups(&[group("g", "a", Some(1), false), group("alone", "c", Some(1), true)]);
    cluster.framework("F", &["a"]);
    cluster.framework("G", &["b"]);
    cluster.framework("H", &["c"]);
    cluster.agent("A", "cpus:2;mem:640");
    let grants = cluster.grants_at_rest();
    let of = |framework: &str| grants.iter().find(|grant| grant.framework == FrameworkId::from(framework));
    assert_eq!(grants.len(), 1, "an exclusive group and another share no agent: {grants:?}");
    match of("F") {
        Some(grant) => {
            let grant = grant.clone();
            cluster.accept_all(&grant);
            assert_eq!(causes(&cluster, "H"), [(Cause::LostDraw("g".into()), 1)]);
        }
        None => {
            assert_eq!(causes(&cluster, "F"), [(Cause::Exclusive("alone".into()), 1)]);
            assert_eq!(causes(&cluster, "G"), [(Cause::Exclusive("alone".into()), 1)]);
        }
    }
    let last = grants[0].framework.clone();
    cluster.agent("B", "cpus:2;mem:640");
    let full = causes(&cluster, last.as_str());
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
    let mut cluster = Cluster::eager();
    let constraints = Some(OfferConstraints::compile(&spec, ConstraintLimits::default()).unwrap());
    cluster.framework_with("F", FrameworkProfile { constraints, ..profile(&["a"]) });
    for agent in ["A", "B", "C"] {
        cluster.agent(agent, "cpus:1;mem:64");
    }
    assert_eq!(cluster.grants_at_rest(), []);
    assert_eq!(causes(&cluster, "F"), [(Cause::Constraints, 3)]);
    cluster.allocator.set_whitelist(cluster.now, Some(BTreeSet::from(["A.example".to_owned()])));
    assert_eq!(causes(&cluster, "F"), [(Cause::NotWhitelisted, 2), (Cause::Constraints, 1)]);
}

#[test]
fn a_lost_draw_is_told_with_the_group_that_won() {
    let mut cluster = Cluster::eager();
    cluster.groups(&[group("lucky", "a", None, false), group("late", "b", None, false)]);
    cluster.framework("F", &["a"]);
    cluster.agent("A", "cpus:2");
    let grants = cluster.grants_at_rest();
    cluster.accept_all(&grants[0]);
    cluster.framework("G", &["b"]);
    assert_eq!(cluster.grants_at_rest(), []);
    assert_eq!(causes(&cluster, "G"), [(Cause::LostDraw("lucky".into()), 1)]);
}

#[test]
fn a_role_stands_for_those_below_it_and_what_was_not_looked_at_is_counted() {
    let mut cluster = Cluster::eager();
    for (id, role) in [("a", "eng/web"), ("b", "eng"), ("c", "engine"), ("d", "ops")] {
        cluster.framework(id, &[role]);
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
