//! Flags of a daemon from one table: `--name=value`, `--name value`, `--[no-]switch`, environment variables with a
//! prefix, `file://` values. The table also makes `--help`, the reference page, and what a flags endpoint shows.
//!
//! A flag says what may be given to it: its kind, its bounds, whether it may be empty. `foreign` has the flags of the
//! compatible program that this one does not act upon: each is refused, or accepted with a note.

mod foreign;
mod page;

use std::{collections::BTreeMap, net::IpAddr, path::PathBuf, time::Duration};

use crate::units;

pub use foreign::{Accepts, Foreign};
pub use page::{help, reference};

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
    /// The least and the most that may be given, as one would write them.
    pub bounds: Option<(&'static str, &'static str)>,
    /// Whether an empty text means something.
    pub may_be_empty: bool,
    pub help: &'static str,
}

impl Flag {
    pub const fn new(name: &'static str, kind: Kind, default: Option<&'static str>, help: &'static str) -> Flag {
        Flag { name, alias: None, kind, default, bounds: None, may_be_empty: false, help }
    }

    pub const fn alias(mut self, alias: &'static str) -> Flag {
        self.alias = Some(alias);
        self
    }

    /// Refuses a value below `least` or above `most`; both are written as a value of the flag is.
    pub const fn within(mut self, least: &'static str, most: &'static str) -> Flag {
        self.bounds = Some((least, most));
        self
    }

    pub const fn may_be_empty(mut self) -> Flag {
        self.may_be_empty = true;
        self
    }
}

/// A program's flags.
#[derive(Debug)]
pub struct Table {
    /// What `--help` says first.
    pub about: &'static str,
    pub flags: &'static [Flag],
    /// Flags of the compatible program that this one does not act upon: refused, or accepted with a note.
    pub foreign: &'static [Foreign],
    /// Environment variables without the prefix that the compatible program reads.
    pub variables: &'static [Variable],
    /// Flags of programs that may share this one's environment: a variable of theirs is not this program's business.
    pub elsewhere: &'static [&'static str],
}

impl Table {
    /// How this table breaks the law that each measure has bounds, refuses what is none, and takes its own default: a
    /// sentence each. For the tests of the programs.
    pub fn unbounded_measures(&'static self) -> Vec<String> {
        let read = |flag: String| parse(self, "", [flag], []);
        let mut broken = Vec::new();
        for flag in self.flags {
            let (name, unit) = match flag.kind {
                Kind::Integer | Kind::Number => (flag.name, ""),
                Kind::Duration => (flag.name, "secs"),
                Kind::Bytes => (flag.name, "B"),
                Kind::Switch | Kind::Text | Kind::Path | Kind::Url | Kind::Secret => continue,
            };
            if flag.bounds.is_none() {
                broken.push(format!("--{name} has no bounds"));
            }
            for wrong in ["-1", "-inf", "inf", "NaN", "1e300", "99999999999999999999999", "", "x"] {
                match read(format!("--{name}={wrong}{unit}")) {
                    Ok(_) => broken.push(format!("--{name}={wrong}{unit} is taken")),
                    Err(error) if !error.contains(name) => broken.push(format!("'{error}' does not name --{name}")),
                    Err(_) => {}
                }
            }
            if let Some(default) = flag.default
                && let Err(error) = read(format!("--{name}={default}"))
            {
                broken.push(format!("--{name} refuses its own default: {error}"));
            }
        }
        broken
    }
}

/// An environment variable that is read by its whole name.
#[derive(Clone, Copy, Debug)]
pub struct Variable {
    pub name: &'static str,
    pub meaning: Meaning,
}

#[derive(Clone, Copy, Debug)]
pub enum Meaning {
    /// It gives a flag its value, unless the flag is given itself.
    Flag(&'static str),
    /// It is one that this program does not act upon.
    Foreign(Foreign),
}

/// The flags of a program, each checked against its kind.
#[derive(Clone, Debug)]
pub struct Values {
    table: &'static Table,
    values: BTreeMap<&'static str, String>,
    /// What to tell the operator: older names that were used, variables that mean nothing.
    pub warnings: Vec<String>,
    /// What was accepted and makes no difference, and why.
    pub notes: Vec<String>,
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
    let mut values = Values { table, values: BTreeMap::new(), warnings: Vec::new(), notes: Vec::new(), help: false };
    let env: Vec<(String, String)> = env.into_iter().collect();
    for variable in table.variables {
        if let Some((_, value)) = env.iter().find(|(name, _)| name == variable.name) {
            values.set_from_variable(variable, value)?;
        }
    }
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

    /// Replaces a value by what the program made of it, so that whoever is shown the flags sees what holds.
    pub fn put(&mut self, name: &'static str, value: String) {
        self.values.insert(name, value);
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

    /// A text that may be given as the path of a file (`/…` or `file:///…`) with it.
    pub fn text_or_file(&self, name: &str) -> Result<Option<String>, String> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let path = text.strip_prefix("file://").unwrap_or(text);
        if !path.starts_with('/') {
            return Ok(Some(text.to_owned()));
        }
        std::fs::read_to_string(path).map(Some).map_err(|error| format!("--{name}: {path}: {error}"))
    }

