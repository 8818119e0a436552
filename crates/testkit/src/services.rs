//! Real ZooKeeper and etcd servers on free ports of loopback, from Debian's packages (`zookeeper`, `etcd-server`). They end
//! with their owner, and can be hurt before.

use std::{
    fs::{self, File},
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// Which service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    ZooKeeper,
    Etcd,
}

/// One or more servers that form one service.
pub struct Service {
    pub kind: Kind,
    plans: Vec<Plan>,
    servers: Vec<Option<Child>>,
    _home: Option<tempfile::TempDir>,
}

/// How one server of a service is started.
pub struct Plan {
    pub port: u16,
    pub directory: PathBuf,
    command: Vec<String>,
}

const JARS: &str = "/usr/share/java";
const ETCD: &str = "/usr/bin/etcd";
const READY: Duration = Duration::from_secs(60);

impl Kind {
    /// What to install, if it is missing.
    pub fn missing(self) -> Option<&'static str> {
        let (path, package) = match self {
            Kind::ZooKeeper => (Path::new(JARS).join("zookeeper.jar"), "zookeeper"),
            Kind::Etcd => (PathBuf::from(ETCD), "etcd-server"),
        };
        (!path.exists()).then_some(package)
    }
}

/// Plans `count` servers below `home`, on ports that are free now; `tick_ms` is ZooKeeper's unit of time. Writes what they
/// read at their start.
pub fn plan(kind: Kind, count: usize, home: &Path, tick_ms: u32) -> Vec<Plan> {
    let ports = free_ports(count * 3);
    let (client, more) = ports.split_at(count);
    let directories: Vec<PathBuf> = (1..=count).map(|i| home.join(format!("store{i}"))).collect();
    directories.iter().for_each(|directory| fs::create_dir_all(directory).expect("a directory for a server"));
    let peers: Vec<(u16, u16)> = more.chunks(2).map(|pair| (pair[0], pair[1])).collect();
    let plan = |(i, (port, directory)): (usize, (&u16, PathBuf))| {
        let command = match kind {
            Kind::ZooKeeper => zookeeper(i, *port, &peers, &directory, tick_ms),
            Kind::Etcd => etcd(i, *port, &peers, &directory),
        };
        Plan { port: *port, directory, command }
    };
    client.iter().zip(directories).enumerate().map(plan).collect()
}

fn zookeeper(i: usize, port: u16, peers: &[(u16, u16)], directory: &Path, tick_ms: u32) -> Vec<String> {
    let mut config = format!(
        "dataDir={}\nclientPort={port}\nclientPortAddress=127.0.0.1\ntickTime={tick_ms}\ninitLimit=50\nsyncLimit=25\n\
         admin.enableServer=false\n4lw.commands.whitelist=srvr\nmaxClientCnxns=0\n",
        directory.display()
    );
    if peers.len() > 1 {
        for (j, (follow, elect)) in peers.iter().enumerate() {
            config += &format!("server.{}=127.0.0.1:{follow}:{elect}\n", j + 1);
        }
        fs::write(directory.join("myid"), (i + 1).to_string()).expect("a file for a server");
    }
    let path = directory.join("zoo.cfg");
    fs::write(&path, config).expect("a file for a server");
    let options = ["java", "-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp"].map(str::to_owned);
    let class = "org.apache.zookeeper.server.quorum.QuorumPeerMain".to_owned();
    [&options[..], &[format!("{JARS}/*"), class, path.display().to_string()]].concat()
}

fn etcd(i: usize, port: u16, peers: &[(u16, u16)], directory: &Path) -> Vec<String> {
    let url = format!("http://127.0.0.1:{port}");
    let peer_url = |j: usize| format!("http://127.0.0.1:{}", peers[j].0);
    let cluster: Vec<String> = (0..peers.len()).map(|j| format!("e{j}={}", peer_url(j))).collect();
    vec![
        ETCD.to_owned(),
        format!("--name=e{i}"),
        format!("--data-dir={}", directory.join("data").display()),
        format!("--listen-client-urls={url}"),
        format!("--advertise-client-urls={url}"),
        format!("--listen-peer-urls={}", peer_url(i)),
        format!("--initial-advertise-peer-urls={}", peer_url(i)),
        format!("--initial-cluster={}", cluster.join(",")),
        "--logger=zap".to_owned(),
    ]
}

