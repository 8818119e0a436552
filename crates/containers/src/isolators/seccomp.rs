//! Which system calls a container may make: those that programs need, and those that its capabilities are for. What
//! could change the machine, look into others' processes or reach a seldom used corner of the kernel fails with EPERM;
//! a call that is newer than this table fails with ENOSYS, as on a kernel without it, so that programs fall back. Needs
//! no privilege, but a kernel that has filters.

use super::no_limit;
use crate::{
    LaunchError, SeccompWish,
    isolator::{Ask, Isolator, Kind, Plan},
};
use kernel::{
    capabilities::{Capabilities, Capability},
    seccomp::{Filter, Verdict},
};

/// The name of the profile of this file.
const DEFAULT_PROFILE: &str = "default";

pub const KIND: Kind = Kind {
    name: "linux/seccomp",
    wanted: |isolation| isolation.seccomp,
    limit: no_limit,
    wish: |spec| match &spec.seccomp {
        SeccompWish::Named(name) => Some(format!("the filter of system calls '{name}'")),
        SeccompWish::Default | SeccompWish::Unconfined => None,
    },
    make: |config, host| match host.isolation.seccomp {
        true => Ok(Box::new(Filtered { allow_unconfined: config.allow_unconfined })),
        false => Err("this kernel takes no filters of system calls".to_owned()),
    },
};

#[derive(Debug)]
struct Filtered {
    /// Containers may ask for no filter.
    allow_unconfined: bool,
}

impl Isolator for Filtered {
    fn prepare(&self, ask: &Ask<'_>, plan: &mut Plan) -> Result<(), LaunchError> {
        let refuse = |what: &str, why: String| Err(LaunchError::Refused { what: what.to_owned(), why });
        plan.restrictions.seccomp = match &ask.spec.seccomp {
            SeccompWish::Default => true,
            SeccompWish::Named(name) if name == DEFAULT_PROFILE => true,
            SeccompWish::Named(name) => {
                let why = format!("there is no profile '{name}', only '{DEFAULT_PROFILE}'");
                return refuse("the container's filter of system calls", why);
            }
            SeccompWish::Unconfined if self.allow_unconfined => false,
            SeccompWish::Unconfined => {
                let why = "the agent's --seccomp_allow_unconfined is not set".to_owned();
                return refuse("a container without a filter of system calls", why);
            }
        };
        Ok(())
    }
}

const EPERM: u16 = libc::EPERM as u16;
const ENOSYS: u16 = libc::ENOSYS as u16;

/// The first number that this table knows nothing of. From 424 on all architectures count alike.
const UNKNOWN: i64 = 468;

// Not every table of numbers in use here has these.
const SYS_CACHESTAT: i64 = 451;
const SYS_FCHMODAT2: i64 = 452;
const SYS_MAP_SHADOW_STACK: i64 = 453;
const SYS_FUTEX_WAKE: i64 = 454;
const SYS_FUTEX_WAIT: i64 = 455;
const SYS_FUTEX_REQUEUE: i64 = 456;
const SYS_MSEAL: i64 = 462;
const SYS_SETXATTRAT: i64 = 463;
const SYS_GETXATTRAT: i64 = 464;
const SYS_LISTXATTRAT: i64 = 465;
const SYS_REMOVEXATTRAT: i64 = 466;
#[cfg(target_arch = "x86_64")]
const SYS_IO_PGETEVENTS: i64 = 333;
#[cfg(target_arch = "aarch64")]
const SYS_IO_PGETEVENTS: i64 = 292;

/// What unshare(2) and clone(2) make anew.
const NAMESPACES: u32 = (libc::CLONE_NEWNS
    | libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET) as u32
    | CLONE_NEWTIME;
const CLONE_NEWTIME: u32 = 0x80;

/// The personalities of plain programs, and the question which one it is.
const PERSONALITIES: &[u32] = &[0x0, 0x0008, 0x0002_0000, 0x0002_0008, 0xffff_ffff];

macro_rules! numbers {
    ($($name:ident)*) => { &[$(libc::$name as i64),*] };
}

