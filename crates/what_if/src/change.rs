//! A difference to try: a weight, a quota, agents that come or go.

use std::fmt;

use allocator::{ConstraintLimits, Group, Limits, Quota, quota};
use proto::meseta::v1::ResourceGroups;
use resources::{Quantities, role};
use workload::Fleet;

use crate::{
    scenario::{Scenario, Wanted},
    state::quantities,
};

#[derive(Clone, Debug)]
pub enum Change {
    Weight {
        role: String,
        weight: f64,
    },
    /// What a role is promised; nothing takes the promise back.
    Guarantee {
        role: String,
        amounts: Quantities,
    },
    /// What a role may have at most; nothing takes the bound away.
    Limit {
        role: String,
        limits: Limits,
    },
    AddAgents {
        fleet: Fleet,
        said: String,
    },
    /// By id or hostname.
    RemoveAgent(String),
    /// These resource groups and no others.
    Groups(Vec<Group>),
}

/// Why a change cannot be made, and what could.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ChangeError(String);

impl Change {
    /// `ROLE=2`
    pub fn weight(text: &str) -> Result<Change, ChangeError> {
        let wrong = |wrong: String| ChangeError(format!("'{text}': {wrong}; such as web=2"));
        let (role, weight) = role_and_rest(text, "web=2")?;
        let weight: f64 = weight.parse().map_err(|_| wrong(format!("'{weight}' is no number")))?;
        let weight = quota::check_weight(weight).map_err(|error| wrong(error.to_string()))?;
        Ok(Change::Weight { role, weight })
    }

    /// `ROLE=cpus:8;mem:1024`, or `ROLE=none`.
    pub fn guarantee(text: &str) -> Result<Change, ChangeError> {
        let (role, amounts) = role_and_amounts(text)?;
        Ok(Change::Guarantee { role, amounts })
    }

    /// `ROLE=cpus:8;mem:1024`, or `ROLE=none`. A resource that is not named has no bound.
    pub fn limit(text: &str) -> Result<Change, ChangeError> {
        let (role, rest) = role_and_rest(text, EXAMPLE)?;
        let mut limits = Limits::default();
        if rest != "none" {
            let bound = |part: &str| {
                let (name, amount) = part.split_once(':')?;
                let amount: f64 = amount.trim().parse().ok().filter(|amount: &f64| (0.0..1e15).contains(amount))?;
                Some((name.trim().into(), resources::Quantity::from_f64(amount)))
            };
            let parts = rest.split(';').map(str::trim).filter(|part| !part.is_empty());
            let all: Option<Limits> = parts.map(bound).collect();
            limits = all
                .filter(|limits| !limits.is_empty())
                .ok_or_else(|| ChangeError(format!("'{text}': '{rest}' are no amounts; such as {EXAMPLE}")))?;
        }
        Ok(Change::Limit { role, limits })
    }

    /// Guarantee and limit at once.
    pub fn quota(text: &str) -> Result<[Change; 2], ChangeError> {
        Ok([Change::limit(text)?, Change::guarantee(text)?])
    }

    /// `10:cpus:8;mem:1024`
    pub fn add_agents(text: &str) -> Result<Change, ChangeError> {
        let fleet = Fleet::of_spec(text).map_err(|error| ChangeError(error.to_string()))?;
        Ok(Change::AddAgents { fleet, said: text.to_owned() })
    }

    /// Resource groups as `--resource_groups` of a master has them; `file` is their name, for errors.
    pub fn groups(file: &str, text: &str) -> Result<Change, ChangeError> {
        let wrong = |wrong: String| ChangeError(format!("{file}: {wrong}"));
        let specs: ResourceGroups =
            proto::json::from_slice(text.as_bytes()).map_err(|error| wrong(error.to_string()))?;
        let group = |spec| Group::compile(spec, ConstraintLimits::default()).map_err(|error| wrong(error.to_string()));
        Ok(Change::Groups(specs.groups.iter().map(group).collect::<Result<_, _>>()?))
    }

    /// The scenario as it would be with all of these.
    pub fn apply(changes: &[Change], scenario: &Scenario) -> Result<Scenario, ChangeError> {
        let mut changed = scenario.clone();
        for change in changes {
            change.make(&mut changed)?;
        }
        if changed.agents.is_empty() {
            return Err(ChangeError("no agent is left; keep at least one".to_owned()));
        }
        Ok(changed)
    }

