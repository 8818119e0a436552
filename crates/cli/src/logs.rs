//! `meseta logs`: what a task printed, from its agent; with -f what it goes on printing.

use std::{process::ExitCode, time::Duration};

use client::MasterClient;
use model::task_state::is_terminal;
use proto::v1;
use serde::Serialize;
use tokio::{sync::watch, time::sleep};

use crate::{
    connect::{self, Connect},
    find::{self, Among, NotFound},
    follow,
    output::{self, bytes, json, print},
    printer::{Printer, Stream},
    progress::Progress,
    recall,
    sandbox::{Sandbox, Sandboxes},
    tables::{self, Parts},
};

/// How often a followed task's state is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Bytes of output in one JSON document.
const DOCUMENT_MAX: u64 = 64 << 20;

#[derive(clap::Args, Debug)]
pub struct LogsArguments {
    #[command(flatten)]
    connect: Connect,
    /// The task: its id, a beginning of it that no other has, or its name.
    task: String,
    /// Goes on until the task ends.
    #[arg(short, long)]
    follow: bool,
    /// Its stderr instead of its stdout.
    #[arg(long)]
    stderr: bool,
    /// Only the last lines.
    #[arg(short = 'n', long, value_name = "LINES")]
    lines: Option<usize>,
    /// Only among the tasks of this framework: its id or a short id.
    #[arg(long, value_name = "ID")]
    framework: Option<String>,
    /// Prints one JSON document, whose fields `meseta help cli` lists.
    #[arg(long, conflicts_with = "follow")]
    json: bool,
}

#[derive(Serialize)]
struct Document {
    task_id: String,
    framework_id: String,
    agent_id: String,
    /// Of the file, on the agent.
    path: String,
    size: u64,
    /// Where in the file the content begins.
    offset: u64,
    content: String,
}

pub fn logs(arguments: LogsArguments) -> ExitCode {
    connect::run(async {
        let target = arguments.connect.target()?;
        let mut cluster =
            tables::fetch(&arguments.connect, Parts { agents: true, tasks: true, ..Parts::default() }).await?;
        let framework = arguments.framework.as_deref();
        if let Err(NotFound::Nothing(_)) = find::task(&cluster, &arguments.task, Among::All, framework) {
            cluster = recall::of_agents(&arguments.connect, &arguments.task, framework).await?;
        }
        let task = find::task(&cluster, &arguments.task, Among::All, framework)?;
        let place = find::place(&cluster, task)?;
        let file = if arguments.stderr { "stderr" } else { "stdout" };
        let unreadable = |error: client::Error| {
            format!("cannot read the files of {} from {}: {error}", arguments.task, place.address)
        };
        let sandbox = Sandboxes::new(target.options()).open(&place).await.map_err(unreadable)?;
        let size = sandbox.size(file).await.map_err(unreadable)?;
        let waits = arguments.follow && !is_terminal(task.state());
        if size.is_none() && !waits {
            return Err(format!(
                "there is no {}: the task has not started, or the agent has removed its sandbox",
                sandbox.path_of(file)
            ));
        }
        let size = size.unwrap_or(0);
        let offset = match arguments.lines {
            Some(lines) => tail(&sandbox, file, size, lines).await.map_err(unreadable)?,
            None => 0,
        };
        if arguments.json {
            if size - offset > DOCUMENT_MAX {
                return Err(format!(
                    "{} holds {}, and one JSON document at most {}; -n takes the last lines, and without --json all is printed",
                    sandbox.path_of(file),
                    bytes(size - offset),
                    bytes(DOCUMENT_MAX)
                ));
            }
            let content = read_all(&sandbox, file, offset).await.map_err(unreadable)?;
            print(&json(&Document {
                task_id: task.task_id.value.clone(),
                framework_id: place.framework_id.clone(),
                agent_id: place.agent_id.clone(),
                path: sandbox.path_of(file),
                size,
                offset,
                content: String::from_utf8_lossy(&content).into_owned(),
            })?);
            return Ok(ExitCode::SUCCESS);
        }
        let (printer, written) = Printer::start(Progress::new(true, 1));
        let ended = match waits {
            true => watch_end(target.client(), task),
            false => watch::channel(true).1,
        };
        let following =
            follow::follow(&sandbox, file, offset, ended, |data| printer.print(Stream::Stdout, data.to_vec()));
        let followed = tokio::select! {
            followed = following => followed,
            () = printer.broken() => output::die_of_broken_pipe(),
        };
        drop(printer);
        let _ = written.await;
        followed.map_err(unreadable)?;
        Ok(ExitCode::SUCCESS)
    })
}

