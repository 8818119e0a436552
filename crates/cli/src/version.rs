//! `meseta version`: of this program, and of every server of a cluster.

use std::{process::ExitCode, time::Duration};

use client::{MasterClient, Options};
use endpoints::{API_VERSION, OWN_VERSION};
use serde::{Deserialize, Serialize};
use tokio::{task::JoinSet, time::timeout};

use crate::{
    cluster::address,
    connect::{self, Connect},
    masters,
    output::{Column, Format, table},
    tables::{self, Parts},
};

/// The version of this program; with --master or --context also of every master and agent of that cluster.
#[derive(clap::Args, Debug)]
pub struct VersionArguments {
    #[command(flatten)]
    connect: Connect,
    #[command(flatten)]
    format: Format,
}

#[derive(Serialize)]
struct Versions {
    meseta: &'static str,
    /// Of the API of Mesos that it speaks.
    mesos: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    servers: Vec<Server>,
}

#[derive(Serialize)]
struct Server {
    address: String,
    what: &'static str,
    /// Nothing for a server of Apache Mesos, or one that does not answer.
    meseta: Option<String>,
    mesos: Option<String>,
}

/// The body of `/version`.
#[derive(Default, Deserialize)]
struct Answer {
    meseta_version: Option<String>,
    version: Option<String>,
}

/// Servers that are asked at the same time.
const AT_ONCE: usize = 32;
const PATIENCE: Duration = Duration::from_secs(3);

pub fn version(arguments: VersionArguments) -> ExitCode {
    let mut versions = Versions { meseta: OWN_VERSION, mesos: API_VERSION, servers: Vec::new() };
    connect::run(async {
        if arguments.connect.is_given() {
            versions.servers = servers(&arguments.connect).await?;
        }
        arguments.format.print(&versions, text)?;
        Ok(ExitCode::SUCCESS)
    })
}

async fn servers(connect: &Connect) -> Result<Vec<Server>, String> {
    let target = connect.target()?;
    let client = target.client();
    let cluster = tables::fetch(connect, Parts { agents: true, ..Parts::default() }).await?;
    let leader = client.server().unwrap_or_else(|| target.masters.to_string());
    let mut all = vec![(leader, "leading master")];
    let leader = all.first().and_then(|(address, _)| address.parse().ok());
    let leader = leader.map(|leader| MasterClient::with_options(leader, target.options()));
    if let Some(leader) = leader {
        all.extend(masters::ask(&leader).await.standbys.into_iter().map(|standby| (standby.address, "standby")));
    }
    all.extend(cluster.agents.agents.iter().filter_map(|agent| Some((address(agent)?, "agent"))));

    let (mut rows, mut asked) = (Vec::new(), JoinSet::new());
    for (number, (address, what)) in all.into_iter().enumerate() {
        while asked.len() >= AT_ONCE {
            rows.extend(asked.join_next().await.and_then(Result::ok));
        }
        let options = target.options();
        asked.spawn(async move {
            let answer = timeout(PATIENCE, ask(&address, options)).await.ok().flatten().unwrap_or_default();
            (number, Server { address, what, meseta: answer.meseta_version, mesos: answer.version })
        });
    }
    rows.extend(asked.join_all().await);
    rows.sort_by_key(|(number, _)| *number);
    Ok(rows.into_iter().map(|(_, row)| row).collect())
}

async fn ask(address: &str, options: Options) -> Option<Answer> {
    let client = client::AgentClient::with_options(address, options).ok()?;
    serde_json::from_slice(&client.get("/version").await.ok()?).ok()
}

fn text(versions: &Versions) -> String {
    let own = format!("Meseta {}, with the API of Mesos {}", versions.meseta, versions.mesos);
    if versions.servers.is_empty() {
        return own;
    }
    let columns = ["SERVER", "ADDRESS", "MESETA", "MESOS API"].map(Column::Text);
    let dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
    let row = |row: &Server| vec![row.what.to_owned(), row.address.clone(), dash(&row.meseta), dash(&row.mesos)];
    format!("{own}\n\n{}", table(&columns, versions.servers.iter().map(row)))
}
