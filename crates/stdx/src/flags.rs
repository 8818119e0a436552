//! Flags of a daemon from one table: `--name=value`, `--name value`, `--[no-]switch`, environment variables with a
//! prefix, `file://` values. The table also makes `--help`, the reference page, and what a flags endpoint shows.

use std::{collections::BTreeMap, fmt::Write as _, net::IpAddr, path::PathBuf, time::Duration};

use crate::units;

/// What a flag's value must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Switch,
    Text,
    Integer,
    Number,
    Duration,
    Bytes,
    /// A file: a path, or `file://` and a path. Its content is the program's to read.
    Path,
    /// A URL; what stands before its `@` is never shown.
    Url,
    /// Text that is never shown: its value reads as `***` wherever flags are listed.
    Secret,
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Flag {
    pub name: &'static str,
    /// An older name that is still read, with a warning.
    pub alias: Option<&'static str>,
    pub kind: Kind,
    pub default: Option<&'static str>,
    pub help: &'static str,
}

impl Flag {
    pub const fn new(name: &'static str, kind: Kind, default: Option<&'static str>, help: &'static str) -> Flag {
        Flag { name, alias: None, kind, default, help }
    }

    pub const fn alias(mut self, alias: &'static str) -> Flag {
        self.alias = Some(alias);
        self
    }
}

/// A program's flags.
#[derive(Debug)]
pub struct Table {
    /// What `--help` says first.
    pub about: &'static str,
    pub flags: &'static [Flag],
    /// Names that the compatible program knows and this one does not: setting one is refused, because ignoring it could
    /// run a cluster without the protection it asks for.
    pub not_built: &'static [&'static str],
}

/// The flags of a program, each checked against its kind.
#[derive(Clone, Debug)]
pub struct Values {
    table: &'static Table,
    values: BTreeMap<&'static str, String>,
    /// What to tell the operator: older names that were used.
    pub warnings: Vec<String>,
    /// `--help` was given.
    pub help: bool,
}

/// Reads `args` and, for what they leave open, the variables of `env` that begin with `prefix` (such as `MESOS_`).
pub fn parse(
    table: &'static Table,
    prefix: &str,
    args: impl IntoIterator<Item = String>,
    env: impl IntoIterator<Item = (String, String)>,
) -> Result<Values, String> {
    let mut values = Values { table, values: BTreeMap::new(), warnings: Vec::new(), help: false };
    for (name, value) in env {
        if let Some(name) = name.strip_prefix(prefix) {
            values.set_from_environment(prefix, &name.to_lowercase(), value)?;
        }
    }
    let mut args = args.into_iter();
    while let Some(arg) = args.next() {
        values.set_from_argument(&arg, &mut args)?;
    }
    Ok(values)
}

