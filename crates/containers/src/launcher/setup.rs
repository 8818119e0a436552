//! Turning the fresh process into the container its record describes. The order matters: what needs the host's `/proc`
//! comes first, what needs privileges before the user is switched.

use crate::record::{self, Frame, Launch, Process};
use kernel::{credentials, files, limits, mounts, process, procfs};
use std::{ffi::CString, fs::File, io};

/// A step that failed, as the user of the container reads it.
#[derive(Debug, thiserror::Error)]
#[error("Failed to {what}: {source}")]
pub struct SetupFailure {
    what: String,
    source: io::Error,
}

pub fn failure(what: impl Into<String>) -> impl FnOnce(io::Error) -> SetupFailure {
    let what = what.into();
    move |source| SetupFailure { what, source }
}

/// Writes down which process the container is, while `/proc` is still the agent's. From here on a restarted agent finds it.
pub fn name_process(file: &mut File) -> Result<(), SetupFailure> {
    let stat = procfs::own_stat().map_err(failure("read /proc/self/stat"))?;
    record::append(file, &Frame::Process(Process::from(&stat))).map_err(failure("write the container's record"))
}

/// Everything up to the point where programs and executors part.
pub fn prepare(launch: &Launch) -> Result<(), SetupFailure> {
    let setup = &launch.setup;
    files::close_on_exec(record::LAUNCHER_FD);
    if setup.enter != 0 {
        mounts::enter(record::PARENT_FD, setup.enter).map_err(failure("enter the parent container's namespaces"))?;
    }
    files::close_from(record::LAUNCHER_FD + 1);
    if setup.leave != 0 {
        mounts::leave(setup.leave).map_err(failure("create namespaces"))?;
    }
    if setup.own_mounts {
        mounts::follow_host_only().map_err(failure("separate the mounts from the host's"))?;
        if setup.own_pid {
            mounts::mount_proc().map_err(failure("mount /proc"))?;
        }
        if setup.own_shm {
            let size = launch.shm_bytes.map_or(String::new(), |bytes| format!(",size={bytes}"));
            let options = CString::new(format!("mode=1777{size}")).unwrap_or_default();
            mounts::mount_shm(&options).map_err(failure("mount /dev/shm"))?;
        }
    }
    if let Some(name) = &launch.hostname {
        mounts::set_hostname(name).map_err(failure("set the host name"))?;
    }
    if let Some(score) = launch.oom_score_adj {
        std::fs::write("/proc/self/oom_score_adj", score.to_string()).map_err(failure("set the OOM score"))?;
    }
    if setup.user_namespace {
        credentials::drop_capabilities().map_err(failure("drop the capabilities of the setup"))?;
    }
    if !setup.own_pid {
        process::become_subreaper().map_err(failure("become the reaper of orphans"))?;
    }
    std::env::set_current_dir(&launch.cwd)
        .map_err(failure(format!("change into the directory '{}'", launch.cwd.display())))
}

/// For an executor that runs in this process: limits, user and environment.
pub fn become_program(launch: &Launch) -> Result<(), SetupFailure> {
    for limit in &launch.rlimits {
        limits::set(limit).map_err(failure(format!("set resource limit {}", limit.resource)))?;
    }
    if let Some(user) = &launch.user {
        credentials::switch_user(user.uid, user.gid, &user.groups).map_err(failure("switch the user"))?;
    }
    for (name, _) in std::env::vars_os() {
        // SAFETY: one thread: nobody reads the environment meanwhile.
        unsafe { std::env::remove_var(name) };
    }
    for (name, value) in &launch.env {
        if !name.is_empty() && !name.contains(['=', '\0']) && !value.contains('\0') {
            // SAFETY: as above.
            unsafe { std::env::set_var(name, value) };
        }
    }
    Ok(())
}
