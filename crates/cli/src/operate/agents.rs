//! `meseta agents show | drain | deactivate | reactivate`: looks at agents, takes them out of the offers and puts them
//! back. `tables` prints them with `meseta agents`.

use std::{
    collections::{BTreeMap, BTreeSet},
    process::ExitCode,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use client::{AgentClient, Error, MasterClient, Options};
use proto::v1::{AgentId, Task, master::call};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{change, time};
use crate::{
    cluster::{AgentRow, Cluster},
    connect::Connect,
    find::{self, NotFound},
    ids::Short,
    output::{Format, amount, short_duration},
    tables::{Parts, agent_rows, fetch, print_agents},
};

#[derive(clap::Subcommand, Debug)]
pub enum Verb {
    /// All that is known of agents, and what isolation they enforce.
    Show {
        #[command(flatten)]
        target: Target,
    },
    /// Ends the tasks of agents, and gives them no new ones: first `draining`, then `drained`.
    Drain {
        #[command(flatten)]
        target: Target,
        /// Tasks get at most this long to end by themselves; without it as long as they want.
        #[arg(long, value_name = "DURATION")]
        max_grace_period: Option<String>,
        /// When they are empty, they are given up for good, and told to end.
        #[arg(long)]
        mark_gone: bool,
        /// Returns only when they are drained.
        #[arg(short, long)]
        wait: bool,
    },
    /// Offers nothing of agents any more. What runs there goes on.
    Deactivate {
        #[command(flatten)]
        target: Target,
    },
    /// Offers them again, after `deactivate` or once they are drained.
    Reactivate {
        #[command(flatten)]
        target: Target,
    },
}

#[derive(clap::Args, Debug)]
pub struct Target {
    #[command(flatten)]
    connect: Connect,
    #[command(flatten)]
    format: Format,
    /// By id, a short id, or hostname.
    #[arg(value_name = "AGENT", required = true)]
    agents: Vec<String>,
}

const NEXT: &str = "`meseta agents` shows the state of each agent";
const LOOK: Duration = Duration::from_millis(200);
/// How often a drain that takes long says what it waits for.
const TELL_EVERY: u32 = 50;
/// Agents that are asked why they still drain.
const ASKED_MAX: usize = 10;
/// Names in one sentence.
const NAMED_MAX: usize = 3;

pub async fn agents(verb: Verb) -> Result<ExitCode, String> {
    match verb {
        Verb::Show { target } => {
            let (ids, rows) = (target.ids().await?, agent_rows(&target.connect).await?);
            if let Some(unknown) = ids.iter().find(|id| !rows.iter().any(|row| row.id == **id)) {
                return Err(format!("no agent has the id or the hostname '{unknown}'; {NEXT}"));
            }
            let rows: Vec<AgentRow> = rows.into_iter().filter(|row| ids.contains(&row.id)).collect();
            let isolation = isolation_of_all(&target.connect, &rows).await;
            let waiting = why_draining(&target.connect, &rows).await;
            target.format.print(&Shown { agents: &rows, isolation: &isolation }, |_| {
                let each = rows.iter().map(|row| details(row, isolation.get(&row.id)));
                each.chain(waiting).collect::<Vec<_>>().join("\n\n")
            })?;
            Ok(ExitCode::SUCCESS)
        }
        Verb::Drain { target, max_grace_period, mark_gone, wait } => {
            let grace = max_grace_period.map(|text| time(&text)).transpose()?;
            let max_grace_period = grace.map(|grace| grace.try_into().unwrap_or_default());
            let drain = async |client: MasterClient, agent_id| {
                client.drain_agent(call::DrainAgent { agent_id, max_grace_period, mark_gone: Some(mark_gone) }).await
            };
            let ids = target.each(drain).await?;
            let mut looks = 0;
            while wait && target.still_drain(&ids).await? {
                looks += 1;
                if looks % TELL_EVERY == 0 {
                    target.tell_why(&ids).await;
                }
                tokio::time::sleep(LOOK).await;
            }
            target.show(&ids).await
        }
        Verb::Deactivate { target } => {
            let deactivate = async |client: MasterClient, agent_id| {
                client.deactivate_agent(call::DeactivateAgent { agent_id }).await
            };
            let ids = target.each(deactivate).await?;
            target.show(&ids).await
        }
        Verb::Reactivate { target } => {
            let reactivate = async |client: MasterClient, agent_id| {
                client.reactivate_agent(call::ReactivateAgent { agent_id }).await
            };
            let ids = target.each(reactivate).await?;
            target.show(&ids).await
        }
    }
}

impl Target {
    /// Asks the same of each agent, and gives their ids.
    async fn each(
        &self,
        send: impl AsyncFn(MasterClient, AgentId) -> Result<(), Error>,
    ) -> Result<Vec<String>, String> {
        let ids = self.ids().await?;
        for id in &ids {
            let agent = AgentId { value: id.clone() };
            change(&self.connect, NEXT, async |client| send(client, agent).await).await?;
        }
        Ok(ids)
    }

    /// What is no agent that the master lists may be one that is unreachable: the master knows.
    async fn ids(&self) -> Result<Vec<String>, String> {
        let rows = self.rows().await?;
        let id = |text: &String| match find::agent(&rows, text) {
            Ok(row) => Ok(row.id.clone()),
            Err(NotFound::Nothing(_)) => Ok(text.clone()),
            Err(NotFound::Several(why)) => Err(why),
        };
        self.agents.iter().map(id).collect()
    }

    async fn rows(&self) -> Result<Vec<AgentRow>, String> {
        Ok(fetch(&self.connect, Parts { agents: true, ..Parts::default() }).await?.agent_rows())
    }

    async fn still_drain(&self, ids: &[String]) -> Result<bool, String> {
        Ok(self.rows().await?.iter().any(|row| row.state == "draining" && ids.contains(&row.id)))
    }

    async fn tell_why(&self, ids: &[String]) {
        let mut rows = agent_rows(&self.connect).await.unwrap_or_default();
        rows.retain(|row| ids.contains(&row.id));
        for sentence in why_draining(&self.connect, &rows).await {
            crate::output::complain(&sentence);
        }
    }

    async fn show(&self, ids: &[String]) -> Result<ExitCode, String> {
        let mut rows = agent_rows(&self.connect).await?;
        rows.retain(|row| ids.contains(&row.id));
        print_agents(&self.connect, rows, self.format, "None of these agents is registered any more").await
    }
}

#[derive(Serialize)]
struct Shown<'a> {
    agents: &'a [AgentRow],
    /// By agent's id.
    isolation: &'a BTreeMap<String, Isolation>,
}

