//! Local files that a command names. Tasks run elsewhere and do not see this machine's files: a script that is the
//! command itself is shipped with it, in a variable that the command unpacks, which any agent understands.

use std::path::{Component, Path};

use base64::{Engine, prelude::BASE64_STANDARD};
use proto::v1::command_info::Uri;

use crate::{files, output::bytes};

/// A variable, like any argument of a program, has at most 128 KiB; base64 makes three bytes four.
const SHIPPED_MAX: u64 = 64 << 10;
const VARIABLE: &str = "MESETA_SHIPPED_FILE";

/// A command that unpacks its program first.
#[derive(Debug, PartialEq, Eq)]
pub struct Shipment {
    pub command: Vec<String>,
    pub variable: (String, String),
    /// For people: what is shipped.
    pub note: String,
}

/// The command with its program, if that is a file of this machine that nothing else brings: `./work.sh`, `bin/tool`.
pub fn ship(command: &[String], argv: bool, uris: &[Uri], directory: &Path) -> Result<Option<Shipment>, String> {
    let text = command.join(" ");
    let program = match argv {
        true => command.first().map(String::as_str).unwrap_or_default(),
        false => text.split_whitespace().next().unwrap_or_default(),
    };
    if !program.contains('/') || !is_local_file(program, argv, directory) || is_fetched(program, uris) {
        return Ok(None);
    }
    let path = directory.join(program);
    if Path::new(program).components().any(|part| part == Component::ParentDir) {
        return Err(format!(
            "{program} is a file of this machine, which tasks do not see. Give it a path without '..' and it is shipped, or \
             bring it with --uri and run it by its name"
        ));
    }
    let size = path.metadata().map_err(|error| format!("cannot read {program}: {error}"))?.len();
    if size > SHIPPED_MAX {
        return Err(format!(
            "{program} has {}; up to {} are shipped with a command. Put it where agents can fetch it and bring it with \
             --uri https://…/{}:executable",
            bytes(size),
            bytes(SHIPPED_MAX),
            name_of(program)
        ));
    }
    let content = files::read(&path, SHIPPED_MAX)?;
    let quoted = quote(program);
    let folder = Path::new(program).parent().map(|folder| folder.to_string_lossy()).filter(|folder| !folder.is_empty());
    let make_folder = folder.map(|folder| format!("mkdir -p {} && ", quote(&folder))).unwrap_or_default();
    let unpack = format!(
        "{{ {make_folder}printf %s \"${VARIABLE}\" | base64 -d > {quoted} && chmod 755 {quoted}; }} || exit 126\nunset {VARIABLE}\n"
    );
    let command = match argv {
        false => vec![unpack + &text],
        true => {
            let shell = ["sh".to_owned(), "-c".to_owned(), unpack + "exec \"$0\" \"$@\""];
            shell.into_iter().chain(command.iter().cloned()).collect()
        }
    };
    let note = format!("{program} ({}) is shipped with the command", bytes(size));
    Ok(Some(Shipment { command, variable: (VARIABLE.to_owned(), BASE64_STANDARD.encode(content)), note }))
}

/// Files of this machine among the other words of a command: the task will not see them, which surprises people.
pub fn left_here(command: &[String], argv: bool, uris: &[Uri], directory: &Path) -> Vec<String> {
    let text = command.join(" ");
    let words: Vec<&str> = match argv {
        true => command.iter().map(String::as_str).collect(),
        false => text.split_whitespace().collect(),
    };
    let others = words.into_iter().skip(1);
    let local = others.filter(|word| is_local_file(word, argv, directory) && !is_fetched(word, uris));
    local.map(str::to_owned).collect()
}

/// A relative path of a regular file, written without anything that a shell would read.
fn is_local_file(word: &str, argv: bool, directory: &Path) -> bool {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '/' | '+' | ',' | '@' | '%' | '=');
    let is_plain = argv || word.chars().all(plain);
    is_plain && !word.is_empty() && Path::new(word).is_relative() && directory.join(word).is_file()
}

fn is_fetched(word: &str, uris: &[Uri]) -> bool {
    let brings = |uri: &Uri| uri.output_file.as_deref().unwrap_or_else(|| name_of(&uri.value)) == name_of(word);
    uris.iter().any(brings)
}

fn name_of(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// For a shell.
fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn a_shipped_script_runs_where_it_is_not() {
        let here = tempfile::tempdir().expect("a directory");
        std::fs::create_dir(here.path().join("my bin")).expect("a directory");
        for name in ["work.sh", "my bin/it's"] {
            std::fs::write(here.path().join(name), "#!/bin/sh\necho \"$0 $1 [$MESETA_SHIPPED_FILE]\"\n")
                .expect("a file");
        }
        for (command, argv, expected) in [
            (&["./work.sh a; echo done"][..], false, "./work.sh a []\ndone\n"),
            (&["./work.sh", "b"], false, "./work.sh b []\n"),
            (&["my bin/it's", "c d"], true, "my bin/it's c d []\n"),
        ] {
            let shipped = ship(&words(command), argv, &[], here.path()).expect("small").expect("shipped");
            let there = tempfile::tempdir().expect("a directory");
            let mut run = match argv {
                false => {
                    let mut shell = Command::new("sh");
                    shell.arg("-c").args(&shipped.command);
                    shell
                }
                true => {
                    let mut program = Command::new(&shipped.command[0]);
                    program.args(&shipped.command[1..]);
                    program
                }
            };
            let (name, value) = shipped.variable;
            let output = run.env(name, value).current_dir(there.path()).output().expect("sh");
            assert_eq!(
                String::from_utf8_lossy(&output.stdout),
                expected,
                "{}",
                String::from_utf8_lossy(&output.stderr)
            );
        }
    }

    #[test]
    fn what_is_not_a_small_local_program_is_left_alone_or_explained() {
        let here = tempfile::tempdir().expect("a directory");
        let small = here.path().join("small");
        std::fs::write(&small, "x").expect("a file");
        std::fs::write(here.path().join("large"), vec![0; 70_000]).expect("a file");
        let ship = |command: &str, uris: &[Uri]| ship(&words(&[command]), false, uris, here.path());
        for command in ["small", "./missing", "/bin/true", "$HOME/small", "echo ./small"] {
            assert_eq!(ship(command, &[]), Ok(None), "{command}");
        }
        let uri = Uri { value: "https://h/small".into(), ..Uri::default() };
        assert_eq!(ship("./small", &[uri]), Ok(None));
        let why = ship("./large -x", &[]).expect_err("large");
        assert!(why.contains("./large has 68.4 KiB") && why.contains("--uri"), "{why}");
        let up = format!("../{}/small", here.path().file_name().expect("a name").to_string_lossy());
        assert!(ship(&up, &[]).expect_err("above").contains("'..'"));
        assert_eq!(left_here(&words(&["cat small | wc ./large"]), false, &[], here.path()), ["small", "./large"]);
    }
}
