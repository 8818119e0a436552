//! One outcome, or several beside each other, as tables and charts.

use std::collections::BTreeSet;

use charts::{Align, Axis, BarChart, LineChart, Report, Shape, Table, number};

use crate::outcome::{Outcome, PartyOutcome};

/// An outcome under its name, such as `before`.
pub type Named<'a> = (&'a str, &'a Outcome);

/// The tables of a report, each with its heading.
pub fn tables(outcomes: &[Named]) -> Vec<(&'static str, Table)> {
    let mut tables = vec![("Summary", summary(outcomes))];
    for (_, outcome) in outcomes.iter().filter(|(_, outcome)| !outcome.groups.is_empty()) {
        tables.push(("Resource groups", groups(outcome)));
    }
    tables.push(("Roles", parties(outcomes, false)));
    tables.push(("Frameworks", parties(outcomes, true)));
    tables
}

/// The charts of a report, each with a name that files can have.
pub fn charts(outcomes: &[Named]) -> Vec<(String, String)> {
    let mut charts = vec![("shares".to_owned(), share_bars(outcomes)), ("waiting".to_owned(), waiting_bars(outcomes))];
    for outcome in outcomes {
        let name = format!("shares-over-time-{}", outcome.0.replace(' ', "-"));
        charts.push((name, shares_over_time(*outcome, outcomes.len() > 1)));
    }
    charts.push(("utilisation-over-time".to_owned(), use_over_time(outcomes)));
    charts.push(("waiting-over-time".to_owned(), waiting_over_time(outcomes)));
    charts
}

/// All of it as one HTML page: `about` says under headings what it is about.
pub fn page(title: &str, about: &[(&str, &[String])], outcomes: &[Named]) -> String {
    let mut report = Report::new(title);
    for (heading, items) in about.iter().filter(|(_, items)| !items.is_empty()) {
        report.heading(heading).list(*items);
    }
    for (heading, table) in tables(outcomes) {
        report.heading(heading).table(&table);
    }
    report.heading("Charts");
    for (_, chart) in charts(outcomes) {
        report.chart(&chart);
    }
    report.html()
}

fn summary(outcomes: &[Named]) -> Table {
    let names = outcomes.iter().map(|(name, _)| (*name, Align::Right));
    let mut table = Table::new([("", Align::Left)].into_iter().chain(names));
    let mut row = |name: &str, cell: &dyn Fn(&Outcome) -> String| {
        table.row([name.to_owned()].into_iter().chain(outcomes.iter().map(|(_, outcome)| cell(outcome))));
    };
    for resource in resources_of(outcomes) {
        let used = |o: &Outcome| o.utilisation.get(&resource).copied();
        row(&format!("{resource} in use, mean"), &|o| used(o).map_or("-".into(), |uses| percent(uses.mean)));
        row(&format!("{resource} in use, peak"), &|o| used(o).map_or("-".into(), |uses| percent(uses.peak)));
    }
    row("fairness (1 is fair)", &|o| o.fairness.map_or("-".into(), number));
    row("tasks that arrived", &|o| number(o.tasks.arrived as f64));
    row("… that finished", &|o| number(o.tasks.finished as f64));
    if outcomes.iter().any(|(_, outcome)| outcome.tasks.lost > 0) {
        row("… that were lost", &|o| number(o.tasks.lost as f64));
    }
    row("… that run at the end", &|o| number(o.tasks.running as f64));
    row("… that wait at the end", &|o| number(o.tasks.waiting as f64));
    row("unmet demand at the end", &|o| amounts(&o.unmet));
    row("waited before the start, mean", &|o| o.waits.mean.map_or("-".into(), seconds));
    row("… p50", &|o| o.waits.p50.map_or("-".into(), seconds));
    row("… p90", &|o| o.waits.p90.map_or("-".into(), seconds));
    row("… p99", &|o| o.waits.p99.map_or("-".into(), seconds));
    row("makespan", &|o| o.makespan_secs.map_or("-".into(), seconds));
    table
}

