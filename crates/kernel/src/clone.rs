//! Starting processes. `spawn` does not copy the caller: clone3 with the caller's memory, the calling thread suspended
//! until the child has executed its program. What the child does in between is a fixed list of system calls on memory
//! prepared beforehand; it allocates nothing and takes no lock. `fork_sibling` copies a small process of one thread.
//! Both fall back to the old clone where clone3 is unknown.

use crate::{
    capabilities::Bounds,
    credentials::{self, User},
    seccomp::{self, Filter},
};
use std::{
    ffi::{CString, c_char, c_int, c_long, c_void},
    io,
    os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
    ptr,
};

/// A program and everything its process is to be before it runs.
pub struct Plan<'a> {
    /// `CLONE_NEW*`
    pub namespaces: c_int,
    /// Resolve `exec` in the child: each candidate is tried in turn.
    pub exec: Exec<'a>,
    pub argv: &'a CStrings,
    pub envp: &'a CStrings,
    /// `(from, to)`: duplicated in this order; everything else closes on exec. No `from` may be a later `to`.
    pub fds: &'a [(RawFd, RawFd)],
    /// For a new user namespace: the content of uid_map and gid_map.
    pub user_maps: Option<(&'a [u8], &'a [u8])>,
    /// Tries whether mounts can be separated and `/proc` be mounted.
    pub try_mounts: bool,
    /// Starts a session.
    pub new_session: bool,
    pub rlimits: &'a [crate::Rlimit],
    pub user: Option<User<'a>>,
    pub privileges: Privileges<'a>,
    /// Clears the signal mask and ignores nothing; without it the child keeps everything blocked.
    pub reset_signals: bool,
    /// The signal the child gets when the calling thread ends.
    pub death_signal: Option<c_int>,
}

pub enum Exec<'a> {
    /// An opened executable.
    Fd(BorrowedFd<'a>),
    /// Paths tried in turn until one exists and may be run.
    Paths(&'a [CString]),
}

/// What the program may do.
#[derive(Clone, Copy, Debug, Default)]
pub struct Privileges<'a> {
    /// Without it, what this process may.
    pub capabilities: Option<Bounds>,
    /// The program, and what it executes, gains no privileges by executing. A filter needs it.
    pub no_new: bool,
    pub filter: Option<&'a Filter>,
}

impl Privileges<'_> {
    /// Takes them on, and the user, in the calling thread for good. Allocates nothing and takes no lock.
    pub fn take_on(&self, user: Option<User<'_>>) -> io::Result<()> {
        credentials::become_user(user, self.capabilities.as_ref())?;
        if self.no_new || self.filter.is_some() {
            seccomp::forbid_new_privileges()?;
        }
        self.filter.map_or(Ok(()), Filter::apply)
    }
}

/// A null-terminated array of C strings.
pub struct CStrings {
    _strings: Vec<CString>,
    pointers: Vec<*const c_char>,
}

// SAFETY: the pointers point into the strings that are owned beside them and never change.
unsafe impl Send for CStrings {}
// SAFETY: as above; nothing is ever written through them.
unsafe impl Sync for CStrings {}

impl CStrings {
    pub fn new(strings: Vec<CString>) -> CStrings {
        let pointers = strings.iter().map(|s| s.as_ptr()).chain([ptr::null()]).collect();
        CStrings { _strings: strings, pointers }
    }
}

/// A started process.
#[derive(Debug)]
pub struct Child {
    pub pid: u32,
    pub pidfd: OwnedFd,
}

/// Which step of the child failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub enum Step {
    Clone,
    UserMaps,
    Mounts,
    Session,
    Rlimits,
    User,
    Descriptors,
    Exec,
}

impl Step {
    pub fn what(self) -> &'static str {
        match self {
            Step::Clone => "create a process",
            Step::UserMaps => "map users into the user namespace",
            Step::Mounts => "mount /proc in new namespaces",
            Step::Session => "start a session",
            Step::Rlimits => "set resource limits",
            Step::User => "switch the user and limit its privileges",
            Step::Descriptors => "place descriptors",
            Step::Exec => "execute the program",
        }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("failed to {}: {source}", step.what())]
pub struct SpawnError {
    pub step: Step,
    pub source: io::Error,
}

const CLONE_CLEAR_SIGHAND: u64 = 0x1_0000_0000;
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

