//! A scenario from a master's `/state`: ours or that of Apache Mesos 1.x. Its tasks run on; each ends after a while,
//! and its framework wants the same again, so that what was shared out one way can be shared out another.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use allocator::{AgentProfile, AllocatorConfig, ConstraintLimits, Group, SorterKind};
use model::{AgentCapabilities, AgentId, FrameworkCapabilities, FrameworkId, capabilities::fault_domain};
use proto::v1::DomainInfo;
use resources::{Name, Quantities, Quantity, Reservation, Resource, Resources, attributes};
use stdx::{Rng, units::parse_duration};

use crate::{
    document::{DocumentError, Field, parse},
    scenario::{Held, Scenario, ScenarioAgent, ScenarioFramework},
};

/// Reads the document. A task is taken to run for `task` in the mean, and to be anywhere in its life now.
pub fn read_state(file: &str, text: &str, task: Duration, seed: u64) -> Result<Scenario, DocumentError> {
    let value = parse(file, text)?;
    let root = Field::root(file, &value);
    let Some(agents) = root.find("slaves") else {
        return Err(root.error("there is no field 'slaves'", "what a leading master answers to GET /state"));
    };
    let mut scenario = Scenario { notes: notes(task), ..Scenario::default() };
    read_flags(&root, &mut scenario)?;
    read_groups(&root, &mut scenario)?;
    let mut places = BTreeMap::new();
    for agent in agents.items()? {
        let id = AgentId::new(agent.get("id")?.text()?);
        places.insert(id.clone(), scenario.agents.len());
        scenario.agents.push(read_agent(&agent, id)?);
    }
    if scenario.agents.is_empty() {
        return Err(agents.error("there are no agents", "the state of a cluster with agents"));
    }
    let mut names = BTreeSet::new();
    let mut rng = Rng::new(seed).fork("recorded tasks");
    for framework in root.get("frameworks")?.items()? {
        let number = scenario.frameworks.len();
        let row = read_framework(&framework, &mut names)?;
        let default_role = row.roles.first().cloned().unwrap_or_else(|| "*".to_owned());
        scenario.frameworks.push(row);
        for list in ["tasks", "executors"] {
            let Some(list) = framework.find(list) else { continue };
            for holder in list.items()? {
                if holder.find("state").map(|state| state.text()).transpose()?.is_some_and(has_ended) {
                    continue;
                }
                let demand = read_amounts(&holder.get("resources")?)?;
                let agent = holder.get("slave_id")?;
                let Some(agent) = places.get(&AgentId::new(agent.text()?)).copied() else {
                    scenario.notes.push(format!(
                        "{} runs on agent {}, which is not connected: left out",
                        holder.find("id").map_or(Ok("an executor"), |id| id.text())?,
                        agent.text()?
                    ));
                    continue;
                };
                let role = holder.find("role").map(|role| role.text()).transpose()?.unwrap_or(&default_role);
                if demand.is_empty() {
                    continue;
                }
                scenario.held.push(Held {
                    framework: number,
                    role: role.into(),
                    agent,
                    demand,
                    left: task.mul_f64(rng.unit()),
                    again: Some(task),
                });
                if let Some(row) = scenario.frameworks.get_mut(number) {
                    row.roles.insert(role.to_owned());
                }
            }
        }
    }
    // A framework that holds nothing and is in no role can neither get nor want anything.
    scenario.until = Some(task * 12);
    scenario.measured_from = task * 4;
    Ok(scenario)
}

fn notes(task: Duration) -> Vec<String> {
    let secs = task.as_secs_f64();
    vec![
        format!(
            "Every task and executor is taken to run for {secs} s in the mean and to be wanted again when it ends; means are over \
             the time from {} s to {} s.",
            secs * 4.0,
            secs * 12.0
        ),
        "Frameworks want what they hold and no more, unless --demand or --unlimited says so; what is offered at the moment \
         counts as free."
            .to_owned(),
        "A document says what is reserved on an agent and what a task holds, but not which of it: tasks are taken to use what \
         is reserved for their role first. Only scalar resources count; ports and sets are left out."
            .to_owned(),
    ]
}

