//! Memory: a soft limit from the request, a hard one from the limit, and what is said when it is exceeded. Without
//! privilege it needs cgroups that the agent's user may write; else a container may use all the machine has.

use super::no_wish;
use crate::{
    ContainerId, LaunchError, Limitation, LimitationReason, Limits, Usage,
    cgroups::{Controller, Root, Version, read_pairs},
    isolator::{Ask, Isolator, Kind, Plan, Subject, Watch},
    reactor,
};
use kernel::files;
use std::{
    fs::File,
    io,
    os::fd::{AsRawFd, OwnedFd},
    path::Path,
    time::Duration,
};
use tokio::{
    io::{Interest, unix::AsyncFd},
    time::sleep,
};

/// How long a container lives before memory is watched in it. One that ends earlier, or says that a task of it has, is
/// asked then; most do, and are spared the cost.
const WATCH_AFTER: Duration = Duration::from_millis(250);
/// How often memory is asked for where the kernel does not tell.
const ASK_EVERY: Duration = Duration::from_secs(1);

pub const KIND: Kind = Kind {
    name: "cgroups/mem",
    wanted: |isolation| isolation.memory,
    limit: |limits| {
        let most = MemoryShape::new(limits).hard.filter(|bytes| *bytes != u64::MAX)?;
        Some(format!("at most {} of memory", mebibytes(most)))
    },
    wish: no_wish,
    make: |config, host| {
        Ok(Box::new(Memory {
            root: host.controller(Controller::Memory)?,
            limit_swap: config.limit_swap,
            machine_bytes: host.machine_bytes,
            may_lower_score: host.may_switch_user,
        }))
    },
};

#[derive(Debug)]
struct Memory {
    root: Root,
    /// Limits memory and swap together instead of memory alone (v1).
    limit_swap: bool,
    machine_bytes: u64,
    /// Only as root may a score be lowered below the agent's own.
    may_lower_score: bool,
}

impl Isolator for Memory {
    fn prepare(&self, ask: &Ask<'_>, plan: &mut Plan) -> Result<(), LaunchError> {
        plan.own_limits |= !ask.shares_cgroups;
        plan.oom_score_adj = oom_score_adj(&ask.spec.limits, self.machine_bytes).filter(|_| self.may_lower_score);
        Ok(())
    }

    fn isolate(&self, container: Subject<'_>, limits: &Limits) -> io::Result<()> {
        self.write(container, limits, true)
    }

    /// A hard limit only goes up.
    fn update(&self, container: Subject<'_>, limits: &Limits) -> io::Result<()> {
        self.write(container, limits, false)
    }

    fn watch<'a>(&'a self, container: Subject<'a>) -> Option<Watch<'a>> {
        let id = container.limited_by.filter(|_| container.cgroups.limits())?;
        Some(Box::pin(async move {
            sleep(WATCH_AFTER).await;
            let directory = self.root.directory(id);
            let mut source = self.source(&directory).unwrap_or(Source::Asking);
            while self.kills(&directory) == 0 {
                if source.something_happened().await {
                    break;
                }
            }
            self.limitation(id)
        }))
    }

    fn find_limitation(&self, container: Subject<'_>) -> Option<Limitation> {
        let id = container.limited_by?;
        (self.kills(&self.root.directory(id)) > 0).then(|| self.limitation(id))
    }

    fn usage(&self, container: Subject<'_>, usage: &mut Usage) {
        if let Some(directory) = container.limited_in(&self.root) {
            match self.root.version {
                Version::One => read_first(&directory, usage),
                Version::Two => read_second(&directory, usage),
            }
            usage.oom_kills = Some(self.kills(&directory));
        }
    }
}

impl Memory {
    fn write(&self, container: Subject<'_>, limits: &Limits, fresh: bool) -> io::Result<()> {
        let Some(directory) = container.limited_in(&self.root) else { return Ok(()) };
        match self.root.version {
            Version::One => write_first(&directory, MemoryShape::new(limits), self.limit_swap, fresh),
            Version::Two => write_second(&directory, MemoryShape::new(limits), fresh),
        }
    }

