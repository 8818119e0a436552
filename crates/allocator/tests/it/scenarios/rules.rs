//! What each rule of fair sharing, filters, capabilities and reservations does.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use allocator::{
    AgentProfile, AllocatorConfig, Budget, ConstraintError, ConstraintLimits, FrameworkProfile, OfferConstraints,
    Settlement, refusal_duration,
};
use model::{AgentCapabilities, AgentId, FrameworkId};
use proto::v1;
use resources::{Reservation, Resources, conversion::Conversion};
use stdx::Tick;

use crate::cluster::{Cluster, SECOND, agent_profile, profile, resources, show};

#[test]
fn an_agent_goes_whole_to_one_framework() {
    let mut c = Cluster::eager();
    c.framework("f1", &["a"]);
    c.framework("f2", &["a"]);
    c.agent("s1", "cpus:4;mem:1024;ports:[31000-32000]");
    assert_eq!(c.granted(), ["f1/a@s1: cpus:4; mem:1024; ports:[31000-32000]"]);
    assert_eq!(c.allocator.next_deadline(), None, "nothing left to do");
}

#[test]
fn the_least_dominant_share_comes_first() {
    let mut c = Cluster::eager();
    c.framework("f1", &["a"]);
    c.framework("f2", &["b"]);
    c.agent("s1", "cpus:2;mem:100");
    assert_eq!(c.granted(), ["f1/a@s1: cpus:2; mem:100"]);
    c.agent("s2", "cpus:1;mem:1000");
    assert_eq!(c.granted(), ["f2/b@s2: cpus:1; mem:1000"]);
    // a has 2 of 4 cpus, b 1000 of 2100 mem.
    c.agent("s3", "cpus:1;mem:1000");
    assert_eq!(c.granted(), ["f2/b@s3: cpus:1; mem:1000"]);
    c.agent("s4", "cpus:1;mem:1000");
    assert_eq!(c.granted(), ["f1/a@s4: cpus:1; mem:1000"]);
}

#[test]
fn a_role_of_double_weight_gets_double() {
    let mut c = Cluster::eager();
    c.framework("f1", &["a"]);
    c.framework("f2", &["b"]);
    c.allocator.set_weight("b", 2.0);
    for n in 0..30 {
        c.agent(&format!("s{n}"), "cpus:1;mem:100");
    }
    let of_b = c.grants().iter().filter(|grant| *grant.role == *"b").count();
    assert_eq!(of_b, 20);
}

#[test]
fn equal_shares_go_by_allocations_received_then_by_name() {
    let mut c = Cluster::eager();
    c.agent("s1", "cpus:1;mem:100");
    c.framework("f2", &["a"]);
    c.framework("f1", &["a"]);
    let first = c.grants();
    assert_eq!(show(&first[0]), "f1/a@s1: cpus:1; mem:100");
    c.allocator.recover(c.now, &first[0].framework, &first[0].agent, &first[0].resources, None);
    assert_eq!(c.granted(), ["f2/a@s1: cpus:1; mem:100"], "f1 had one already");
}

#[test]
fn resources_that_come_free_are_offered_at_once_or_with_the_batch() {
    for (mut c, at_once) in [(Cluster::eager(), true), (Cluster::ticking(), false)] {
        c.framework("f1", &["a"]);
        c.agent("s1", "cpus:4;mem:1024");
        let grant = c.grants().remove(0);
        c.accept(&grant, "cpus:4;mem:1024", None);
        assert_eq!(c.allocator.next_deadline(), None);
        c.wait(SECOND / 2);
        c.finish(&grant, "cpus:1;mem:1024");
        let (deadline, _) = c.allocator.next_deadline().unwrap();
        assert_eq!(deadline == c.now, at_once);
        assert_eq!(c.grants().len(), usize::from(at_once));
        c.now = deadline;
        assert_eq!(c.grants().len(), usize::from(!at_once));
    }
}

#[test]
fn a_new_agent_does_not_wait_for_the_batch() {
    let mut c = Cluster::ticking();
    c.framework("f1", &["a"]);
    c.agent("s1", "cpus:1;mem:64");
    let grant = c.grants().remove(0);
    c.allocator.recover(c.now, &grant.framework, &grant.agent, &grant.resources, None);
    c.agent("s2", "cpus:1;mem:64");
    assert_eq!(c.granted(), ["f1/a@s2: cpus:1; mem:64"], "only the new agent is looked at");
    c.framework("f2", &["a"]);
    assert_eq!(c.granted(), ["f2/a@s1: cpus:1; mem:64"], "a new framework makes it look everywhere");
}

