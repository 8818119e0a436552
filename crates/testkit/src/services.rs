//! Real ZooKeeper and etcd servers on free ports of loopback, from Debian's packages (`zookeeper`, `etcd-server`). They
//! end with their owner, and can be hurt before. They may stand on hosts of a `network`, and etcd may ask for TLS.

use std::{
    fs::{self, File},
    io::{Read, Write},
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use crate::{network::Host, processes::free_port};

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
    pub at: SocketAddr,
    pub directory: PathBuf,
    command: Vec<String>,
    host: Option<Host>,
    /// Where its health is told without TLS.
    health: SocketAddr,
}

/// Where one server will be.
#[derive(Clone)]
pub struct Site {
    pub ip: IpAddr,
    /// For clients, for the other servers, for their elections, and for who asks about its health.
    pub ports: [u16; 4],
    /// A host of a network, if it is not this one.
    pub host: Option<Host>,
}

impl Site {
    /// Sites on loopback, on ports that are free now.
    pub fn on_loopback(count: usize) -> Vec<Site> {
        let ports = (0..count * 4).map(|_| free_port()).collect::<Vec<u16>>();
        let ports = ports.chunks_exact(4).filter_map(|four| four.try_into().ok());
        ports.map(|ports| Site { ip: Ipv4Addr::LOCALHOST.into(), ports, host: None }).collect()
    }

    pub fn on(host: &Host) -> Site {
        Site { ip: host.ip.into(), ports: [2181, 2888, 3888, 8080], host: Some(host.clone()) }
    }
}

/// How the servers of a service are to be.
#[derive(Clone, Default)]
pub struct Settings {
    /// ZooKeeper's unit of time; sessions last at least two.
    pub tick_ms: u32,
    /// ZooKeeper takes disk for its log in small pieces, so that it notices a full disk at once.
    pub small_log: bool,
    /// etcd serves clients that show a certificate of this authority, and no others.
    pub tls: Option<Tls>,
}

