//! The core's words for containers into those of the `containers` crate, and back.

use agent_core::{
    Class, ContainerId, ExecutorKind, LaunchFailure, LaunchSpec, Limits, Output, Program, Termination, VolumeLink,
};
use containers::{Capabilities, Capability, Command, LaunchError, Limitation, LimitationReason};
use proto::v1::{self, task_status::Reason};

/// What a container without a PATH of its own searches.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

pub fn container_id(id: &containers::ContainerId) -> ContainerId {
    ContainerId::from_joined(&id.path().join("."))
}

/// None for a name that no container can have; such containers were never launched.
pub fn to_container_id(id: &ContainerId) -> Option<containers::ContainerId> {
    containers::ContainerId::new(id.parts().map(str::to_owned).collect()).ok()
}

pub fn spec(spec: LaunchSpec) -> Result<containers::LaunchSpec, LaunchFailure> {
    let refuse = |message: String| LaunchFailure { reason: None, message, not_supported: true };
    let id = containers::ContainerId::new(spec.container.parts().map(str::to_owned).collect())
        .map_err(|e| refuse(e.to_string()))?;
    let info = spec.container_info.as_deref();
    check_supported(info).map_err(refuse)?;
    let command =
        Command { program: program(spec.program), env: environment(spec.environment), user: spec.user, cwd: None };
    let linux = info.and_then(|info| info.linux_info.as_ref());
    Ok(containers::LaunchSpec {
        class: if spec.class == Class::Debug { containers::Class::Debug } else { containers::Class::Default },
        uris: spec.uris.into_iter().map(uri).collect(),
        volumes: spec.volumes.into_iter().map(volume).collect(),
        limits: limits(&spec.limits),
        share_cgroups: spec.share_cgroups,
        share_pid_namespace: linux.is_some_and(|linux| linux.share_pid_namespace()),
        ipc: ipc(linux),
        capabilities: capabilities(linux).map_err(refuse)?,
        seccomp: seccomp(linux),
        shm_bytes: linux.and_then(|linux| linux.shm_size).map(|mib| u64::from(mib) << 20),
        hostname: info.and_then(|info| info.hostname.clone()),
        rlimits: info
            .and_then(|info| info.rlimit_info.as_ref())
            .map(rlimits)
            .transpose()
            .map_err(refuse)?
            .unwrap_or_default(),
        output: if spec.output == Output::Session { containers::Output::Pipes } else { containers::Output::Files },
        ..containers::LaunchSpec::new(id, command, spec.sandbox)
    })
}

