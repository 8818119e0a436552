//! The agent's side of the process that containers are forked from: starting it, asking it, and starting it again
//! should it ever end. What it does is in `launcher::zygote`.

use crate::{
    Config, Rlimit,
    launcher::zygote::{MARKER, MARKER_ROOM, Request, SEPARATE},
    mutex::lock,
    record,
};
use kernel::{
    clone::{self, CStrings, Child, Exec, Plan, Privileges, SpawnError},
    files, limits, pidfd, socket,
};
use std::{
    ffi::CString,
    fs::File,
    io,
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    sync::Mutex,
};

pub struct Zygote {
    executable: OwnedFd,
    arguments: CStrings,
    environment: CStrings,
    null: OwnedFd,
    /// How many descriptors containers may open: as many as this process might when it started.
    descriptors: Rlimit,
    /// Containers get mounts apart from the host's, with the kernel's devices and cgroups read-only.
    separate: bool,
    running: Mutex<Option<Running>>,
}

struct Running {
    /// `None` only while it is being dropped.
    socket: Option<OwnedFd>,
    process: Child,
}

impl std::fmt::Debug for Zygote {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Zygote")
    }
}

impl Zygote {
    /// Opens the executable and starts the process.
    pub fn start(config: &Config, separate: bool) -> io::Result<Zygote> {
        let executable = open_executable(config)?;
        let arguments: Vec<CString> =
            config.executable.args.iter().filter_map(|argument| CString::new(argument.as_bytes()).ok()).collect();
        let marker = CString::new(format!("{MARKER}={}", "-".repeat(MARKER_ROOM)))?;
        let null: OwnedFd = File::options().read(true).open("/dev/null")?.into();
        let zygote = Zygote {
            executable,
            arguments: CStrings::new(arguments),
            environment: CStrings::new(vec![marker]),
            null: lifted(null)?,
            separate,
            descriptors: limits::original_descriptors()?,
            running: Mutex::new(None),
        };
        *lock(&zygote.running) = Some(zygote.spawn()?);
        Ok(zygote)
    }

    /// Has a container's first process made, a child of this one.
    pub fn fork(&self, request: Request, marker: &str, fds: &[BorrowedFd<'_>]) -> io::Result<Child> {
        let datagram = request.encode(marker);
        let mut running = lock(&self.running);
        for attempt in 0..2 {
            let now = match &mut *running {
                Some(now) => now,
                none => none.insert(self.spawn()?),
            };
            let failed = match now.send(&datagram, fds) {
                Ok(()) => match now.answer() {
                    Ok(answer) if answer < 0 => return Err(io::Error::from_raw_os_error(-answer)),
                    Ok(pid) => {
                        // It is our child and not reaped: the number is still its own.
                        let pid = pid as u32;
                        return Ok(Child { pid, pidfd: pidfd::open(pid)? });
                    }
                    // Whether it has forked nobody knows; asking another could start the container twice.
                    Err(error) => (error, true),
                },
                Err(error) => (error, attempt > 0),
            };
            let (error, last) = failed;
            tracing::error!("The process that containers are forked from has ended ({error})");
            *running = None;
            if last {
                return Err(error);
            }
        }
        Err(io::ErrorKind::NotConnected.into())
    }

    fn spawn(&self) -> io::Result<Running> {
        let (socket, theirs) = socket::pair()?;
        let theirs = lifted(theirs)?;
        let stderr = lifted(std::io::stderr().as_fd().try_clone_to_owned()?)?;
        let fds = [
            (self.null.as_raw_fd(), 0),
            (stderr.as_raw_fd(), 1),
            (stderr.as_raw_fd(), 2),
            (theirs.as_raw_fd(), record::LAUNCHER_FD),
        ];
        let plan = Plan {
            namespaces: 0,
            exec: Exec::Fd(self.executable.as_fd()),
            argv: &self.arguments,
            envp: &self.environment,
            fds: &fds,
            user_maps: None,
            try_mounts: false,
            new_session: true,
            rlimits: std::slice::from_ref(&self.descriptors),
            user: None,
            privileges: Privileges::default(),
            reset_signals: false,
            death_signal: None,
        };
        let process = clone::spawn(&plan).map_err(|SpawnError { source, .. }| source)?;
        let running = Running { socket: Some(socket), process };
        if self.separate {
            running.send(&Request { create: 0, flags: SEPARATE }.encode(""), &[])?;
            let answer = running.answer()?;
            if answer < 0 {
                return Err(io::Error::from_raw_os_error(-answer));
            }
        }
        Ok(running)
    }
}

impl Running {
    fn socket(&self) -> io::Result<&OwnedFd> {
        self.socket.as_ref().ok_or(io::ErrorKind::NotConnected.into())
    }

    fn send(&self, datagram: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
        socket::send(self.socket()?, datagram, fds)
    }

    fn answer(&self) -> io::Result<i32> {
        let mut answer = [0; 4];
        match socket::receive(self.socket()?, &mut answer)? {
            (4, _) => Ok(i32::from_le_bytes(answer)),
            _ => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.socket = None;
        let _ = pidfd::signal(&self.process.pidfd, libc::SIGKILL);
        let _ = pidfd::reap(&self.process.pidfd);
    }
}

fn open_executable(config: &Config) -> io::Result<OwnedFd> {
    lifted(files::open_path(&config.executable.path)?)
}

/// Out of the way of the descriptors a launcher expects.
fn lifted(fd: OwnedFd) -> io::Result<OwnedFd> {
    Ok(files::lift(&fd, record::PARENT_FD + 1)?.unwrap_or(fd))
}