fn details(row: &AgentRow, isolation: Option<&Isolation>) -> String {
    let dash = |text: Option<&String>| text.cloned().unwrap_or_else(|| "-".to_owned());
    let attributes: Vec<String> = row.attributes.iter().map(|(name, value)| format!("{name}:{value}")).collect();
    let each = row.total.iter().map(|(name, total)| {
        let number = |value: Option<&Value>| amount(name, value.and_then(Value::as_f64).unwrap_or(0.0));
        match total.as_f64() {
            Some(_) => format!("{name} {} of {}", number(row.allocated.get(name)), number(Some(total))),
            None => format!("{name} {}", total.as_str().unwrap_or_default()),
        }
    });
    let resources: Vec<String> = each.collect();
    [
        format!("Agent       {}", row.id),
        format!("Hostname    {}", row.hostname),
        format!("Address     {}", dash(row.address.as_ref())),
        format!("State       {}, {} task(s)", row.state, row.tasks),
        format!("Version     {}", dash(row.version.as_ref())),
        format!("Attributes  {}", if attributes.is_empty() { "-".to_owned() } else { attributes.join(";") }),
        format!("In use      {}", resources.join("; ")),
        match isolation {
            Some(isolation) => format!("Enforces    {}{}", isolation.short(), isolation.missing()),
            None => "Enforces    not known: the agent does not say".to_owned(),
        },
    ]
    .join("\n")
}

