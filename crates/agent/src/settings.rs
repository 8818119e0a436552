//! From flags to settings: what the agent offers, where it listens, how it isolates. Every mistake is told with the
//! flag that holds it.

mod logs;
mod resources;

use std::{
    net::{IpAddr, SocketAddr},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use agent_core::{Config, ReconfigurationPolicy, Recover};
use containers::{Capabilities, Capability, Isolation, LauncherKind, Rotation};
use coordination::Place;
use proto::{upid::Upid, v1};
use stdx::flags::Values;

use crate::{reach, traffic::ACTOR};

/// Everything an agent is told at its start.
#[derive(Debug)]
pub struct Settings {
    pub values: Values,
    pub master: MasterAt,
    pub listen: SocketAddr,
    pub work_dir: PathBuf,
    pub runtime_dir: PathBuf,
    pub isolation: Isolation,
    pub launcher: LauncherKind,
    pub bounding_capabilities: Option<Capabilities>,
    pub effective_capabilities: Option<Capabilities>,
    /// How stdout and stderr are kept short, if they are.
    pub rotations: [Option<Rotation>; 2],
}

/// Where the leading master is found.
#[derive(Clone, Debug)]
pub enum MasterAt {
    Address(Upid),
    /// Where masters meet, and how long a session with it lasts.
    Place(Place, Duration),
}

/// Bytes of the name of a Unix domain socket, its end included.
const SOCKET_NAME_ROOM: usize = 108;

/// As in DNS.
const HOSTNAME_MAX: usize = 253;

/// A flag that cannot be used as it is, in words.
pub type SettingsError = String;

impl Settings {
    pub fn new(mut values: Values) -> Result<Settings, SettingsError> {
        let master = values
            .text("master")
            .ok_or(
                "--master is missing; give a master's address, host:port, or where masters meet, zk://… or etcd://…",
            )?
            .to_owned();
        let work_dir =
            values.path("work_dir").ok_or("--work_dir is missing; give a directory for the agent's files")?;
        prepare(&work_dir)?;
        let work_dir = work_dir.canonicalize().map_err(|e| format!("--work_dir: {}: {e}", work_dir.display()))?;
        // Whoever is shown the flags finds sandboxes below it, wherever we were started.
        values.put("work_dir", work_dir.to_string_lossy().into_owned());
        let runtime_dir = values.path("runtime_dir").unwrap_or_else(|| default_runtime_dir(&work_dir));
        let runtime_dir = std::path::absolute(runtime_dir).map_err(|e| format!("--runtime_dir: {e}"))?;
        let isolation = values.text("isolation").unwrap_or(default_isolation(nix::unistd::geteuid().is_root()));
        let isolation = Isolation::parse(isolation).map_err(|e| format!("--isolation: {e}"))?;
        check_texts(&values)?;
        let launcher = match values.text("launcher") {
            None => LauncherKind::Auto,
            Some("linux") => LauncherKind::Linux,
            Some("posix") => LauncherKind::Posix,
            Some(other) => return Err(format!("--launcher: '{other}' is neither linux nor posix")),
        };
        let bounding_capabilities = capabilities(&values, "bounding_capabilities")?;
        let effective_capabilities = capabilities(&values, "effective_capabilities")?;
        let allowed = bounding_capabilities.unwrap_or(containers::capabilities::DEFAULT);
        let too_many = effective_capabilities.map(|effective| effective.without(allowed));
        if let Some(too_many) = too_many.filter(|too_many| !too_many.is_empty()) {
            return Err(format!("--effective_capabilities: {too_many} must also be in --bounding_capabilities"));
        }
        Ok(Settings {
            master: find_master(&values, &master)?,
            listen: SocketAddr::new(values.ip("ip")?, values.port("port")?),
            work_dir,
            runtime_dir,
            isolation,
            launcher,
            bounding_capabilities,
            effective_capabilities,
            rotations: logs::rotations(&values)?,
            values,
        })
    }

    /// The core's configuration, once it is known which port we got.
    pub fn core(&self, port: u16) -> Result<Config, SettingsError> {
        let values = &self.values;
        let ip = self.advertised_ip()?;
        let port = if values.is_set("advertise_port") { values.port("advertise_port")? } else { port };
        let info = v1::AgentInfo {
            hostname: self.hostname(ip),
            port: Some(i32::from(port)),
            resources: resources::offered(values, &self.work_dir)?.to_protos(),
            attributes: attributes(values)?,
            domain: domain(values)?,
            checkpoint: Some(true),
            ..Default::default()
        };
        let defaults = Config::new(Upid::new(ACTOR, ip.to_string(), port), info, self.work_dir.to_string_lossy());
        Ok(Config {
            switch_user: values.switch("switch_user"),
            executor_environment: executor_environment(values)?,
            domain_socket: self.domain_socket()?.map(|path| path.to_string_lossy().into_owned()),
            http_executor_domain_sockets: values.switch("http_executor_domain_sockets"),
            registration_backoff_factor: values.needed_duration("registration_backoff_factor")?,
            authenticate: values.is_set("credential"),
            authentication_backoff_factor: values.needed_duration("authentication_backoff_factor")?,
            authentication_timeout_min: values.needed_duration("authentication_timeout_min")?,
            authentication_timeout_max: values.needed_duration("authentication_timeout_max")?,
            executor_registration_timeout: values.needed_duration("executor_registration_timeout")?,
            executor_reregistration_timeout: values.needed_duration("executor_reregistration_timeout")?,
            executor_shutdown_grace_period: values.needed_duration("executor_shutdown_grace_period")?,
            recovery_timeout: values.needed_duration("recovery_timeout")?,
            gc_delay: values.needed_duration("gc_delay")?,
            gc_disk_headroom: values.number("gc_disk_headroom").unwrap_or(defaults.gc_disk_headroom),
            disk_watch_interval: values.needed_duration("disk_watch_interval")?,
            max_completed_executors_per_framework: values
                .integer("max_completed_executors_per_framework")
                .and_then(|n| usize::try_from(n).ok())
                .unwrap_or(defaults.max_completed_executors_per_framework),
            recover: recover(values)?,
            reconfiguration_policy: reconfiguration_policy(values)?,
            ..defaults
        })
    }

    /// Where executors reach the agent without the network. A place of the default kind that is too long for a socket's
    /// name is done without.
    pub fn domain_socket(&self) -> Result<Option<PathBuf>, SettingsError> {
        let wanted = match self.values.path("domain_socket_location").map(std::path::absolute) {
            Some(path) => Some(path.map_err(|e| format!("--domain_socket_location: {e}"))?),
            None => None,
        };
        let needed = wanted.is_some() || self.values.switch("http_executor_domain_sockets");
        let path = wanted.unwrap_or_else(|| self.runtime_dir.join("agent.sock"));
        let length = path.as_os_str().len();
        match length < SOCKET_NAME_ROOM {
            true => Ok(Some(path)),
            false if !needed => Ok(None),
            false => Err(format!(
                "--domain_socket_location: '{}' has {length} bytes, a socket's name at most {}",
                path.display(),
                SOCKET_NAME_ROOM - 1
            )),
        }
    }

    pub fn durability(&self) -> Result<journal::Durability, SettingsError> {
        match self.values.text("checkpoint_durability") {
            Some("disk") | None => Ok(journal::Durability::Disk),
            Some("kernel") => Ok(journal::Durability::Kernel),
            Some(other) => Err(format!("--checkpoint_durability: '{other}' is neither disk nor kernel")),
        }
    }

    /// Who listens on every address is reached at the one that leads to the master.
    fn advertised_ip(&self) -> Result<IpAddr, SettingsError> {
        if self.values.is_set("advertise_ip") {
            let ip = self.values.ip("advertise_ip")?;
            let nowhere = format!("--advertise_ip: {ip} is no address that others can reach");
            return if ip.is_unspecified() { Err(nowhere) } else { Ok(ip) };
        }
        let ip = self.listen.ip();
        if !ip.is_unspecified() {
            return Ok(ip);
        }
        // Of several masters none is known yet: an address that no packet is sent to, beyond all of them.
        let beyond = SocketAddr::from(([192, 0, 2, 1], 5050));
        let target = match &self.master {
            MasterAt::Address(upid) => upid.address().parse().unwrap_or(beyond),
            MasterAt::Place(..) => beyond,
        };
        reach::address_towards(target).ok_or_else(|| {
            format!("--ip={ip} listens on every address; say with --advertise_ip at which one others reach this agent")
        })
    }

    fn hostname(&self, ip: IpAddr) -> String {
        match self.values.text("hostname") {
            Some(name) => name.to_owned(),
            None if self.values.switch("hostname_lookup") => observe::host::hostname(ip),
            None => ip.to_string(),
        }
    }
}

/// Makes the place for our own records, which hold what tasks are told in confidence.
fn prepare(work_dir: &Path) -> Result<(), SettingsError> {
    let wrong = |e: std::io::Error| format!("--work_dir: {}: {e}", work_dir.display());
    let meta = work_dir.join("meta");
    // An agent of Apache Mesos that was ended for good has removed this link.
    if std::fs::symlink_metadata(meta.join("slaves/latest")).is_ok() {
        return Err(format!(
            "--work_dir: {} belongs to an agent of Apache Mesos, whose tasks may still run: a new agent here would not know \
             them, the master would take them for lost, and they would run twice. Drain that agent and end it with SIGUSR1, \
             or give this one another --work_dir",
            work_dir.display()
        ));
    }
    std::fs::create_dir_all(&meta).map_err(wrong)?;
    std::fs::set_permissions(&meta, std::fs::Permissions::from_mode(0o700)).map_err(wrong)
}

/// A set of capabilities as JSON, as `CapabilityInfo` has it.
fn capabilities(values: &Values, flag: &str) -> Result<Option<Capabilities>, SettingsError> {
    let Some(text) = values.text(flag) else { return Ok(None) };
    let wrong =
        |why: String| format!("--{flag}: {why}; give a list such as {{\"capabilities\":[\"NET_RAW\",\"SYS_PTRACE\"]}}");
    let read: serde_json::Value = serde_json::from_str(text).map_err(|error| wrong(error.to_string()))?;
    let list = read.get("capabilities").and_then(serde_json::Value::as_array);
    let list = list.ok_or_else(|| wrong("there is no list 'capabilities'".to_owned()))?;
    let named: Result<Vec<Capability>, _> = list
        .iter()
        .map(|name| name.as_str().unwrap_or_default().parse::<Capability>().map_err(|error| wrong(error.to_string())))
        .collect();
    Ok(Some(Capabilities::of(&named?)))
}

/// Root can keep tasks apart from each other and from the machine, so it does unless somebody says otherwise.
fn default_isolation(is_root: bool) -> &'static str {
    if is_root { "all" } else { "posix/cpu,posix/mem" }
}

