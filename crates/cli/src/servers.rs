//! `meseta master`, `meseta agent`: from the command line to running servers, and from signals to their end. `dev` runs
//! them in one process.

use std::process::ExitCode;

use observe::logging::{self, Format, Log, LogConfig};
use stdx::flags::{self, Table, Values};
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    output::{fail, print},
    runtime::{runtime, small_runtime, told_to_stop},
};

/// Which server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Program {
    Master,
    Agent,
}

/// The environment's variables that are flags.
pub const PREFIX: &str = "MESOS_";

impl Program {
    fn table(self) -> &'static Table {
        match self {
            Program::Master => &master::flags::TABLE,
            Program::Agent => &agent::flags::TABLE,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Program::Master => "master",
            Program::Agent => "agent",
        }
    }
}

/// Asks the master that listens where the other flags say to hand over.
const HAND_OVER: &str = "--handover";

/// Runs one server until it ends or is told to.
pub fn run(program: Program, mut args: Vec<String>) -> ExitCode {
    let given = args.len();
    args.retain(|arg| arg != HAND_OVER);
    let short_help = args.iter().position(|arg| arg == "-h");
    if let Some(at) = short_help {
        args.splice(at.., ["--help".to_owned()]);
    }
    let handing_over = args.len() < given && program == Program::Master;
    let values = match flags::parse(program.table(), PREFIX, args, std::env::vars()) {
        Ok(values) => values,
        Err(why) => return fail(&format!("{why}\n`meseta {} --help` lists the flags", program.name())),
    };
    if values.help {
        print(&flags::help(&format!("meseta {}", program.name()), program.table()));
        return ExitCode::SUCCESS;
    }
    if handing_over {
        return hand_over(&values);
    }
    let runtime = || match program {
        Program::Master => {
            let_others_finish(0);
            runtime()
        }
        Program::Agent => {
            let_others_finish(libc::SCHED_RESET_ON_FORK);
            small_runtime()
        }
    };
    match start_log(program.name(), &values).and_then(|log| Ok((log, runtime()?))) {
        Ok((log, runtime)) => match program {
            Program::Master => runtime.block_on(run_master(values, &log)),
            Program::Agent => runtime.block_on(run_agent(values, &log)),
        },
        Err(why) => fail(&why),
    }
}

fn hand_over(values: &Values) -> ExitCode {
    crate::connect::run(async {
        let address = std::net::SocketAddr::new(values.ip("ip")?, values.port("port")?).to_string();
        let masters = address.parse().map_err(|error: client::Error| error.to_string())?;
        let target = crate::connect::Target { masters, credential: None };
        target.client().hand_over().await.map_err(|error| target.explain(&error))?;
        print(&format!("{address} hands over and ends"));
        Ok(ExitCode::SUCCESS)
    })
}

async fn run_master(values: Values, log: &Log) -> ExitCode {
    let mut running = match master::start(values, log.file()).await {
        Ok(running) => running,
        Err(why) => return fail(&why),
    };
    let asked = running.asked_to_hand_over();
    tokio::select! {
        why = running.ended() => return fail(&why),
        () = told_to_stop() => {}
        () = asked => {}
    }
    running.hand_over().await;
    ExitCode::SUCCESS
}

/// SIGTERM and SIGINT end the agent and leave its executors; SIGUSR1 ends both.
async fn run_agent(values: Values, log: &Log) -> ExitCode {
    let mut running = match agent::start(values, log.file()).await {
        Ok(running) => running,
        Err(why) => return fail(&why),
    };
    let Ok(mut leave) = signal(SignalKind::user_defined1()) else { return fail("cannot wait for signals") };
    loop {
        tokio::select! {
            (code, why) = running.ended() => {
                tracing::info!(why, "the agent ends");
                return ExitCode::from(code);
            }
            _ = leave.recv() => running.shut_down("unregistered by SIGUSR1").await,
            () = told_to_stop() => return ExitCode::SUCCESS,
        }
    }
}

/// Prints the reference page of a server's flags.
pub fn reference(program: Program) -> ExitCode {
    print(&reference_page(program));
    ExitCode::SUCCESS
}

pub fn reference_page(program: Program) -> String {
    flags::reference(&format!("meseta {}", program.name()), PREFIX, program.table())
}

fn start_log(name: &'static str, values: &Values) -> Result<Log, String> {
    let quiet = values.switch("quiet");
    let level = if quiet { "ERROR" } else { values.text("logging_level").unwrap_or("INFO") };
    let config = LogConfig {
        level: level.to_owned(),
        format: if values.switch("log_json") { Format::Json } else { Format::Text },
        dir: values.path("log_dir"),
        ..LogConfig::new(name)
    };
    let log = logging::start(&config).map_err(|e| e.to_string())?;
    for warning in &values.warnings {
        tracing::warn!("{warning}");
    }
    for note in &values.notes {
        tracing::info!("{note}");
    }
    Ok(log)
}

/// A message that arrives while all processors are busy does not interrupt whoever runs: on an idle machine nothing
/// changes, on a busy one several messages are taken at one waking. Processes that this one starts are as `flags` say.
fn let_others_finish(flags: libc::c_int) {
    // SAFETY: all of it is integers.
    let mut parameters: libc::sched_param = unsafe { std::mem::zeroed() };
    parameters.sched_priority = 0;
    // SAFETY: concerns the calling thread and those it starts. A kernel that refuses changes nothing.
    if unsafe { libc::sched_setscheduler(0, libc::SCHED_BATCH | flags, &raw const parameters) } != 0 {
        tracing::debug!(error = %std::io::Error::last_os_error(), "the scheduling policy stays as it was");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_of_libprocess_is_a_flag() {
        for (value, expected) in [("true", true), ("1", true), ("false", false)] {
            let all =
                [("LIBPROCESS_REQUIRE_PEER_ADDRESS_IP_MATCH", value), ("LIBPROCESS_IP", "127.0.0.2"), ("HOME", "/")];
            let all = all.map(|(name, value)| (name.to_owned(), value.to_owned()));
            for program in [Program::Master, Program::Agent] {
                let read = flags::parse(program.table(), PREFIX, Vec::new(), all.clone());
                let read = read.expect("sound");
                assert_eq!(read.switch("require_peer_address_ip_match"), expected, "{value}");
                assert_eq!(read.text("ip"), Some("127.0.0.2"));
            }
        }
    }

    #[test]
    fn protection_that_is_not_there_is_refused_in_the_environment_too() {
        for program in [Program::Master, Program::Agent] {
            for name in ["LIBPROCESS_SSL_ENABLED", "SSL_ENABLED", "MESOS_ACLS", "MESOS_FIREWALL_RULES"] {
                let read = flags::parse(program.table(), PREFIX, Vec::new(), [(name.to_owned(), "true".to_owned())]);
                let refused = read.expect_err(name);
                assert!(refused.starts_with(&format!("{name}: ")) && refused.ends_with("remove it"), "{refused}");
            }
        }
    }

    #[test]
    fn the_pages_of_flags_are_current() {
        for program in [Program::Master, Program::Agent] {
            let name = program.name();
            let path = format!("{}/../../docs/flags-{name}.md", env!("CARGO_MANIFEST_DIR"));
            if std::env::var_os("MESETA_BLESS").is_some() {
                std::fs::write(&path, reference_page(program)).expect("writable");
            }
            let page = std::fs::read_to_string(&path).unwrap_or_default();
            assert!(page == reference_page(program), "write it anew: MESETA_BLESS=1, or meseta flags {name}");
        }
    }
}
