//! One master or agent as a process: its command line, its directory and its log. It can be started, hurt and started
//! again, and it ends with the thread that started it.

use std::{
    fs::{self, File},
    io,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use crate::{
    network::Host,
    processes::{self, wait_for},
};

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Master,
    Agent,
}

pub struct Server {
    /// `master0`, `agent2`: its directory is called so.
    pub name: String,
    pub at: SocketAddr,
    /// None on loopback.
    pub host: Option<Host>,
    home: PathBuf,
    command_line: Vec<String>,
    child: Option<Child>,
}

impl Server {
    /// Number `i` of its kind, below `home`: on a host of a network at the port of its kind, else on loopback at a free
    /// one. Nothing is started yet.
    pub fn new(kind: Kind, i: usize, home: &Path, host: Option<Host>) -> Server {
        let (word, usual) = match kind {
            Kind::Master => ("master", 5050),
            Kind::Agent => ("agent", 5051),
        };
        let (ip, port) = match &host {
            Some(host) => (host.ip, usual),
            None => (Ipv4Addr::LOCALHOST, processes::free_port()),
        };
        let name = format!("{word}{i}");
        let mut server = Server {
            at: SocketAddr::new(ip.into(), port),
            host,
            home: home.to_owned(),
            command_line: vec![word.to_owned()],
            child: None,
            name,
        };
        let work_dir = format!("--work_dir={}", server.work_dir().display());
        server.add([format!("--ip={ip}"), format!("--port={port}"), work_dir, "--no-hostname_lookup".to_owned()]);
        server
    }

    /// More flags, for its next start.
    pub fn add(&mut self, flags: impl IntoIterator<Item = String>) {
        self.command_line.extend(flags);
    }

    pub fn work_dir(&self) -> PathBuf {
        self.home.join(&self.name)
    }

    /// Beside its directory, which may be on a disk that fills up.
    pub fn log(&self) -> PathBuf {
        self.home.join(format!("{}.log", self.name))
    }

    /// The file that says by how many seconds its calendar is off; none, if it is not there.
    pub fn clock_shift(&self) -> PathBuf {
        self.home.join(format!("{}.clock", self.name))
    }

    /// Starts it, unless it runs. Tells how it ended, if it did so by itself.
    pub fn start(&mut self) -> io::Result<Option<ExitStatus>> {
        let mut ended = None;
        if let Some(child) = &mut self.child {
            ended = child.try_wait()?;
            if ended.is_none() {
                return Ok(None);
            }
        }
        let log = File::options().create(true).append(true).open(self.log())?;
        let mut command = Command::new(processes::meseta());
        command.args(&self.command_line).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        command.env("MESETA_TEST_HOME", &self.home).env("MESETA_CLOCK_SHIFT", self.clock_shift());
        if let Some(host) = &self.host {
            host.take(&mut command);
        }
        self.child = Some(processes::ends_with_its_thread(&mut command).spawn()?);
        Ok(ended)
    }

    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// SIGKILL, as a crash would.
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

    /// Waits until it ends by itself; `None` if it does not, or was not running.
    pub fn wait_ended(&mut self, patience: Duration) -> Option<ExitStatus> {
        let child = self.child.as_mut()?;
        let status = wait_for(patience, || child.try_wait().ok().flatten())?;
        self.child = None;
        Some(status)
    }

    /// The last lines of its log, for the message of a failed test.
    pub fn log_end(&self) -> String {
        const LINES: usize = 40;
        let text = fs::read_to_string(self.log()).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        format!("--- {}\n{}\n", self.name, lines[lines.len().saturating_sub(LINES)..].join("\n"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}
