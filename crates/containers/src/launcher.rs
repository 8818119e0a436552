//! What runs inside a new container before the program, and for commands beside it: forked from `zygote`, it sets up
//! namespaces, user, directories and limits (`setup`), then is the init that reaps, forwards signals and records the
//! end (`init`). One thread, few allocations, no runtime: every container pays for this.

mod init;
mod setup;
pub(crate) mod zygote;

pub use init::reap_children;

use crate::{
    ExecutorKind, Program,
    record::{self, Frame, Record},
};
use kernel::{process, signals, socket};
use std::{
    fs::File,
    os::fd::FromRawFd,
    panic::{AssertUnwindSafe, catch_unwind},
    process::ExitCode,
};

/// The exit code of a container whose setup failed; its record says why.
const SETUP_FAILED: u8 = 125;

/// The process that the agent's containers are forked from, and in each fork the first process of a container: sets it
/// up as its record says, then either runs the program and stays as its init, or calls `executor` in this very process,
/// whose environment is the container's by then, and records what it returns as the exit code. To be called before any
/// thread exists, before much memory is used, and with nothing buffered. An executor is process 1 of its container (or
/// a subreaper): it inherits orphans and should call [`reap_children`] on SIGCHLD.
pub fn main(executor: impl FnOnce(ExecutorKind) -> u8) -> ExitCode {
    if !socket::is_socket(record::LAUNCHER_FD) {
        eprintln!("This command is for agents, which start containers with it; it does nothing by itself.");
        return ExitCode::from(2);
    }
    signals::block();
    // The agent may run with another policy, for its own sake. Where it must not be changed, tasks have the agent's.
    let _ = process::schedule_normally();
    zygote::ask_the_processor();
    setup::usual_filter();
    setup::hidden_in_proc();
    let started = match zygote::serve() {
        Some(started) => started,
        None => return ExitCode::SUCCESS,
    };
    // SAFETY: the record was placed there; nothing else of this process owns that descriptor.
    let mut file = unsafe { File::from_raw_fd(record::LAUNCHER_FD) };
    if let Err(why) = setup::name_process(&mut file).and(started) {
        return fail(&mut file, &why);
    }
    let record = match Record::read_fd(&mut file) {
        Ok(record) => record,
        Err(error) => {
            eprintln!("The record of this container cannot be read: {error}");
            return ExitCode::from(SETUP_FAILED);
        }
    };
    if record.revoked {
        return ExitCode::from(SETUP_FAILED);
    }
    let launch = record.launch;
    if let Err(why) = setup::prepare(&launch) {
        return fail(&mut file, &why);
    }
    let in_pid_namespace = launch.setup.own_pid;
    match launch.program {
        Program::Executor(kind) => {
            if let Err(why) = setup::become_program(&launch) {
                return fail(&mut file, &why);
            }
            signals::unblock();
            let code = catch_unwind(AssertUnwindSafe(|| executor(kind))).unwrap_or(101);
            let _ = record::append(&mut file, &Frame::Status(i32::from(code) << 8));
            if !in_pid_namespace {
                signals::block();
                init::end_descendants();
            }
            ExitCode::from(code)
        }
        Program::Shell(_) | Program::Argv { .. } => match init::start(&launch) {
            Ok(pid) => {
                // What the program needed is the program's now.
                drop(launch);
                init::run(pid, &mut file, in_pid_namespace)
            }
            Err(why) => {
                eprintln!("{why}");
                let _ = record::append(&mut file, &Frame::Failure(why.to_string()));
                let code = why.exit_code();
                let _ = record::append(&mut file, &Frame::Status(i32::from(code) << 8));
                ExitCode::from(code)
            }
        },
    }
}

fn fail(file: &mut File, why: &setup::SetupFailure) -> ExitCode {
    eprintln!("{why}");
    let _ = record::append(file, &Frame::Failure(why.to_string()));
    let _ = record::append(file, &Frame::Status(i32::from(SETUP_FAILED) << 8));
    ExitCode::from(SETUP_FAILED)
}