    /// How many processes of the container the kernel has killed for want of memory.
    fn kills(&self, directory: &Path) -> u64 {
        match self.root.version {
            Version::One => read_kills(&directory.join("memory.oom_control")).unwrap_or(0),
            // Nested containers with limits of their own answer for themselves. Before Linux 5.2 they cannot be told
            // apart.
            Version::Two => match read_kills(&directory.join("memory.events.local")) {
                Some(kills) => kills + read_kills(&self.root.leaf(directory).join("memory.events")).unwrap_or(0),
                None => read_kills(&directory.join("memory.events")).unwrap_or(0),
            },
        }
    }

    /// Where the kernel tells of kills.
    fn source(&self, directory: &Path) -> io::Result<Source> {
        match self.root.version {
            Version::One => {
                let counter = files::event_counter()?;
                let control = File::open(directory.join("memory.oom_control"))?;
                let registration = format!("{} {}", counter.as_raw_fd(), control.as_raw_fd());
                files::write_control(&directory.join("cgroup.event_control"), &registration)?;
                Ok(Source::Counter(reactor::watch(counter, Interest::READABLE)?))
            }
            Version::Two => {
                let mut file = File::open(directory.join("memory.events"))?;
                // An event counts from the last read.
                io::copy(&mut file, &mut io::sink())?;
                Ok(Source::Events(reactor::watch(file.into(), Interest::PRIORITY | Interest::ERROR)?))
            }
        }
    }

    /// What is said of a container that ran out of the memory its cgroups allow.
    fn limitation(&self, id: &ContainerId) -> Limitation {
        let directory = self.root.directory(id);
        let first = |names: [&str; 2]| names.iter().find_map(|name| files::read_number(&directory.join(name)).ok());
        let (limit, peak) = match self.root.version {
            Version::One => (first(["memory.limit_in_bytes"; 2]), first(["memory.max_usage_in_bytes"; 2])),
            Version::Two => (first(["memory.max"; 2]), first(["memory.peak", "memory.current"])),
        };
        let statistics = files::read_control(&directory.join("memory.stat")).unwrap_or_default();
        let statistics = statistics.split_ascii_whitespace().collect::<Vec<_>>().join(" ");
        let limitation = limitation(limit, peak);
        tracing::info!(container = %id, statistics, "{limitation}");
        limitation
    }
}

/// Tells that something has happened to the memory of a container.
enum Source {
    /// Becomes readable, and stays so.
    Counter(AsyncFd<OwnedFd>),
    /// Becomes exceptional.
    Events(AsyncFd<OwnedFd>),
    /// The kernel does not tell.
    Asking,
}

impl Source {
    /// Answers whether a process was killed for sure.
    async fn something_happened(&mut self) -> bool {
        match self {
            Source::Counter(counter) => match counter.readable().await {
                Ok(_) => return true,
                Err(_) => *self = Source::Asking,
            },
            Source::Events(events) => match events.ready(Interest::PRIORITY | Interest::ERROR).await {
                Ok(mut ready) => ready.clear_ready(),
                Err(_) => *self = Source::Asking,
            },
            Source::Asking => sleep(ASK_EVERY).await,
        }
        false
    }
}

fn read_kills(path: &Path) -> Option<u64> {
    let mut kills = None;
    read_pairs(path, |name, value| {
        if name == "oom_kill" {
            kills = Some(value);
        }
    });
    kills
}

fn write_first(directory: &Path, shape: MemoryShape, limit_swap: bool, fresh: bool) -> io::Result<()> {
    let number = |bytes: u64| if bytes == u64::MAX { "-1".to_owned() } else { bytes.to_string() };
    // Under a hard limit as low, a soft one says nothing.
    if let Some(soft) = shape.soft.filter(|soft| !fresh || shape.hard != Some(*soft)) {
        files::write_control(&directory.join("memory.soft_limit_in_bytes"), &number(soft))?;
    }
    let Some(hard) = shape.hard else { return Ok(()) };
    let file = directory.join("memory.limit_in_bytes");
    let with_swap = || match limit_swap {
        true => files::write_control(&directory.join("memory.memsw.limit_in_bytes"), &number(hard)),
        false => Ok(()),
    };
    // The limit of memory is never above that of both.
    if fresh {
        files::write_control(&file, &number(hard))?;
        with_swap()
    } else if hard > files::read_number(&file)? {
        with_swap()?;
        files::write_control(&file, &number(hard))
    } else {
        Ok(())
    }
}

