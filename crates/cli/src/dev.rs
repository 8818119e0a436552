//! `meseta dev`: a master and agents in one process, to try things out. With --work-dir it is the same cluster after a
//! restart: agents keep their ports and the cgroups of their tasks.

use std::{
    fs,
    future::poll_fn,
    io,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    pin::pin,
    process::ExitCode,
    task::Poll,
    time::Duration,
};

use observe::{
    host,
    logging::{self, LogConfig},
};
use stdx::flags::{self, Table};
use tokio::time::{Instant, interval_at};

use crate::{
    output::{complain, fail, number, print},
    runtime::{runtime, told_to_stop},
    servers::PREFIX,
};

#[derive(clap::Args)]
pub struct DevArguments {
    /// How many agents.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=100))]
    pub agents: u16,
    /// The master's port; agents take free ones, and keep them with --work-dir.
    #[arg(long, default_value_t = 5050)]
    pub port: u16,
    /// Where everything is kept, so that the cluster goes on after a restart. Without it a temporary directory, which
    /// is removed at the end.
    #[arg(long)]
    pub work_dir: Option<PathBuf>,
    /// What each agent offers, such as 'cpus:4;mem:2048'. Without it agents share this machine evenly.
    #[arg(long)]
    pub resources: Option<String>,
    /// How tasks are kept apart; as far as this host allows without it.
    #[arg(long, default_value = "all")]
    pub isolation: String,
}

/// Below a work directory: the agent's port.
const PORT_FILE: &str = "port";
/// How often it is said what the end waits for.
const TELL_EVERY: Duration = Duration::from_secs(2);
/// What tasks get to end by themselves when the cluster stops.
const GRACE: &str = "2secs";
const CGROUPS: &str = "/sys/fs/cgroup";
const CGROUP_PREFIX: &str = "meseta-dev-";
const CGROUP_DEPTH_MAX: usize = 32;
const GIB: u64 = 1 << 30;

/// The cluster, running.
pub struct Dev {
    pub master: master::Running,
    pub agents: Vec<DevAgent>,
}

pub struct DevAgent {
    number: u16,
    running: agent::Running,
    cgroups_root: String,
}

pub fn dev(arguments: DevArguments) -> ExitCode {
    let temporary = match &arguments.work_dir {
        Some(_) => None,
        None => match tempfile::Builder::new().prefix("meseta-dev-").tempdir() {
            Ok(directory) => Some(directory),
            Err(error) => {
                return fail(&format!("cannot make a temporary directory: {error}; give one with --work-dir"));
            }
        },
    };
    let home =
        arguments.work_dir.as_deref().or(temporary.as_ref().map(tempfile::TempDir::path)).unwrap_or(Path::new("."));
    let home = match fs::create_dir_all(home).and_then(|()| home.canonicalize()) {
        Ok(home) => home,
        Err(error) => return fail(&format!("--work-dir: {}: {error}", home.display())),
    };
    let level = LogConfig { level: "warn".into(), ..LogConfig::new("meseta") };
    let started = logging::start(&level).map_err(|e| e.to_string()).and_then(|_| runtime());
    match started {
        Ok(runtime) => runtime.block_on(run(&arguments, &home)),
        Err(why) => fail(&why),
    }
}

async fn run(arguments: &DevArguments, home: &Path) -> ExitCode {
    let mut dev = match start(arguments, home).await {
        Ok(started) => started,
        Err(why) => return fail(&why),
    };
    print(&format!(
        "Meseta listens at http://{}, with {} agent(s); files below {}\nIn another terminal: meseta run --master {} 'echo hello'",
        dev.master.address,
        dev.agents.len(),
        home.display(),
        dev.master.address
    ));
    let mut stop = pin!(told_to_stop());
    let code = loop {
        let ended = tokio::select! {
            () = &mut stop => break ExitCode::SUCCESS,
            ended = dev.next_end() => ended,
        };
        match ended {
            Ended::Master(why) => {
                complain(&format!("the master ended, and the cluster with it: {why}"));
                break ExitCode::FAILURE;
            }
            Ended::Agent(number, why) if dev.agents.is_empty() => {
                complain(&format!("agent {number}, the last one, ended, and the cluster with it: {why}"));
                break ExitCode::FAILURE;
            }
            Ended::Agent(number, why) => {
                complain(&format!(
                    "agent {number} ended: {why}; the cluster goes on with {} agent(s)",
                    dev.agents.len()
                ));
            }
        }
    };
    tokio::select! {
        () = dev.stop() => code,
        () = told_to_stop() => {
            complain("left at once; tasks that still run end by themselves within 15 minutes");
            ExitCode::from(130)
        }
    }
}

