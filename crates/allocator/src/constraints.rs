//! Offer constraints: per role, groups of conditions on an agent's attributes, hostname, region and zone. Compiled once
//! per framework; an agent passes if all conditions of one group hold.

use std::{collections::BTreeMap, sync::Arc};

use proto::v1::{
    self,
    scheduler::{
        AttributeConstraint,
        attribute_constraint::{Predicate, Selector, predicate, selector},
    },
};
use regex::Regex;

/// How big a compiled regular expression may get, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct ConstraintLimits {
    pub regex_size: usize,
}

impl Default for ConstraintLimits {
    fn default() -> ConstraintLimits {
        ConstraintLimits { regex_size: 64 << 10 }
    }
}

/// Why constraints cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConstraintError {
    #[error("the constraints for role '{role}' have no groups")]
    NoGroups { role: String },
    #[error("group {group} of the constraints for role '{role}' is empty")]
    EmptyGroup { role: String, group: usize },
    #[error("a constraint for role '{role}' selects nothing that is known")]
    Selector { role: String },
    #[error("a constraint for role '{role}' has no predicate that is known")]
    Predicate { role: String },
    #[error("the regular expression '{regex}' of a constraint for role '{role}' cannot be used: {why}")]
    Regex { role: String, regex: String, why: String },
}

/// A framework's compiled constraints. A role without an entry may be offered any agent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OfferConstraints {
    roles: BTreeMap<String, Arc<RoleConstraints>>,
}

#[derive(Debug, PartialEq)]
pub(crate) struct RoleConstraints {
    groups: Vec<Vec<Condition>>,
}

#[derive(Debug, PartialEq)]
struct Condition {
    subject: Subject,
    test: Test,
}

#[derive(Debug, PartialEq)]
enum Subject {
    Attribute(String),
    Hostname,
    Region,
    Zone,
}

#[derive(Debug)]
enum Test {
    Exists(bool),
    Equals { text: String, wanted: bool },
    Matches { regex: Regex, wanted: bool },
}

impl PartialEq for Test {
    fn eq(&self, other: &Test) -> bool {
        match (self, other) {
            (Test::Exists(a), Test::Exists(b)) => a == b,
            (Test::Equals { text: a, wanted: x }, Test::Equals { text: b, wanted: y }) => a == b && x == y,
            (Test::Matches { regex: a, wanted: x }, Test::Matches { regex: b, wanted: y }) => {
                a.as_str() == b.as_str() && x == y
            }
            _ => false,
        }
    }
}

/// What a test is put to.
enum Value<'a> {
    Absent,
    Text(&'a str),
    /// An attribute that is no text: it passes every test about text.
    Other,
}

impl OfferConstraints {
    pub fn compile(
        constraints: &v1::scheduler::OfferConstraints,
        limits: ConstraintLimits,
    ) -> Result<OfferConstraints, ConstraintError> {
        let mut roles = BTreeMap::new();
        for (role, spec) in &constraints.role_constraints {
            roles.insert(role.clone(), Arc::new(RoleConstraints::compile(role, spec, limits)?));
        }
        Ok(OfferConstraints { roles })
    }

    /// The roles that have constraints.
    pub fn roles(&self) -> impl Iterator<Item = &str> {
        self.roles.keys().map(String::as_str)
    }

    pub(crate) fn for_role(&self, role: &str) -> Option<&Arc<RoleConstraints>> {
        self.roles.get(role)
    }
}

impl RoleConstraints {
    /// `role` is only named in errors.
    pub fn compile(
        role: &str,
        spec: &v1::scheduler::offer_constraints::RoleConstraints,
        limits: ConstraintLimits,
    ) -> Result<RoleConstraints, ConstraintError> {
        if spec.groups.is_empty() {
            return Err(ConstraintError::NoGroups { role: role.to_owned() });
        }
        let mut groups = Vec::with_capacity(spec.groups.len());
        for (index, group) in spec.groups.iter().enumerate() {
            if group.attribute_constraints.is_empty() {
                return Err(ConstraintError::EmptyGroup { role: role.to_owned(), group: index });
            }
            let conditions = group.attribute_constraints.iter().map(|c| Condition::compile(role, c, limits));
            groups.push(conditions.collect::<Result<_, _>>()?);
        }
        Ok(RoleConstraints { groups })
    }

