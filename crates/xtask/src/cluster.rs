//! `cargo xtask cluster up | status | down`: a cluster of real processes on loopback, kept in `target/cluster`:
//! masters, agents, and the ZooKeeper or etcd servers where several masters meet.

use std::{
    fs::{self, File},
    net::TcpStream,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::Command,
    thread::sleep,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use testkit::services::{self, Kind, Settings, Site};

use crate::shell::{built, cargo, root, run};

#[derive(clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(clap::Subcommand)]
enum Verb {
    /// Starts masters and agents; a cluster that runs already is stopped first.
    Up {
        /// More than one needs a store that masters can share.
        #[arg(long, default_value_t = 1)]
        masters: u16,
        /// Where the registry is kept; zk and etcd start three servers of their own.
        #[arg(long, value_enum, default_value = "embedded")]
        store: Store,
        #[arg(long, default_value_t = 2)]
        agents: u16,
        /// The first master's port; the others and the agents take the ports above it.
        #[arg(long, default_value_t = 5050)]
        port: u16,
        /// What each agent offers.
        #[arg(long, default_value = "cpus:4;mem:4096;disk:10000;ports:[31000-32000]")]
        resources: String,
    },
    /// Which processes run, and where their logs are.
    Status,
    /// Stops every process, tasks included, and removes every trace.
    Down,
}

#[derive(clap::ValueEnum, Clone, Copy, PartialEq, Eq)]
enum Store {
    Embedded,
    Zk,
    Etcd,
}

impl Store {
    fn service(self) -> Option<(Kind, &'static str)> {
        match self {
            Store::Embedded => None,
            Store::Zk => Some((Kind::ZooKeeper, "zk")),
            Store::Etcd => Some((Kind::Etcd, "etcd")),
        }
    }
}

/// Servers of ZooKeeper or etcd: as many as survive the loss of one.
const STORE_SERVERS: usize = 3;

pub fn cluster(arguments: &Arguments) -> Result<()> {
    match &arguments.verb {
        Verb::Up { masters, store, agents, port, resources } => up(*masters, *store, *agents, *port, resources),
        Verb::Status => status(),
        Verb::Down => down(),
    }
}

fn home() -> PathBuf {
    root().join("target/cluster")
}

fn up(masters: u16, store: Store, agents: u16, port: u16, resources: &str) -> Result<()> {
    if masters == 0 || (masters > 1 && store == Store::Embedded) {
        bail!("several masters need a store that they can share: add --store zk or --store etcd");
    }
    let program = program()?;
    down()?;
    fs::create_dir_all(home())?;
    let place = start_store(store)?;
    let master = place.as_ref().map_or_else(|| format!("127.0.0.1:{port}"), |(_, url)| url.clone());
    for i in 1..=masters {
        let port = port + i - 1;
        let mut flags = vec!["master".into(), format!("--port={port}")];
        flags.extend(place.as_ref().map(|(flag, url)| format!("--{flag}={url}")));
        start(&program, &format!("master{i}"), port, &flags)?;
    }
    let port = port + masters - 1;
    for i in 1..=agents {
        let name = format!("agent{i}");
        let flags = [
            "agent".into(),
            format!("--master={master}"),
            format!("--port={}", port + i),
            format!("--resources={resources}"),
            format!("--runtime_dir={}", home().join(&name).join("run").display()),
            format!("--cgroups_root=meseta-cluster-{i}"),
            "--isolation=all".into(),
        ];
        start(&program, &name, port + i, &flags)?;
    }
    println!("cluster: {masters} master(s), {master}; {agents} agents; logs below {}", home().display());
    println!("try: {} run --master {master} 'echo hello'", program.display());
    Ok(())
}

/// What `MESETA_BIN` names, or else the optimised program, built.
fn program() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("MESETA_BIN") {
        return Ok(path.into());
    }
    run(cargo().args(["build", "--release", "--quiet", "--package", "meseta"]))?;
    Ok(built("release", "meseta"))
}