/// What flags of text may hold.
fn check_texts(values: &Values) -> Result<(), SettingsError> {
    if let Some(name) = values.text("hostname") {
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
        if name.len() > HOSTNAME_MAX || !name.chars().all(fits) {
            return Err(format!(
                "--hostname: '{name}' is no name of a host: at most {HOSTNAME_MAX} letters, digits, '.', '-' and '_'"
            ));
        }
    }
    if let Some(root) = values.text("cgroups_root")
        && !root.split('/').all(|part| !part.is_empty() && part != "." && part != "..")
    {
        return Err(format!("--cgroups_root: '{root}' is no path below --cgroups_hierarchy, such as mesos or a/b"));
    }
    if let Some(path) = values.text("cgroups_hierarchy").filter(|path| !path.starts_with('/')) {
        return Err(format!("--cgroups_hierarchy: '{path}' is no absolute path"));
    }
    if let Some(level) = values.text("logging_level").filter(|level| !matches!(*level, "INFO" | "WARNING" | "ERROR")) {
        return Err(format!("--logging_level: '{level}' is none of INFO, WARNING and ERROR"));
    }
    let (least, most) = ("authentication_timeout_min", "authentication_timeout_max");
    if values.needed_duration(least)? > values.needed_duration(most)? {
        return Err(format!("--{least} is more than --{most}"));
    }
    Ok(())
}

