//! `meseta context`: clusters with names, kept in a file, so that nobody types addresses and credentials with each
//! command. The file holds the path of a credential, never the secret.

use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    process::ExitCode,
};

use client::{Error, Masters};
use serde::{Deserialize, Serialize};

use crate::{
    files,
    output::{Column, Format, fail, table},
};

/// Names the context of a shell or a script.
pub const VARIABLE: &str = "MESETA_CONTEXT";
/// Names another file.
const FILE_VARIABLE: &str = "MESETA_CONFIG";

/// Clusters with names: each has the addresses of its masters, and may have a credential.
///
/// They are kept in ~/.config/meseta/config.toml (MESETA_CONFIG names another file). Every command takes --context
/// NAME.
#[derive(clap::Args, Debug)]
pub struct ContextArguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(clap::Subcommand, Debug)]
enum Verb {
    /// All contexts; a star marks the one in use.
    List {
        #[command(flatten)]
        format: Format,
    },
    /// From now on commands go to this cluster, unless they name another.
    Use { name: String },
    /// One context; the one in use without a name.
    Show {
        name: Option<String>,
        #[command(flatten)]
        format: Format,
    },
    /// Adds a context, or changes what is given of one that is there. The first one is used from then on.
    Set {
        name: String,
        /// The master; several have commas between them. Or where masters meet: zk://host:port/path,
        /// etcd://host:port/path.
        #[arg(long, value_name = "HOST:PORT")]
        master: Option<String>,
        /// A file with a principal and its secret. An empty text takes it away.
        #[arg(long, value_name = "FILE")]
        credential: Option<String>,
        /// The authority that signed the certificates of an etcd (etcds://…). An empty text takes it away.
        #[arg(long, value_name = "FILE")]
        ca: Option<String>,
    },
    /// Forgets a context.
    Delete { name: String },
}

/// The whole file.
#[derive(Clone, Debug, Default, Serialize, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Contexts {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    current: Option<String>,
    #[serde(default)]
    contexts: BTreeMap<String, Context>,
}

/// One cluster.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Context {
    /// As --master has it.
    master: String,
    /// The path of a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
    /// The path of a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ca: Option<String>,
}

impl Context {
    pub fn masters(&self) -> Result<Masters, String> {
        let with_ca = match &self.ca {
            None => self.master.clone(),
            Some(_) if !self.master.starts_with("etcds://") => {
                return Err(
                    "a context's ca is for masters that meet at etcds://…; masters themselves speak plain HTTP"
                        .to_owned(),
                );
            }
            Some(ca) => format!("{}{}ca={ca}", self.master, if self.master.contains('?') { '&' } else { '?' }),
        };
        with_ca.parse().map_err(|error: Error| error.to_string())
    }
}

impl Contexts {
    /// A file that is not there holds none.
    pub fn load() -> Result<Contexts, String> {
        match file() {
            Some(path) if path.exists() => Contexts::parse(&files::read_text(&path, files::WRITTEN_MAX)?)
                .map_err(|why| format!("{}: {why}", path.display())),
            _ => Ok(Contexts::default()),
        }
    }

    fn parse(text: &str) -> Result<Contexts, String> {
        // The parser's message repeats the line, which may hold the login of a URL.
        toml::from_str(text).map_err(|error: toml::de::Error| {
            let at = error.span().map_or(0, |span| span.start);
            let line = text.get(..at).unwrap_or_default().matches('\n').count() + 1;
            format!("line {line}: {}", error.message())
        })
    }

    fn save(&self) -> Result<(), String> {
        let path = file().ok_or("there is no home directory to keep contexts in; MESETA_CONFIG may name a file")?;
        let text = toml::to_string(self).map_err(|error| error.to_string())?;
        write_privately(&path, &text).map_err(|error| format!("cannot write {}: {error}", path.display()))
    }

    pub fn get(&self, name: &str) -> Result<Context, String> {
        self.contexts.get(name).cloned().ok_or_else(|| match self.contexts.is_empty() {
            true => format!("there is no context '{name}'; `meseta context set {name} --master HOST:PORT` makes it"),
            false => format!("there is no context '{name}'; `meseta context list` shows those there are"),
        })
    }

    pub fn current(&self) -> Result<Option<Context>, String> {
        self.current.as_deref().map(|name| self.get(name)).transpose()
    }

    fn row(&self, name: &str, context: &Context) -> Row {
        let master = context.masters().map_or_else(|_| "(not valid)".to_owned(), |masters| masters.to_string());
        let Context { credential, ca, .. } = context.clone();
        Row { name: name.to_owned(), in_use: self.current.as_deref() == Some(name), master, credential, ca }
    }
}

/// A context as it is shown, without the login of a URL.
#[derive(Serialize)]
struct Row {
    name: String,
    in_use: bool,
    master: String,
    credential: Option<String>,
    ca: Option<String>,
}

#[derive(Serialize)]
struct Rows {
    contexts: Vec<Row>,
}

pub fn context(arguments: ContextArguments) -> ExitCode {
    match run(arguments.verb) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => fail(&why),
    }
}