#[repr(C)]
#[derive(Default)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

/// What the child reads, and where it leaves word of a failure; lives on the suspended caller's stack.
struct Shared<'a> {
    plan: &'a Plan<'a>,
    failed_step: Step,
    errno: c_int,
}

/// Starts `plan`. When this returns `Ok`, the program is running.
pub fn spawn(plan: &Plan<'_>) -> Result<Child, SpawnError> {
    let mut shared = Shared { plan, failed_step: Step::Clone, errno: 0 };
    let mut pidfd: c_int = -1;
    let base = (libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_PIDFD) as u64 | (plan.namespaces as u32 as u64);
    let mut args = CloneArgs {
        flags: base | CLONE_CLEAR_SIGHAND,
        pidfd: ptr::from_mut(&mut pidfd) as u64,
        exit_signal: libc::SIGCHLD as u64,
        ..CloneArgs::default()
    };

    // No handler of this process may run in the child, which shares its memory.
    // SAFETY: a set of signals is integers.
    let mut old_mask = unsafe { std::mem::zeroed::<libc::sigset_t>() };
    // SAFETY: all three calls get valid sets.
    unsafe {
        let mut all = std::mem::zeroed::<libc::sigset_t>();
        libc::sigfillset(&mut all);
        libc::pthread_sigmask(libc::SIG_BLOCK, &all, &mut old_mask);
    }
    let pointer = ptr::from_mut(&mut shared).cast::<c_void>();
    // SAFETY: `args` and `shared` live in this frame, which stays until the child has executed or ended; every signal
    // is blocked, so no handler runs on the memory both share.
    let mut result = unsafe {
        clone_and_run(libc::SYS_clone3, [ptr::from_mut(&mut args) as usize, size_of::<CloneArgs>(), 0, 0, 0], pointer)
    };
    if result == -libc::c_long::from(libc::ENOSYS) {
        let flags = (base | libc::SIGCHLD as u64) as usize;
        // SAFETY: as above; the old call takes its arguments in this order.
        result =
            unsafe { clone_and_run(libc::SYS_clone, [flags, 0, ptr::from_mut(&mut pidfd) as usize, 0, 0], pointer) };
    }
    // SAFETY: `old_mask` was filled above.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &old_mask, ptr::null_mut()) };

    if result < 0 {
        return Err(SpawnError { step: Step::Clone, source: io::Error::from_raw_os_error(-result as i32) });
    }
    // SAFETY: the kernel has just opened it for this process.
    let child = Child { pid: result as u32, pidfd: unsafe { OwnedFd::from_raw_fd(pidfd) } };
    // SAFETY: a valid place in this frame, which the child wrote while this thread stood still.
    let errno = unsafe { ptr::read_volatile(&shared.errno) };
    if errno != 0 {
        // SAFETY: as above.
        let step = unsafe { ptr::read_volatile(&shared.failed_step) };
        let _ = crate::pidfd::reap(&child.pidfd);
        return Err(SpawnError { step, source: io::Error::from_raw_os_error(errno) });
    }
    Ok(child)
}

/// The system call, after which the child calls `child` on the same stack below everything the caller uses there.
///
/// # Safety
/// `args` must ask for a child that shares memory and suspends the caller, and `shared` must point to a `Shared`.
#[cfg(target_arch = "x86_64")]
unsafe fn clone_and_run(number: c_long, args: [usize; 5], shared: *mut c_void) -> c_long {
    let result: c_long;
    // SAFETY: the parent goes on behind the call with only what is declared changed; the child never returns here.
    unsafe {
        std::arch::asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "xor ebp, ebp",
            "and rsp, -16",
            "mov rdi, r12",
            "call r13",
            "ud2",
            "2:",
            inlateout("rax") number => result,
            in("rdi") args[0], in("rsi") args[1], in("rdx") args[2], in("r10") args[3], in("r8") args[4],
            in("r12") shared, in("r13") child as *const () as usize,
            lateout("rcx") _, lateout("r11") _,
        );
    }
    result
}

