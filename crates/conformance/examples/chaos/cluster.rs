//! The processes that suffer: masters, agents and the servers of their store, each on a host of its own network where
//! that is possible, else all on loopback. What is done to them is in `suffer`.

use std::{
    collections::BTreeSet,
    fs,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use testkit::{
    Ground, Options, Store,
    network::{Host, Network, SmallDisk},
    server::Server,
    services::{Kind, Service, Settings},
};

use crate::{PATIENCE, secrets::Secrets, watch};

pub const SESSION: Duration = Duration::from_secs(2);
/// Enough for a server of the store, or an agent, in a run; little enough to be filled.
const DISK_MEGABYTES: usize = 320;
const STORES: usize = 3;

pub struct Cluster {
    /// They go before the home that they are in.
    _disks: Vec<SmallDisk>,
    servers: testkit::Cluster,
    /// Hosts of the store's servers; none on loopback.
    pub stores: Vec<Host>,
    /// Agents that ended although nobody ended them, and how.
    pub ended: Vec<String>,
}

impl Cluster {
    pub fn start(
        kind: Kind,
        mut network: Option<Network>,
        masters: usize,
        agents: usize,
        authenticate: bool,
    ) -> Result<Cluster> {
        let mut ground = Ground::new();
        let home = ground.home.path().to_owned();
        fs::create_dir_all(home.join("traces"))?;
        let mut hosts = |count: usize| -> Result<Vec<Host>> {
            let hosts = (0..count).filter_map(|_| network.as_mut().map(Network::add_host));
            Ok(hosts.collect::<Result<_, _>>()?)
        };
        (ground.stores, ground.masters, ground.agents) = (hosts(STORES)?, hosts(masters)?, hosts(agents)?);
        let stores = ground.stores.clone();
        let small_disks = (1..=STORES).map(|i| format!("store{i}")).chain(["agent0".to_owned()]);
        let small_disks = small_disks.filter(|_| !stores.is_empty());
        let disks: Vec<SmallDisk> =
            small_disks.map(|name| SmallDisk::mount(home.join(name), DISK_MEGABYTES)).collect::<Result<_, _>>()?;

        let secrets = authenticate.then(|| Secrets::write(&home)).transpose()?;
        let mut master_flags = vec!["--agent_ping_timeout=1secs".into(), "--max_agent_ping_timeouts=4".into()];
        master_flags.extend(secrets.iter().flat_map(Secrets::flags_of_masters));
        let mut agent_flags = vec![
            format!("--master_session_timeout={}secs", SESSION.as_secs()),
            "--registration_backoff_factor=100ms".into(),
            "--executor_reregistration_timeout=1secs".into(),
        ];
        agent_flags.extend(secrets.iter().flat_map(Secrets::flags_of_agents));
        let settings = Settings { tick_ms: 200, small_log: true, tls: None };
        let options = Options {
            masters,
            store: Some(Store { kind, servers: STORES, settings, session: SESSION }),
            agents,
            resources: "cpus:8;mem:4096;disk:10000".into(),
            master_flags,
            agent_flags,
            flags_of_agents: Vec::new(),
        };
        let servers = testkit::Cluster::prepare(options, ground);
        let mut cluster = Cluster { _disks: disks, servers, stores, ended: Vec::new() };
        for master in &mut cluster.servers.masters {
            master.start()?;
        }
        cluster.wait_leader()?;
        for agent in &mut cluster.servers.agents {
            agent.start()?;
        }
        Ok(cluster)
    }

    pub fn home(&self) -> &Path {
        self.servers.home()
    }

    pub fn url(&self) -> String {
        self.servers.url()
    }

    pub fn master(&mut self, i: usize) -> &mut Server {
        &mut self.servers.masters[i]
    }

    pub fn agent(&mut self, i: usize) -> &mut Server {
        &mut self.servers.agents[i]
    }

    pub fn service(&mut self) -> Result<&mut Service> {
        self.servers.service.as_mut().context("no store")
    }

    /// Where tasks leave a trace of each time they ran.
    pub fn traces(&self) -> PathBuf {
        self.home().join("traces")
    }

    pub fn masters(&self) -> Vec<SocketAddr> {
        self.servers.masters.iter().map(|master| master.at).collect()
    }

    pub fn agent_hosts(&self) -> Vec<Host> {
        self.servers.agents.iter().filter_map(|agent| agent.host.clone()).collect()
    }

    /// Where this process is reached from the others.
    pub fn here(&self) -> IpAddr {
        if self.stores.is_empty() { Ipv4Addr::LOCALHOST.into() } else { Network::HERE.into() }
    }

    /// Leaves logs and files where they are; a network's small disks vanish with it.
    pub fn keep(&mut self) {
        self.servers.keep();
    }

    /// Everything runs again, and all agents are at work.
    pub fn heal(&mut self) -> Result<()> {
        self.revive()?;
        self.wait_leader()?;
        self.wait_agents()
    }

    /// The roles that have a weight.
    pub fn weights(&self) -> Option<BTreeSet<String>> {
        watch::weights(self.servers.masters[self.serving()?].at)
    }

    pub fn revive(&mut self) -> Result<()> {
        self.service()?.revive();
        for master in &mut self.servers.masters {
            // One that is deposed ends by itself.
            master.start()?;
        }
        for agent in &mut self.servers.agents {
            if let Some(status) = agent.start()? {
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
        let wanted = self.servers.agents.len() as u64;
        while !self.servers.masters.iter().any(|master| watch::active_agents(master.at) == Some(wanted)) {
            if begun.elapsed() > PATIENCE {
                bail!("the agents do not come back");
            }
            self.revive()?;
            sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    pub fn serving(&self) -> Option<usize> {
        self.servers.masters.iter().position(|master| watch::write(master.at, "probe"))
    }
}
