//! The handle the agent holds, and the table of containers behind it. What a call does is in `launch`, `supervise`,
//! `recover` and `usage`; here calls find their container and wait for it.

use crate::{
    Config, ContainerId, LaunchError, LaunchSpec, Launched, Limitation, Limits, OpError, Recovered, Rlimit, SetupError,
    Termination, Usage, VolumeLink,
    cgroups::Shape,
    counts::{Counters, Counts},
    fetcher::Fetcher,
    host::{self, Host},
    isolators::{cpu::CpuShape, memory::MemoryShape},
    launch,
    launcher::zygote::MARKER,
    record::{CgroupUse, Frame, Setup},
    recover, rotation, sandbox,
    shelf::{Shelf, Slot},
    supervise, usage,
    users::Users,
    workers::Workers,
    zygote::Zygote,
};
use kernel::{files, limits, pidfd};
use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    ops::Bound,
    os::fd::OwnedFd,
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{
    runtime::Handle,
    sync::{Notify, oneshot, watch},
    task::AbortHandle,
};

/// All containers of one agent. Clones share them. When the last clone is dropped the containers run on, for a later
/// handle to recover.
#[derive(Clone, Debug)]
pub struct Containers {
    owner: Arc<Owner>,
}

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

/// Ends the watching when the last handle goes.
#[derive(Debug)]
struct Owner {
    inner: Arc<Inner>,
}

impl Drop for Owner {
    fn drop(&mut self) {
        for container in self.inner.table().values() {
            if let Some(task) = lock(&container.task).take() {
                task.abort();
            }
        }
    }
}

/// What all containers share.
#[derive(Debug)]
pub(crate) struct Inner {
    pub config: Config,
    pub host: Host,
    pub workers: Workers,
    pub users: Users,
    pub fetcher: Fetcher,
    pub zygote: Zygote,
    pub runtime: Handle,
    pub shelf: Shelf,
    pub counters: Counters,
    /// Names the runtime directory among all of this machine's.
    place: String,
    table: Mutex<Table>,
    /// Held as long as this handle takes charge of the runtime directory.
    _lock: File,
}

/// One container, from the call that launches it until it is removed.
#[derive(Debug)]
pub(crate) struct Container {
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
    task: Mutex<Option<AbortHandle>>,
}

/// A container that was started.
#[derive(Debug)]
pub(crate) struct Live {
    pub pid: u32,
    pub pidfd: Arc<OwnedFd>,
    pub setup: Setup,
    /// Whose cgroups limit it: its own, those of an ancestor, or nobody's.
    pub limited_by: Option<ContainerId>,
}

impl Live {
    pub fn used(&self) -> CgroupUse {
        self.setup.cgroups
    }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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

