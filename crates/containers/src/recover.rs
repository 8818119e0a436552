//! A new agent and the containers of the one before: those that still run are held again by pidfd, checked against the
//! start time in their record; for those that ended meanwhile the end is told from the record.

use crate::{
    ContainerId, SetupError, State, Status, Termination,
    container::{Container, Live},
    engine::Engine,
    host,
    isolator::Subject,
    mutex::lock,
    record::{Frame, Process, Record},
    shelf::Slot,
};
use kernel::{pidfd, procfs, signals};
use std::{
    os::fd::OwnedFd,
    path::PathBuf,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

/// One container found by recovery.
#[derive(Clone, Debug, PartialEq)]
pub struct Recovered {
    pub id: ContainerId,
    pub sandbox: PathBuf,
    /// What the launch gave to keep.
    pub tag: String,
    pub pid: Option<u32>,
    /// Absent while it runs.
    pub termination: Option<Termination>,
}

impl From<Status> for Recovered {
    fn from(status: Status) -> Recovered {
        let termination = match status.state {
            State::Terminated(termination) => Some(termination),
            _ => None,
        };
        Recovered { id: status.id, sandbox: status.sandbox, tag: status.tag, pid: status.pid, termination }
    }
}

/// Reads all records. Parents come before the containers nested in them.
pub fn find(engine: &Arc<Engine>) -> Result<Vec<Arc<Container>>, SetupError> {
    let mut records = engine
        .shelf
        .scan(engine.config.strict)
        .map_err(|source| SetupError::Io { what: "read the records of earlier containers".to_owned(), source })?;
    records.sort_by(|(_, a), (_, b)| a.launch.id.cmp(&b.launch.id));

    let mut containers: Vec<Arc<Container>> = Vec::new();
    let mut dead = Vec::new();
    for (mut slot, mut record) in records {
        if record.process.is_none() && record.termination.is_none() {
            record = revoke(&mut slot, record);
        }
        let launch = &record.launch;
        let container = Container::new(
            launch.id.clone(),
            launch.sandbox.clone(),
            launch.tag.clone(),
            launch.limits,
            State::Terminated(Termination::default()),
        );
        *lock(&container.record) = Some(slot);
        if let Some(termination) = &record.termination {
            container.state.send_replace(State::Terminated(termination.clone()));
            containers.push(container);
            continue;
        }
        let limited_by = if launch.setup.cgroups.limits() {
            Some(launch.id.clone())
        } else {
            let parent = launch.id.parent();
            let parent = containers.iter().find(|other| Some(&other.id) == parent.as_ref());
            parent.and_then(|parent| parent.live.get()?.limited_by.clone())
        };
        match record.process.and_then(hold) {
            Some((pid, pidfd)) => {
                let (pidfd, gaps) = (Arc::new(pidfd), launch.gaps.clone());
                let live = Live { pid, pidfd, setup: launch.setup, limited_by, gaps };
                engine.isolators.recover(container.subject(&live), &launch.limits);
                let _ = container.live.set(live);
                container.state.send_replace(State::Running);
            }
            None => dead.push((container.clone(), record)),
        }
        containers.push(container);
    }
    // What is nested goes before what holds it.
    for (container, record) in dead.into_iter().rev() {
        bury(engine, &container, &record);
        if never_started(&record) {
            if let Some(slot) = lock(&container.record).take() {
                slot.discard();
            }
            containers.retain(|other| !Arc::ptr_eq(other, &container));
        }
    }
    Ok(containers)
}

/// A launcher that was started a moment before the agent ended may be about to begin: either it has named itself by
/// now, or it reads here that it must not go on.
fn revoke(slot: &mut Slot, record: Record) -> Record {
    if let Err(error) = slot.append(&Frame::Revoked) {
        tracing::error!("Container '{}' cannot be kept from starting: {error}", record.launch.id);
    }
    slot.read().unwrap_or(record)
}

/// Whether the launcher never came as far as its own name, so that nothing of the container has run.
fn never_started(record: &Record) -> bool {
    record.process.is_none() && record.status.is_none() && record.failure.is_none()
}

/// The process of a record, if it is still that one; it may have ended just now, which its watching finds out.
fn hold(process: Process) -> Option<(u32, OwnedFd)> {
    // The descriptor first: what it then turns out to be cannot change any more.
    let pidfd = pidfd::open(process.pid).ok()?;
    let stat = procfs::stat(process.pid).ok()?;
    (stat.start == process.start).then_some((process.pid, pidfd))
}

/// Removes what a container has left that ended while no agent looked.
fn bury(engine: &Arc<Engine>, container: &Container, record: &Record) {
    let deadline = Instant::now() + engine.config.destroy_timeout;
    let (name, value) = engine.marker(&container.id);
    let marker = format!("{name}={value}");
    while !record.launch.setup.own_pid && Instant::now() < deadline {
        let left = host::processes_with(&marker);
        if left.is_empty() {
            break;
        }
        for pid in left {
            let _ = signals::send(pid as i32, libc::SIGKILL);
        }
        thread::sleep(Duration::from_millis(2));
    }
    let used = record.launch.setup.cgroups;
    let mut termination =
        Termination { status: record.status, reason: None, message: record.failure.clone().unwrap_or_default() };
    if let Some(cgroups) = &engine.host.cgroups {
        while used.processes() && !cgroups.processes(&container.id, used).is_empty() && Instant::now() < deadline {
            let _ = cgroups.kill(&container.id, used);
            thread::sleep(Duration::from_millis(2));
        }
        let (id, sandbox) = (&container.id, &container.sandbox);
        let limited_by = used.limits().then_some(id);
        termination.reason = engine.isolators.find_limitation(Subject { id, sandbox, cgroups: used, limited_by });
        if let Err(error) = cgroups.remove(&container.id, used) {
            tracing::warn!("Failed to remove the cgroups of container '{}': {error}", container.id);
        }
    }
    if let Err(error) = container.note(&Frame::Termination(termination.clone())) {
        tracing::warn!("The end of container '{}' could not be recorded: {error}", container.id);
    }
    container.state.send_replace(State::Terminated(termination));
}
