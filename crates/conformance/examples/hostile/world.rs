//! The cluster under attack, its neighbour, and what is looked at after each attack.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Read,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use client::{Incoming, Masters, SchedulerClient, Subscription};
use proto::v1::{self, TaskState};
use testkit::{Cluster, Options, http, processes};
use tokio::runtime::Runtime;

use crate::{
    kinds::{Ends, Kind},
    peers::Attack,
};

/// Nothing takes as long; it only keeps a broken run from hanging.
const PATIENCE: Duration = Duration::from_secs(60);
/// A neighbour writes ten times a second, and later on a machine with much else to do.
const HEARTBEAT: Duration = Duration::from_secs(30);
/// After that a task that is to be killed is killed.
const LET_RUN: Duration = Duration::from_secs(2);

pub struct World<'a> {
    runtime: &'a Runtime,
    cluster: Cluster,
    client: SchedulerClient,
    subscription: Subscription,
    offer: Option<v1::Offer>,
    states: BTreeMap<String, v1::TaskStatus>,
    host: Host,
    user: String,
    neighbours: usize,
}

/// What no task may change.
#[derive(PartialEq, Debug)]
struct Host {
    name: String,
    mounts: usize,
    shared_memory: BTreeSet<String>,
    marks: Vec<PathBuf>,
}

impl Host {
    fn look() -> Host {
        let names = |path: &str| -> BTreeSet<String> {
            let entries = fs::read_dir(path).into_iter().flatten().flatten();
            entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
        };
        let marks = ["/etc", "/usr/bin", "/root", "/tmp"].iter().flat_map(|directory| {
            let found = names(directory).into_iter().filter(|name| name.starts_with("meseta-hostile"));
            found.map(|name| Path::new(directory).join(name)).collect::<Vec<_>>()
        });
        Host {
            name: fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default(),
            mounts: fs::read_to_string("/proc/self/mounts").unwrap_or_default().lines().count(),
            shared_memory: names("/dev/shm").into_iter().filter(|name| name.contains("hostile")).collect(),
            marks: marks.collect(),
        }
    }
}

