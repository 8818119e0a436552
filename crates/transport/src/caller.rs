//! Who is at the other end of a connection, as far as the kernel vouches for it: for the Unix domain socket the process
//! that connected, for TCP the addresses of both ends, by which who knows the machine can find the process. What a
//! caller may do is decided elsewhere; it can be kept here for as long as the connection lasts.

use std::{
    any::Any,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::OnceLock,
};

use nix::sys::socket::{getsockopt, sockopt};
use tokio::net::UnixStream;

/// The far end of one connection.
#[derive(Debug)]
pub struct Caller {
    /// The address the connection comes from; a stand-in for the domain socket.
    pub remote: SocketAddr,
    /// Our address that it goes to; `None` for the domain socket.
    pub local: Option<SocketAddr>,
    /// For the domain socket only.
    pub process: Option<Process>,
    kept: OnceLock<Box<dyn Any + Send + Sync>>,
}

/// The process that connected to the domain socket. It may have ended since, or have given the socket away.
#[derive(Debug)]
pub struct Process {
    pub pid: u32,
    pub uid: u32,
    pidfd: Option<OwnedFd>,
}

/// Nobody in particular.
impl Default for Caller {
    fn default() -> Caller {
        Caller::over_tcp(SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0), None)
    }
}

impl Caller {
    pub fn over_tcp(remote: SocketAddr, local: Option<SocketAddr>) -> Caller {
        Caller { remote, local, process: None, kept: OnceLock::new() }
    }

    pub(crate) fn over_unix(socket: &UnixStream, stand_in: SocketAddr) -> Caller {
        Caller { remote: stand_in, local: None, process: Some(Process::of(socket)), kept: OnceLock::new() }
    }

    /// What was kept of this connection's caller.
    pub fn kept<T: Clone + 'static>(&self) -> Option<T> {
        self.kept.get()?.downcast_ref().cloned()
    }

    /// Keeps what was found out, for later requests on the connection. The first thing kept stays.
    pub fn keep<T: Send + Sync + 'static>(&self, what: T) {
        let _ = self.kept.set(Box::new(what));
    }
}

impl Process {
    /// Process 0 stands for one that the kernel does not name: it is in a PID namespace that is none of ours.
    fn of(socket: &UnixStream) -> Process {
        let credentials = getsockopt(socket, sockopt::PeerCredentials).ok();
        let pid = credentials.and_then(|known| u32::try_from(known.pid()).ok()).unwrap_or(0);
        let uid = credentials.map_or(u32::MAX, |known| known.uid());
        // Older kernels (before 6.5) have no such option; then the number has to do.
        Process { pid, uid, pidfd: getsockopt(socket, sockopt::PeerPidfd).ok() }
    }

    /// Holds the process, so that another one that gets its number is told apart.
    pub fn held(&self) -> Option<BorrowedFd<'_>> {
        self.pidfd.as_ref().map(AsFd::as_fd)
    }
}
