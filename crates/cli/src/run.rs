//! `meseta run`: runs a command or a pod as a framework of its own, shows its output, and ends as it ends. Offers and
//! launches are `framework`'s, `watch` keeps the tasks' states and output, `why` says why nothing starts.

mod watch;
mod why;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use clap::Args;
use client::MasterClient;
use proto::v1;
use resources::Quantities;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::{Instant, sleep_until, timeout},
};

use crate::{
    compose::{self, Wish},
    connect::{Connect, Target},
    exit, files,
    framework::{self, Framework, News, Order, Part, Unit},
    output::{complain, die_of_broken_pipe},
    person, pod,
    progress::Progress,
    runtime, ship,
    shortage::Quotas,
};
use watch::Watch;

/// How long nothing may start before the reason is looked for, and how often after that.
const FIRST_LOOK: Duration = Duration::from_secs(2);
const NEXT_LOOK: Duration = Duration::from_secs(5);
const LOOK_PATIENCE: Duration = Duration::from_secs(3);
/// How long the framework and its tasks outlive a `meseta run` that was killed, or a network that is away.
const FAILOVER: Duration = Duration::from_secs(600);
/// The code that stands for a pipe whose reader has gone, until the process ends by that.
const NOBODY_READS: u8 = 141;
const INSTANCES_MAX: i64 = 100_000;
const DEFAULT_CPUS: f64 = 0.5;
const DEFAULT_MEM: f64 = 128.0;

#[derive(clap::Args, Debug)]
pub struct RunArguments {
    #[command(flatten)]
    connect: Connect,
    /// What to run: text for `sh -c`, or with --argv a program and its arguments. A script of this directory,
    /// ./work.sh, is shipped along.
    ///
    /// Options come before it. `--` before it lets it begin with `-`, or have options that are named like these.
    #[arg(trailing_var_arg = true, required_unless_present = "pod")]
    command: Vec<String>,
    /// A pod file (JSON or YAML) instead of a command: containers that live and die together.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["command", "argv", "cpus", "mem", "disk", "gpus", "env", "uri", "kill_after"])]
    pod: Option<PathBuf>,
    /// What the tasks are called; the program's name without it.
    #[arg(long)]
    name: Option<String>,
    /// CPUs for each task [default: 0.5].
    #[arg(long)]
    cpus: Option<f64>,
    /// Memory for each task in MiB [default: 128].
    #[arg(long)]
    mem: Option<f64>,
    /// Disk for each task in MiB [default: 0].
    #[arg(long)]
    disk: Option<f64>,
    /// GPUs for each task [default: 0].
    #[arg(long)]
    gpus: Option<f64>,
    /// How many times to run it.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=INSTANCES_MAX))]
    instances: u32,
    /// The role whose share of the cluster this counts against.
    #[arg(long, default_value = "*")]
    role: String,
    /// A variable of the tasks' environment; may be given again.
    #[arg(long, value_name = "NAME=VALUE", value_parser = compose::parse_variable)]
    env: Vec<(String, String)>,
    /// A file that each task finds in its directory; behind it, options: `:extract`, `:noextract`, `:executable`,
    /// `:cache`, `:output=NAME`. May be given again.
    #[arg(long, value_name = "URI[:OPTION]", value_parser = compose::parse_uri)]
    uri: Vec<v1::command_info::Uri>,
    /// The user who runs the tasks; you without it.
    #[arg(long)]
    user: Option<String>,
    /// COMMAND is a program and its arguments; no shell reads it.
    #[arg(long)]
    argv: bool,
    /// Kills a task that runs longer, such as 90s or 10mins.
    #[arg(long, value_name = "DURATION", value_parser = compose::parse_duration)]
    kill_after: Option<Duration>,
    /// Tasks survive a restart of their agent (the default).
    #[arg(long, overrides_with = "no_checkpoint")]
    checkpoint: bool,
    /// Tasks end with their agent.
    #[arg(long, overrides_with = "checkpoint")]
    no_checkpoint: bool,
    /// Shows the tasks' output, and nothing else but errors that no exit code tells.
    #[arg(short, long)]
    quiet: bool,
}