fn default_runtime_dir(work_dir: &Path) -> PathBuf {
    if nix::unistd::geteuid().is_root() { PathBuf::from("/var/run/meseta") } else { work_dir.join("run") }
}

fn find_master(values: &Values, text: &str) -> Result<MasterAt, SettingsError> {
    if Place::is_meant_by(text) {
        let session_timeout = values.needed_duration("master_session_timeout")?;
        let place = Place::parse_flag(values, text).map_err(|e| format!("--master: {e}"))?;
        return Ok(MasterAt::Place(place, session_timeout));
    }
    resolve_master(text).map(MasterAt::Address)
}

fn resolve_master(text: &str) -> Result<Upid, SettingsError> {
    let address = text.strip_prefix("master@").unwrap_or(text);
    let mut found = stdx::hosts::resolve(address)
        .map_err(|e| format!("--master: '{text}' is no address of a master, host:port ({e})"))?;
    found.sort_by_key(SocketAddr::is_ipv6);
    let address = found.first().ok_or_else(|| format!("--master: '{text}' has no address"))?;
    Ok(Upid::new("master", address.ip().to_string(), address.port()))
}

fn domain(values: &Values) -> Result<Option<v1::DomainInfo>, SettingsError> {
    let Some(text) = values.text_or_file("domain")? else { return Ok(None) };
    model::parse::registration::domain(&text).map(Some).map_err(|why| format!("--domain: {why}"))
}

