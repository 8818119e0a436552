//! From flags to settings. Every mistake is told with the flag that holds it.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use allocator::{AllocatorConfig, ConstraintLimits, Group, GroupError, SorterKind, groups::check_together};
use coordination::{EmbeddedStore, MemoryStore, Place, Store};
use master_core::Config;
use proto::{meseta::v1::ResourceGroups, v1};
use registry::Operation;
use resources::{Quantities, Quantity};
use stdx::flags::Values;

/// Everything a master is told at its start.
#[derive(Debug)]
pub struct Settings {
    pub values: Values,
    pub listen: SocketAddr,
}

/// A flag that cannot be used as it is, in words.
pub type SettingsError = String;

impl Settings {
    pub fn new(values: Values) -> Result<Settings, SettingsError> {
        let listen = SocketAddr::new(values.ip("ip")?, values.port("port")?);
        Ok(Settings { values, listen })
    }

    /// Where others reach this master, once it is known which port we got.
    pub fn advertised(&self, port: u16) -> Result<SocketAddr, SettingsError> {
        let values = &self.values;
        let ip = if values.is_set("advertise_ip") { values.ip("advertise_ip")? } else { self.listen.ip() };
        let port = if values.is_set("advertise_port") { values.port("advertise_port")? } else { port };
        Ok(SocketAddr::new(ip, port))
    }

    /// How this master presents itself. `id` is new with each start.
    pub fn master_info(&self, id: String, address: SocketAddr) -> Result<v1::MasterInfo, SettingsError> {
        let hostname = match self.values.text("hostname") {
            Some(name) => name.to_owned(),
            None if self.values.switch("hostname_lookup") => observe::host::hostname(address.ip()),
            None => address.ip().to_string(),
        };
        Ok(v1::MasterInfo {
            id,
            ip: packed(address.ip()),
            port: u32::from(address.port()),
            pid: Some(format!("master@{address}")),
            hostname: Some(hostname.clone()),
            version: Some(endpoints::API_VERSION.into()),
            address: Some(v1::Address {
                hostname: Some(hostname),
                ip: Some(address.ip().to_string()),
                port: i32::from(address.port()),
            }),
            domain: domain(&self.values)?,
            capabilities: model::capabilities::master_capabilities(),
        })
    }

    pub fn core(&self) -> Result<Config, SettingsError> {
        let values = &self.values;
        let defaults = Config::default();
        let base = if values.switch("allocation_compatibility") {
            AllocatorConfig::mesos()
        } else {
            defaults.allocator.clone()
        };
        let count = |name: &str| values.integer(name).and_then(|n| usize::try_from(n).ok()).unwrap_or(usize::MAX);
        let bytes = |name: &str, default: usize| {
            values.bytes(name).and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(default)
        };
        Ok(Config {
            agent_ping_timeout: values.needed_duration("agent_ping_timeout")?,
            max_agent_ping_timeouts: u32::try_from(count("max_agent_ping_timeouts")).unwrap_or(u32::MAX),
            agent_reregister_timeout: values.needed_duration("agent_reregister_timeout")?,
            recovery_agent_removal_limit: share(values, "recovery_agent_removal_limit")?,
            agent_removal_rate_limit: values.text("agent_removal_rate_limit").map(rate).transpose()?,
            require_agent_domain: values.switch("require_agent_domain"),
            constraint_limits: ConstraintLimits {
                regex_size: bytes("offer_constraints_re2_max_mem", defaults.constraint_limits.regex_size),
            },
            roles: values.text("roles").map(|_| roles(values)).transpose()?,
            offer_timeout: values.duration("offer_timeout"),
            authenticate_frameworks: values.switch("authenticate_frameworks"),
            authenticate_agents: values.switch("authenticate_agents"),
            root_submissions: values.switch("root_submissions"),
            framework_bytes_max: bytes("max_framework_bytes", defaults.framework_bytes_max),
            task_bytes_max: bytes("max_task_bytes", defaults.task_bytes_max),
            reservation_bytes_max: bytes("max_reservation_bytes", defaults.reservation_bytes_max),
            max_completed_frameworks: count("max_completed_frameworks"),
            max_completed_tasks_per_framework: count("max_completed_tasks_per_framework"),
            max_unreachable_tasks_per_framework: count("max_unreachable_tasks_per_framework"),
            registry_gc_interval: values.needed_duration("registry_gc_interval")?,
            registry_max_agent_age: values.needed_duration("registry_max_agent_age")?,
            registry_max_agent_count: count("registry_max_agent_count"),
            allocator: AllocatorConfig {
                interval: values.needed_duration("allocation_interval")?,
                event_driven: values.switch("allocation_on_recovery") && base.event_driven,
                role_sorter: sorter(values, "role_sorter")?,
                framework_sorter: sorter(values, "framework_sorter")?,
                agent_recovery_factor: factor(values, "allocator_agent_recovery_factor")?,
                recovery_timeout: values.needed_duration("allocator_recovery_timeout")?,
                min_allocatable: min_allocatable(values.text("min_allocatable_resources").unwrap_or_default())?,
                fair_sharing_excluded: names(values.text("fair_sharing_excluded_resource_names")),
                filter_gpu_resources: values.switch("filter_gpu_resources"),
                ..base
            },
            ..defaults
        })
    }