/// Becomes true when the master says that the task has ended or knows it no more.
fn watch_end(master: MasterClient, task: &v1::Task) -> watch::Receiver<bool> {
    let (ended, watched) = watch::channel(false);
    let (task_id, framework_id) = (task.task_id.clone(), task.framework_id.clone());
    tokio::spawn(async move {
        while !ended.is_closed() {
            sleep(LOOK_EVERY).await;
            let Ok(tasks) = master.get_tasks().await else { continue };
            let mut open = tasks.tasks.iter().chain(&tasks.pending_tasks).chain(&tasks.unreachable_tasks);
            let ours = |task: &&v1::Task| task.task_id == task_id && task.framework_id == framework_id;
            if open.find(ours).is_none_or(|task| is_terminal(task.state())) {
                ended.send_replace(true);
                return;
            }
        }
    });
    watched
}

async fn read_all(sandbox: &Sandbox, file: &str, offset: u64) -> Result<Vec<u8>, client::Error> {
    let mut content = Vec::new();
    while let Some(piece) = sandbox.read(file, offset + content.len() as u64).await? {
        // A file that grows while it is read has an end all the same.
        if piece.data.is_empty() || content.len() as u64 > DOCUMENT_MAX {
            break;
        }
        content.extend_from_slice(&piece.data);
    }
    Ok(content)
}

/// Where the last lines of a file begin, read from its end, a block at a time.
async fn tail(sandbox: &Sandbox, file: &str, size: u64, lines: usize) -> Result<u64, client::Error> {
    const BLOCK: u64 = 64 << 10;
    let (mut from, mut missing) = (size, Missing::new(lines));
    while from > 0 {
        let to = from;
        from = from.saturating_sub(BLOCK);
        let mut block = Vec::new();
        while (block.len() as u64) < to - from {
            let next = from + block.len() as u64;
            let Some(piece) = sandbox.read(file, next).await?.filter(|piece| !piece.data.is_empty()) else { break };
            let wanted = piece.data.len().min((to - next) as usize);
            block.extend_from_slice(piece.data.get(..wanted).unwrap_or_default());
        }
        if let Some(at) = missing.look_at(&block, to == size) {
            return Ok(from + at as u64);
        }
    }
    Ok(0)
}

/// How many lines are still to be found while blocks of a file are looked at from its end.
struct Missing(usize);

impl Missing {
    fn new(lines: usize) -> Missing {
        Missing(lines)
    }

    /// Where in this block the last lines begin, if they do. `last`: the file ends with it.
    fn look_at(&mut self, block: &[u8], last: bool) -> Option<usize> {
        if self.0 == 0 {
            return Some(block.len());
        }
        // The newline at the very end ends the last line; it does not begin another.
        let body = if last { block.strip_suffix(b"\n").unwrap_or(block) } else { block };
        for (at, _) in body.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n') {
            self.0 -= 1;
            if self.0 == 0 {
                return Some(at + 1);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_begin_after_the_line_before_them() {
        for (text, lines, expected) in [
            ("a\nb\nc\n", 1, Some(4)),
            ("a\nb\nc", 1, Some(4)),
            ("a\nb\nc\n", 2, Some(2)),
            ("a\nb\nc\n", 3, None),
            ("a\nb\n", 0, Some(4)),
            ("", 2, None),
            ("\n\n", 1, Some(1)),
        ] {
            assert_eq!(Missing::new(lines).look_at(text.as_bytes(), true), expected, "{text:?} {lines}");
        }
        let mut missing = Missing::new(2);
        assert_eq!((missing.look_at(b"b\nc\n", true), missing.look_at(b"x\na\n", false)), (None, Some(4)));
    }
}
