//! Knows the commands that people type. Knows no protocol (that is `client`) and no decision of a server.
//!
//! `servers` starts masters and agents, `dev` both in one process; most other files are one command each. `connect`
//! finds the cluster, `output` is the only way to the terminal.

#![deny(clippy::print_stdout, clippy::print_stderr)]

mod cluster;
mod completion;
mod compose;
mod connect;
mod context;
mod demo;
mod dev;
mod exit;
mod files;
mod find;
mod fit;
mod follow;
mod framework;
mod group;
mod help;
mod ids;
mod kill;
mod logs;
mod masters;
mod operate;
mod output;
mod person;
mod pod;
mod printer;
mod progress;
mod recall;
mod registry;
mod run;
mod runtime;
mod sandbox;
mod servers;
mod ship;
mod shortage;
mod sim;
mod tables;
mod tails;
mod version;
mod what_if;
mod why;
mod work;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use connect::Connect;

/// Meseta: shares a cluster's machines among frameworks, and runs their tasks in containers.
#[derive(Parser)]
#[command(name = "meseta", version, propagate_version = true, max_term_width = 100, disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    connect: Connect,
}

#[derive(Subcommand)]
enum Command {
    /// Runs a master. `meseta master --help` lists its flags.
    #[command(disable_help_flag = true)]
    Master(ServerArguments),
    /// Runs an agent. `meseta agent --help` lists its flags.
    #[command(disable_help_flag = true)]
    Agent(ServerArguments),
    /// Runs a master and agents in one process, to try things out.
    Dev(dev::DevArguments),
    /// Runs a command or a pod, shows its output, and exits with its code.
    Run(Box<run::RunArguments>),
    /// The cluster in a few lines.
    Status(tables::StatusArguments),
    /// The agents: where, in which state, what they have and what of it is in use. Also drains them.
    Agents(tables::AgentsArguments),
    /// The frameworks: whose, in which state, what they use.
    Frameworks(tables::FrameworksArguments),
    /// The tasks: in which state, of which framework, on which agent.
    Tasks(tables::TasksArguments),
    /// What a task printed; with -f what it goes on printing.
    Logs(logs::LogsArguments),
    Kill(kill::KillArguments),
    WhatIf(Box<what_if::WhatIfArguments>),
    Sim(Box<sim::SimArguments>),
    #[command(flatten)]
    Operate(operate::Operate),
    /// The cluster's durable state: write it down, put it back, look it over.
    Registry(registry::RegistryArguments),
    Group(group::GroupArguments),
    Why(why::WhyArguments),
    Context(context::ContextArguments),
    Version(version::VersionArguments),
    Help(help::HelpArguments),
    /// Shows what Meseta does: a cluster in this process, two frameworks that compete on it.
    Demo(demo::DemoArguments),
    /// Prints a script that lets a shell complete these commands.
    Completion(completion::CompletionArguments),
    /// Prints the flags of master or agent as a Markdown page.
    #[command(hide = true)]
    Flags {
        program: servers::Program,
    },
}

/// The flags of a server are read by its own table.
#[derive(clap::Args)]
struct ServerArguments {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    flags: Vec<String>,
}

/// Reads the command line and does what it says.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.connect.is_given() && matches!(arguments.command, Command::Master(_) | Command::Agent(_)) {
        return output::fail("flags of a server stand behind its name: meseta agent --master=HOST:PORT");
    }
    arguments.connect.set_before_command();
    match arguments.command {
        Command::Master(server) => servers::run(servers::Program::Master, server.flags),
        Command::Agent(server) => servers::run(servers::Program::Agent, server.flags),
        Command::Dev(arguments) => dev::dev(arguments),
        Command::Run(arguments) => run::run(*arguments),
        Command::Status(arguments) => tables::status(arguments),
        Command::Agents(arguments) => tables::agents(arguments),
        Command::Frameworks(arguments) => tables::frameworks(arguments),
        Command::Tasks(arguments) => tables::tasks(arguments),
        Command::Logs(arguments) => logs::logs(arguments),
        Command::Kill(arguments) => kill::kill(arguments),
        Command::Group(arguments) => group::group(arguments),
        Command::Why(arguments) => why::why(arguments),
        Command::Context(arguments) => context::context(arguments),
        Command::Version(arguments) => version::version(arguments),
        Command::Help(arguments) => help::help::<Arguments>(&arguments),
        Command::WhatIf(arguments) => what_if::what_if(*arguments),
        Command::Operate(command) => operate::operate(command),
        Command::Registry(arguments) => registry::registry(arguments),
        Command::Sim(arguments) => sim::sim(*arguments),
        Command::Completion(arguments) => completion::completion::<Arguments>(&arguments),
        Command::Demo(arguments) => demo::demo(arguments),
        Command::Flags { program } => servers::reference(program),
    }
}
