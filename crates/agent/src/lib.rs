//! An agent as a program: flags, wiring, the loop. Knows which adapter carries out which effect; decides nothing.
//!
//! `start` brings up an agent inside a running runtime, for `meseta agent` and `meseta dev`. `flags` and `settings`
//! read what the operator wants, `runtime` is the loop, `traffic` what goes in and out of it, `world` what takes time,
//! `http` the endpoints, `reads` what they show.

mod access;
mod authentication;
mod fence;
pub mod flags;
mod http;
mod isolation;
mod passage;
mod reach;
mod reads;
mod runtime;
mod settings;
mod traffic;
mod world;

use std::{collections::BTreeSet, io, net::SocketAddr, path::Path, sync::Arc};

use agent_core::{Agent, Event, Record, RecoveredState, recording::Beginning};
use containers::{Containers, Recovered};
use coordination::{Detected, Detector};
use endpoints::Common;
use journal::{Journal, JournalError, Opened};
use observe::{files::Files, flight::Flight, metrics};
use proto::{
    upid::Upid,
    v1::{MasterInfo, agent_info::Capability},
};
use stdx::flags::Values;
use tokio::task::JoinHandle;
use transport::{
    Node, Server, inbox,
    libprocess::{NodeConfig, senders::Senders},
};

use crate::{
    access::Access,
    fence::Fence,
    http::{About, Endpoints},
    runtime::Loop,
    settings::{MasterAt, Settings},
    traffic::Inbox,
    world::{Sandboxes, World},
};

/// An agent at work.
pub struct Running {
    /// Where it listens.
    pub address: SocketAddr,
    inbox: Inbox,
    ended: JoinHandle<(u8, String)>,
    _server: transport::Running,
}

impl Running {
    /// Waits until the agent is done; its exit code and the reason come back.
    pub async fn ended(&mut self) -> (u8, String) {
        (&mut self.ended).await.unwrap_or_else(|error| (1, error.to_string()))
    }

    /// Unregisters and ends every executor; `ended` tells when that is done.
    pub async fn shut_down(&self, why: &str) {
        self.inbox.put(Event::Shutdown { why: why.to_owned() }).await;
    }
}

