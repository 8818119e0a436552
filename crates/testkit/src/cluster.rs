//! A cluster of real processes: masters, agents, and where several masters meet the servers of a real store. On
//! loopback, or each on a host of a network of its own. Dropping it ends all of them, their executors and tasks, and
//! removes their cgroups and files.

use std::{
    path::{Path, PathBuf},
    process::ExitStatus,
    time::Duration,
};

use crate::{
    cgroups::Cgroups,
    http::{self, Answer},
    network::Host,
    processes::{self, wait_for},
    server::{self, Server},
    services::{self, Service, Settings, Site},
};

const PATIENCE: Duration = Duration::from_secs(30);

/// What cluster to start.
pub struct Options {
    pub masters: usize,
    /// Where several masters meet. Without it there is one master, by itself.
    pub store: Option<Store>,
    pub agents: usize,
    /// What each agent offers.
    pub resources: String,
    /// More flags for the masters, such as `--offer_timeout=1secs`.
    pub master_flags: Vec<String>,
    /// More flags for each agent.
    pub agent_flags: Vec<String>,
    /// More flags for the first agent, the second, and so on.
    pub flags_of_agents: Vec<Vec<String>>,
}

pub struct Store {
    pub kind: services::Kind,
    pub servers: usize,
    pub settings: Settings,
    /// After how long a silent master is taken for gone.
    pub session: Duration,
}

/// Where a cluster stands.
pub struct Ground {
    /// All files are below.
    pub home: tempfile::TempDir,
    /// A host a process, or none for loopback.
    pub stores: Vec<Host>,
    pub masters: Vec<Host>,
    pub agents: Vec<Host>,
}

pub struct Cluster {
    pub service: Option<Service>,
    pub masters: Vec<Server>,
    pub agents: Vec<Server>,
    /// None where the files are to stay.
    directory: Option<tempfile::TempDir>,
    home: PathBuf,
    options: Options,
    /// Go when everything else has.
    cgroups: Vec<Cgroups>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            masters: 1,
            store: None,
            agents: 1,
            resources: "cpus:8;mem:8192;disk:10000;ports:[31000-32000]".into(),
            master_flags: Vec::new(),
            agent_flags: Vec::new(),
            flags_of_agents: Vec::new(),
        }
    }
}

impl Options {
    /// The cluster that the conformance scripts expect: one agent, names as a local Apache Mesos shows them. What was
    /// declined is offered again soon, so that scripts need not wait.
    pub fn conformance() -> Options {
        Options {
            master_flags: vec!["--hostname=localhost".into(), "--allocation_interval=20ms".into()],
            agent_flags: vec!["--hostname=localhost".into()],
            ..Options::default()
        }
    }

    /// The cluster that the scripts about who is offered what expect: three equal agents, and a master that allocates
    /// exactly as Mesos does.
    pub fn allocation() -> Options {
        let mut options = Options { agents: 3, ..Options::conformance() };
        options.master_flags = vec![
            "--hostname=localhost".into(),
            "--allocation_interval=50ms".into(),
            "--allocation_compatibility".into(),
        ];
        options
    }
}

impl Ground {
    /// Loopback.
    pub fn new() -> Ground {
        let home = tempfile::Builder::new().prefix("meseta-test-").tempdir().expect("a temporary directory");
        Ground { home, stores: Vec::new(), masters: Vec::new(), agents: Vec::new() }
    }
}

impl Default for Ground {
    fn default() -> Ground {
        Ground::new()
    }
}

impl Cluster {
    /// Starts the processes on loopback and waits until a master leads and every agent is registered.
    pub fn start(options: Options) -> Cluster {
        let mut cluster = Cluster::prepare(options, Ground::new());
        (0..cluster.masters.len()).for_each(|i| cluster.start_master(i));
        cluster.leader();
        (0..cluster.agents.len()).for_each(|i| cluster.start_agent(i));
        cluster.wait_registered();
        cluster
    }

    /// Masters that meet at one server of a store, with sessions of two seconds, and no agent yet. `None`, with a
    /// message, where the store is not installed.
    pub fn on_store(kind: services::Kind, masters: usize) -> Option<Cluster> {
        if let Some(package) = kind.missing() {
            crate::skip(&format!("{package} is not installed (apt-get install {package})"));
            return None;
        }
        let settings = Settings { tick_ms: 200, ..Settings::default() };
        let store = Store { kind, servers: 1, settings, session: Duration::from_secs(2) };
        Some(Cluster::start(Options {
            masters,
            store: Some(store),
            agents: 0,
            resources: "cpus:2;mem:1024;disk:1024".into(),
            agent_flags: vec!["--launcher=posix".into(), "--isolation=posix/cpu,posix/mem".into()],
            ..Options::default()
        }))
    }

    /// Starts the store and plans the rest.
    pub fn prepare(options: Options, ground: Ground) -> Cluster {
        let home = ground.home.path().to_owned();
        let service = options.store.as_ref().map(|store| {
            let sites = match ground.stores.is_empty() {
                true => Site::on_loopback(store.servers),
                false => ground.stores.iter().map(Site::on).collect(),
            };
            Service::start_at(store.kind, &sites, &home, &store.settings)
        });
        let directory = Some(ground.home);
        let (masters, agents, cgroups) = Default::default();
        let mut cluster = Cluster { service, masters, agents, directory, home, options, cgroups };
        (0..cluster.options.masters).for_each(|i| cluster.plan_master(ground.masters.get(i).cloned()));
        (0..cluster.options.agents).for_each(|i| cluster.plan_agent(ground.agents.get(i).cloned()));
        cluster
    }