fn groups(outcome: &Outcome) -> Table {
    let right = [
        "share",
        "cpus",
        "mem",
        "units, mean",
        "units, peak",
        "fairness inside",
        "finished",
        "waiting",
        "wait p50",
        "wait p90",
    ];
    let columns = [("group", Align::Left), ("roles", Align::Left)];
    let mut table = Table::new(columns.into_iter().chain(right.into_iter().map(|name| (name, Align::Right))));
    let or_none = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
    for group in &outcome.groups {
        let held = |name: &str| number(group.held.held_mean.get(name).copied().unwrap_or(0.0));
        table.row([
            group.group.clone(),
            group.roles.join(", "),
            percent(group.held.share_mean),
            held("cpus"),
            held("mem"),
            or_none(group.units.map(|units| number(units.mean))),
            or_none(group.units.map(|units| number(units.peak))),
            or_none(group.fairness.map(number)),
            number(group.held.tasks.finished as f64),
            number(group.held.tasks.waiting as f64),
            or_none(group.held.waits.p50.map(seconds)),
            or_none(group.held.waits.p90.map(seconds)),
        ]);
    }
    table
}

fn parties(outcomes: &[Named], frameworks: bool) -> Table {
    let mut columns: Vec<(String, Align)> = vec![("role".into(), Align::Left)];
    if frameworks {
        columns.push(("framework".into(), Align::Left));
    }
    for what in ["share", "cpus", "mem", "waiting", "wait p90"] {
        for (name, _) in outcomes {
            let heading = if outcomes.len() > 1 { format!("{what} {name}") } else { what.to_owned() };
            columns.push((heading, Align::Right));
        }
    }
    let mut table = Table::new(columns.iter().map(|(name, align)| (name.as_str(), *align)));
    for (role, framework) in keys(outcomes, frameworks) {
        let find = |o: &Outcome| find(o, &role, framework.as_deref()).cloned();
        let mut cells = vec![role.clone()];
        cells.extend(framework.clone());
        let kinds: [fn(&PartyOutcome) -> String; 5] = [
            |p| percent(p.share_mean),
            |p| number(p.held_mean.get("cpus").copied().unwrap_or(0.0)),
            |p| number(p.held_mean.get("mem").copied().unwrap_or(0.0)),
            |p| number(p.tasks.waiting as f64),
            |p| p.waits.p90.map_or("-".into(), seconds),
        ];
        for kind in kinds {
            cells.extend(outcomes.iter().map(|(_, outcome)| find(outcome).map_or("-".into(), |party| kind(&party))));
        }
        table.row(cells);
    }
    table
}

/// Who got what: the dominant share of each role.
fn share_bars(outcomes: &[Named]) -> String {
    let names: Vec<&str> = outcomes.iter().map(|(name, _)| *name).collect();
    let mut chart = BarChart::new("Dominant share of each role, mean", Axis::new("share").unit("%"), &names);
    for (role, _) in keys(outcomes, false).into_iter().take(ROWS_MAX) {
        let share = |(_, o): &Named| find(o, &role, None).map_or(0.0, |party| party.share_mean * 100.0);
        chart = chart.row(&role, outcomes.iter().map(share));
    }
    chart.svg()
}

/// Who waited: the 90th percentile of each role.
fn waiting_bars(outcomes: &[Named]) -> String {
    let names: Vec<&str> = outcomes.iter().map(|(name, _)| *name).collect();
    let mut chart =
        BarChart::new("Nine of ten tasks of each role waited at most", Axis::new("waiting").unit("s"), &names);
    for (role, _) in keys(outcomes, false).into_iter().take(ROWS_MAX) {
        let wait = |(_, o): &Named| find(o, &role, None).and_then(|party| party.waits.p90).unwrap_or(0.0);
        chart = chart.row(&role, outcomes.iter().map(wait));
    }
    chart.svg()
}

/// Roles with less share become one area when there are more than this.
const AREAS_MAX: usize = 9;
const ROWS_MAX: usize = 40;