    /// The weights of `--weights`, for a registry that has none yet.
    pub fn weights(&self) -> Result<Vec<Operation>, SettingsError> {
        let Some(text) = self.values.text("weights") else { return Ok(Vec::new()) };
        let allowed = self.core()?.roles;
        let weight = |pair: &str| {
            let wrong = || format!("--weights: '{pair}' is not role=weight with a weight above 0");
            let (role, weight) = pair.split_once('=').ok_or_else(wrong)?;
            let weight: f64 = weight.trim().parse().map_err(|_| wrong())?;
            let role = role.trim();
            resources::role::check(role).map_err(|e| format!("--weights: {e}"))?;
            if allowed.as_ref().is_some_and(|allowed| !allowed.contains(role)) {
                return Err(format!("--weights: the role '{role}' is not one of --roles"));
            }
            let info = v1::WeightInfo { weight, role: Some(role.to_owned()) };
            if weight > 0.0 && weight.is_finite() { Ok(info) } else { Err(wrong()) }
        };
        let weights = text.split(',').map(weight).collect::<Result<Vec<_>, _>>()?;
        Ok(vec![Operation::UpdateWeights(weights)])
    }

    /// Where masters meet, and after how long without news one of them is given up; none for a master that is alone.
    pub fn place(&self) -> Result<Option<(Place, Duration)>, SettingsError> {
        let values = &self.values;
        let (name, url) = match (values.text("zk"), values.text("etcd")) {
            (None, None) => return Ok(None),
            (Some(_), Some(_)) => {
                return Err("--zk and --etcd: masters meet at one of them; leave the other out".into());
            }
            (Some(url), None) => ("zk", url),
            (None, Some(url)) => ("etcd", url),
        };
        let place = Place::parse_flag(values, url).map_err(|e| format!("--{name}: {e}"))?;
        if (place.kind == coordination::url::Kind::ZooKeeper) != (name == "zk") {
            return Err(format!("--{name}: {place} is the URL of another kind of store"));
        }
        if let Some(registry @ ("embedded" | "in_memory")) =
            values.text("registry").filter(|_| values.is_set("registry"))
        {
            return Err(format!(
                "--registry: {registry} cannot be shared by several masters; leave it out with --{name}"
            ));
        }
        let timeout = values.needed_duration(&format!("{name}_session_timeout"))?;
        Ok(Some((place, timeout)))
    }

    /// Where a master notes which cluster it belongs to, if it has a directory.
    pub fn cluster_file(&self) -> Option<PathBuf> {
        self.values.path("work_dir").map(|directory| directory.join("cluster"))
    }

    /// The groups of `--resource_groups`, for a registry that has none yet.
    pub fn groups(&self) -> Result<Vec<Operation>, SettingsError> {
        let Some(json) = self.values.text_or_file("resource_groups")? else { return Ok(Vec::new()) };
        let config = self.core()?;
        let specs: ResourceGroups =
            proto::json::from_slice(json.as_bytes()).map_err(|e| format!("--resource_groups: {e}"))?;
        let mut groups = BTreeMap::new();
        for spec in &specs.groups {
            let group =
                Group::compile(spec, config.constraint_limits).map_err(|e| format!("--resource_groups: {e}"))?;
            if groups.insert(group.name.clone(), group).is_some() {
                let error = GroupError::Twice { name: spec.name.clone() };
                return Err(format!("--resource_groups: {error}"));
            }
        }
        check_together(&groups, config.roles.as_ref()).map_err(|e| format!("--resource_groups: {e}"))?;
        Ok(specs.groups.into_iter().map(|group| Operation::SetGroup(Box::new(group))).collect())
    }