/// Refuses what would silently not be there.
fn check_supported(info: Option<&v1::ContainerInfo>) -> Result<(), String> {
    let Some(info) = info else { return Ok(()) };
    let asked = [
        (info.r#type() == v1::container_info::Type::Docker, "the Docker containerizer"),
        (info.mesos.as_ref().is_some_and(|mesos| mesos.image.is_some()), "container images"),
        (!info.volumes.is_empty(), "volumes"),
        (!info.network_infos.is_empty() && info.network_infos.iter().any(|n| n.name.is_some()), "named networks"),
        (info.tty_info.is_some(), "terminals"),
    ];
    match asked.iter().find(|(asked, _)| *asked) {
        Some((_, what)) => Err(format!("this agent does not support {what} yet")),
        None => Ok(()),
    }
}

fn program(program: Program) -> containers::Program {
    match program {
        Program::Shell(text) => containers::Program::Shell(text),
        Program::Argv { path, arguments } => containers::Program::Argv { path, argv: arguments },
        Program::Executor(ExecutorKind::Pod) => containers::Program::Executor(containers::ExecutorKind::Pod),
        Program::Executor(ExecutorKind::Command | ExecutorKind::Custom) => {
            containers::Program::Executor(containers::ExecutorKind::Command)
        }
    }
}

/// Later entries win.
fn environment(pairs: Vec<(String, String)>) -> Vec<(String, String)> {
    let mut environment = vec![("PATH".to_owned(), PATH.to_owned())];
    for (name, value) in pairs {
        match environment.iter_mut().find(|(known, _)| *known == name) {
            Some(row) => row.1 = value,
            None => environment.push((name, value)),
        }
    }
    environment
}

fn uri(uri: v1::command_info::Uri) -> containers::Uri {
    containers::Uri {
        executable: uri.executable(),
        extract: uri.extract(),
        cache: uri.cache(),
        output_file: uri.output_file,
        value: uri.value,
    }
}

pub fn volume(volume: VolumeLink) -> containers::VolumeLink {
    containers::VolumeLink { name: volume.name.into(), path: volume.path.into(), shared: volume.shared }
}

pub fn limits(limits: &Limits) -> containers::Limits {
    containers::Limits {
        cpus: (limits.cpus > 0.0).then_some(limits.cpus),
        cpu_limit: limits.cpu_limit,
        mem: (limits.mem_bytes > 0).then_some(limits.mem_bytes),
        mem_limit: limits.mem_limit_bytes,
        revocable: limits.revocable_cpus,
        disk: (limits.disk_bytes > 0).then_some(limits.disk_bytes),
    }
}

fn ipc(linux: Option<&v1::LinuxInfo>) -> containers::IpcMode {
    use v1::linux_info::IpcMode;
    match linux.map(|linux| linux.ipc_mode()) {
        Some(IpcMode::Private) => containers::IpcMode::Private,
        Some(IpcMode::ShareParent) => containers::IpcMode::ShareParent,
        Some(IpcMode::Unknown) | None => containers::IpcMode::Unset,
    }
}

/// The deprecated field says what the effective capabilities are.
fn capabilities(linux: Option<&v1::LinuxInfo>) -> Result<containers::CapabilityWish, String> {
    let Some(linux) = linux else { return Ok(containers::CapabilityWish::default()) };
    let effective = linux.effective_capabilities.as_ref().or(capability_info(linux));
    Ok(containers::CapabilityWish {
        effective: effective.map(capability_set).transpose()?,
        bounding: linux.bounding_capabilities.as_ref().map(capability_set).transpose()?,
    })
}

#[allow(deprecated)]
fn capability_info(linux: &v1::LinuxInfo) -> Option<&v1::CapabilityInfo> {
    linux.capability_info.as_ref()
}

/// The numbers of the API are the kernel's plus 1000.
pub fn capability_set(info: &v1::CapabilityInfo) -> Result<Capabilities, String> {
    let list: Result<Vec<Capability>, String> = info
        .capabilities
        .iter()
        .map(|number| {
            let place = usize::try_from(number - 1000).ok();
            let found = place.and_then(|place| Capability::EVERY.get(place));
            found.copied().ok_or_else(|| format!("there is no capability with the number {number}"))
        })
        .collect();
    Ok(Capabilities::of(&list?))
}

fn seccomp(linux: Option<&v1::LinuxInfo>) -> containers::SeccompWish {
    match linux.and_then(|linux| linux.seccomp.as_ref()) {
        Some(info) if info.unconfined() => containers::SeccompWish::Unconfined,
        Some(v1::SeccompInfo { profile_name: Some(name), .. }) => containers::SeccompWish::Named(name.clone()),
        _ => containers::SeccompWish::Default,
    }
}

fn rlimits(info: &v1::RLimitInfo) -> Result<Vec<containers::Rlimit>, String> {
    info.rlimits.iter().map(rlimit).collect()
}

fn rlimit(limit: &v1::r_limit_info::RLimit) -> Result<containers::Rlimit, String> {
    use v1::r_limit_info::r_limit::Type;
    let resource = match limit.r#type() {
        Type::RlmtAs => libc::RLIMIT_AS,
        Type::RlmtCore => libc::RLIMIT_CORE,
        Type::RlmtCpu => libc::RLIMIT_CPU,
        Type::RlmtData => libc::RLIMIT_DATA,
        Type::RlmtFsize => libc::RLIMIT_FSIZE,
        Type::RlmtLocks => libc::RLIMIT_LOCKS,
        Type::RlmtMemlock => libc::RLIMIT_MEMLOCK,
        Type::RlmtMsgqueue => libc::RLIMIT_MSGQUEUE,
        Type::RlmtNice => libc::RLIMIT_NICE,
        Type::RlmtNofile => libc::RLIMIT_NOFILE,
        Type::RlmtNproc => libc::RLIMIT_NPROC,
        Type::RlmtRss => libc::RLIMIT_RSS,
        Type::RlmtRtprio => libc::RLIMIT_RTPRIO,
        Type::RlmtRttime => libc::RLIMIT_RTTIME,
        Type::RlmtSigpending => libc::RLIMIT_SIGPENDING,
        Type::RlmtStack => libc::RLIMIT_STACK,
        Type::Unknown => return Err("a resource limit has an unknown type".into()),
    };
    let (soft, hard) = match (limit.soft, limit.hard) {
        (None, None) => (u64::MAX, u64::MAX),
        (Some(soft), Some(hard)) if soft <= hard => (soft, hard),
        _ => return Err("a resource limit needs both soft and hard, soft not above hard, or neither".into()),
    };
    Ok(containers::Rlimit { resource, soft, hard })
}

