//! Several masters of one cluster on loopback, which meet at a real store. Dropping them ends all of it.

use std::{
    path::PathBuf,
    process::{Child, Command, ExitStatus},
    time::Duration,
};

use crate::{
    cluster::{kill, log_end, spawn},
    http::{self, Answer},
    processes::{self, wait_for},
    services::{Kind, Service},
};

const PATIENCE: Duration = Duration::from_secs(30);

pub struct Masters {
    pub service: Service,
    pub home: tempfile::TempDir,
    ports: Vec<u16>,
    masters: Vec<Option<Child>>,
    agents: Vec<Child>,
}

impl Masters {
    /// `None`, with a message, where the store is not installed. One server of it serves all; sessions are of two
    /// seconds.
    pub fn start(kind: Kind, count: usize) -> Option<Masters> {
        let service = Service::start(kind, 1)?;
        let mut masters = Masters {
            service,
            home: tempfile::Builder::new().prefix("meseta-masters-").tempdir().expect("a temporary directory"),
            ports: (0..count).map(|_| processes::free_port()).collect(),
            masters: (0..count).map(|_| None).collect(),
            agents: Vec::new(),
        };
        (0..count).for_each(|i| masters.start_master(i));
        masters.leader();
        Some(masters)
    }

    /// Where they meet.
    pub fn url(&self) -> String {
        self.service.url("/mesos")
    }

    pub fn address(&self, i: usize) -> String {
        format!("127.0.0.1:{}", self.ports[i])
    }

    pub fn port(&self, i: usize) -> u16 {
        self.ports[i]
    }

    pub fn pid(&self, i: usize) -> Option<u32> {
        self.masters[i].as_ref().map(Child::id)
    }

    /// Starts a master, and waits until it answers.
    pub fn start_master(&mut self, i: usize) {
        let flag = if self.service.kind == Kind::ZooKeeper { "zk" } else { "etcd" };
        let work_dir = self.directory(i);
        let mut command = Command::new(processes::meseta());
        command.arg("master").args([
            format!("--port={}", self.ports[i]),
            format!("--work_dir={}", work_dir.display()),
            format!("--{flag}={}", self.url()),
            format!("--{flag}_session_timeout=2secs"),
            "--no-hostname_lookup".into(),
        ]);
        self.masters[i] = Some(spawn(command, &work_dir));
        let up = wait_for(PATIENCE, || self.ask(i, "GET", "/health"));
        assert!(up.is_some(), "master {i} does not answer:\n{}", self.logs());
    }

    /// An agent that looks for the leader in the store.
    pub fn start_agent(&mut self) {
        let work_dir = self.home.path().join(format!("agent{}", self.agents.len()));
        let mut command = Command::new(processes::meseta());
        command.arg("agent").args([
            format!("--master={}", self.url()),
            format!("--port={}", processes::free_port()),
            format!("--work_dir={}", work_dir.display()),
            format!("--runtime_dir={}", work_dir.join("run").display()),
            "--resources=cpus:2;mem:1024;disk:1024".into(),
            "--launcher=posix".into(),
            "--isolation=posix/cpu,posix/mem".into(),
            "--registration_backoff_factor=10ms".into(),
            "--no-hostname_lookup".into(),
        ]);
        self.agents.push(spawn(command, &work_dir));
    }

    pub fn ask(&self, i: usize, method: &str, path: &str) -> Option<Answer> {
        http::ask(&self.address(i), method, path)
    }

    pub fn get(&self, i: usize, path: &str) -> Answer {
        self.ask(i, "GET", path).unwrap_or_else(|| panic!("master {i} does not answer:\n{}", self.logs()))
    }

    /// The master that leads and answers reads, as soon as there is one.
    pub fn leader(&self) -> usize {
        let leads = |i: &usize| self.ask(*i, "GET", "/state").is_some_and(|answer| answer.status == 200);
        let found = wait_for(PATIENCE, || (0..self.ports.len()).find(leads));
        found.unwrap_or_else(|| panic!("nobody leads:\n{}", self.logs()))
    }

    /// Waits until a master ends by itself.
    pub fn ended(&mut self, i: usize) -> ExitStatus {
        let mut master = self.masters[i].take().expect("it runs");
        let status = wait_for(PATIENCE, || master.try_wait().ok().flatten());
        status.unwrap_or_else(|| {
            let _ = master.kill();
            panic!("master {i} does not end:\n{}", self.logs())
        })
    }

    /// SIGKILL.
    pub fn kill_master(&mut self, i: usize) {
        kill(self.masters[i].take());
    }

    /// The ends of the masters' logs, for the message of a failed test.
    pub fn logs(&self) -> String {
        (0..self.ports.len()).map(|i| log_end(self.directory(i))).collect()
    }

    fn directory(&self, i: usize) -> PathBuf {
        self.home.path().join(format!("master{i}"))
    }
}

impl Drop for Masters {
    fn drop(&mut self) {
        (0..self.masters.len()).for_each(|i| self.kill_master(i));
        self.agents.drain(..).for_each(|agent| kill(Some(agent)));
        processes::end_all(self.home.path());
    }
}
