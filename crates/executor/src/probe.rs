//! Checks under way: a child process, an HTTP request or a TCP connection each, with a deadline. When to check and what
//! results mean is `checks`'s.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream},
    os::fd::{AsRawFd, RawFd},
    time::Duration,
};

use proto::v1;
use stdx::Tick;

use crate::{
    checks::{ProbeResult, Target, Which},
    http::{self, Connection, Piece},
    process::Processes,
    settings::Endpoint,
    step::Event,
};

/// HTTPS is left to curl, as in Mesos: it exits with 0 for a status between 200 and 399.
const HTTPS_SCRIPT: &str = "code=$(curl -s -S -k -g -o /dev/null -w '%{http_code}' \"$1\") || exit 1; \
                            [ \"$code\" -ge 200 ] && [ \"$code\" -lt 400 ]";

/// The checks under way.
#[derive(Default)]
pub struct Probes {
    running: Vec<Probe>,
}

struct Probe {
    task: String,
    which: Which,
    deadline: Option<Tick>,
    means: Means,
}

enum Means {
    Process { pid: i32, https: bool },
    Http(Connection),
    Tcp(TcpStream),
}

impl Probes {
    /// Starts a check; an `Err` is its result.
    pub fn start(
        &mut self,
        now: Tick,
        task: String,
        which: Which,
        target: &Target,
        timeout: Option<Duration>,
        processes: &Processes,
    ) -> Result<(), Event> {
        let means = match target {
            Target::Command(command) => processes.spawn(command).map(|pid| Means::Process { pid, https: false }),
            Target::Http { port, path, https: true, v6 } => processes
                .spawn(&https_command(&format!("https://{}{path}", address(*port, *v6))))
                .map(|pid| Means::Process { pid, https: true }),
            Target::Http { port, path, https: false, v6 } => {
                let address = address(*port, *v6);
                Connection::open(&Endpoint::Tcp(address))
                    .and_then(|mut connection| {
                        let head = format!(
                            "GET {path} HTTP/1.1\r\nHost: {address}\r\nUser-Agent: meseta\r\nAccept: */*\r\n\
                             Connection: close\r\n\r\n"
                        );
                        connection.queue(head.as_bytes(), b"");
                        connection.flush()?;
                        Ok(Means::Http(connection))
                    })
                    .map_err(|error| error.to_string())
            }
            Target::Tcp { port, v6 } => {
                http::connect(&address(*port, *v6)).map(Means::Tcp).map_err(|error| error.to_string())
            }
        };
        match means {
            Ok(means) => {
                self.running.push(Probe { task, which, deadline: timeout.map(|timeout| now + timeout), means });
                Ok(())
            }
            Err(why) => Err(Event::Probed { task, which, result: failed(target, why) }),
        }
    }

    /// The sockets to poll, in an order that stays until the next call that changes the checks.
    pub fn sockets(&self) -> impl Iterator<Item = (usize, RawFd, libc::c_short)> {
        self.running.iter().enumerate().filter_map(|(index, probe)| match &probe.means {
            Means::Process { .. } => None,
            Means::Http(connection) => Some((index, connection.fd(), connection.interest())),
            Means::Tcp(socket) => Some((index, socket.as_raw_fd(), libc::POLLOUT)),
        })
    }

    /// Looks at the check whose socket is ready; its result ends it.
    pub fn on_ready(&mut self, index: usize) -> Option<Event> {
        let result = match &mut self.running.get_mut(index)?.means {
            Means::Process { .. } => return None,
            Means::Http(connection) => read_http(connection)?,
            Means::Tcp(socket) => ProbeResult::Tcp(matches!(socket.take_error(), Ok(None))),
        };
        Some(self.running.swap_remove(index).result(result))
    }

    /// Takes the end of a child process in, if it is a check's.
    pub fn on_exit(&mut self, ended: i32, word: i32) -> Option<Event> {
        let index =
            self.running.iter().position(|probe| matches!(probe.means, Means::Process { pid, .. } if pid == ended))?;
        let probe = self.running.swap_remove(index);
        let result = match probe.means {
            Means::Process { https: true, .. } if word == 0 => ProbeResult::Http(200),
            Means::Process { https: true, .. } => ProbeResult::Failed("HTTPS health check failed".to_owned()),
            _ => ProbeResult::Command(word),
        };
        Some(probe.result(result))
    }

    pub fn next_deadline(&self) -> Option<Tick> {
        self.running.iter().filter_map(|probe| probe.deadline).min()
    }

    /// Ends one check whose time is over.
    pub fn take_overdue(&mut self, now: Tick) -> Option<Event> {
        let index = self.running.iter().position(|probe| probe.deadline.is_some_and(|deadline| deadline <= now))?;
        let probe = self.running.swap_remove(index);
        probe.abandon();
        Some(probe.result(ProbeResult::TimedOut))
    }

    /// Ends all checks of `task` without a result.
    pub fn forget(&mut self, task: &str) {
        self.running.retain(|probe| {
            let keep = probe.task != task;
            if !keep {
                probe.abandon();
            }
            keep
        });
    }
}

impl Probe {
    fn abandon(&self) {
        if let Means::Process { pid, .. } = self.means {
            // SAFETY: plain system call; the check leads a process group of its own and is not reaped yet.
            unsafe { libc::kill(-pid, libc::SIGKILL) };
        }
    }

    fn result(self, result: ProbeResult) -> Event {
        Event::Probed { task: self.task, which: self.which, result }
    }
}

fn read_http(connection: &mut Connection) -> Option<ProbeResult> {
    let mut read = || -> Result<Option<u16>, String> {
        connection.flush().and_then(|()| connection.fill()).map_err(|error| error.to_string())?;
        match connection.next().map_err(|error| error.to_string())? {
            Some(Piece::Head { status }) => Ok(Some(status)),
            _ => Ok(None),
        }
    };
    match read() {
        Ok(Some(status)) => Some(ProbeResult::Http(status)),
        Ok(None) if connection.at_end() => Some(ProbeResult::Failed("HTTP check failed: no answer".to_owned())),
        Ok(None) => None,
        Err(why) => Some(ProbeResult::Failed(format!("HTTP check failed: {why}"))),
    }
}

fn failed(target: &Target, why: String) -> ProbeResult {
    match target {
        Target::Tcp { .. } => ProbeResult::Tcp(false),
        _ => ProbeResult::Failed(why),
    }
}

fn https_command(url: &str) -> v1::CommandInfo {
    let arguments = ["sh", "-c", HTTPS_SCRIPT, "sh", url].map(str::to_owned).to_vec();
    v1::CommandInfo { shell: Some(false), value: Some("/bin/sh".to_owned()), arguments, ..Default::default() }
}

fn address(port: u16, v6: bool) -> SocketAddr {
    let ip = if v6 { IpAddr::V6(Ipv6Addr::LOCALHOST) } else { IpAddr::V4(Ipv4Addr::LOCALHOST) };
    SocketAddr::new(ip, port)
}
