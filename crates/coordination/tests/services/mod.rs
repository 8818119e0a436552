//! Real ZooKeeper and etcd servers on free ports of loopback, from Debian's packages; they end with their owner.

#![allow(dead_code)]

use std::{
    fs::{self, File},
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use coordination::{Place, space::Connect};

pub struct ZooKeeper {
    servers: Vec<Child>,
    ports: Vec<u16>,
    _home: tempfile::TempDir,
}

pub struct Etcd {
    servers: Vec<Child>,
    ports: Vec<u16>,
    _home: tempfile::TempDir,
}

const JARS: &str = "/usr/share/java";
const READY: Duration = Duration::from_secs(60);

fn free_ports(count: usize) -> Vec<u16> {
    let listeners: Vec<_> = (0..count).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    listeners.iter().map(|listener| listener.local_addr().unwrap().port()).collect()
}

fn spawn(mut command: Command, log: &Path) -> Child {
    let log = File::create(log).unwrap();
    command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
    // SAFETY: prctl is async-signal-safe. The server ends when the thread that started it does.
    unsafe {
        command.pre_exec(|| {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            Ok(())
        });
    }
    command.spawn().unwrap()
}

fn end(servers: &mut [Child]) {
    for server in servers.iter_mut() {
        let _ = server.kill();
        let _ = server.wait();
    }
}

fn wait_until(what: &str, mut ready: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !ready() {
        assert!(begun.elapsed() < READY, "{what} does not get ready");
        std::thread::sleep(Duration::from_millis(50));
    }
}

impl ZooKeeper {
    /// None, with a message, where the package is not installed.
    pub fn start(count: usize) -> Option<ZooKeeper> {
        if !Path::new(JARS).join("zookeeper.jar").exists() {
            println!("skipped: ZooKeeper is not installed (apt-get install zookeeper)");
            return None;
        }
        let home = tempfile::tempdir().unwrap();
        let ports = free_ports(count * 3);
        let (client_ports, more) = ports.split_at(count);
        let mut servers = Vec::new();
        for (i, port) in client_ports.iter().enumerate() {
            let data = home.path().join(format!("zk{i}"));
            fs::create_dir_all(&data).unwrap();
            let mut lines = format!(
                "dataDir={}\nclientPort={port}\nclientPortAddress=127.0.0.1\ntickTime=200\ninitLimit=50\nsyncLimit=25\n\
                 admin.enableServer=false\n4lw.commands.whitelist=ruok,srvr\nmaxClientCnxns=0\n",
                data.display()
            );
            if count > 1 {
                for (j, pair) in more.chunks(2).enumerate() {
                    lines += &format!("server.{}=127.0.0.1:{}:{}\n", j + 1, pair[0], pair[1]);
                }
                fs::write(data.join("myid"), (i + 1).to_string()).unwrap();
            }
            let config = data.join("zoo.cfg");
            fs::write(&config, lines).unwrap();
            let mut command = Command::new("java");
            command.args(["-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp"]).arg(format!("{JARS}/*"));
            command.args(["-Dzookeeper.fsync.warningthresholdms=100000"]);
            command.arg("org.apache.zookeeper.server.quorum.QuorumPeerMain").arg(&config);
            servers.push(spawn(command, &data.join("log")));
        }
        for port in client_ports {
            wait_until("ZooKeeper", || ask(*port, "srvr").is_some_and(|answer| answer.contains("Mode:")));
        }
        Some(ZooKeeper { servers, ports: client_ports.to_vec(), _home: home })
    }

    pub fn connect(&self, path: &str, timeout: Duration) -> Arc<dyn Connect> {
        self.connect_as("", path, timeout)
    }

    pub fn connect_as(&self, login: &str, path: &str, timeout: Duration) -> Arc<dyn Connect> {
        coordination::connect(Place::parse(&format!("zk://{login}{}{path}", hosts(&self.ports))).unwrap(), timeout)
    }
}

impl Drop for ZooKeeper {
    fn drop(&mut self) {
        end(&mut self.servers);
    }
}

impl Etcd {
    pub fn start(count: usize) -> Option<Etcd> {
        if !Path::new("/usr/bin/etcd").exists() {
            println!("skipped: etcd is not installed (apt-get install etcd-server)");
            return None;
        }
        let home = tempfile::tempdir().unwrap();
        let ports = free_ports(count * 2);
        let (client_ports, peer_ports) = ports.split_at(count);
        let peer = |i: usize| format!("e{i}=http://127.0.0.1:{}", peer_ports[i]);
        let cluster: Vec<String> = (0..count).map(peer).collect();
        let mut servers = Vec::new();
        for (i, (port, peer_port)) in client_ports.iter().zip(peer_ports).enumerate() {
            let data = home.path().join(format!("e{i}"));
            fs::create_dir_all(&data).unwrap();
            let mut command = Command::new("/usr/bin/etcd");
            let (url, peer_url) = (format!("http://127.0.0.1:{port}"), format!("http://127.0.0.1:{peer_port}"));
            command.arg(format!("--name=e{i}")).arg("--data-dir").arg(data.join("data"));
            command.args(["--listen-client-urls", &url, "--advertise-client-urls", &url]);
            command.args(["--listen-peer-urls", &peer_url, "--initial-advertise-peer-urls", &peer_url]);
            command.args(["--initial-cluster", &cluster.join(","), "--logger=zap"]);
            servers.push(spawn(command, &data.join("log")));
        }
        for port in client_ports {
            wait_until("etcd", || get(*port, "/health").is_some_and(|answer| answer.contains("\"true\"")));
        }
        Some(Etcd { servers, ports: client_ports.to_vec(), _home: home })
    }

    pub fn connect(&self, path: &str, timeout: Duration) -> Arc<dyn Connect> {
        coordination::connect(Place::parse(&format!("http://{}{path}", hosts(&self.ports))).unwrap(), timeout)
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        end(&mut self.servers);
    }
}

fn hosts(ports: &[u16]) -> String {
    ports.iter().map(|port| format!("127.0.0.1:{port}")).collect::<Vec<_>>().join(",")
}

fn ask(port: u16, words: &str) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    stream.write_all(words.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

fn get(port: u16, path: &str) -> Option<String> {
    ask(port, &format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"))
}
