//! JSON as lines, one leaf each, in the order of the document: the form in which documents are compared.

use serde_json::Value;

use crate::{neutral::Neutral, script::Options};

/// The leaves of a document under the options of its statement.
pub fn document(value: &Value, options: &Options, neutral: &Neutral) -> Vec<String> {
    let value = chosen(value, options);
    let value = match &options.within {
        Some(path) => match find(&value, path) {
            Some(value) => value.clone(),
            None => return vec![format!("nothing at {path}")],
        },
        None => value,
    };
    let mut lines = Vec::new();
    match value.as_object().filter(|_| options.keys) {
        Some(object) => lines.extend(object.keys().map(|name| neutral.text(name))),
        None => leaves(&value, &mut Vec::new(), options, neutral, &mut lines),
    }
    lines.retain(|line| options.keep.iter().all(|pattern| pattern.is_match(line)));
    lines.retain(|line| !options.drop.iter().any(|pattern| pattern.is_match(line)));
    lines
}

/// The document without the elements of arrays that `only` does not want.
pub fn chosen(value: &Value, options: &Options) -> Value {
    let mut value = value.clone();
    for (path, field, wanted) in &options.only {
        if let Some(Value::Array(items)) = find_mut(&mut value, path) {
            items.retain(|item| find(item, field).is_some_and(|found| plain(found) == *wanted));
        }
    }
    value
}

/// The value at a path such as `offers[0].id.value`.
pub fn find<'v>(value: &'v Value, path: &str) -> Option<&'v Value> {
    parts(path).try_fold(value, |value, part| match value {
        Value::Array(items) => items.get(part.parse::<usize>().ok()?),
        Value::Object(fields) => fields.get(part),
        _ => None,
    })
}

fn find_mut<'v>(value: &'v mut Value, path: &str) -> Option<&'v mut Value> {
    parts(path).try_fold(value, |value, part| match value {
        Value::Array(items) => items.get_mut(part.parse::<usize>().ok()?),
        Value::Object(fields) => fields.get_mut(part),
        _ => None,
    })
}

fn parts(path: &str) -> impl Iterator<Item = &str> {
    path.split(['.', '[', ']']).filter(|part| !part.is_empty())
}

/// A value as captures hold it: strings without quotes.
pub fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn leaves(value: &Value, path: &mut Vec<String>, options: &Options, neutral: &Neutral, lines: &mut Vec<String>) {
    if options.skip.iter().any(|pattern| matches(pattern, path)) {
        return;
    }
    let hidden = options.hide.iter().any(|pattern| matches(pattern, path));
    match value {
        Value::Object(fields) if !fields.is_empty() && !hidden => {
            for (name, value) in fields {
                path.push(neutral.text(name));
                leaves(value, path, options, neutral, lines);
                path.pop();
            }
        }
        Value::Array(items) if !items.is_empty() && !hidden => {
            let mut items = in_fixed_order(items);
            if options.unordered.iter().any(|pattern| matches(pattern, path)) {
                items.sort_by_cached_key(|item| {
                    let mut lines = Vec::new();
                    path.push("[]".into());
                    leaves(item, path, options, neutral, &mut lines);
                    path.pop();
                    lines
                });
            }
            for (i, item) in items.iter().take(if options.shape { 1 } else { usize::MAX }).enumerate() {
                path.push(if options.shape { "[]".into() } else { format!("[{i}]") });
                leaves(item, path, options, neutral, lines);
                path.pop();
            }
        }
        leaf => {
            let key = path.iter().rev().find(|part| !part.starts_with('[')).map_or("", String::as_str);
            let shown = match leaf {
                _ if hidden => "<hidden>".into(),
                Value::Object(_) => "{}".into(),
                Value::Array(_) => "[]".into(),
                _ if options.shape => kind(leaf).into(),
                Value::String(text) => string(key, text, neutral),
                Value::Number(number) => neutral.number(key, number),
                other => other.to_string(),
            };
            lines.push(format!("{} = {shown}", joined(path)));
        }
    }
}

/// The order of resources in a list says nothing, so they are told by name; other lists as they are.
fn in_fixed_order(items: &[Value]) -> Vec<&Value> {
    let mut items: Vec<&Value> = items.iter().collect();
    let is_resource = |item: &&Value| {
        let kind = item.get("type").and_then(Value::as_str);
        item.get("name").is_some() && matches!(kind, Some("SCALAR" | "RANGES" | "SET"))
    };
    if items.iter().all(is_resource) {
        items.sort_by_key(|item| item.get("name").map(plain));
    }
    items
}

fn string(key: &str, text: &str, neutral: &Neutral) -> String {
    let shown = neutral.text(text);
    if key == "uuid" && shown == text { "<bytes>".into() } else { format!("{shown:?}") }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "<bool>",
        Value::Number(number) if number.is_f64() => "<float>",
        Value::Number(_) => "<int>",
        Value::String(_) => "<string>",
        Value::Array(_) => "[]",
        Value::Object(_) => "{}",
    }
}

fn joined(path: &[String]) -> String {
    let mut text = String::new();
    for part in path {
        if !text.is_empty() && !part.starts_with('[') {
            text.push('.');
        }
        text.push_str(part);
    }
    text
}

/// Whether a pattern such as `tasks.*.statuses` names this path; `*` is one part, array indices may be left out.
fn matches(pattern: &str, path: &[String]) -> bool {
    let names = path.iter().filter(|part| !part.starts_with('['));
    let pattern: Vec<&str> = pattern.split('.').collect();
    let names: Vec<&String> = names.collect();
    // An element of an array has its array's name; only the array itself is meant.
    !path.last().is_some_and(|part| part.starts_with('['))
        && pattern.len() == names.len()
        && pattern.iter().zip(&names).all(|(wanted, name)| *wanted == "*" || *wanted == name.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(value: Value, options: Options) -> Vec<String> {
        document(&value, &options, &Neutral::default())
    }

    #[test]
    fn leaves_are_told_in_order() {
        let value = serde_json::json!({"b": {"x": [1, 2.0]}, "a": "t", "e": [], "o": {}});
        assert_eq!(
            lines(value.clone(), Options::default()),
            ["b.x[0] = 1", "b.x[1] = 2.0", "a = \"t\"", "e = []", "o = {}"]
        );
        assert_eq!(
            lines(value.clone(), Options { shape: true, ..Options::default() }),
            ["b.x[] = <int>", "a = <string>", "e = []", "o = {}"]
        );
        assert_eq!(lines(value, Options { keys: true, ..Options::default() }), ["b", "a", "e", "o"]);
    }

    #[test]
    fn parts_are_chosen_hidden_and_left_out() {
        let value = serde_json::json!({"list": [{"id": "x", "v": 1}, {"id": "y", "v": 2, "w": 3}]});
        let options = Options {
            only: vec![("list".into(), "id".into(), "y".into())],
            hide: vec!["list.v".into()],
            skip: vec!["list.w".into()],
            ..Options::default()
        };
        assert_eq!(lines(value, options), ["list[0].id = \"y\"", "list[0].v = <hidden>"]);
    }
}
