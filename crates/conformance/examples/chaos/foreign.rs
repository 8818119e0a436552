//! A framework on somebody else's driver (`chaos/framework.py`): PyMesos, or the driver of Mesos itself. Where such a
//! driver cannot look for the leader itself, because that is told by etcd, it is started again beside each new one, as
//! its operator would do.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{BufRead, BufReader, Write},
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, RecvTimeoutError, channel},
    },
    time::{Duration, Instant},
};

use client::Credential;
use proto::v1::{self, TaskState};

use crate::{
    books::{Books, Report},
    watch,
};

/// Where it finds the leader.
pub enum Leader {
    Url(String),
    /// One of them leads.
    Among(Vec<SocketAddr>),
}

pub struct Foreign {
    pub name: String,
    /// What runs the script: `libmesos` or `pymesos`.
    pub kind: &'static str,
    /// The interpreter, and its arguments before the script.
    pub program: Vec<PathBuf>,
    pub leader: Leader,
    pub address: IpAddr,
    pub home: PathBuf,
    pub busy: Arc<AtomicBool>,
    pub share: u64,
    pub credential: Option<Credential>,
    pub books: Books,
}

struct Run {
    child: Child,
    orders: ChildStdin,
    lines: Receiver<String>,
    master: String,
    told_to_stop: bool,
}

const LOOK: Duration = Duration::from_millis(200);
const FAREWELL: Duration = Duration::from_secs(10);

impl Foreign {
    /// The interpreter that has PyMesos.
    pub fn pymesos() -> Option<Vec<PathBuf>> {
        let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/python/bin/python");
        python.exists().then(|| vec![python])
    }

    /// The program that runs Mesos's own driver.
    pub fn libmesos() -> Option<Vec<PathBuf>> {
        Some(vec![std::env::var_os("MESETA_LIBMESOS")?.into(), "driver".into()])
    }

    /// Blocks until all is over.
    pub fn run(mut self) -> Report {
        let mut run = None;
        loop {
            let Some(now) = &mut run else {
                run = self.start();
                if run.is_none() {
                    std::thread::sleep(LOOK);
                }
                continue;
            };
            match now.lines.recv_timeout(LOOK) {
                Ok(line) => self.on_line(&line),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    self.end(&mut run);
                    continue;
                }
            }
            if !self.busy.load(Ordering::Relaxed) && !now.told_to_stop {
                let _ = writeln!(now.orders, "stop");
                now.told_to_stop = true;
            }
            if now.told_to_stop && self.books.open().next().is_none() {
                let _ = writeln!(now.orders, "end");
                let begun = Instant::now();
                while now.child.try_wait().is_ok_and(|status| status.is_none()) && begun.elapsed() < FAREWELL {
                    std::thread::sleep(LOOK);
                }
                self.end(&mut run);
                return self.books.close();
            }
            let moved = self.master().is_some_and(|master| master != now.master);
            if moved {
                self.end(&mut run);
            }
        }
    }

    fn master(&self) -> Option<String> {
        match &self.leader {
            Leader::Url(url) => Some(url.clone()),
            Leader::Among(masters) => watch::leader(masters).map(|leader| leader.to_string()),
        }
    }

    fn start(&self) -> Option<Run> {
        let master = self.master()?;
        let open: BTreeMap<&String, &String> = self.books.open().map(|(id, agent)| (id, &agent.value)).collect();
        let log = File::options().create(true).append(true).open(self.home.join(format!("{}.log", self.name))).ok()?;
        let mut command = Command::new(self.program.first()?);
        command
            .args(self.program.get(1..).unwrap_or_default())
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("chaos/framework.py"))
            .args([self.kind, &master])
            .env("NAME", &self.name)
            .env("SHARE", self.share.to_string())
            .env("TRACES", self.home.join("traces"))
            .env("ADDRESS", self.address.to_string())
            .env("FRAMEWORK", self.books.id())
            .env("NEXT", self.books.launched().to_string())
            .env("OPEN", serde_json::to_string(&open).unwrap_or_default())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log);
        if let Some(credential) = &self.credential {
            command.env("PRINCIPAL", &credential.principal).env("SECRET", &credential.secret);
        }
        let mut child = testkit::processes::ends_with_its_thread(&mut command).spawn().ok()?;
        let (orders, output) = (child.stdin.take()?, child.stdout.take()?);
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            BufReader::new(output).lines().map_while(Result::ok).all(|line| sender.send(line).is_ok())
        });
        Some(Run { child, orders, lines, master, told_to_stop: false })
    }

    fn on_line(&mut self, line: &str) {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["registered", id] => self.books.on_registered(id),
            ["launch", task, agent] => self.books.on_launch(task.to_owned(), v1::AgentId { value: agent.to_owned() }),
            ["update", task, state, known] => match TaskState::from_str_name(state) {
                Some(state) => self.books.on_state(task, state, known == "told", ""),
                None => self.books.problems.push(format!("{}: {line}", self.name)),
            },
            ["error", ..] => self.books.problems.push(format!("{}: {line}", self.name)),
            _ => {}
        }
    }

    /// What it said before its end counts: one that is started again must not launch the same tasks once more.
    fn end(&mut self, run: &mut Option<Run>) {
        let Some(mut run) = run.take() else { return };
        let _ = run.child.kill();
        let _ = run.child.wait();
        for line in run.lines {
            self.on_line(&line);
        }
    }
}