/// What every container may call.
const COMMON: &[i64] = numbers!(
    SYS_accept SYS_accept4 SYS_adjtimex SYS_bind SYS_brk SYS_capget SYS_capset SYS_chdir SYS_clock_adjtime
    SYS_clock_getres SYS_clock_gettime SYS_clock_nanosleep SYS_close SYS_close_range SYS_connect SYS_copy_file_range
    SYS_dup SYS_dup3 SYS_epoll_create1 SYS_epoll_ctl SYS_epoll_pwait SYS_epoll_pwait2 SYS_eventfd2 SYS_execve
    SYS_execveat SYS_exit SYS_exit_group SYS_faccessat SYS_faccessat2 SYS_fadvise64 SYS_fallocate SYS_fanotify_mark
    SYS_fchdir SYS_fchmod SYS_fchmodat SYS_fchown SYS_fchownat SYS_fcntl SYS_fdatasync SYS_fgetxattr SYS_flistxattr
    SYS_flock SYS_fremovexattr SYS_fsetxattr SYS_fstat SYS_fstatfs SYS_fsync SYS_ftruncate SYS_futex SYS_futex_waitv
    SYS_getcpu SYS_getcwd SYS_getdents64 SYS_getegid SYS_geteuid SYS_getgid SYS_getgroups SYS_getitimer
    SYS_get_mempolicy SYS_getpeername SYS_getpgid SYS_getpid SYS_getppid SYS_getpriority SYS_getrandom SYS_getresgid
    SYS_getresuid SYS_getrlimit SYS_get_robust_list SYS_getrusage SYS_getsid SYS_getsockname SYS_getsockopt SYS_gettid
    SYS_gettimeofday SYS_getuid SYS_getxattr SYS_inotify_add_watch SYS_inotify_init1 SYS_inotify_rm_watch SYS_io_cancel
    SYS_ioctl SYS_io_destroy SYS_io_getevents SYS_ioprio_get SYS_ioprio_set SYS_io_setup SYS_io_submit SYS_kill
    SYS_landlock_add_rule SYS_landlock_create_ruleset SYS_landlock_restrict_self SYS_lgetxattr SYS_linkat SYS_listen
    SYS_listxattr SYS_llistxattr SYS_lremovexattr SYS_lseek SYS_lsetxattr SYS_madvise SYS_mbind SYS_membarrier
    SYS_memfd_create SYS_memfd_secret SYS_mincore SYS_mkdirat SYS_mknodat SYS_mlock SYS_mlock2 SYS_mlockall SYS_mmap
    SYS_mprotect SYS_mq_getsetattr SYS_mq_notify SYS_mq_open SYS_mq_timedreceive SYS_mq_timedsend SYS_mq_unlink
    SYS_mremap SYS_msgctl SYS_msgget SYS_msgrcv SYS_msgsnd SYS_msync SYS_munlock SYS_munlockall SYS_munmap
    SYS_name_to_handle_at SYS_nanosleep SYS_newfstatat SYS_openat SYS_openat2 SYS_pidfd_open SYS_pidfd_send_signal
    SYS_pipe2 SYS_pkey_alloc SYS_pkey_free SYS_pkey_mprotect SYS_ppoll SYS_prctl SYS_pread64 SYS_preadv SYS_preadv2
    SYS_prlimit64 SYS_process_madvise SYS_process_mrelease SYS_pselect6 SYS_pwrite64 SYS_pwritev SYS_pwritev2 SYS_read
    SYS_readahead SYS_readlinkat SYS_readv SYS_recvfrom SYS_recvmmsg SYS_recvmsg SYS_remap_file_pages SYS_removexattr
    SYS_renameat SYS_renameat2 SYS_restart_syscall SYS_rseq SYS_rt_sigaction SYS_rt_sigpending SYS_rt_sigprocmask
    SYS_rt_sigqueueinfo SYS_rt_sigreturn SYS_rt_sigsuspend SYS_rt_sigtimedwait SYS_rt_tgsigqueueinfo
    SYS_sched_getaffinity SYS_sched_getattr SYS_sched_getparam SYS_sched_get_priority_max SYS_sched_get_priority_min
    SYS_sched_getscheduler SYS_sched_rr_get_interval SYS_sched_setaffinity SYS_sched_setattr SYS_sched_setparam
    SYS_sched_setscheduler SYS_sched_yield SYS_seccomp SYS_semctl SYS_semget SYS_semop SYS_semtimedop SYS_sendfile
    SYS_sendmmsg SYS_sendmsg SYS_sendto SYS_setfsgid SYS_setfsuid SYS_setgid SYS_setgroups SYS_setitimer
    SYS_set_mempolicy SYS_set_mempolicy_home_node SYS_setpgid SYS_setpriority SYS_setregid SYS_setresgid SYS_setresuid
    SYS_setreuid SYS_setrlimit SYS_set_robust_list SYS_setsid SYS_setsockopt SYS_set_tid_address SYS_setuid SYS_setxattr
    SYS_shmat SYS_shmctl SYS_shmdt SYS_shmget SYS_shutdown SYS_sigaltstack SYS_signalfd4 SYS_socketpair SYS_splice
    SYS_statfs SYS_statx SYS_symlinkat SYS_sync SYS_sync_file_range SYS_syncfs SYS_sysinfo SYS_tee SYS_tgkill
    SYS_timer_create SYS_timer_delete SYS_timerfd_create SYS_timerfd_gettime SYS_timerfd_settime SYS_timer_getoverrun
    SYS_timer_gettime SYS_timer_settime SYS_times SYS_tkill SYS_truncate SYS_umask SYS_uname SYS_unlinkat SYS_utimensat
    SYS_vmsplice SYS_wait4 SYS_waitid SYS_write SYS_writev
    // Debuggers: the kernel lets a process look only into those of its own user with no more capabilities.
    SYS_kcmp SYS_pidfd_getfd SYS_process_vm_readv SYS_process_vm_writev SYS_ptrace
);