impl Plan {
    /// The server's process; its output goes to `log` in its directory.
    pub fn command(&self) -> Command {
        let log = File::options().create(true).append(true).open(self.directory.join("log")).expect("a log");
        let mut command = Command::new(&self.command[0]);
        command.args(&self.command[1..]).stdin(Stdio::null());
        command.stdout(log.try_clone().expect("a second handle")).stderr(log);
        command
    }
}

/// `zk://…` or `etcd://…` of the planned servers.
pub fn url(kind: Kind, plans: &[Plan], login: &str, path: &str) -> String {
    let hosts: Vec<String> = plans.iter().map(|plan| format!("127.0.0.1:{}", plan.port)).collect();
    let scheme = match kind {
        Kind::ZooKeeper => "zk",
        Kind::Etcd => "etcd",
    };
    format!("{scheme}://{login}{}{path}", hosts.join(","))
}

/// Waits until the servers serve.
pub fn wait_ready(kind: Kind, plans: &[Plan]) {
    for plan in plans {
        let begun = Instant::now();
        while !is_ready(kind, plan.port) {
            assert!(begun.elapsed() < READY, "{kind:?} does not get ready, see {}", plan.directory.display());
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

fn is_ready(kind: Kind, port: u16) -> bool {
    match kind {
        Kind::ZooKeeper => ask(port, "srvr").is_some_and(|answer| answer.contains("Mode:")),
        Kind::Etcd => health(port).is_some_and(|answer| answer.contains("\"true\"")),
    }
}

impl Service {
    /// None, with a message, where the package is not installed. ZooKeeper counts in ticks of 200 ms, so that sessions may
    /// be short.
    pub fn start(kind: Kind, count: usize) -> Option<Service> {
        if let Some(package) = kind.missing() {
            println!("skipped: {kind:?} is not installed (apt-get install {package})");
            return None;
        }
        Some(Service::start_with(kind, count, 200))
    }

    pub fn start_with(kind: Kind, count: usize, tick_ms: u32) -> Service {
        let home = tempfile::Builder::new().prefix("meseta-store-").tempdir().expect("a temporary directory");
        let plans = plan(kind, count, home.path(), tick_ms);
        let mut service = Service { kind, servers: plans.iter().map(|_| None).collect(), plans, _home: Some(home) };
        (0..count).for_each(|i| service.start_server(i));
        wait_ready(kind, &service.plans);
        service
    }

    pub fn url(&self, path: &str) -> String {
        url(self.kind, &self.plans, "", path)
    }

    /// As `user:password`.
    pub fn url_as(&self, login: &str, path: &str) -> String {
        url(self.kind, &self.plans, &format!("{login}@"), path)
    }

    pub fn count(&self) -> usize {
        self.servers.len()
    }

    /// Starts a server again.
    pub fn start_server(&mut self, i: usize) {
        let mut command = self.plans[i].command();
        // SAFETY: prctl is async-signal-safe. The server ends when the thread that started it does.
        unsafe {
            command.pre_exec(|| {
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                Ok(())
            });
        }
        self.servers[i] = Some(command.spawn().expect("a server"));
    }

    /// SIGKILL.
    pub fn kill_server(&mut self, i: usize) {
        if let Some(mut server) = self.servers[i].take() {
            let _ = server.kill();
            let _ = server.wait();
        }
    }

    /// The server that leads the others.
    pub fn leader(&self) -> Option<usize> {
        let leads = |plan: &Plan| match self.kind {
            Kind::ZooKeeper => ask(plan.port, "srvr").is_some_and(|answer| answer.contains("Mode: leader")),
            Kind::Etcd => post(plan.port, "/v3/maintenance/status", "{}").is_some_and(|answer| {
                let field = |name: &str| {
                    let at = answer.find(&format!("\"{name}\":\""))? + name.len() + 4;
                    answer[at..].split('"').next().map(str::to_owned)
                };
                field("member_id").is_some() && field("member_id") == field("leader")
            }),
        };
        self.plans.iter().position(leads)
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        (0..self.servers.len()).for_each(|i| self.kill_server(i));
    }
}

fn free_ports(count: usize) -> Vec<u16> {
    let listeners: Vec<_> = (0..count).map(|_| TcpListener::bind("127.0.0.1:0").expect("bind loopback")).collect();
    listeners.iter().map(|listener| listener.local_addr().expect("local address").port()).collect()
}

fn ask(port: u16, words: &str) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    stream.write_all(words.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

fn health(port: u16) -> Option<String> {
    ask(port, "GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
}

fn post(port: u16, path: &str, body: &str) -> Option<String> {
    let length = body.len();
    let head =
        format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n");
    ask(port, &(head + body))
}