fn has_ended(state: &str) -> bool {
    matches!(
        state,
        "TASK_FINISHED" | "TASK_FAILED" | "TASK_KILLED" | "TASK_ERROR" | "TASK_DROPPED" | "TASK_GONE" | "TASK_LOST"
    )
}

/// What the master's flags say about sharing.
fn read_flags(root: &Field, scenario: &mut Scenario) -> Result<(), DocumentError> {
    scenario.config.region = read_domain(root)?.and_then(|domain| {
        let (region, _) = fault_domain(Some(&domain))?;
        Some(region.to_owned())
    });
    let Some(flags) = root.find("flags") else { return Ok(()) };
    let is = |name: &str, value: &str| flags.find(name).map(|flag| flag.text()).transpose().map(|t| t == Some(value));
    if is("allocation_compatibility", "true")? {
        scenario.config = AllocatorConfig { region: scenario.config.region.take(), ..AllocatorConfig::mesos() };
    }
    let config = &mut scenario.config;
    if is("allocation_on_recovery", "false")? {
        config.event_driven = false;
    }
    if let Some(interval) = flags.find("allocation_interval") {
        config.interval = parse_duration(interval.text()?).map_err(|why| interval.error(why, "1secs"))?;
    }
    for (flag, sorter) in [("role_sorter", &mut config.role_sorter), ("framework_sorter", &mut config.framework_sorter)]
    {
        if let Some(kind) = flags.find(flag) {
            *sorter = match kind.text()? {
                "drf" => SorterKind::Drf,
                "random" => SorterKind::Random,
                other => return Err(kind.error(format!("nobody knows the sorter '{other}'"), "drf or random")),
            };
        }
    }
    if let Some(sets) = flags.find("min_allocatable_resources") {
        let parsed: Option<Vec<Quantities>> =
            sets.text()?.split('|').filter(|set| !set.trim().is_empty()).map(quantities).collect();
        config.min_allocatable = parsed.ok_or_else(|| sets.error("it is no list of amounts", "cpus:0.01|mem:32"))?;
    }
    if let Some(names) = flags.find("fair_sharing_excluded_resource_names") {
        config.fair_sharing_excluded =
            names.text()?.split(',').map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect();
    }
    if let Some(filter) = flags.find("filter_gpu_resources") {
        config.filter_gpu_resources = filter.text()? != "false";
    }
    Ok(())
}

/// Where a master or an agent is.
fn read_domain(of: &Field) -> Result<Option<DomainInfo>, DocumentError> {
    let read = |domain: Field| {
        let right = "a fault domain with the names of its region and its zone";
        proto::json::from_slice(domain.json().as_bytes()).map_err(|error| domain.error(error.to_string(), right))
    };
    of.find("domain").map(read).transpose()
}

/// The resource groups of a master of Meseta, each with how it stands.
fn read_groups(root: &Field, scenario: &mut Scenario) -> Result<(), DocumentError> {
    let Some(groups) = root.find("resource_groups") else { return Ok(()) };
    for status in groups.items()? {
        let spec = status.find("group").unwrap_or(status);
        let right = "a resource group as GET_GROUPS shows it";
        let parsed =
            proto::json::from_slice(spec.json().as_bytes()).map_err(|error| spec.error(error.to_string(), right))?;
        let group = Group::compile(&parsed, ConstraintLimits::default());
        scenario.groups.push(group.map_err(|error| spec.error(error.to_string(), right))?);
    }
    Ok(())
}

/// `cpus:0.01;mem:32`
pub(crate) fn quantities(text: &str) -> Option<Quantities> {
    let one = |part: &str| {
        let (name, amount) = part.split_once(':')?;
        let amount: f64 = amount.trim().parse().ok().filter(|amount: &f64| (0.0..1e15).contains(amount))?;
        Some((Name::from(name.trim()), Quantity::from_f64(amount)))
    };
    text.split(';').map(str::trim).filter(|part| !part.is_empty()).map(one).collect()
}

