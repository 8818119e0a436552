//! `meseta completion`: scripts that let a shell complete the commands.

use std::process::ExitCode;

use clap::CommandFactory;
use clap_complete::{Shell as Generator, generate};

/// `meseta completion bash > /etc/bash_completion.d/meseta`, or `source <(meseta completion bash)` in ~/.bashrc.
#[derive(clap::Args, Debug)]
pub struct CompletionArguments {
    shell: Shell,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

pub fn completion<C: CommandFactory>(arguments: &CompletionArguments) -> ExitCode {
    crate::output::print(&script::<C>(arguments.shell));
    ExitCode::SUCCESS
}

fn script<C: CommandFactory>(shell: Shell) -> String {
    let generator = match shell {
        Shell::Bash => Generator::Bash,
        Shell::Zsh => Generator::Zsh,
        Shell::Fish => Generator::Fish,
    };
    let mut script = Vec::new();
    generate(generator, &mut C::command(), "meseta", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shell_learns_the_commands() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let script = script::<crate::Arguments>(shell);
            for command in ["run", "status", "logs", "kill", "what-if", "sim"] {
                assert!(script.contains(command), "{shell:?} does not know {command}");
            }
        }
    }
}
