//! Test programs: built by one call of cargo, then run side by side, so that what waits (for servers, clocks, disks)
//! and what computes share the cores. Each one's output appears in one piece when it ends.

use std::{
    io::{Read, Seek},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Mutex, mpsc},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use cargo_metadata::{Message, TargetKind};

use crate::{shell::cargo, supervise::supervised};

/// One program, and where it must run.
pub struct Program {
    pub name: String,
    command: PathBuf,
    arguments: Vec<String>,
    directory: PathBuf,
}

/// What a program printed, whether it ended well, and how long it took.
pub struct Outcome {
    pub name: String,
    pub output: String,
    pub succeeded: bool,
    pub took: Duration,
}

/// How long one program may take; the longest takes seven minutes on a busy machine. One that hangs must not take the
/// others' results with it.
const LIMIT: Duration = Duration::from_secs(20 * 60);

/// These take longest, so they start first: a long one that starts last would run alone.
const LONGEST_FIRST: [&str; 8] =
    ["conformance", "cli", "coordination", "containers", "allocator", "sim", "master_core", "agent_core"];

/// Builds every test program of the workspace, and with them what they run: the binary and the programs of examples.
pub fn build(filter: Option<&str>) -> Result<Vec<Program>> {
    // Doc tests have a build of their own, and examples are no tests.
    let mut command = cargo();
    command.args(["test", "--no-run", "--workspace", "--lib", "--bins", "--tests"]);
    command.arg("--message-format=json-render-diagnostics");
    let mut child = command.stdout(Stdio::piped()).spawn().context("cannot start cargo test")?;
    let stdout = child.stdout.take().context("no stdout")?;
    let mut programs = Vec::new();
    for message in Message::parse_stream(std::io::BufReader::new(stdout)) {
        let Message::CompilerArtifact(artifact) = message? else { continue };
        let Some(executable) = artifact.executable.filter(|_| artifact.profile.test) else { continue };
        let directory = artifact.manifest_path.parent().context("a manifest outside any directory")?;
        let package = directory.file_name().unwrap_or_default();
        let of_library = artifact.target.kind.contains(&TargetKind::Lib);
        programs.push(Program {
            name: if of_library { package.to_owned() } else { format!("{package}/{}", artifact.target.name) },
            command: executable.into(),
            arguments: filter.map(str::to_owned).into_iter().collect(),
            directory: directory.into(),
        });
    }
    if !child.wait()?.success() {
        bail!("the tests do not compile");
    }
    programs.sort_by_key(|program| {
        let package = program.name.split('/').next().unwrap_or_default();
        let place = LONGEST_FIRST.iter().position(|name| *name == package).unwrap_or(LONGEST_FIRST.len());
        // Of a crate, its tests with real parts take longer than those in its library.
        (!program.name.contains('/'), place, program.name.clone())
    });
    Ok(programs)
}

/// Runs the programs, as many at a time as there are cores, and hands over each outcome as it comes. Tests that skip
/// themselves write so in `skipped`.
pub fn run_all(programs: Vec<Program>, skipped: &Path, mut on_outcome: impl FnMut(Outcome)) {
    let at_a_time = thread::available_parallelism().map_or(1, usize::from);
    let waiting = Mutex::new(programs.into_iter());
    let (sender, outcomes) = mpsc::channel();
    thread::scope(|scope| {
        for _ in 0..at_a_time {
            let (waiting, sender) = (&waiting, sender.clone());
            scope.spawn(move || {
                loop {
                    let next = waiting.lock().map(|mut programs| programs.next());
                    let Ok(Some(program)) = next else { return };
                    println!("running {}", program.name);
                    if sender.send(run(&program, skipped)).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        for outcome in outcomes {
            on_outcome(outcome);
        }
    });
}

fn run(program: &Program, skipped: &Path) -> Outcome {
    let started = Instant::now();
    let (output, succeeded) = match try_run(program, skipped) {
        Ok((output, succeeded)) => (output, succeeded),
        Err(error) => (format!("{error:#}\n"), false),
    };
    Outcome { name: program.name.clone(), output, succeeded, took: started.elapsed() }
}

/// Both streams go to one file, so that they stay in order, and so that nobody who keeps them open is waited for.
fn try_run(program: &Program, skipped: &Path) -> Result<(String, bool)> {
    let mut output = tempfile::tempfile().context("no temporary file")?;
    let mut command = Command::new(&program.command);
    command.args(&program.arguments).current_dir(&program.directory).env("CARGO_MANIFEST_DIR", &program.directory);
    command.env(testkit::skip::FILE, skipped);
    let mut command = supervised(&command, LIMIT);
    command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output.try_clone()?);
    let succeeded = command.status().with_context(|| format!("cannot start {}", program.command.display()))?.success();
    let mut text = Vec::new();
    output.rewind()?;
    output.read_to_end(&mut text)?;
    Ok((String::from_utf8_lossy(&text).into_owned(), succeeded))
}