    /// What flags put into a registry: weights into one that has no weights, groups into one that has no groups.
    pub fn first_operations(&self) -> Result<Vec<Operation>, SettingsError> {
        Ok([self.weights()?, self.groups()?].concat())
    }

    /// The registry's store, opened.
    pub fn store(&self) -> Result<Box<dyn Store>, SettingsError> {
        match self.values.text("registry").unwrap_or("embedded") {
            "in_memory" => Ok(Box::new(MemoryStore::default())),
            "embedded" | "replicated_log" => {
                let directory = self.work_dir()?;
                std::fs::create_dir_all(&directory).map_err(|e| format!("--work_dir: {}: {e}", directory.display()))?;
                Ok(Box::new(EmbeddedStore::open(&directory).map_err(|e| e.to_string())?))
            }
            other => Err(format!("--registry: '{other}' is neither embedded nor in_memory")),
        }
    }

    fn work_dir(&self) -> Result<PathBuf, SettingsError> {
        let missing = "--work_dir is missing; give a directory for the registry, or --registry=in_memory for a test";
        self.values.path("work_dir").ok_or_else(|| missing.into())
    }
}

/// An IPv4 address as Mesos writes it: the four bytes in network order, read as a little-endian number.
fn packed(ip: IpAddr) -> u32 {
    match ip {
        IpAddr::V4(ip) => u32::from_le_bytes(ip.octets()),
        IpAddr::V6(_) => 0,
    }
}

/// A percentage such as `50%`, as a share of 1.
fn share(values: &Values, name: &str) -> Result<f64, SettingsError> {
    let text = values.text(name).unwrap_or("100%");
    let number = text.strip_suffix('%').and_then(|number| number.trim().parse::<f64>().ok());
    match number {
        Some(percent) if (0.0..=100.0).contains(&percent) => Ok(percent / 100.0),
        _ => Err(format!("--{name}: '{text}' is not a percentage, 0% to 100%")),
    }
}

fn sorter(values: &Values, name: &str) -> Result<SorterKind, SettingsError> {
    match values.text(name).unwrap_or("drf") {
        "drf" => Ok(SorterKind::Drf),
        "random" => Ok(SorterKind::Random),
        other => Err(format!("--{name}: '{other}' is neither drf nor random")),
    }
}

fn factor(values: &Values, name: &str) -> Result<f64, SettingsError> {
    match values.number(name) {
        Some(part) if part > 0.0 && part <= 1.0 => Ok(part),
        other => Err(format!("--{name}: {} is not above 0 and at most 1", other.unwrap_or_default())),
    }
}

fn domain(values: &Values) -> Result<Option<v1::DomainInfo>, SettingsError> {
    let Some(text) = values.text_or_file("domain")? else { return Ok(None) };
    model::parse::registration::domain(&text).map(Some).map_err(|why| format!("--domain: {why}"))
}

/// `1/10mins`
fn rate(text: &str) -> Result<(u32, Duration), SettingsError> {
    let wrong = || format!("--agent_removal_rate_limit: '{text}' is not number/duration, as in 1/10mins");
    let (count, time) = text.split_once('/').ok_or_else(wrong)?;
    let count = count.trim().parse().ok().filter(|count| *count > 0).ok_or_else(wrong)?;
    Ok((count, stdx::units::parse_duration(time.trim()).map_err(|_| wrong())?))
}

/// "*" is one of them, always.
fn roles(values: &Values) -> Result<BTreeSet<String>, SettingsError> {
    let mut roles = names(values.text("roles"));
    for role in &roles {
        resources::role::check(role).map_err(|why| format!("--roles: {why}"))?;
    }
    roles.insert(resources::role::UNRESERVED.to_owned());
    Ok(roles)
}

/// `cpus:0.01|mem:32`
fn min_allocatable(text: &str) -> Result<Vec<Quantities>, SettingsError> {
    text.split('|').map(str::trim).filter(|set| !set.is_empty()).map(quantities).collect()
}