fn shares_over_time((name, outcome): Named, several: bool) -> String {
    let title = match several {
        true => format!("Dominant shares over time, {name}"),
        false => "Dominant shares over time".to_owned(),
    };
    let mut chart = LineChart::new(&title, Axis::new("time").unit("s"), Axis::new("sum of dominant shares").unit("%"));
    let mut order: Vec<usize> = (0..outcome.roles.len()).collect();
    let size = |at: &usize| outcome.roles.get(*at).map_or(0.0, |role| role.share_mean);
    order.sort_by(|a, b| size(b).total_cmp(&size(a)).then(a.cmp(b)));
    let (shown, rest) = order.split_at(order.len().min(AREAS_MAX));
    let series = |roles: &[usize]| -> Vec<(f64, f64)> {
        let at =
            |moment: &crate::Moment| roles.iter().map(|at| moment.shares.get(*at).copied().unwrap_or(0.0)).sum::<f64>();
        outcome.moments.iter().map(|moment| (moment.secs, at(moment) * 100.0)).collect()
    };
    for at in shown {
        let role = outcome.roles.get(*at).map_or("", |role| role.role.as_str());
        chart = chart.series(role, Shape::Area, series(&[*at]));
    }
    if !rest.is_empty() {
        chart = chart.series(&format!("{} more roles", rest.len()), Shape::Area, series(rest));
    }
    chart.svg()
}

fn use_over_time(outcomes: &[Named]) -> String {
    let y = Axis::new("in use").unit("%").up_to(100.0);
    let mut chart = LineChart::new("Utilisation over time", Axis::new("time").unit("s"), y);
    for (name, outcome) in outcomes {
        for resource in outcome.utilisation.keys().filter(|name| COMPARED.contains(&name.as_str())) {
            let label = if outcomes.len() > 1 { format!("{resource}, {name}") } else { resource.clone() };
            let used =
                |moment: &crate::Moment| (moment.secs, moment.used.get(resource).copied().unwrap_or(0.0) * 100.0);
            chart = chart.series(&label, Shape::Step, outcome.moments.iter().map(used));
        }
    }
    chart.svg()
}

fn waiting_over_time(outcomes: &[Named]) -> String {
    let mut chart = LineChart::new("Tasks that wait, over time", Axis::new("time").unit("s"), Axis::new("tasks"));
    for (name, outcome) in outcomes {
        let waiting = outcome.moments.iter().map(|moment| (moment.secs, moment.waiting as f64));
        chart = chart.series(name, Shape::Step, waiting);
    }
    chart.svg()
}

const COMPARED: [&str; 3] = ["cpus", "gpus", "mem"];

fn resources_of(outcomes: &[Named]) -> BTreeSet<String> {
    let used = |name: &&String| {
        COMPARED.contains(&name.as_str())
            || outcomes.iter().any(|(_, o)| o.utilisation.get(*name).is_some_and(|uses| uses.peak > 0.0))
    };
    outcomes.iter().flat_map(|(_, outcome)| outcome.utilisation.keys()).filter(used).cloned().collect()
}

fn keys(outcomes: &[Named], frameworks: bool) -> BTreeSet<(String, Option<String>)> {
    let of = |outcome: &Outcome| -> Vec<(String, Option<String>)> {
        let list = if frameworks { &outcome.frameworks } else { &outcome.roles };
        list.iter().map(|party| (party.role.clone(), party.framework.clone())).collect()
    };
    outcomes.iter().flat_map(|(_, outcome)| of(outcome)).collect()
}

fn find<'a>(outcome: &'a Outcome, role: &str, framework: Option<&str>) -> Option<&'a PartyOutcome> {
    let list = if framework.is_some() { &outcome.frameworks } else { &outcome.roles };
    list.iter().find(|party| party.role == role && party.framework.as_deref() == framework)
}

fn percent(part: f64) -> String {
    format!("{} %", number((part * 1000.0).round() / 10.0))
}

fn seconds(secs: f64) -> String {
    format!("{} s", number(secs))
}

fn amounts(amounts: &std::collections::BTreeMap<String, f64>) -> String {
    let words: Vec<String> = amounts.iter().map(|(name, amount)| format!("{name}:{}", number(*amount))).collect();
    if words.is_empty() { "none".to_owned() } else { words.join("; ") }
}