fn write_second(directory: &Path, shape: MemoryShape, fresh: bool) -> io::Result<()> {
    let number = |bytes: u64| if bytes == u64::MAX { "max".to_owned() } else { bytes.to_string() };
    if let Some(soft) = shape.soft {
        files::write_control(&directory.join("memory.low"), &number(soft))?;
    }
    let Some(hard) = shape.hard else { return Ok(()) };
    let file = directory.join("memory.max");
    if fresh || hard > files::read_number(&file)? { files::write_control(&file, &number(hard)) } else { Ok(()) }
}

fn read_first(directory: &Path, usage: &mut Usage) {
    usage.mem_total_bytes = files::read_number(&directory.join("memory.usage_in_bytes")).ok();
    usage.mem_limit_bytes = files::read_number(&directory.join("memory.limit_in_bytes")).ok();
    usage.mem_soft_limit_bytes = files::read_number(&directory.join("memory.soft_limit_in_bytes")).ok();
    read_pairs(&directory.join("memory.stat"), |name, value| match name {
        "total_cache" => (usage.mem_cache_bytes, usage.mem_file_bytes) = (Some(value), Some(value)),
        "total_rss" => (usage.mem_rss_bytes, usage.mem_anon_bytes) = (Some(value), Some(value)),
        "total_mapped_file" => usage.mem_mapped_file_bytes = Some(value),
        "total_swap" => usage.mem_swap_bytes = Some(value),
        "total_unevictable" => usage.mem_unevictable_bytes = Some(value),
        _ => {}
    });
}

fn read_second(directory: &Path, usage: &mut Usage) {
    usage.mem_total_bytes = files::read_number(&directory.join("memory.current")).ok();
    usage.mem_limit_bytes = files::read_number(&directory.join("memory.max")).ok();
    usage.mem_soft_limit_bytes = files::read_number(&directory.join("memory.low")).ok();
    usage.mem_swap_bytes = files::read_number(&directory.join("memory.swap.current")).ok();
    read_pairs(&directory.join("memory.stat"), |name, value| match name {
        "anon" => (usage.mem_rss_bytes, usage.mem_anon_bytes) = (Some(value), Some(value)),
        "file" => (usage.mem_cache_bytes, usage.mem_file_bytes) = (Some(value), Some(value)),
        "file_mapped" => usage.mem_mapped_file_bytes = Some(value),
        "unevictable" => usage.mem_unevictable_bytes = Some(value),
        _ => {}
    });
}

/// No container lives with less.
const MIN_BYTES: u64 = 32 << 20;

/// What cgroups are told about memory; `u64::MAX` is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryShape {
    pub soft: Option<u64>,
    pub hard: Option<u64>,
}

impl MemoryShape {
    pub fn new(limits: &Limits) -> MemoryShape {
        let at_least = |bytes: u64| bytes.max(MIN_BYTES);
        MemoryShape { soft: limits.mem.map(at_least), hard: limits.mem_limit.or(limits.mem).map(at_least) }
    }
}

/// For a container that may use more than it requested: the less of the machine it requested, the sooner it goes.
fn oom_score_adj(limits: &Limits, machine_bytes: u64) -> Option<i32> {
    let (request, limit) = (limits.mem?, limits.mem_limit?);
    if limit <= request || machine_bytes == 0 {
        return None;
    }
    let share = (u128::from(request) * 1000 / u128::from(machine_bytes)).min(1000) as i32;
    Some((1000 - share).clamp(3, 999))
}

fn mebibytes(bytes: u64) -> String {
    format!("{} MiB", bytes.div_ceil(1 << 20))
}

