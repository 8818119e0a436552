//! A snapshot in Prometheus's text format. Parts of Mesos's names that name a thing become labels, `slave` becomes
//! `agent`, counters end in `_total`, timers are summaries in seconds.

use std::{collections::BTreeMap, fmt::Write};

use super::{Kind, Snapshot, timer::PERCENTILES};

/// All samples that share a name.
struct Family {
    kind: &'static str,
    /// The Mesos name with placeholders for what became labels.
    source: String,
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
    for (name, sample) in &snapshot.values {
        let mut named = translate(name);
        let kind = match sample.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        };
        if sample.kind == Kind::Counter && !named.name.ends_with("_total") {
            named.name.push_str("_total");
        }
        let line = format!("{}{} {}", named.name, braced(&named.labels, None), sample.value);
        add(&mut families, named.name, kind, named.source, [line]);
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
        add(&mut families, full, "summary", named.source, lines);
    }
    let mut out = String::new();
    for (name, family) in families {
        // Writing to a String does not fail.
        let _ = writeln!(out, "# HELP {name} {}", family.source);
        let _ = writeln!(out, "# TYPE {name} {}", family.kind);
        for line in family.lines {
            out.push_str(&line);
            out.push('\n');
        }
    }
    out
}

fn add(
    families: &mut BTreeMap<String, Family>,
    name: String,
    kind: &'static str,
    source: String,
    lines: impl IntoIterator<Item = String>,
) {
    families.entry(name).or_insert_with(|| Family { kind, source, lines: Vec::new() }).lines.extend(lines);
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
            ("frameworks", [framework, id, after @ ..]) if !after.is_empty() => {
                labels.push(("framework", percent_decode(framework)));
                labels.push(("framework_id", (*id).to_owned()));
                name.push("framework".to_owned());
                source.push("frameworks/<name>/<id>".to_owned());
                rest = after;
            }
            ("roles" | "resources", [thing, after @ ..]) if !after.is_empty() => {
                let singular = if *part == "roles" { "role" } else { "resource" };
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
        let expected = r#"# HELP meseta_allocator_mesos_role_shares_dominant allocator/mesos/roles/<role>/shares/dominant
# TYPE meseta_allocator_mesos_role_shares_dominant gauge
meseta_allocator_mesos_role_shares_dominant{role="dev"} 0.5
# HELP meseta_master_agent_removals_by_cause_total master/slave_removals/reason_<reason>
# TYPE meseta_master_agent_removals_by_cause_total counter
meseta_master_agent_removals_by_cause_total{reason="unhealthy"} 2
# HELP meseta_master_agent_removals_total master/slave_removals
# TYPE meseta_master_agent_removals_total counter
meseta_master_agent_removals_total 3
# HELP meseta_master_agents_active master/slaves_active
# TYPE meseta_master_agents_active gauge
meseta_master_agents_active 2
# HELP meseta_master_framework_calls_total master/frameworks/<name>/<id>/calls
# TYPE meseta_master_framework_calls_total counter
meseta_master_framework_calls_total{framework="a \"b\"",framework_id="id-0000"} 5
meseta_master_framework_calls_total{framework="z",framework_id="id-0001"} 6
# HELP meseta_master_frameworks_active master/frameworks_active
# TYPE meseta_master_frameworks_active gauge
meseta_master_frameworks_active 1
# HELP meseta_master_task_failed_by_cause_total master/task_failed/source_<source>/reason_<reason>
# TYPE meseta_master_task_failed_by_cause_total counter
meseta_master_task_failed_by_cause_total{source="executor",reason="command_executor_failed"} 1
# HELP meseta_registrar_state_store_seconds registrar/state_store
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
    fn no_name_can_break_the_format() {
        for metric in ["", "/", "a b/c\nd", "é/\"", "9/8", "frameworks", "frameworks/x", "roles/", "process/x{y}"] {
            let named = translate(metric);
            assert!(named.name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'), "{metric:?}: {named:?}");
            assert!(!named.source.contains('\n'), "{metric:?}");
        }
    }
}