    fn plan_master(&mut self, host: Option<Host>) {
        let mut master = Server::new(server::Kind::Master, self.masters.len(), &self.home, host);
        if let Some(store) = &self.options.store {
            let flag = if store.kind == services::Kind::ZooKeeper { "zk" } else { "etcd" };
            let session = store.session.as_millis();
            master.add([format!("--{flag}={}", self.url()), format!("--{flag}_session_timeout={session}ms")]);
        }
        master.add(self.options.master_flags.iter().cloned());
        self.masters.push(master);
    }

    fn plan_agent(&mut self, host: Option<Host>) {
        let i = self.agents.len();
        let cgroups = Cgroups::new(&format!("{}-{i}", self.masters[0].at.port()));
        let mut agent = Server::new(server::Kind::Agent, i, &self.home, host);
        agent.add([
            format!("--master={}", self.url()),
            format!("--runtime_dir={}", agent.work_dir().join("run").display()),
            format!("--resources={}", self.options.resources),
            format!("--cgroups_root={}", cgroups.root()),
            "--registration_backoff_factor=10ms".into(),
        ]);
        if !processes::is_root() {
            // Frameworks of tests are of user root; everything runs as this user instead.
            agent.add(["--no-switch_user".to_owned()]);
        }
        agent.add(self.options.agent_flags.iter().cloned());
        agent.add(self.options.flags_of_agents.get(i).into_iter().flatten().cloned());
        self.agents.push(agent);
        self.cgroups.push(cgroups);
    }

    pub fn home(&self) -> &Path {
        &self.home
    }

    /// Leaves logs and files where they are.
    pub fn keep(&mut self) {
        if let Some(directory) = self.directory.take() {
            println!("kept {}", directory.keep().display());
        }
    }

    /// Where the masters are found: a place in the store, or the only one's address.
    pub fn url(&self) -> String {
        match &self.service {
            Some(service) => service.url("/mesos"),
            None => self.address(0),
        }
    }

    /// `host:port` of a master.
    pub fn address(&self, i: usize) -> String {
        self.masters[i].at.to_string()
    }

    /// `host:port` of the only master.
    pub fn master_address(&self) -> String {
        self.address(0)
    }

    pub fn agent_address(&self, i: usize) -> String {
        self.agents[i].at.to_string()
    }

    pub fn agent_work_dir(&self, i: usize) -> PathBuf {
        self.agents[i].work_dir()
    }

    /// Starts a master, and waits until it answers.
    pub fn start_master(&mut self, i: usize) {
        self.masters[i].start().unwrap_or_else(|error| panic!("cannot start master {i}: {error}"));
        let up = wait_for(PATIENCE, || self.ask(i, "GET", "/health").filter(|answer| answer.status == 200));
        assert!(up.is_some(), "master {i} does not answer:\n{}", self.logs());
    }

    /// Starts agent `i` without waiting for its registration.
    pub fn start_agent(&mut self, i: usize) {
        self.agents[i].start().unwrap_or_else(|error| panic!("cannot start agent {i}: {error}"));
    }

    /// Starts one more agent.
    pub fn add_agent(&mut self) {
        self.plan_agent(None);
        self.start_agent(self.agents.len() - 1);
    }

    /// Asks a master; `None` if it does not answer.
    pub fn ask(&self, i: usize, method: &str, path: &str) -> Option<Answer> {
        http::ask(&self.address(i), method, path)
    }

    pub fn get(&self, i: usize, path: &str) -> Answer {
        self.ask(i, "GET", path).unwrap_or_else(|| panic!("master {i} does not answer:\n{}", self.logs()))
    }

    /// The master that leads and answers reads, as soon as there is one.
    pub fn leader(&self) -> usize {
        // Where callers must say who they are, it asks even for reads.
        let leads = |i: &usize| self.ask(*i, "GET", "/state").is_some_and(|answer| matches!(answer.status, 200 | 401));
        let found = wait_for(PATIENCE, || (0..self.masters.len()).find(leads));
        found.unwrap_or_else(|| panic!("nobody leads:\n{}", self.logs()))
    }

    /// Waits until a master ends by itself.
    pub fn ended(&mut self, i: usize) -> ExitStatus {
        let status = self.masters[i].wait_ended(PATIENCE);
        status.unwrap_or_else(|| panic!("master {i} does not end:\n{}", self.logs()))
    }

    /// Waits until as many agents are registered as were started.
    pub fn wait_registered(&self) {
        let (leader, wanted) = (self.leader(), self.agents.len());
        let ready = wait_for(PATIENCE, || {
            let metrics = self.ask(leader, "GET", "/metrics/snapshot")?;
            metric(&metrics.body, "master/slaves_connected").filter(|n| *n as usize >= wanted).map(drop)
        });
        assert!(ready.is_some(), "the agents did not register:\n{}", self.logs());
    }

    /// The ends of all logs, for the message of a failed test.
    pub fn logs(&self) -> String {
        self.masters.iter().chain(&self.agents).map(Server::log_end).collect()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.masters.iter_mut().chain(&mut self.agents).for_each(Server::kill);
        processes::end_all(&self.home);
        if std::thread::panicking() {
            eprintln!("{}", self.logs());
        }
    }
}

/// The value of one metric in a flat JSON object.
pub fn metric(body: &str, name: &str) -> Option<f64> {
    let at = body.find(&format!("\"{name}\":"))? + name.len() + 3;
    let rest = &body[at..];
    rest[..rest.find([',', '}'])?].trim().parse().ok()
}