    /// Waits until the launch has gone well or not. A program may ask for nested containers, and be given work, before
    /// the news of its own start has come through.
    async fn started(&self) {
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

    fn status(&self) -> Status {
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

type Table = BTreeMap<ContainerId, Arc<Container>>;

/// The containers below one; in the table's order they follow it.
fn below<'a>(table: &'a Table, id: &'a ContainerId) -> impl Iterator<Item = (&'a ContainerId, &'a Arc<Container>)> {
    table.range((Bound::Excluded(id), Bound::Unbounded)).take_while(move |(other, _)| other.is_below(id))
}

impl Inner {
    pub fn table(&self) -> MutexGuard<'_, Table> {
        lock(&self.table)
    }

    pub fn find(&self, id: &ContainerId) -> Result<Arc<Container>, OpError> {
        self.table().get(id).cloned().ok_or_else(|| OpError::Unknown(id.clone()))
    }

    /// Enters a container to be launched; a nested one needs a running parent.
    fn enter(&self, container: &Arc<Container>) -> Result<(), LaunchError> {
        let mut table = self.table();
        if table.contains_key(&container.id) {
            return Err(LaunchError::Exists(container.id.clone()));
        }
        if let Some(parent) = container.id.parent()
            && !table.get(&parent).is_some_and(|parent| parent.is_running())
        {
            return Err(LaunchError::NoParent(container.id.clone()));
        }
        table.insert(container.id.clone(), container.clone());
        Ok(())
    }

    /// The sandbox of the root container above a nested one: what lies in it may be in the hands of a user.
    pub fn trusted_above(&self, id: &ContainerId) -> Option<PathBuf> {
        let root = id.path().first().filter(|_| id.is_nested())?;
        let root = self.find(&ContainerId::root(root).ok()?).ok()?;
        Some(root.sandbox.clone())
    }

    /// Marks a container as ending and gives those nested in it; from here on none can be added.
    pub fn close(&self, container: &Container) -> Vec<Arc<Container>> {
        let table = self.table();
        container.state.send_if_modified(|state| {
            let changes = matches!(state, State::Running);
            if changes {
                *state = State::Destroying;
            }
            changes
        });
        below(&table, &container.id).map(|(_, other)| other.clone()).collect()
    }

    pub fn shape(&self, limits: &Limits) -> Shape {
        Shape {
            cpu: CpuShape::new(limits, &self.config),
            memory: MemoryShape::new(limits),
            pids: self.config.pids_limit,
        }
    }

    /// The part of a container's environment that names it to whoever looks for its processes. Another agent's
    /// container may have the same id.
    pub fn marker(&self, id: &ContainerId) -> (String, String) {
        (MARKER.to_owned(), format!("{id}@{}", self.place))
    }
}

/// Starts `container`'s own task.
pub(crate) fn spawn_life(
    inner: &Arc<Inner>,
    container: &Arc<Container>,
    life: impl Future<Output = ()> + Send + 'static,
) {
    let mut slot = lock(&container.task);
    *slot = Some(inner.runtime.spawn(life).abort_handle());
}

impl Containers {
    /// Looks at the host and takes charge of `config.runtime_dir`. Must be called inside a tokio runtime. Lets this
    /// process open as many descriptors as it may. The second part of
    /// the answer says, one sentence each, what containers will not be isolated from on this host.
    pub fn new(config: Config) -> Result<(Containers, Vec<String>), SetupError> {
        let io = |what: &str| {
            let what = what.to_owned();
            move |source| SetupError::Io { what, source }
        };
        let runtime =
            Handle::try_current().map_err(|_| SetupError::Impossible("containers need a tokio runtime".to_owned()))?;
        let directory = config.runtime_dir.join("containers");
        let lost = format!("create the runtime directory '{}'", directory.display());
        let parents = fs::DirBuilder::new().recursive(true).mode(0o755).create(&config.runtime_dir);
        parents.map_err(io(&lost))?;
        let lock = take_charge(&config.runtime_dir)?;
        let place = fs::metadata(&config.runtime_dir).map_err(io(&lost))?;
        let place = format!("{:x}.{:x}", place.dev(), place.ino());
        let shelf = Shelf::open(directory).map_err(io(&lost))?;
        let host = host::probe(&config)?;
        let zygote = Zygote::start(&config, host.separates_mounts())
            .map_err(io(&format!("start '{}'", config.executable.path.display())))?;
        // Each container takes three descriptors here. The zygote remembers what containers are to get.
        if let Ok(limit) = limits::descriptors() {
            let _ = limits::set(&Rlimit { soft: limit.hard, ..limit });
        }
        let workers = Workers::start(config.workers).map_err(io("start the containers' threads"))?;
        let complaints = host.complaints.clone();
        let inner = Inner {
            fetcher: Fetcher::new(&config.fetcher)?,
            config,
            host,
            workers,
            users: Users::default(),
            zygote,
            runtime,
            shelf,
            counters: Counters::default(),
            place,
            table: Mutex::default(),
            _lock: lock,
        };
        let inner = Arc::new(inner);
        rotation::start(&inner).map_err(io("start the thread that rotates output"))?;
        Ok((Containers { owner: Arc::new(Owner { inner }) }, complaints))
    }

    /// What of the agent's wish this host lets containers have.
    pub fn isolation(&self) -> crate::Isolation {
        self.inner().host.isolation
    }