fn run(verb: Verb) -> Result<(), String> {
    let mut all = Contexts::load()?;
    match verb {
        Verb::List { format } => {
            let rows = Rows { contexts: all.contexts.iter().map(|(name, context)| all.row(name, context)).collect() };
            return format.print(&rows, |rows| match rows.contexts.is_empty() {
                true => "No contexts. `meseta context set NAME --master HOST:PORT` makes one".to_owned(),
                false => list(&rows.contexts),
            });
        }
        Verb::Show { name, format } => {
            let name = name
                .or_else(|| all.current.clone())
                .ok_or("no context is in use; `meseta context use NAME` chooses one")?;
            return format.print(&all.row(&name, &all.get(&name)?), |row| list(std::slice::from_ref(row)));
        }
        Verb::Use { name } => {
            all.get(&name)?;
            all.current = Some(name);
        }
        Verb::Set { name, master, credential, ca } => set(&mut all, name, master, credential, ca)?,
        Verb::Delete { name } => {
            all.get(&name)?;
            all.contexts.remove(&name);
            all.current = all.current.filter(|current| *current != name);
        }
    }
    all.save()
}

fn set(
    all: &mut Contexts,
    name: String,
    master: Option<String>,
    credential: Option<String>,
    ca: Option<String>,
) -> Result<(), String> {
    if !crate::pod::is_name(&name) {
        return Err(format!("'{name}' cannot be a context's name: use letters, digits, '-', '_' and '.'"));
    }
    let before = all.contexts.get(&name).cloned();
    let file = |given: Option<String>, before: Option<String>| match given {
        None => Ok(before),
        Some(text) if text.is_empty() => Ok(None),
        // The command that uses it may run anywhere.
        Some(text) => std::path::absolute(&text)
            .map(|path| Some(path.to_string_lossy().into_owned()))
            .map_err(|error| format!("'{text}': {error}")),
    };
    let (their_credential, their_ca) = before.as_ref().map_or((None, None), |c| (c.credential.clone(), c.ca.clone()));
    let master =
        master.or_else(|| before.map(|context| context.master)).ok_or("a new context needs --master HOST:PORT")?;
    if master.contains('@') && !Masters::is_place(&master) {
        return Err(
            "an address of a master is HOST:PORT, without a user or a secret; --credential FILE holds those".to_owned()
        );
    }
    let context = Context { master, credential: file(credential, their_credential)?, ca: file(ca, their_ca)? };
    context.masters()?;
    all.contexts.insert(name.clone(), context);
    all.current.get_or_insert(name);
    Ok(())
}

fn list(rows: &[Row]) -> String {
    let columns = ["", "NAME", "MASTER", "CREDENTIAL", "CA"].map(Column::Text);
    let dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    table(
        &columns,
        rows.iter().map(|row| {
            let mark = if row.in_use { "*" } else { "" };
            vec![mark.to_owned(), row.name.clone(), row.master.clone(), dash(&row.credential), dash(&row.ca)]
        }),
    )
}

fn file() -> Option<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    variable(FILE_VARIABLE).or_else(|| {
        let home = variable("XDG_CONFIG_HOME").or_else(|| Some(variable("HOME")?.join(".config")))?;
        Some(home.join("meseta").join("config.toml"))
    })
}

/// Nobody else reads it, and a crash leaves the old file or the new one.
fn write_privately(path: &Path, text: &str) -> std::io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    let new = path.with_extension(format!("new-{}", std::process::id()));
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&new, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_used_and_what_is_not_given_stays() {
        let mut all = Contexts::default();
        let text = |text: &str| Some(text.to_owned());
        set(&mut all, "one".into(), text("a:1"), text("/secret.json"), None).expect("valid");
        set(&mut all, "two".into(), text("etcds://me:s3cret@b:2"), None, text("/ca.pem")).expect("valid");
        set(&mut all, "one".into(), text("c:3"), None, None).expect("valid");
        assert_eq!(all.current.as_deref(), Some("one"));
        let one = all.get("one").expect("there");
        assert_eq!((one.master.as_str(), one.credential.as_deref()), ("c:3", Some("/secret.json")));
        assert_eq!(Contexts::parse(&toml::to_string(&all).expect("TOML")), Ok(all.clone()));
        let rows: Vec<Row> = all.contexts.iter().map(|(name, context)| all.row(name, context)).collect();
        let shown = list(&rows);
        assert!(!shown.contains("s3cret") && shown.contains("etcds://b:2"), "{shown}");
    }

    #[test]
    fn what_makes_no_sense_is_refused_and_secrets_are_not_repeated() {
        let mut all = Contexts::default();
        let text = |text: &str| Some(text.to_owned());
        for (master, ca) in [("me:s3cret@h:1", None), ("zk://me:s3cret@h", None), ("h:1", text("/ca"))] {
            let why = set(&mut all, "x".into(), text(master), None, ca).expect_err(master);
            assert!(!why.contains("s3cret"), "{why}");
        }
        assert!(set(&mut all, "a b".into(), text("h:1"), None, None).is_err());
        assert!(set(&mut all, "new".into(), None, None, None).is_err());
        let why = Contexts::parse("[contexts.x]\nmaster = \"a\"\nsecret = \"s3cret\"\n").expect_err("unknown key");
        assert!(why.starts_with("line 3: ") && why.contains("secret") && !why.contains("s3cret"), "{why}");
    }
}