pub fn run(arguments: RunArguments) -> ExitCode {
    let marked = is_marked(std::env::args(), &arguments.command);
    if let Err(why) = check_words(&arguments.command, marked) {
        complain(&why);
        return ExitCode::from(exit::USAGE);
    }
    let result = runtime::runtime().and_then(|runtime| {
        let result = runtime.block_on(execute(&arguments));
        // A thread that waits for a terminal or a pipe must not keep the command from ending.
        runtime.shutdown_background();
        result
    });
    match result {
        Ok(NOBODY_READS) => die_of_broken_pipe(),
        Ok(code) => ExitCode::from(code),
        Err(why) => {
            complain(&why);
            ExitCode::from(exit::MESETA_FAILED)
        }
    }
}

/// Whether `--` stands right before the command.
fn is_marked(line: impl Iterator<Item = String>, command: &[String]) -> bool {
    let line: Vec<String> = line.collect();
    let before = line.len().checked_sub(command.len()).and_then(|begin| begin.checked_sub(1));
    before.and_then(|at| line.get(at)).is_some_and(|word| word == "--")
}

/// Options that stand behind the command would go to the command, which is seldom meant.
fn check_words(command: &[String], marked: bool) -> Result<(), String> {
    let Some((first, rest)) = command.split_first().filter(|_| !marked) else { return Ok(()) };
    let ours = RunArguments::augment_args(clap::Command::new("run"));
    let is_ours = |word: &str| {
        let name = word.strip_prefix("--").map(|name| name.split('=').next().unwrap_or(name));
        name.is_some_and(|name| ours.get_arguments().any(|argument| argument.get_long() == Some(name)))
    };
    // Text with blanks is a whole command for a shell; nothing belongs behind it.
    let is_text = first.contains(char::is_whitespace);
    match rest.iter().find(|word| is_ours(word) || (is_text && word.starts_with('-'))) {
        None => Ok(()),
        Some(word) => Err(format!(
            "{word} stands behind the command. Options of `meseta run` come before it: meseta run {word} … {first}\n\
             If {word} is meant for the command, write -- before the command: meseta run -- {first} … {word}"
        )),
    }
}

async fn execute(arguments: &RunArguments) -> Result<u8, String> {
    let target = arguments.connect.target()?;
    let work = plan_work(arguments)?;
    let user = match &arguments.user {
        Some(user) => user.clone(),
        None => person::name()?,
    };
    let roles = vec![arguments.role.clone()];
    let checkpoint = !arguments.no_checkpoint;
    let mut info = framework::info(work.name.clone(), user, roles, checkpoint, FAILOVER);
    info.principal = target.principal().map(str::to_owned);
    let mut signals = Signals::listen().map_err(|error| format!("cannot wait for signals: {error}"))?;
    let needs: Vec<Quantities> = work.units.iter().map(Unit::needs).collect();
    let tasks = work.units.iter().map(|unit| unit.parts.len()).sum();
    let progress = Progress::new(arguments.quiet, tasks);
    work.notes.iter().for_each(|note| progress.note(note));
    let (watch, written) = Watch::new(&work.units, target.options(), progress.clone());
    let framework = Framework::start(target.scheduler(), info);
    framework.order(Order::Add(work.units)).await;
    let run = Run {
        client: target.client(),
        target,
        role: arguments.role.clone(),
        needs,
        progress: progress.clone(),
        watch,
        framework,
        subscribed: false,
        away: false,
        interrupted: None,
        look_at: Instant::now() + FIRST_LOOK,
        reason: None,
    };
    let result = run.until_over(&mut signals).await;
    progress.clear();
    // Whatever the tasks printed is on its way through one thread.
    match result {
        Ok(End::Over(code)) => {
            let _ = written.await;
            Ok(code)
        }
        Ok(End::Left(code)) => Ok(code),
        Err(why) => {
            let _ = timeout(LOOK_PATIENCE, written).await;
            Err(why)
        }
    }
}

/// How a run ended, and its exit code.
enum End {
    Over(u8),
    /// Somebody was in a hurry.
    Left(u8),
}

/// What a run consists of.
struct Work {
    name: String,
    units: Vec<Unit>,
    /// What people should know about it.
    notes: Vec<String>,
}