/// The reason given for a container that ran out of memory, in one line.
fn limitation(limit: Option<u64>, peak: Option<u64>) -> Limitation {
    let message = match (peak, limit) {
        (Some(peak), Some(limit)) if limit != u64::MAX => {
            format!("Memory limit exceeded: used {} of {} allowed", mebibytes(peak), mebibytes(limit))
        }
        (Some(peak), _) => format!("The machine ran out of memory: used {}, which no limit forbids", mebibytes(peak)),
        (None, Some(limit)) if limit != u64::MAX => format!("Memory limit exceeded: {} allowed", mebibytes(limit)),
        (None, _) => "Memory limit exceeded".to_owned(),
    };
    Limitation { reason: LimitationReason::Memory, message, bytes: peak }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_limits_are_raised_and_missing_ones_left_alone() {
        let limits = Limits { mem: Some(1 << 20), mem_limit: Some(64 << 20), ..Limits::default() };
        assert_eq!(MemoryShape::new(&limits), MemoryShape { soft: Some(MIN_BYTES), hard: Some(64 << 20) });
        let limits = Limits { mem: Some(48 << 20), ..Limits::default() };
        assert_eq!(MemoryShape::new(&limits), MemoryShape { soft: Some(48 << 20), hard: Some(48 << 20) });
        assert_eq!(MemoryShape::new(&Limits::default()), MemoryShape { soft: None, hard: None });
    }

    #[test]
    fn only_a_burstable_container_gets_a_score() {
        let limits = |mem, mem_limit| Limits { mem: Some(mem), mem_limit, ..Limits::default() };
        assert_eq!(oom_score_adj(&limits(100, None), 1000), None);
        assert_eq!(oom_score_adj(&limits(100, Some(100)), 1000), None);
        assert_eq!(oom_score_adj(&limits(100, Some(200)), 1000), Some(900));
        assert_eq!(oom_score_adj(&limits(1000, Some(u64::MAX)), 1000), Some(3));
    }

    #[test]
    fn the_reason_says_in_one_line_what_was_used_and_allowed() {
        let told = limitation(Some(64 << 20), Some((95 << 20) + 1));
        assert_eq!(told.message, "Memory limit exceeded: used 96 MiB of 64 MiB allowed");
        assert_eq!(told.bytes, Some((95 << 20) + 1));
        for limitation in [limitation(None, None), limitation(Some(1), None), limitation(Some(u64::MAX), Some(1))] {
            assert_eq!(limitation.message.lines().count(), 1);
        }
    }

    #[test]
    fn a_hard_limit_goes_up_and_never_down() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let mem = |mebibytes: u64| MemoryShape::new(&Limits { mem: Some(mebibytes << 20), ..Limits::default() });
        std::fs::write(at("memory.soft_limit_in_bytes"), "").unwrap();
        std::fs::write(at("memory.low"), "").unwrap();
        for name in ["memory.limit_in_bytes", "memory.max"] {
            std::fs::write(at(name), (64u64 << 20).to_string()).unwrap();
        }
        for (wanted, found) in [(40, 64), (200, 200)] {
            write_first(directory.path(), mem(wanted), false, false).unwrap();
            write_second(directory.path(), mem(wanted), false).unwrap();
            for name in ["memory.limit_in_bytes", "memory.max"] {
                assert_eq!(files::read_number(&at(name)).unwrap(), found << 20, "{name}");
            }
        }
    }

    #[test]
    fn limits_are_written_in_the_words_of_v2() {
        let directory = tempfile::tempdir().unwrap();
        for name in ["memory.low", "memory.max"] {
            std::fs::write(directory.path().join(name), "0").unwrap();
        }
        let limits = Limits { mem: Some(64 << 20), mem_limit: Some(u64::MAX), ..Limits::default() };
        write_second(directory.path(), MemoryShape::new(&limits), true).unwrap();
        let read = |name: &str| std::fs::read_to_string(directory.path().join(name)).unwrap();
        assert!(read("memory.low").starts_with("67108864") && read("memory.max").starts_with("max"));
        assert_eq!(files::read_number(&directory.path().join("memory.max")).unwrap(), u64::MAX);
    }
}
