//! `meseta registry dump | restore | check`: the durable state of a cluster, whatever keeps it: carried from one store
//! to another, taken over from Apache Mesos, looked over.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use base64::{Engine, prelude::BASE64_STANDARD};
use coordination::{
    Place,
    keep::{Content, Keep},
};
use proto::{internal, json};
use registry::Registry;
use serde::{Deserialize, Serialize};

use crate::{
    connect, files,
    output::{print, write_out},
};

#[derive(clap::Args)]
pub struct RegistryArguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(clap::Subcommand)]
enum Verb {
    /// Writes the registry down as JSON.
    Dump {
        #[command(flatten)]
        store: Store,
        /// The file to write; standard output without it.
        #[arg(long, short)]
        output: Option<PathBuf>,
    },
    /// Puts back what `dump` wrote, or takes over the registry of Apache Mesos, as GET /registrar(1)/registry shows it.
    /// No master may run on the store.
    Restore {
        #[command(flatten)]
        store: Store,
        /// The file to read; `-` is standard input.
        file: PathBuf,
        /// Loses what the store holds now, also if it is damaged.
        #[arg(long)]
        replace: bool,
    },
    /// Reads everything and says whether a master could lead with it. Changes nothing.
    Check {
        #[command(flatten)]
        store: Store,
    },
}

/// What keeps a registry.
#[derive(clap::Args, Clone)]
struct Store {
    /// The --work_dir of a master that is alone (and stopped), or the URL where masters meet: zk://…, etcd://…,
    /// http://…
    #[arg(long, value_name = "DIR|URL")]
    store: String,
}

/// What `dump` writes.
#[derive(Serialize, Deserialize)]
struct Dump {
    /// The format of this file.
    meseta_registry: u32,
    /// For people: the same in the shape of Mesos.
    #[serde(default)]
    registry: serde_json::Value,
    /// Everything, by name, in base64.
    parts: BTreeMap<String, String>,
}

const FORMAT: u32 = 1;
const SESSION: Duration = Duration::from_secs(10);

pub fn registry(arguments: RegistryArguments) -> ExitCode {
    connect::run(async move {
        match arguments.verb {
            Verb::Dump { store, output } => dump(&store, output.as_deref()).await,
            Verb::Restore { store, file, replace } => restore(&store, &file, replace).await,
            Verb::Check { store } => check(&store).await,
        }
    })
}

impl Store {
    /// `to_replace` what is there, whether it can be read or not.
    async fn open(&self, to_replace: bool) -> Result<Keep, String> {
        if !self.store.contains("://") {
            let directory = Path::new(&self.store);
            if !directory.is_dir() {
                return Err(format!("--store: {} is not a directory; give a master's --work_dir or a URL", self.store));
            }
            let opened = if to_replace { Keep::open_to_replace(directory) } else { Keep::open(directory) };
            return opened.map_err(|e| e.to_string());
        }
        let place = Place::parse(&self.store).map_err(|e| format!("--store: {e}"))?;
        Keep::connect(&*coordination::connect(place, SESSION)).await.map_err(|e| e.to_string())
    }
}

