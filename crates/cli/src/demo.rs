//! `meseta demo`: a whole cluster in this process, and two frameworks that compete on it. One counts the words of a
//! real text by map and reduce (`word_count`), the other runs a stream of small tasks and pods (`stream`). At the end
//! the count is compared with one made directly (`text`), and it is shown who got what (`shares`) and where it ran
//! (`ledger`).

mod ledger;
mod shares;
mod stream;
mod text;
mod word_count;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use client::{MasterClient, Masters};
use observe::logging::{self, Format, LogConfig};
use tokio::sync::watch;

use crate::{
    connect,
    dev::{self, DevArguments},
    output, person,
    progress::Progress,
    runtime,
    sandbox::Sandboxes,
};
use ledger::Ledger;
use text::{Counts, Text};

const LOG_NAME: &str = "demo";
const AGENT_RESOURCES: &str = "cpus:2;mem:1024;disk:4096";
const TOP_WORDS: usize = 10;
/// Beyond this something is stuck.
const PATIENCE: Duration = Duration::from_secs(300);
/// What every unit needs, so that whatever comes free suits either framework.
const UNIT_CPUS: f64 = 0.25;
const WORD_COUNT: &str = "wordcount";
const STREAM: &str = "stream";

#[derive(clap::Args, Debug)]
pub struct DemoArguments {
    /// How many agents.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=16))]
    agents: u16,
    /// Into how many pieces the text is cut; each is a map task.
    #[arg(long, default_value_t = 120, value_parser = clap::value_parser!(u16).range(1..=500))]
    chunks: u16,
    /// How long the stream of small tasks goes on, at least.
    #[arg(long, default_value_t = 6)]
    seconds: u64,
    /// Shows the result and nothing else.
    #[arg(short, long)]
    quiet: bool,
}

pub fn demo(arguments: DemoArguments) -> ExitCode {
    connect::run(async {
        let home = tempfile::Builder::new()
            .prefix("meseta-demo-")
            .tempdir()
            .map_err(|error| format!("cannot make a temporary directory: {error}; TMPDIR may name another place"))?;
        let log = LogConfig {
            level: "warn".into(),
            format: Format::Json,
            dir: Some(home.path().join("log")),
            ..LogConfig::new(LOG_NAME)
        };
        logging::start(&log).map_err(|error| error.to_string())?;
        let progress = Progress::new(arguments.quiet, 1);
        let result = in_cluster(&arguments, home.path(), &progress).await;
        progress.clear();
        match result {
            Ok(agree) => Ok(if agree { ExitCode::SUCCESS } else { ExitCode::FAILURE }),
            Err(why) => Err(format!("{why}\n{}", warnings(home.path()).join("\n"))),
        }
    })
}

/// Starts the cluster, shows on it what there is to show, and ends it, whatever happens in between.
async fn in_cluster(arguments: &DemoArguments, home: &Path, progress: &Progress) -> Result<bool, String> {
    progress.show("collecting a text", 0);
    let text = Text::collect()?;
    progress.note(&format!("a text of {:.1} MB from {} files of this machine", text.megabytes(), text.files));
    let arguments_of_dev = DevArguments {
        agents: arguments.agents,
        port: 0,
        work_dir: None,
        resources: Some(AGENT_RESOURCES.to_owned()),
        isolation: "all".to_owned(),
    };
    let dev = dev::start(&arguments_of_dev, &home.join("cluster")).await?;
    progress.note(&format!(
        "a master at {}, {} agents with {AGENT_RESOURCES} each",
        dev.master.address,
        dev.agents.len()
    ));
    let complaints = warnings(home);
    if complaints.is_empty() {
        progress.note("tasks are isolated: namespaces, cgroups");
    }
    for complaint in complaints {
        progress.note(&format!("not isolated: {complaint}"));
    }
    let address = dev.master.address.to_string();
    let show = tokio::time::timeout(PATIENCE, show(arguments, home, &address, &text, progress));
    let result = tokio::select! {
        shown = show => shown.unwrap_or_else(|_| Err(format!("nothing ended within {PATIENCE:?}"))),
        () = runtime::told_to_stop() => Err("interrupted".to_owned()),
    };
    dev.stop().await;
    result
}