fn plan_work(arguments: &RunArguments) -> Result<Work, String> {
    let named = |name: &str| match pod::is_name(name) {
        true => Ok(name.to_owned()),
        false => Err(format!("'{name}' cannot be a name: use up to 100 letters, digits, '-', '_' and '.'")),
    };
    let asked = arguments.name.as_deref().map(named).transpose()?;
    resources::role::check(&arguments.role).map_err(|error| format!("--role: {error}"))?;
    let mut notes = Vec::new();
    let (name, parts, executor) = match &arguments.pod {
        Some(path) => {
            let mut pod = read_pod(path)?;
            if let Some(user) = &arguments.user {
                let commands = pod.parts.iter_mut().filter_map(|part| part.task.command.as_mut());
                commands.filter(|command| command.user.is_none()).for_each(|command| command.user = Some(user.clone()));
            }
            let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
            (asked.or(pod.name).unwrap_or_else(|| name_of(&stem)), pod.parts, Some(pod.executor))
        }
        None => {
            let first = arguments.command.first().map(String::as_str).unwrap_or_default();
            let part = wish(arguments, &mut notes)?.part("", "");
            (asked.unwrap_or_else(|| name_of(first)), vec![part], None)
        }
    };
    let base = format!("{name}-{}", person::tag());
    let units = (0..arguments.instances as usize)
        .map(|number| {
            let instance = (arguments.instances > 1).then_some(number);
            let parts = parts.iter().map(|part| name_part(part, &name, &base, instance, executor.is_some())).collect();
            Unit { number, parts, pod: executor.clone() }
        })
        .collect();
    Ok(Work { name, units, notes })
}

fn wish(arguments: &RunArguments, notes: &mut Vec<String>) -> Result<Wish, String> {
    let RunArguments { cpus, mem, disk, gpus, .. } = arguments;
    if arguments.command.iter().all(|word| word.trim().is_empty()) {
        return Err("the command is empty".to_owned());
    }
    let here = std::path::Path::new(".");
    let mut env: BTreeMap<String, String> = arguments.env.iter().cloned().collect();
    for file in ship::left_here(&arguments.command, arguments.argv, &arguments.uri, here) {
        notes.push(format!(
            "{file} is a file of this machine, which the task does not see; --uri {file} brings it where the agent has it, too, \
             --uri https://… from anywhere"
        ));
    }
    let command = match ship::ship(&arguments.command, arguments.argv, &arguments.uri, here)? {
        None => arguments.command.clone(),
        Some(shipment) => {
            notes.push(shipment.note);
            env.extend([shipment.variable]);
            shipment.command
        }
    };
    Ok(Wish {
        command,
        argv: arguments.argv,
        env,
        uris: arguments.uri.clone(),
        user: arguments.user.clone(),
        needs: compose::needs(
            cpus.unwrap_or(DEFAULT_CPUS),
            mem.unwrap_or(DEFAULT_MEM),
            disk.unwrap_or(0.0),
            gpus.unwrap_or(0.0),
        )?,
        health: None,
        kill_after: arguments.kill_after,
        kill_grace: None,
    })
}

/// A task's name is what people read; its id is unlike any other's.
fn name_part(part: &Part, name: &str, base: &str, instance: Option<usize>, in_pod: bool) -> Part {
    let mut part = part.clone();
    let numbered = |text: &str| instance.map_or_else(|| text.to_owned(), |i| format!("{text}.{i}"));
    let task = &mut part.task;
    if in_pod {
        task.task_id.value = format!("{}.{}", numbered(base), task.name);
        task.name = numbered(&task.name);
    } else {
        task.task_id.value = numbered(base);
        task.name = numbered(name);
    }
    part
}

fn read_pod(path: &Path) -> Result<pod::Pod, String> {
    let shown = path.display();
    let text = files::read_text(path, files::WRITTEN_MAX)?;
    pod::parse(&text).map_err(|why| format!("{shown}: {why}\n`meseta help pods` shows what a pod file looks like"))
}