    pub fn counts(&self) -> Counts {
        let (fetch_cache_total, fetch_cache_used) = self.inner().fetcher.cache_bytes();
        Counts { fetch_cache_total, fetch_cache_used, ..self.inner().counters.now() }
    }

    pub(crate) fn inner(&self) -> &Arc<Inner> {
        &self.owner.inner
    }

    /// Fetches, isolates and starts. When the answer is dropped early the launch goes on; `destroy` ends it in any
    /// state.
    pub async fn launch(&self, spec: LaunchSpec) -> Result<Launched, LaunchError> {
        let inner = self.inner();
        let (id, sandbox, tag) = (spec.id.clone(), spec.sandbox.clone(), spec.tag.clone());
        let container = Container::new(id, sandbox, tag, spec.limits, State::Preparing);
        if let Some(parent) = container.id.parent().and_then(|parent| self.inner().find(&parent).ok()) {
            parent.started().await;
        }
        inner.enter(&container)?;
        let (reply, answer) = oneshot::channel();
        spawn_life(inner, &container, launch::live(inner.clone(), container.clone(), spec, reply));
        answer.await.unwrap_or(Err(LaunchError::Destroyed))
    }

    /// Waits until the container and every process it ever started are gone.
    pub async fn wait(&self, id: &ContainerId) -> Result<Termination, OpError> {
        Ok(self.inner().find(id)?.terminated().await)
    }

    /// Ends the container, the containers nested in it and all their processes, and waits for it. One that is
    /// terminated already gives its termination.
    pub async fn destroy(&self, id: &ContainerId) -> Result<Termination, OpError> {
        let container = self.inner().find(id)?;
        container.doom();
        Ok(container.terminated().await)
    }

    /// Sends `signal` to the container's program (to its process group, so that a shell's children get it too).
    pub fn signal(&self, id: &ContainerId, signal: i32) -> Result<(), OpError> {
        let container = self.inner().find(id)?;
        match container.live.get() {
            Some(live) if container.is_running() => pidfd::signal(&live.pidfd, signal)
                .map_err(|source| OpError::Io { what: format!("send signal {signal} to '{id}'"), source }),
            _ => Err(OpError::NotRunning(id.clone())),
        }
    }

    /// Changes what a container may use, once it runs. A hard memory limit is only ever raised. A container in its
    /// parent's cgroups has no limits of its own to change.
    pub async fn update(&self, id: &ContainerId, limits: Limits) -> Result<(), OpError> {
        let (inner, container) = (self.inner().clone(), self.inner().find(id)?);
        container.started().await;
        let id = id.clone();
        let done = self.inner().workers.run(move || {
            let Some(live) = container.live.get().filter(|_| container.is_running()) else {
                return Err(OpError::NotRunning(id));
            };
            if live.used().limits()
                && let Some(cgroups) = &inner.host.cgroups
            {
                cgroups
                    .update(&id, &inner.shape(&limits))
                    .and_then(|()| container.note(&Frame::Limits(limits)))
                    .map_err(|source| OpError::Io { what: format!("change the limits of '{id}'"), source })?;
            }
            *lock(&container.limits) = limits;
            Ok(())
        });
        done.await.unwrap_or_else(|| Err(broken("change limits")))
    }

    /// Whether memory has run out in a running container, by what the kernel counts at this moment: before the news
    /// that it is being ended for that. To be asked when a program in it says that something ended. Reads one small
    /// file.
    pub fn find_limitation(&self, id: &ContainerId) -> Option<Limitation> {
        let container = self.inner().find(id).ok()?;
        supervise::ran_out(self.inner(), &container)
    }