#[test]
fn a_declined_offer_does_not_come_back_before_its_time() {
    let mut c = Cluster::eager();
    c.framework("f1", &["a"]);
    c.agent("s1", "cpus:1;mem:64");
    let grant = c.grants().remove(0);
    c.decline(&grant, Some(SECOND * 5));
    assert_eq!(c.granted(), [""; 0]);
    let (deadline, _) = c.allocator.next_deadline().unwrap();
    assert_eq!(deadline, c.now + SECOND * 5);
    c.wait(SECOND * 4);
    c.framework("f2", &["a"]);
    assert_eq!(c.granted(), ["f2/a@s1: cpus:1; mem:64"], "others are offered it meanwhile");
}

#[test]
fn a_filter_outlives_the_next_batch() {
    let mut c = Cluster::ticking();
    c.now = Tick::ZERO;
    c.framework("f1", &["a"]);
    c.agent("s1", "cpus:1;mem:64");
    let grant = c.grants().remove(0);
    c.decline(&grant, Some(Duration::from_millis(1)));
    c.now = Tick::ZERO + SECOND;
    assert_eq!(c.granted(), [""; 0], "it lasts at least an interval, and the batch that comes with its end");
    assert_eq!(c.allocator.next_deadline().map(|(at, _)| at), Some(Tick::ZERO + SECOND * 2));
    c.wait(SECOND);
    assert_eq!(c.grants().len(), 1);
}

#[test]
fn a_refusal_without_a_filter_does_not_spin() {
    let mut c = Cluster::eager();
    c.framework("f1", &["a"]);
    c.agent("s1", "cpus:2;mem:64");
    let grant = c.grants().remove(0);
    c.decline(&grant, None);
    assert_eq!(c.granted(), [""; 0]);
    let (deadline, _) = c.allocator.next_deadline().unwrap();
    assert!(deadline <= c.now + SECOND);
    c.now = deadline;
    let grant = c.grants().remove(0);
    c.accept(&grant, "cpus:1", None);
    assert_eq!(c.granted(), ["f1/a@s1: cpus:1; mem:64"], "who makes progress gets the rest at once");
}

#[test]
fn a_filter_covers_what_was_refused_and_less() {
    let mut c = Cluster::eager();
    c.framework("f1", &["a"]);
    c.agent("s1", "cpus:4;mem:100");
    let grant = c.grants().remove(0);
    c.accept(&grant, "cpus:2", Some(SECOND * 100));
    assert_eq!(c.granted(), [""; 0], "the rest is refused");
    c.finish(&grant, "cpus:1");
    assert_eq!(c.granted(), ["f1/a@s1: cpus:3; mem:100"], "more than was refused");
}

#[test]
fn reviving_forgets_the_filters_of_the_role() {
    let mut c = Cluster::eager();
    c.framework("f1", &["a", "b"]);
    c.agent("s1", "cpus:1;mem:64");
    for _ in 0..2 {
        let grant = c.grants().remove(0);
        c.decline(&grant, Some(SECOND * 1000));
    }
    assert_eq!(c.granted(), [""; 0]);
    assert_eq!(c.allocator.active_filters().values().sum::<usize>(), 2);
    c.allocator.revive(c.now, &"f1".into(), &["b".to_owned()]);
    assert_eq!(c.granted(), ["f1/b@s1: cpus:1; mem:64"]);
}

#[test]
fn suppressed_roles_get_nothing_but_still_count() {
    let mut c = Cluster::eager();
    c.framework("f1", &["a", "b"]);
    c.allocator.suppress(c.now, &"f1".into(), &["a".to_owned()]);
    c.agent("s1", "cpus:1;mem:64");
    assert_eq!(c.granted(), ["f1/b@s1: cpus:1; mem:64"]);
    c.allocator.suppress(c.now, &"f1".into(), &[]);
    c.agent("s2", "cpus:1;mem:64");
    assert_eq!(c.granted(), [""; 0]);
    assert_eq!(c.allocator.role_shares()["b"], 0.5);
    c.allocator.revive(c.now, &"f1".into(), &[]);
    assert_eq!(c.granted(), ["f1/a@s2: cpus:1; mem:64"]);
}

