//! Known answers about groups inside the allocator: who is offered what of which agent.

use std::collections::BTreeMap;

use allocator::{AgentProfile, Budget, ConstraintLimits, Grant, Group, GroupError, Quota, Settlement};
use model::{AgentId, FrameworkId};
use proto::{meseta, v1};
use resources::Resources;
use stdx::Rng;

use crate::cluster::{Cluster, SECOND, agent_profile, resources};

fn add_agent(cluster: &mut Cluster, id: &str, total: &str, attributes: &str) {
    let attributes = resources::attributes::parse(attributes).unwrap();
    cluster.agent_with(id, resources(total), AgentProfile { attributes, ..agent_profile(id) });
}

fn granted(cluster: &mut Cluster) -> Vec<String> {
    let mut texts: Vec<String> = cluster.grants_at_rest().iter().map(show).collect();
    texts.sort();
    texts
}

fn show(grant: &Grant) -> String {
    let group = grant.group.as_deref().unwrap_or("-");
    format!("{}@{} [{group}] {}", grant.framework, grant.agent, grant.resources.unallocate())
}

fn group(name: &str, roles: &[&str], unit: &[(&str, f64)]) -> meseta::v1::ResourceGroup {
    meseta::v1::ResourceGroup {
        name: name.to_owned(),
        roles: roles.iter().map(|role| (*role).to_owned()).collect(),
        unit: unit.iter().map(|(name, value)| ((*name).to_owned(), v1::value::Scalar { value: *value })).collect(),
        ..Default::default()
    }
}

fn capacity(min: u64, max: Option<u64>) -> Option<meseta::v1::resource_group::Capacity> {
    Some(meseta::v1::resource_group::Capacity { min: Some(min), max })
}

/// Agents whose attribute `name` is `value`.
fn select(name: &str, value: &str) -> Option<v1::scheduler::offer_constraints::RoleConstraints> {
    use v1::scheduler::{
        AttributeConstraint,
        attribute_constraint::{Predicate, Selector, predicate, selector},
        offer_constraints::{RoleConstraints, role_constraints::Group},
    };
    let constraint = AttributeConstraint {
        selector: Selector { selector: Some(selector::Selector::AttributeName(name.into())) },
        predicate: Predicate {
            predicate: Some(predicate::Predicate::TextEquals(predicate::TextEquals { value: value.into() })),
        },
    };
    Some(RoleConstraints { groups: vec![Group { attribute_constraints: vec![constraint] }] })
}

const UNIT: &[(&str, f64)] = &[("cpus", 1.0), ("mem", 1024.0)];

#[test]
fn a_group_is_offered_whole_units_of_agents_it_selects_and_the_rest_goes_to_default() {
    let mut cluster = Cluster::eager();
    cluster.groups(&[meseta::v1::ResourceGroup { selector: select("disk", "ssd"), ..group("fast", &["a"], UNIT) }]);
    cluster.framework("F", &["a"]);
    cluster.framework("G", &["b"]);
    add_agent(&mut cluster, "A1", "cpus:4;mem:3500;ports:[1-10]", "disk:ssd");
    add_agent(&mut cluster, "A2", "cpus:2;mem:2048", "disk:hdd");
    assert_eq!(
        granted(&mut cluster),
        [
            "F@A1 [fast] cpus:3; mem:3072; ports:[1-10]",
            "G@A1 [default] cpus:1; mem:428",
            "G@A2 [default] cpus:2; mem:2048",
        ]
    );
}

#[test]
fn a_group_holds_no_more_than_its_maximum_and_wins_again_when_something_ends() {
    let mut cluster = Cluster::eager();
    cluster.groups(&[meseta::v1::ResourceGroup { capacity: capacity(0, Some(3)), ..group("g", &["a"], UNIT) }]);
    cluster.framework("F", &["a"]);
    add_agent(&mut cluster, "A1", "cpus:2;mem:2048", "");
    add_agent(&mut cluster, "A2", "cpus:2;mem:2048", "");
    let grants = cluster.grants_at_rest();
    let units = |grants: &[Grant]| grants.iter().map(|g| g.resources.cpus().unwrap().as_f64()).sum::<f64>();
    assert_eq!(units(&grants), 3.0);
    grants.iter().for_each(|grant| cluster.accept_all(grant));
    cluster.now = cluster.now + SECOND;
    assert_eq!(cluster.grants_at_rest(), []);
    cluster.finish_all(&grants[0]);
    assert_eq!(units(&cluster.grants_at_rest()), units(&grants[..1]));
}

