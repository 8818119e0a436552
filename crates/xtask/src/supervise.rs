//! `cargo xtask supervise`: one program of tests, whose descendants are all ours. It may hang and it may leave
//! processes behind; either is a failure that names the culprits, and neither outlives the run.
//!
//! A process whose parent has ended becomes the child of the nearest subreaper above it, which is us: daemons too, in
//! sessions of their own, and containers, whose processes die with their first one.

use std::{
    collections::BTreeSet,
    fs,
    io::Write,
    os::unix::process::ExitStatusExt,
    process::{Command, ExitStatus},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use kernel::procfs;

#[derive(clap::Args)]
pub struct Arguments {
    /// How long the program may take, in seconds.
    #[arg(long)]
    seconds: u64,
    /// The program and its arguments.
    #[arg(last = true, required = true)]
    line: Vec<String>,
}

/// What servers may need to end after the program that stopped them.
const GRACE: Duration = Duration::from_secs(5);

const TICK: Duration = Duration::from_millis(20);

/// A command that runs `command`, with its directory and environment, below a supervisor of its own.
pub fn supervised(command: &Command, limit: Duration) -> Command {
    // Not by its path, where a build may have put another program meanwhile.
    let mut supervisor = Command::new("/proc/self/exe");
    supervisor.args(["supervise", "--seconds", &limit.as_secs().to_string(), "--"]);
    supervisor.arg(command.get_program()).args(command.get_args());
    if let Some(directory) = command.get_current_dir() {
        supervisor.current_dir(directory);
    }
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => supervisor.env(name, value),
            None => supervisor.env_remove(name),
        };
    }
    supervisor
}

pub fn supervise(arguments: &Arguments) -> Result<()> {
    kernel::process::become_subreaper().context("cannot become the reaper of orphans")?;
    let (program, rest) = arguments.line.split_first().context("no program")?;
    let child = Command::new(program).args(rest).spawn().with_context(|| format!("cannot start {program}"))?;
    let limit = Duration::from_secs(arguments.seconds);
    let Some(status) = wait_for(child.id(), Instant::now() + limit) else {
        say(&format!("{program} did not end within {} s and was ended, with these processes:", limit.as_secs()));
        end_all();
        bail!("out of time");
    };
    let deadline = Instant::now() + GRACE;
    while kernel::process::has_children() && Instant::now() < deadline {
        while kernel::process::reap_any().is_some() {}
        thread::sleep(TICK);
    }
    if kernel::process::has_children() {
        say(&format!("{program} left these processes behind:"));
        end_all();
        bail!("processes left behind");
    }
    if !status.success() {
        bail!("{program}: {status}");
    }
    Ok(())
}

/// How the child `pid` ended, or `None` at the deadline. Reaps orphans meanwhile.
fn wait_for(pid: u32, deadline: Instant) -> Option<ExitStatus> {
    while Instant::now() < deadline {
        match kernel::process::reap_any() {
            Some((reaped, status)) if reaped == pid => return Some(ExitStatus::from_raw(status)),
            Some(_) => {}
            None => thread::sleep(TICK),
        }
    }
    None
}

/// Names all descendants and ends them. Only children of ours are signalled, whose ids nobody else can have before we
/// reap them; those whose parent ends so become children of ours.
fn end_all() {
    let mut named = BTreeSet::new();
    while kernel::process::has_children() {
        for pid in procfs::descendants(std::process::id(), &procfs::all_stats()).iter().map(|stat| stat.pid) {
            if named.insert(pid) {
                say(&format!("  {}", describe(pid)));
            }
        }
        for child in procfs::own_children() {
            let _ = kernel::signals::send(child as i32, libc::SIGKILL);
        }
        while kernel::process::reap_any().is_some() {}
        thread::sleep(TICK);
    }
}

/// A process by its id, command line and the names of its threads: Rust's runner calls each by its test, of which the
/// kernel keeps the first 15 bytes.
fn describe(pid: u32) -> String {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let line = String::from_utf8_lossy(&line).replace('\0', " ");
    let threads: Vec<String> = fs::read_dir(format!("/proc/{pid}/task"))
        .into_iter()
        .flatten()
        .filter_map(|entry| fs::read_to_string(entry.ok()?.path().join("comm")).ok())
        .map(|name| name.trim_end().to_owned())
        .collect();
    format!("{pid}: {} (threads: {})", line.trim_end(), threads.join(", "))
}

/// Into what the program printed.
fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_described_by_its_command_and_its_threads() {
        let mut child = Command::new("sleep").arg("61").spawn().expect("sleep");
        let deadline = Instant::now() + Duration::from_secs(10);
        // Until it runs the other program, it is a copy of this one.
        while !describe(child.id()).contains("sleep 61") && Instant::now() < deadline {
            thread::sleep(TICK);
        }
        let description = describe(child.id());
        child.kill().expect("killed");
        child.wait().expect("waited for");
        assert_eq!(description, format!("{}: sleep 61 (threads: sleep)", child.id()));
    }

    #[test]
    fn a_supervisor_runs_the_same_line_in_the_same_place() {
        let mut command = Command::new("true");
        command.arg("x").current_dir("/").env("A", "1").env_remove("B");
        let supervisor = supervised(&command, Duration::from_secs(9));
        let words: Vec<_> = supervisor.get_args().map(|word| word.to_string_lossy().into_owned()).collect();
        assert_eq!(words, ["supervise", "--seconds", "9", "--", "true", "x"]);
        assert_eq!(supervisor.get_current_dir(), command.get_current_dir());
        assert!(supervisor.get_envs().eq(command.get_envs()));
    }
}
