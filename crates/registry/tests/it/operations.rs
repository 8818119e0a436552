//! What each operation does to the document, and what it refuses.

use std::collections::BTreeSet;

use model::AgentId;
use proto::v1;
use registry::{AGENT_DRAINING, Operation, QUOTA_V2, Refusal, Registry, apply};
use stdx::WallTime;

fn id(text: &str) -> AgentId {
    AgentId::from(text)
}

fn info(agent: &str) -> Box<v1::AgentInfo> {
    Box::new(v1::AgentInfo {
        hostname: format!("{agent}.example"),
        id: Some(v1::AgentId { value: agent.to_owned() }),
        ..Default::default()
    })
}

fn machine(name: &str) -> v1::MachineId {
    v1::MachineId { hostname: Some(name.to_owned()), ip: Some("10.0.0.1".to_owned()) }
}

fn schedule(machines: &[&str]) -> v1::maintenance::Schedule {
    let window = v1::maintenance::Window {
        machine_ids: machines.iter().map(|m| machine(m)).collect(),
        unavailability: v1::Unavailability { start: v1::TimeInfo { nanoseconds: 5 }, duration: None },
    };
    v1::maintenance::Schedule { windows: vec![window] }
}

/// Applies what must be accepted; says whether it changed anything.
fn accept(registry: &mut Registry, operation: Operation) -> bool {
    apply(registry, &operation).unwrap().mutated()
}

fn refuse(registry: &mut Registry, operation: Operation) -> Refusal {
    let before = registry.clone();
    let refusal = apply(registry, &operation).unwrap_err();
    assert_eq!(*registry, before, "a refused operation changes nothing");
    refusal
}

#[test]
fn an_agent_is_admitted_once() {
    let mut r = Registry::default();
    assert!(accept(&mut r, Operation::AdmitAgent(info("a"))));
    assert_eq!(refuse(&mut r, Operation::AdmitAgent(info("a"))), Refusal::AlreadyAdmitted(id("a")));
    assert_eq!(refuse(&mut r, Operation::AdmitAgent(Box::default())), Refusal::NoAgentId);
}

#[test]
fn an_update_with_the_same_info_changes_nothing() {
    let mut r = Registry::default();
    assert_eq!(refuse(&mut r, Operation::UpdateAgent(info("a"))), Refusal::NotAdmitted(id("a")));
    accept(&mut r, Operation::AdmitAgent(info("a")));
    assert!(!accept(&mut r, Operation::UpdateAgent(info("a"))));
    let mut moved = info("a");
    moved.port = Some(1);
    assert!(accept(&mut r, Operation::UpdateAgent(moved)));
    assert_eq!(r.agents[&id("a")].info.port, Some(1));
}

#[test]
fn an_agent_goes_away_and_comes_back_with_its_drain_state() {
    let mut r = Registry::default();
    accept(&mut r, Operation::AdmitAgent(info("a")));
    accept(&mut r, Operation::DrainAgent { agent: id("a"), max_grace_period: None, mark_gone: false });
    accept(&mut r, Operation::MarkUnreachable { agent: id("a"), since: WallTime(7) });
    assert!(r.agents.is_empty());
    assert_eq!(r.unreachable[&id("a")].since, WallTime(7));
    assert!(accept(&mut r, Operation::MarkDrained(id("a"))), "an unreachable agent can finish draining");
    assert!(accept(&mut r, Operation::MarkReachable(info("a"))));
    assert!(r.unreachable.is_empty());
    let admitted = &r.agents[&id("a")];
    assert!(admitted.deactivated);
    assert_eq!(admitted.drain_info.as_ref().unwrap().state, v1::DrainState::Drained as i32);
}

#[test]
fn a_forgotten_agent_is_readmitted_and_a_present_one_is_no_news() {
    let mut r = Registry::default();
    assert!(accept(&mut r, Operation::MarkReachable(info("a"))));
    assert!(!accept(&mut r, Operation::MarkReachable(info("a"))));
    assert!(r.agents.contains_key(&id("a")));
}

#[test]
fn unreachable_and_removal_need_an_admitted_agent() {
    let mut r = Registry::default();
    let gone = Operation::MarkUnreachable { agent: id("a"), since: WallTime(0) };
    assert_eq!(refuse(&mut r, gone), Refusal::NotAdmitted(id("a")));
    assert_eq!(refuse(&mut r, Operation::RemoveAgent(id("a"))), Refusal::NotAdmitted(id("a")));
    accept(&mut r, Operation::AdmitAgent(info("a")));
    assert!(accept(&mut r, Operation::RemoveAgent(id("a"))));
    assert_eq!(r, Registry::default());
}

