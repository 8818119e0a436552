//! Which container somebody speaks from who reached us over a socket. A process belongs to the innermost container
//! whose first process is it or an ancestor of it. Nobody can leave that tree: the first process of a container
//! inherits whatever loses its parent. Names and variables that a process sets itself give it no rights; but one that
//! names a container takes them: while a container without a PID namespace ends, its first process may die before the
//! others, and these would look like processes of nobody.

use crate::{ContainerId, Containers, State, container::Live, engine::Engine};
use kernel::{pidfd, procfs, tcp};
use std::{
    collections::{HashMap, HashSet},
    fs, io,
    net::SocketAddr,
    os::{fd::BorrowedFd, unix::fs::MetadataExt},
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

/// The two ends of a TCP connection to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connection {
    pub remote: SocketAddr,
    /// Ours.
    pub local: SocketAddr,
}

const GONE: &str = "the process that opened the connection has ended";

impl Containers {
    /// Where the process `pid` belongs. `held` is its descriptor, so that a process that ended meanwhile is not taken
    /// for one that got its number. Reads `/proc`.
    pub fn origin_of_process(&self, pid: u32, uid: u32, held: Option<BorrowedFd<'_>>) -> Origin {
        if pid == 0 {
            return Origin::Unclear("its process is in a PID namespace that the agent does not see");
        }
        let origin = match place_of(self.engine(), pid) {
            Ok(Place::Container(id)) => Origin::Container(id),
            Ok(Place::Outside) => Origin::Machine { uid },
            Ok(Place::Launching) => Origin::Launching,
            Ok(Place::Orphan) | Err(_) => Origin::Unclear(GONE),
        };
        match held {
            Some(held) if pidfd::has_ended(&held) => Origin::Unclear(GONE),
            _ => origin,
        }
    }

    /// Where TCP connections come from. Reads the descriptors of this machine's processes once for all of them: for a
    /// thread that may take its time.
    pub fn origins_of_connections(&self, connections: &[Connection]) -> Vec<Origin> {
        let sockets: Vec<_> = connections.iter().map(|one| tcp::find_socket(one.remote, one.local)).collect();
        let found = sockets.iter().filter_map(|socket| socket.as_ref().ok()?.filter(|socket| socket.inode != 0));
        let holders = holders_of(&found.collect::<Vec<_>>());
        let origins = connections.iter().zip(sockets).map(|(one, socket)| match socket {
            Ok(Some(socket)) if socket.inode == 0 => Origin::Unclear(GONE),
            Ok(Some(socket)) => self.origin_of_socket(socket, holders.get(&socket.inode).map_or(&[], Vec::as_slice)),
            Ok(None) if is_own_address(one.remote, one.local) => Origin::Unclear(GONE),
            Ok(None) => Origin::Elsewhere,
            Err(_) => Origin::Unclear("the kernel does not tell whose socket this is"),
        });
        origins.collect()
    }