/// The flag of the masters and its value; none if they need no service.
fn start_store(store: Store) -> Result<Option<(&'static str, String)>> {
    let Some((kind, flag)) = store.service() else { return Ok(None) };
    if let Some(package) = kind.missing() {
        bail!("{package} is not installed: apt-get install {package}");
    }
    let settings = Settings { tick_ms: 2_000, ..Settings::default() };
    let plans = services::plan(kind, &Site::on_loopback(STORE_SERVERS), &home(), &settings);
    for plan in &plans {
        let server = plan.command().process_group(0).spawn().context("cannot start a server of the store")?;
        fs::write(plan.directory.join("pid"), server.id().to_string())?;
    }
    services::wait_ready(kind, &plans);
    Ok(Some((flag, services::url(kind, &plans, "", "/mesos"))))
}

fn start(program: &Path, name: &str, port: u16, flags: &[String]) -> Result<()> {
    let directory = home().join(name);
    fs::create_dir_all(&directory)?;
    let log = File::create(directory.join("log"))?;
    let mut command = Command::new(program);
    command.args(flags).arg(format!("--work_dir={}", directory.display())).arg("--no-hostname_lookup");
    command.stdout(log.try_clone()?).stderr(log).process_group(0);
    let mut child = command.spawn().with_context(|| format!("cannot start {name}"))?;
    fs::write(directory.join("pid"), child.id().to_string())?;
    for _ in 0..200 {
        if TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return Ok(());
        }
        if let Some(status) = child.try_wait()? {
            let log = fs::read_to_string(directory.join("log")).unwrap_or_default();
            bail!("{name} ended with {status}:\n{log}");
        }
        sleep(Duration::from_millis(50));
    }
    bail!("{name} does not listen on port {port}; see {}", directory.join("log").display())
}

fn status() -> Result<()> {
    let names = members();
    if names.is_empty() {
        println!("cluster: none; `cargo xtask cluster up` starts one");
    }
    for (name, pid) in names {
        let alive = Path::new(&format!("/proc/{pid}")).exists();
        println!(
            "{name:10} pid {pid:7} {} {}",
            if alive { "runs" } else { "gone" },
            home().join(&name).join("log").display()
        );
    }
    Ok(())
}

fn down() -> Result<()> {
    if !home().exists() {
        return Ok(());
    }
    for (_, pid) in members() {
        signal(pid, "KILL");
    }
    for pid in processes_below(&home()) {
        signal(pid, "KILL");
    }
    for _ in 0..100 {
        if processes_below(&home()).is_empty() {
            break;
        }
        sleep(Duration::from_millis(50));
    }
    remove_cgroups(Path::new("/sys/fs/cgroup"), 0);
    fs::remove_dir_all(home()).context("cannot remove target/cluster")
}

/// The names and pids of the cluster's servers.
fn members() -> Vec<(String, u32)> {
    let entries = fs::read_dir(home()).into_iter().flatten().flatten();
    let member = |entry: fs::DirEntry| {
        let pid = fs::read_to_string(entry.path().join("pid")).ok()?.trim().parse().ok()?;
        Some((entry.file_name().to_string_lossy().into_owned(), pid))
    };
    let mut members: Vec<_> = entries.filter_map(member).collect();
    members.sort();
    members
}

/// Processes whose environment or command line names a path below `directory`: executors and tasks of its agents.
fn processes_below(directory: &Path) -> Vec<u32> {
    let mark = directory.as_os_str().as_encoded_bytes();
    let names_it = |pid: &u32| {
        ["environ", "cmdline"].iter().any(|file| {
            let content = fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
            content.windows(mark.len()).any(|window| window == mark)
        })
    };
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| *pid != std::process::id()).filter(names_it).collect()
}

fn signal(pid: u32, name: &str) {
    let _ =
        Command::new("kill").args([format!("-{name}"), pid.to_string()]).stderr(std::process::Stdio::null()).status();
}

/// Removes the cluster's cgroups in every hierarchy, children first.
fn remove_cgroups(directory: &Path, depth: usize) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    for entry in entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
        let ours = entry.file_name().to_string_lossy().starts_with("meseta-cluster-");
        if ours {
            remove_tree(&entry.path());
        } else if depth == 0 {
            remove_cgroups(&entry.path(), 1);
        }
    }
}

fn remove_tree(directory: &Path) {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    for entry in entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
        remove_tree(&entry.path());
    }
    let _ = fs::remove_dir(directory);
}
