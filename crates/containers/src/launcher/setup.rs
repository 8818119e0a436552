//! Turning the fresh process into the container its record describes. The order matters: what needs the host's `/proc`
//! comes first, what needs privileges before the user is switched.

use crate::{
    isolators::{capabilities::DEFAULT, seccomp},
    record::{self, Frame, Launch, Process, Restrictions},
};
use kernel::{
    capabilities::{self, Capabilities},
    clone::Privileges,
    credentials::User,
    files, limits,
    mounts::{self, Mask},
    process, procfs,
    seccomp::Filter,
};
use std::{
    borrow::Cow,
    ffi::{CStr, CString},
    fs::File,
    io,
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

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

/// Writes down which process the container is, while `/proc` is still the agent's. From here on a restarted agent finds
/// it.
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
    // Below, the kernel's files may be there to read only.
    if let Some(score) = launch.oom_score_adj {
        std::fs::write("/proc/self/oom_score_adj", score.to_string()).map_err(failure("set the OOM score"))?;
    }
    if setup.own_mounts {
        prepare_mounts(launch)?;
    }
    if let Some(name) = &launch.hostname {
        mounts::set_hostname(name).map_err(failure("set the host name"))?;
    }
    if setup.user_namespace {
        capabilities::drop_all().map_err(failure("drop the capabilities of the setup"))?;
    }
    if !setup.own_pid {
        process::become_subreaper().map_err(failure("become the reaper of orphans"))?;
    }
    std::env::set_current_dir(&launch.cwd)
        .map_err(failure(format!("change into the directory '{}'", launch.cwd.display())))
}

/// Whether the process that containers are forked from has separated its mounts already.
static SEPARATED: AtomicBool = AtomicBool::new(false);

/// What the kernel tells of the machine in `/proc` that is no container's business, as other container engines have it.
const HIDDEN_IN_PROC: [&CStr; 8] = [
    c"/proc/acpi",
    c"/proc/kcore",
    c"/proc/keys",
    c"/proc/latency_stats",
    c"/proc/sched_debug",
    c"/proc/scsi",
    c"/proc/timer_list",
    c"/proc/timer_stats",
];
const HIDDEN_IN_SYS: [&CStr; 2] = [c"/sys/devices/virtual/powercap", c"/sys/firmware"];

/// What of it this kernel has. Found once, before containers are forked.
pub fn hidden_in_proc() -> &'static [Mask] {
    static HIDDEN: OnceLock<Vec<Mask>> = OnceLock::new();
    HIDDEN.get_or_init(|| HIDDEN_IN_PROC.into_iter().filter_map(Mask::of).collect())
}

fn hidden_in_sys() -> impl Iterator<Item = Mask> {
    HIDDEN_IN_SYS.into_iter().filter_map(Mask::of)
}

/// Once for all containers: mounts apart from the host's, in which the kernel's devices and cgroups can only be read.
pub fn prepare_for_all() -> io::Result<()> {
    mounts::leave(libc::CLONE_NEWNS)?;
    mounts::follow_host_only()?;
    mounts::make_sys_read_only()?;
    hidden_in_sys().try_for_each(|mask| mask.put_on())?;
    SEPARATED.store(true, Ordering::Relaxed);
    Ok(())
}

fn prepare_mounts(launch: &Launch) -> Result<(), SetupFailure> {
    if !SEPARATED.load(Ordering::Relaxed) {
        mounts::follow_host_only().map_err(failure("separate the mounts from the host's"))?;
        hidden_in_sys()
            .try_for_each(|mask| mask.put_on())
            .map_err(failure("hide what the kernel tells of the machine"))?;
    }
    let read_only = launch.restrictions.kernel_files;
    if launch.setup.own_pid {
        mounts::mount_proc(read_only).map_err(failure("mount /proc"))?;
    } else if read_only {
        mounts::make_proc_read_only().map_err(failure("make /proc read-only"))?;
    }
    // Who entered its parent's mounts and has no /proc of its own finds all this hidden already. What only root could
    // read is hidden from those who may be root: each mount costs.
    if launch.setup.own_pid || launch.setup.enter == 0 {
        for mask in hidden_in_proc().iter().filter(|mask| mask.is_open || read_only) {
            mask.put_on().map_err(failure("hide what the kernel tells of the machine"))?;
        }
    }
    if launch.setup.own_shm {
        let size = launch.shm_bytes.map_or(String::new(), |bytes| format!(",size={bytes}"));
        let options = CString::new(format!("mode=1777{size}")).unwrap_or_default();
        match mounts::mount_shm(&options) {
            // A host without it has nothing to share.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            mounted => mounted.map_err(failure("mount /dev/shm"))?,
        }
    }
    Ok(())
}

pub fn user(launch: &Launch) -> Option<User<'_>> {
    launch.user.as_ref().map(|user| User { uid: user.uid, gid: user.gid, groups: &user.groups })
}

pub fn privileges<'a>(launch: &Launch, filter: Option<&'a Filter>) -> Privileges<'a> {
    let Restrictions { capabilities, no_new_privileges, .. } = launch.restrictions;
    Privileges { capabilities, no_new: no_new_privileges, filter }
}

/// The filter of system calls for what the container may do at most.
pub fn filter(launch: &Launch) -> Option<Cow<'static, Filter>> {
    let Restrictions { capabilities, seccomp: wanted, .. } = launch.restrictions;
    let most = capabilities.map_or(Capabilities::NONE, |bounds| bounds.bounding);
    wanted.then(|| match most.without(DEFAULT).is_empty() {
        true => Cow::Borrowed(usual_filter()),
        false => Cow::Owned(seccomp::filter(most)),
    })
}

/// Made once, before containers are forked.
pub fn usual_filter() -> &'static Filter {
    static USUAL: OnceLock<Filter> = OnceLock::new();
    USUAL.get_or_init(|| seccomp::filter(DEFAULT))
}

/// For an executor that runs in this process: limits, user and environment.
pub fn become_program(launch: &Launch) -> Result<(), SetupFailure> {
    for limit in &launch.rlimits {
        limits::set(limit).map_err(failure(format!("set resource limit {}", limit.resource)))?;
    }
    let filter = filter(launch);
    privileges(launch, filter.as_deref())
        .take_on(user(launch))
        .map_err(failure("switch the user and limit its privileges"))?;
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