/// A part of the cluster that ended by itself, and why.
enum Ended {
    Master(String),
    Agent(u16, String),
}

impl Dev {
    /// Waits until a part ends; an agent is then no longer among `agents`.
    async fn next_end(&mut self) -> Ended {
        let (at, why) = tokio::select! {
            why = self.master.ended() => return Ended::Master(why),
            ended = first_end(&mut self.agents) => ended,
        };
        let agent = self.agents.remove(at);
        remove_cgroups(&agent.cgroups_root);
        Ended::Agent(agent.number, why)
    }

    /// Ends the agents, their executors and tasks, and says what that waits for.
    pub async fn stop(self) {
        let Dev { master, mut agents } = self;
        for agent in &agents {
            agent.running.shut_down("the development cluster stops").await;
        }
        let begun = Instant::now();
        let mut ticks = interval_at(begun + TELL_EVERY, TELL_EVERY);
        while !agents.is_empty() {
            tokio::select! {
                (at, _) = first_end(&mut agents) => remove_cgroups(&agents.remove(at).cgroups_root),
                _ = ticks.tick() => {
                    let numbers: Vec<String> = agents.iter().map(|agent| agent.number.to_string()).collect();
                    complain(&format!(
                        "ending the tasks of agent {} for {} s; Ctrl-C leaves at once",
                        numbers.join(", "),
                        begun.elapsed().as_secs()
                    ));
                }
            }
        }
        drop(master);
    }
}

/// Waits until one of these agents ends; pending for ever if there are none.
async fn first_end(agents: &mut [DevAgent]) -> (usize, String) {
    let mut ends: Vec<_> = agents.iter_mut().map(|agent| Box::pin(agent.running.ended())).collect();
    poll_fn(|context| {
        let mut all = ends.iter_mut().enumerate();
        let ended = all.find_map(|(at, end)| match end.as_mut().poll(context) {
            Poll::Ready((_, why)) => Some((at, why)),
            Poll::Pending => None,
        });
        ended.map_or(Poll::Pending, Poll::Ready)
    })
    .await
}

/// Starts the development cluster on the current runtime.
pub async fn start(arguments: &DevArguments, home: &Path) -> Result<Dev, String> {
    remove_cgroups_of_dead();
    let read = |table: &'static Table, args: Vec<String>| flags::parse(table, PREFIX, args, []);
    let master_flags = vec![
        format!("--port={}", arguments.port),
        format!("--work_dir={}", home.join("master").display()),
        "--no-hostname_lookup".into(),
    ];
    let master = master::start(read(&master::flags::TABLE, master_flags)?, None).await?;
    let mut dev = Dev { master, agents: Vec::new() };
    for number in 1..=arguments.agents {
        let work_dir = home.join(format!("agent{number}"));
        let cgroups_root = match &arguments.work_dir {
            Some(_) => format!("{CGROUP_PREFIX}at-{:016x}", hash(&work_dir)),
            None => format!("{CGROUP_PREFIX}{}-{number}", std::process::id()),
        };
        let port = remembered_port(&work_dir)?;
        let flags = vec![
            format!("--master={}", dev.master.address),
            format!("--port={}", port.unwrap_or(0)),
            format!("--work_dir={}", work_dir.display()),
            format!("--runtime_dir={}", work_dir.join("run").display()),
            format!("--cgroups_root={cgroups_root}"),
            format!("--isolation={}", arguments.isolation),
            format!("--executor_shutdown_grace_period={GRACE}"),
            format!("--resources={}", arguments.resources.clone().unwrap_or_else(|| share(arguments.agents, home))),
            "--registration_backoff_factor=10ms".into(),
            "--no-hostname_lookup".into(),
        ];
        let explain = |why: String| match port {
            Some(port) => format!(
                "agent {number}: {why}\nIt had port {port} before, which other programs know it by; end what uses that port, or \
                 remove {} to begin anew",
                work_dir.display()
            ),
            None => format!("agent {number}: {why}"),
        };
        let running = agent::start(read(&agent::flags::TABLE, flags)?, None).await.map_err(explain)?;
        remember_port(&work_dir, running.address.port()).map_err(|error| format!("agent {number}: {error}"))?;
        dev.agents.push(DevAgent { number, running, cgroups_root });
    }
    Ok(dev)
}

