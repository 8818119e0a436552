//! The masters of a cluster for `meseta status`: the epoch of the leader, who stands by, and how far behind. Masters of
//! Apache Mesos do not tell.

use std::time::Duration;

use client::{MasterClient, Options};
use serde::{Deserialize, Serialize};

/// What is known of the masters besides the one that answers.
#[derive(Debug, Default, Serialize)]
pub struct Masters {
    /// Where the registry is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub store: Option<String>,
    /// The leader's reign; each later one has a greater number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epoch: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub elections: Option<u64>,
    pub standbys: Vec<Standby>,
}

#[derive(Debug, Serialize)]
pub struct Standby {
    pub hostname: Option<String>,
    /// `host:port`.
    pub address: String,
    /// How long ago its copy of the registry last heard of the leader; nothing if it does not answer.
    pub silence_secs: Option<f64>,
}

/// The body of `/standing`: how this master's election stands.
#[derive(Deserialize)]
struct Election {
    epoch: Option<u64>,
    elections: u64,
    store: String,
    standbys: Vec<Other>,
    replica: Option<Replica>,
}

#[derive(Deserialize)]
struct Other {
    hostname: Option<String>,
    address: String,
}

#[derive(Deserialize)]
struct Replica {
    silence_secs: f64,
}

/// A standby that does not answer must not hold up the others.
const PATIENCE: Duration = Duration::from_secs(2);

pub async fn ask(leader: &MasterClient) -> Masters {
    let Some(election) = election(leader).await else { return Masters::default() };
    let mut standbys = Vec::new();
    for other in election.standbys {
        let silence_secs = silence(&other.address).await;
        standbys.push(Standby { hostname: other.hostname, address: other.address, silence_secs });
    }
    Masters { store: Some(election.store), epoch: election.epoch, elections: Some(election.elections), standbys }
}

async fn election(client: &MasterClient) -> Option<Election> {
    serde_json::from_slice(&client.get("/standing").await.ok()?).ok()
}

async fn silence(address: &str) -> Option<f64> {
    let mut options = Options::default();
    (options.http.connect_timeout, options.http.answer_timeout) = (PATIENCE, PATIENCE);
    let client = MasterClient::with_options(address.parse().ok()?, options);
    Some(election(&client).await?.replica?.silence_secs)
}

impl Masters {
    /// Lines below the leader's, if there is more to say.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if let Some(epoch) = self.epoch {
            lines.push(format!("Epoch       {epoch}, {} election(s) seen", self.elections.unwrap_or_default()));
        }
        lines.extend(self.store.iter().map(|store| format!("Registry    {store}")));
        for standby in &self.standbys {
            let name = standby.hostname.as_deref().unwrap_or_default();
            let state = match standby.silence_secs {
                Some(silence) => format!("its copy heard of the leader {silence:.1} s ago"),
                None => "does not answer".to_owned(),
            };
            lines.push(format!("Standby     {} ({name}), {state}", standby.address));
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn standbys_and_the_epoch_are_told() {
        let standby =
            |silence_secs| Standby { hostname: Some("b".into()), address: "10.0.0.2:5050".into(), silence_secs };
        let masters = Masters {
            store: Some("ZooKeeper, zk://z:2181/mesos".into()),
            epoch: Some(7),
            elections: Some(2),
            standbys: vec![standby(Some(0.25)), standby(None)],
        };
        let text = masters.lines().join("\n");
        for part in ["7, 2 election", "zk://z:2181", "10.0.0.2:5050 (b)", "0.2 s ago", "does not answer"] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(Masters::default().lines().is_empty());
    }
}
