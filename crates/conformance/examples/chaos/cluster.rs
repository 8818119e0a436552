//! The processes that suffer: masters, agents and the servers of their store, each on a host of its own network where
//! that is possible, else all on loopback. What is done to them is in `suffer`.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use testkit::{
    network::{Host, Network, SmallDisk},
    processes,
    services::{Kind, Service, Settings, Site},
};

use crate::{PATIENCE, secrets::Secrets, watch};

pub const SESSION: Duration = Duration::from_secs(2);
/// Enough for a server of the store, or an agent, in a run; little enough to be filled.
const DISK_MEGABYTES: usize = 320;
const STORES: usize = 3;

pub struct Cluster {
    pub service: Service,
    /// They go before the home that they are in.
    _disks: Vec<SmallDisk>,
    home: Option<tempfile::TempDir>,
    pub path: PathBuf,
    pub masters: Vec<Process>,
    pub agents: Vec<Process>,
    /// Hosts of the store's servers; none on loopback.
    pub stores: Vec<Host>,
    /// Agents that ended although nobody ended them, and how.
    pub ended: Vec<String>,
}

pub struct Process {
    pub name: String,
    at: SocketAddr,
    pub host: Option<Host>,
    args: Vec<String>,
    child: Option<Child>,
}

impl Cluster {
    pub fn start(
        kind: Kind,
        mut network: Option<Network>,
        masters: usize,
        agents: usize,
        authenticate: bool,
    ) -> Result<Cluster> {
        let home = tempfile::Builder::new().prefix("meseta-chaos-").tempdir()?;
        let path = home.path().to_owned();
        fs::create_dir_all(path.join("traces"))?;
        let mut host = || network.as_mut().map(Network::add_host).transpose();
        let stores: Vec<Host> = (0..STORES).filter_map(|_| host().transpose()).collect::<Result<_, _>>()?;
        let master_hosts: Vec<Option<Host>> = (0..masters).map(|_| host()).collect::<Result<_, _>>()?;
        let agent_hosts: Vec<Option<Host>> = (0..agents).map(|_| host()).collect::<Result<_, _>>()?;
        let small_disks = (1..=STORES).map(|i| format!("store{i}")).chain(["agent1".to_owned()]);
        let small_disks = small_disks.filter(|_| !stores.is_empty());
        let disks: Vec<SmallDisk> =
            small_disks.map(|name| SmallDisk::mount(path.join(name), DISK_MEGABYTES)).collect::<Result<_, _>>()?;
        let sites = if stores.is_empty() { Site::on_loopback(STORES) } else { stores.iter().map(Site::on).collect() };
        let settings = Settings { tick_ms: 200, small_log: true, tls: None };
        let service = Service::start_at(kind, &sites, &path, &settings);

        let secrets = authenticate.then(|| Secrets::write(&path)).transpose()?;
        let url = service.url("/mesos");
        let flag = if kind == Kind::ZooKeeper { "zk" } else { "etcd" };
        let session = format!("={}secs", SESSION.as_secs());
        let master = |(i, host): (usize, Option<Host>)| {
            let mut more = vec![
                format!("--{flag}={url}"),
                format!("--{flag}_session_timeout{session}"),
                "--agent_ping_timeout=1secs".into(),
                "--max_agent_ping_timeouts=4".into(),
            ];
            more.extend(secrets.iter().flat_map(Secrets::flags_of_masters));
            Process::new(&path, "master", i + 1, host, more)
        };
        let agent = |(i, host): (usize, Option<Host>)| {
            let mut more = vec![
                format!("--master={url}"),
                format!("--master_session_timeout{session}"),
                format!("--runtime_dir={}", path.join(format!("agent{}/run", i + 1)).display()),
                format!("--cgroups_root=meseta-chaos-{}-{i}", std::process::id()),
                "--resources=cpus:8;mem:4096;disk:10000".into(),
                "--registration_backoff_factor=100ms".into(),
                "--executor_reregistration_timeout=1secs".into(),
            ];
            more.extend(secrets.iter().flat_map(Secrets::flags_of_agents));
            Process::new(&path, "agent", i + 1, host, more)
        };
        let mut cluster = Cluster {
            masters: master_hosts.into_iter().enumerate().map(master).collect(),
            agents: agent_hosts.into_iter().enumerate().map(agent).collect(),
            service,
            _disks: disks,
            home: Some(home),
            path,
            stores,
            ended: Vec::new(),
        };
        for master in &mut cluster.masters {
            master.start(&cluster.path)?;
        }
        cluster.wait_leader()?;
        for agent in &mut cluster.agents {
            agent.start(&cluster.path)?;
        }
        Ok(cluster)
    }

    pub fn home(&self) -> &Path {
        &self.path
    }

    pub fn url(&self) -> String {
        self.service.url("/mesos")
    }

