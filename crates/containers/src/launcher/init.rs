//! The init of a container that runs a command: starts the program, hands signals to it, reaps what it leaves behind,
//! and records how it ended where a restarted agent finds it.

use super::setup;
use crate::{
    Program,
    record::{self, Frame, Launch},
};
use kernel::{
    clone::{self, CStrings, Exec, Plan, Step},
    process, procfs, signals,
};
use std::{ffi::CString, fs::File, io, os::fd::AsRawFd, process::ExitCode};

/// Where programs are looked up when the environment has no `PATH`.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

#[derive(Debug, thiserror::Error)]
pub enum StartFailure {
    #[error("Failed to execute '{program}': {source}")]
    Exec { program: String, source: io::Error },
    #[error("Failed to {}: {source}", step.what())]
    Step { step: Step, source: io::Error },
    #[error("The command holds a NUL character")]
    Nul,
}

impl StartFailure {
    /// As shells tell it: 127 not found, 126 not runnable.
    pub fn exit_code(&self) -> u8 {
        match self {
            StartFailure::Exec { source, .. } if source.kind() == io::ErrorKind::NotFound => 127,
            StartFailure::Exec { .. } => 126,
            StartFailure::Step { .. } | StartFailure::Nul => super::SETUP_FAILED,
        }
    }
}

/// Starts the program in a session of its own.
pub fn start(launch: &Launch) -> Result<i32, StartFailure> {
    let text = |text: &str| CString::new(text).map_err(|_| StartFailure::Nul);
    let (name, candidates, argv) = match &launch.program {
        Program::Shell(script) => {
            ("/bin/sh".to_owned(), vec![c"/bin/sh".to_owned()], vec![c"sh".to_owned(), c"-c".to_owned(), text(script)?])
        }
        Program::Argv { path, argv } => {
            let argv = argv.iter().map(|argument| text(argument)).collect::<Result<Vec<_>, _>>()?;
            (path.clone(), candidates(path, &launch.env)?, argv)
        }
        Program::Executor(_) => return Err(StartFailure::Nul),
    };
    let mut env = Vec::with_capacity(launch.env.len());
    for (name, value) in &launch.env {
        env.push(text(&format!("{name}={value}"))?);
    }
    let (argv, envp) = (CStrings::new(argv), CStrings::new(env));
    let filter = setup::filter(launch);
    let plan = Plan {
        namespaces: 0,
        exec: Exec::Paths(&candidates),
        argv: &argv,
        envp: &envp,
        fds: &[],
        user_maps: None,
        try_mounts: false,
        new_session: true,
        rlimits: &launch.rlimits,
        user: setup::user(launch),
        privileges: setup::privileges(launch, filter.as_deref()),
        reset_signals: true,
        death_signal: None,
    };
    match clone::spawn(&plan) {
        Ok(child) => Ok(child.pid as i32),
        Err(error) if error.step == Step::Exec => Err(StartFailure::Exec { program: name, source: error.source }),
        Err(error) => Err(StartFailure::Step { step: error.step, source: error.source }),
    }
}

fn candidates(program: &str, env: &[(String, String)]) -> Result<Vec<CString>, StartFailure> {
    if program.contains('/') {
        return Ok(vec![CString::new(program).map_err(|_| StartFailure::Nul)?]);
    }
    let path = env.iter().rev().find(|(name, _)| name == "PATH").map_or(DEFAULT_PATH, |(_, value)| value.as_str());
    path.split(':')
        .map(|directory| if directory.is_empty() { "." } else { directory })
        .map(|directory| CString::new(format!("{directory}/{program}")).map_err(|_| StartFailure::Nul))
        .collect()
}

/// Stays until the program has ended.
pub fn run(program: i32, file: &mut File, in_pid_namespace: bool) -> ExitCode {
    loop {
        let signal = signals::next();
        if signal != libc::SIGCHLD {
            if !matches!(signal, libc::SIGTTIN | libc::SIGTTOU | libc::SIGTSTP) {
                // The program leads its process group: a shell's children hear it too.
                let _ = signals::send(-program, signal).or_else(|_| signals::send(program, signal));
            }
            continue;
        }
        let mut ended = None;
        while let Some((pid, status)) = process::reap_any() {
            if pid as i32 == program {
                ended = Some(status);
            }
        }
        let Some(status) = ended else { continue };
        let _ = record::append(file, &Frame::Status(status));
        if !in_pid_namespace {
            end_descendants();
        }
        // Descriptors close with the process; its namespace, if it has one, dies with it.
        let _ = file.as_raw_fd();
        return ExitCode::from(exit_code(status));
    }
}

/// What can be told of a wait status by an exit code. The agent trusts the record when this is above 125.
fn exit_code(status: i32) -> u8 {
    if libc::WIFEXITED(status) {
        libc::WEXITSTATUS(status) as u8
    } else {
        128u8.wrapping_add(libc::WTERMSIG(status) as u8)
    }
}

/// Kills and reaps until nothing is left below this process, which inherits whatever loses its parent.
pub fn end_descendants() {
    loop {
        for pid in procfs::own_children() {
            let _ = signals::send(pid as i32, libc::SIGKILL);
        }
        if process::wait_any().is_none() {
            return;
        }
    }
}

/// Reaps every child that has ended, orphans included, and tells each with its raw wait status.
pub fn reap_children(mut ended: impl FnMut(u32, i32)) {
    while let Some((pid, status)) = process::reap_any() {
        ended(pid, status);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_looked_up_in_the_path_of_the_container() {
        let env = vec![("PATH".to_owned(), "/a::/b".to_owned())];
        let found = candidates("x", &env).unwrap();
        assert_eq!(found, [c"/a/x".to_owned(), c"./x".to_owned(), c"/b/x".to_owned()]);
        assert_eq!(candidates("./x", &env).unwrap(), [c"./x".to_owned()]);
        assert!(candidates("a\0b", &env).is_err());
    }

    #[test]
    fn exit_codes_mirror_the_status() {
        assert_eq!((exit_code(0), exit_code(3 << 8), exit_code(9)), (0, 3, 137));
    }
}
