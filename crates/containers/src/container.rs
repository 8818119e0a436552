//! One container as the agent holds it, from the call that launches it until it is removed.

use crate::{
    ContainerId, Gap, Limits, Termination,
    isolator::Subject,
    mutex::lock,
    record::{CgroupUse, Frame, Setup},
    shelf::Slot,
};
use std::{
    io,
    os::fd::OwnedFd,
    path::PathBuf,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};
use tokio::{
    sync::{Notify, watch},
    task::AbortHandle,
};

/// Where a container is in its life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    Preparing,
    Fetching,
    Running,
    Destroying,
    Terminated(Termination),
}

/// One container as `list` and `status` tell it.
#[derive(Clone, Debug, PartialEq)]
pub struct Status {
    pub id: ContainerId,
    pub state: State,
    /// The first process, as the agent sees it.
    pub pid: Option<u32>,
    pub sandbox: PathBuf,
    pub tag: String,
    pub limits: Limits,
}

#[derive(Debug)]
pub struct Container {
    pub id: ContainerId,
    pub sandbox: PathBuf,
    pub tag: String,
    pub limits: Mutex<Limits>,
    pub state: watch::Sender<State>,
    /// Someone wants it gone; set before `kill` is told.
    pub doomed: AtomicBool,
    pub kill: Notify,
    /// Known once it runs.
    pub live: OnceLock<Live>,
    /// Its record, from the launch until it is removed.
    pub record: Mutex<Option<Slot>>,
    pub task: Mutex<Option<AbortHandle>>,
}

/// A container that was started.
#[derive(Debug)]
pub struct Live {
    pub pid: u32,
    pub pidfd: Arc<OwnedFd>,
    pub setup: Setup,
    /// Whose cgroups limit it: its own, those of an ancestor, or nobody's.
    pub limited_by: Option<ContainerId>,
    /// What it asked for beside limits and has not got.
    pub gaps: Vec<Gap>,
}

impl Live {
    pub fn used(&self) -> CgroupUse {
        self.setup.cgroups
    }
}

impl Container {
    pub fn new(id: ContainerId, sandbox: PathBuf, tag: String, limits: Limits, state: State) -> Arc<Container> {
        Arc::new(Container {
            id,
            sandbox,
            tag,
            limits: Mutex::new(limits),
            state: watch::Sender::new(state),
            doomed: AtomicBool::new(false),
            kill: Notify::new(),
            live: OnceLock::new(),
            record: Mutex::new(None),
            task: Mutex::new(None),
        })
    }

    pub fn is_doomed(&self) -> bool {
        self.doomed.load(Ordering::Acquire)
    }

    pub fn doom(&self) {
        self.doomed.store(true, Ordering::Release);
        self.kill.notify_one();
    }

    pub fn is_running(&self) -> bool {
        *self.state.borrow() == State::Running
    }

    /// What it is, if it runs.
    pub fn running(&self) -> Option<&Live> {
        self.live.get().filter(|_| self.is_running())
    }

    /// As isolators see it once it was started.
    pub fn subject<'a>(&'a self, live: &'a Live) -> Subject<'a> {
        let Live { setup, limited_by, .. } = live;
        Subject { id: &self.id, sandbox: &self.sandbox, cgroups: setup.cgroups, limited_by: limited_by.as_ref() }
    }

    /// Waits until the launch has gone well or not. A program may ask for nested containers, and be given work, before
    /// the news of its own start has come through.
    pub async fn started(&self) {
        let mut state = self.state.subscribe();
        let _ = state.wait_for(|state| !matches!(state, State::Preparing | State::Fetching)).await;
    }

    pub async fn terminated(&self) -> Termination {
        let mut state = self.state.subscribe();
        let found = state.wait_for(|state| matches!(state, State::Terminated(_))).await;
        match found.as_deref() {
            Ok(State::Terminated(termination)) => termination.clone(),
            _ => Termination::default(),
        }
    }

    /// Appends to the record.
    pub fn note(&self, frame: &Frame) -> io::Result<()> {
        lock(&self.record).as_mut().map_or(Ok(()), |slot| slot.append(frame))
    }

    pub fn status(&self) -> Status {
        Status {
            id: self.id.clone(),
            state: self.state.borrow().clone(),
            pid: self.live.get().map(|live| live.pid),
            sandbox: self.sandbox.clone(),
            tag: self.tag.clone(),
            limits: *lock(&self.limits),
        }
    }
}