/// What isolation each agent enforces, by its id; agents that cannot be asked or do not say are left out.
pub async fn isolation_of_all(connect: &Connect, rows: &[AgentRow]) -> BTreeMap<String, Isolation> {
    let Ok(target) = connect.target() else { return BTreeMap::new() };
    let options = target.options();
    let answers = ask_all(rows.iter(), &options, async |client: AgentClient| {
        Some(Isolation(serde_json::from_value(state(&client).await?.get("isolation_enforced")?.clone()).ok()?))
    });
    answers.await
}

/// By isolator: `enforced`, or why it is not.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Isolation(BTreeMap<String, String>);

impl Isolation {
    const ENFORCED: &str = "enforced";

    /// "cgroups/cpu, cgroups/mem; not linux/seccomp".
    pub fn short(&self) -> String {
        let (done, missing): (Vec<_>, Vec<_>) = self.0.iter().partition(|(_, how)| *how == Self::ENFORCED);
        let names = |list: Vec<(&String, &String)>| {
            list.into_iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ")
        };
        match (done.is_empty(), missing.is_empty()) {
            (true, _) => "nothing".to_owned(),
            (false, true) => names(done),
            (false, false) => format!("{}; not {}", names(done), names(missing)),
        }
    }

    /// A line for each isolator that is missing.
    fn missing(&self) -> String {
        let missing = self.0.iter().filter(|(_, how)| *how != Self::ENFORCED);
        missing.map(|(name, why)| format!("\n            {name}: {why}")).collect()
    }
}

async fn state(client: &AgentClient) -> Option<Value> {
    serde_json::from_slice(&client.get("/state").await.ok()?).ok()
}

/// A task that has ended, as its framework has not acknowledged yet.
#[derive(Debug, Default, Deserialize)]
struct Unacknowledged {
    framework_id: String,
    task_id: String,
    /// Seconds since 1970.
    told_again_time_seconds: Option<f64>,
}

/// Agents of Meseta say what their drain waits for; of others it is guessed from the tasks that they have not
/// forgotten.
async fn unacknowledged(client: &AgentClient) -> Option<Vec<Unacknowledged>> {
    if let Some(waits) = state(client).await?.get("drain_waits_for") {
        return serde_json::from_value(waits.clone()).ok();
    }
    let row = |task: Task| Unacknowledged {
        framework_id: task.framework_id.value,
        task_id: task.task_id.value,
        told_again_time_seconds: None,
    };
    Some(client.get_tasks().await.ok()?.terminated_tasks.into_iter().map(row).collect())
}

/// Why agents are still draining: tasks that run, or last updates that frameworks have not acknowledged.
pub async fn why_draining(connect: &Connect, rows: &[AgentRow]) -> Vec<String> {
    let draining: Vec<&AgentRow> = rows.iter().filter(|row| row.state == "draining").take(ASKED_MAX).collect();
    let Ok(target) = connect.target() else { return Vec::new() };
    if draining.is_empty() {
        return Vec::new();
    }
    let parts = Parts { frameworks: true, ..Parts::default() };
    let cluster = fetch(connect, parts).await.unwrap_or_default();
    let options = target.options();
    let waits = ask_all(draining.iter().copied(), &options, async |client: AgentClient| unacknowledged(&client).await);
    let waits = waits.await;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    let short = Short::of(rows.iter().map(|row| row.id.as_str()));
    let sentence = |row: &&AgentRow| {
        let waits = clauses(waits.get(&row.id).map_or(&[], Vec::as_slice), &cluster, now);
        let running = (row.tasks > 0).then(|| format!("{} task(s) have not ended for the master", row.tasks));
        let all: Vec<String> = running.into_iter().chain(waits).collect();
        (!all.is_empty()).then(|| format!("{} ({}) still drains: {}", short.get(&row.id), row.hostname, all.join("; ")))
    };
    draining.iter().filter_map(sentence).collect()
}

