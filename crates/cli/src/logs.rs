//! `meseta logs`: what a task printed, from its agent; with -f what it goes on printing.

use std::{process::ExitCode, time::Duration};

use client::MasterClient;
use model::task_state::is_terminal;
use proto::v1;
use serde::Serialize;
use tokio::{sync::watch, time::sleep};

use crate::{
    connect::{self, Connect},
    find::{self, Among},
    follow,
    output::{json, print},
    printer::{Printer, Stream},
    progress::Progress,
    sandbox::{Sandbox, Sandboxes},
    tables,
};

/// How often a followed task's state is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

#[derive(clap::Args, Debug)]
pub struct LogsArguments {
    #[command(flatten)]
    connect: Connect,
    /// The task's id, or a beginning of it that no other has.
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
    /// Only among the tasks of this framework; the beginning of its id suffices.
    #[arg(long, value_name = "ID")]
    framework: Option<String>,
    /// Prints one JSON document, whose fields docs/cli.md lists.
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
        let cluster = tables::fetch(&arguments.connect).await?;
        let task = find::task(&cluster, &arguments.task, Among::All, arguments.framework.as_deref())?;
        let place = find::place(&cluster, task)?;
        let file = if arguments.stderr { "stderr" } else { "stdout" };
        let unreadable = |error: client::Error| {
            format!("cannot read the files of {} from {}: {error}", arguments.task, place.address)
        };
        let sandbox = Sandboxes::default().open(&place).await.map_err(unreadable)?;
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
            true => watch_end(arguments.connect.client()?, task),
            false => watch::channel(true).1,
        };
        let following =
            follow::follow(&sandbox, file, offset, ended, |data| printer.print(Stream::Stdout, data.to_vec()));
        let followed = tokio::select! {
            followed = following => followed,
            // Nobody reads any more.
            () = printer.broken() => Ok(()),
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
        if piece.data.is_empty() {
            break;
        }
        content.extend_from_slice(&piece.data);
    }
    Ok(content)
}

/// Where the last lines of a file begin, read from its end.
async fn tail(sandbox: &Sandbox, file: &str, size: u64, lines: usize) -> Result<u64, client::Error> {
    const BLOCK: u64 = 64 << 10;
    let (mut from, mut end) = (size, Vec::new());
    loop {
        if let Some(at) = start_of_last(&end, lines) {
            return Ok(from + at as u64);
        }
        if from == 0 {
            return Ok(0);
        }
        let to = from;
        from = from.saturating_sub(BLOCK);
        let mut block = Vec::new();
        while (block.len() as u64) < to - from {
            let next = from + block.len() as u64;
            let Some(piece) = sandbox.read(file, next).await?.filter(|piece| !piece.data.is_empty()) else { break };
            let wanted = piece.data.len().min((to - next) as usize);
            block.extend_from_slice(piece.data.get(..wanted).unwrap_or_default());
        }
        block.append(&mut end);
        end = block;
    }
}

/// Where the last lines begin, if the text has a line before them.
fn start_of_last(text: &[u8], lines: usize) -> Option<usize> {
    // The newline at the very end ends the last line; it does not begin another.
    let body = text.strip_suffix(b"\n").unwrap_or(text);
    match lines {
        0 => Some(text.len()),
        _ => {
            let newlines = body.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n');
            newlines.map(|(at, _)| at + 1).nth(lines - 1)
        }
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
            assert_eq!(start_of_last(text.as_bytes(), lines), expected, "{text:?} {lines}");
        }
    }
}