/// The attribute that masters with resource groups read the weight from.
const COMPETITION_WEIGHT: &str = "competition_weight";

fn attributes(values: &Values) -> Result<Vec<v1::Attribute>, SettingsError> {
    let mut attributes = match values.text("attributes") {
        Some(text) => ::resources::attributes::parse(text).map_err(|e| format!("--attributes: {e}"))?,
        None => Vec::new(),
    };
    if let Some(text) = values.text("competition_weight") {
        let weight = text.trim().parse::<f64>().ok().filter(|weight| *weight >= 0.0 && weight.is_finite());
        let value = weight.ok_or_else(|| format!("--competition_weight: '{text}' is no number of at least 0"))?;
        attributes.retain(|attribute| attribute.name != COMPETITION_WEIGHT);
        attributes.push(v1::Attribute {
            name: COMPETITION_WEIGHT.to_owned(),
            r#type: v1::value::Type::Scalar as i32,
            scalar: Some(v1::value::Scalar { value }),
            ..Default::default()
        });
    }
    Ok(attributes)
}

fn executor_environment(values: &Values) -> Result<Vec<(String, String)>, SettingsError> {
    let Some(text) = values.text("executor_environment_variables") else { return Ok(Vec::new()) };
    let wrong = |e: serde_json::Error| format!("--executor_environment_variables: not an object of strings: {e}");
    let pairs: std::collections::BTreeMap<String, String> = serde_json::from_str(text).map_err(wrong)?;
    Ok(pairs.into_iter().collect())
}

fn recover(values: &Values) -> Result<Recover, SettingsError> {
    match values.text("recover") {
        Some("reconnect") | None => Ok(Recover::Reconnect),
        Some("cleanup") => Ok(Recover::Cleanup),
        Some(other) => Err(format!("--recover: '{other}' is neither reconnect nor cleanup")),
    }
}

