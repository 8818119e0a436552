//! From a running container to a terminated one: waiting for its end, for memory running out, for the order to destroy
//! it; then ending everything it left, finding out how it ended, and removing its cgroups.

use crate::{
    ContainerId, Limitation, Termination,
    cgroups::OomWatch,
    handle::{Container, Inner, Live, lock},
    host,
    isolators::memory,
    reactor,
    record::Frame,
};
use kernel::{pidfd, procfs, signals};
use std::{
    io,
    os::fd::OwnedFd,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};
use tokio::{
    io::{Interest, unix::AsyncFd},
    time::sleep,
};

/// How long a container lives before memory is watched in it. One that ends earlier, or says that a task of it has, is
/// asked then; most do, and are spared the cost.
const WATCH_MEMORY_AFTER: Duration = Duration::from_millis(250);
/// How often memory is asked for where the kernel does not tell.
const ASK_MEMORY_EVERY: Duration = Duration::from_secs(1);
/// A program's exit code above this may stand for something else.
const HIGHEST_PLAIN_CODE: i32 = 124;

/// Follows a container from running to terminated. Its record, and its place in the table, stay.
pub(crate) async fn watch(inner: Arc<Inner>, container: Arc<Container>) {
    let Some(live) = container.live.get() else { return };
    let limitation = match reactor::watch(live.pidfd.clone(), Interest::READABLE) {
        Ok(end) => watch_until_end(&inner, &container, live, &end).await,
        Err(error) => {
            tracing::warn!("Container '{}' cannot be watched ({error}) and is looked at again and again", container.id);
            poll_until_end(&inner, &container, live).await
        }
    };

    let nested = inner.close(&container);
    for other in &nested {
        other.doom();
    }
    for other in &nested {
        other.terminated().await;
    }
    let (job_inner, job_container) = (inner.clone(), container.clone());
    let finished = inner.workers.run(move || finish(&job_inner, &job_container, limitation)).await;
    let termination = finished.unwrap_or_default();
    container.state.send_replace(crate::State::Terminated(termination));
}

async fn watch_until_end(
    inner: &Arc<Inner>,
    container: &Arc<Container>,
    live: &Live,
    end: &AsyncFd<Arc<OwnedFd>>,
) -> Option<Limitation> {
    let mut memory = Memory::new(inner, live);
    let mut limitation = None;
    if container.is_doomed() {
        kill(inner, container).await;
    }
    loop {
        tokio::select! {
            _ = end.readable() => return limitation,
            () = container.kill.notified() => kill(inner, container).await,
            exceeded = memory.exceeded(), if limitation.is_none() => if exceeded {
                limitation = Some(limitation_of(inner, live));
                container.doom();
            },
        }
    }
}

/// Where there are no descriptors left to wait with.
async fn poll_until_end(inner: &Arc<Inner>, container: &Arc<Container>, live: &Live) -> Option<Limitation> {
    while !pidfd::has_ended(&live.pidfd) {
        if container.is_doomed() {
            kill(inner, container).await;
        }
        sleep(Duration::from_millis(50)).await;
    }
    None
}

/// Kills everything in the container and below it; the ends are seen by their own tasks.
async fn kill(inner: &Arc<Inner>, container: &Arc<Container>) {
    for nested in inner.close(container) {
        nested.doom();
    }
    let (job_inner, job_container) = (inner.clone(), container.clone());
    inner
        .workers
        .run(move || {
            if let Some(live) = job_container.live.get() {
                kill_all(&job_inner, &job_container, live);
            }
        })
        .await;
}

/// The order matters without a PID namespace: what hangs below the first process is lost from sight when that dies.
fn kill_all(inner: &Inner, container: &Container, live: &Live) {
    if !live.setup.own_pid {
        kill_survivors(inner, container, live);
    }
    if let Err(error) = pidfd::signal(&live.pidfd, libc::SIGKILL)
        && error.raw_os_error() != Some(libc::ESRCH)
    {
        tracing::error!("Failed to kill container '{}': {error}", container.id);
    }
}