pub fn launch_failure(error: LaunchError) -> LaunchFailure {
    let reason = match &error {
        LaunchError::Destroyed => Some(Reason::ExecutorTerminated),
        LaunchError::Fetch { .. }
        | LaunchError::Exists(_)
        | LaunchError::NoParent(_)
        | LaunchError::User { .. }
        | LaunchError::Refused { .. }
        | LaunchError::Io { .. } => None,
    };
    let not_supported = matches!(error, LaunchError::Refused { .. });
    LaunchFailure { reason, message: error.to_string(), not_supported }
}

pub fn termination(termination: containers::Termination) -> Termination {
    let message = (!termination.message.is_empty()).then_some(termination.message);
    match termination.reason {
        None => Termination { status: termination.status, message, ..Default::default() },
        Some(limit) => Termination {
            status: termination.status,
            state: Some(v1::TaskState::TaskFailed),
            reason: Some(reason(limit.reason)),
            message: Some(message.unwrap_or_else(|| limit.message.clone())),
            limitation: Some(limitation(&limit)),
        },
    }
}

pub fn reason(limit: LimitationReason) -> Reason {
    match limit {
        LimitationReason::Memory => Reason::ContainerLimitationMemory,
        LimitationReason::Disk => Reason::ContainerLimitationDisk,
    }
}

/// The resource that ran out, as `TaskStatus.limitation` has it, in MB: how much memory was in use, how much disk was
/// allowed.
pub fn limitation(limit: &Limitation) -> v1::TaskResourceLimitation {
    let megabytes = limit.bytes.unwrap_or(0) as f64 / f64::from(1 << 20);
    let resource = v1::Resource {
        name: match limit.reason {
            LimitationReason::Memory => "mem".into(),
            LimitationReason::Disk => "disk".into(),
        },
        r#type: v1::value::Type::Scalar as i32,
        scalar: Some(v1::value::Scalar { value: megabytes }),
        ..Default::default()
    };
    v1::TaskResourceLimitation { resources: vec![resource] }
}

#[cfg(test)]
mod tests {
    use super::*;
    use v1::capability_info::Capability as Named;

    #[test]
    fn a_broken_limit_is_told_with_its_reason_and_the_resource() {
        let ended = |reason, bytes| {
            let limit = Limitation { reason, message: "too much".into(), bytes: Some(bytes) };
            let ended =
                termination(containers::Termination { status: Some(9), reason: Some(limit), message: String::new() });
            let limitation = ended.limitation.expect("told");
            let resource = limitation.resources.first().expect("one").clone();
            let told = (resource.name, resource.scalar.map(|scalar| scalar.value));
            (ended.state, ended.reason, ended.message, told)
        };
        let (failed, message) = (Some(v1::TaskState::TaskFailed), Some("too much".to_owned()));
        let disk = ended(LimitationReason::Disk, 5 << 20);
        let told = ("disk".to_owned(), Some(5.0));
        assert_eq!(disk, (failed, Some(Reason::ContainerLimitationDisk), message.clone(), told));
        let mem = ended(LimitationReason::Memory, 1 << 20);
        assert_eq!(mem, (failed, Some(Reason::ContainerLimitationMemory), message, ("mem".to_owned(), Some(1.0))));
    }

    #[test]
    fn what_linux_info_asks_for_is_passed_on() {
        let info = |list: &[i32]| v1::CapabilityInfo { capabilities: list.to_vec() };
        let linux = v1::LinuxInfo {
            effective_capabilities: Some(info(&[Named::NetRaw as i32])),
            bounding_capabilities: Some(info(&[Named::NetRaw as i32, Named::SysPtrace as i32])),
            seccomp: Some(v1::SeccompInfo { unconfined: Some(true), ..Default::default() }),
            ..Default::default()
        };
        let wish = capabilities(Some(&linux)).expect("known");
        assert_eq!(wish.effective, Some(Capabilities::of(&[Capability::NetRaw])));
        assert_eq!(wish.bounding, Some(Capabilities::of(&[Capability::NetRaw, Capability::SysPtrace])));
        assert_eq!(seccomp(Some(&linux)), containers::SeccompWish::Unconfined);
        assert!(capability_set(&info(&[Named::Unknown as i32])).is_err() && capability_set(&info(&[1999])).is_err());
    }
}
