//! The handle the agent holds. What a call does is in `launch`, `supervise`, `recover` and `statistics`; here calls
//! find their container and wait for it.

use crate::{
    Config, ContainerId, Containerizer, Counts, Enforcement, Gap, LaunchError, LaunchSpec, Launched, Limitation,
    Limits, OpError, Recovered, Rlimit, SetupError, State, Status, Termination, Usage, VolumeLink,
    container::Container,
    containerizer::Answer,
    counts::Counters,
    engine::{Engine, below},
    fetcher::Fetcher,
    host,
    isolators::Isolators,
    launch,
    mutex::lock,
    record::Frame,
    recover, rotation, sandbox,
    shelf::Shelf,
    statistics, supervise,
    users::Users,
    workers::Workers,
    zygote::Zygote,
};
use kernel::{files, limits, pidfd};
use std::{
    fs::{self, File},
    io,
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{runtime::Handle, sync::oneshot};

/// All containers of one agent. Clones share them. When the last clone is dropped the containers run on, for a later
/// handle to recover.
#[derive(Clone, Debug)]
pub struct Containers {
    owner: Arc<Owner>,
}

/// Ends the watching when the last handle goes.
#[derive(Debug)]
struct Owner {
    engine: Arc<Engine>,
}

impl Drop for Owner {
    fn drop(&mut self) {
        for container in self.engine.table().values() {
            if let Some(task) = lock(&container.task).take() {
                task.abort();
            }
        }
    }
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
        let isolators = Isolators::new(&config, &host);
        let engine = Engine {
            fetcher: Fetcher::new(&config.fetcher)?,
            config,
            host,
            isolators,
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
        let engine = Arc::new(engine);
        rotation::start(&engine).map_err(io("start the thread that rotates output"))?;
        Ok((Containers { owner: Arc::new(Owner { engine }) }, complaints))
    }

    /// What of the agent's wish this host lets containers have.
    pub fn isolation(&self) -> crate::Isolation {
        self.engine().host.isolation
    }

    /// Each kind of isolation there is: at work, or why it is not.
    pub fn enforcements(&self) -> Vec<Enforcement> {
        self.engine().isolators.enforcements().to_vec()
    }

    pub fn counts(&self) -> Counts {
        let (fetch_cache_total, fetch_cache_used) = self.engine().fetcher.cache_bytes();
        Counts { fetch_cache_total, fetch_cache_used, ..self.engine().counters.now() }
    }

    pub(crate) fn engine(&self) -> &Arc<Engine> {
        &self.owner.engine
    }

    /// Fetches, isolates and starts. When the answer is dropped early the launch goes on; `destroy` ends it in any
    /// state.
    pub async fn launch(&self, spec: LaunchSpec) -> Result<Launched, LaunchError> {
        let engine = self.engine();
        let (id, sandbox, tag) = (spec.id.clone(), spec.sandbox.clone(), spec.tag.clone());
        let container = Container::new(id, sandbox, tag, spec.limits, State::Preparing);
        if let Some(parent) = container.id.parent().and_then(|parent| self.engine().find(&parent).ok()) {
            parent.started().await;
        }
        engine.enter(&container)?;
        let (reply, answer) = oneshot::channel();
        engine.spawn_life(&container, launch::live(engine.clone(), container.clone(), spec, reply));
        answer.await.unwrap_or(Err(LaunchError::Destroyed))
    }

    /// Waits until the container and every process it ever started are gone.
    pub async fn wait(&self, id: &ContainerId) -> Result<Termination, OpError> {
        Ok(self.engine().find(id)?.terminated().await)
    }

    /// Ends the container, the containers nested in it and all their processes, and waits for it. One that is
    /// terminated already gives its termination.
    pub async fn destroy(&self, id: &ContainerId) -> Result<Termination, OpError> {
        let container = self.engine().find(id)?;
        container.doom();
        Ok(container.terminated().await)
    }

    /// Sends `signal` to the container's program (to its process group, so that a shell's children get it too).
    pub fn signal(&self, id: &ContainerId, signal: i32) -> Result<(), OpError> {
        let container = self.engine().find(id)?;
        match container.running() {
            Some(live) => pidfd::signal(&live.pidfd, signal)
                .map_err(|source| OpError::Io { what: format!("send signal {signal} to '{id}'"), source }),
            None => Err(OpError::NotRunning(id.clone())),
        }
    }

    /// Changes what a container may use, once it runs. A hard memory limit is only ever raised. A container in its
    /// parent's cgroups has no limits of its own to change.
    pub async fn update(&self, id: &ContainerId, limits: Limits) -> Result<(), OpError> {
        let (engine, container) = (self.engine().clone(), self.engine().find(id)?);
        container.started().await;
        let id = id.clone();
        let done = self.engine().workers.run(move || {
            let Some(live) = container.running() else { return Err(OpError::NotRunning(id)) };
            engine
                .isolators
                .update(container.subject(live), &limits)
                .and_then(|()| container.note(&Frame::Limits(limits)))
                .map_err(|source| OpError::Io { what: format!("change the limits of '{id}'"), source })?;
            *lock(&container.limits) = limits;
            Ok(())
        });
        done.await.unwrap_or_else(|| Err(broken("change limits")))
    }

    /// Whether a running container has broken a limit, by what is counted at this moment: before the news that it is
    /// being ended for that. To be asked when a program in it says that something ended. Reads one small file.
    pub fn find_limitation(&self, id: &ContainerId) -> Option<Limitation> {
        let container = self.engine().find(id).ok()?;
        self.engine().find_limitation(&container)
    }

    /// What a running container asks for and does not get.
    pub fn gaps(&self, id: &ContainerId) -> Vec<Gap> {
        let engine = self.engine();
        engine.find(id).map(|container| engine.gaps(&container)).unwrap_or_default()
    }

    /// Lets a running container see more volumes in its sandbox.
    pub fn link_volumes(&self, id: &ContainerId, volumes: &[VolumeLink]) -> Result<(), OpError> {
        let container = self.engine().find(id)?;
        let open = || {
            let directory = match self.engine().trusted_above(id) {
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
        let (engine, container) = (self.engine().clone(), self.engine().find(id)?);
        let read = self.engine().workers.run(move || statistics::read(&engine, &container));
        read.await.unwrap_or_else(|| Err(broken("read the usage")))
    }

    pub fn status(&self, id: &ContainerId) -> Option<Status> {
        self.engine().table().get(id).map(|container| container.status())
    }

    /// All containers, parents before the containers nested in them.
    pub fn list(&self) -> Vec<Status> {
        self.engine().table().values().map(|container| container.status()).collect()
    }

    /// Forgets a terminated container and those nested in it. Until then its termination can be asked for, also after a
    /// restart of the agent.
    pub async fn remove(&self, id: &ContainerId) -> Result<(), OpError> {
        let mut table = self.engine().table();
        let container = table.get(id).ok_or_else(|| OpError::Unknown(id.clone()))?;
        if !matches!(*container.state.borrow(), State::Terminated(_)) {
            return Err(OpError::Running(id.clone()));
        }
        let mut gone = vec![id.clone()];
        gone.extend(below(&table, id).map(|(other, _)| other.clone()));
        let records: Vec<_> = gone.iter().filter_map(|id| lock(&table.remove(id)?.record).take()).collect();
        drop(table);
        records.into_iter().for_each(|record| self.engine().shelf.give_back(record));
        Ok(())
    }

    /// Finds the containers of an earlier agent again: those that run are waited for as if this agent had launched
    /// them, those that ended give their termination, and what such a one left behind is removed. To be called once,
    /// before anything is launched.
    pub async fn recover(&self) -> Result<Vec<Recovered>, SetupError> {
        let engine = self.engine().clone();
        let found = self.engine().workers.run(move || recover::find(&engine)).await;
        let found = found.unwrap_or_else(|| {
            let source = io::Error::other("the recovery broke off");
            Err(SetupError::Io { what: "recover containers".to_owned(), source })
        })?;
        let engine = self.engine();
        for container in found {
            let mut table = engine.table();
            if table.contains_key(&container.id) {
                continue;
            }
            table.insert(container.id.clone(), container.clone());
            drop(table);
            if container.live.get().is_some() {
                engine.spawn_life(&container, supervise::watch(engine.clone(), container.clone()));
            }
        }
        // What lost its parent while no agent looked follows it.
        let table = engine.table();
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

impl Containerizer for Containers {
    fn enforcements(&self) -> Vec<Enforcement> {
        self.enforcements()
    }

    fn recover(&self) -> Answer<'_, Result<Vec<Recovered>, SetupError>> {
        Box::pin(self.recover())
    }

    fn launch(&self, spec: LaunchSpec) -> Answer<'_, Result<Launched, LaunchError>> {
        Box::pin(self.launch(spec))
    }

    fn update(&self, id: ContainerId, limits: Limits) -> Answer<'_, Result<(), OpError>> {
        Box::pin(async move { self.update(&id, limits).await })
    }

    fn link_volumes(&self, id: &ContainerId, volumes: &[VolumeLink]) -> Result<(), OpError> {
        self.link_volumes(id, volumes)
    }

    fn usage(&self, id: ContainerId) -> Answer<'_, Result<Usage, OpError>> {
        Box::pin(async move { self.usage(&id).await })
    }

    fn status(&self, id: &ContainerId) -> Option<Status> {
        self.status(id)
    }

    fn gaps(&self, id: &ContainerId) -> Vec<Gap> {
        self.gaps(id)
    }

    fn find_limitation(&self, id: &ContainerId) -> Option<Limitation> {
        self.find_limitation(id)
    }

    fn signal(&self, id: &ContainerId, signal: i32) -> Result<(), OpError> {
        self.signal(id, signal)
    }

    fn wait(&self, id: ContainerId) -> Answer<'_, Result<Termination, OpError>> {
        Box::pin(async move { self.wait(&id).await })
    }

    fn destroy(&self, id: ContainerId) -> Answer<'_, Result<Termination, OpError>> {
        Box::pin(async move { self.destroy(&id).await })
    }

    fn remove(&self, id: ContainerId) -> Answer<'_, Result<(), OpError>> {
        Box::pin(async move { self.remove(&id).await })
    }

    fn counts(&self) -> Counts {
        self.counts()
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
    let taken = || {
        let path = runtime_dir.display();
        format!("Another agent uses the runtime directory '{path}'. End it, or give this agent another --runtime_dir.")
    };
    files::lock_soon(&file, Duration::from_secs(1)).map_err(|_| SetupError::Impossible(taken()))?;
    Ok(file)
}

fn broken(what: &str) -> OpError {
    OpError::Io { what: what.to_owned(), source: io::Error::other("the work broke off") }
}
