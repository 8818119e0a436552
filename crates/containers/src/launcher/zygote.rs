//! The process that containers are forked from. Starting a program anew costs more than all the rest of a launch:
//! loading, relocating, initialising. The agent starts this one once; it stays small, does nothing but wait for
//! requests, and for each one forks a child that is the agent's own and becomes the container's first process. It ends
//! with the agent.

use super::setup::{self, SetupFailure, failure};
use crate::record;
use kernel::{
    clone::{self, Fork},
    credentials, files, mounts, process, socket,
};
use std::{
    ffi::{CStr, c_char},
    fs::File,
    io::{self, Write},
    os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd},
};

/// The name of the only variable in this process's environment: each container overwrites its value with its id, in
/// place, so that whoever reads the environment of its processes finds out whose they are.
pub const MARKER: &str = "MESETA_CONTAINER_ID";
/// Room for the longest id.
pub const MARKER_ROOM: usize = 8192;

/// What the agent asks for. With it come descriptors: standard output, standard error, the record, then, as the flags
/// say, the pidfd of the parent container and a cgroup to be born in, and all the rest files to write oneself into.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// `CLONE_NEW*`
    pub create: i32,
    pub flags: u32,
}

/// A parent's pidfd comes along.
pub const PARENT: u32 = 1;
/// The child is to be made in the parent's PID namespace.
pub const IN_PARENT_PID: u32 = 2;
/// A cgroup directory comes along.
pub const CGROUP: u32 = 4;
/// No container is wanted, but mounts for all of them that are apart from the host's.
pub const SEPARATE: u32 = 8;

impl Request {
    /// The request and the container's id as a datagram.
    pub fn encode(&self, id: &str) -> Vec<u8> {
        let mut out = Vec::with_capacity(8 + id.len());
        out.extend_from_slice(&self.create.to_le_bytes());
        out.extend_from_slice(&self.flags.to_le_bytes());
        out.extend_from_slice(id.as_bytes());
        out
    }

    fn decode(bytes: &[u8]) -> Option<(Request, &[u8])> {
        let (create, rest) = bytes.split_at_checked(4)?;
        let (flags, id) = rest.split_at_checked(4)?;
        let create = i32::from_le_bytes(create.try_into().ok()?);
        Some((Request { create, flags: u32::from_le_bytes(flags.try_into().ok()?) }, id))
    }
}

/// Finds out what the processor can do, once for all children: on virtual machines each question leaves the guest.
pub fn ask_the_processor() {
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    std::hint::black_box(std::arch::is_x86_feature_detected!("avx512f"));
}

/// Serves the agent until it is gone. Returns `Some` in each container's first process: how its start went so far.
pub fn serve() -> Option<Result<(), SetupFailure>> {
    // SAFETY: the agent placed the socket there; nothing else of this process owns that descriptor.
    let socket = unsafe { OwnedFd::from_raw_fd(record::LAUNCHER_FD) };
    let ids = credentials::own_ids();
    let own_pids = File::open("/proc/self/ns/pid").ok();
    let mut buffer = vec![0; MARKER_ROOM + 8];
    loop {
        let (length, fds) = socket::receive(&socket, &mut buffer).ok()?;
        if length == 0 {
            return None;
        }
        let (request, id) = Request::decode(buffer.get(..length)?)?;
        if request.flags & SEPARATE != 0 {
            let errno = setup::prepare_for_all().map_or_else(|error| error.raw_os_error().unwrap_or(libc::EIO), |()| 0);
            socket::send(&socket, &(-errno).to_le_bytes(), &[]).ok()?;
            continue;
        }
        let given = Given::sort(request, fds)?;
        match fork(request, &given, own_pids.as_ref()) {
            Ok(Fork::Child) => {
                set_marker(id);
                let done = become_container(request, given, ids);
                // Their numbers may be others' by now.
                std::mem::forget((socket, own_pids));
                return Some(done);
            }
            Ok(Fork::Parent(pid)) => socket::send(&socket, &(pid as i32).to_le_bytes(), &[]).ok()?,
            Err(error) => {
                let errno = error.raw_os_error().unwrap_or(libc::EIO);
                socket::send(&socket, &(-errno).to_le_bytes(), &[]).ok()?;
            }
        }
    }
}

