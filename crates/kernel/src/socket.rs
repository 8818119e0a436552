//! Datagrams between two processes that trust each other, with descriptors attached.

use crate::{check, check_long};
use std::{
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
    ptr,
};

/// The most descriptors one datagram carries here.
pub const MOST_FDS: usize = 16;

/// Room for the control message of `MOST_FDS` descriptors, aligned as the kernel wants it.
#[repr(C, align(8))]
struct Control([u8; 128]);

/// Two ends that keep datagrams apart and notice when the other is gone.
pub fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut fds = [0; 2];
    let kind = libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC;
    // SAFETY: the kernel writes two descriptors into `fds`.
    check(unsafe { libc::socketpair(libc::AF_UNIX, kind, 0, fds.as_mut_ptr()) })?;
    // SAFETY: both were just opened and are nobody else's.
    Ok(unsafe { (OwnedFd::from_raw_fd(fds[0]), OwnedFd::from_raw_fd(fds[1])) })
}

/// Whether `fd` is open and a socket.
pub fn is_socket(fd: RawFd) -> bool {
    // SAFETY: it is integers.
    let mut found = unsafe { std::mem::zeroed::<libc::stat>() };
    // SAFETY: `found` is a valid place for the answer.
    unsafe { libc::fstat(fd, &mut found) == 0 && found.st_mode & libc::S_IFMT == libc::S_IFSOCK }
}

pub fn send(socket: &impl AsFd, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    if fds.len() > MOST_FDS {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut piece = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    let mut control = Control([0; 128]);
    // SAFETY: null pointers and zero lengths are a valid empty message.
    let mut message = unsafe { std::mem::zeroed::<libc::msghdr>() };
    message.msg_iov = &mut piece;
    message.msg_iovlen = 1;
    if !fds.is_empty() {
        let payload = size_of_val(fds) as u32;
        message.msg_control = control.0.as_mut_ptr().cast();
        // SAFETY: the control buffer has room for `MOST_FDS` descriptors and is aligned for the header in it.
        unsafe {
            message.msg_controllen = libc::CMSG_SPACE(payload) as _;
            let header = libc::CMSG_FIRSTHDR(&message);
            (*header).cmsg_level = libc::SOL_SOCKET;
            (*header).cmsg_type = libc::SCM_RIGHTS;
            (*header).cmsg_len = libc::CMSG_LEN(payload) as _;
            let slots = libc::CMSG_DATA(header).cast::<RawFd>();
            for (index, fd) in fds.iter().enumerate() {
                ptr::write_unaligned(slots.add(index), fd.as_raw_fd());
            }
        }
    }
    loop {
        // SAFETY: what `message` points to outlives the call.
        let sent = check_long(unsafe { libc::sendmsg(socket.as_fd().as_raw_fd(), &message, libc::MSG_NOSIGNAL) } as _);
        match sent {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other.map(drop),
        }
    }
}

/// Waits for a datagram; an empty one means that the other end is gone.
pub fn receive(socket: &impl AsFd, buffer: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
    let mut piece = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    let mut control = Control([0; 128]);
    // SAFETY: null pointers and zero lengths are a valid empty message.
    let mut message = unsafe { std::mem::zeroed::<libc::msghdr>() };
    message.msg_iov = &mut piece;
    message.msg_iovlen = 1;
    message.msg_control = control.0.as_mut_ptr().cast();
    message.msg_controllen = control.0.len() as _;
    let length = loop {
        let fd = socket.as_fd().as_raw_fd();
        // SAFETY: what `message` points to outlives the call and may be written.
        match check_long(unsafe { libc::recvmsg(fd, &mut message, libc::MSG_CMSG_CLOEXEC) } as _) {
            Ok(length) => break length as usize,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    };
    let mut fds = Vec::new();
    // SAFETY: the kernel wrote whole headers into the control buffer, and descriptors that are nobody else's.
    unsafe {
        let header = libc::CMSG_FIRSTHDR(&message);
        if !header.is_null() && (*header).cmsg_level == libc::SOL_SOCKET && (*header).cmsg_type == libc::SCM_RIGHTS {
            let payload = (*header).cmsg_len as usize - libc::CMSG_LEN(0) as usize;
            let slots = libc::CMSG_DATA(header).cast::<RawFd>();
            for index in 0..payload / size_of::<RawFd>() {
                fds.push(OwnedFd::from_raw_fd(ptr::read_unaligned(slots.add(index))));
            }
        }
    }
    if message.msg_flags & (libc::MSG_TRUNC | libc::MSG_CTRUNC) != 0 {
        return Err(io::ErrorKind::InvalidData.into());
    }
    Ok((length, fds))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs::File, io::Read, io::Write};

    #[test]
    fn bytes_and_descriptors_arrive_together() {
        let (here, there) = pair().unwrap();
        let (mut read, write) = std::io::pipe().unwrap();
        send(&here, b"hello", &[write.as_fd(), write.as_fd()]).unwrap();
        drop(write);
        let mut buffer = [0; 64];
        let (length, mut fds) = receive(&there, &mut buffer).unwrap();
        assert_eq!((&buffer[..length], fds.len()), (&b"hello"[..], 2));
        File::from(fds.remove(0)).write_all(b"through").unwrap();
        drop(fds);
        let mut text = String::new();
        read.read_to_string(&mut text).unwrap();
        assert_eq!(text, "through");
        drop(here);
        assert_eq!(receive(&there, &mut buffer).unwrap().0, 0);
    }
}