/// What libc has no names for on every architecture.
const COMMON_BY_NUMBER: &[i64] = &[
    SYS_CACHESTAT,
    SYS_FCHMODAT2,
    SYS_MAP_SHADOW_STACK,
    SYS_FUTEX_WAKE,
    SYS_FUTEX_WAIT,
    SYS_FUTEX_REQUEUE,
    SYS_MSEAL,
    SYS_SETXATTRAT,
    SYS_GETXATTRAT,
    SYS_LISTXATTRAT,
    SYS_REMOVEXATTRAT,
    SYS_IO_PGETEVENTS,
];

/// The old calls that newer architectures never had.
#[cfg(target_arch = "x86_64")]
const OLD: &[i64] = numbers!(
    SYS_access SYS_alarm SYS_arch_prctl SYS_chmod SYS_chown SYS_creat SYS_dup2 SYS_epoll_create SYS_epoll_ctl_old
    SYS_epoll_wait SYS_epoll_wait_old SYS_eventfd SYS_fork SYS_futimesat SYS_getdents SYS_getpgrp SYS_get_thread_area
    SYS_inotify_init SYS_lchown SYS_link SYS_lstat SYS_mkdir SYS_mknod SYS_modify_ldt SYS_open SYS_pause SYS_pipe
    SYS_poll SYS_readlink SYS_rename SYS_rmdir SYS_select SYS_set_thread_area SYS_signalfd SYS_stat SYS_symlink SYS_time
    SYS_unlink SYS_utime SYS_utimes SYS_vfork
);
#[cfg(not(target_arch = "x86_64"))]
const OLD: &[i64] = &[];

/// What a capability is for.
const WITH: &[(Capability, &[i64])] = &[
    (Capability::DacReadSearch, numbers!(SYS_open_by_handle_at)),
    (
        Capability::SysAdmin,
        numbers!(
            SYS_bpf SYS_clone3 SYS_fanotify_init SYS_fsconfig SYS_fsmount SYS_fsopen SYS_fspick SYS_mount SYS_mount_setattr
            SYS_move_mount SYS_open_tree SYS_perf_event_open SYS_pivot_root SYS_quotactl SYS_quotactl_fd SYS_setdomainname
            SYS_sethostname SYS_setns SYS_syslog SYS_umount2 SYS_unshare SYS_vhangup
        ),
    ),
    (Capability::SysBoot, numbers!(SYS_reboot SYS_kexec_load)),
    (Capability::SysChroot, numbers!(SYS_chroot)),
    (Capability::SysModule, numbers!(SYS_delete_module SYS_finit_module SYS_init_module)),
    (Capability::SysNice, numbers!(SYS_migrate_pages SYS_move_pages)),
    (Capability::SysPacct, numbers!(SYS_acct)),
    #[cfg(target_arch = "x86_64")]
    (Capability::SysRawio, numbers!(SYS_ioperm SYS_iopl)),
    (Capability::SysTime, numbers!(SYS_clock_settime SYS_settimeofday)),
    (Capability::SysTtyConfig, numbers!(SYS_vhangup)),
    (Capability::Syslog, numbers!(SYS_syslog)),
    (Capability::Bpf, numbers!(SYS_bpf)),
    (Capability::Perfmon, numbers!(SYS_perf_event_open)),
];

/// The filter for a container that can have these capabilities at most.
pub fn filter(capabilities: Capabilities) -> Filter {
    let mut verdicts: Vec<(i64, Verdict)> =
        [COMMON, COMMON_BY_NUMBER, OLD].concat().into_iter().map(|number| (number, Verdict::Allow)).collect();
    // Its flags lie in memory, where a filter cannot look: libraries fall back to clone.
    verdicts.push((libc::SYS_clone3, Verdict::Fail(ENOSYS)));
    verdicts.push((libc::SYS_clone, Verdict::FailIfSet { argument: 0, bits: NAMESPACES, error: EPERM }));
    verdicts.push((libc::SYS_personality, Verdict::FailUnless { argument: 0, values: PERSONALITIES, error: EPERM }));
    // Sockets of the host's hypervisor know no namespaces.
    let vsock = libc::AF_VSOCK as u32;
    verdicts.push((libc::SYS_socket, Verdict::FailIfEqual { argument: 0, value: vsock, error: EPERM }));
    for (_, numbers) in WITH.iter().filter(|(capability, _)| capabilities.has(*capability)) {
        verdicts.extend(numbers.iter().map(|number| (*number, Verdict::Allow)));
    }
    if capabilities.has(Capability::SysAdmin) {
        verdicts.push((libc::SYS_clone, Verdict::Allow));
    }
    Filter::new(&verdicts, Verdict::Fail(EPERM), UNKNOWN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filter_fits_into_the_kernel_and_grows_with_capabilities() {
        let (least, most) = (filter(Capabilities::NONE), filter(Capabilities::ALL));
        assert!(least.len() < 256 && most.len() < 256, "{} {}", least.len(), most.len());
    }

    #[test]
    fn no_call_is_listed_twice_or_beyond_the_table() {
        let mut all = [COMMON, COMMON_BY_NUMBER, OLD].concat();
        assert!(all.iter().all(|number| *number < UNKNOWN));
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
    }
}
