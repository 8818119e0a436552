//! `meseta agents drain | deactivate | reactivate`: takes agents out of the offers and puts them back. `tables` prints them
//! with `meseta agents`.

use std::{process::ExitCode, time::Duration};

use client::{Error, MasterClient};
use proto::v1::{AgentId, master::call};

use super::{change, time};
use crate::{
    connect::Connect,
    find,
    output::Format,
    tables::{fetch, print_agents},
};

#[derive(clap::Subcommand, Debug)]
pub enum Verb {
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
    /// By id, a beginning of it that no other agent has, or hostname.
    #[arg(value_name = "AGENT", required = true)]
    agents: Vec<String>,
}

const NEXT: &str = "`meseta agents` shows how agents are";
const LOOK: Duration = Duration::from_millis(200);

pub async fn agents(verb: Verb) -> Result<ExitCode, String> {
    match verb {
        Verb::Drain { target, max_grace_period, mark_gone, wait } => {
            let grace = max_grace_period.map(|text| time(&text)).transpose()?;
            let max_grace_period = grace.map(|grace| grace.try_into().unwrap_or_default());
            let drain = async |client: MasterClient, agent_id| {
                client.drain_agent(call::DrainAgent { agent_id, max_grace_period, mark_gone: Some(mark_gone) }).await
            };
            let ids = target.each(drain).await?;
            while wait && target.still_drain(&ids).await? {
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
        let rows = fetch(&self.connect).await?.agent_rows();
        self.agents
            .iter()
            .map(|text| Ok(find::agent(&rows, text)?.map_or(text.clone(), |row| row.id.clone())))
            .collect()
    }

    async fn still_drain(&self, ids: &[String]) -> Result<bool, String> {
        let rows = fetch(&self.connect).await?.agent_rows();
        Ok(rows.iter().any(|row| row.state == "draining" && ids.contains(&row.id)))
    }

    async fn show(&self, ids: &[String]) -> Result<ExitCode, String> {
        let mut rows = fetch(&self.connect).await?.agent_rows();
        rows.retain(|row| ids.contains(&row.id));
        print_agents(rows, self.format, "None of them is registered any more")
    }
}