#[test]
fn what_an_agent_takes_away_is_won_elsewhere() {
    let mut cluster = Cluster::eager();
    cluster.groups(&[meseta::v1::ResourceGroup { capacity: capacity(0, Some(2)), ..group("g", &["a"], UNIT) }]);
    cluster.framework("F", &["a"]);
    add_agent(&mut cluster, "A1", "cpus:2;mem:2048", "");
    let first = cluster.grants_at_rest();
    cluster.accept_all(&first[0]);
    add_agent(&mut cluster, "A2", "cpus:4;mem:4096", "");
    assert_eq!(cluster.grants_at_rest(), []);
    cluster.allocator.remove_agent(cluster.now, &AgentId::from("A1"));
    assert_eq!(granted(&mut cluster), ["F@A2 [g] cpus:2; mem:2048"]);
}

#[test]
fn unwanted_units_return_at_once_to_the_others() {
    let mut cluster = Cluster::eager();
    cluster.groups(&[group("g", &["a"], UNIT), group("h", &["c"], UNIT)]);
    cluster.framework("F", &["a"]);
    cluster.framework("G", &["b"]);
    add_agent(&mut cluster, "A1", "cpus:2;mem:2048", "");
    let grants = cluster.grants_at_rest();
    assert_eq!(grants.iter().map(show).collect::<Vec<_>>(), ["F@A1 [g] cpus:2; mem:2048"]);
    cluster.decline(&grants[0], Some(5 * SECOND));
    assert_eq!(granted(&mut cluster), ["G@A1 [default] cpus:2; mem:2048"]);
}

#[test]
fn minimums_come_before_weights_and_weights_share_the_rest() {
    let mut cluster = Cluster::eager();
    cluster.groups(&[
        meseta::v1::ResourceGroup { capacity: capacity(6, None), weight: Some(0.001), ..group("low", &["a"], UNIT) },
        meseta::v1::ResourceGroup { weight: Some(1.0), ..group("one", &["b"], UNIT) },
        meseta::v1::ResourceGroup { weight: Some(3.0), ..group("three", &["c"], UNIT) },
    ]);
    for (framework, role) in [("F", "a"), ("G", "b"), ("H", "c")] {
        cluster.framework(framework, &[role]);
    }
    for agent in ["A1", "A2", "A3"] {
        add_agent(&mut cluster, agent, "cpus:10;mem:10240", "");
    }
    let mut cpus = BTreeMap::<String, f64>::new();
    for grant in cluster.grants_at_rest() {
        *cpus.entry(grant.framework.to_string()).or_default() += grant.resources.cpus().unwrap().as_f64();
    }
    assert_eq!(cpus, BTreeMap::from([("F".to_owned(), 6.0), ("G".to_owned(), 6.0), ("H".to_owned(), 18.0)]));
}

#[test]
fn an_agent_of_an_exclusive_group_serves_nobody_else_while_it_is_held() {
    let mut cluster = Cluster::eager();
    cluster.groups(&[meseta::v1::ResourceGroup {
        exclusive: Some(true),
        capacity: capacity(0, Some(1)),
        ..group("alone", &["a"], UNIT)
    }]);
    cluster.framework("F", &["a"]);
    add_agent(&mut cluster, "A1", "cpus:4;mem:4096", "");
    let grants = cluster.grants_at_rest();
    assert_eq!(grants.iter().map(show).collect::<Vec<_>>(), ["F@A1 [alone] cpus:1; mem:1024"]);
    cluster.accept_all(&grants[0]);
    cluster.framework("G", &["b"]);
    assert_eq!(cluster.grants_at_rest(), []);
    cluster.allocator.suppress(cluster.now, &FrameworkId::from("F"), &[]);
    cluster.finish_all(&grants[0]);
    assert_eq!(granted(&mut cluster), ["G@A1 [default] cpus:4; mem:4096"]);
}

