//! The processes that suffer, and what is done to them.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use testkit::{
    processes::{self, wait_for},
    services::{Kind, Service},
};

use crate::{Fault, PATIENCE, watch};

const SESSION: Duration = Duration::from_secs(2);

pub struct Cluster {
    service: Service,
    home: Option<tempfile::TempDir>,
    path: PathBuf,
    masters: Vec<Process>,
    agents: Vec<Process>,
}

struct Process {
    name: String,
    port: u16,
    args: Vec<String>,
    child: Option<Child>,
}

impl Cluster {
    pub fn start(kind: Kind, masters: usize, agents: usize) -> Result<Cluster> {
        let service = Service::start_with(kind, 3, 200);
        let home = tempfile::Builder::new().prefix("meseta-chaos-").tempdir()?;
        let path = home.path().to_owned();
        fs::create_dir_all(path.join("traces"))?;
        let url = service.url("/mesos");
        let flag = if kind == Kind::ZooKeeper { "zk" } else { "etcd" };
        let process = |kind: &str, i: usize, more: Vec<String>| {
            let (name, port) = (format!("{kind}{i}"), processes::free_port());
            let mut args = vec![kind.to_owned(), format!("--port={port}"), "--no-hostname_lookup".into()];
            args.push(format!("--work_dir={}", path.join(&name).display()));
            args.extend(more);
            Process { name, port, args, child: None }
        };
        let session = format!("={}secs", SESSION.as_secs());
        let master = |i| {
            let more = vec![format!("--{flag}={url}"), format!("--{flag}_session_timeout{session}")];
            process("master", i, more)
        };
        let agent = |i: usize| {
            let more = vec![
                format!("--master={url}"),
                format!("--master_session_timeout{session}"),
                format!("--runtime_dir={}", path.join(format!("agent{i}/run")).display()),
                format!("--cgroups_root=meseta-chaos-{}-{i}", std::process::id()),
                "--resources=cpus:8;mem:4096;disk:10000".into(),
                "--registration_backoff_factor=100ms".into(),
                "--executor_reregistration_timeout=1secs".into(),
            ];
            process("agent", i, more)
        };
        let mut cluster = Cluster {
            masters: (1..=masters).map(master).collect(),
            agents: (1..=agents).map(agent).collect(),
            service,
            home: Some(home),
            path,
        };
        (0..masters).try_for_each(|i| cluster.masters[i].start(&cluster.path))?;
        cluster.wait_leader()?;
        (0..agents).try_for_each(|i| cluster.agents[i].start(&cluster.path))?;
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

    pub fn master_ports(&self) -> Vec<u16> {
        self.masters.iter().map(|master| master.port).collect()
    }

    /// Leaves logs and files where they are.
    pub fn keep(&mut self) {
        if let Some(home) = self.home.take() {
            println!("kept {}", home.keep().display());
        }
    }

    /// Does it, and waits until a leader serves writes again; how long that took comes back.
    pub fn suffer(&mut self, fault: Fault) -> Result<Duration> {
        self.revive()?;
        let leader = self.wait_leader()?;
        let standby = (leader + 1) % self.masters.len();
        let mut begun = Instant::now();
        match fault {
            Fault::KillLeader => self.masters[leader].kill(),
            Fault::HandOver => self.masters[leader].signal(libc::SIGTERM),
            Fault::KillStandby => self.masters[standby].kill(),
            Fault::PauseLeader => {
                self.masters[leader].signal(libc::SIGSTOP);
                sleep(SESSION * 2);
                self.masters[leader].signal(libc::SIGCONT);
            }
            Fault::KillStoreLeader => {
                let server = self.service.leader().unwrap_or(0);
                self.service.kill_server(server);
                self.wait_leader()?;
                let took = begun.elapsed();
                self.service.start_server(server);
                return Ok(took);
            }
            Fault::NoQuorum => {
                (0..2).for_each(|i| self.service.kill_server(i));
                sleep(SESSION * 2);
                (0..2).for_each(|i| self.service.start_server(i));
                begun = Instant::now();
            }
            Fault::KillAgent => self.agents[0].kill(),
        }
        if matches!(fault, Fault::KillLeader | Fault::HandOver) {
            let gone = self.masters[leader].port;
            wait_for(PATIENCE, || self.serving().filter(|port| *port != gone)).context("nobody leads")?;
        } else {
            self.wait_serving()?;
        }
        Ok(begun.elapsed())
    }

    /// Everything runs again.
    pub fn heal(&mut self) -> Result<()> {
        self.revive()?;
        self.wait_leader().map(drop)
    }

    /// The roles that have a weight.
    pub fn weights(&self) -> Option<BTreeSet<String>> {
        watch::weights(self.serving()?)
    }

    fn revive(&mut self) -> Result<()> {
        let path = self.path.clone();
        self.masters.iter_mut().chain(&mut self.agents).try_for_each(|process| process.start(&path))
    }

    /// As what starts masters would: those that ended are started again meanwhile.
    fn wait_serving(&mut self) -> Result<()> {
        let begun = Instant::now();
        while self.serving().is_none() {
            if begun.elapsed() > PATIENCE {
                bail!("nobody serves a write");
            }
            self.revive()?;
            sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    fn wait_leader(&mut self) -> Result<usize> {
        self.wait_serving()?;
        let port = wait_for(PATIENCE, || self.serving()).context("nobody leads")?;
        self.masters.iter().position(|master| master.port == port).context("a strange leader")
    }

    fn serving(&self) -> Option<u16> {
        self.masters.iter().map(|master| master.port).find(|port| watch::write(*port, "probe"))
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.masters.iter_mut().chain(&mut self.agents).for_each(Process::kill);
        processes::end_all(&self.path);
    }
}

impl Process {
    /// Starts it, unless it runs.
    fn start(&mut self, home: &Path) -> Result<()> {
        if let Some(child) = &mut self.child
            && child.try_wait()?.is_none()
        {
            return Ok(());
        }
        let log = File::options().create(true).append(true).open(home.join(format!("{}.log", self.name)))?;
        let mut command = Command::new(processes::meseta());
        command.args(&self.args).env("MESETA_TEST_HOME", home).stdin(Stdio::null());
        command.stdout(log.try_clone()?).stderr(log);
        // SAFETY: prctl is async-signal-safe. The process ends when the thread that started it does.
        unsafe {
            command.pre_exec(|| {
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                Ok(())
            });
        }
        self.child = Some(command.spawn().with_context(|| format!("cannot start {}", self.name))?);
        Ok(())
    }

    fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    fn signal(&self, signal: i32) {
        if let Some(child) = &self.child {
            // SAFETY: kill has no memory effects.
            unsafe { libc::kill(child.id() as i32, signal) };
        }
    }
}