    /// Every flag that has a value, with secrets hidden: what a flags endpoint shows.
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

    fn set_from_variable(&mut self, variable: &Variable, value: &str) -> Result<(), String> {
        let told = |why| format!("{}: {why}", variable.name);
        match variable.meaning {
            Meaning::Flag(name) => match find(self.table.flags, name) {
                Some(flag) => self.set(flag, value.to_owned()).map_err(told),
                None => Ok(()),
            },
            Meaning::Foreign(foreign) => {
                self.notes.push(foreign.judge(variable.name, value)?);
                Ok(())
            }
        }
    }

    fn set_from_environment(&mut self, prefix: &str, name: &str, value: String) -> Result<(), String> {
        let shown = format!("{prefix}{}", name.to_uppercase());
        if let Some(flag) = find(self.table.flags, name) {
            self.note_alias(flag, name);
            return self.set(flag, value).map_err(|why| format!("{shown}: {why}"));
        }
        if let Some(foreign) = Foreign::find(self.table.foreign, name) {
            self.notes.push(foreign.judge(&shown, &value)?);
            return Ok(());
        }
        if self.table.elsewhere.contains(&name) {
            return Ok(());
        }
        // Other variables may begin with the prefix, too; but one that is nearly a flag was meant to be it.
        if name.len() >= MISSPELT_MIN
            && let Some(near) = nearest(self.table, name, 1 + usize::from(name.len() >= 2 * MISSPELT_MIN))
        {
            let near = near.to_uppercase();
            return Err(format!("{shown}: there is no such flag; did you mean {prefix}{near}?"));
        }
        self.warnings.push(format!("{shown} is no flag; it has no effect"));
        Ok(())
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
        let bare = negated.unwrap_or(&name);
        let Some(flag) = find(self.table.flags, bare) else {
            let foreign = Foreign::find(self.table.foreign, bare).ok_or_else(|| unknown(self.table, &name))?;
            let value = match (foreign.is_switch, negated, value) {
                (true, Some(_), None) => "false".to_owned(),
                (true, None, None) => "true".to_owned(),
                (_, None, Some(value)) => value,
                (false, None, None) => rest.next().unwrap_or_default(),
                (_, Some(_), _) => return Err(format!("--no-{bare} takes no value")),
            };
            self.notes.push(foreign.judge(&format!("--{bare}"), &value)?);
            return Ok(());
        };
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
        check(flag, &value)?;
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

fn check(flag: &Flag, value: &str) -> Result<(), String> {
    if value.is_empty() && !flag.may_be_empty && flag.kind != Kind::Switch {
        return Err("the value is empty; give one, or leave the flag out".to_owned());
    }
    let measured = measure(flag.kind, value)?;
    if let (Some(measured), Some((least, most))) = (measured, flag.bounds) {
        let bound = |text| measure(flag.kind, text).ok().flatten().unwrap_or(measured);
        if !(bound(least)..=bound(most)).contains(&measured) {
            return Err(format!("{value} is not between {least} and {most}"));
        }
    }
    Ok(())
}

/// Checks a value by its kind, and makes a number of it where it has an order.
fn measure(kind: Kind, value: &str) -> Result<Option<f64>, String> {
    match kind {
        Kind::Text | Kind::Path | Kind::Url | Kind::Secret => Ok(None),
        Kind::Switch => switch(value).map(|_| None),
        Kind::Integer => match value.parse::<u64>() {
            Ok(number) => Ok(Some(number as f64)),
            Err(_) => Err(format!("'{value}' is not a whole number")),
        },
        Kind::Number => match value.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(Some(number)),
            _ => Err(format!("'{value}' is not a number")),
        },
        Kind::Duration => units::parse_duration(value).map(|duration| Some(duration.as_nanos() as f64)),
        Kind::Bytes => units::parse_bytes(value).map(|bytes| Some(bytes as f64)),
    }
}

fn switch(value: &str) -> Result<bool, String> {
    match value {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err(format!("'{value}' is neither true nor false")),
    }
}

fn unknown(table: &Table, name: &str) -> String {
    match nearest(table, name, 3) {
        Some(near) => format!("there is no flag --{name}; did you mean --{near}?"),
        None => format!("there is no flag --{name}; --help lists them"),
    }
}

/// A variable with a shorter name is not taken for a flag that is spelt wrong.
const MISSPELT_MIN: usize = 6;

/// The flag whose name is at most `edits` away.
fn nearest(table: &Table, name: &str, edits: usize) -> Option<&'static str> {
    let near = table.flags.iter().map(|flag| flag.name).min_by_key(|known| distance(known, name))?;
    (distance(near, name) <= edits).then_some(near)
}

/// The number of single-character edits between two names.
pub fn distance(a: &str, b: &str) -> usize {
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

#[cfg(test)]
mod tests {
    use super::*;

    static TABLE: Table = Table {
        about: "About.",
        flags: FLAGS,
        foreign: &[
            Foreign::refused("acls", "name who may do what elsewhere"),
            Foreign::fixed("allocator", &["hierarchical"], "there is one allocator"),
            Foreign::idle("webui_dir", "the pages are built in"),
            Foreign::fixed("registry_strict", &["false"], "Mesos disabled it").switch(),
        ],
        variables: &[
            Variable { name: "LIB_PORT", meaning: Meaning::Flag("port") },
            Variable {
                name: "LIB_SSL",
                meaning: Meaning::Foreign(Foreign::fixed("enabled", &["false"], "there is no TLS").switch()),
            },
        ],
        elsewhere: &["agent_ping_timeous"],
    };
    static FLAGS: &[Flag] = &[
        Flag::new("port", Kind::Integer, Some("5050"), "The port.").within("0", "65535"),
        Flag::new("quiet", Kind::Switch, Some("false"), "Say less."),
        Flag::new("agent_ping_timeout", Kind::Duration, Some("15secs"), "Per ping.")
            .alias("slave_ping_timeout")
            .within("1secs", "15mins"),
        Flag::new("work_dir", Kind::Text, None, "Where."),
        Flag::new("roles", Kind::Text, None, "Which.").may_be_empty(),
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
            (&["--port=70000"], "--port: 70000 is not between 0 and 65535"),
            (&["--agent_ping_timeout=0secs"], "--agent_ping_timeout: 0secs is not between 1secs and 15mins"),
            (&["--work_dir="], "--work_dir: the value is empty"),
            (&["--work_dir=file:///dev/null"], "--work_dir: the value is empty"),
            (&["--acls=x"], "--acls: Meseta does not implement this flag of Mesos (name who may do what elsewhere)"),
            (&["--acls", "x"], "--acls: "),
            (&["--allocator=mine"], "--allocator: 'mine' is not hierarchical (there is one allocator)"),
            (&["--registry_strict"], "--registry_strict: 'true' is not false"),
            (&["--no-webui_dir"], "--no-webui_dir takes no value"),
            (&["port=1"], "flags are written --name=value"),
            (&["--work_dir=file:///nowhere"], "cannot read /nowhere"),
        ] {
            let error = read(args, &[]).unwrap_err();
            assert!(error.contains(expected), "{args:?}: {error}");
        }
        for (name, value, expected) in [
            ("MESOS_PORT", "x", "MESOS_PORT: 'x' is not a whole number"),
            ("MESOS_ACLS", "x", "MESOS_ACLS: Meseta does not implement"),
            ("MESOS_REGISTRY_STRICT", "1", "MESOS_REGISTRY_STRICT: '1' is not false"),
            ("MESOS_WORKDIR", "/x", "MESOS_WORKDIR: there is no such flag; did you mean MESOS_WORK_DIR?"),
            ("LIB_PORT", "x", "LIB_PORT: 'x' is not a whole number"),
            ("LIB_SSL", "1", "LIB_SSL: '1' is not false (there is no TLS)"),
        ] {
            let error = read(&[], &[(name, value)]).unwrap_err();
            assert!(error.contains(expected), "{name}: {error}");
        }
    }

    #[test]
    fn what_makes_no_difference_is_accepted_with_a_note() {
        let args = ["--allocator=hierarchical", "--webui_dir", "/x", "--no-registry_strict", "--roles="];
        let env = [("LIB_SSL", "false"), ("MESOS_WEBUI_DIR", "/y"), ("MESOS_REGISTRY_STRICT", "0")];
        let values = read(&args, &env).unwrap();
        assert_eq!(values.notes.len(), 6, "{:?}", values.notes);
        assert!(values.notes.iter().all(|note| note.contains(" has no effect: ")), "{:?}", values.notes);
        assert_eq!((values.text("roles"), values.warnings.len()), (Some(""), 0));
    }

    #[test]
    fn variables_of_others_are_left_alone_and_unknown_ones_are_told() {
        let env = [("MESOS_AGENT_PING_TIMEOUS", "x"), ("MESOS_NATIVE_LIBRARY", "x"), ("MESOS_PROT", "9")];
        let values = read(&[], &env).unwrap();
        let unknown = |name: &str| format!("{name} is no flag; it has no effect");
        assert_eq!(values.warnings, [unknown("MESOS_NATIVE_LIBRARY"), unknown("MESOS_PROT")]);
    }

    #[test]
    fn a_variable_of_a_library_gives_way_to_the_flag() {
        assert_eq!(read(&[], &[("LIB_PORT", "7")]).unwrap().integer("port"), Some(7));
        assert_eq!(read(&[], &[("MESOS_PORT", "8"), ("LIB_PORT", "7")]).unwrap().integer("port"), Some(8));
        assert_eq!(read(&["--port=9"], &[("LIB_PORT", "7")]).unwrap().integer("port"), Some(9));
    }

    #[test]
    fn secrets_are_not_shown() {
        let shown = read(&["--secret=hunter2"], &[]).unwrap().shown();
        assert_eq!(shown["secret"], "***");
        assert!(!shown.contains_key("work_dir"));
    }
}
