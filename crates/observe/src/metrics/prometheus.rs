//! A snapshot in Prometheus's text format. Parts of Mesos's names that name a thing become labels, `slave` becomes
//! `agent`, counters end in `_total`, timers are summaries in seconds.

use std::{collections::BTreeMap, fmt::Write};

use super::{Kind, Shown, Snapshot, catalog::describe, timer::PERCENTILES};

/// All samples that share a name.
struct Family {
    kind: &'static str,
    help: String,
    lines: Vec<String>,
}

/// A Mesos name in Prometheus's terms.
#[derive(Debug, PartialEq, Eq)]
struct Name {
    name: String,
    labels: Vec<(&'static str, String)>,
    source: String,
}

pub(super) fn write(snapshot: &Snapshot) -> String {
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    for (name, sample) in snapshot.values.iter().filter(|(_, sample)| sample.shown != Shown::Json) {
        add_sample(&mut families, translate(name), sample.kind, sample.value);
    }
    for one in &snapshot.labeled {
        let named = Name { labels: one.labels.clone(), ..translate(one.name) };
        add_sample(&mut families, named, Kind::Gauge, one.value);
    }
    for (name, statistics) in &snapshot.timers {
        let named = translate(name);
        let full = format!("{}_seconds", named.name);
        let mut lines: Vec<String> = PERCENTILES
            .iter()
            .map(|(_, q)| format!("{full}{} {}", braced(&named.labels, Some(*q)), statistics.percentile(*q) / 1e3))
            .collect();
        lines.push(format!("{full}_sum{} {}", braced(&named.labels, None), statistics.sum / 1e3));
        lines.push(format!("{full}_count{} {}", braced(&named.labels, None), statistics.count));
        add(&mut families, full, "summary", help(&named.source), lines);
    }
    let mut out = String::new();
    for (name, family) in families {
        // Writing to a String does not fail.
        let _ = writeln!(out, "# HELP {name} {}", family.help);
        let _ = writeln!(out, "# TYPE {name} {}", family.kind);
        for line in family.lines {
            out.push_str(&line);
            out.push('\n');
        }
    }
    out
}

/// Whoever put a number in may not know whether it only grows; the catalog does.
fn add_sample(families: &mut BTreeMap<String, Family>, mut named: Name, put_as: Kind, value: f64) {
    let kind = match describe(&named.source).map_or(put_as, |known| known.kind) {
        Kind::Counter if named.name.ends_with("_total") => "counter",
        Kind::Counter => {
            named.name.push_str("_total");
            "counter"
        }
        Kind::Gauge => "gauge",
    };
    let line = format!("{}{} {value}", named.name, braced(&named.labels, None));
    add(families, named.name, kind, help(&named.source), [line]);
}

fn add(
    families: &mut BTreeMap<String, Family>,
    name: String,
    kind: &'static str,
    help: String,
    lines: impl IntoIterator<Item = String>,
) {
    families.entry(name).or_insert_with(|| Family { kind, help, lines: Vec::new() }).lines.extend(lines);
}

/// A sentence, and the name that Mesos's documentation has.
fn help(source: &str) -> String {
    match describe(source) {
        Some(known) => format!("{} ({source})", known.help),
        None => source.to_owned(),
    }
}

pub(super) fn undescribed(snapshot: &Snapshot) -> Vec<String> {
    let names = snapshot.values.keys().chain(snapshot.timers.keys()).map(String::as_str);
    let sources = names.chain(snapshot.labeled.iter().map(|one| one.name)).map(|name| translate(name).source);
    sources.filter(|source| describe(source).is_none()).collect()
}

/// A page of the documentation with all numbers.
#[cfg(test)]
fn reference() -> String {
    let mut out = String::from(
        "# Metrics\n\n`GET /metrics` of masters and agents speaks Prometheus's text format, `GET /metrics/snapshot` Mesos's \
         JSON. Words in angle brackets are labels in Prometheus; `*` stands for several names. Counters only grow, until \
         the process starts again. Timers are summaries in seconds. Of frameworks that are over, and of more than 100 \
         frameworks or 1,000 containers, Prometheus gets no series of their own.\n\n\
         | Prometheus | type | Mesos | meaning |\n|---|---|---|---|\n",
    );
    for known in super::catalog::CATALOG {
        let named = translate(&known.pattern.replace('*', "STAR"));
        let labels: Vec<&str> = named.labels.iter().map(|(label, _)| *label).collect();
        let is_timer = ["allocation_run", "state_fetch", "state_store", "allocation_run_latency"]
            .iter()
            .any(|timer| known.pattern.ends_with(&format!("/{timer}")));
        let (suffix, kind) = match known.kind {
            _ if is_timer => ("_seconds", "summary"),
            Kind::Counter => ("_total", "counter"),
            Kind::Gauge => ("", "gauge"),
        };
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        let name = named.name.replace("STAR", "*");
        let _ = writeln!(out, "| `{name}{suffix}{labels}` | {kind} | `{}` | {} |", known.pattern, known.help);
    }
    out
}

fn translate(metric: &str) -> Name {
    // Numbers every Prometheus client gives under the same names.
    if let Some(rest) = metric.strip_prefix("process/") {
        return Name { name: format!("process_{}", clean(rest)), labels: Vec::new(), source: metric.to_owned() };
    }
    let parts: Vec<&str> = metric.split('/').collect();
    let mut rest = parts.as_slice();
    let mut name = vec!["meseta".to_owned()];
    let mut source = Vec::new();
    let mut labels = Vec::new();
    let mut by_cause = false;
    while let [part, tail @ ..] = rest {
        rest = tail;
        match (*part, tail) {
            ("frameworks", [principal, what]) if source.is_empty() => {
                labels.push(("principal", percent_decode(principal)));
                name.extend(["principal".to_owned(), clean(what)]);
                source.push(format!("frameworks/<principal>/{}", what.replace(['\n', '\\'], " ")));
                rest = &[];
            }
            ("frameworks", [framework, id, after @ ..]) if !after.is_empty() => {
                labels.push(("framework", percent_decode(framework)));
                labels.push(("framework_id", (*id).to_owned()));
                name.push("framework".to_owned());
                source.push("frameworks/<name>/<id>".to_owned());
                rest = after;
            }
            ("roles" | "resources" | "groups", [thing, after @ ..]) if !after.is_empty() => {
                let singular = match *part {
                    "roles" => "role",
                    "groups" => "group",
                    _ => "resource",
                };
                labels.push((singular, percent_decode(thing)));
                name.push(singular.to_owned());
                source.push(format!("{part}/<{singular}>"));
                rest = after;
            }
            (part, _) => match (part.strip_prefix("source_"), part.strip_prefix("reason_")) {
                (Some(cause), _) => {
                    labels.push(("source", cause.to_owned()));
                    source.push("source_<source>".to_owned());
                    by_cause = true;
                }
                (_, Some(cause)) => {
                    labels.push(("reason", cause.to_owned()));
                    source.push("reason_<reason>".to_owned());
                    by_cause = true;
                }
                _ => {
                    name.push(clean(part));
                    source.push(part.replace(['\n', '\\'], " "));
                }
            },
        }
    }
    if by_cause {
        name.push("by_cause".to_owned());
    }
    Name { name: name.join("_"), labels, source: source.join("/") }
}

/// Only what may stand in a Prometheus name.
fn clean(part: &str) -> String {
    let plain: String = part.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    let words: Vec<&str> = plain
        .split('_')
        .filter(|word| !word.is_empty())
        .map(|word| match word {
            "slave" => "agent",
            "slaves" => "agents",
            other => other,
        })
        .collect();
    words.join("_")
}

fn braced(labels: &[(&'static str, String)], quantile: Option<f64>) -> String {
    let quantile = quantile.map(|q| format!("quantile=\"{q}\""));
    let all: Vec<String> =
        labels.iter().map(|(key, value)| format!("{key}=\"{}\"", escape(value))).chain(quantile).collect();
    if all.is_empty() { String::new() } else { format!("{{{}}}", all.join(",")) }
}

fn escape(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// Replaces `%xx`; anything else stays as it is.
fn percent_decode(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let digit = |i: usize| tail.get(i).and_then(|d| char::from(*d).to_digit(16));
        match (first, digit(0), digit(1)) {
            (b'%', Some(high), Some(low)) => {
                out.push((high << 4 | low) as u8);
                rest = tail.get(2..).unwrap_or_default();
            }
            _ => {
                out.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{super::Registry, *};

    #[test]
    fn families_are_grouped_and_things_become_labels() {
        let registry = Registry::default();
        registry.counter("master/slave_removals").add(3);
        registry.counter("master/slave_removals/reason_unhealthy").add(2);
        registry.counter("master/task_failed/source_executor/reason_command_executor_failed").add(1);
        registry.gauge("master/slaves_active").set(2.0);
        registry.counter("master/frameworks/a%20%22b%22/id-0000/calls").add(5);
        registry.counter("master/frameworks/z/id-0001/calls").add(6);
        registry.gauge("allocator/mesos/roles/dev/shares/dominant").set(0.5);
        registry.gauge("master/frameworks_active").set(1.0);
        let timer = registry.timer("registrar/state_store");
        timer.record(Duration::from_secs(1));
        timer.record(Duration::from_secs(3));
        let text = registry.snapshot().to_prometheus();
        let expected = r#"# HELP meseta_allocator_mesos_role_shares_dominant A role's share of the resource of which it has the most. (allocator/mesos/roles/<role>/shares/dominant)
# TYPE meseta_allocator_mesos_role_shares_dominant gauge
meseta_allocator_mesos_role_shares_dominant{role="dev"} 0.5
# HELP meseta_master_agent_removals_by_cause_total Agents that were removed, by reason. (master/slave_removals/reason_<reason>)
# TYPE meseta_master_agent_removals_by_cause_total counter
meseta_master_agent_removals_by_cause_total{reason="unhealthy"} 2
# HELP meseta_master_agent_removals_total Agents that were removed. (master/slave_removals)
# TYPE meseta_master_agent_removals_total counter
meseta_master_agent_removals_total 3
# HELP meseta_master_agents_active Agents whose resources are offered. (master/slaves_active)
# TYPE meseta_master_agents_active gauge
meseta_master_agents_active 2
# HELP meseta_master_framework_calls_total Calls of a framework. (master/frameworks/<name>/<id>/calls)
# TYPE meseta_master_framework_calls_total counter
meseta_master_framework_calls_total{framework="a \"b\"",framework_id="id-0000"} 5
meseta_master_framework_calls_total{framework="z",framework_id="id-0001"} 6
# HELP meseta_master_frameworks_active Frameworks that get offers. (master/frameworks_active)
# TYPE meseta_master_frameworks_active gauge
meseta_master_frameworks_active 1
# HELP meseta_master_task_failed_by_cause_total Failed tasks by who said so and why. (master/task_failed/source_<source>/reason_<reason>)
# TYPE meseta_master_task_failed_by_cause_total counter
meseta_master_task_failed_by_cause_total{source="executor",reason="command_executor_failed"} 1
# HELP meseta_registrar_state_store_seconds How long storing changes to the registry took. (registrar/state_store)
# TYPE meseta_registrar_state_store_seconds summary
meseta_registrar_state_store_seconds{quantile="0.5"} 2
meseta_registrar_state_store_seconds{quantile="0.9"} 2.8
meseta_registrar_state_store_seconds{quantile="0.95"} 2.9
meseta_registrar_state_store_seconds{quantile="0.99"} 2.98
meseta_registrar_state_store_seconds{quantile="0.999"} 2.998
meseta_registrar_state_store_seconds{quantile="0.9999"} 2.9998
meseta_registrar_state_store_seconds_sum 4
meseta_registrar_state_store_seconds_count 2
"#;
        assert_eq!(text, expected);
    }

    #[test]
    fn what_only_grows_is_a_counter_however_it_was_put() {
        let registry = Registry::default();
        registry.pull_many("some", |snapshot| {
            snapshot.put("slave/tasks_failed", 3.0);
            snapshot.put("slave/tasks_running", 2.0);
            snapshot.put("frameworks/a%2Fb/messages_received", 4.0);
            snapshot.put_for_json("master/frameworks/f/1/calls", 1.0);
            let labels = [("container_id", "c\"1".to_owned())];
            snapshot.put_labeled("container/oom_kills", &labels, 1.0);
            snapshot.put_labeled("container/oom_kills", &[("container_id", "c2".into())], 0.0);
        });
        let expected = r#"# HELP meseta_container_oom_kills_total Processes of a container that were killed because its memory was used up. (container/oom_kills)
# TYPE meseta_container_oom_kills_total counter
meseta_container_oom_kills_total{container_id="c\"1"} 1
meseta_container_oom_kills_total{container_id="c2"} 0
# HELP meseta_principal_messages_received_total Messages of drivers whose frameworks have a principal. (frameworks/<principal>/messages_received)
# TYPE meseta_principal_messages_received_total counter
meseta_principal_messages_received_total{principal="a/b"} 4
# HELP meseta_agent_tasks_failed_total Tasks that failed. (slave/tasks_failed)
# TYPE meseta_agent_tasks_failed_total counter
meseta_agent_tasks_failed_total 3
# HELP meseta_agent_tasks_running Tasks that run. (slave/tasks_running)
# TYPE meseta_agent_tasks_running gauge
meseta_agent_tasks_running 2
"#;
        let text = registry.snapshot().to_prometheus();
        let sorted = |text: &str| {
            let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
            lines.sort();
            lines
        };
        assert_eq!(sorted(&text), sorted(expected));
        assert_eq!(registry.snapshot().flat().len(), 4);
        assert_eq!(registry.snapshot().undescribed(), Vec::<String>::new());
    }

    #[test]
    fn the_page_of_metrics_is_current() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/metrics.md");
        if std::env::var_os("MESETA_BLESS").is_some() {
            std::fs::write(path, reference()).unwrap();
        }
        let page = std::fs::read_to_string(path).unwrap_or_default();
        assert!(page == reference(), "write it anew: MESETA_BLESS=1 cargo test -p observe the_page_of_metrics");
    }

    #[test]
    fn no_name_can_break_the_format() {
        for metric in ["", "/", "a b/c\nd", "é/\"", "9/8", "frameworks", "frameworks/x", "roles/", "process/x{y}"] {
            let named = translate(metric);
            assert!(named.name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'), "{metric:?}: {named:?}");
            assert!(!named.source.contains('\n'), "{metric:?}");
        }
    }
}