impl Values {
    /// The text of `name`, or of its default.
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.values.get(name) {
            Some(value) => Some(value),
            None => self.table.flags.iter().find(|flag| flag.name == name)?.default,
        }
    }

    pub fn is_set(&self, name: &str) -> bool {
        self.values.contains_key(name)
    }

    pub fn switch(&self, name: &str) -> bool {
        self.text(name) == Some("true")
    }

    /// A number; values were checked when they were read, so only an absent one without default gives `None`.
    pub fn integer(&self, name: &str) -> Option<u64> {
        self.text(name)?.parse().ok()
    }

    pub fn number(&self, name: &str) -> Option<f64> {
        self.text(name)?.parse().ok()
    }

    pub fn duration(&self, name: &str) -> Option<Duration> {
        units::parse_duration(self.text(name)?).ok()
    }

    /// A duration that the program cannot do without.
    pub fn needed_duration(&self, name: &str) -> Result<Duration, String> {
        self.duration(name).ok_or_else(|| format!("--{name} has no value"))
    }

    /// An IP address; loopback without a value.
    pub fn ip(&self, name: &str) -> Result<IpAddr, String> {
        let text = self.text(name).unwrap_or("127.0.0.1");
        text.parse().map_err(|_| format!("--{name}: '{text}' is not an IP address"))
    }

    /// A port; 0, which takes a free one, without a value.
    pub fn port(&self, name: &str) -> Result<u16, String> {
        let number = self.integer(name).unwrap_or(0);
        u16::try_from(number).map_err(|_| format!("--{name}: {number} is not a port, 0 to 65535"))
    }

    pub fn bytes(&self, name: &str) -> Option<u64> {
        units::parse_bytes(self.text(name)?).ok()
    }

    pub fn path(&self, name: &str) -> Option<PathBuf> {
        self.text(name).map(PathBuf::from)
    }

    /// Every flag that has a value, with secrets hidden: what a flags endpoint shows.
    /// A text that may be given as the path of a file (`/…` or `file:///…`) with it.
    pub fn text_or_file(&self, name: &str) -> Result<Option<String>, String> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let path = text.strip_prefix("file://").unwrap_or(text);
        if !path.starts_with('/') {
            return Ok(Some(text.to_owned()));
        }
        std::fs::read_to_string(path).map(Some).map_err(|error| format!("--{name}: {path}: {error}"))
    }

    pub fn shown(&self) -> BTreeMap<String, String> {
        let row = |flag: &Flag| {
            let value = self.text(flag.name)?;
            let value = match flag.kind {
                Kind::Secret => "***".to_owned(),
                Kind::Url => without_login(value),
                _ => value.to_owned(),
            };
            Some((flag.name.to_owned(), value))
        };
        self.table.flags.iter().filter_map(row).collect()
    }

    fn set_from_environment(&mut self, prefix: &str, name: &str, value: String) -> Result<(), String> {
        let Some(flag) = find(self.table.flags, name) else {
            let refused = self.table.not_built.contains(&name);
            return if refused { Err(format!("{prefix}{}: {}", name.to_uppercase(), not_built(name))) } else { Ok(()) };
        };
        self.note_alias(flag, name);
        self.set(flag, value).map_err(|e| format!("{prefix}{}: {e}", name.to_uppercase()))
    }

    fn set_from_argument(&mut self, arg: &str, rest: &mut impl Iterator<Item = String>) -> Result<(), String> {
        let Some(body) = arg.strip_prefix("--") else {
            return Err(format!("'{arg}' is not a flag; flags are written --name=value"));
        };
        if body == "help" {
            self.help = true;
            return Ok(());
        }
        let (name, value) = match body.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (body, None),
        };
        let name = name.replace('-', "_");
        let negated = name.strip_prefix("no_").filter(|_| find(self.table.flags, &name).is_none());
        let flag = find(self.table.flags, negated.unwrap_or(&name)).ok_or_else(|| unknown(self.table, &name))?;
        self.note_alias(flag, &name);
        let value = match (flag.kind, negated, value) {
            (Kind::Switch, Some(_), None) => "false".to_owned(),
            (_, Some(_), _) => return Err(format!("--no-{} takes no value", flag.name)),
            (Kind::Switch, None, None) => "true".to_owned(),
            (_, None, Some(value)) => value,
            (_, None, None) => rest.next().ok_or_else(|| format!("--{} needs a value", flag.name))?,
        };
        self.set(flag, value).map_err(|e| format!("--{}: {e}", flag.name))
    }

    fn note_alias(&mut self, flag: &Flag, name: &str) {
        if flag.alias == Some(name) {
            self.warnings.push(format!("--{name} is an older name of --{}", flag.name));
        }
    }

    fn set(&mut self, flag: &'static Flag, value: String) -> Result<(), String> {
        let value = match value.strip_prefix("file://") {
            Some(path) if flag.kind == Kind::Path => path.to_owned(),
            Some(path) => std::fs::read_to_string(path)
                .map_err(|e| format!("cannot read {path}: {e}"))?
                .trim_end_matches('\n')
                .to_owned(),
            None => value,
        };
        check(flag.kind, &value)?;
        let value = if flag.kind == Kind::Switch { switch(&value)?.to_string() } else { value };
        self.values.insert(flag.name, value);
        Ok(())
    }
}