    /// Where tasks leave a trace of each time they ran.
    pub fn traces(&self) -> PathBuf {
        self.path.join("traces")
    }

    pub fn masters(&self) -> Vec<SocketAddr> {
        self.masters.iter().map(|master| master.at).collect()
    }

    /// Where this process is reached from the others.
    pub fn here(&self) -> IpAddr {
        if self.stores.is_empty() { Ipv4Addr::LOCALHOST.into() } else { Network::HERE.into() }
    }

    /// Leaves logs and files where they are; a network's small disks vanish with it.
    pub fn keep(&mut self) {
        if let Some(home) = self.home.take() {
            println!("kept {}", home.keep().display());
        }
    }

    /// Everything runs again, and all agents are at work.
    pub fn heal(&mut self) -> Result<()> {
        self.revive()?;
        self.wait_leader()?;
        self.wait_agents()
    }

    /// The roles that have a weight.
    pub fn weights(&self) -> Option<BTreeSet<String>> {
        watch::weights(self.masters[self.serving()?].at)
    }

    pub fn revive(&mut self) -> Result<()> {
        let path = self.path.clone();
        self.service.revive();
        for master in &mut self.masters {
            // One that is deposed ends by itself.
            master.start(&path)?;
        }
        for agent in &mut self.agents {
            if let Some(status) = agent.start(&path)? {
                self.ended.push(format!("{} ended by itself with {status}", agent.name));
            }
        }
        Ok(())
    }

    /// As what starts masters would: those that ended are started again meanwhile. The leader comes back.
    pub fn wait_serving(&mut self, wanted: impl Fn(usize) -> bool) -> Result<usize> {
        let begun = Instant::now();
        loop {
            if let Some(leader) = self.serving().filter(|leader| wanted(*leader)) {
                return Ok(leader);
            }
            if begun.elapsed() > PATIENCE {
                bail!("nobody serves a write");
            }
            self.revive()?;
            sleep(Duration::from_millis(20));
        }
    }

    pub fn wait_leader(&mut self) -> Result<usize> {
        self.wait_serving(|_| true)
    }

    pub fn wait_agents(&mut self) -> Result<()> {
        let begun = Instant::now();
        let wanted = self.agents.len() as u64;
        while !self.masters.iter().any(|master| watch::active_agents(master.at) == Some(wanted)) {
            if begun.elapsed() > PATIENCE {
                bail!("the agents do not come back");
            }
            self.revive()?;
            sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    pub fn serving(&self) -> Option<usize> {
        self.masters.iter().position(|master| watch::write(master.at, "probe"))
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.masters.iter_mut().chain(&mut self.agents).for_each(Process::kill);
        processes::end_all(&self.path);
    }
}

impl Process {
    fn new(home: &Path, kind: &str, i: usize, host: Option<Host>, more: Vec<String>) -> Process {
        let name = format!("{kind}{i}");
        let (ip, port) = match &host {
            Some(host) => (host.ip, if kind == "master" { 5050 } else { 5051 }),
            None => (Ipv4Addr::LOCALHOST, processes::free_port()),
        };
        let mut args = vec![kind.to_owned(), format!("--ip={ip}"), format!("--port={port}")];
        args.extend(["--no-hostname_lookup".to_owned(), format!("--work_dir={}", home.join(&name).display())]);
        args.extend(more);
        Process { name, at: SocketAddr::new(ip.into(), port), host, args, child: None }
    }

    /// Starts it, unless it runs, and tells how it ended if it did so by itself.
    fn start(&mut self, home: &Path) -> Result<Option<ExitStatus>> {
        let mut ended = None;
        if let Some(child) = &mut self.child {
            ended = child.try_wait()?;
            if ended.is_none() {
                return Ok(None);
            }
        }
        let log = File::options().create(true).append(true).open(home.join(format!("{}.log", self.name)))?;
        let mut command = Command::new(processes::meseta());
        command.args(&self.args).env("MESETA_TEST_HOME", home).env("MESETA_CLOCK_SHIFT", self.clock(home));
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        if let Some(host) = &self.host {
            host.take(&mut command);
        }
        // SAFETY: prctl is async-signal-safe. The process ends when the thread that started it does.
        unsafe {
            command.pre_exec(|| {
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                Ok(())
            });
        }
        self.child = Some(command.spawn().with_context(|| format!("cannot start {}", self.name))?);
        Ok(ended)
    }

    /// The file that says how far its calendar is off.
    pub fn clock(&self, home: &Path) -> PathBuf {
        home.join(format!("{}.clock", self.name))
    }

    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    pub fn signal(&self, signal: i32) {
        if let Some(child) = &self.child {
            // SAFETY: kill has no memory effects.
            unsafe { libc::kill(child.id() as i32, signal) };
        }
    }
}
