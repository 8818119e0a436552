//! Checks under way: a child process, an HTTP request or a TCP connection each, with a deadline. When to check and what
//! results mean is `checks`'s.

use std::{
    fs::File,
    io::Read,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream},
    os::fd::{AsFd, AsRawFd, OwnedFd, RawFd},
    time::Duration,
};

use proto::v1;
use stdx::Tick;

use crate::{
    checks::{ProbeResult, Target, Which},
    http::{self, Connection, Piece},
    process::Processes,
    redirect::{self, Hop, Url},
    settings::Endpoint,
    step::Event,
};

/// What needs TLS or the name of a host is left to curl, as Mesos leaves all of HTTP to it.
const CURL: [&str; 15] = [
    "curl",
    "-s",
    "-S",
    "-L",
    "-k",
    "-g",
    "-o",
    "/dev/null",
    "-w",
    "%{http_code}",
    "--max-redirs",
    "50",
    "--proto",
    "=http,https",
    "--",
];

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

#[allow(clippy::large_enum_variant, reason = "there are as many as checks under way, which are few")]
enum Means {
    Command {
        pid: i32,
    },
    /// It writes the status of the last answer into a pipe.
    Curl {
        pid: i32,
        output: OwnedFd,
    },
    Http {
        connection: Connection,
        url: Url,
        hops: u32,
    },
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
            Target::Command(command) => processes.spawn(command, None).map(|pid| Means::Command { pid }),
            Target::Http { port, path, https: true, v6 } => {
                start_curl(&format!("https://{}{path}", address(*port, *v6)), processes)
            }
            Target::Http { port, path, https: false, v6 } => {
                ask(Url::new(address(*port, *v6), path.clone()), 0).map_err(|why| format!("HTTP check failed: {why}"))
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
            Means::Command { .. } | Means::Curl { .. } => None,
            Means::Http { connection, .. } => Some((index, connection.fd(), connection.interest())),
            Means::Tcp(socket) => Some((index, socket.as_raw_fd(), libc::POLLOUT)),
        })
    }

    /// Looks at the check whose socket is ready; its result ends it. A redirect does not.
    pub fn on_ready(&mut self, index: usize, processes: &Processes) -> Option<Event> {
        let probe = self.running.get_mut(index)?;
        let result = match &mut probe.means {
            Means::Command { .. } | Means::Curl { .. } => return None,
            Means::Tcp(socket) => ProbeResult::Tcp(matches!(socket.take_error(), Ok(None))),
            Means::Http { connection, url, hops } => {
                let next = read_http(connection).and_then(|answer| match answer {
                    None => Ok(None),
                    Some(status) => follow(status, connection, url, *hops, processes).map(Some),
                });
                match next {
                    Ok(None) => return None,
                    Ok(Some(Next::Answer(status))) => ProbeResult::Http(status),
                    Ok(Some(Next::Ask(means))) => {
                        probe.means = means;
                        return None;
                    }
                    Err(why) => ProbeResult::Failed(format!("HTTP check failed: {why}")),
                }
            }
        };
        Some(self.running.swap_remove(index).result(result))
    }

    /// Takes the end of a child process in, if it is a check's.
    pub fn on_exit(&mut self, ended: i32, word: i32) -> Option<Event> {
        let index = self.running.iter().position(|probe| probe.means.pid() == Some(ended))?;
        let mut probe = self.running.swap_remove(index);
        let result = match &mut probe.means {
            Means::Curl { output, .. } if word == 0 => match status_in(output) {
                Some(status) => ProbeResult::Http(status),
                None => ProbeResult::Failed("HTTP check failed: curl tells no status".to_owned()),
            },
            Means::Curl { .. } => {
                ProbeResult::Failed(format!("HTTP check failed: curl {}", crate::step::describe_wait(word)))
            }
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

impl Means {
    fn pid(&self) -> Option<i32> {
        match self {
            Means::Command { pid } | Means::Curl { pid, .. } => Some(*pid),
            Means::Http { .. } | Means::Tcp(_) => None,
        }
    }
}

impl Probe {
    fn abandon(&self) {
        if let Some(pid) = self.means.pid() {
            // The check leads a process group of its own and is not reaped yet; if it has ended, that is fine.
            let _ = kernel::signals::send(-pid, libc::SIGKILL);
        }
    }

    fn result(self, result: ProbeResult) -> Event {
        Event::Probed { task: self.task, which: self.which, result }
    }
}

fn ask(url: Url, hops: u32) -> Result<Means, String> {
    let opened = Connection::open(&Endpoint::Tcp(url.address)).and_then(|mut connection| {
        let Url { path, host, .. } = &url;
        let head = format!(
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: meseta\r\nAccept: */*\r\nConnection: close\r\n\r\n"
        );
        connection.queue(head.as_bytes(), b"");
        connection.flush()?;
        Ok(connection)
    });
    opened.map(|connection| Means::Http { connection, url, hops }).map_err(|error| error.to_string())
}

fn start_curl(url: &str, processes: &Processes) -> Result<Means, String> {
    let arguments = CURL.into_iter().chain([url]).map(str::to_owned).collect();
    let command =
        v1::CommandInfo { shell: Some(false), value: Some("curl".to_owned()), arguments, ..Default::default() };
    let (output, input) = kernel::files::pipe().map_err(|error| format!("Failed to make a pipe: {error}"))?;
    let pid = processes.spawn(&command, Some(input.as_fd()))?;
    Ok(Means::Curl { pid, output })
}

/// The status that curl wrote before it ended.
fn status_in(output: &mut OwnedFd) -> Option<u16> {
    let mut text = [0; 16];
    let count = File::from(output.try_clone().ok()?).read(&mut text).ok()?;
    std::str::from_utf8(text.get(..count)?).ok()?.trim().parse().ok().filter(|status| *status >= 100)
}

/// The status of an answer, once its head is there.
fn read_http(connection: &mut Connection) -> Result<Option<u16>, String> {
    connection.flush().and_then(|()| connection.fill()).map_err(|error| error.to_string())?;
    if let Some(Piece::Head { status }) = connection.next().map_err(|error| error.to_string())? {
        return Ok(Some(status));
    }
    if connection.at_end() { Err("no answer".to_owned()) } else { Ok(None) }
}

#[allow(clippy::large_enum_variant, reason = "there are as many as checks under way, which are few")]
enum Next {
    Answer(u16),
    Ask(Means),
}

/// What an answer leads to: itself, or where it redirects to.
fn follow(status: u16, answer: &Connection, url: &Url, hops: u32, processes: &Processes) -> Result<Next, String> {
    let location = answer.location().filter(|_| matches!(status, 301 | 302 | 303 | 307 | 308));
    let Some(location) = location else { return Ok(Next::Answer(status)) };
    if hops >= redirect::HOPS_MAX {
        return Err(format!("more than {} redirects", redirect::HOPS_MAX));
    }
    match url.follow(location)? {
        Hop::Http(url) => ask(url, hops + 1).map(Next::Ask),
        Hop::Curl(url) => start_curl(&url, processes).map(Next::Ask),
    }
}

fn failed(target: &Target, why: String) -> ProbeResult {
    match target {
        Target::Tcp { .. } => ProbeResult::Tcp(false),
        _ => ProbeResult::Failed(why),
    }
}

fn address(port: u16, v6: bool) -> SocketAddr {
    let ip = if v6 { IpAddr::V6(Ipv6Addr::LOCALHOST) } else { IpAddr::V4(Ipv4Addr::LOCALHOST) };
    SocketAddr::new(ip, port)
}
