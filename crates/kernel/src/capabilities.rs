//! Capabilities: the parts that the power of root is cut into. Names, sets of them, and taking a set on.

use crate::check_long;
use std::{fmt, io, str::FromStr};

macro_rules! capabilities {
    ($($variant:ident $name:literal $number:literal,)*) => {
        /// One capability, by the kernel's number.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Capability {
            $($variant = $number),*
        }

        impl Capability {
            pub const EVERY: &[Capability] = &[$(Capability::$variant),*];

            /// As the kernel names it, without `CAP_`.
            pub fn name(self) -> &'static str {
                match self {
                    $(Capability::$variant => $name),*
                }
            }
        }
    };
}

capabilities! {
    Chown "CHOWN" 0,
    DacOverride "DAC_OVERRIDE" 1,
    DacReadSearch "DAC_READ_SEARCH" 2,
    Fowner "FOWNER" 3,
    Fsetid "FSETID" 4,
    Kill "KILL" 5,
    Setgid "SETGID" 6,
    Setuid "SETUID" 7,
    Setpcap "SETPCAP" 8,
    LinuxImmutable "LINUX_IMMUTABLE" 9,
    NetBindService "NET_BIND_SERVICE" 10,
    NetBroadcast "NET_BROADCAST" 11,
    NetAdmin "NET_ADMIN" 12,
    NetRaw "NET_RAW" 13,
    IpcLock "IPC_LOCK" 14,
    IpcOwner "IPC_OWNER" 15,
    SysModule "SYS_MODULE" 16,
    SysRawio "SYS_RAWIO" 17,
    SysChroot "SYS_CHROOT" 18,
    SysPtrace "SYS_PTRACE" 19,
    SysPacct "SYS_PACCT" 20,
    SysAdmin "SYS_ADMIN" 21,
    SysBoot "SYS_BOOT" 22,
    SysNice "SYS_NICE" 23,
    SysResource "SYS_RESOURCE" 24,
    SysTime "SYS_TIME" 25,
    SysTtyConfig "SYS_TTY_CONFIG" 26,
    Mknod "MKNOD" 27,
    Lease "LEASE" 28,
    AuditWrite "AUDIT_WRITE" 29,
    AuditControl "AUDIT_CONTROL" 30,
    Setfcap "SETFCAP" 31,
    MacOverride "MAC_OVERRIDE" 32,
    MacAdmin "MAC_ADMIN" 33,
    Syslog "SYSLOG" 34,
    WakeAlarm "WAKE_ALARM" 35,
    BlockSuspend "BLOCK_SUSPEND" 36,
    AuditRead "AUDIT_READ" 37,
    Perfmon "PERFMON" 38,
    Bpf "BPF" 39,
    CheckpointRestore "CHECKPOINT_RESTORE" 40,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no capability '{0}'")]
pub struct UnknownCapability(String);

impl FromStr for Capability {
    type Err = UnknownCapability;

    fn from_str(text: &str) -> Result<Capability, UnknownCapability> {
        let name = text.strip_prefix("CAP_").unwrap_or(text);
        let found = Capability::EVERY.iter().find(|capability| capability.name() == name);
        found.copied().ok_or_else(|| UnknownCapability(text.to_owned()))
    }
}

/// A set of capabilities, each by its bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Capabilities(pub u64);

impl Capabilities {
    pub const NONE: Capabilities = Capabilities(0);
    /// Also those that have no name here.
    pub const ALL: Capabilities = Capabilities(u64::MAX);

    pub const fn of(list: &[Capability]) -> Capabilities {
        let (mut bits, mut at) = (0, 0);
        while at < list.len() {
            bits |= 1 << list[at] as u8;
            at += 1;
        }
        Capabilities(bits)
    }

    pub fn has(self, capability: Capability) -> bool {
        self.0 & (1 << capability as u8) != 0
    }

    pub fn without(self, other: Capabilities) -> Capabilities {
        Capabilities(self.0 & !other.0)
    }

    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl fmt::Display for Capabilities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = Capability::EVERY.iter().filter(|one| self.has(**one)).map(|one| one.name());
        f.write_str(&names.collect::<Vec<_>>().join(", "))
    }
}

/// Which capabilities a program gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The most it, or what it executes, can ever have.
    pub bounding: Capabilities,
    /// What it starts with as root.
    pub effective: Capabilities,
    /// What it starts with as another user, and passes on.
    pub ambient: Capabilities,
}

/// Takes everything from the bounding set that `keep` lacks. Allocates nothing.
pub(crate) fn bound(keep: Capabilities) -> io::Result<()> {
    for number in 0..64 {
        if keep.0 & (1 << number) != 0 {
            continue;
        }
        // SAFETY: takes numbers only.
        match check_long(unsafe { libc::syscall(libc::SYS_prctl, libc::PR_CAPBSET_DROP, number, 0, 0, 0) }) {
            Ok(_) => {}
            // Beyond the last one that this kernel knows.
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => break,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Lets the calling thread keep what it may have when it stops being root. Allocates nothing.
pub(crate) fn keep_over_change_of_user() -> io::Result<()> {
    // SAFETY: takes numbers only.
    check_long(unsafe { libc::syscall(libc::SYS_prctl, libc::PR_SET_KEEPCAPS, 1, 0, 0, 0) }).map(drop)
}

/// Replaces the calling thread's own sets. Allocates nothing.
pub(crate) fn set(allowed: Capabilities, inheritable: Capabilities) -> io::Result<()> {
    const VERSION_3: u32 = 0x2008_0522;
    let header = [VERSION_3, 0];
    let half = |set: Capabilities, part: u32| (set.0 >> (32 * part)) as u32;
    let sets = [0, 1].map(|part| [half(allowed, part), half(allowed, part), half(inheritable, part)]);
    // SAFETY: version 3 has a header of two words and two sets of three, which the kernel only reads.
    check_long(unsafe { libc::syscall(libc::SYS_capset, header.as_ptr(), sets.as_ptr()) }).map(drop)
}

/// Passes capabilities on to what a thread that is not root executes. They must be inheritable. Allocates nothing.
pub(crate) fn make_ambient(set: Capabilities) -> io::Result<()> {
    for number in (0..64).filter(|number| set.0 & (1 << number) != 0) {
        let raise = libc::PR_CAP_AMBIENT_RAISE;
        // SAFETY: takes numbers only.
        check_long(unsafe { libc::syscall(libc::SYS_prctl, libc::PR_CAP_AMBIENT, raise, number, 0, 0) })?;
    }
    Ok(())
}

/// What the calling process may have at all now.
pub fn permitted() -> io::Result<Capabilities> {
    let text = std::fs::read_to_string("/proc/self/status")?;
    let line = text.lines().find_map(|line| line.strip_prefix("CapPrm:"));
    let bits = line.and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok());
    bits.map(Capabilities).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// Gives up every capability, in every set.
pub fn drop_all() -> io::Result<()> {
    set(Capabilities::NONE, Capabilities::NONE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_are_the_kernels() {
        for (place, capability) in Capability::EVERY.iter().enumerate() {
            assert_eq!(*capability as usize, place);
            assert_eq!(capability.name().parse(), Ok(*capability));
            assert_eq!(format!("CAP_{}", capability.name()).parse(), Ok(*capability));
        }
        assert!("SYS_GOD".parse::<Capability>().is_err());
        let set = Capabilities::of(&[Capability::Chown, Capability::CheckpointRestore]);
        assert_eq!((set.0, set.to_string().as_str()), (1 | 1 << 40, "CHOWN, CHECKPOINT_RESTORE"));
    }
}
