//! A table of flags as people read it: the text of `--help`, and a Markdown page.

use std::fmt::Write as _;

use super::{Accepts, Flag, Kind, Meaning, Table};

/// The text of `--help`: a line of usage and the table, 100 columns wide.
pub fn help(program: &str, table: &Table) -> String {
    let mut text = format!("{}\n\nUsage: {program} [--flag=value ...]\n\n", table.about);
    for flag in table.flags {
        let _ = writeln!(text, "  {}", signature(flag));
        for line in wrap(&meaning(flag), 92) {
            let _ = writeln!(text, "        {line}");
        }
    }
    text
}

/// The table as a Markdown page.
pub fn reference(program: &str, prefix: &str, table: &Table) -> String {
    let mut text = format!(
        "# Flags of `{program}`\n\nEach flag can also be set by the environment variable `{prefix}` and its name in \
         capitals; the command line wins. A value `file:///path` stands for the file's content.\n\n\
         | flag | default | meaning |\n|---|---|---|\n"
    );
    for flag in table.flags {
        let default = flag.default.map(|d| format!("`{}`", in_cell(d))).unwrap_or_default();
        let _ = writeln!(text, "| `--{}` | {default} | {} |", flag.name, in_cell(&meaning(flag)));
    }
    if !table.foreign.is_empty() {
        text += FOREIGN;
        for foreign in table.foreign {
            let accepted = match foreign.accepts {
                Accepts::Nothing => String::new(),
                Accepts::Only(values) => {
                    values.iter().map(|v| format!("`{}`", in_cell(v))).collect::<Vec<_>>().join(", ")
                }
                Accepts::Anything => "anything".to_owned(),
            };
            let _ = writeln!(text, "| `--{}` | {accepted} | {} |", foreign.name, in_cell(foreign.why));
        }
    }
    if !table.variables.is_empty() {
        text += "\n## Variables of libprocess\n\n| variable | meaning |\n|---|---|\n";
        for variable in table.variables {
            let meaning = match variable.meaning {
                Meaning::Flag(name) => format!("as `--{name}`"),
                Meaning::Foreign(foreign) => match foreign.accepts {
                    Accepts::Nothing => format!("refused: {}", foreign.why),
                    Accepts::Only(values) => format!("only `{}`: {}", values.join("`, `"), foreign.why),
                    Accepts::Anything => format!("no effect: {}", foreign.why),
                },
            };
            let _ = writeln!(text, "| `{}` | {} |", variable.name, in_cell(&meaning));
        }
    }
    text
}

const FOREIGN: &str = "\n## Flags of Mesos without effect here\n\nWhat a flag accepts makes no difference; anything else is \
                       refused at the start, on the command line and in the environment.\n\n\
                       | flag | accepts | why |\n|---|---|---|\n";

fn in_cell(text: &str) -> String {
    text.replace('|', "\\|")
}

/// What a flag means, with its bounds.
fn meaning(flag: &Flag) -> String {
    match flag.bounds {
        Some((least, most)) => format!("{} From {least} to {most}.", flag.help),
        None => flag.help.to_owned(),
    }
}

fn signature(flag: &Flag) -> String {
    let value = match flag.kind {
        Kind::Switch => return format!("--[no-]{} (default: {})", flag.name, flag.default.unwrap_or("false")),
        Kind::Text | Kind::Secret => "TEXT",
        Kind::Path => "PATH",
        Kind::Url => "URL",
        Kind::Integer | Kind::Number => "N",
        Kind::Duration => "DURATION",
        Kind::Bytes => "SIZE",
    };
    match flag.default {
        Some(default) => format!("--{}={value} (default: {default})", flag.name),
        None => format!("--{}={value}", flag.name),
    }
}

fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let last = lines.len() - 1;
        if !lines[last].is_empty() && lines[last].len() + 1 + word.len() > width {
            lines.push(word.to_owned());
        } else {
            if !lines[last].is_empty() {
                lines[last].push(' ');
            }
            lines[last].push_str(word);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::{Foreign, Variable};

    static TABLE: Table = Table {
        about: "About.",
        flags: &[
            Flag::new("port", Kind::Integer, Some("5050"), "The port.").within("0", "65535"),
            Flag::new("quiet", Kind::Switch, Some("false"), "Say less."),
        ],
        foreign: &[Foreign::refused("acls", "name them elsewhere")],
        variables: &[Variable { name: "LIB_PORT", meaning: Meaning::Flag("port") }],
        elsewhere: &[],
    };

    #[test]
    fn both_pages_name_every_flag_and_its_bounds() {
        let reference = reference("x", "MESOS_", &TABLE);
        for page in [&help("x", &TABLE), &reference] {
            assert!(TABLE.flags.iter().all(|flag| page.contains(flag.name)), "{page}");
            assert!(page.contains("From 0 to 65535."), "{page}");
        }
        assert!(reference.contains("| `--acls` |  | name them elsewhere |"), "{reference}");
        assert!(reference.contains("| `LIB_PORT` | as `--port` |"), "{reference}");
    }
}
