//! The state of a real Apache Mesos 1.11, recorded: five frameworks in six roles on six agents, with reservations for
//! `ads`, a weight of 2 for `web`, and quotas for `web` and `analytics`.

use std::time::Duration;

use what_if::{Change, Comparison, Scenario, read_roles, read_state};
use workload::PartyOutcome;

const STATE: &str = include_str!("../data/mesos-state.json");
const ROLES: &str = include_str!("../data/mesos-roles.json");
const TASK: Duration = Duration::from_secs(60);

fn recorded() -> Scenario {
    let mut scenario = read_state("mesos-state.json", STATE, TASK, 1).unwrap();
    read_roles("mesos-roles.json", ROLES, &mut scenario).unwrap();
    scenario
}

fn wanting_all() -> Scenario {
    let mut scenario = recorded();
    scenario.assume_unlimited(TASK);
    scenario
}

fn compare(scenario: &Scenario, changes: &[Change]) -> Comparison {
    Comparison::new(scenario, changes, 1).unwrap()
}

fn role<'a>(outcome: &'a workload::Outcome, name: &str) -> &'a PartyOutcome {
    outcome.roles.iter().find(|party| party.role == name).unwrap()
}

#[test]
fn a_recorded_cluster_is_read_with_its_holdings_and_settings() {
    let scenario = recorded();
    assert_eq!((scenario.agents.len(), scenario.held.len()), (6, 37));
    let capacity = scenario.capacity();
    assert_eq!((capacity.named("cpus").as_f64(), capacity.named("mem").as_f64()), (54.0, 55_296.0));
    let reserved = scenario.agents[0].total.reserved_to("ads").scalar_quantities();
    assert_eq!(reserved.to_string(), "cpus:1; mem:1024");
    assert_eq!(scenario.agents[0].profile.attributes.len(), 2);
    assert_eq!(scenario.weights.get("web"), Some(&2.0));
    assert_eq!(scenario.quotas.keys().map(String::as_str).collect::<Vec<_>>(), ["analytics", "web"]);
}

