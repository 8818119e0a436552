//! The shape of JSON documents: which fields there are, in which order, and of which kinds. Values do not count.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// What stands at each path: the keys of objects in their order, or the kind of a value. Items of a list share a path.
type Shape = BTreeMap<String, BTreeSet<String>>;

/// Each difference between the shapes of two documents as a sentence; none if they have the same. Below the paths in
/// `maps` the names of fields are data, so only the kinds of their values count.
pub fn differences(recorded: &Value, ours: &Value, maps: &[&str]) -> Vec<String> {
    let (recorded, ours) = (shape(recorded, maps), shape(ours, maps));
    let mut differences = Vec::new();
    let paths: BTreeSet<&String> = recorded.keys().chain(ours.keys()).collect();
    let none = BTreeSet::new();
    for path in paths {
        let (theirs, own) = (recorded.get(path).unwrap_or(&none), ours.get(path).unwrap_or(&none));
        differences.extend(theirs.difference(own).map(|kind| format!("{path} lacks {kind}")));
        differences.extend(own.difference(theirs).map(|kind| format!("{path} has {kind} in excess")));
    }
    differences
}

fn shape(document: &Value, maps: &[&str]) -> Shape {
    let mut shape = Shape::new();
    walk(document, "$", maps, &mut shape);
    shape
}

fn walk(value: &Value, path: &str, maps: &[&str], shape: &mut Shape) {
    let is_map = maps.contains(&path);
    let kind = match value {
        Value::Null => "null".to_owned(),
        Value::Bool(_) => "a boolean".to_owned(),
        Value::Number(number) if number.is_f64() => "a number with a fraction".to_owned(),
        Value::Number(_) => "a whole number".to_owned(),
        Value::String(_) => "a text".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) if is_map => "a map".to_owned(),
        Value::Object(fields) => format!("{{{}}}", fields.keys().map(String::as_str).collect::<Vec<_>>().join(" ")),
    };
    shape.entry(path.to_owned()).or_default().insert(kind);
    match value {
        Value::Array(items) => items.iter().for_each(|item| walk(item, &format!("{path}[]"), maps, shape)),
        Value::Object(fields) => {
            for (name, field) in fields {
                let name = if is_map { "*" } else { name };
                walk(field, &format!("{path}.{name}"), maps, shape);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_do_not_count_but_order_and_kinds_do() {
        let recorded = json!({"id": "a", "list": [{"n": 1}, {"n": 2}], "flags": {"x": "1"}});
        let same = json!({"id": "b", "list": [{"n": 7}], "flags": {"y": "2", "z": ""}});
        assert_eq!(differences(&recorded, &same, &["$.flags"]), [] as [String; 0]);
        let other = json!({"list": [{"n": 1.5}, {}], "id": "b", "flags": {}});
        assert_eq!(
            differences(&recorded, &other, &["$.flags"]),
            [
                "$ lacks {id list flags}",
                "$ has {list id flags} in excess",
                "$.flags.* lacks a text",
                "$.list[] has {} in excess",
                "$.list[].n lacks a whole number",
                "$.list[].n has a number with a fraction in excess",
            ]
        );
    }
}
