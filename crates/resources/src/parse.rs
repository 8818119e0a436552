//! Resources as flags say them: `cpus:4;mem(role):1024;ports:[31000-32000]`, or a JSON array of Resource messages.
//! Attributes are in `attributes`.

use crate::{
    error::ResourceError,
    format,
    quantity::Quantity,
    resource::{Reservation, Resource},
    resources::Resources,
    role, validate,
    value::{Ranges, Set, Value},
};
use proto::v1;
use std::collections::BTreeMap;

impl Resources {
    /// Reads either syntax. Resources that name no role belong to `default_role`. What only frameworks and operators
    /// may make (volumes, dynamic reservations, revocable resources) is refused.
    pub fn parse(text: &str, default_role: &str) -> Result<Resources, ResourceError> {
        let all = parse_list(text, default_role)?;
        let mut kinds = BTreeMap::new();
        for resource in &all {
            let refuse = |why: &str| Err(ResourceError::Malformed(why.into()));
            if resource.is_persistent_volume() {
                return refuse("Persistent volumes cannot be specified at the command line");
            }
            if resource.is_revocable() {
                return refuse(
                    "Revocable resources cannot be specified at the command line; do not include a 'revocable' key in the \
                     resources JSON",
                );
            }
            if resource.is_dynamically_reserved() {
                return refuse(
                    "Dynamic reservations cannot be specified at the command line; do not include a reservation with \
                     DYNAMIC type in the resources JSON",
                );
            }
            let kind = std::mem::discriminant(resource.value());
            if !resource.is_empty() && *kinds.entry(resource.name().clone()).or_insert(kind) != kind {
                return Err(ResourceError::Malformed(format!(
                    "Resources with the same name ('{}') but different types are not allowed",
                    resource.name()
                )));
            }
        }
        Ok(all.into_iter().collect())
    }
}

/// Reads either syntax without judging what may be said on a command line. Empty resources stay in the list, so that
/// `gpus:0` can be told from no word about gpus.
pub fn parse_list(text: &str, default_role: &str) -> Result<Vec<Resource>, ResourceError> {
    match serde_json::from_str::<serde_json::Value>(text) {
        Ok(serde_json::Value::Array(_)) => from_json(text, default_role),
        _ => from_text(text, default_role),
    }
}

fn from_json(text: &str, default_role: &str) -> Result<Vec<Resource>, ResourceError> {
    let malformed =
        |error| ResourceError::Malformed(format!("Some JSON resources were not formatted properly: {error}"));
    // The array as the one repeated field of a message, since only messages have a JSON form.
    let message = format!("{{\"resources\":{text}}}");
    let request: v1::Request = proto::json::from_slice(message.as_bytes()).map_err(malformed)?;
    let mut all = Vec::with_capacity(request.resources.len());
    for mut resource in request.resources {
        if resource.role.is_none() && resource.reservations.is_empty() {
            resource.role = Some(default_role.to_owned());
        }
        validate::check(&resource).map_err(ResourceError::Malformed)?;
        format::upgrade(&mut resource);
        all.push(Resource::from_proto(&resource)?);
    }
    Ok(all)
}

