//! `meseta help`: the help of a command, or a page of the manual, which is part of the program.

use std::process::ExitCode;

use clap::{Command, CommandFactory};

use crate::{
    output::{Column, fail, print, table},
    servers::{self, Program},
};

/// The help of a command (`meseta help quota set`), or a page of the manual (`meseta help pods`).
#[derive(clap::Args, Debug)]
pub struct HelpArguments {
    /// A command, or the name of a page.
    topic: Vec<String>,
}

/// A page: its name, what it is about, and its text.
pub struct Page {
    pub name: &'static str,
    about: &'static str,
    pub text: &'static str,
}

macro_rules! pages {
    ($($name:literal: $about:literal),* $(,)?) => {
        pub const PAGES: &[Page] = &[$(
            Page { name: $name, about: $about, text: include_str!(concat!("../../../docs/", $name, ".md")) },
        )*];
    };
}

pages! {
    "getting-started": "the first hour: one machine, then two",
    "operating": "running a cluster: start, stop, upgrade, backup, ports, logs, systemd",
    "coming-from-mesos": "moving a cluster of Apache Mesos over, a server at a time",
    "writing-a-framework": "schedulers in Rust and in Python",
    "cli": "all commands, their exit codes, and their JSON",
    "pods": "pod files",
    "groups": "resource groups",
    "allocation": "who gets offered what, and when",
    "high-availability": "several masters, hand-over, moving the registry",
    "isolation": "how tasks are kept apart, and what a host must have for it",
    "security": "who may do what, and how to close what is open",
    "metrics": "what /metrics and /metrics/snapshot count",
    "compat": "where Meseta differs from Apache Mesos",
    "v0": "the older APIs: drivers and executors of libmesos",
    "what-if": "what another policy would do",
    "sim": "work on a simulated cluster",
    "flags-master": "flags of the master",
    "flags-agent": "flags of the agent",
    "adr/0001-agent-checkpoints-in-one-journal": "why an agent's checkpoints are one journal",
    "adr/0006-registry-in-small-values-behind-an-epoch": "why the registry is many small values",
}

pub fn help<C: CommandFactory>(arguments: &HelpArguments) -> ExitCode {
    let mut command = C::command();
    let topic: Vec<&str> = arguments.topic.iter().map(String::as_str).collect();
    match &topic[..] {
        [] => print(&format!("{}\n{}", command.render_help(), list())),
        // Their flags are not clap's.
        ["master"] => return servers::run(Program::Master, vec!["--help".to_owned()]),
        ["agent"] => return servers::run(Program::Agent, vec!["--help".to_owned()]),
        [name] if page(name).is_some() => print(page(name).unwrap_or_default()),
        names => match find(&mut command, names) {
            Some(found) => print(&found.render_long_help().to_string()),
            None => return fail(&format!("there is no command and no page '{}'\n{}", names.join(" "), list())),
        },
    }
    ExitCode::SUCCESS
}

/// A page by its name, also as documents name it: `docs/pods.md`.
fn page(name: &str) -> Option<&'static str> {
    let name = name.strip_prefix("docs/").unwrap_or(name);
    let name = name.strip_suffix(".md").unwrap_or(name);
    PAGES.iter().find(|page| page.name == name).map(|page| page.text)
}

fn find<'a>(command: &'a mut Command, names: &[&str]) -> Option<&'a mut Command> {
    command.build();
    names.iter().try_fold(command, |command, name| command.find_subcommand_mut(name))
}

fn list() -> String {
    let rows = PAGES.iter().map(|page| vec![format!("  {}", page.name), page.about.to_owned()]);
    format!(
        "Pages of the manual, `meseta help PAGE`:\n{}",
        table(&[Column::Text(""), Column::Text("")], rows).trim_start_matches('\n')
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_found_by_every_name_they_have() {
        for name in ["pods", "pods.md", "docs/pods.md"] {
            assert!(page(name).is_some_and(|text| text.contains("containers")), "{name}");
        }
        assert_eq!(page("nothing"), None);
        let mut command = crate::Arguments::command();
        assert!(find(&mut command, &["quota", "set"]).is_some_and(|found| found.get_name() == "set"));
        assert!(find(&mut command, &["quota", "nothing"]).is_none());
    }

    #[test]
    fn the_examples_of_the_manual_are_the_ones_that_are_compiled() {
        let text = page("writing-a-framework").unwrap_or_default();
        for example in
            [include_str!("../../client/examples/framework.rs"), include_str!("../../client/examples/framework.py")]
        {
            assert!(text.contains(example), "copy it anew: {}", example.lines().next().unwrap_or_default());
        }
    }

    #[test]
    fn pages_link_to_pages() {
        for from in PAGES {
            for link in from.text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
                let target = link.split('#').next().unwrap_or_default();
                // Pictures are not for terminals.
                if target.is_empty() || target.contains("://") || target.ends_with(".svg") {
                    continue;
                }
                assert!(page(target).is_some(), "{} links to {link}, which is no page", from.name);
            }
        }
    }

    #[test]
    fn commands_in_pages_are_commands() {
        for page in PAGES {
            for line in page.text.lines().map(str::trim).filter_map(|line| line.strip_prefix("meseta ")) {
                let word = line.split_whitespace().next().unwrap_or_default();
                let known = crate::Arguments::command().find_subcommand(word).is_some() || word.starts_with('-');
                assert!(known || word == "COMMAND", "{}: meseta {line}", page.name);
            }
        }
    }
}