/// Starts an agent on the current (multi-threaded) runtime. `log_file` becomes readable as `/slave/log`.
pub async fn start(values: Values, log_file: Option<&Path>) -> Result<Running, String> {
    let settings = Settings::new(values)?;
    let listen = settings.listen;
    let server = Server::bind(listen, endpoints::serving::limits(&settings.values)?)
        .await
        .map_err(|e| format!("cannot listen on {listen}: {e}; choose another address with --ip and --port"))?;
    let address = server.local_addr().map_err(|e| e.to_string())?;
    let mut config = settings.core(address.port())?;
    let advertised = SocketAddr::new(
        config.upid.host.parse().map_err(|_| format!("'{}' is not an IP address", config.upid.host))?,
        config.upid.port,
    );

    let (inbox, arrivals) = inbox::inbox(endpoints::serving::bounds(&settings.values));
    let (journal, records) = open_journal(&settings, inbox.clone())?;
    let (containers, not_isolated) = Containers::new(containers_config(&settings)).map_err(|e| e.to_string())?;
    for sentence in &not_isolated {
        tracing::warn!("{sentence}");
    }
    let (isolation, enforcements) = (containers.isolation(), containers.enforcements());
    if isolation.ipc_namespace && isolation.mount_namespace {
        [("--work_dir", &settings.work_dir), ("--runtime_dir", &settings.runtime_dir)]
            .iter()
            .try_for_each(|(flag, path)| look_at_shared_memory(flag, path))?;
    }
    (config.cpu_limits, config.mem_limits) = (isolation.cpu, isolation.memory);
    let seed = stdx::rng::system_seed();
    let beginning = || Beginning { seed, config: config.clone(), journal: records.clone() }.encode();
    let flight = Flight::open(settings.values.text("flight_recorder"), beginning)?;
    let state = agent_core::replay(records);
    let recovering = std::time::Instant::now();
    let server = match &config.domain_socket {
        Some(path) => server
            .also_at(Path::new(path))
            .map_err(|e| format!("cannot listen at {path}: {e}; choose another place with --domain_socket_location"))?,
        None => server,
    };
    look_at_passage(&settings, config.domain_socket.as_deref())?;
    let found = containers.recover().await.map_err(|e| format!("cannot recover containers: {e}"))?;
    let sandboxes = open_sandboxes(&settings, &config, &state, &found).await?;
    let known = settings.values.switch("identify_callers").then(|| containers.clone());
    let world = World::new(Arc::new(containers), sandboxes, inbox.clone());
    let recovered = Event::Recovered { state: Box::new(state), found: world.take_up(found), boot_id: boot_id() };

    let senders = endpoints::serving::senders(advertised)?;
    let server = server.knowing(senders.clone());
    let common = common(&settings, log_file, senders.clone());
    let (node, mut exits) = Node::new(NodeConfig { senders: Some(senders), ..NodeConfig::new(advertised) });
    let about = About {
        pid: config.upid.clone(),
        capabilities: config.capabilities.iter().map(|kind| Capability { r#type: Some(*kind as i32) }).collect(),
        started: stdx::clock::wall(),
        sandboxes: settings.work_dir.join("slaves"),
        isolators: isolation::all(enforcements),
    };
    let credential = authentication::credential(&settings.values)?;
    let key = authentication::executor_key(&settings.values)?;
    let doors = authentication::doors(&settings.values)?;
    let access = Arc::new(Access::new(doors, key.clone(), known));
    let authenticatee = credential.map(|one| authentication::authenticatee(one, node.clone(), inbox.clone()));
    let core = Agent::new(config, seed);
    let fence = Fence::default();
    let core =
        Loop::new(core, journal, node, world.clone(), authenticatee.clone()).recorded_by(flight).signing_with(key);
    let ended = tokio::spawn(core.run(arrivals));
    inbox.put(recovered).await;
    // What a full disk leaves no time for goes now.
    world.measure_disk();
    common.metrics.gauge("slave/recovery_time_secs").set(recovering.elapsed().as_secs_f64());
    let shown_master = detect_master(settings.master.clone(), &inbox, fence.clone()).await;

    reach::watch(inbox.clone(), advertised, shown_master.clone());
    let to_loop = inbox.clone();
    tokio::spawn(async move {
        while let Some(peer) = exits.next().await {
            to_loop.put(Event::Exited { peer }).await;
        }
    });
    let running = server.serve(Endpoints::new(inbox.clone(), common, world, about, access, authenticatee, fence));
    tracing::info!(%address, master = shown_master, version = endpoints::OWN_VERSION, "the agent listens");
    Ok(Running { address, inbox, ended, _server: running })
}

/// Each container has a `/dev/shm` of its own, in which it would not find its sandbox.
fn look_at_shared_memory(flag: &str, path: &Path) -> Result<(), String> {
    if !path.starts_with("/dev/shm") {
        return Ok(());
    }
    Err(format!(
        "{flag}={}: containers have a /dev/shm of their own, so nothing of the agent's may lie there; choose another place \
         (mount a tmpfs for one in memory), or leave namespaces/ipc out of --isolation",
        path.display()
    ))
}

/// Users that tasks run as must come to their sandboxes, and to us.
fn look_at_passage(settings: &Settings, domain_socket: Option<&str>) -> Result<(), String> {
    if !settings.values.switch("switch_user") || !kernel::credentials::is_root() {
        return Ok(());
    }
    passage::open(&settings.runtime_dir)?;
    let socket = domain_socket.and_then(|path| passage::check("the agent's socket", Path::new(path)));
    for warning in
        [passage::check("the work directory's", &settings.work_dir.join("meta")), socket].into_iter().flatten()
    {
        tracing::warn!("{warning}");
    }
    Ok(())
}

/// Tells the core of the leading master, now and whenever it changes.
async fn detect_master(at: MasterAt, inbox: &Inbox, fence: Fence) -> String {
    let (place, session_timeout) = match at {
        MasterAt::Address(master) => {
            let shown = master.to_string();
            inbox.put(Event::MasterDetected { master: Some(master) }).await;
            return shown;
        }
        MasterAt::Place(place, session_timeout) => (place, session_timeout),
    };
    let shown = place.to_string();
    let mut detector = Detector::start(place, session_timeout);
    let inbox = inbox.clone();
    tokio::spawn(async move {
        loop {
            let detected = detector.leader.borrow_and_update().clone();
            match detected {
                Detected::Leader(leader) => {
                    let master = leader.as_deref().map(upid_of);
                    if let (Some(leader), Some(upid)) = (&leader, &master) {
                        fence.detected(upid, &leader.id);
                    }
                    inbox.put(Event::MasterDetected { master }).await;
                }
                Detected::Unknown(Some(why)) => tracing::warn!(why, "cannot find a master"),
                Detected::Unknown(None) => {}
            }
            if detector.leader.changed().await.is_err() {
                return;
            }
        }
    });
    shown
}

fn upid_of(info: &MasterInfo) -> Upid {
    if let Some(upid) = info.pid.as_deref().and_then(|pid| pid.parse().ok()) {
        return upid;
    }
    let ip = info.address.as_ref().and_then(|address| address.ip.clone());
    let ip = ip.unwrap_or_else(|| std::net::Ipv4Addr::from(info.ip.to_le_bytes()).to_string());
    Upid::new("master", ip, u16::try_from(info.port).unwrap_or_default())
}

/// Opens the journal and reads what it holds.
fn open_journal(settings: &Settings, inbox: Inbox) -> Result<(Journal, Vec<Record>), String> {
    let on_durable = Box::new(move |tickets: &[journal::Ticket], outcome: Result<(), &io::Error>| {
        for ticket in tickets.iter().copied() {
            let outcome = outcome.map_err(ToString::to_string);
            inbox.put_blocking(Event::Checkpointed { ticket, outcome });
        }
    });
    let path = settings.work_dir.join("meta/journal");
    let strict = settings.values.switch("strict");
    let options = journal::Options { durability: settings.durability()?, boot: boot_id(), strict };
    let Opened { journal, records, torn_bytes, damage } =
        Journal::open(&path, &options, on_durable).map_err(|error| match error {
            JournalError::Damaged { .. } => format!(
                "{error} (--no-strict): what stood there of frameworks, executors, tasks and status updates is then \
                 forgotten, and containers that nothing remembers are destroyed"
            ),
            other => other.to_string(),
        })?;
    if torn_bytes > 0 {
        tracing::warn!(torn_bytes, "the last write before the crash was torn; it was never reported as done");
    }
    for lost in damage {
        let aside = path.with_extension("damaged");
        tracing::error!(
            "the journal {} is damaged: {lost}; going on with the {} records that are whole (--no-strict). The damaged \
             file is kept as {}",
            path.display(),
            records.len(),
            aside.display(),
        );
    }
    let mut read = Vec::with_capacity(records.len());
    for bytes in records {
        match Record::from_bytes(&bytes) {
            Ok(record) => read.push(record),
            Err(error) if strict => {
                let path = path.display();
                return Err(format!("{path}: {error}; start with --no-strict to pass over it, or remove the file"));
            }
            Err(error) => tracing::warn!(%error, "passed over a checkpoint"),
        }
    }
    Ok((journal, read))
}

/// Before anything is written: on a full disk garbage makes room for it.
async fn open_sandboxes(
    settings: &Settings,
    config: &agent_core::Config,
    state: &RecoveredState,
    found: &[Recovered],
) -> Result<Sandboxes, String> {
    let known = state.containers().map(|container| container.root().to_string());
    let found = found.iter().filter_map(|container| container.id.path().first().cloned());
    let in_use: BTreeSet<String> = known.chain(found).collect();
    let (work_dir, config) = (settings.work_dir.clone(), config.clone());
    let open = move || Sandboxes::open(&work_dir, &in_use, |used| config.sandbox_age_max(used), stdx::clock::wall());
    let opened = tokio::task::spawn_blocking(open).await.map_err(|e| e.to_string())?;
    opened.map_err(|e| format!("cannot look after sandboxes: {e}"))
}

fn containers_config(settings: &Settings) -> containers::Config {
    let values = &settings.values;
    let mut config = containers::Config::new(&settings.runtime_dir);
    config.strict = values.switch("strict");
    config.cgroups_hierarchy = values.path("cgroups_hierarchy").unwrap_or(config.cgroups_hierarchy);
    config.cgroups_root = values.text("cgroups_root").unwrap_or("mesos").to_owned();
    config.destroy_timeout = values.duration("cgroups_destroy_timeout").unwrap_or(config.destroy_timeout);
    config.limit_swap = values.switch("cgroups_limit_swap");
    config.revocable_cpu_low_priority = values.switch("revocable_cpu_low_priority");
    config.launcher = settings.launcher;
    config.isolation = settings.isolation;
    config.pids_limit = values.integer("pids_limit").filter(|most| *most > 0);
    config.bounding_capabilities = settings.bounding_capabilities;
    config.effective_capabilities = settings.effective_capabilities;
    config.enforce_disk = values.switch("enforce_container_disk_quota");
    config.disk_interval = values.duration("container_disk_watch_interval").unwrap_or(config.disk_interval);
    config.allow_unconfined = values.switch("seccomp_allow_unconfined");
    config.enable_cfs = values.switch("cgroups_enable_cfs");
    config.switch_user = values.switch("switch_user");
    [config.stdout, config.stderr] = settings.rotations;
    config.fetcher = containers::FetcherConfig {
        stall_timeout: values.duration("fetcher_stall_timeout").unwrap_or(config.fetcher.stall_timeout),
        bytes_max: values.bytes("fetcher_max_size").unwrap_or(config.fetcher.bytes_max),
        frameworks_home: values.path("frameworks_home"),
        cache_dir: Some(values.path("fetcher_cache_dir").unwrap_or_else(|| settings.work_dir.join("fetch"))),
        cache_bytes: values.bytes("fetcher_cache_size").unwrap_or(config.fetcher.cache_bytes),
    };
    config
}

/// Sandboxes are readable under their real paths, which the state documents name.
fn common(settings: &Settings, log_file: Option<&Path>, senders: Arc<Senders>) -> Common {
    let files = Files::default();
    let sandboxes = settings.work_dir.join("slaves");
    files.attach(&sandboxes.to_string_lossy(), sandboxes.clone());
    if let Some(path) = log_file {
        files.attach("/slave/log", path.to_owned());
    }
    let metrics = Arc::new(metrics::Registry::default());
    observe::system::register(&metrics);
    Common { flags: Arc::new(settings.values.shown()), metrics, files, senders }
}

/// Which boot of the machine this is; containers do not survive into the next one.
fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|id| id.trim().to_owned()).unwrap_or_default()
}