    fn make(&self, scenario: &mut Scenario) -> Result<(), ChangeError> {
        match self {
            Change::Weight { role, weight } => {
                scenario.weights.insert(role.clone(), *weight);
            }
            Change::Guarantee { role, amounts } => {
                scenario.quotas.entry(role.clone()).or_default().guarantees = amounts.clone();
            }
            Change::Limit { role, limits } => {
                scenario.quotas.entry(role.clone()).or_default().limits = limits.clone();
            }
            Change::AddAgents { fleet, .. } => scenario.add_fleet(fleet),
            Change::Groups(groups) => scenario.groups = groups.clone(),
            Change::RemoveAgent(name) => return remove_agent(scenario, name),
        }
        scenario.quotas.retain(|_, quota: &mut Quota| !quota.is_default());
        Ok(())
    }
}

const EXAMPLE: &str = "web=cpus:8;mem:16384 or web=none";

fn role_and_rest<'a>(text: &'a str, example: &str) -> Result<(String, &'a str), ChangeError> {
    let wrong = |wrong: String| ChangeError(format!("'{text}': {wrong}; such as {example}"));
    let (name, rest) = text.split_once('=').ok_or_else(|| wrong("there is no '='".to_owned()))?;
    role::check(name.trim()).map_err(|error| wrong(error.to_string()))?;
    Ok((name.trim().to_owned(), rest.trim()))
}

fn role_and_amounts(text: &str) -> Result<(String, Quantities), ChangeError> {
    let (role, rest) = role_and_rest(text, EXAMPLE)?;
    if rest == "none" {
        return Ok((role, Quantities::default()));
    }
    match quantities(rest).filter(|amounts| !amounts.is_empty()) {
        Some(amounts) => Ok((role, amounts)),
        None => Err(ChangeError(format!("'{text}': '{rest}' are no amounts; such as {EXAMPLE}"))),
    }
}

/// What ran there waits from the beginning on.
fn remove_agent(scenario: &mut Scenario, name: &str) -> Result<(), ChangeError> {
    let gone: Vec<usize> = scenario
        .agents
        .iter()
        .enumerate()
        .filter(|(_, agent)| agent.id.as_str() == name || agent.profile.hostname == name)
        .map(|(at, _)| at)
        .collect();
    let [gone] = gone.as_slice() else {
        let some: Vec<&str> = scenario.agents.iter().take(5).map(|agent| agent.id.as_str()).collect();
        return Err(ChangeError(match gone.len() {
            0 => format!("there is no agent '{name}'; there are {} such as {}", scenario.agents.len(), some.join(", ")),
            several => format!("{several} agents have the hostname '{name}'; name one by its id"),
        }));
    };
    let gone = *gone;
    scenario.agents.remove(gone);
    let held = std::mem::take(&mut scenario.held);
    for mut holder in held {
        if holder.agent == gone {
            scenario.wanted.push(Wanted {
                framework: holder.framework,
                role: holder.role,
                arrival: std::time::Duration::ZERO,
                duration: holder.again.unwrap_or(holder.left),
                count: 1,
                demand: holder.demand,
                again: holder.again.is_some(),
            });
        } else {
            if holder.agent > gone {
                holder.agent -= 1;
            }
            scenario.held.push(holder);
        }
    }
    Ok(())
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Change::Weight { role, weight } => write!(f, "role {role} has weight {weight}"),
            Change::Guarantee { role, amounts } if amounts.is_empty() => write!(f, "role {role} is guaranteed nothing"),
            Change::Guarantee { role, amounts } => write!(f, "role {role} is guaranteed {amounts}"),
            Change::Limit { role, limits } if limits.is_empty() => write!(f, "role {role} has no limit"),
            Change::Limit { role, limits } => write!(f, "role {role} has at most {limits}"),
            Change::AddAgents { fleet, said } => write!(f, "{} more agents ({said})", fleet.agents.len()),
            Change::RemoveAgent(name) => write!(f, "without agent {name}"),
            Change::Groups(groups) if groups.is_empty() => f.write_str("no resource groups"),
            Change::Groups(groups) => {
                let names: Vec<&str> = groups.iter().map(|group| &*group.name).collect();
                write!(f, "resource groups {}", names.join(", "))
            }
        }
    }
}