#[test]
fn a_disconnected_framework_loses_its_filters_and_gets_nothing() {
    let mut c = Cluster::eager();
    c.framework("f1", &["a"]);
    c.agent("s1", "cpus:1;mem:64");
    let grant = c.grants().remove(0);
    c.decline(&grant, Some(SECOND * 1000));
    c.allocator.deactivate_framework(c.now, &"f1".into());
    assert_eq!(c.granted(), [""; 0]);
    c.allocator.activate_framework(c.now, &"f1".into());
    assert_eq!(c.granted(), ["f1/a@s1: cpus:1; mem:64"]);
}

#[test]
fn new_attributes_end_an_agents_filters() {
    let mut c = Cluster::eager();
    c.framework("f1", &["a"]);
    c.agent("s1", "cpus:1;mem:64");
    let grant = c.grants().remove(0);
    c.decline(&grant, Some(SECOND * 1000));
    c.allocator.update_agent_profile(c.now, &"s1".into(), agent_profile("s1"));
    assert_eq!(c.granted(), [""; 0], "the same attributes change nothing");
    let attributes = vec![rack("r1")];
    c.allocator.update_agent_profile(c.now, &"s1".into(), AgentProfile { attributes, ..agent_profile("s1") });
    assert_eq!(c.grants().len(), 1);
    assert_eq!(c.allocator.next_deadline(), None);
}

#[test]
fn reserved_resources_go_to_the_role_and_those_below_it() {
    let mut c = Cluster::eager();
    c.framework("f1", &["a"]);
    c.framework("f2", &["a/b"]);
    c.framework("f3", &["c"]);
    c.allocator.set_weight("c", 100.0);
    c.agent("s1", "cpus(a):1;mem(a):64;cpus(a/b):1;mem(a/b):64");
    assert_eq!(
        c.granted(),
        [
            "f1/a@s1: cpus(reservations: [(STATIC,a)]):1; mem(reservations: [(STATIC,a)]):64",
            "f2/a/b@s1: cpus(reservations: [(STATIC,a/b)]):1; mem(reservations: [(STATIC,a/b)]):64",
        ]
    );
    c.agent("s2", "cpus:1;mem:64;cpus(a):1");
    c.agent("s3", "cpus(a):1;mem(a):64");
    let granted = c.granted();
    assert!(granted.contains(&"f3/c@s2: cpus:1; mem:64".to_owned()), "{granted:?}");
}

#[test]
fn frameworks_see_only_what_they_can_cope_with() {
    let mut c = Cluster::eager();
    c.framework_with("f1", profile(&["a"]));
    let gpu = "cpus:1;mem:64;gpus:1";
    c.agent("s1", gpu);
    let far = v1::DomainInfo {
        fault_domain: Some(v1::domain_info::FaultDomain {
            region: v1::domain_info::fault_domain::RegionInfo { name: "far".into() },
            zone: v1::domain_info::fault_domain::ZoneInfo { name: "z".into() },
        }),
    };
    c.agent_with("s2", resources("cpus:1"), AgentProfile { domain: Some(far.clone()), ..agent_profile("s2") });
    assert_eq!(c.granted(), ["f1/a@s2: cpus:1"], "without a region of its own the master knows none that is far");

    let config = AllocatorConfig { region: Some("near".into()), coalesce: Duration::ZERO, ..Default::default() };
    let mut c = Cluster::new(config);
    c.framework_with("f1", profile(&["a"]));
    c.agent_with("s1", resources(gpu), agent_profile("s1"));
    c.agent_with("s2", resources("cpus:1"), AgentProfile { domain: Some(far), ..agent_profile("s2") });
    c.framework("f2", &["a/b"]);
    let old = AgentProfile { capabilities: AgentCapabilities::default(), ..agent_profile("s3") };
    c.agent_with("s3", resources("cpus:2"), old);
    let mut granted = c.granted();
    granted.sort();
    assert_eq!(granted, ["f1/a@s3: cpus:2", "f2/a/b@s1: cpus:1; gpus:1; mem:64", "f2/a/b@s2: cpus:1"]);
}

#[test]
fn small_rests_are_no_offer_unless_the_framework_takes_anything() {
    let mut c = Cluster::eager();
    c.framework("f1", &["a"]);
    c.agent("s1", "cpus:0.005;mem:31;disk:1000");
    c.agent("s2", "cpus:0.01");
    c.agent("s3", "mem:32");
    assert_eq!(c.grants().len(), 2, "enough of one kind is enough");
    let min_allocatable = BTreeMap::from([("a".to_owned(), Vec::new())]);
    c.framework_with("f2", FrameworkProfile { min_allocatable, ..profile(&["a"]) });
    assert_eq!(c.granted(), ["f2/a@s1: cpus:0.005; mem:31; disk:1000"]);
}