/// "/usr/bin/wc -l x" → "wc".
fn name_of(text: &str) -> String {
    let word = text.split_whitespace().next().unwrap_or_default();
    let word: String = word.rsplit('/').next().unwrap_or_default().chars().take(40).collect();
    if pod::is_name(&word) { word } else { "run".to_owned() }
}

struct Run {
    target: Target,
    client: MasterClient,
    role: String,
    needs: Vec<Quantities>,
    progress: Progress,
    watch: Watch,
    framework: Framework,
    subscribed: bool,
    away: bool,
    interrupted: Option<u8>,
    look_at: Instant,
    reason: Option<String>,
}

impl Run {
    async fn until_over(mut self, signals: &mut Signals) -> Result<End, String> {
        while !self.is_over() {
            let look_at = self.look_at;
            tokio::select! {
                news = self.framework.news.recv() => match news {
                    Some(news) => self.on_news(news)?,
                    None => return Err("the framework ended by itself".to_owned()),
                },
                code = signals.next() => {
                    if self.interrupted.is_some() {
                        self.progress.warn("left at once; the master ends what still runs");
                        let _ = timeout(LOOK_PATIENCE, self.framework.finish()).await;
                        return Ok(End::Left(code));
                    }
                    self.interrupted = Some(code);
                    self.look_at = Instant::now() + NEXT_LOOK;
                    self.progress.note("killing the tasks; once more to leave at once");
                    self.framework.order(Order::Kill).await;
                }
                () = self.watch.broken(), if self.interrupted.is_none() => {
                    self.interrupted = Some(NOBODY_READS);
                    self.look_at = Instant::now() + NEXT_LOOK;
                    self.framework.order(Order::Kill).await;
                }
                () = sleep_until(look_at) => {
                    if let (Some(code), true) = (self.interrupted, self.away) {
                        self.progress.warn("the master is away; once it is back it gives the tasks 10 minutes and ends them");
                        return Ok(End::Left(code));
                    }
                    self.look_why().await;
                }
            }
            self.watch.show();
        }
        let failed = self.watch.exit_code();
        self.watch.drain(self.framework.finish()).await;
        Ok(End::Over(self.interrupted.unwrap_or(failed)))
    }

    fn is_over(&self) -> bool {
        self.watch.is_over() || (self.interrupted.is_some() && self.watch.nothing_runs())
    }

    fn on_news(&mut self, news: News) -> Result<(), String> {
        match news {
            News::Subscribed { framework_id, again } => {
                if again || self.away {
                    self.progress.note("the master is back");
                } else {
                    self.progress.plain(&format!("framework {}", framework_id.value));
                }
                self.watch.framework_id = framework_id.value;
                (self.subscribed, self.away) = (true, false);
                self.look_at = Instant::now() + FIRST_LOOK;
            }
            News::Lost(error) => {
                let hopeless = matches!(error, client::Error::Transport(_) | client::Error::Malformed(_));
                if !self.subscribed && hopeless {
                    return Err(self.target.explain(&error));
                }
                if !std::mem::replace(&mut self.away, true) {
                    self.progress.note(&format!("waiting for the master: {error}"));
                }
            }
            News::Launched { unit, agent } => {
                self.reason = None;
                self.look_at = Instant::now() + FIRST_LOOK;
                self.watch.on_launched(&unit, &agent);
            }
            News::Requeued { unit, why } => self.watch.on_requeued(&unit, &why),
            News::Update { unit, part, status } => self.watch.on_update(unit.number, part, *status),
            News::Over(Err(error)) => return Err(self.target.explain(&error)),
            News::Over(Ok(())) => return Err("the framework ended by itself".to_owned()),
        }
        Ok(())
    }

    /// Says why what waits does not start, once for each reason.
    async fn look_why(&mut self) {
        self.look_at = Instant::now() + NEXT_LOOK;
        let Some(unit) = self.watch.first_waiting() else { return };
        if self.away || !self.subscribed || self.interrupted.is_some() {
            return;
        }
        let Some(needs) = self.needs.get(unit) else { return };
        let both = async { tokio::join!(self.client.get_agents(), self.client.get_quota()) };
        let Ok((Ok(agents), quota)) = timeout(LOOK_PATIENCE, both).await else { return };
        // Who may run tasks may not be allowed to see quotas.
        let quotas = Quotas::new(quota.map(|quota| quota.status.configs).unwrap_or_default(), &agents);
        let reason = why::nothing_starts(&agents, &quotas, needs, &self.role);
        if self.reason.as_ref() != Some(&reason) {
            self.progress.note(&reason);
            self.reason = Some(reason);
        }
    }
}