    /// Lets a running container see more volumes in its sandbox.
    pub fn link_volumes(&self, id: &ContainerId, volumes: &[VolumeLink]) -> Result<(), OpError> {
        let container = self.inner().find(id)?;
        let open = || {
            let directory = match self.inner().trusted_above(id) {
                Some(trusted) => sandbox::reopen(&container.sandbox, &trusted)?,
                None => files::open_directory(&container.sandbox)?,
            };
            let owner = sandbox::owner(&directory)?;
            io::Result::Ok((directory, owner))
        };
        let linked = open().and_then(|(directory, owner)| {
            volumes.iter().try_for_each(|volume| sandbox::link(&directory, volume, Some(owner)))
        });
        linked.map_err(|source| OpError::Io { what: format!("link volumes into the sandbox of '{id}'"), source })
    }

    pub async fn usage(&self, id: &ContainerId) -> Result<Usage, OpError> {
        let (inner, container) = (self.inner().clone(), self.inner().find(id)?);
        let read = self.inner().workers.run(move || usage::read(&inner, &container));
        read.await.unwrap_or_else(|| Err(broken("read the usage")))
    }

    pub fn status(&self, id: &ContainerId) -> Option<Status> {
        self.inner().table().get(id).map(|container| container.status())
    }

    /// All containers, parents before the containers nested in them.
    pub fn list(&self) -> Vec<Status> {
        self.inner().table().values().map(|container| container.status()).collect()
    }

    /// Forgets a terminated container and those nested in it. Until then its termination can be asked for, also after a
    /// restart of the agent.
    pub async fn remove(&self, id: &ContainerId) -> Result<(), OpError> {
        let mut table = self.inner().table();
        let container = table.get(id).ok_or_else(|| OpError::Unknown(id.clone()))?;
        if !matches!(*container.state.borrow(), State::Terminated(_)) {
            return Err(OpError::Running(id.clone()));
        }
        let mut gone = vec![id.clone()];
        gone.extend(below(&table, id).map(|(other, _)| other.clone()));
        let records: Vec<_> = gone.iter().filter_map(|id| lock(&table.remove(id)?.record).take()).collect();
        drop(table);
        records.into_iter().for_each(|record| self.inner().shelf.give_back(record));
        Ok(())
    }

    /// Finds the containers of an earlier agent again: those that run are waited for as if this agent had launched
    /// them, those that ended give their termination, and what such a one left behind is removed. To be called once,
    /// before anything is launched.
    pub async fn recover(&self) -> Result<Vec<Recovered>, SetupError> {
        let inner = self.inner().clone();
        let found = self.inner().workers.run(move || recover::find(&inner)).await;
        let found = found.unwrap_or_else(|| {
            let source = io::Error::other("the recovery broke off");
            Err(SetupError::Io { what: "recover containers".to_owned(), source })
        })?;
        let inner = self.inner();
        for container in found {
            let mut table = inner.table();
            if table.contains_key(&container.id) {
                continue;
            }
            table.insert(container.id.clone(), container.clone());
            drop(table);
            if container.live.get().is_some() {
                spawn_life(inner, &container, supervise::watch(inner.clone(), container.clone()));
            }
        }
        // What lost its parent while no agent looked follows it.
        let table = inner.table();
        for container in table.values().filter(|container| container.is_running()) {
            if let Some(parent) = container.id.parent()
                && !table.get(&parent).is_some_and(|parent| parent.is_running())
            {
                container.doom();
            }
        }
        drop(table);
        Ok(self.list().into_iter().map(Recovered::from).collect())
    }
}

/// Keeps two agents from the same directory. The one before may still be on its way out.
fn take_charge(runtime_dir: &Path) -> Result<File, SetupError> {
    let path = runtime_dir.join("lock");
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(&path)
        .map_err(|source| SetupError::Io { what: format!("open '{}'", path.display()), source })?;
    let deadline = Instant::now() + Duration::from_secs(1);
    while files::try_lock(&file).is_err() {
        if Instant::now() >= deadline {
            return Err(SetupError::Impossible(format!(
                "Another agent uses the runtime directory '{}'. End it, or give this agent another --runtime_dir.",
                runtime_dir.display()
            )));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(file)
}

fn broken(what: &str) -> OpError {
    OpError::Io { what: what.to_owned(), source: io::Error::other("the work broke off") }
}