#[test]
fn use_that_agents_bring_along_is_counted_before_the_framework_returns() {
    let mut c = Cluster::eager();
    let used = BTreeMap::from([(FrameworkId::from("f1"), resources("cpus:3").allocate("a"))]);
    c.allocator.add_agent(c.now, &"s1".into(), agent_profile("s1"), resources("cpus:4;mem:64"), &used);
    c.framework("f2", &["a"]);
    assert_eq!(c.granted(), ["f2/a@s1: cpus:1; mem:64"]);
    let used = BTreeMap::from([(AgentId::from("s1"), resources("cpus:3").allocate("a"))]);
    c.allocator.add_framework(c.now, &"f1".into(), profile(&["a"]), &used);
    assert_eq!(c.allocator.held(&"f1".into(), &"s1".into())["a"], resources("cpus:3"), "it is counted once");
    assert_eq!(c.granted(), [""; 0]);
    c.allocator.remove_framework(c.now, &"f1".into());
    assert_eq!(c.granted(), ["f2/a@s1: cpus:3"]);
}

#[test]
fn conversions_change_the_agent_and_what_is_made_is_not_refused() {
    let mut c = Cluster::eager();
    c.framework("f1", &["a"]);
    c.agent("s1", "cpus:4;mem:100");
    let grant = c.grants().remove(0);
    let consumed = resources("cpus:2");
    let reservation = Reservation::new_dynamic("a", None);
    let converted = consumed.push_reservation(&reservation).unwrap();
    let settlement = Settlement {
        offered: grant.resources.clone(),
        conversions: vec![Conversion { consumed, converted: converted.clone(), gone: None }],
        used: Resources::EMPTY,
        filter: Some(SECOND * 100),
    };
    c.allocator.settle(c.now, &grant.framework, &grant.agent, settlement);
    assert_eq!(*c.allocator.total(&grant.agent).unwrap(), resources("cpus:2;mem:100") + &converted);
    let grants = c.grants();
    assert_eq!(grants.len(), 1, "the reservation is more than what was refused");
    assert_eq!(grants[0].resources.unallocate(), resources("cpus:2;mem:100") + &converted);
}

#[test]
fn constraints_choose_the_agents() {
    use v1::scheduler::{
        AttributeConstraint,
        attribute_constraint::{Predicate, Selector, predicate::Predicate as P, selector, selector::Selector as S},
        offer_constraints::{RoleConstraints, role_constraints::Group},
    };
    let host = S::PseudoattributeType(selector::PseudoattributeType::Hostname as i32);
    let rack_name = || S::AttributeName("rack".into());
    let compile = |groups: Vec<Vec<(S, P)>>| {
        let condition = |(selector, predicate)| AttributeConstraint {
            selector: Selector { selector: Some(selector) },
            predicate: Predicate { predicate: Some(predicate) },
        };
        let group = |g: Vec<(S, P)>| Group { attribute_constraints: g.into_iter().map(condition).collect() };
        let rules = RoleConstraints { groups: groups.into_iter().map(group).collect() };
        let role_constraints = BTreeMap::from([("a".to_owned(), rules)]);
        OfferConstraints::compile(&v1::scheduler::OfferConstraints { role_constraints }, ConstraintLimits::default())
    };
    use v1::scheduler::attribute_constraint::predicate::{TextEquals, TextMatches, TextNotMatches};
    let equals = |value: &str| P::TextEquals(TextEquals { value: value.into() });
    let matches = |regex: &str| P::TextMatches(TextMatches { regex: regex.into() });
    let offered = |constraints: OfferConstraints| {
        let mut c = Cluster::eager();
        for (id, attributes) in
            [("s1", vec![rack("r1")]), ("s2", vec![rack("r22")]), ("s3", vec![number("rack")]), ("s4", vec![])]
        {
            c.agent_with(id, resources("cpus:1"), AgentProfile { attributes, ..agent_profile(id) });
        }
        c.framework_with("f1", FrameworkProfile { constraints: Some(constraints), ..profile(&["a"]) });
        let mut agents: Vec<String> = c.grants().iter().map(|grant| grant.agent.to_string()).collect();
        agents.sort();
        agents.join(" ")
    };
    assert_eq!(
        offered(compile(vec![vec![(rack_name(), equals("r1"))]]).unwrap()),
        "s1 s3",
        "no text passes any text test"
    );
    assert_eq!(
        offered(compile(vec![vec![(rack_name(), matches("r[0-9]"))]]).unwrap()),
        "s1 s3",
        "all of it must match"
    );
    let not = P::TextNotMatches(TextNotMatches { regex: "r.*".into() });
    assert_eq!(offered(compile(vec![vec![(rack_name(), not)]]).unwrap()), "s3 s4");
    assert_eq!(offered(compile(vec![vec![(rack_name(), P::NotExists(Default::default()))]]).unwrap()), "s4");
    let either = vec![
        vec![(rack_name(), P::Exists(Default::default())), (host.clone(), equals("s2.example"))],
        vec![(host, equals("s4.example"))],
    ];
    assert_eq!(offered(compile(either).unwrap()), "s2 s4", "all of one group");
    assert!(matches!(compile(vec![]), Err(ConstraintError::NoGroups { .. })));
    assert!(matches!(compile(vec![vec![]]), Err(ConstraintError::EmptyGroup { group: 0, .. })));
    for pattern in ["(", "a)|(b"] {
        assert!(matches!(compile(vec![vec![(rack_name(), matches(pattern))]]), Err(ConstraintError::Regex { .. })));
    }
    let huge = matches(r"(\w{100}){100}");
    assert!(matches!(compile(vec![vec![(rack_name(), huge)]]), Err(ConstraintError::Regex { .. })));
}