#[test]
fn what_an_exclusive_group_won_is_nobody_elses_though_guarantees_come_first() {
    let mut cluster = Cluster::eager();
    cluster.groups(&[meseta::v1::ResourceGroup { exclusive: Some(true), ..group("alone", &["a"], UNIT) }]);
    let quota = Quota::from_numbers([("cpus", 0.5)], []).unwrap();
    cluster.allocator.set_quota(cluster.now, "b", quota);
    cluster.framework("F", &["a"]);
    cluster.framework("G", &["b"]);
    add_agent(&mut cluster, "A1", "cpus:4.5;mem:8192", "");
    assert_eq!(granted(&mut cluster), ["F@A1 [alone] cpus:4; mem:4096"]);
}

#[test]
fn reservations_stand_above_groups() {
    let mut cluster = Cluster::eager();
    cluster.groups(&[meseta::v1::ResourceGroup { selector: select("disk", "ssd"), ..group("fast", &["a"], UNIT) }]);
    cluster.framework("F", &["a"]);
    add_agent(&mut cluster, "A1", "cpus:4;mem:3500;cpus(a):1;mem(a):64", "disk:hdd");
    assert_eq!(
        granted(&mut cluster),
        ["F@A1 [fast] cpus(reservations: [(STATIC,a)]):1; mem(reservations: [(STATIC,a)]):64"]
    );
}

#[test]
fn an_agent_with_no_competition_weight_serves_the_default_group_only() {
    let mut cluster = Cluster::eager();
    cluster.groups(&[group("g", &["a"], UNIT)]);
    cluster.framework("F", &["a"]);
    cluster.framework("G", &["b"]);
    add_agent(&mut cluster, "A1", "cpus:1;mem:1024", "competition_weight:0");
    assert_eq!(granted(&mut cluster), ["G@A1 [default] cpus:1; mem:1024"]);
}

#[test]
fn roles_below_a_served_role_are_served_unless_another_group_names_them() {
    let mut cluster = Cluster::eager();
    cluster.groups(&[group("g", &["eng"], UNIT), group("h", &["eng/dev"], UNIT)]);
    let of = |role| cluster.allocator.group_of_role(role).to_owned();
    assert_eq!([of("eng"), of("eng/ops"), of("eng/dev/x"), of("engine")], ["g", "g", "h", "default"]);
}

#[test]
fn what_cannot_be_is_refused_with_the_figure() {
    let compile = |spec: meseta::v1::ResourceGroup| {
        Group::compile(&spec, ConstraintLimits::default()).map_err(|error| error.to_string())
    };
    let good = || group("g", &["a"], UNIT);
    for (spec, text) in [
        (meseta::v1::ResourceGroup { name: "default".into(), ..good() }, "is the name of the group of all"),
        (meseta::v1::ResourceGroup { name: "a b".into(), ..good() }, "'a b' is no name"),
        (meseta::v1::ResourceGroup { roles: vec![], ..good() }, "serves no roles"),
        (meseta::v1::ResourceGroup { roles: vec!["/x".into()], ..good() }, "'/x', which is no role"),
        (meseta::v1::ResourceGroup { weight: Some(-2.0), ..good() }, "is -2; it must"),
        (meseta::v1::ResourceGroup { weight: Some(f64::NAN), ..good() }, "is NaN; it must"),
        (meseta::v1::ResourceGroup { capacity: capacity(5, Some(3)), ..good() }, "at least 5 and at most 3"),
        (meseta::v1::ResourceGroup { capacity: capacity(0, Some(0)), ..good() }, "0 units at most"),
        (group("g", &["a"], &[]), "an empty unit"),
        (group("g", &["a"], &[("cpus", 0.0001)]), "0.0001 cpus"),
    ] {
        let error = compile(spec).unwrap_err();
        assert!(error.contains(text), "{error}");
    }
}