fn find(table: &'static [Flag], name: &str) -> Option<&'static Flag> {
    table.iter().find(|flag| flag.name == name || flag.alias == Some(name))
}

/// `zk://***@host/path` for `zk://user:password@host/path`.
fn without_login(url: &str) -> String {
    match url.split_once("://") {
        Some((scheme, rest)) => {
            let authority_end = rest.find('/').unwrap_or(rest.len());
            match rest.get(..authority_end).and_then(|authority| authority.rfind('@')) {
                Some(at) => format!("{scheme}://***{}", rest.get(at..).unwrap_or_default()),
                None => url.to_owned(),
            }
        }
        None => url.to_owned(),
    }
}

fn check(kind: Kind, value: &str) -> Result<(), String> {
    match kind {
        Kind::Text | Kind::Path | Kind::Url | Kind::Secret => Ok(()),
        Kind::Switch => switch(value).map(drop),
        Kind::Integer => value.parse::<u64>().map(drop).map_err(|_| format!("'{value}' is not a whole number")),
        Kind::Number => value.parse::<f64>().map(drop).map_err(|_| format!("'{value}' is not a number")),
        Kind::Duration => units::parse_duration(value).map(drop),
        Kind::Bytes => units::parse_bytes(value).map(drop),
    }
}

fn switch(value: &str) -> Result<bool, String> {
    match value {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err(format!("'{value}' is neither true nor false")),
    }
}

fn not_built(name: &str) -> String {
    format!("--{name} is a flag of Mesos that this version does not implement; remove it")
}

fn unknown(table: &Table, name: &str) -> String {
    if table.not_built.contains(&name) {
        return not_built(name);
    }
    let near = table.flags.iter().map(|flag| flag.name).min_by_key(|known| distance(known, name));
    match near.filter(|known| distance(known, name) <= 3) {
        Some(near) => format!("there is no flag --{name}; did you mean --{near}?"),
        None => format!("there is no flag --{name}; --help lists them"),
    }
}

/// The number of single-character edits between two names.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

/// The text of `--help`: a line of usage and the table, 100 columns wide.
pub fn help(program: &str, table: &Table) -> String {
    let mut text = format!("{}\n\nUsage: {program} [--flag=value ...]\n\n", table.about);
    for flag in table.flags {
        let _ = writeln!(text, "  {}", signature(flag));
        for line in wrap(flag.help, 92) {
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
        let default = flag.default.map(|d| format!("`{}`", d.replace('|', "\\|"))).unwrap_or_default();
        let _ = writeln!(text, "| `--{}` | {default} | {} |", flag.name, flag.help.replace('|', "\\|"));
    }
    text
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

    static TABLE: Table = Table { about: "About.", flags: FLAGS, not_built: &["acls"] };
    static FLAGS: &[Flag] = &[
        Flag::new("port", Kind::Integer, Some("5050"), "The port."),
        Flag::new("quiet", Kind::Switch, Some("false"), "Say less."),
        Flag::new("agent_ping_timeout", Kind::Duration, Some("15secs"), "Per ping.").alias("slave_ping_timeout"),
        Flag::new("work_dir", Kind::Text, None, "Where."),
        Flag::new("secret", Kind::Secret, None, "Hidden."),
    ];

    fn read(args: &[&str], env: &[(&str, &str)]) -> Result<Values, String> {
        let env = env.iter().map(|(k, v)| (k.to_string(), v.to_string()));
        parse(&TABLE, "MESOS_", args.iter().map(|a| a.to_string()), env)
    }

    #[test]
    fn the_command_line_wins_over_the_environment_and_that_over_the_default() {
        let env = [("MESOS_PORT", "1"), ("MESOS_WORK_DIR", "/env"), ("MESOS_UNKNOWN", "x"), ("PORT", "9")];
        let values = read(&["--port=2"], &env).unwrap();
        assert_eq!((values.integer("port"), values.text("work_dir")), (Some(2), Some("/env")));
        assert_eq!(values.duration("agent_ping_timeout"), Some(Duration::from_secs(15)));
        assert_eq!(values.text("secret"), None);
    }

    #[test]
    fn switches_aliases_and_separate_values_are_read() {
        let values = read(&["--quiet", "--slave_ping_timeout=1mins", "--work-dir", "/x"], &[]).unwrap();
        assert!(values.switch("quiet"));
        assert_eq!(values.duration("agent_ping_timeout"), Some(Duration::from_secs(60)));
        assert_eq!(values.text("work_dir"), Some("/x"));
        assert_eq!(values.warnings.len(), 1);
        assert!(!read(&["--no-quiet"], &[("MESOS_QUIET", "true")]).unwrap().switch("quiet"));
    }

    #[test]
    fn mistakes_name_the_flag_and_what_would_be_right() {
        for (args, expected) in [
            (&["--prot=1"][..], "did you mean --port?"),
            (&["--port=x"], "--port: 'x' is not a whole number"),
            (&["--agent_ping_timeout=15"], "such as 15secs"),
            (&["--work_dir"], "--work_dir needs a value"),
            (&["--no-port"], "--no-port takes no value"),
            (&["--acls=x"], "does not implement"),
            (&["port=1"], "flags are written --name=value"),
            (&["--work_dir=file:///nowhere"], "cannot read /nowhere"),
        ] {
            let error = read(args, &[]).unwrap_err();
            assert!(error.contains(expected), "{args:?}: {error}");
        }
        assert!(read(&[], &[("MESOS_PORT", "x")]).unwrap_err().starts_with("MESOS_PORT: "));
    }

    #[test]
    fn secrets_are_not_shown() {
        let shown = read(&["--secret=hunter2"], &[]).unwrap().shown();
        assert_eq!(shown["secret"], "***");
        assert!(!shown.contains_key("work_dir"));
    }

    #[test]
    fn help_and_reference_name_every_flag() {
        for page in [help("x", &TABLE), reference("x", "MESOS_", &TABLE)] {
            assert!(FLAGS.iter().all(|flag| page.contains(flag.name)), "{page}");
        }
    }
}