/// The signals that end a run, and the exit codes that tell of them.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Signals> {
        Ok(Signals {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> u8 {
        tokio::select! {
            _ = self.interrupt.recv() => 130,
            _ = self.terminate.recv() => 143,
            _ = self.hang_up.recv() => 129,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        run: RunArguments,
    }

    fn work(words: &[&str]) -> Work {
        let line = Line::try_parse_from([&["run"], words].concat()).expect("valid");
        plan_work(&line.run).expect("valid")
    }

    #[test]
    fn a_command_is_one_task_named_after_its_program() {
        let work = work(&["--env", "A=b", "/usr/bin/wc", "-l", "--fast", "x"]);
        assert_eq!((work.name.as_str(), work.units.len()), ("wc", 1));
        let task = &work.units[0].parts[0].task;
        assert_eq!(task.name, "wc");
        assert!(task.task_id.value.starts_with("wc-"), "{}", task.task_id.value);
        let command = task.command.clone().expect("a command");
        assert_eq!((command.value(), command.shell()), ("/usr/bin/wc -l --fast x", true));
    }

    #[test]
    fn without_a_shell_words_stay_apart() {
        let work = work(&["--argv", "--", "echo", "a b", "c"]);
        let command = work.units[0].parts[0].task.command.clone().expect("a command");
        assert_eq!((command.value(), command.shell()), ("echo", false));
        assert_eq!(command.arguments, ["echo", "a b", "c"]);
    }

    #[test]
    fn instances_are_numbered_and_their_ids_differ_from_run_to_run() {
        let (one, other) = (work(&["--instances", "3", "--name", "x", "true"]), work(&["--name", "x", "true"]));
        let names: Vec<&str> = one.units.iter().map(|unit| unit.parts[0].task.name.as_str()).collect();
        assert_eq!(names, ["x.0", "x.1", "x.2"]);
        let id = |work: &Work| work.units[0].parts[0].task.task_id.value.clone();
        assert!(id(&one).ends_with(".0") && id(&one) != id(&other));
    }

    #[test]
    fn options_behind_the_command_are_not_swallowed() {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        for command in
            [&["echo hi", "--cpus", "1"][..], &["echo hi", "--cpu", "1"], &["true", "--mem=5"], &["a b", "-q"]]
        {
            let why = check_words(&words(command), false).expect_err("an option");
            assert!(why.contains("come before it") && why.contains("meseta run -- "), "{why}");
            assert_eq!(check_words(&words(command), true), Ok(()));
        }
        for command in [&["wc", "-l", "--fast", "x"][..], &["echo", "a b"], &[]] {
            assert_eq!(check_words(&words(command), false), Ok(()), "{command:?}");
        }
        let line = |line: &[&str]| words(line).into_iter();
        assert!(is_marked(line(&["meseta", "run", "--", "grep", "--name"]), &words(&["grep", "--name"])));
        assert!(!is_marked(line(&["meseta", "run", "grep", "--", "x"]), &words(&["grep", "--", "x"])));
        let error =
            Line::try_parse_from(["run", "--cpu", "1", "true"]).map(drop).expect_err("no such option").to_string();
        assert!(error.contains("--cpus"), "{error}");
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for words in [
            &["run"][..],
            &["run", "--pod", "f", "true"],
            &["run", "--instances", "0", "x"],
            &["run", "--instances", "4000000000", "x"],
        ] {
            assert!(Line::try_parse_from(words).is_err(), "{words:?}");
        }
        for words in [
            &["run", "--name", "a/b", "x"][..],
            &["run", "--role", "a//b", "x"],
            &["run", "--cpus=-1", "x"],
            &["run", "--mem=1e20", "x"],
        ] {
            let line = Line::try_parse_from(words).expect("parses");
            assert!(plan_work(&line.run).is_err(), "{words:?}");
        }
    }
}