#[test]
fn only_whitelisted_and_active_agents_are_offered() {
    let mut c = Cluster::eager();
    c.allocator.set_whitelist(c.now, Some(BTreeSet::from(["s1.example".to_owned()])));
    c.framework("f1", &["a"]);
    c.agent_with("s1", resources("cpus:1"), AgentProfile { active: false, ..agent_profile("s1") });
    c.agent("s2", "cpus:2");
    assert_eq!(c.granted(), [""; 0]);
    c.allocator.activate_agent(c.now, &"s1".into());
    assert_eq!(c.granted(), ["f1/a@s1: cpus:1"]);
    c.allocator.set_whitelist(c.now, None);
    assert_eq!(c.granted(), ["f1/a@s2: cpus:2"]);
}

#[test]
fn a_cut_cycle_goes_on_where_it_stopped() {
    let mut c = Cluster::eager();
    c.framework("f1", &["a"]);
    for n in 0..10 {
        c.agent(&format!("s{n}"), "cpus:1");
    }
    let mut granted = 0;
    let mut calls = 0;
    while c.allocator.next_deadline().is_some() {
        granted += c.allocator.allocate(c.now, Budget { steps: 4 }).len();
        calls += 1;
    }
    assert_eq!((granted, calls), (10, 5));
}

#[test]
fn settling_for_who_is_gone_is_ignored() {
    let mut c = Cluster::eager();
    c.framework("f1", &["a"]);
    c.agent("s1", "cpus:1");
    let grant = c.grants().remove(0);
    c.allocator.remove_agent(c.now, &"s1".into());
    c.decline(&grant, None);
    c.agent("s1", "cpus:1");
    let grant = c.grants().remove(0);
    c.allocator.remove_framework(c.now, &"f1".into());
    c.decline(&grant, None);
    c.allocator.check_invariants().unwrap();
    assert_eq!(*c.allocator.available(&"s1".into()).unwrap(), resources("cpus:1"));
}

#[test]
fn refuse_seconds_are_read_as_mesos_reads_them() {
    assert_eq!(refusal_duration(None), Some(SECOND * 5));
    assert_eq!(refusal_duration(Some(0.0)), None);
    assert_eq!(refusal_duration(Some(0.5)), Some(SECOND / 2));
    assert_eq!(refusal_duration(Some(-3.0)), Some(SECOND * 5));
    assert_eq!(refusal_duration(Some(f64::NAN)), Some(SECOND * 5));
    assert_eq!(refusal_duration(Some(f64::INFINITY)), Some(SECOND * 31_536_000));
}

fn rack(value: &str) -> v1::Attribute {
    v1::Attribute {
        name: "rack".into(),
        r#type: v1::value::Type::Text as i32,
        text: Some(v1::value::Text { value: value.into() }),
        ..Default::default()
    }
}

fn number(name: &str) -> v1::Attribute {
    v1::Attribute {
        name: name.into(),
        r#type: v1::value::Type::Scalar as i32,
        scalar: Some(v1::value::Scalar { value: 7.0 }),
        ..Default::default()
    }
}