fn quantities(text: &str) -> Result<Quantities, SettingsError> {
    let one = |part: &str| {
        let wrong = || format!("--min_allocatable_resources: '{part}' is not name:amount with an amount of 0 or more");
        let (name, amount) = part.split_once(':').ok_or_else(wrong)?;
        let amount: f64 =
            amount.trim().parse().ok().filter(|amount| (0.0..f64::INFINITY).contains(amount)).ok_or_else(wrong)?;
        Ok((name.trim().into(), Quantity::from_f64(amount)))
    };
    text.split(';').map(str::trim).filter(|part| !part.is_empty()).map(one).collect()
}

fn names(text: Option<&str>) -> BTreeSet<String> {
    let names = text.unwrap_or_default().split(',').map(str::trim);
    names.filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::TABLE;

    fn settings(args: &[&str]) -> Result<Settings, String> {
        let values = stdx::flags::parse(&TABLE, "MESOS_", args.iter().map(|a| (*a).to_owned()), [])?;
        Settings::new(values)
    }

    #[test]
    fn the_defaults_are_those_of_mesos() {
        let config = settings(&[]).and_then(|s| s.core()).unwrap();
        assert_eq!(config.agent_ping_timeout, Duration::from_secs(15));
        assert_eq!(config.max_agent_ping_timeouts, 5);
        assert_eq!(config.allocator.min_allocatable, AllocatorConfig::default().min_allocatable);
        assert_eq!(config.offer_timeout, None);
    }

    #[test]
    fn mistakes_name_the_flag() {
        for (flag, expected) in [
            ("--agent_ping_timeout=1hrs", "between 1secs and 15mins"),
            ("--max_agent_ping_timeouts=0", "0 is not between 1 and 1000000"),
            ("--registry_gc_interval=0secs", "0secs is not between 1secs and"),
            ("--allocation_interval=0secs", "0secs is not between 1ms and"),
            ("--offer_timeout=0secs", "0secs is not between 1ms and"),
            ("--max_task_bytes=0B", "0B is not between 4KB and"),
            ("--max_outbox_bytes=0B", "0B is not between 64KB and"),
            ("--registry_max_agent_count=0", "0 is not between 1 and"),
            ("--hostname=", "--hostname: the value is empty"),
            ("--work_dir=", "--work_dir: the value is empty"),
            ("--zk=", "--zk: the value is empty"),
            ("--recovery_agent_removal_limit=150%", "--recovery_agent_removal_limit: '150%'"),
            ("--role_sorter=fair", "'fair' is neither drf nor random"),
            ("--allocator_agent_recovery_factor=1.5", "1.5 is not between 0 and 1"),
            ("--allocator_agent_recovery_factor=0", "0 is not above 0"),
            ("--agent_removal_rate_limit=often", "'often' is not number/duration"),
            ("--roles=a,b c", "--roles: Role component 'b c'"),
            ("--min_allocatable_resources=cpus", "'cpus' is not name:amount"),
            ("--min_allocatable_resources=cpus:-1", "'cpus:-1' is not name:amount"),
            ("--min_allocatable_resources=cpus:nan", "'cpus:nan' is not name:amount"),
        ] {
            let error = settings(&[flag]).and_then(|s| s.core()).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
        assert!(settings(&["--port=70000"]).unwrap_err().contains("--port: 70000"));
        let strange = settings(&["--roles=a,b", "--weights=a=2,c=2"]).unwrap().weights().unwrap_err();
        assert!(strange.contains("'c' is not one of --roles"), "{strange}");
        assert!(settings(&["--weights=a=0"]).unwrap().weights().unwrap_err().contains("'a=0'"));
        for (json, expected) in [
            ("{", "--resource_groups: "),
            (r#"{"groups": [{"name": "g", "roles": ["a"], "unit": {}}]}"#, "'g' has an empty unit"),
            (
                r#"{"groups": [{"name": "g", "roles": ["a"], "unit": {"cpus": {"value": 1}}, "weight": 0}]}"#,
                "is 0; it must",
            ),
            ("/nowhere.json", "/nowhere.json"),
        ] {
            let error = settings(&[&format!("--resource_groups={json}")]).unwrap().groups().unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
        assert!(settings(&[]).unwrap().store().err().unwrap().contains("--work_dir is missing"));
    }

    #[test]
    fn an_address_is_packed_as_mesos_does() {
        assert_eq!(packed("127.0.0.1".parse().unwrap()), 16_777_343);
    }
}