/// The descriptors of a request by their use.
struct Given {
    stdout: OwnedFd,
    stderr: OwnedFd,
    record: OwnedFd,
    parent: Option<OwnedFd>,
    cgroup: Option<OwnedFd>,
    joins: Vec<OwnedFd>,
}

impl Given {
    fn sort(request: Request, fds: Vec<OwnedFd>) -> Option<Given> {
        let mut fds = fds.into_iter();
        Some(Given {
            stdout: fds.next()?,
            stderr: fds.next()?,
            record: fds.next()?,
            parent: if request.flags & PARENT != 0 { Some(fds.next()?) } else { None },
            cgroup: if request.flags & CGROUP != 0 { Some(fds.next()?) } else { None },
            joins: fds.collect(),
        })
    }
}

fn fork(request: Request, given: &Given, own_pids: Option<&File>) -> io::Result<Fork> {
    let inside = given.parent.as_ref().filter(|_| request.flags & IN_PARENT_PID != 0);
    if let Some(parent) = inside {
        mounts::enter(parent.as_raw_fd(), libc::CLONE_NEWPID)?;
    }
    let forked = clone::fork_sibling(request.create, given.cgroup.as_ref().map(|cgroup| cgroup.as_fd()));
    if inside.is_some() && !matches!(forked, Ok(Fork::Child)) {
        let back = own_pids.ok_or(io::ErrorKind::NotFound.into());
        if back.and_then(|own| mounts::enter(own.as_raw_fd(), libc::CLONE_NEWPID)).is_err() {
            // Whatever it forked from now on would land in the wrong place; the agent starts another.
            std::process::exit(1);
        }
    }
    forked
}

/// The first steps of a container: its cgroups, its user namespace, its session and descriptors.
fn become_container(request: Request, given: Given, ids: (u32, u32)) -> Result<(), SetupFailure> {
    for mut join in given.joins.into_iter().map(File::from) {
        join.write_all(b"0").map_err(failure("enter the container's cgroup"))?;
    }
    if request.create & libc::CLONE_NEWUSER != 0 {
        credentials::map_own_user(ids).map_err(failure("map the user into the user namespace"))?;
    }
    let place = failure("place descriptors");
    let placed = files::place(&given.stdout, 1)
        .and_then(|()| files::place(&given.stderr, 2))
        .and_then(|()| files::place(&given.record, record::LAUNCHER_FD))
        .and_then(|()| given.parent.as_ref().map_or(Ok(()), |parent| files::place(parent, record::PARENT_FD)));
    // The originals are closed with everything else, after the last use.
    std::mem::forget((given.stdout, given.stderr, given.record, given.parent, given.cgroup));
    placed.map_err(place)?;
    process::start_session().map_err(failure("start a session"))
}

/// Writes the container's id over the marker's value.
fn set_marker(id: &[u8]) {
    unsafe extern "C" {
        static environ: *const *mut c_char;
    }
    // SAFETY: one thread; the first entry is the marker that the agent made, whose room is measured before it is
    // written.
    unsafe {
        if environ.is_null() || (*environ).is_null() {
            return;
        }
        let first = *environ;
        let length = CStr::from_ptr(first).to_bytes().len();
        let start = MARKER.len() + 1;
        if length > start + id.len() {
            std::ptr::copy_nonoverlapping(id.as_ptr().cast(), first.add(start), id.len());
            *first.add(start + id.len()) = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_read_as_written() {
        let request = Request { create: libc::CLONE_NEWPID, flags: PARENT | CGROUP };
        let bytes = request.encode("a.b");
        assert_eq!(Request::decode(&bytes), Some((request, &b"a.b"[..])));
        assert_eq!(Request::decode(&bytes[..7]), None);
    }
}
