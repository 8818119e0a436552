//! Which container somebody speaks from who reached us over a socket. A process belongs to the innermost container
//! whose first process is it or an ancestor of it. Nobody can leave that tree: the first process of a container
//! inherits whatever loses its parent. Names and variables that a process sets itself prove nothing and are not looked
//! at.

use crate::{ContainerId, Containers, State, handle::Inner};
use kernel::{pidfd, procfs, tcp};
use std::{
    fs, io,
    net::SocketAddr,
    os::{fd::BorrowedFd, unix::fs::MetadataExt},
    path::Path,
};

/// Where a connection comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A process of this container, and of none inside it.
    Container(ContainerId),
    /// A process of this machine and of no container, running as this user.
    Machine { uid: u32 },
    /// Another machine, or another network of this one.
    Elsewhere,
    /// A process that may turn out to be a container's that is just being launched: to be asked again.
    Launching,
    /// A process of this machine that is gone, or whose socket several containers hold.
    Unclear(&'static str),
}

const GONE: &str = "the process that opened the connection has ended";

impl Containers {
    /// Where the process `pid` belongs. `held` is its descriptor, so that a process that ended meanwhile is not taken
    /// for one that got its number. Reads `/proc`.
    pub fn origin_of_process(&self, pid: u32, uid: u32, held: Option<BorrowedFd<'_>>) -> Origin {
        if pid == 0 {
            return Origin::Unclear("its process is in a PID namespace that the agent does not see");
        }
        let origin = match place_of(self.inner(), pid) {
            Ok(Place::Container(id)) => Origin::Container(id),
            Ok(Place::Outside) => Origin::Machine { uid },
            Ok(Place::Launching) => Origin::Launching,
            Err(_) => Origin::Unclear(GONE),
        };
        match held {
            Some(held) if pidfd::has_ended(&held) => Origin::Unclear(GONE),
            _ => origin,
        }
    }

    /// Where the TCP connection from `remote` to our `local` address comes from. Reads the descriptors of this
    /// machine's processes: for a thread that may take its time.
    pub fn origin_of_connection(&self, remote: SocketAddr, local: SocketAddr) -> Origin {
        match tcp::find_socket(remote, local) {
            Ok(Some(socket)) if socket.inode == 0 => Origin::Unclear(GONE),
            Ok(Some(socket)) => self.origin_of_socket(socket),
            Ok(None) if is_own_address(remote, local) => Origin::Unclear(GONE),
            Ok(None) => Origin::Elsewhere,
            Err(_) => Origin::Unclear("the kernel does not tell whose socket this is"),
        }
    }

    fn origin_of_socket(&self, socket: tcp::Found) -> Origin {
        let holders = holders_of(&format!("socket:[{}]", socket.inode), socket.uid);
        let mut found = None;
        let mut outside = false;
        for pid in holders {
            match place_of(self.inner(), pid) {
                Ok(Place::Container(id)) => match &found {
                    Some(other) if *other != id => return Origin::Unclear("several containers hold its socket"),
                    _ => found = Some(id),
                },
                Ok(Place::Outside) => outside = true,
                Ok(Place::Launching) => return Origin::Launching,
                Err(_) => {}
            }
        }
        match (found, outside) {
            // A socket may be handed to a process outside; that makes it no less the container's.
            (Some(id), _) => Origin::Container(id),
            (None, true) => Origin::Machine { uid: socket.uid },
            (None, false) => Origin::Unclear(GONE),
        }
    }
}

enum Place {
    Container(ContainerId),
    Outside,
    /// A child of ours that may yet turn out to be a container.
    Launching,
}

/// Climbs from `pid` to the first process that begins a container.
fn place_of(inner: &Inner, pid: u32) -> io::Result<Place> {
    let own = std::process::id();
    let mut child = procfs::stat(pid)?;
    loop {
        if let Some(id) = container_that_begins_with(inner, child.pid) {
            return Ok(Place::Container(id));
        }
        if child.pid == own || child.parent == 0 {
            return Ok(Place::Outside);
        }
        let parent = procfs::stat(child.parent);
        // Whoever is still its parent was so while we looked.
        let again = procfs::stat(child.pid)?;
        if again.parent != child.parent || again.start != child.start {
            child = again;
            continue;
        }
        let parent = parent?;
        if parent.pid == own && is_launching(inner) {
            return Ok(Place::Launching);
        }
        child = parent;
    }
}

fn container_that_begins_with(inner: &Inner, pid: u32) -> Option<ContainerId> {
    let table = inner.table();
    let begins = |live: &crate::handle::Live| live.pid == pid && !pidfd::has_ended(&live.pidfd);
    table.values().find(|container| container.live.get().is_some_and(begins)).map(|container| container.id.clone())
}

/// Whether a first process may exist that the table does not know yet.
fn is_launching(inner: &Inner) -> bool {
    let begins = |state: &State| matches!(state, State::Preparing | State::Fetching);
    inner.table().values().any(|container| container.live.get().is_none() && begins(&container.state.borrow()))
}

/// The processes that have `link` among their descriptors; those of user `uid` are looked at first, and if one of them
/// has it, only they.
fn holders_of(link: &str, uid: u32) -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let (mut likely, mut others) = (Vec::new(), Vec::new());
    for entry in entries.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        match entry.metadata() {
            Ok(about) if about.uid() == uid => likely.push(pid),
            Ok(_) => others.push(pid),
            Err(_) => {}
        }
    }
    let holds = |pid: &u32| holds(*pid, link);
    let found: Vec<u32> = likely.into_iter().filter(holds).collect();
    if found.is_empty() { others.into_iter().filter(holds).collect() } else { found }
}

fn holds(pid: u32, link: &str) -> bool {
    let Ok(descriptors) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
    descriptors.flatten().any(|entry| fs::read_link(entry.path()).is_ok_and(|target| target == Path::new(link)))
}

/// Whether `remote` is an address of this machine.
fn is_own_address(remote: SocketAddr, local: SocketAddr) -> bool {
    let ip = remote.ip().to_canonical();
    // Who cannot tell takes it for one of ours, which gives no rights.
    ip.is_loopback() || ip == local.ip().to_canonical() || tcp::own_addresses().is_none_or(|own| own.contains(&ip))
}