/// Files in PEM.
#[derive(Clone)]
pub struct Tls {
    pub ca: PathBuf,
    pub cert: PathBuf,
    pub key: PathBuf,
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

/// Plans servers with directories `store1`, `store2` … below `home`. Writes what they read at their start.
pub fn plan(kind: Kind, sites: &[Site], home: &Path, settings: &Settings) -> Vec<Plan> {
    let plan = |(i, site): (usize, &Site)| {
        let directory = home.join(format!("store{}", i + 1));
        fs::create_dir_all(&directory).expect("a directory for a server");
        let command = match kind {
            Kind::ZooKeeper => zookeeper(i, sites, &directory, settings),
            Kind::Etcd => etcd(i, sites, &directory, settings),
        };
        let at = |port| SocketAddr::new(site.ip, port);
        let health = at(site.ports[if settings.tls.is_some() { 3 } else { 0 }]);
        Plan { at: at(site.ports[0]), directory, command, host: site.host.clone(), health }
    };
    sites.iter().enumerate().map(plan).collect()
}

fn zookeeper(i: usize, sites: &[Site], directory: &Path, settings: &Settings) -> Vec<String> {
    let Site { ip, ports, .. } = &sites[i];
    let mut config = format!(
        "dataDir={}\nclientPort={}\nclientPortAddress={ip}\ntickTime={}\ninitLimit=50\nsyncLimit=25\n\
         admin.enableServer=false\n4lw.commands.whitelist=srvr\nmaxClientCnxns=0\n",
        directory.display(),
        ports[0],
        settings.tick_ms,
    );
    if sites.len() > 1 {
        for (j, Site { ip, ports, .. }) in sites.iter().enumerate() {
            config += &format!("server.{}={ip}:{}:{}\n", j + 1, ports[1], ports[2]);
        }
        fs::write(directory.join("myid"), (i + 1).to_string()).expect("a file for a server");
    }
    let path = directory.join("zoo.cfg");
    fs::write(&path, config).expect("a file for a server");
    let mut command: Vec<String> =
        ["java", "-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"].map(str::to_owned).into();
    if settings.small_log {
        command.push("-Dzookeeper.preAllocSize=16".to_owned());
    }
    let class = "org.apache.zookeeper.server.quorum.QuorumPeerMain".to_owned();
    command.extend(["-cp".to_owned(), format!("{JARS}/*"), class, path.display().to_string()]);
    command
}

fn etcd(i: usize, sites: &[Site], directory: &Path, settings: &Settings) -> Vec<String> {
    let Site { ip, ports, .. } = &sites[i];
    let scheme = if settings.tls.is_some() { "https" } else { "http" };
    let url = format!("{scheme}://{ip}:{}", ports[0]);
    let peer_url = |site: &Site| format!("http://{}:{}", site.ip, site.ports[1]);
    let cluster: Vec<String> = sites.iter().enumerate().map(|(j, site)| format!("e{j}={}", peer_url(site))).collect();
    let mut command = vec![
        ETCD.to_owned(),
        format!("--name=e{i}"),
        format!("--data-dir={}", directory.join("data").display()),
        format!("--listen-client-urls={url}"),
        format!("--advertise-client-urls={url}"),
        format!("--listen-peer-urls={}", peer_url(&sites[i])),
        format!("--initial-advertise-peer-urls={}", peer_url(&sites[i])),
        format!("--initial-cluster={}", cluster.join(",")),
        "--logger=zap".to_owned(),
    ];
    if let Some(tls) = &settings.tls {
        command.extend([
            format!("--cert-file={}", tls.cert.display()),
            format!("--key-file={}", tls.key.display()),
            format!("--trusted-ca-file={}", tls.ca.display()),
            "--client-cert-auth".to_owned(),
            format!("--listen-metrics-urls=http://{ip}:{}", ports[3]),
        ]);
    }
    command
}

impl Plan {
    /// The server's process; its output goes to `log` in its directory.
    pub fn command(&self) -> Command {
        let log = File::options().create(true).append(true).open(self.directory.join("log")).expect("a log");
        let mut command = Command::new(&self.command[0]);
        command.args(&self.command[1..]).stdin(Stdio::null());
        command.stdout(log.try_clone().expect("a second handle")).stderr(log);
        if let Some(host) = &self.host {
            host.take(&mut command);
        }
        command
    }
}

/// `zk://…` or `etcd://…` of the planned servers.
pub fn url(kind: Kind, plans: &[Plan], login: &str, path: &str) -> String {
    let hosts: Vec<String> = plans.iter().map(|plan| plan.at.to_string()).collect();
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
        while !is_ready(kind, plan.health) {
            assert!(begun.elapsed() < READY, "{kind:?} does not get ready, see {}", plan.directory.display());
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

fn is_ready(kind: Kind, at: SocketAddr) -> bool {
    match kind {
        Kind::ZooKeeper => ask(at, "srvr").is_some_and(|answer| answer.contains("Mode:")),
        Kind::Etcd => health(at).is_some_and(|answer| answer.contains("\"true\"")),
    }
}

impl Service {
    /// None, with a message, where the package is not installed. ZooKeeper counts in ticks of 200 ms, so that sessions
    /// may be short.
    pub fn start(kind: Kind, count: usize) -> Option<Service> {
        if let Some(package) = kind.missing() {
            crate::skip(&format!("{kind:?} is not installed (apt-get install {package})"));
            return None;
        }
        Some(Service::start_with(kind, count, 200))
    }

    pub fn start_with(kind: Kind, count: usize, tick_ms: u32) -> Service {
        let home = tempfile::Builder::new().prefix("meseta-store-").tempdir().expect("a temporary directory");
        let settings = Settings { tick_ms, ..Settings::default() };
        let mut service = Service::start_at(kind, &Site::on_loopback(count), home.path(), &settings);
        service._home = Some(home);
        service
    }

    /// Servers at those sites; their directories below `home` stay when they end.
    pub fn start_at(kind: Kind, sites: &[Site], home: &Path, settings: &Settings) -> Service {
        let plans = plan(kind, sites, home, settings);
        let mut service = Service { kind, servers: plans.iter().map(|_| None).collect(), plans, _home: None };
        (0..sites.len()).for_each(|i| service.start_server(i));
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
        self.servers[i] = Some(crate::processes::ends_with_its_thread(&mut command).spawn().expect("a server"));
    }

    /// Starts those that ended by themselves.
    pub fn revive(&mut self) {
        let ended = |server: &mut Option<Child>| server.as_mut().is_some_and(|s| !matches!(s.try_wait(), Ok(None)));
        let ended: Vec<usize> = (0..self.servers.len()).filter(|i| ended(&mut self.servers[*i])).collect();
        ended.into_iter().for_each(|i| self.start_server(i));
    }

    pub fn directory(&self, i: usize) -> &Path {
        &self.plans[i].directory
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
            Kind::ZooKeeper => ask(plan.at, "srvr").is_some_and(|answer| answer.contains("Mode: leader")),
            Kind::Etcd => post(plan.at, "/v3/maintenance/status", "{}").is_some_and(|answer| {
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

fn ask(at: SocketAddr, words: &str) -> Option<String> {
    let mut stream = TcpStream::connect_timeout(&at, Duration::from_secs(5)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    stream.write_all(words.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

fn health(at: SocketAddr) -> Option<String> {
    ask(at, "GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
}

fn post(at: SocketAddr, path: &str, body: &str) -> Option<String> {
    let length = body.len();
    let head =
        format!("POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n");
    ask(at, &(head + body))
}