/// One round against the processes of a container that has no PID namespace. Answers whether any was there.
fn kill_survivors(inner: &Inner, container: &Container, live: &Live) -> bool {
    let used = live.used();
    if used.processes()
        && let Some(cgroups) = &inner.host.cgroups
    {
        let pids = cgroups.processes(&container.id, used);
        if !pids.is_empty()
            && let Err(error) = cgroups.kill(&container.id, used)
        {
            tracing::error!("Failed to kill the processes of container '{}': {error}", container.id);
        }
        return !pids.is_empty();
    }

    // Stopped first, parents before children, so that none forks while the rest is looked for.
    let mut pids: Vec<u32> = Vec::new();
    loop {
        let all = procfs::all_stats();
        let mut below = if pidfd::has_ended(&live.pidfd) { Vec::new() } else { procfs::descendants(live.pid, &all) };
        for known in &pids {
            below.extend(procfs::descendants(*known, &all));
        }
        let mut fresh: Vec<u32> = below.iter().filter(|stat| stat.state != b'Z').map(|stat| stat.pid).collect();
        fresh.extend(host::processes_with(&marker_of(inner, container)).into_iter().filter(|pid| *pid != live.pid));
        fresh.retain(|pid| !pids.contains(pid));
        fresh.sort_unstable();
        fresh.dedup();
        if fresh.is_empty() {
            break;
        }
        for pid in fresh {
            let _ = signals::send(pid as i32, libc::SIGSTOP);
            pids.push(pid);
        }
    }
    for pid in &pids {
        let _ = signals::send(*pid as i32, libc::SIGKILL);
    }
    !pids.is_empty()
}

fn marker_of(inner: &Inner, container: &Container) -> String {
    let (name, value) = inner.marker(&container.id);
    format!("{name}={value}")
}

/// The first process has ended and nested containers are gone: the rest, in order.
fn finish(inner: &Inner, container: &Container, limitation: Option<Limitation>) -> Termination {
    let Some(live) = container.live.get() else { return Termination::default() };
    let reaped = pidfd::reap(&live.pidfd).unwrap_or_default();
    let termination = close_down(inner, container, live, reaped, limitation);
    if let Err(error) = container.note(&Frame::Termination(termination.clone())) {
        tracing::warn!("The end of container '{}' could not be recorded: {error}", container.id);
    }
    termination
}

/// Ends what survived, tells how it ended, removes the cgroups. `reaped` is the wait status of the first process.
fn close_down(
    inner: &Inner,
    container: &Container,
    live: &Live,
    reaped: Option<i32>,
    limitation: Option<Limitation>,
) -> Termination {
    let mut message = String::new();
    if !live.setup.own_pid {
        let deadline = Instant::now() + inner.config.destroy_timeout;
        let mut pause = Duration::from_millis(1);
        while kill_survivors(inner, container, live) {
            if Instant::now() > deadline {
                message = "Processes of the container survived SIGKILL".to_owned();
                if let Some(slot) = lock(&container.record).take() {
                    slot.discard();
                }
                tracing::error!("{message}: '{}'", container.id);
                inner.counters.add_destroy_error();
                break;
            }
            thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(100));
        }
    }

    let mut status = reaped;
    let plain = reaped.is_some_and(|word| libc::WIFEXITED(word) && libc::WEXITSTATUS(word) <= HIGHEST_PLAIN_CODE);
    if !plain {
        let record = lock(&container.record).as_ref().map(|slot| slot.read());
        if let Some(Ok(record)) = record {
            status = record.status.or(status);
            message = record.failure.unwrap_or(message);
        }
        status = status.or_else(|| pidfd::exit_status(&live.pidfd));
    }

    let mut reason = limitation;
    let used = live.used();
    if let Some(cgroups) = &inner.host.cgroups {
        if reason.is_none() {
            reason = ran_out(inner, container);
        }
        if let Err(error) = cgroups.remove(&container.id, used) {
            tracing::warn!("Failed to remove the cgroups of container '{}': {error}", container.id);
            inner.counters.add_destroy_error();
        }
    }
    Termination { status, reason, message }
}

