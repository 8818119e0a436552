//! From a running container to a terminated one: waiting for its end, for a limit being broken, for the order to
//! destroy it; then ending everything it left, finding out how it ended, and removing its cgroups.

use crate::{
    Limitation, State, Termination,
    container::{Container, Live},
    engine::Engine,
    host,
    isolator::Watch,
    mutex::lock,
    reactor,
    record::Frame,
};
use kernel::{pidfd, procfs, signals};
use std::{
    future::poll_fn,
    os::fd::OwnedFd,
    sync::Arc,
    task::Poll,
    thread,
    time::{Duration, Instant},
};
use tokio::{
    io::{Interest, unix::AsyncFd},
    time::sleep,
};

/// A program's exit code above this may stand for something else.
const HIGHEST_PLAIN_CODE: i32 = 124;

/// Follows a container from running to terminated. Its record, and its place in the table, stay.
pub async fn watch(engine: Arc<Engine>, container: Arc<Container>) {
    let Some(live) = container.live.get() else { return };
    let limitation = match reactor::watch(live.pidfd.clone(), Interest::READABLE) {
        Ok(end) => watch_until_end(&engine, &container, live, &end).await,
        Err(error) => {
            tracing::warn!("Container '{}' cannot be watched ({error}) and is looked at again and again", container.id);
            poll_until_end(&engine, &container, live).await
        }
    };

    let nested = engine.close(&container);
    for other in &nested {
        other.doom();
    }
    for other in &nested {
        other.terminated().await;
    }
    let (job_engine, job_container) = (engine.clone(), container.clone());
    let finished = engine.workers.run(move || finish(&job_engine, &job_container, limitation)).await;
    let termination = finished.unwrap_or_default();
    container.state.send_replace(State::Terminated(termination));
}

async fn watch_until_end(
    engine: &Arc<Engine>,
    container: &Arc<Container>,
    live: &Live,
    end: &AsyncFd<Arc<OwnedFd>>,
) -> Option<Limitation> {
    let mut watches = engine.isolators.watch(container.subject(live));
    let mut limitation = None;
    if container.is_doomed() {
        kill(engine, container).await;
    }
    loop {
        tokio::select! {
            _ = end.readable() => return limitation,
            () = container.kill.notified() => kill(engine, container).await,
            broken = first(&mut watches), if limitation.is_none() => {
                limitation = Some(broken);
                container.doom();
            }
        }
    }
}

/// The first limit to be broken.
async fn first(watches: &mut [Watch<'_>]) -> Limitation {
    poll_fn(|context| {
        let ready = watches.iter_mut().find_map(|watch| match watch.as_mut().poll(context) {
            Poll::Ready(limitation) => Some(limitation),
            Poll::Pending => None,
        });
        ready.map_or(Poll::Pending, Poll::Ready)
    })
    .await
}

/// Where there are no descriptors left to wait with.
async fn poll_until_end(engine: &Arc<Engine>, container: &Arc<Container>, live: &Live) -> Option<Limitation> {
    while !pidfd::has_ended(&live.pidfd) {
        if container.is_doomed() {
            kill(engine, container).await;
        }
        sleep(Duration::from_millis(50)).await;
    }
    None
}

/// Kills everything in the container and below it; the ends are seen by their own tasks.
async fn kill(engine: &Arc<Engine>, container: &Arc<Container>) {
    for nested in engine.close(container) {
        nested.doom();
    }
    let (job_engine, job_container) = (engine.clone(), container.clone());
    engine
        .workers
        .run(move || {
            if let Some(live) = job_container.live.get() {
                kill_all(&job_engine, &job_container, live);
            }
        })
        .await;
}

/// The order matters without a PID namespace: what hangs below the first process is lost from sight when that dies.
fn kill_all(engine: &Engine, container: &Container, live: &Live) {
    if !live.setup.own_pid {
        kill_survivors(engine, container, live);
    }
    if let Err(error) = pidfd::signal(&live.pidfd, libc::SIGKILL)
        && error.raw_os_error() != Some(libc::ESRCH)
    {
        tracing::error!("Failed to kill container '{}': {error}", container.id);
    }
}

/// One round against the processes of a container that has no PID namespace. Answers whether any was there.
fn kill_survivors(engine: &Engine, container: &Container, live: &Live) -> bool {
    let used = live.used();
    if used.processes()
        && let Some(cgroups) = &engine.host.cgroups
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
        fresh.extend(host::processes_with(&marker_of(engine, container)).into_iter().filter(|pid| *pid != live.pid));
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

fn marker_of(engine: &Engine, container: &Container) -> String {
    let (name, value) = engine.marker(&container.id);
    format!("{name}={value}")
}

/// The first process has ended and nested containers are gone: the rest, in order.
fn finish(engine: &Engine, container: &Container, limitation: Option<Limitation>) -> Termination {
    let Some(live) = container.live.get() else { return Termination::default() };
    let reaped = pidfd::reap(&live.pidfd).unwrap_or_default();
    let termination = close_down(engine, container, live, reaped, limitation);
    if let Err(error) = container.note(&Frame::Termination(termination.clone())) {
        tracing::warn!("The end of container '{}' could not be recorded: {error}", container.id);
    }
    termination
}

/// Ends what survived, tells how it ended, removes the cgroups. `reaped` is the wait status of the first process.
fn close_down(
    engine: &Engine,
    container: &Container,
    live: &Live,
    reaped: Option<i32>,
    limitation: Option<Limitation>,
) -> Termination {
    let mut message = String::new();
    if !live.setup.own_pid {
        let deadline = Instant::now() + engine.config.destroy_timeout;
        let mut pause = Duration::from_millis(1);
        while kill_survivors(engine, container, live) {
            if Instant::now() > deadline {
                message = "Processes of the container survived SIGKILL".to_owned();
                if let Some(slot) = lock(&container.record).take() {
                    slot.discard();
                }
                tracing::error!("{message}: '{}'", container.id);
                engine.counters.add_destroy_error();
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

    let reason = limitation.or_else(|| engine.find_limitation(container));
    if let Some(cgroups) = &engine.host.cgroups
        && let Err(error) = cgroups.remove(&container.id, live.used())
    {
        tracing::warn!("Failed to remove the cgroups of container '{}': {error}", container.id);
        engine.counters.add_destroy_error();
    }
    engine.isolators.cleanup(&container.id);
    Termination { status, reason, message }
}
