//! A cluster of real processes on loopback: a master and agents, each with its own directory and log. Dropping it ends
//! all of them, their executors and tasks, and removes their cgroups.

use std::{
    fs::{self, File},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command},
    time::Duration,
};

use crate::{
    http,
    processes::{self, wait_for},
};

/// What cluster to start.
pub struct Options {
    pub agents: usize,
    /// What each agent offers.
    pub resources: String,
    /// More flags for the master, such as `--offer_timeout=1secs`.
    pub master_flags: Vec<String>,
    /// More flags for each agent.
    pub agent_flags: Vec<String>,
    /// More flags for the first agent, the second, and so on.
    pub flags_of_agents: Vec<Vec<String>>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            agents: 1,
            resources: "cpus:8;mem:8192;disk:10000;ports:[31000-32000]".into(),
            master_flags: Vec::new(),
            agent_flags: Vec::new(),
            flags_of_agents: Vec::new(),
        }
    }
}

impl Options {
    /// The cluster that the conformance scripts expect: one agent, names as a local Apache Mesos shows them. What was
    /// declined is offered again soon, so that scripts need not wait.
    pub fn conformance() -> Options {
        Options {
            master_flags: vec!["--hostname=localhost".into(), "--allocation_interval=20ms".into()],
            agent_flags: vec!["--hostname=localhost".into()],
            ..Options::default()
        }
    }

    /// The cluster that the scripts about who is offered what expect: three equal agents, and a master that allocates
    /// exactly as Mesos does.
    pub fn allocation() -> Options {
        let mut options = Options { agents: 3, ..Options::conformance() };
        options.master_flags = vec![
            "--hostname=localhost".into(),
            "--allocation_interval=50ms".into(),
            "--allocation_compatibility".into(),
        ];
        options
    }
}

pub struct Cluster {
    pub home: tempfile::TempDir,
    options: Options,
    master_port: u16,
    agent_ports: Vec<u16>,
    master: Option<Child>,
    agents: Vec<Option<Child>>,
}

impl Cluster {
    /// Starts the processes and waits until every agent is registered.
    pub fn start(options: Options) -> Cluster {
        let mut cluster = Cluster {
            home: tempfile::Builder::new().prefix("meseta-test-").tempdir().expect("a temporary directory"),
            master_port: processes::free_port(),
            agent_ports: (0..options.agents).map(|_| processes::free_port()).collect(),
            master: None,
            agents: (0..options.agents).map(|_| None).collect(),
            options,
        };
        cluster.start_master();
        (0..cluster.agents.len()).for_each(|i| cluster.start_agent(i));
        cluster.wait_registered();
        cluster
    }

    /// `host:port` of the master.
    pub fn master_address(&self) -> String {
        format!("127.0.0.1:{}", self.master_port)
    }

    pub fn agent_address(&self, i: usize) -> String {
        format!("127.0.0.1:{}", self.agent_ports[i])
    }

    pub fn master_pid(&self) -> Option<u32> {
        self.master.as_ref().map(Child::id)
    }

    pub fn agent_pid(&self, i: usize) -> Option<u32> {
        self.agents[i].as_ref().map(Child::id)
    }

    pub fn agent_work_dir(&self, i: usize) -> PathBuf {
        self.home.path().join(format!("agent{i}"))
    }

    pub fn start_master(&mut self) {
        let work_dir = self.home.path().join("master");
        let port = self.master_port;
        let mut command = Command::new(processes::meseta());
        command.arg("master").args([&format!("--port={port}"), &format!("--work_dir={}", work_dir.display())]);
        command.arg("--no-hostname_lookup").args(&self.options.master_flags);
        self.master = Some(spawn(command, &work_dir));
        self.wait_answers(port);
    }

    /// Starts agent `i` without waiting for its registration.
    pub fn start_agent(&mut self, i: usize) {
        let work_dir = self.agent_work_dir(i);
        let mut command = Command::new(processes::meseta());
        command.arg("agent").args([
            format!("--master={}", self.master_address()),
            format!("--port={}", self.agent_ports[i]),
            format!("--work_dir={}", work_dir.display()),
            format!("--runtime_dir={}", work_dir.join("run").display()),
            format!("--resources={}", self.options.resources),
            format!("--cgroups_root={}", self.cgroup(i)),
            "--registration_backoff_factor=10ms".into(),
            "--no-hostname_lookup".into(),
        ]);
        if !processes::is_root() {
            // Frameworks of tests are of user root; everything runs as this user instead.
            command.arg("--no-switch_user");
        }
        command.args(&self.options.agent_flags);
        command.args(self.options.flags_of_agents.get(i).into_iter().flatten());
        self.agents[i] = Some(spawn(command, &work_dir));
    }

