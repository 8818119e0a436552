//! Which socket of this network namespace is the other end of a TCP connection: asked of the kernel, one connection at
//! a time, so that a table of many thousands is never read.

use super::{check, check_long};
use std::{
    io,
    net::{IpAddr, SocketAddr},
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
};

/// A socket of this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// Names the socket in `/proc/<pid>/fd`; 0 when no process holds it any more.
    pub inode: u32,
    /// The user of the process that made it.
    pub uid: u32,
}

/// `NETLINK_SOCK_DIAG`, `SOCK_DIAG_BY_FAMILY` and the sizes of `linux/inet_diag.h`.
const NETLINK_SOCK_DIAG: i32 = 4;
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const HEADER_BYTES: usize = 16;
const REQUEST_BYTES: usize = HEADER_BYTES + 56;
/// From the start of an answer.
const UID_AT: usize = HEADER_BYTES + 64;
const INODE_AT: usize = HEADER_BYTES + 68;

/// The socket bound to `own` and connected to `peer`; `None` if there is none here.
pub fn find_socket(own: SocketAddr, peer: SocketAddr) -> io::Result<Option<Found>> {
    let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC;
    // SAFETY: takes numbers only.
    let socket = check(unsafe { libc::socket(libc::AF_NETLINK, kind, NETLINK_SOCK_DIAG) })?;
    // SAFETY: the descriptor was just made, and is nobody else's.
    let socket = unsafe { OwnedFd::from_raw_fd(socket) };
    let request = request(own, peer);
    // SAFETY: pointer and length describe `request`.
    let sent = unsafe { libc::send(socket.as_raw_fd(), request.as_ptr().cast(), request.len(), 0) };
    check_long(sent as _)?;
    let mut answer = [0u8; 4096];
    // SAFETY: pointer and length describe `answer`.
    let length = unsafe { libc::recv(socket.as_raw_fd(), answer.as_mut_ptr().cast(), answer.len(), 0) };
    let length = check_long(length as _)? as usize;
    read_answer(answer.get(..length).unwrap_or_default())
}

fn request(own: SocketAddr, peer: SocketAddr) -> [u8; REQUEST_BYTES] {
    let (own_ip, peer_ip) = (own.ip().to_canonical(), peer.ip().to_canonical());
    let family = if own_ip.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    let mut request = [0; REQUEST_BYTES];
    let mut at = 0;
    let mut put = |bytes: &[u8]| {
        request[at..at + bytes.len()].copy_from_slice(bytes);
        at += bytes.len();
    };
    put(&(REQUEST_BYTES as u32).to_ne_bytes());
    put(&SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    put(&(libc::NLM_F_REQUEST as u16).to_ne_bytes());
    put(&[0; 8]);
    put(&[family as u8, libc::IPPROTO_TCP as u8, 0, 0]);
    // Every state.
    put(&u32::MAX.to_ne_bytes());
    put(&own.port().to_be_bytes());
    put(&peer.port().to_be_bytes());
    put(&octets(own_ip));
    put(&octets(peer_ip));
    // No interface, no cookie.
    put(&0u32.to_ne_bytes());
    put(&[0xff; 8]);
    request
}

fn octets(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V6(ip) => ip.octets(),
        IpAddr::V4(ip) => {
            let mut octets = [0; 16];
            octets[..4].copy_from_slice(&ip.octets());
            octets
        }
    }
}

fn read_answer(answer: &[u8]) -> io::Result<Option<Found>> {
    let number = |at: usize| {
        let bytes = answer.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
        bytes.map(u32::from_ne_bytes).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))
    };
    let kind = u16::from_ne_bytes(answer.get(4..6).and_then(|b| b.try_into().ok()).unwrap_or_default());
    if kind == libc::NLMSG_ERROR as u16 {
        let code = number(HEADER_BYTES)? as i32;
        return match -code {
            libc::ENOENT => Ok(None),
            errno => Err(io::Error::from_raw_os_error(errno)),
        };
    }
    if kind != SOCK_DIAG_BY_FAMILY {
        return Err(io::ErrorKind::InvalidData.into());
    }
    Ok(Some(Found { inode: number(INODE_AT)?, uid: number(UID_AT)? }))
}

/// The addresses of this network namespace's interfaces, where the kernel tells.
pub fn own_addresses() -> Option<Vec<IpAddr>> {
    let mut first = std::ptr::null_mut();
    // SAFETY: fills in `first`.
    check(unsafe { libc::getifaddrs(&mut first) }).ok()?;
    let mut found = Vec::new();
    let mut next = first;
    // SAFETY: the list stays until it is freed below.
    while let Some(interface) = unsafe { next.as_ref() } {
        next = interface.ifa_next;
        // SAFETY: as above.
        let Some(address) = (unsafe { interface.ifa_addr.as_ref() }) else { continue };
        match i32::from(address.sa_family) {
            libc::AF_INET => {
                // SAFETY: an address is as long as its family says.
                let address = unsafe { &*interface.ifa_addr.cast::<libc::sockaddr_in>() };
                found.push(IpAddr::from(address.sin_addr.s_addr.to_ne_bytes()));
            }
            libc::AF_INET6 => {
                // SAFETY: as above.
                let address = unsafe { &*interface.ifa_addr.cast::<libc::sockaddr_in6>() };
                found.push(IpAddr::from(address.sin6_addr.s6_addr));
            }
            _ => {}
        }
    }
    // SAFETY: nothing refers to the list any more.
    unsafe { libc::freeifaddrs(first) };
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        net::{TcpListener, TcpStream},
        os::unix::fs::MetadataExt,
    };

    fn inode(socket: &TcpStream) -> u32 {
        let path = format!("/proc/self/fd/{}", socket.as_raw_fd());
        std::fs::metadata(path).unwrap().ino() as u32
    }

    #[test]
    fn the_other_end_is_found_by_both_addresses() {
        for listen in ["127.0.0.1:0", "[::1]:0", "[::]:0"] {
            // Not every machine has IPv6.
            let Ok(listener) = TcpListener::bind(listen) else {
                assert_ne!(listen, "127.0.0.1:0");
                continue;
            };
            let mut address = listener.local_addr().unwrap();
            if address.ip().is_unspecified() {
                // Whoever listens to both families sees IPv4 as mapped addresses.
                address = ([127, 0, 0, 1], address.port()).into();
            }
            let client = TcpStream::connect(address).unwrap();
            let (server, peer) = listener.accept().unwrap();
            let found = find_socket(peer, server.local_addr().unwrap()).unwrap().unwrap();
            assert_eq!(found.inode, inode(&client), "{listen}");
            assert_eq!(found.uid, super::super::credentials::own_ids().0);
            drop((client, server));
        }
        assert!(own_addresses().unwrap().contains(&IpAddr::from([127, 0, 0, 1])));
        let nobody = find_socket(([127, 0, 0, 1], 1).into(), ([127, 0, 0, 1], 2).into());
        assert_eq!(nobody.unwrap(), None);
    }
}