#[test]
fn what_does_not_fit_together_or_into_the_cluster_is_refused_and_changes_nothing() {
    let mut cluster = Cluster::eager();
    add_agent(&mut cluster, "A1", "cpus:4;mem:4096", "");
    add_agent(&mut cluster, "A2", "cpus:4;mem:4096", "");
    let exclusive = |name, role, min| meseta::v1::ResourceGroup {
        capacity: capacity(min, None),
        exclusive: Some(true),
        ..group(name, &[role], UNIT)
    };
    cluster.groups(&[exclusive("x", "a", 4)]);
    let check = |spec: meseta::v1::ResourceGroup, force| {
        let all = cluster.allocator.groups().map(|group| (group.name.clone(), group.clone())).collect();
        cluster.allocator.check_group(all, &Group::compile(&spec, ConstraintLimits::default()).unwrap(), force)
    };
    assert_eq!(check(exclusive("y", "b", 4), false), Ok(()));
    assert_eq!(
        check(exclusive("y", "b", 9), false),
        Err(GroupError::MinOverSupply { name: "y".into(), min: 9, supply: 8 })
    );
    let error = check(exclusive("y", "b", 5), false).unwrap_err().to_string();
    assert!(error.contains("9000") || error.contains("9 cpus") || error.contains("have 9"), "{error}");
    let small = meseta::v1::ResourceGroup { unit: group("", &[], &[("cpus", 1.0)]).unit, ..exclusive("y", "b", 4) };
    assert_eq!(check(small, false), Ok(()));
    assert!(matches!(check(group("z", &["a"], UNIT), false), Err(GroupError::RoleTaken { .. })));
    assert_eq!(check(exclusive("y", "b", 9), true), Ok(()));
    assert_eq!(cluster.allocator.groups().count(), 1);
}

/// A framework in `role` that runs tasks of so many cpus in whatever it is offered.
fn run_tasks(cluster: &mut Cluster, cpus: f64, running: &mut Vec<Grant>) {
    loop {
        let grants = cluster.grants_at_rest();
        if grants.is_empty() {
            return;
        }
        for grant in grants {
            let task = resources(&format!("cpus:{cpus}")).allocate(&grant.role);
            let (mut used, mut rest) = (Resources::EMPTY, grant.resources.clone());
            while rest.contains(&task) {
                used += &task;
                rest -= &task;
                running.push(Grant { resources: task.clone(), ..grant.clone() });
            }
            let settlement = Settlement { offered: grant.resources.clone(), used, ..Default::default() };
            cluster.allocator.settle(cluster.now, &grant.framework, &grant.agent, settlement);
        }
    }
}

fn cpus_of(framework: &str, running: &[Grant]) -> i64 {
    let mine = running.iter().filter(|grant| grant.framework == FrameworkId::from(framework));
    mine.map(|grant| grant.resources.cpus().unwrap().0).sum()
}

/// Tasks end one at a time, and are smaller than a unit of the group that is below its minimum: each piece alone is
/// less than it can win.
fn pieces_come_together(agents: u8, unit: f64, min: u64, pinned: u8, seed: u64) -> Cluster {
    let mut cluster = Cluster::eager();
    cluster.framework("other", &["other"]);
    for a in 0..agents {
        add_agent(&mut cluster, &format!("A{a}"), "cpus:8;mem:8192", "");
    }
    let mut running = Vec::new();
    run_tasks(&mut cluster, 0.5, &mut running);
    assert_eq!(cpus_of("other", &running), i64::from(agents) * 8000);
    cluster.framework("web", &["web"]);
    let specs =
        [meseta::v1::ResourceGroup { capacity: capacity(min, None), ..group("front", &["web"], &[("cpus", unit)]) }];
    cluster.groups(&specs);
    let mut rng = Rng::new(seed);
    for _ in 0..6000 {
        cluster.now = cluster.now + SECOND / 4;
        // On these agents nothing ends.
        let ends: Vec<usize> = (0..running.len())
            .filter(|n| (0..pinned).all(|a| running[*n].agent != AgentId::from(format!("A{a}"))))
            .collect();
        let ended = running.swap_remove(ends[rng.below(ends.len() as u64) as usize]);
        cluster.finish_all(&ended);
        run_tasks(&mut cluster, 0.5, &mut running);
        if cpus_of("web", &running) >= (unit * 1000.0) as i64 * min as i64 {
            return cluster;
        }
    }
    panic!("web has {} of {min} units", cpus_of("web", &running) as f64 / 1000.0 / unit);
}

#[test]
fn a_minimum_of_units_larger_than_tasks_is_reached() {
    pieces_come_together(3, 1.0, 6, 0, 1);
    pieces_come_together(3, 4.0, 3, 0, 2);
    pieces_come_together(12, 8.0, 2, 0, 3);
}