/// One clause for each framework whose acknowledgements are missing.
fn clauses(waits: &[Unacknowledged], cluster: &Cluster, now: f64) -> Vec<String> {
    let frameworks: BTreeSet<&str> = waits.iter().map(|wait| wait.framework_id.as_str()).collect();
    let clause = |id: &str| {
        let theirs: Vec<&Unacknowledged> = waits.iter().filter(|wait| wait.framework_id == id).collect();
        let more = theirs.len().saturating_sub(NAMED_MAX);
        let listed = theirs.iter().take(NAMED_MAX).map(|wait| wait.task_id.as_str()).collect::<Vec<_>>().join(", ");
        let listed = if more > 0 { format!("{listed} and {more} more") } else { listed };
        let again = theirs.iter().filter_map(|wait| wait.told_again_time_seconds).min_by(f64::total_cmp);
        let again = again.map(|at| format!(", is told again in {:.0}s", (at - now).max(0.0))).unwrap_or_default();
        let mut all = cluster.frameworks.frameworks.iter();
        let of = all.find(|one| one.framework_info.id.as_ref().is_some_and(|known| known.value == id));
        let (name, state) = match of {
            None => ("a framework that has left".to_owned(), String::new()),
            Some(one) if one.connected => {
                (format!("framework '{}'", one.framework_info.name), ", and is connected".to_owned())
            }
            Some(one) => {
                let timeout = Duration::try_from_secs_f64(one.framework_info.failover_timeout()).unwrap_or_default();
                let state = format!(", and is disconnected: it is given up {} after it left", short_duration(timeout));
                (format!("framework '{}'", one.framework_info.name), state)
            }
        };
        format!("{name} ({id}) has not acknowledged how {listed} ended{again}{state}")
    };
    frameworks.into_iter().map(clause).collect()
}

/// Asks agents one after the other, and gives what they answer by their ids.
async fn ask_all<'a, T>(
    rows: impl Iterator<Item = &'a AgentRow>,
    options: &Options,
    ask: impl AsyncFn(AgentClient) -> Option<T>,
) -> BTreeMap<String, T> {
    const PATIENCE: Duration = Duration::from_secs(3);
    let mut answers = BTreeMap::new();
    for row in rows {
        let Some(client) = row.address.as_ref().and_then(|at| AgentClient::with_options(at, options.clone()).ok())
        else {
            continue;
        };
        if let Ok(Some(answer)) = tokio::time::timeout(PATIENCE, ask(client)).await {
            answers.insert(row.id.clone(), answer);
        }
    }
    answers
}

#[cfg(test)]
mod tests {
    use proto::v1::{FrameworkId, FrameworkInfo, master::response::get_frameworks::Framework};

    use super::*;

    #[test]
    fn whose_acknowledgements_are_missing_is_told_with_the_tasks() {
        let id = |value: &str| FrameworkId { value: value.to_owned() };
        let wait = |name: &str| Unacknowledged {
            framework_id: "F".to_owned(),
            task_id: name.to_owned(),
            told_again_time_seconds: Some(112.0),
        };
        let info = FrameworkInfo {
            id: Some(id("F")),
            name: "web".to_owned(),
            failover_timeout: Some(600.0),
            ..Default::default()
        };
        let mut cluster = Cluster::default();
        cluster.frameworks.frameworks = vec![Framework { framework_info: info, ..Default::default() }];
        let told = clauses(&["a", "b", "c", "d"].map(wait), &cluster, 100.0).join("");
        let expected = "framework 'web' (F) has not acknowledged how a, b, c and 1 more ended, is told again in 12s, and is \
                        disconnected: it is given up 10m after it left";
        assert_eq!(told, expected);
        assert!(clauses(&[wait("a")], &Cluster::default(), 0.0).join("").contains("has left"));
    }

    #[test]
    fn what_is_enforced_is_told_apart_from_what_is_not() {
        let isolation = |text: &str| Isolation(serde_json::from_str(text).expect("an object of texts"));
        let some = isolation(r#"{"cgroups/cpu": "enforced", "linux/seccomp": "no profile was given"}"#);
        assert_eq!(some.short(), "cgroups/cpu; not linux/seccomp");
        assert!(some.missing().contains("linux/seccomp: no profile"));
        assert_eq!(isolation(r#"{"cgroups/cpu": "not root"}"#).short(), "nothing");
    }
}