async fn show(
    arguments: &DemoArguments,
    home: &Path,
    master: &str,
    text: &Text,
    progress: &Progress,
) -> Result<bool, String> {
    let masters: Masters = master.parse().map_err(|error: client::Error| error.to_string())?;
    let client = MasterClient::new(masters.clone());
    let user = person::name()?;
    let chunks: Vec<PathBuf> = text.write_chunks(&home.join("text"), usize::from(arguments.chunks))?;
    let ledger = Arc::new(Ledger::default());
    let started = Instant::now();
    let (counted, count_is_over) = watch::channel(false);
    let (stop_sampling, sampling_is_over) = watch::channel(false);

    let sampler = tokio::spawn(shares::sample(client.clone(), sampling_is_over));
    let teller = tokio::spawn(tell(progress.clone(), ledger.clone()));
    let stream = stream::Stream {
        masters: masters.clone(),
        user: user.clone(),
        ledger: ledger.clone(),
        at_least: Duration::from_secs(arguments.seconds),
    };
    let stream = tokio::spawn(stream.run(count_is_over));
    let count = word_count::WordCount { masters, user, ledger: ledger.clone(), sandboxes: Sandboxes::default() };
    let result = count.run(&chunks).await;
    counted.send_replace(true);
    let streamed = stream.await.map_err(|error| error.to_string())?;
    let elapsed = started.elapsed();
    stop_sampling.send_replace(true);
    let samples = sampler.await.map_err(|error| error.to_string())?;
    teller.abort();
    progress.clear();

    let (result, ()) = (result?, streamed?);
    let direct = text.count();
    let agree = result == direct;
    output::print(&words(&result, &direct, text, chunks.len()));
    output::print(&format!("\n{}", samples.chart(&[WORD_COUNT, STREAM])));
    output::print(&format!("\n{}", ledger.table(&[WORD_COUNT, STREAM])));
    let tasks = ledger.ended();
    output::print(&format!(
        "\n{tasks} tasks in {:.1} s: {:.0} tasks/s",
        elapsed.as_secs_f64(),
        tasks as f64 / elapsed.as_secs_f64().max(0.001)
    ));
    Ok(agree)
}

/// The most frequent words, counted both ways.
fn words(result: &Counts, direct: &Counts, text: &Text, chunks: usize) -> String {
    let mut top: Vec<(&String, &u64)> = direct.iter().collect();
    top.sort_by(|a, b| b.1.cmp(a.1).then_with(|| a.0.cmp(b.0)));
    let columns =
        [output::Column::Text("WORD"), output::Column::Number("BY MESETA"), output::Column::Number("DIRECTLY")];
    let rows = top.iter().take(TOP_WORDS).map(|(word, count)| {
        vec![(*word).clone(), result.get(*word).copied().unwrap_or(0).to_string(), count.to_string()]
    });
    let table = output::table(&columns, rows);
    let all: u64 = direct.values().sum();
    let differing = direct.iter().filter(|(word, count)| result.get(*word) != Some(count)).count()
        + result.keys().filter(|word| !direct.contains_key(*word)).count();
    let verdict = match differing {
        0 => format!("All {} words ({all} occurrences) agree.", direct.len()),
        _ => format!("THE COUNTS DIFFER in {differing} of {} words.", direct.len()),
    };
    format!(
        "Words of {:.1} MB of text, counted by {chunks} map tasks and a reduce task\n\n{table}\n\n{verdict}",
        text.megabytes()
    )
}

/// Shows how far both frameworks are, until it is aborted.
async fn tell(progress: Progress, ledger: Arc<Ledger>) {
    const REDRAW: Duration = Duration::from_millis(200);
    const LINES_EVERY: u32 = 10;
    let mut rounds = 0;
    loop {
        tokio::time::sleep(REDRAW).await;
        rounds += 1;
        let text = ledger.describe();
        if rounds % LINES_EVERY == 0 {
            progress.plain(&text);
        }
        progress.show(text, 0);
    }
}

/// What the servers warned of, each sentence once.
fn warnings(home: &Path) -> Vec<String> {
    let log = std::fs::read_to_string(home.join("log").join(format!("{LOG_NAME}.log"))).unwrap_or_default();
    let mut sentences: Vec<String> = Vec::new();
    for line in log.lines() {
        let Ok(line) = serde_json::from_str::<serde_json::Value>(line) else { continue };
        let message = line.pointer("/fields/message").or_else(|| line.get("message"));
        let Some(message) = message.and_then(serde_json::Value::as_str) else { continue };
        // Agents say the same but for their number.
        let same = |known: &String| {
            known.chars().filter(|c| !c.is_ascii_digit()).eq(message.chars().filter(|c| !c.is_ascii_digit()))
        };
        if !sentences.iter().any(same) {
            sentences.push(message.to_owned());
        }
    }
    sentences
}
