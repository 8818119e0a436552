//! Messages in short words, as scripts show them: `key=value` without quotes where none are needed, resources, offers
//! and statuses in the words that people use for them. What is cut off is only what all of them have.

use proto::{Message, json, v1};
use serde_json::{Map, Value};

/// No line of a script is longer; what is longer goes on below, indented.
const WIDTH: usize = 160;

pub fn message<M: Message>(message: &M) -> String {
    fields(&json::to_value(message))
}

/// An event or a call: its type, and what comes with it.
pub fn typed<M: Message>(message: &M) -> String {
    let Value::Object(mut all) = json::to_value(message) else { return String::new() };
    let kind = all.remove("type").and_then(|kind| kind.as_str().map(str::to_owned)).unwrap_or_default();
    let content = all.remove(&kind.to_ascii_lowercase());
    let parts = [Some(kind), content.map(|content| fields(&content)), Some(fields(&Value::Object(all)))];
    parts.into_iter().flatten().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}

/// Cut into lines at spaces, and where a word alone is too long.
pub fn lines(text: &str) -> String {
    let text = shortened(text);
    let (mut out, mut width) = (String::with_capacity(text.len()), 0);
    for (at, word) in text.split(' ').enumerate() {
        let length = word.chars().count();
        if at > 0 && width + 1 + length > WIDTH {
            out.push_str("\n    ");
            width = 4;
        } else if at > 0 {
            out.push(' ');
            width += 1;
        }
        for c in word.chars() {
            if width == WIDTH {
                out.push_str("\n    ");
                width = 4;
            }
            out.push(c);
            width += 1;
        }
    }
    out
}

/// A thousand letters and more that are the same are only counted: `#1000#`.
fn shortened(text: &str) -> String {
    let (mut out, mut rest) = (String::new(), text);
    while let Some(first) = rest.chars().next() {
        let end = rest.find(|c| c != first).unwrap_or(rest.len());
        match end {
            1_000.. => out += &format!("#{end}#"),
            _ => out += &rest[..end],
        }
        rest = &rest[end..];
    }
    out
}

/// The fields of an object, without braces.
fn fields(value: &Value) -> String {
    match value {
        Value::Object(all) => named_fields(all, &[]),
        other => short(other),
    }
}

fn named_fields(all: &Map<String, Value>, except: &[&str]) -> String {
    let all = all.iter().filter(|(name, _)| !except.contains(&name.as_str()));
    all.map(|(name, value)| format!("{name}={}", short(value))).collect::<Vec<_>>().join(" ")
}

fn short(value: &Value) -> String {
    match value {
        Value::Null => "null".into(),
        Value::Bool(value) => value.to_string(),
        Value::Number(number) => number.to_string().trim_end_matches(".0").to_owned(),
        Value::String(text) => string(text),
        Value::Array(values) => format!("[{}]", values.iter().map(short).collect::<Vec<_>>().join(", ")),
        Value::Object(all) => object(all),
    }
}

fn object(all: &Map<String, Value>) -> String {
    let has = |names: &[&str]| names.iter().all(|name| all.contains_key(*name));
    let text = |name: &str| all.get(name).map(short).unwrap_or_default();
    let with = |head: String, known: &[&str]| {
        let rest = named_fields(all, known);
        if rest.is_empty() { head } else { format!("{head} {{{rest}}}") }
    };
    match all.len() {
        1 if has(&["value"]) => return text("value"),
        2 if has(&["key", "value"]) => return format!("{}:{}", text("key"), text("value")),
        _ => {}
    }
    if has(&["name", "type"])
        && ["scalar", "ranges", "set"].iter().any(|value| all.contains_key(*value))
        && let Ok(resource) = json::from_slice::<v1::Resource>(Value::Object(all.clone()).to_string().as_bytes())
    {
        return resources::print::Proto(&resource).to_string();
    }
    if has(&["id", "framework_id", "agent_id", "hostname", "url"]) {
        let host = text("hostname");
        let usual =
            format!("{{scheme=http address={{hostname={host} ip={} port=5051}} path=\"/slave(1)\"}}", ip_of(&host));
        let mut known = vec!["id", "framework_id", "agent_id", "hostname", "resources"];
        if text("url") == usual {
            known.push("url");
        }
        let head =
            format!("{} {} on {}@{host} {}", text("id"), text("framework_id"), text("agent_id"), text("resources"));
        return with(head, &known);
    }
    if has(&["task_id", "state"]) && !all.contains_key("framework_id") {
        let head = format!("{} {}", text("task_id"), text("state"));
        return with(head, &["task_id", "state"]);
    }
    format!("{{{}}}", named_fields(all, &[]))
}

/// Agent N is the host hN at 10.0.0.N.
fn ip_of(host: &str) -> String {
    format!("10.0.0.{}", host.trim_start_matches('h'))
}

/// Enums lose what all their values begin with, uuids of the scripts' own are `u` and their number.
fn string(text: &str) -> String {
    if let Some(number) = number_of_uuid(text) {
        return format!("u{number}");
    }
    let text =
        ["TASK_", "SOURCE_", "REASON_", "OPERATION_"].iter().find_map(|all| text.strip_prefix(all)).unwrap_or(text);
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.:@*/".contains(c);
    match !text.is_empty() && text.chars().all(plain) {
        true => text.to_owned(),
        false => format!("{text:?}"),
    }
}

/// All bytes are the number, but for those that make it a uuid; base64 without padding in between.
fn number_of_uuid(text: &str) -> Option<u8> {
    (text.len() == 24).then_some(())?;
    (0..=u8::MAX).find(|number| {
        let status = v1::TaskStatus { uuid: Some(super::scripts::uuid(*number)), ..Default::default() };
        json::to_value(&status).get("uuid").and_then(Value::as_str) == Some(text)
    })
}