fn from_text(text: &str, default_role: &str) -> Result<Vec<Resource>, ResourceError> {
    let mut all = Vec::new();
    for token in text.split(';').filter(|token| !token.is_empty()) {
        let bad = |why: &str| ResourceError::Malformed(format!("Bad value for resources, {why} in {token}"));
        let mut parts = token.split(':').filter(|part| !part.is_empty());
        let (Some(key), Some(value), None) = (parts.next(), parts.next(), parts.next()) else {
            return Err(bad("missing or extra ':'"));
        };
        let (name, role) = match key.split_once('(') {
            None => (key.trim(), default_role),
            Some((name, rest)) => {
                let (role, _) = rest.split_once(')').ok_or_else(|| bad("mismatched parentheses"))?;
                (name.trim(), role.trim())
            }
        };
        let parsed = parse_value(value).map_err(|why| {
            ResourceError::Malformed(format!("Failed to parse resource {name} value {value} error {why}"))
        })?;
        let value = match parsed {
            // Positive, yet too small for three decimals.
            Parsed::Scalar(scalar) if scalar != 0.0 && !Quantity::from_f64(scalar).is_positive() => {
                return Err(ResourceError::Malformed("Invalid scalar resource: value <= 0".into()));
            }
            Parsed::Scalar(scalar) => Value::Scalar(Quantity::from_f64(scalar)),
            Parsed::Ranges(ranges) => Value::Ranges(ranges),
            Parsed::Set(set) => Value::Set(set),
            Parsed::Text(_) => {
                return Err(ResourceError::Malformed(format!("Bad type for resource {name} value {value} type TEXT")));
            }
        };
        let mut resource = Resource::new(name, value);
        if role != role::UNRESERVED {
            resource.detail_mut().reservations.push(Reservation::new_static(role));
        }
        validate::check(&resource.to_proto()).map_err(ResourceError::Malformed)?;
        all.push(resource);
    }
    Ok(all)
}

/// A value of a resource or an attribute.
#[derive(Clone, Debug, PartialEq)]
pub enum Parsed {
    /// Not rounded: attributes keep every digit.
    Scalar(f64),
    Ranges(Ranges),
    Set(Set),
    Text(String),
}

/// Reads one value: `[1-2, 5-9]` are ranges, `{a, b}` is a set, a number is a scalar, anything else text. Spaces mean
/// nothing.
pub fn parse_value(text: &str) -> Result<Parsed, String> {
    let text: String = text.chars().filter(|c| *c != ' ').collect();
    if text.is_empty() {
        return Err("Expecting non-empty string".into());
    }
    if [('{', '}'), ('[', ']'), ('(', ')')].iter().any(|(open, close)| !is_balanced(&text, *open, *close)) {
        return Err("Mismatched brackets".into());
    }
    if text.starts_with('[') {
        return parse_ranges(&text);
    }
    if text.starts_with('{') {
        let items = text.split(['{', '}', ',', '\n']).filter(|item| !item.is_empty());
        return Ok(Parsed::Set(Set::new(items)));
    }
    if text.contains(['[', '{']) {
        return Err(format!("Unexpected '{}' found", if text.contains('[') { '[' } else { '{' }));
    }
    match text.parse::<f64>() {
        Ok(number) if number.is_subnormal() => Err("Subnormal values not supported".into()),
        // What is no amount is a word.
        Ok(number) if number.is_finite() && number >= 0.0 => Ok(Parsed::Scalar(number)),
        _ => Ok(Parsed::Text(text)),
    }
}

fn parse_ranges(text: &str) -> Result<Parsed, String> {
    let tokens: Vec<&str> = text.split(['[', ']', '-', ',', '\n']).filter(|token| !token.is_empty()).collect();
    if !tokens.len().is_multiple_of(2) {
        return Err("Expecting one or more \"ranges\"".into());
    }
    let mut ranges = Vec::with_capacity(tokens.len() / 2);
    for pair in tokens.chunks_exact(2) {
        let [begin, end] = pair else { continue };
        match (begin.parse::<u64>(), end.parse::<u64>()) {
            (Ok(begin), Ok(end)) if begin <= end => ranges.push((begin, end)),
            (Ok(_), Ok(_)) => return Err(format!("Expecting the range '{begin}-{end}' to ascend")),
            _ => return Err(format!("Expecting non-negative integers in '{begin}'")),
        }
    }
    Ok(Parsed::Ranges(Ranges::new(ranges)))
}

fn is_balanced(text: &str, open: char, close: char) -> bool {
    let mut depth = 0usize;
    for c in text.chars() {
        if c == open {
            depth += 1;
        } else if c == close {
            match depth.checked_sub(1) {
                Some(less) => depth = less,
                None => return false,
            }
        }
    }
    depth == 0
}