/// An agent is known by its port: one that comes back at another is refused by its own records.
fn remembered_port(work_dir: &Path) -> Result<Option<u16>, String> {
    let path = work_dir.join(PORT_FILE);
    match fs::read_to_string(&path) {
        Ok(text) => match text.trim().parse() {
            Ok(port) => Ok(Some(port)),
            Err(_) => Err(format!("{} does not hold a port", path.display())),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("cannot read {}: {error}", path.display())),
    }
}

fn remember_port(work_dir: &Path, port: u16) -> io::Result<()> {
    let (path, new) = (work_dir.join(PORT_FILE), work_dir.join("port.new"));
    fs::write(&new, format!("{port}\n"))?;
    fs::rename(new, path)
}

/// What each of so many agents offers of this machine.
fn share(agents: u16, home: &Path) -> String {
    let part = 1.0 / f64::from(agents.max(1));
    // As an agent alone would: something stays for the system.
    let (memory, disk) = (host::memory_bytes(), host::disk_bytes(home).unwrap_or(0));
    let memory = if memory >= 2 * GIB { memory - GIB } else { memory / 2 };
    let disk = if disk >= 10 * GIB { disk - 5 * GIB } else { disk / 2 };
    let megabytes = |bytes: u64| ((bytes >> 20) as f64 * part).floor();
    let cpus = (host::cpus() * part * 1000.0).floor() / 1000.0;
    format!("cpus:{};mem:{};disk:{}", number(cpus), megabytes(memory), megabytes(disk))
}

/// FNV-1a: the same for a path in every version of this program.
fn hash(path: &Path) -> u64 {
    path.as_os_str()
        .as_bytes()
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

/// In each hierarchy the cgroup of this name, if nothing runs in it any more.
fn remove_cgroups(name: &str) {
    hierarchies().for_each(|hierarchy| remove_empty(&hierarchy.join(name), CGROUP_DEPTH_MAX));
}

/// The unified hierarchy, or each of the older ones.
fn hierarchies() -> impl Iterator<Item = PathBuf> {
    let below = fs::read_dir(CGROUPS).into_iter().flatten().flatten().map(|entry| entry.path());
    below.chain([CGROUPS.into()])
}

/// The kernel removes no cgroup in which something runs.
fn remove_empty(cgroup: &Path, depth_max: usize) {
    let entries = fs::read_dir(cgroup).into_iter().flatten().flatten();
    for child in entries.filter(|entry| depth_max > 0 && entry.file_type().is_ok_and(|kind| kind.is_dir())) {
        remove_empty(&child.path(), depth_max - 1);
    }
    let _ = fs::remove_dir(cgroup);
}

/// What a development cluster leaves behind that was killed. Those with a work directory may come back.
fn remove_cgroups_of_dead() {
    for hierarchy in hierarchies() {
        for entry in fs::read_dir(hierarchy).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let pid = name
                .strip_prefix(CGROUP_PREFIX)
                .and_then(|rest| rest.split_once('-'))
                .and_then(|(pid, _)| pid.parse().ok());
            if pid.is_some_and(|pid: u32| !Path::new("/proc").join(pid.to_string()).exists()) {
                remove_cgroups(&name);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agents_share_the_machine() {
        let cpus = |agents| {
            let text = share(agents, Path::new("/"));
            let (_, rest) = text.split_once("cpus:").expect("cpus");
            rest.split(';').next().and_then(|cpus| cpus.parse::<f64>().ok()).expect("a number")
        };
        assert!((cpus(1) - host::cpus()).abs() < 0.01);
        assert!(cpus(4) * 4.0 <= host::cpus());
    }

    #[test]
    fn a_port_is_remembered() {
        let home = tempfile::tempdir().expect("a directory");
        assert_eq!(remembered_port(home.path()), Ok(None));
        remember_port(home.path(), 31_415).expect("writable");
        assert_eq!(remembered_port(home.path()), Ok(Some(31_415)));
        fs::write(home.path().join(PORT_FILE), "x").expect("writable");
        assert!(remembered_port(home.path()).expect_err("no port").contains("does not hold a port"));
    }
}
