//! How people write which agents a group selects: conditions with commas between them must all hold, and of several
//! such lists with `|` between them one. `name`, `!name`, `name=text`, `name!=text`, `name~regex`, `name!~regex`; a
//! name is an attribute, or `@hostname`, `@region`, `@zone`.

use proto::v1::scheduler::{
    AttributeConstraint,
    attribute_constraint::{
        Predicate, Selector, predicate,
        selector::{self, PseudoattributeType},
    },
    offer_constraints::{RoleConstraints, role_constraints::Group},
};

const PSEUDO: [(&str, PseudoattributeType); 3] = [
    ("@hostname", PseudoattributeType::Hostname),
    ("@region", PseudoattributeType::Region),
    ("@zone", PseudoattributeType::Zone),
];

pub fn parse(text: &str) -> Result<RoleConstraints, String> {
    let groups = text.split('|').map(|list| {
        let conditions = list.split(',').map(str::trim).map(condition).collect::<Result<_, _>>()?;
        Ok(Group { attribute_constraints: conditions })
    });
    Ok(RoleConstraints { groups: groups.collect::<Result<_, String>>()? })
}

fn condition(text: &str) -> Result<AttributeConstraint, String> {
    let at = text.char_indices().position(|(at, c)| matches!(c, '=' | '~') || (c == '!' && at > 0));
    let (name, operator, value) = match at {
        None => match text.strip_prefix('!') {
            Some(name) => (name, "!", ""),
            None => (text, "", ""),
        },
        Some(at) => {
            let at = text.char_indices().nth(at).map_or(text.len(), |(at, _)| at);
            let (name, rest) = text.split_at(at);
            let width = if rest.starts_with('!') { 2 } else { 1 };
            match (rest.get(..width), rest.get(width..)) {
                (Some(operator), Some(value)) => (name, operator, value.trim()),
                _ => return Err(wrong(text)),
            }
        }
    };
    let name = name.trim();
    if name.is_empty() {
        return Err(wrong(text));
    }
    let value = || value.to_owned();
    let predicate = match operator {
        "" => predicate::Predicate::Exists(Default::default()),
        "!" => predicate::Predicate::NotExists(Default::default()),
        "=" => predicate::Predicate::TextEquals(predicate::TextEquals { value: value() }),
        "!=" => predicate::Predicate::TextNotEquals(predicate::TextNotEquals { value: value() }),
        "~" => predicate::Predicate::TextMatches(predicate::TextMatches { regex: value() }),
        "!~" => predicate::Predicate::TextNotMatches(predicate::TextNotMatches { regex: value() }),
        _ => return Err(wrong(text)),
    };
    let pseudo = PSEUDO.iter().find(|(pseudo, _)| *pseudo == name);
    let selector = match pseudo {
        Some((_, kind)) => selector::Selector::PseudoattributeType(*kind as i32),
        None if name.starts_with('@') => {
            return Err(format!("--select: '{name}' is none of @hostname, @region and @zone"));
        }
        None => selector::Selector::AttributeName(name.to_owned()),
    };
    Ok(AttributeConstraint {
        selector: Selector { selector: Some(selector) },
        predicate: Predicate { predicate: Some(predicate) },
    })
}

fn wrong(text: &str) -> String {
    format!("--select: '{text}' is not a condition such as disk=ssd, rack!=r1, gpu, !old or @hostname~big-.*")
}

pub fn print(constraints: &RoleConstraints) -> String {
    let list = |group: &Group| group.attribute_constraints.iter().map(print_condition).collect::<Vec<_>>().join(",");
    constraints.groups.iter().map(list).collect::<Vec<_>>().join(" | ")
}

fn print_condition(constraint: &AttributeConstraint) -> String {
    let name = match &constraint.selector.selector {
        Some(selector::Selector::AttributeName(name)) => name.as_str(),
        Some(selector::Selector::PseudoattributeType(kind)) => {
            PSEUDO.iter().find(|(_, known)| *known as i32 == *kind).map_or("?", |(name, _)| name)
        }
        None => "?",
    };
    match &constraint.predicate.predicate {
        Some(predicate::Predicate::Exists(_)) => name.to_owned(),
        Some(predicate::Predicate::NotExists(_)) => format!("!{name}"),
        Some(predicate::Predicate::TextEquals(test)) => format!("{name}={}", test.value),
        Some(predicate::Predicate::TextNotEquals(test)) => format!("{name}!={}", test.value),
        Some(predicate::Predicate::TextMatches(test)) => format!("{name}~{}", test.regex),
        Some(predicate::Predicate::TextNotMatches(test)) => format!("{name}!~{}", test.regex),
        None => "?".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_printed_alike() {
        for text in ["disk=ssd", "a,!b,c!=d | @hostname~big-.*,@zone!~z[12]", "@region=eu", "a=b=c"] {
            assert_eq!(parse(text).map(|c| print(&c)), Ok(text.to_owned()));
        }
    }

    #[test]
    fn what_is_no_condition_is_told() {
        for text in ["", "=x", "a,,b", "@rack=1", "a!b"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
