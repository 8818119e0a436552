//! A network of our own: hosts in network namespaces on one bridge, which can be parted from one another silently, as
//! by a broken switch. It vanishes with the processes in it.

use std::{
    fs::File,
    io::{Error, Result},
    net::Ipv4Addr,
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::process::CommandExt,
    },
    path::PathBuf,
    process::{Command, Stdio},
    sync::Arc,
};

/// The bridge, which this process sees as its own address `10.77.0.1`.
#[derive(Default)]
pub struct Network {
    hosts: u8,
}

/// One host. Clones are the same host.
#[derive(Clone)]
pub struct Host {
    pub ip: Ipv4Addr,
    namespace: Arc<OwnedFd>,
}

/// Where nobody listens.
const NOWHERE: &str = "02:00:00:00:00:01";

impl Network {
    /// This process's own address.
    pub const HERE: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);

    /// Moves this process into the network, with mounts that nobody else sees. It must not have other threads yet.
    /// Fails without the right to make namespaces.
    pub fn enter() -> Result<Network> {
        // SAFETY: unshare and mount touch no memory of ours but the given strings, which are literals.
        unsafe {
            done(libc::unshare(libc::CLONE_NEWNET | libc::CLONE_NEWNS))?;
            let flags = libc::MS_REC | libc::MS_PRIVATE;
            done(libc::mount(c"none".as_ptr(), c"/".as_ptr(), std::ptr::null(), flags, std::ptr::null()))?;
        }
        let own = format!("{}/24", Network::HERE);
        ip(None, "link set lo up")?;
        ip(None, "link add hub type bridge")?;
        ip(None, &format!("addr add {own} dev hub"))?;
        ip(None, "link set hub up")?;
        Ok(Network::default())
    }

    pub fn add_host(&mut self) -> Result<Host> {
        self.hosts += 1;
        let n = self.hosts;
        let made = std::thread::spawn(|| {
            // SAFETY: unshare has no memory effects.
            done(unsafe { libc::unshare(libc::CLONE_NEWNET) })?;
            File::open("/proc/thread-self/ns/net")
        });
        let namespace: OwnedFd = made.join().map_err(|_| Error::other("no thread"))??.into();
        let path = format!("/proc/{}/fd/{}", std::process::id(), namespace.as_raw_fd());
        let host = Host { ip: Ipv4Addr::new(10, 77, 0, n + 1), namespace: Arc::new(namespace) };
        ip(None, &format!("link add wire{n} type veth peer name eth0 netns {path}"))?;
        ip(None, &format!("link set wire{n} master hub"))?;
        ip(None, &format!("link set wire{n} up"))?;
        ip(Some(&host), "link set lo up")?;
        ip(Some(&host), &format!("addr add {}/24 dev eth0", host.ip))?;
        ip(Some(&host), "link set eth0 up")?;
        Ok(host)
    }
}

impl Host {
    /// The command will run on this host.
    pub fn take(&self, command: &mut Command) {
        let namespace = Arc::clone(&self.namespace);
        // SAFETY: setns is async-signal-safe.
        unsafe { command.pre_exec(move || done(libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET))) };
    }

    /// From now on, what one of the two sends never reaches the other.
    pub fn part_from(&self, other: &Host) -> Result<()> {
        let cut = |from: &Host, to: &Host| {
            ip(Some(from), &format!("neigh replace {} lladdr {NOWHERE} dev eth0 nud permanent", to.ip))
        };
        cut(self, other)?;
        cut(other, self)
    }

    /// They reach each other again.
    pub fn meet(&self, other: &Host) -> Result<()> {
        let mend = |from: &Host, to: &Host| ip(Some(from), &format!("neigh del {} dev eth0", to.ip));
        mend(self, other)?;
        mend(other, self)
    }
}

/// A file system of its own over a directory; gone when it is dropped.
pub struct SmallDisk {
    directory: PathBuf,
}

impl SmallDisk {
    /// For processes in a network of ours, whose mounts nobody else sees.
    pub fn mount(directory: PathBuf, megabytes: usize) -> Result<SmallDisk> {
        std::fs::create_dir_all(&directory)?;
        let size = format!("size={megabytes}m");
        let mut command = Command::new("mount");
        let status =
            command.args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(&directory).stdin(Stdio::null()).status()?;
        match status.success() {
            true => Ok(SmallDisk { directory }),
            false => Err(Error::other(format!("mount ended with {status}"))),
        }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.directory).stdin(Stdio::null()).status();
    }
}

fn ip(host: Option<&Host>, words: &str) -> Result<()> {
    let mut command = Command::new("ip");
    command.args(words.split(' ')).stdin(Stdio::null());
    if let Some(host) = host {
        host.take(&mut command);
    }
    let output = command.output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(Error::other(format!("ip {words}: {}", String::from_utf8_lossy(&output.stderr).trim())))
}

fn done(result: i32) -> Result<()> {
    if result == 0 { Ok(()) } else { Err(Error::last_os_error()) }
}