#[test]
fn gone_is_for_ever_and_from_either_list() {
    let mut r = Registry::default();
    let gone = |agent: &str| Operation::MarkGone { agent: id(agent), since: WallTime(1) };
    assert_eq!(refuse(&mut r, gone("a")), Refusal::UnknownAgent(id("a")));
    accept(&mut r, Operation::AdmitAgent(info("a")));
    accept(&mut r, Operation::AdmitAgent(info("b")));
    accept(&mut r, Operation::MarkUnreachable { agent: id("b"), since: WallTime(0) });
    assert!(accept(&mut r, gone("a")) && accept(&mut r, gone("b")));
    assert_eq!(refuse(&mut r, gone("a")), Refusal::AlreadyGone(id("a")));
    assert!(r.agents.is_empty() && r.unreachable.is_empty());
    assert_eq!(r.gone.len(), 2);
}

#[test]
fn pruning_takes_what_is_there() {
    let mut r = Registry::default();
    for (agent, since) in [("a", 30), ("b", 10), ("c", 20)] {
        accept(&mut r, Operation::AdmitAgent(info(agent)));
        accept(&mut r, Operation::MarkUnreachable { agent: id(agent), since: WallTime(since) });
    }
    let (unreachable, gone) = r.find_prunable(WallTime(15), 100);
    assert_eq!(unreachable, BTreeSet::from([id("b")]));
    let (excess, _) = r.find_prunable(WallTime(0), 1);
    assert_eq!(excess, BTreeSet::from([id("b"), id("c")]), "the oldest go first");
    let prune = Operation::Prune { unreachable, gone };
    assert!(accept(&mut r, prune.clone()));
    assert!(!accept(&mut r, prune));
    assert_eq!(r.unreachable.len(), 2);
}

#[test]
fn draining_is_demanded_of_masters_while_an_agent_needs_it() {
    let mut r = Registry::default();
    accept(&mut r, Operation::AdmitAgent(info("a")));
    assert_eq!(refuse(&mut r, Operation::MarkDrained(id("a"))), Refusal::NotDraining(id("a")));
    assert_eq!(refuse(&mut r, Operation::DeactivateAgent(id("x"))), Refusal::UnknownAgent(id("x")));
    assert!(accept(&mut r, Operation::DeactivateAgent(id("a"))));
    assert!(!accept(&mut r, Operation::DeactivateAgent(id("a"))));
    assert!(r.minimum_capabilities.contains(AGENT_DRAINING));
    assert!(r.missing_capabilities().is_empty());
    assert!(accept(&mut r, Operation::ReactivateAgent(id("a"))));
    assert!(r.minimum_capabilities.is_empty());
    assert!(!r.agents[&id("a")].deactivated);
    r.minimum_capabilities.insert("TIME_TRAVEL".to_owned());
    assert_eq!(r.missing_capabilities(), ["TIME_TRAVEL"]);
}

#[test]
fn maintenance_goes_through_its_modes() {
    use v1::machine_info::Mode;
    let mut r = Registry::default();
    let modes = |r: &Registry| r.machines.values().map(|m| m.mode).collect::<Vec<_>>();
    accept(&mut r, Operation::UpdateSchedule(schedule(&["One", "two"])));
    assert_eq!(modes(&r), [Some(Mode::Draining as i32); 2]);
    assert!(accept(&mut r, Operation::StartMaintenance(vec![machine("ONE")])), "hostnames ignore case");
    assert!(!accept(&mut r, Operation::StartMaintenance(vec![machine("one"), machine("three")])));
    assert!(!accept(&mut r, Operation::UpdateSchedule(schedule(&["One", "two"]))), "a machine keeps its mode");
    accept(&mut r, Operation::UpdateSchedule(schedule(&["one"])));
    assert_eq!(modes(&r), [Some(Mode::Down as i32)]);
    assert!(accept(&mut r, Operation::StopMaintenance(vec![machine("one")])));
    assert_eq!(r, Registry::default());
}

#[test]
fn quotas_and_weights_replace_what_the_role_had() {
    let mut r = Registry::default();
    r.legacy_quotas.insert("x".to_owned(), v1::quota::QuotaInfo { role: Some("x".to_owned()), ..Default::default() });
    let config = v1::quota::QuotaConfig { role: "x".to_owned(), ..Default::default() };
    assert!(accept(&mut r, Operation::UpdateQuota(vec![config.clone()])));
    assert!(!accept(&mut r, Operation::UpdateQuota(vec![config.clone()])));
    assert!(r.legacy_quotas.is_empty() && r.quotas.contains_key("x"));
    assert!(r.minimum_capabilities.contains(QUOTA_V2));
    assert!(accept(&mut r, Operation::RemoveQuota(config.role.clone())));
    assert!(!accept(&mut r, Operation::RemoveQuota(config.role)));
    assert_eq!(r, Registry::default(), "a removed quota leaves no trace");

    let weight = |weight| Operation::UpdateWeights(vec![v1::WeightInfo { weight, role: Some("x".to_owned()) }]);
    assert!(accept(&mut r, weight(2.0)));
    assert!(!accept(&mut r, weight(2.0)));
    assert!(accept(&mut r, weight(1.0)), "the default weight stays listed");
    assert_eq!(r.weights["x"], 1.0);
}