    fn origin_of_socket(&self, socket: tcp::Found, holders: &[u32]) -> Origin {
        let mut found = None;
        let mut outside = false;
        for pid in holders {
            match place_of(self.engine(), *pid) {
                Ok(Place::Container(id)) => match &found {
                    Some(other) if *other != id => return Origin::Unclear("several containers hold its socket"),
                    _ => found = Some(id),
                },
                Ok(Place::Outside) => outside = true,
                Ok(Place::Launching) => return Origin::Launching,
                Ok(Place::Orphan) | Err(_) => {}
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
    /// It names a container that is over.
    Orphan,
}

/// Climbs from `pid` to the first process that begins a container.
fn place_of(engine: &Engine, pid: u32) -> io::Result<Place> {
    let own = std::process::id();
    let mut child = procfs::stat(pid)?;
    loop {
        if let Some(id) = container_that_begins_with(engine, child.pid) {
            return Ok(Place::Container(id));
        }
        if child.pid == own || child.parent == 0 {
            return Ok(outside(engine, pid));
        }
        let parent = procfs::stat(child.parent);
        // Whoever is still its parent was so while we looked.
        let again = procfs::stat(child.pid)?;
        if again.parent != child.parent || again.start != child.start {
            child = again;
            continue;
        }
        let parent = parent?;
        if parent.pid == own && is_launching(engine) {
            return Ok(Place::Launching);
        }
        child = parent;
    }
}

/// Where a process is that has no container above it.
fn outside(engine: &Engine, pid: u32) -> Place {
    let Some(named) = engine.find_marker(pid) else { return Place::Outside };
    let table = engine.table();
    match table.values().find(|container| engine.marker(&container.id).1.as_bytes() == named) {
        Some(container) => Place::Container(container.id.clone()),
        None => Place::Orphan,
    }
}

fn container_that_begins_with(engine: &Engine, pid: u32) -> Option<ContainerId> {
    let table = engine.table();
    let begins = |live: &Live| live.pid == pid && !pidfd::has_ended(&live.pidfd);
    table.values().find(|container| container.live.get().is_some_and(begins)).map(|container| container.id.clone())
}

/// Whether a first process may exist that the table does not know yet.
fn is_launching(engine: &Engine) -> bool {
    let begins = |state: &State| matches!(state, State::Preparing | State::Fetching);
    engine.table().values().any(|container| container.live.get().is_none() && begins(&container.state.borrow()))
}

/// By inode, the processes that have one of these sockets among their descriptors. Those of the sockets' users are
/// looked at first; the others only for sockets that none of these has.
fn holders_of(sockets: &[tcp::Found]) -> HashMap<u32, Vec<u32>> {
    let mut holders: HashMap<u32, Vec<u32>> = sockets.iter().map(|socket| (socket.inode, Vec::new())).collect();
    let entries = if sockets.is_empty() { None } else { fs::read_dir("/proc").ok() };
    let users: HashSet<u32> = sockets.iter().map(|socket| socket.uid).collect();
    let mut others = Vec::new();
    for entry in entries.into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        match entry.metadata() {
            Ok(about) if users.contains(&about.uid()) => note_sockets(pid, &mut holders),
            Ok(_) => others.push(pid),
            Err(_) => {}
        }
    }
    let mut rest: HashMap<u32, Vec<u32>> = holders.extract_if(|_, pids| pids.is_empty()).collect();
    if !rest.is_empty() {
        others.into_iter().for_each(|pid| note_sockets(pid, &mut rest));
    }
    holders.extend(rest);
    holders
}

/// Notes which of the sockets that are asked for the process holds.
fn note_sockets(pid: u32, holders: &mut HashMap<u32, Vec<u32>>) {
    let Ok(descriptors) = fs::read_dir(format!("/proc/{pid}/fd")) else { return };
    for entry in descriptors.flatten() {
        let Ok(target) = fs::read_link(entry.path()) else { continue };
        let inode = target.to_str().and_then(|target| target.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok());
        if let Some(pids) = inode.and_then(|inode: u32| holders.get_mut(&inode))
            && pids.last() != Some(&pid)
        {
            pids.push(pid);
        }
    }
}

/// Whether `remote` is an address of this machine.
fn is_own_address(remote: SocketAddr, local: SocketAddr) -> bool {
    let ip = remote.ip().to_canonical();
    // Who cannot tell takes it for one of ours, which gives no rights.
    ip.is_loopback() || ip == local.ip().to_canonical() || tcp::own_addresses().is_none_or(|own| own.contains(&ip))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        net::{TcpListener, TcpStream},
        os::fd::AsRawFd,
    };

    #[test]
    fn one_look_finds_the_holders_of_many_sockets() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let ends: Vec<(TcpStream, TcpStream)> =
            (0..5).map(|_| (TcpStream::connect(address).unwrap(), listener.accept().unwrap().0)).collect();
        let ask = |stream: &TcpStream| tcp::find_socket(stream.local_addr().unwrap(), address).unwrap().unwrap();
        let mut sockets: Vec<tcp::Found> = ends.iter().map(|(ours, _)| ask(ours)).collect();
        // As if another user had made it: found all the same.
        sockets[4].uid = sockets[4].uid.wrapping_add(1);
        let nobodys = tcp::Found { inode: u32::MAX, uid: sockets[0].uid };
        let holders = holders_of(&[sockets.as_slice(), &[nobodys]].concat());
        for (socket, (ours, _)) in sockets.iter().zip(&ends) {
            let about = fs::metadata(format!("/proc/self/fd/{}", ours.as_raw_fd())).unwrap();
            assert_eq!(u64::from(socket.inode), about.ino());
            assert!(holders[&socket.inode].contains(&std::process::id()), "{holders:?}");
        }
        assert_eq!(holders[&u32::MAX], [0u32; 0]);
        assert_eq!(holders_of(&[]), HashMap::new());
    }
}