#[cfg(target_arch = "aarch64")]
unsafe fn clone_and_run(number: c_long, args: [usize; 5], shared: *mut c_void) -> c_long {
    let result: c_long;
    // SAFETY: the parent goes on behind the call with only what is declared changed; the child never returns here.
    unsafe {
        std::arch::asm!(
            "svc 0",
            "cbnz x0, 2f",
            "mov x29, xzr",
            "mov x0, {shared}",
            "blr {child}",
            "brk 1",
            "2:",
            in("x8") number,
            inlateout("x0") args[0] => result,
            in("x1") args[1], in("x2") args[2], in("x3") args[3], in("x4") args[4],
            shared = in(reg) shared, child = in(reg) child as *const () as usize,
            lateout("x30") _,
        );
    }
    result
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
compile_error!("starting a process needs a few lines of assembly for this architecture");

/// The child, between clone and exec.
///
/// # Safety
/// To be called by `clone_and_run` in the child only.
unsafe extern "C" fn child(shared: *mut c_void) -> ! {
    // SAFETY: `spawn` hands in a pointer to its own `Shared` and stands still until this process executes or ends.
    let shared = unsafe { &mut *shared.cast::<Shared<'_>>() };
    // SAFETY: this is the child.
    let (step, errno) = unsafe { run_child(shared.plan) };
    // SAFETY: both places are the caller's, who reads them after this process is gone.
    unsafe {
        ptr::write_volatile(&mut shared.failed_step, step);
        ptr::write_volatile(&mut shared.errno, errno);
        loop {
            libc::syscall(libc::SYS_exit_group, 127);
        }
    }
}

/// Returns only when a step failed. Errors of libc's `syscall` go through the suspended caller's `errno`.
///
/// # Safety
/// To be called in the child only: it changes the process it runs in.
unsafe fn run_child(plan: &Plan<'_>) -> (Step, c_int) {
    fn ok(result: c_long) -> bool {
        result >= 0
    }
    // SAFETY: the suspended caller's own `errno`.
    let errno = || unsafe { *libc::__errno_location() };
    // SAFETY: every pointer comes from `plan`, a literal or this frame, and texts end with a zero byte.
    unsafe {
        if let Some((uid_map, gid_map)) = plan.user_maps {
            let written = write_file(c"/proc/self/setgroups".as_ptr(), b"deny")
                && write_file(c"/proc/self/uid_map".as_ptr(), uid_map)
                && write_file(c"/proc/self/gid_map".as_ptr(), gid_map);
            if !written {
                return (Step::UserMaps, errno());
            }
        }
        if plan.try_mounts {
            let nothing = ptr::null::<c_char>();
            let (root, slave) = (c"/".as_ptr(), libc::MS_REC | libc::MS_SLAVE);
            let (proc, at) = (c"proc".as_ptr(), c"/proc".as_ptr());
            let flags = libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC;
            let mounted = ok(libc::syscall(libc::SYS_mount, nothing, root, nothing, slave, nothing))
                && ok(libc::syscall(libc::SYS_mount, proc, at, proc, flags, nothing));
            if !mounted {
                return (Step::Mounts, errno());
            }
        }
        if plan.new_session && !ok(libc::syscall(libc::SYS_setsid)) {
            return (Step::Session, errno());
        }
        for limit in plan.rlimits {
            let new = [limit.soft, limit.hard];
            let old = ptr::null_mut::<u64>();
            if !ok(libc::syscall(libc::SYS_prlimit64, 0, limit.resource, new.as_ptr(), old)) {
                return (Step::Rlimits, errno());
            }
        }
        for &(from, to) in plan.fds {
            let placed = if from == to {
                libc::syscall(libc::SYS_fcntl, from, libc::F_SETFD, 0)
            } else {
                libc::syscall(libc::SYS_dup3, from, to, 0)
            };
            if !ok(placed) {
                return (Step::Descriptors, errno());
            }
        }
        if plan.reset_signals {
            // The kernel's sigaction: handler, flags, restorer, mask.
            let default = [0usize; 4];
            libc::syscall(libc::SYS_rt_sigaction, libc::SIGPIPE, default.as_ptr(), ptr::null_mut::<usize>(), 8usize);
            let none = 0u64;
            let old = ptr::null_mut::<u64>();
            libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, &raw const none, old, 8usize);
        }
        if let Err(error) = plan.privileges.take_on(plan.user) {
            return (Step::User, error.raw_os_error().unwrap_or(libc::EIO));
        }
        if let Some(signal) = plan.death_signal {
            // A change of user takes it back.
            libc::syscall(libc::SYS_prctl, libc::PR_SET_PDEATHSIG, signal, 0, 0, 0);
        }
        let (argv, envp) = (plan.argv.pointers.as_ptr(), plan.envp.pointers.as_ptr());
        match plan.exec {
            Exec::Fd(fd) => {
                let empty = c"".as_ptr();
                libc::syscall(libc::SYS_execveat, fd.as_raw_fd(), empty, argv, envp, libc::AT_EMPTY_PATH);
                (Step::Exec, errno())
            }
            Exec::Paths(paths) => {
                let mut failure = libc::ENOENT;
                for path in paths {
                    libc::syscall(libc::SYS_execve, path.as_ptr(), argv, envp);
                    match errno() {
                        libc::ENOENT | libc::ENOTDIR => {}
                        other => {
                            failure = other;
                            if other != libc::EACCES {
                                break;
                            }
                        }
                    }
                }
                (Step::Exec, failure)
            }
        }
    }
}

/// # Safety
/// `path` must end with a zero byte.
unsafe fn write_file(path: *const c_char, content: &[u8]) -> bool {
    // SAFETY: `path` ends with a zero byte, `content` is as long as it says, and the descriptor is this function's.
    unsafe {
        let fd = libc::syscall(libc::SYS_openat, libc::AT_FDCWD, path, libc::O_WRONLY | libc::O_CLOEXEC, 0);
        if fd < 0 {
            return false;
        }
        let written = libc::syscall(libc::SYS_write, fd, content.as_ptr(), content.len());
        libc::syscall(libc::SYS_close, fd);
        written == content.len() as c_long
    }
}

/// Where a process is after it was forked.
#[derive(Debug)]
pub enum Fork {
    Child,
    Parent(u32),
}

/// Forks a child of this process's parent. Only for a process of one thread: the child goes on with a copy of it.
pub fn fork_sibling(namespaces: c_int, cgroup: Option<BorrowedFd<'_>>) -> io::Result<Fork> {
    let base = libc::CLONE_PARENT as u64 | (namespaces as u32 as u64);
    let mut args = CloneArgs { flags: base, ..CloneArgs::default() };
    if let Some(cgroup) = cgroup {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = cgroup.as_raw_fd() as u64;
    }
    // SAFETY: the arguments are valid and ask for no shared memory: the child goes on with a copy of this process.
    let mut result = unsafe { libc::syscall(libc::SYS_clone3, &raw mut args, size_of::<CloneArgs>()) };
    if result < 0 && io::Error::last_os_error().raw_os_error() == Some(libc::ENOSYS) && cgroup.is_none() {
        // SAFETY: as above.
        result = unsafe { libc::syscall(libc::SYS_clone, base, 0, 0, 0, 0) };
    }
    match crate::check_long(result)? {
        0 => Ok(Fork::Child),
        pid => Ok(Fork::Parent(pid as u32)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pidfd;

    fn plan_of<'a>(paths: &'a [CString], argv: &'a CStrings, envp: &'a CStrings) -> Plan<'a> {
        Plan {
            namespaces: 0,
            exec: Exec::Paths(paths),
            argv,
            envp,
            fds: &[],
            user_maps: None,
            try_mounts: false,
            new_session: true,
            rlimits: &[],
            user: None,
            privileges: Privileges::default(),
            reset_signals: true,
            death_signal: None,
        }
    }

    #[test]
    fn a_child_runs_its_program_and_can_be_reaped() {
        let paths = [c"/nonexistent/sh".to_owned(), c"/bin/sh".to_owned()];
        let argv = CStrings::new(vec![c"sh".to_owned(), c"-c".to_owned(), c"exit $CODE".to_owned()]);
        let envp = CStrings::new(vec![c"CODE=42".to_owned()]);
        let child = spawn(&plan_of(&paths, &argv, &envp)).unwrap();
        assert_eq!(pidfd::reap(&child.pidfd).unwrap(), Some(42 << 8));
    }

    #[test]
    fn a_failed_exec_is_told_and_leaves_no_zombie() {
        let paths = [c"/nonexistent/program".to_owned()];
        let argv = CStrings::new(vec![c"x".to_owned()]);
        let envp = CStrings::new(vec![]);
        let error = spawn(&plan_of(&paths, &argv, &envp)).unwrap_err();
        assert_eq!((error.step, error.source.raw_os_error()), (Step::Exec, Some(libc::ENOENT)));
    }
}