fn read_agent(agent: &Field, id: AgentId) -> Result<ScenarioAgent, DocumentError> {
    let hostname = agent.find("hostname").map_or(Ok(id.as_str()), |name| name.text())?.to_owned();
    let mut total = Resources::default();
    let reserved = agent.find("reserved_resources").map(|reserved| reserved.entries()).transpose()?.unwrap_or_default();
    match agent.find("unreserved_resources") {
        Some(unreserved) => {
            total += scalars(&read_amounts(&unreserved)?);
            for (role, amounts) in reserved {
                let mine = scalars(&read_amounts(&amounts)?).push_reservation(&Reservation::new_static(role));
                total += mine.map_err(|error| amounts.error(error.to_string(), "what is reserved, by role"))?;
            }
        }
        None => total += scalars(&read_amounts(&agent.get("resources")?)?),
    }
    let mut read = Vec::new();
    for (name, value) in agent.find("attributes").map(|list| list.entries()).transpose()?.unwrap_or_default() {
        let text = match value.amount() {
            Ok(Some(number)) => number.to_string(),
            _ => value.text()?.to_owned(),
        };
        let parsed = attributes::parse(&format!("{name}:{text}"));
        read.extend(parsed.map_err(|error| value.error(error.to_string(), "a number, a text, ranges or a set"))?);
    }
    let active = agent.find("active").map(|active| active.flag()).transpose()?.unwrap_or(true);
    let deactivated = agent.find("deactivated").map(|flag| flag.flag()).transpose()?.unwrap_or(false);
    let profile = AgentProfile {
        hostname,
        attributes: read,
        domain: read_domain(agent)?,
        capabilities: AgentCapabilities::ALL,
        active: active && !deactivated,
    };
    Ok(ScenarioAgent { id, profile, total })
}

fn scalars(amounts: &Quantities) -> Resources {
    amounts.iter().map(|(name, amount)| Resource::scalar_of(name.clone(), amount)).collect()
}

fn read_framework(framework: &Field, names: &mut BTreeSet<String>) -> Result<ScenarioFramework, DocumentError> {
    let id = framework.get("id")?.text()?;
    let mut roles = BTreeSet::new();
    match framework.find("roles") {
        Some(list) => {
            for role in list.items()? {
                roles.insert(role.text()?.to_owned());
            }
        }
        None => {
            let role = framework.find("role").map(|role| role.text()).transpose()?.unwrap_or("*");
            roles.insert(role.to_owned());
        }
    }
    let mut capabilities = FrameworkCapabilities::default();
    for capability in framework.find("capabilities").map(|list| list.items()).transpose()?.unwrap_or_default() {
        match capability.text()? {
            "REVOCABLE_RESOURCES" => capabilities.revocable_resources = true,
            "GPU_RESOURCES" => capabilities.gpu_resources = true,
            "SHARED_RESOURCES" => capabilities.shared_resources = true,
            "MULTI_ROLE" => capabilities.multi_role = true,
            "RESERVATION_REFINEMENT" => capabilities.reservation_refinement = true,
            "REGION_AWARE" => capabilities.region_aware = true,
            // The others do not matter to who gets what.
            _ => {}
        }
    }
    let name =
        framework.find("name").map(|name| name.text()).transpose()?.filter(|name| !name.is_empty()).unwrap_or(id);
    let tail = id.rsplit('-').next().unwrap_or(id);
    let name = if names.insert(name.to_owned()) { name.to_owned() } else { format!("{name} ({tail})") };
    names.insert(name.clone());
    let active = framework.find("active").map(|active| active.flag()).transpose()?.unwrap_or(true);
    Ok(ScenarioFramework { id: FrameworkId::new(id), name: Arc::from(name), roles, capabilities, active })
}

fn read_amounts(object: &Field) -> Result<Quantities, DocumentError> {
    let mut amounts = Quantities::default();
    for (name, value) in object.entries()? {
        if let Some(amount) = value.amount()? {
            amounts.add_one(&Name::from(name), Quantity::from_f64(amount));
        }
    }
    Ok(amounts)
}