#[test]
fn a_master_is_simulated_as_it_is_set_and_where_it_is() {
    let domain = r#"{"fault_domain": {"region": {"name": "north"}, "zone": {"name": "a"}}}"#;
    let set = |flags: &str| {
        let agent = format!(r#"{{"id": "S0", "hostname": "h", "resources": {{"cpus": 1}}, "domain": {domain}}}"#);
        let text = format!(r#"{{"domain": {domain}, "flags": {flags}, "slaves": [{agent}], "frameworks": []}}"#);
        read_state("state.json", &text, TASK, 1).map_err(|error| error.to_string())
    };
    let ours = set(r#"{"allocation_interval": "250ms"}"#).unwrap();
    assert_eq!((ours.config.region.as_deref(), ours.config.interval.as_millis()), (Some("north"), 250));
    assert!(ours.config.event_driven && ours.config.nested_quota);
    assert!(ours.agents[0].profile.domain.is_some());
    let compatible = set(r#"{"allocation_compatibility": "true", "allocation_on_recovery": "true"}"#).unwrap();
    assert_eq!(compatible.config.region.as_deref(), Some("north"));
    assert!(!compatible.config.event_driven && !compatible.config.nested_quota);
    let waiting = set(r#"{"allocation_on_recovery": "false"}"#).unwrap();
    assert!(!waiting.config.event_driven && waiting.config.nested_quota);
    let wrong = set(r#"{"allocation_interval": "soon"}"#).unwrap_err();
    assert!(wrong.contains("'soon' is not a duration"), "{wrong}");
}

#[test]
fn whoever_wants_no_more_keeps_what_it_has() {
    let comparison = compare(&recorded(), &[]);
    for (name, cpus) in
        [("web", 7.0), ("analytics/reports", 8.0), ("analytics/nightly", 5.0), ("ads", 2.0), ("batch", 12.0)]
    {
        let held = role(&comparison.before, name).held_mean["cpus"];
        assert!((held - cpus).abs() < cpus / 50.0, "{name} holds {held} cpus, not {cpus}");
    }
    assert_eq!(comparison.named().len(), 1, "nothing changed, so there is nothing to compare");
}

#[test]
fn a_greater_weight_takes_from_the_others() {
    let comparison = compare(&wanting_all(), &[Change::weight("web=6").unwrap()]);
    let (before, after) = (role(&comparison.before, "web"), role(&comparison.after, "web"));
    assert!(after.share_mean > before.share_mean * 1.2, "{} and {}", before.share_mean, after.share_mean);
    assert!(role(&comparison.after, "batch").share_mean <= role(&comparison.before, "batch").share_mean);
    assert!(comparison.before.utilisation["cpus"].mean > 0.98 && comparison.after.utilisation["cpus"].mean > 0.98);
}

#[test]
fn an_impossible_quota_is_refused_with_the_figures() {
    let change = Change::guarantee("analytics=cpus:20;mem:1024").unwrap();
    let error = Comparison::new(&recorded(), &[change], 1).unwrap_err().to_string();
    assert!(error.contains("analytics") || error.contains("cpus:20"), "{error}");
    let comparison = compare(&recorded(), &[Change::guarantee("batch=cpus:500").unwrap()]);
    assert!(
        comparison.warnings[0].contains("'cpus:504; mem:4096' exceed cluster capacity"),
        "{:?}",
        comparison.warnings
    );
}

#[test]
fn agents_come_and_go_with_what_runs_on_them() {
    let agent = recorded().agents[2].id.to_string();
    let changes = [Change::RemoveAgent(agent), Change::add_agents("2:cpus:16;mem:32768").unwrap()];
    let comparison = compare(&wanting_all(), &changes);
    assert_eq!(comparison.before.capacity["cpus"], 54.0);
    assert_eq!(comparison.after.capacity["cpus"], 54.0 - 9.0 + 32.0);
    let error = Change::apply(&[Change::RemoveAgent("nobody".into())], &recorded()).unwrap_err().to_string();
    assert!(error.contains("there is no agent 'nobody'; there are 6 such as"), "{error}");
}

#[test]
fn the_same_seed_gives_the_same_comparison() {
    let json = |seed| {
        let comparison = Comparison::new(&wanting_all(), &[Change::weight("web=3").unwrap()], seed).unwrap();
        serde_json::to_string(&comparison).unwrap()
    };
    assert_eq!(json(5), json(5));
}

#[test]
fn the_report_is_one_page_with_assumptions_tables_and_charts() {
    let html = compare(&wanting_all(), &[Change::weight("web=3").unwrap()]).html();
    for expected in
        ["role web has weight 3", "Assumptions", "analytics/reports", "<svg", "Dominant shares over time, after"]
    {
        assert!(html.contains(expected), "{expected} is missing");
    }
}

#[test]
fn what_is_wrong_in_a_document_is_told_with_its_field() {
    let broken = |from: &str, to: &str| {
        assert!(STATE.contains(from), "{from}");
        read_state("s.json", &STATE.replacen(from, to, 1), TASK, 1).unwrap_err().to_string()
    };
    for (from, to, expected) in [
        ("{", "", "s.json: it is no JSON"),
        ("\"slaves\"", "\"agents\"", "s.json: there is no field 'slaves'; what a leading master answers to GET /state"),
        (
            "\"role_sorter\": \"drf\"",
            "\"role_sorter\": \"fair\"",
            "s.json, flags.role_sorter: nobody knows the sorter 'fair'; drf or random",
        ),
        (
            "\"hostname\": \"localhost\",\n   \"port\"",
            "\"hostname\": 3,\n   \"port\"",
            "s.json, slaves[0].hostname: it is 3; a text",
        ),
        ("\"state\": \"TASK_RUNNING\"", "\"state\": [1]", ".tasks[0].state: it is a list; a text"),
    ] {
        let error = broken(from, to);
        assert!(error.contains(expected), "{error:?} does not say {expected:?}");
    }
    let error =
        read_roles("r.json", &ROLES.replacen("\"weight\": 2.0", "\"weight\": -2", 1), &mut recorded()).unwrap_err();
    assert!(error.to_string().contains("r.json, roles[6].weight: Invalid weight '-2'"), "{error}");
    let error = read_roles("r.json", STATE, &mut recorded()).unwrap_err().to_string();
    assert!(error.contains("there is no field 'roles'"), "{error}");
}

#[test]
fn what_frameworks_want_can_be_said() {
    let mut scenario = recorded();
    scenario.assume(&"shop=4".parse().unwrap(), TASK).unwrap();
    scenario.assume(&"bidder=2:cpus:3;mem:100".parse().unwrap(), TASK).unwrap();
    let [shop, bidder] = scenario.wanted.as_slice() else { panic!("{:?}", scenario.wanted) };
    assert_eq!((shop.count, shop.demand.to_string()), (4, "cpus:0.5; mem:512".to_owned()));
    assert_eq!((bidder.count, &*bidder.role), (2, "ads"));
    let error = scenario.assume(&"nobody=1".parse().unwrap(), TASK).unwrap_err();
    assert!(error.contains("there is no framework 'nobody'; there are ") && error.contains("shop"), "{error}");
    for text in ["shop", "shop=many", "=3", "shop=3:", "shop=3:cpus"] {
        let error = text.parse::<what_if::Demand>().unwrap_err();
        assert!(error.contains("such as spark=unlimited"), "{error}");
    }
}

#[test]
fn a_limit_holds_and_is_told_to_need_force_where_more_is_held() {
    let comparison = compare(&wanting_all(), &[Change::limit("batch=cpus:4;mem:65536").unwrap()]);
    assert!(role(&comparison.after, "batch").held_mean["cpus"] <= 4.0);
    let [warning] = comparison.warnings.as_slice() else { panic!("{:?}", comparison.warnings) };
    assert!(warning.contains("'batch' is already consuming") && warning.contains("cpus:4"), "{warning}");
}

#[test]
fn a_guarantee_is_met() {
    let comparison = compare(&wanting_all(), &[Change::guarantee("batch=cpus:20;mem:10240").unwrap()]);
    let held = role(&comparison.after, "batch").held_mean["cpus"];
    assert!(held >= 18.0, "{held}");
}
#[test]
fn a_resource_group_keeps_its_minimum_for_its_roles() {
    let groups = r#"{"groups":[{"name":"front","roles":["web"],"unit":{"cpus":{"value":0.5},"mem":{"value":512}},
        "capacity":{"min":60}}]}"#;
    let comparison = compare(&wanting_all(), &[Change::groups("g.json", groups).unwrap()]);
    let web = |outcome| role(outcome, "web").held_mean["cpus"];
    let (before, after) = (web(&comparison.before), web(&comparison.after));
    assert!(before < 25.0 && after > 29.0, "{before} before and {after} after");
    for (text, expected) in [
        ("{", "g.json: "),
        (&groups.replace("web", "a//b"), "g.json: resource group 'front' serves 'a//b', which is no role"),
        (&groups.replace("\"min\":60", "\"max\":0"), "may hold 0 units at most"),
    ] {
        let error = Change::groups("g.json", text).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    let many = Change::groups("g.json", &groups.replace("\"min\":60", "\"min\":600")).unwrap();
    let warning = compare(&recorded(), &[many]).warnings.remove(0);
    assert!(warning.contains("guaranteed 600 units, but the agents it selects have room for 96"), "{warning}");
}

#[test]
fn the_groups_of_a_recorded_cluster_are_read_and_can_be_taken_away() {
    let groups = r#""resource_groups":[{"group":{"name":"front","roles":["web"],"unit":{"cpus":{"value":0.5}}},"held_units":14}],"#;
    let text = STATE.replacen('{', &format!("{{{groups}"), 1);
    let scenario = read_state("s.json", &text, TASK, 1).unwrap();
    assert_eq!(scenario.groups.iter().map(|group| &*group.name).collect::<Vec<_>>(), ["front"]);
    let none = Change::groups("g.json", r#"{"groups":[]}"#).unwrap();
    assert!(Change::apply(&[none], &scenario).unwrap().groups.is_empty());
    let error = read_state("s.json", &text.replace("\"web\"],", "],"), TASK, 1).unwrap_err().to_string();
    assert!(error.contains("s.json, resource_groups[0].group: resource group 'front' serves no roles"), "{error}");
}