    /// SIGKILL, as a crash would.
    pub fn kill_master(&mut self) {
        kill(self.master.take());
    }

    pub fn kill_agent(&mut self, i: usize) {
        kill(self.agents[i].take());
    }

    /// Waits until as many agents are registered as were started.
    pub fn wait_registered(&self) {
        let wanted = self.agents.len();
        let ready = wait_for(Duration::from_secs(30), || {
            let body = self.get(self.master_port, "/metrics/snapshot")?;
            metric(&body, "master/slaves_connected").filter(|n| *n as usize >= wanted).map(drop)
        });
        assert!(ready.is_some(), "the agents did not register:\n{}", self.logs());
    }

    /// The body of a GET, if the process answers with 200.
    pub fn get(&self, port: u16, path: &str) -> Option<String> {
        let answer = http::ask(&format!("127.0.0.1:{port}"), "GET", path)?;
        (answer.status == 200).then_some(answer.body)
    }

    /// The ends of all logs, for the message of a failed test.
    pub fn logs(&self) -> String {
        let directories = std::iter::once(self.home.path().join("master"))
            .chain((0..self.agents.len()).map(|i| self.agent_work_dir(i)));
        directories.map(log_end).collect()
    }

    fn wait_answers(&self, port: u16) {
        let up = wait_for(Duration::from_secs(20), || self.get(port, "/health"));
        assert!(up.is_some(), "nothing answers on port {port}:\n{}", self.logs());
    }

    fn cgroup(&self, i: usize) -> String {
        format!("meseta-test-{}-{}-{i}", std::process::id(), self.master_port)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        kill(self.master.take());
        for agent in &mut self.agents {
            kill(agent.take());
        }
        processes::end_all(self.home.path());
        for i in 0..self.agents.len() {
            remove_cgroups(&self.cgroup(i));
        }
        if std::thread::panicking() {
            eprintln!("{}", self.logs());
        }
    }
}

pub(crate) fn spawn(mut command: Command, work_dir: &Path) -> Child {
    fs::create_dir_all(work_dir).expect("a work directory");
    let log = File::options().create(true).append(true).open(work_dir.join("log")).expect("a log file");
    command.stdout(log.try_clone().expect("a second handle")).stderr(log).env("MESETA_TEST_HOME", work_dir);
    // SAFETY: prctl is async-signal-safe. The server ends when the thread that started it does.
    unsafe {
        command.pre_exec(|| {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            Ok(())
        });
    }
    command.spawn().unwrap_or_else(|e| panic!("cannot start {:?}: {e}", command.get_program()))
}

/// The end of the log that `spawn` made there.
pub(crate) fn log_end(directory: PathBuf) -> String {
    let text = fs::read_to_string(directory.join("log")).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    format!("--- {}\n{}\n", directory.display(), lines[lines.len().saturating_sub(40)..].join("\n"))
}

pub(crate) fn kill(child: Option<Child>) {
    if let Some(mut child) = child {
        let _ = child.kill();
        let _ = child.wait();
    }
}

/// The value of one metric in a flat JSON object.
pub fn metric(body: &str, name: &str) -> Option<f64> {
    let at = body.find(&format!("\"{name}\":"))? + name.len() + 3;
    let rest = &body[at..];
    rest[..rest.find([',', '}'])?].trim().parse().ok()
}

fn remove_cgroups(name: &str) {
    let roots = fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten().map(|entry| entry.path());
    for root in roots.chain([PathBuf::from("/sys/fs/cgroup")]) {
        remove_cgroup(&root.join(name));
    }
}

fn remove_cgroup(path: &Path) {
    let below = fs::read_dir(path).into_iter().flatten().flatten();
    for entry in below.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
        remove_cgroup(&entry.path());
    }
    let _ = fs::remove_dir(path);
}