    /// Whether the verdict may depend on the hostname.
    pub fn reads_hostname(&self) -> bool {
        self.groups.iter().flatten().any(|condition| condition.subject == Subject::Hostname)
    }

    pub fn admit(&self, hostname: &str, attributes: &[v1::Attribute], domain: Option<&v1::DomainInfo>) -> bool {
        self.groups.iter().any(|group| group.iter().all(|condition| condition.holds(hostname, attributes, domain)))
    }
}

impl Condition {
    fn compile(
        role: &str,
        constraint: &AttributeConstraint,
        limits: ConstraintLimits,
    ) -> Result<Condition, ConstraintError> {
        let subject =
            subject_of(&constraint.selector).ok_or_else(|| ConstraintError::Selector { role: role.into() })?;
        let test = test_of(role, &constraint.predicate, limits)?;
        Ok(Condition { subject, test })
    }

    fn holds(&self, hostname: &str, attributes: &[v1::Attribute], domain: Option<&v1::DomainInfo>) -> bool {
        let place = model::capabilities::fault_domain(domain);
        match &self.subject {
            Subject::Hostname => self.test.holds(Value::Text(hostname)),
            Subject::Region => self.test.holds(place.map_or(Value::Absent, |(region, _)| Value::Text(region))),
            Subject::Zone => self.test.holds(place.map_or(Value::Absent, |(_, zone)| Value::Text(zone))),
            Subject::Attribute(name) => {
                let mut named = attributes.iter().filter(|attribute| attribute.name == *name).peekable();
                if named.peek().is_none() {
                    return self.test.holds(Value::Absent);
                }
                named.any(|attribute| {
                    self.test.holds(attribute.text.as_ref().map_or(Value::Other, |text| Value::Text(&text.value)))
                })
            }
        }
    }
}

impl Test {
    fn holds(&self, value: Value<'_>) -> bool {
        match (self, value) {
            (Test::Exists(wanted), value) => *wanted != matches!(value, Value::Absent),
            (_, Value::Other) => true,
            (Test::Equals { wanted, .. } | Test::Matches { wanted, .. }, Value::Absent) => !wanted,
            (Test::Equals { text, wanted }, Value::Text(value)) => (text == value) == *wanted,
            (Test::Matches { regex, wanted }, Value::Text(value)) => regex.is_match(value) == *wanted,
        }
    }
}

fn subject_of(selector: &Selector) -> Option<Subject> {
    match selector.selector.as_ref()? {
        selector::Selector::AttributeName(name) => Some(Subject::Attribute(name.clone())),
        selector::Selector::PseudoattributeType(kind) => {
            use v1::scheduler::attribute_constraint::selector::PseudoattributeType as Kind;
            match Kind::try_from(*kind).ok()? {
                Kind::Hostname => Some(Subject::Hostname),
                Kind::Region => Some(Subject::Region),
                Kind::Zone => Some(Subject::Zone),
                Kind::Unknown => None,
            }
        }
    }
}

fn test_of(role: &str, predicate: &Predicate, limits: ConstraintLimits) -> Result<Test, ConstraintError> {
    use predicate::Predicate as Kind;
    let regex = |text: &str| {
        let compile = |text: &str| regex::RegexBuilder::new(text).size_limit(limits.regex_size).build();
        // The whole value must match. By itself it is tried first: its brackets may not close ours.
        compile(text).and_then(|_| compile(&format!(r"\A(?:{text})\z"))).map_err(|error| {
            let why = error.to_string();
            let why = why.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
            ConstraintError::Regex { role: role.into(), regex: text.into(), why }
        })
    };
    match &predicate.predicate {
        Some(Kind::Exists(_)) => Ok(Test::Exists(true)),
        Some(Kind::NotExists(_)) => Ok(Test::Exists(false)),
        Some(Kind::TextEquals(p)) => Ok(Test::Equals { text: p.value.clone(), wanted: true }),
        Some(Kind::TextNotEquals(p)) => Ok(Test::Equals { text: p.value.clone(), wanted: false }),
        Some(Kind::TextMatches(p)) => Ok(Test::Matches { regex: regex(&p.regex)?, wanted: true }),
        Some(Kind::TextNotMatches(p)) => Ok(Test::Matches { regex: regex(&p.regex)?, wanted: false }),
        None => Err(ConstraintError::Predicate { role: role.into() }),
    }
}
