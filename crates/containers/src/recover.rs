//! A new agent and the containers of the one before: those that still run are held again by pidfd, checked against the
//! start time in their record; for those that ended meanwhile the end is told from the record.

use crate::{
    ContainerId, SetupError, State, Status, Termination,
    handle::{Container, Inner, Live},
    host,
    kernel::{credentials, pidfd, procfs},
    record::{self, Frame, Process, Record},
    supervise,
};
use std::{
    fs::{self, File},
    io,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
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
pub(crate) fn find(inner: &Arc<Inner>) -> Result<Vec<Arc<Container>>, SetupError> {
    let mut records = Vec::new();
    let root = inner.config.runtime_dir.join("containers");
    collect(&root, &mut records)
        .map_err(|source| SetupError::Io { what: format!("read '{}'", root.display()), source })?;
    records.sort_by(|a, b| a.launch.id.cmp(&b.launch.id));

    let mut containers: Vec<Arc<Container>> = Vec::new();
    let mut dead = Vec::new();
    for mut record in records {
        if record.process.is_none() && record.termination.is_none() {
            record = wait_for_name(inner, record);
        }
        let launch = &record.launch;
        let container = Container::new(
            launch.id.clone(),
            launch.sandbox.clone(),
            launch.tag.clone(),
            launch.limits,
            State::Terminated(Termination::default()),
        );
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
                let live = Live {
                    pid,
                    pidfd: Arc::new(pidfd),
                    setup: launch.setup,
                    limited_by,
                    record: Mutex::new(open_record(inner, &launch.id)?),
                };
                let _ = container.live.set(live);
                container.state.send_replace(State::Running);
            }
            None => dead.push((container.clone(), record)),
        }
        containers.push(container);
    }
    // What is nested goes before what holds it.
    for (container, record) in dead.into_iter().rev() {
        bury(inner, &container, &record)?;
    }
    Ok(containers)
}

fn collect(directory: &Path, records: &mut Vec<Record>) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        match Record::read(&path.join(record::FILE)) {
            Ok(record) => {
                records.push(record);
                let nested = path.join("containers");
                if nested.is_dir() {
                    collect(&nested, records)?;
                }
            }
            // Made, but nothing started yet when the agent ended.
            Err(error) => {
                tracing::warn!("Removing '{}', which holds no record of a container: {error}", path.display());
                let _ = fs::remove_dir_all(&path);
            }
        }
    }
    Ok(())
}

/// A launcher that was started a moment before the agent ended may be about to write down who it is.
fn wait_for_name(inner: &Inner, mut record: Record) -> Record {
    let (name, value) = Inner::marker(&record.launch.id);
    let path = inner.runtime_path(&record.launch.id).join(record::FILE);
    let deadline = Instant::now() + Duration::from_secs(1);
    while !host::processes_with(&format!("{name}={value}")).is_empty() && Instant::now() < deadline {
        match Record::read(&path) {
            Ok(read) if read.process.is_some() => return read,
            Ok(read) => record = read,
            Err(_) => break,
        }
        thread::sleep(Duration::from_millis(2));
    }
    record
}

fn open_record(inner: &Inner, id: &ContainerId) -> Result<File, SetupError> {
    let path = inner.runtime_path(id).join(record::FILE);
    File::options()
        .read(true)
        .append(true)
        .open(&path)
        .map_err(|source| SetupError::Io { what: format!("open '{}'", path.display()), source })
}

/// The process of a record, if it is still that one; it may have ended just now, which its watching finds out.
fn hold(process: Process) -> Option<(u32, OwnedFd)> {
    // The descriptor first: what it then turns out to be cannot change any more.
    let pidfd = pidfd::open(process.pid).ok()?;
    let stat = procfs::stat(process.pid).ok()?;
    (stat.start == process.start).then_some((process.pid, pidfd))
}

/// Removes what a container has left that ended while no agent looked.
fn bury(inner: &Arc<Inner>, container: &Container, record: &Record) -> Result<(), SetupError> {
    // A launcher that had not named itself yet carries the container's name from its first moment.
    let (name, value) = Inner::marker(&container.id);
    let marker = format!("{name}={value}");
    let deadline = Instant::now() + inner.config.destroy_timeout;
    let needs_search = record.process.is_none() || !record.launch.setup.own_pid;
    while needs_search && Instant::now() < deadline {
        let left = host::processes_with(&marker);
        if left.is_empty() {
            break;
        }
        for pid in left {
            let _ = credentials::kill(pid as i32, libc::SIGKILL);
        }
        thread::sleep(Duration::from_millis(2));
    }
    let used = record.launch.setup.cgroups;
    let mut termination =
        Termination { status: record.status, reason: None, message: record.failure.clone().unwrap_or_default() };
    if let Some(cgroups) = &inner.host.cgroups {
        while used.processes() && !cgroups.processes(&container.id, used).is_empty() && Instant::now() < deadline {
            let _ = cgroups.kill(&container.id, used);
            thread::sleep(Duration::from_millis(2));
        }
        if used.limits() && record.status != Some(0) && cgroups.oom_kills(&container.id) > 0 {
            termination.reason = Some(supervise::limitation_for(inner, &container.id));
        }
        if let Err(error) = cgroups.remove(&container.id, used) {
            tracing::warn!("Failed to remove the cgroups of container '{}': {error}", container.id);
        }
    }
    let mut file = open_record(inner, &container.id)?;
    let _ = record::append(&mut file, &Frame::Termination(termination.clone()));
    container.state.send_replace(State::Terminated(termination));
    Ok(())
}