fn reconfiguration_policy(values: &Values) -> Result<ReconfigurationPolicy, SettingsError> {
    match values.text("reconfiguration_policy") {
        Some("equal") | None => Ok(ReconfigurationPolicy::Equal),
        Some("additive") => Ok(ReconfigurationPolicy::Additive),
        Some(other) => Err(format!("--reconfiguration_policy: '{other}' is neither equal nor additive")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(flags: &[&str]) -> Result<Option<PathBuf>, SettingsError> {
        let home = tempfile::tempdir().expect("a directory");
        let mut all = vec!["--master=127.0.0.1:5050".to_owned(), format!("--work_dir={}", home.path().display())];
        all.extend(flags.iter().map(|flag| (*flag).to_owned()));
        let values = stdx::flags::parse(&crate::flags::TABLE, "MESETA_", all, std::iter::empty())?;
        Settings::new(values)?.domain_socket()
    }

    #[test]
    fn capabilities_are_read_as_mesos_writes_them() {
        let read = |flag: &str, json: &str| settings(&[&format!("--{flag}={json}")]).map(drop);
        assert_eq!(read("bounding_capabilities", "{\"capabilities\":[\"NET_RAW\",\"SYS_PTRACE\"]}"), Ok(()));
        for wrong in ["NET_RAW", "{}", "{\"capabilities\":[\"SYS_GOD\"]}", "{\"capabilities\":[7]}"] {
            let why = read("bounding_capabilities", wrong).expect_err(wrong);
            assert!(why.starts_with("--bounding_capabilities: ") && why.contains("give a list such as"), "{why}");
        }
        let too_many = read("effective_capabilities", "{\"capabilities\":[\"SYS_ADMIN\"]}").expect_err("too many");
        assert_eq!(too_many, "--effective_capabilities: SYS_ADMIN must also be in --bounding_capabilities");
    }

    #[test]
    fn the_work_directory_of_an_agent_of_mesos_is_left_alone() {
        let home = tempfile::tempdir().expect("a directory");
        let at_home = || {
            let flags = ["--master=127.0.0.1:5050".to_owned(), format!("--work_dir={}", home.path().display())];
            let values = stdx::flags::parse(&crate::flags::TABLE, "MESETA_", flags.to_vec(), std::iter::empty())?;
            Settings::new(values).map(drop)
        };
        let slaves = home.path().join("meta/slaves");
        std::fs::create_dir_all(&slaves).expect("mkdir");
        assert_eq!(at_home(), Ok(()));
        let mode = std::fs::metadata(home.path().join("meta")).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        // It leads nowhere, which does not matter.
        std::os::unix::fs::symlink("S0", slaves.join("latest")).expect("link");
        let why = at_home().expect_err("refused");
        assert!(why.contains("an agent of Apache Mesos") && why.contains("another --work_dir"), "{why}");
    }

    #[test]
    fn the_work_directory_is_shown_as_it_is_used() {
        let home = tempfile::tempdir().expect("a directory");
        let link = home.path().join("link");
        std::os::unix::fs::symlink(home.path(), &link).expect("a link");
        let flags = ["--master=127.0.0.1:5050".to_owned(), format!("--work_dir={}/./", link.display())];
        let values = stdx::flags::parse(&crate::flags::TABLE, "MESETA_", flags, std::iter::empty()).expect("sound");
        let settings = Settings::new(values).expect("sound");
        let shown = settings.values.shown();
        assert_eq!(shown.get("work_dir").map(String::as_str), settings.work_dir.to_str());
        assert_eq!(settings.work_dir, home.path().canonicalize().expect("there"));
    }

    #[test]
    fn roots_tasks_are_kept_apart_unless_somebody_says_otherwise() {
        let isolation = |more: &[&str]| {
            let home = tempfile::tempdir().expect("a directory");
            let mut all = vec!["--master=127.0.0.1:5050".to_owned(), format!("--work_dir={}", home.path().display())];
            all.extend(more.iter().map(|flag| (*flag).to_owned()));
            let values = stdx::flags::parse(&crate::flags::TABLE, "MESETA_", all, std::iter::empty()).expect("sound");
            format!("{:?}", Settings::new(values).expect("sound").isolation)
        };
        let named = |text: &str| format!("{:?}", Isolation::parse(text).expect("an isolation"));
        assert_eq!(named(default_isolation(true)), named("all"));
        assert_eq!(isolation(&[]), named(default_isolation(nix::unistd::geteuid().is_root())));
        assert_eq!(isolation(&["--isolation=posix/cpu,posix/mem"]), named(default_isolation(false)));
        assert_ne!(named("all"), named("posix/cpu,posix/mem"));
    }

    #[test]
    fn texts_that_make_no_sense_are_refused_by_name() {
        for wrong in [
            "--hostname=a b",
            "--cgroups_root=../../x",
            "--cgroups_root=/x",
            "--cgroups_root=a//b",
            "--cgroups_hierarchy=x",
            "--logging_level=LOUD",
            "--authentication_timeout_min=2mins",
            "--isolation=nonsense",
            "--launcher=docker",
            "--port=70000",
            "--ip=nowhere",
        ] {
            let name = wrong.split('=').next().unwrap_or_default();
            let error = settings(&[wrong]).expect_err(wrong);
            assert!(error.starts_with(name), "{error}");
        }
    }

    #[test]
    fn an_agent_that_listens_everywhere_tells_others_one_address() {
        let home = tempfile::tempdir().expect("a directory");
        let core = |more: &[&str]| {
            let mut all = vec!["--master=127.0.0.1:5050".to_owned(), format!("--work_dir={}", home.path().display())];
            all.extend(more.iter().map(|flag| (*flag).to_owned()));
            let values = stdx::flags::parse(&crate::flags::TABLE, "MESETA_", all, std::iter::empty())?;
            Settings::new(values)?.core(5051).map(|config| config.upid.host.to_string())
        };
        assert_eq!(core(&["--ip=0.0.0.0"]), Ok("127.0.0.1".to_owned()));
        assert_eq!(core(&["--ip=0.0.0.0", "--advertise_ip=10.1.1.1"]), Ok("10.1.1.1".to_owned()));
        assert!(core(&["--advertise_ip=0.0.0.0"]).is_err());
        let error = core(&["--resources=gpus:2"]).expect_err("no GPU is handed out");
        assert!(error.contains("gpus"), "{error}");
        assert!(core(&["--resources=gpus:0"]).is_ok());
    }

    #[test]
    fn a_name_that_is_too_long_for_a_socket_matters_only_when_it_was_asked_for() {
        let long = "x".repeat(SOCKET_NAME_ROOM);
        assert_eq!(settings(&["--runtime_dir=/run/a"]), Ok(Some("/run/a/agent.sock".into())));
        assert_eq!(settings(&[&format!("--runtime_dir=/{long}")]), Ok(None));
        let error = settings(&[&format!("--domain_socket_location=/{long}")]).expect_err("too long");
        assert!(error.starts_with("--domain_socket_location: '/xxx") && error.ends_with("at most 107"), "{error}");
        let needed = [&*format!("--runtime_dir=/{long}"), "--http_executor_domain_sockets"];
        assert!(settings(&needed).is_err());
    }
}