/// Whether the kernel has killed for want of memory in the container's cgroups, or in those of the ancestor that it
/// shares; then that ancestor, all of it, is to end.
pub(crate) fn ran_out(inner: &Inner, container: &Container) -> Option<Limitation> {
    let owner = container.live.get()?.limited_by.as_ref().filter(|_| inner.host.isolation.memory)?;
    if inner.host.cgroups.as_ref()?.oom_kills(owner) == 0 {
        return None;
    }
    if let Ok(owner) = inner.find(owner) {
        owner.doom();
    }
    Some(limitation_for(inner, owner))
}

fn limitation_of(inner: &Inner, live: &Live) -> Limitation {
    match &live.limited_by {
        Some(id) => limitation_for(inner, id),
        None => memory::limitation(None, None),
    }
}

/// What is said of a container that ran out of the memory its cgroups allow.
pub(crate) fn limitation_for(inner: &Inner, id: &ContainerId) -> Limitation {
    let report = inner.host.cgroups.as_ref().map(|cgroups| cgroups.memory_report(id));
    let (limit, peak, statistics) = report.unwrap_or_default();
    let limitation = memory::limitation(limit, peak);
    let statistics = statistics.split_ascii_whitespace().collect::<Vec<_>>().join(" ");
    tracing::info!(container = %id, statistics, "{limitation}");
    limitation
}

/// Tells when a container has run out of memory.
struct Memory<'a> {
    inner: &'a Inner,
    live: &'a Live,
    source: Source,
}

enum Source {
    /// No limit of its own.
    Never,
    /// Not looked at yet.
    Later,
    Counter(AsyncFd<OwnedFd>),
    Events(AsyncFd<OwnedFd>),
    Asking,
}

impl<'a> Memory<'a> {
    fn new(inner: &'a Inner, live: &'a Live) -> Memory<'a> {
        let limited = live.used().limits() && inner.host.isolation.memory;
        Memory { inner, live, source: if limited { Source::Later } else { Source::Never } }
    }

    /// Waits for something to happen; answers whether it was an excess. May be dropped and called again.
    async fn exceeded(&mut self) -> bool {
        match &self.source {
            Source::Never => std::future::pending().await,
            Source::Later => {
                sleep(WATCH_MEMORY_AFTER).await;
                self.source = self.open().unwrap_or(Source::Asking);
                self.has_kills()
            }
            Source::Counter(counter) => match counter.readable().await {
                // Stays readable: told once is enough.
                Ok(_) => true,
                Err(_) => {
                    self.source = Source::Asking;
                    false
                }
            },
            Source::Events(events) => {
                match events.ready(Interest::PRIORITY | Interest::ERROR).await {
                    Ok(mut ready) => ready.clear_ready(),
                    Err(_) => self.source = Source::Asking,
                }
                self.has_kills()
            }
            Source::Asking => {
                sleep(ASK_MEMORY_EVERY).await;
                self.has_kills()
            }
        }
    }

    fn open(&self) -> io::Result<Source> {
        let (Some(cgroups), Some(id)) = (&self.inner.host.cgroups, &self.live.limited_by) else {
            return Ok(Source::Never);
        };
        Ok(match cgroups.watch_oom(id)? {
            OomWatch::Counter(fd) => Source::Counter(reactor::watch(fd, Interest::READABLE)?),
            OomWatch::Events(fd) => Source::Events(reactor::watch(fd, Interest::PRIORITY | Interest::ERROR)?),
        })
    }

    fn has_kills(&self) -> bool {
        match (&self.inner.host.cgroups, &self.live.limited_by) {
            (Some(cgroups), Some(id)) => cgroups.oom_kills(id) > 0,
            _ => false,
        }
    }
}