/// Keeping pieces where nothing more comes free does not help; after a while it is tried elsewhere, too.
#[test]
fn a_minimum_is_reached_though_most_agents_are_busy_for_ever() {
    pieces_come_together(8, 4.0, 1, 6, 4);
}

/// Once the minimum is there, nothing is kept any more.
#[test]
fn nothing_is_kept_for_a_group_that_has_its_minimum() {
    let mut cluster = pieces_come_together(4, 2.0, 2, 0, 5);
    cluster.now = cluster.now + 10 * SECOND;
    cluster.grants_at_rest();
    let free: i64 = (0..4)
        .map(|a| cluster.allocator.available(&AgentId::from(format!("A{a}"))).unwrap().cpus().unwrap_or_default().0)
        .sum();
    assert_eq!(free, 0);
}

#[test]
fn what_is_kept_comes_back_when_its_group_wants_no_more() {
    let mut cluster = Cluster::eager();
    cluster.framework("other", &["other"]);
    add_agent(&mut cluster, "A", "cpus:2", "");
    let mut running = Vec::new();
    run_tasks(&mut cluster, 0.5, &mut running);
    cluster.framework("web", &["web"]);
    let specs =
        [meseta::v1::ResourceGroup { capacity: capacity(1, None), ..group("front", &["web"], &[("cpus", 1.0)]) }];
    cluster.groups(&specs);
    cluster.now = cluster.now + 2 * SECOND;
    let ended = running.pop().unwrap();
    cluster.finish_all(&ended);
    assert_eq!(granted(&mut cluster), Vec::<String>::new(), "half a unit waits for the other half");
    let why = cluster.allocator.explain(cluster.now, Some(&FrameworkId::from("other")), None, usize::MAX).explanations;
    assert_eq!(why[0].reasons[0].cause, allocator::explain::Cause::KeptForGroup("front".into()));
    cluster.allocator.suppress(cluster.now, &FrameworkId::from("web"), &[]);
    cluster.now = cluster.now + SECOND;
    assert_eq!(granted(&mut cluster), ["other@A [default] cpus:0.5"]);
}

fn crowded(budget: Budget) -> (Vec<String>, usize) {
    let mut cluster = Cluster::eager();
    let mut rng = Rng::new(8);
    let names: Vec<String> = (0..6).map(|n| format!("g{n}")).collect();
    let specs: Vec<meseta::v1::ResourceGroup> = (names.iter().enumerate())
        .map(|(n, name)| meseta::v1::ResourceGroup {
            selector: (n % 2 == 0).then(|| select("disk", "ssd")).flatten(),
            capacity: capacity(20 * n as u64, None),
            exclusive: Some(n == 5),
            ..group(name, &[name], &[("cpus", 1.0 + n as f64 / 2.0)])
        })
        .collect();
    cluster.groups(&specs);
    names.iter().for_each(|name| cluster.framework(name, &[name]));
    cluster.framework("rest", &["rest"]);
    for a in 0..200 {
        let disk = if rng.below(2) == 0 { "disk:ssd" } else { "" };
        add_agent(&mut cluster, &format!("A{a}"), &format!("cpus:{};mem:4096", 1 + rng.below(9)), disk);
    }
    let (mut texts, mut calls) = (Vec::new(), 0);
    while cluster.allocator.next_deadline().is_some_and(|(at, _)| at <= cluster.now) {
        texts.extend(cluster.allocator.allocate(cluster.now, budget).iter().map(show));
        cluster.allocator.check_invariants().unwrap();
        calls += 1;
    }
    (texts, calls)
}

/// A competition is cut by the budget like all else of a cycle, and that changes nothing about who wins.
#[test]
fn a_competition_in_pieces_has_the_same_winners() {
    let (whole, calls) = crowded(Budget::UNLIMITED);
    assert!(whole.len() > 200 && calls < 5, "{} grants in {calls} calls", whole.len());
    for steps in [1, 7, 100] {
        let (pieces, calls) = crowded(Budget { steps });
        assert_eq!(pieces, whole);
        // All 200 agents come in, are drawn, and are looked at.
        assert!(calls > 500 / steps, "{calls} calls of {steps} steps");
    }
}