async fn dump(store: &Store, output: Option<&Path>) -> Result<ExitCode, String> {
    let content = store.open(false).await?.read().await.map_err(|e| e.to_string())?;
    let text = write_dump(&content.registry);
    match output {
        None => write_out(text.as_bytes()),
        Some(path) => files::write(path, &text)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn write_dump(registry: &Registry) -> String {
    let parts = registry.entries().map(|(key, value)| (key.to_string(), BASE64_STANDARD.encode(value))).collect();
    // Our own structures always have a JSON form.
    let registry = serde_json::from_slice(&registry.to_json()).unwrap_or_default();
    let dump = Dump { meseta_registry: FORMAT, registry, parts };
    serde_json::to_string_pretty(&dump).unwrap_or_default() + "\n"
}

async fn restore(store: &Store, file: &Path, replace: bool) -> Result<ExitCode, String> {
    let text = files::read(file, files::RECORDED_MAX)?;
    let registry = read_any(&text).map_err(|why| format!("{}: {why}", file.display()))?;
    let mut keep = store.open(replace).await?;
    keep.write(&registry, replace).await.map_err(|e| e.to_string())?;
    let content = keep.read().await.map_err(|e| e.to_string())?;
    if content.registry != registry {
        return Err(format!("{} does not hold what was written; try again with --replace", keep.describe()));
    }
    print(&format!("{} holds {}", keep.describe(), summary(&content)));
    Ok(ExitCode::SUCCESS)
}

/// A dump of ours, or the registry as Mesos shows it.
fn read_any(text: &[u8]) -> Result<Registry, String> {
    let value: serde_json::Value = serde_json::from_slice(text).map_err(|e| format!("this is not JSON: {e}"))?;
    if value.get("meseta_registry").is_some() {
        let dump: Dump = serde_json::from_value(value).map_err(|e| format!("this is not a dump: {e}"))?;
        if dump.meseta_registry > FORMAT {
            let found = dump.meseta_registry;
            return Err(format!("the dump has format {found}, this program reads up to {FORMAT}: use a newer one"));
        }
        let decode = |(name, value): (&String, &String)| match BASE64_STANDARD.decode(value) {
            Ok(value) => Ok((name.clone(), value)),
            Err(e) => Err(format!("the part '{name}' is not base64: {e}")),
        };
        let parts = dump.parts.iter().map(decode).collect::<Result<Vec<_>, _>>()?;
        let parts = parts.iter().map(|(name, value)| (&name[..], &value[..]));
        return Registry::from_entries(parts).map_err(|e| e.to_string());
    }
    if !value.as_object().is_some_and(|object| object.contains_key("master") || object.contains_key("slaves")) {
        return Err("this is neither a dump of `meseta registry dump` nor a registry of Apache Mesos".into());
    }
    let theirs: internal::Registry = json::from_slice(text).map_err(|e| e.to_string())?;
    Registry::from_proto(theirs).map_err(|e| e.to_string())
}

async fn check(store: &Store) -> Result<ExitCode, String> {
    let mut keep = store.open(false).await?;
    let content = keep.read().await.map_err(|e| format!("{}: {e}", keep.describe()))?;
    print(&keep.describe());
    if let Some(header) = &content.cluster {
        let name = header.name.as_deref().map(|name| format!(" ({name})")).unwrap_or_default();
        print(&format!("cluster {}{name}, layout {}", header.cluster, header.format));
    }
    print(&summary(&content));
    if let Some((key, bytes)) = &content.largest {
        print(&format!("{} values, {} bytes; the largest is {key} with {bytes}", content.values, content.bytes));
    }
    if content.unfinished {
        print("a large change was interrupted; the next leader finishes it");
    }
    let missing = content.registry.missing_capabilities();
    if !missing.is_empty() {
        return Err(format!(
            "it asks for capabilities that this version lacks: {}; run a newer one",
            missing.join(", ")
        ));
    }
    print("sound");
    Ok(ExitCode::SUCCESS)
}

fn summary(content: &Content) -> String {
    let registry = &content.registry;
    format!(
        "{} agents, {} unreachable, {} gone, {} machines in maintenance, {} quotas, {} weights",
        registry.agents.len(),
        registry.unreachable.len(),
        registry.gone.len(),
        registry.machines.len(),
        registry.quotas.len() + registry.legacy_quotas.len(),
        registry.weights.len(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As a master of Mesos 1.11 showed it.
    const THEIRS: &str = r#"{"master":{"info":{"address":{"hostname":"localhost","ip":"127.0.0.1","port":26050},"capabilities":[{"type":"AGENT_UPDATE"},{"type":"AGENT_DRAINING"},{"type":"QUOTA_V2"}],"hostname":"localhost","id":"0d55ff92","ip":16777343,"pid":"master@127.0.0.1:26050","port":26050,"version":"1.11.0"}},"slaves":{"slaves":[{"deactivated":false,"info":{"checkpoint":true,"hostname":"localhost","id":{"value":"0d55ff92-S0"},"port":26050,"resources":[{"name":"cpus","role":"*","scalar":{"value":8.0},"type":"SCALAR"}]}}]}}"#;

    #[test]
    fn a_registry_of_mesos_is_taken_over_and_comes_back_from_a_dump() {
        let registry = read_any(THEIRS.as_bytes()).unwrap();
        assert_eq!(registry.agents.keys().map(|id| id.as_str()).collect::<Vec<_>>(), ["0d55ff92-S0"]);
        assert_eq!(read_any(write_dump(&registry).as_bytes()).unwrap(), registry);
    }

    #[test]
    fn what_is_neither_is_told() {
        for (text, expected) in [
            ("no", "not JSON"),
            ("{}", "neither a dump"),
            (r#"{"meseta_registry":9,"parts":{}}"#, "use a newer one"),
            (r#"{"meseta_registry":1,"parts":{"x":"?"}}"#, "base64"),
        ] {
            let why = read_any(text.as_bytes()).unwrap_err();
            assert!(why.contains(expected), "{text}: {why}");
        }
    }
}