impl World<'_> {
    pub fn start<'a>(runtime: &'a Runtime, user: &str) -> Result<World<'a>> {
        let host = Host::look();
        ensure!(host.marks.is_empty(), "an attack of a former run succeeded, remove {:?}", host.marks);
        let isolation = if processes::is_root() { "all" } else { "posix/cpu,posix/mem" };
        let agent_flags = vec![
            format!("--isolation={isolation}"),
            "--enforce_container_disk_quota".into(),
            "--container_disk_watch_interval=200ms".into(),
            "--gc_delay=1secs".into(),
            "--disk_watch_interval=1secs".into(),
        ];
        let cluster = Cluster::start(Options { agent_flags, ..Options::default() });
        let client = SchedulerClient::new(cluster.master_address().parse::<Masters>()?);
        let info = v1::FrameworkInfo {
            user: user.to_owned(),
            name: "hostile".into(),
            failover_timeout: Some(60.0),
            ..Default::default()
        };
        let subscription = Subscription::new(client.clone(), info);
        let mut world = World {
            runtime,
            cluster,
            client,
            subscription,
            offer: None,
            states: BTreeMap::new(),
            host,
            user: user.to_owned(),
            neighbours: 0,
        };
        world.start_neighbour()?;
        Ok(world)
    }

    /// Another one, if the former is dead.
    fn start_neighbour(&mut self) -> Result<()> {
        self.neighbours += 1;
        let name = self.neighbour();
        self.launch(&name, "while :; do date +%s.%N >> beats; sleep 0.1; done", &[])?;
        self.wait(&name, |state| state == TaskState::TaskRunning)?;
        processes::wait_for(PATIENCE, || (self.beats() > 0).then_some(())).context("the neighbour has no pulse")
    }

    fn neighbour(&self) -> String {
        format!("neighbour{}", self.neighbours)
    }

    /// Runs a hostile task to its end; what went wrong.
    pub fn suffer(&mut self, kind: &Kind) -> Result<Vec<String>> {
        let socket = self.find("agent.sock").map(|path| path.display().to_string()).unwrap_or_default();
        let script = kind.script.replace("@HOST_PIDNS@", &fs::read_link("/proc/self/ns/pid")?.to_string_lossy());
        let script = script.replace("@AGENT@", &self.cluster.agent_address(0)).replace("@SOCKET@", &socket);
        let uris = if kind.name.starts_with("fetches") { &["/etc/shadow"][..] } else { kind.uris };
        self.launch(kind.name, &script, uris)?;
        if kind.ends == Ends::Killed {
            self.wait(kind.name, |state| state == TaskState::TaskRunning)?;
            std::thread::sleep(LET_RUN);
            self.kill(kind.name)?;
        }
        let mut wrong = self.read_while_it_runs(kind)?;
        let status = self.wait(kind.name, is_end)?;
        let reason = status.reason().as_str_name();
        match kind.ends {
            Ends::Fails(wanted) if reason != wanted => {
                wrong.push(format!("ended as {:?}, {reason}, {:?}; wanted {wanted}", status.state(), status.message));
            }
            Ends::Killed if status.state() != TaskState::TaskKilled => {
                wrong.push(format!("ended as {:?}, wanted killed", status.state()));
            }
            _ => {}
        }
        wrong.extend(self.escapes(kind.name));
        wrong.extend(self.check()?);
        Ok(wrong)
    }

    /// A peer attacks; what went wrong.
    pub fn bear(&mut self, attack: &Attack) -> Result<Vec<String>> {
        let mut wrong = attack(&self.cluster.master_address(), &self.cluster.agent_address(0));
        wrong.extend(self.check()?);
        Ok(wrong)
    }

    /// Ends all; what is left.
    pub fn end(self) -> Vec<String> {
        let _ = self.runtime.block_on(self.client.teardown());
        let home = self.cluster.home().to_owned();
        // What a task closed, and the agent has not yet removed, only root can remove as it is.
        let opened = Command::new("chmod").args(["-R", "u+rwX"]).arg(&home).stderr(Stdio::null()).status();
        drop(self.cluster);
        let mut left = Vec::new();
        if home.exists() {
            left.push(format!("{} is still there ({opened:?})", home.display()));
        }
        let pids = processes::processes_of(&home);
        if !pids.is_empty() {
            left.push(format!("processes {pids:?} still run"));
        }
        left
    }

    /// What the operator's reads of the sandbox show while the task tampers with it.
    fn read_while_it_runs(&mut self, kind: &Kind) -> Result<Vec<String>> {
        let file = match kind.name {
            "swaps_a_file_while_it_is_read" => "x",
            name if name.starts_with("turns_its_output") => "stdout",
            "makes_fifty_thousand_files" => "many",
            _ => return Ok(Vec::new()),
        };
        self.wait(kind.name, |state| state == TaskState::TaskRunning || is_end(state))?;
        let Some(sandbox) = self.sandbox(kind.name) else { return Ok(vec!["no sandbox".into()]) };
        let secret = fs::read_to_string("/etc/shadow").ok().and_then(|text| text.lines().next().map(str::to_owned));
        let mut wrong = Vec::new();
        for _ in 0..100 {
            for what in ["read", "browse", "download"] {
                let path = format!("/files/{what}?path={}/{file}&offset=0&length=1000", sandbox.display());
                let Some(answer) = http::ask(&self.cluster.agent_address(0), "GET", &path) else {
                    wrong.push(format!("the agent does not answer {what}"));
                    return Ok(wrong);
                };
                if secret.as_ref().is_some_and(|secret| answer.body.contains(secret)) {
                    wrong.push(format!("/files/{what} shows /etc/shadow"));
                    return Ok(wrong);
                }
            }
        }
        Ok(wrong)
    }

    /// What must hold after every attack.
    fn check(&mut self) -> Result<Vec<String>> {
        let mut wrong = Vec::new();
        // Counted from here: one that died in the middle of the attack has beaten since its beginning, too.
        let beats = self.beats();
        for address in [self.cluster.master_address(), self.cluster.agent_address(0)] {
            let answers = processes::wait_for(PATIENCE, || http::ask(&address, "GET", "/health"));
            if answers.is_none_or(|answer| answer.status != 200) {
                bail!("{address} is deaf or dead:\n{}", self.cluster.logs());
            }
        }
        if processes::wait_for(HEARTBEAT, || (self.beats() > beats).then_some(())).is_none() {
            wrong.push("the neighbour is dead or stopped".into());
            self.start_neighbour()?;
        }
        // The launcher of an ended container goes a moment after the last update.
        let gone = processes::wait_for(Duration::from_secs(20), || self.strangers().is_empty().then_some(()));
        if gone.is_none() {
            wrong.push(format!("processes are left: {:?}", self.strangers()));
        }
        let host = Host::look();
        if host != self.host {
            wrong.push(format!("the host changed: {:?} was {:?}", host, self.host));
            // The next attack is judged by itself.
            let shared = host.shared_memory.iter().map(|name| Path::new("/dev/shm").join(name));
            host.marks.iter().cloned().chain(shared).for_each(|path| drop(fs::remove_file(path)));
        }
        Ok(wrong)
    }

    /// Processes in sandboxes of other tasks than the neighbour.
    fn strangers(&self) -> Vec<String> {
        let pids = processes::processes_of(self.cluster.home());
        let command = |pid: i32| fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let of_hostile = |pid: &i32| {
            let environ = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            let environ = String::from_utf8_lossy(&environ);
            environ.contains("MESOS_EXECUTOR_ID=") && !environ.contains("MESOS_EXECUTOR_ID=neighbour")
        };
        let of_hostile = pids.into_iter().filter(of_hostile);
        of_hostile.map(|pid| format!("{pid} {}", String::from_utf8_lossy(&command(pid)).replace('\0', " "))).collect()
    }

    fn escapes(&self, name: &str) -> Vec<String> {
        let Some(sandbox) = self.sandbox(name) else { return Vec::new() };
        let mut text = String::new();
        // The task may have put anything there.
        let file = fs::File::options()
            .read(true)
            .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
            .open(sandbox.join("stdout"));
        if let Ok(file) = file {
            let mut bytes = Vec::new();
            let _ = file.take(1 << 20).read_to_end(&mut bytes);
            text = String::from_utf8_lossy(&bytes).into_owned();
        }
        text.lines().filter(|line| line.contains("ESCAPED")).map(str::to_owned).collect()
    }

    fn beats(&self) -> u64 {
        let file = self.sandbox(&self.neighbour()).map(|sandbox| sandbox.join("beats"));
        file.and_then(|file| fs::metadata(file).ok()).map_or(0, |metadata| metadata.len())
    }

    fn sandbox(&self, task: &str) -> Option<PathBuf> {
        let latest = self.find(&format!("executors/{task}/runs/latest"))?;
        fs::canonicalize(latest).ok()
    }

    /// A path below the agent's directory that ends so.
    fn find(&self, end: &str) -> Option<PathBuf> {
        fn below(directory: &Path, end: &Path, depth: usize) -> Option<PathBuf> {
            let candidate = directory.join(end);
            if fs::symlink_metadata(&candidate).is_ok() {
                return Some(candidate);
            }
            if depth == 0 {
                return None;
            }
            let entries = fs::read_dir(directory).ok()?.flatten();
            let directories = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
            directories.into_iter().find_map(|entry| below(&entry.path(), end, depth - 1))
        }
        below(&self.cluster.agent_work_dir(0), Path::new(end), 4)
    }

    fn launch(&mut self, name: &str, script: &str, uris: &[&str]) -> Result<()> {
        let begun = Instant::now();
        while self.offer.is_none() {
            ensure!(begun.elapsed() < PATIENCE, "no offer for {name}");
            self.step()?;
        }
        let offer = self.offer.take().context("an offer")?;
        let uris = uris.iter().map(|uri| v1::command_info::Uri { value: (*uri).into(), ..Default::default() });
        let command = v1::CommandInfo {
            value: Some(script.into()),
            uris: uris.collect(),
            user: processes::is_root().then(|| self.user.clone()),
            ..Default::default()
        };
        let task = v1::TaskInfo {
            name: name.into(),
            task_id: v1::TaskId { value: name.into() },
            agent_id: offer.agent_id.clone(),
            resources: vec![scalar("cpus", 0.5), scalar("mem", 96.0), scalar("disk", 256.0)],
            command: Some(command),
            ..Default::default()
        };
        self.runtime.block_on(self.client.launch(vec![offer.id], vec![task]))?;
        Ok(())
    }

    fn kill(&mut self, name: &str) -> Result<()> {
        let agent = self.states.get(name).and_then(|status| status.agent_id.clone());
        self.runtime.block_on(self.client.kill(v1::TaskId { value: name.into() }, agent, None))?;
        Ok(())
    }

    /// Until a task is in such a state.
    fn wait(&mut self, name: &str, wanted: impl Fn(TaskState) -> bool) -> Result<v1::TaskStatus> {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.states.get(name).filter(|status| wanted(status.state())) {
                return Ok(status.clone());
            }
            if begun.elapsed() > PATIENCE {
                let state = self.states.get(name).map(v1::TaskStatus::state);
                bail!("{name} stays {state:?}:\n{}", self.cluster.logs());
            }
            self.step()?;
        }
    }

    /// Hears one event, or nothing for a moment.
    fn step(&mut self) -> Result<()> {
        const MOMENT: Duration = Duration::from_millis(200);
        let incoming = self.runtime.block_on(async { tokio::time::timeout(MOMENT, self.subscription.next()).await });
        let Ok(incoming) = incoming else { return Ok(()) };
        let Incoming::Event(event) = incoming? else { return Ok(()) };
        for offer in event.offers.into_iter().flat_map(|offers| offers.offers) {
            self.offer = Some(offer);
        }
        if event.rescind.is_some() {
            self.offer = None;
        }
        if let Some(update) = event.update {
            self.runtime.block_on(self.client.acknowledge(&update.status))?;
            self.states.insert(update.status.task_id.value.clone(), update.status);
        }
        Ok(())
    }
}

fn is_end(state: TaskState) -> bool {
    use TaskState::*;
    matches!(state, TaskFinished | TaskFailed | TaskKilled | TaskLost | TaskError | TaskDropped | TaskGone)
}

fn scalar(name: &str, value: f64) -> v1::Resource {
    v1::Resource {
        name: name.into(),
        r#type: v1::value::Type::Scalar as i32,
        scalar: Some(v1::value::Scalar { value }),
        ..Default::default()
    }
}
