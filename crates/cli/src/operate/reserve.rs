//! `meseta reserve` and `meseta unreserve`: what operators set apart on one agent.

use std::process::ExitCode;

use proto::v1::{
    AgentId, Resource,
    master::call,
    resource::{ReservationInfo, reservation_info::Type},
};
use resources::Resources;
use serde::Serialize;

use super::change;
use crate::{
    connect::Connect,
    find,
    output::Format,
    tables::{self, Parts},
};

#[derive(clap::Args, Debug)]
pub struct ReserveArguments {
    #[command(flatten)]
    connect: Connect,
    #[command(flatten)]
    format: Format,
    /// The agent: its id, a short id, or its hostname.
    agent: String,
    /// The role.
    role: String,
    /// As in cpus:2;mem:1024;ports:[31000-31009].
    resources: String,
    /// Who reserves, for frameworks that want to take it back.
    #[arg(long)]
    principal: Option<String>,
}

#[derive(Serialize)]
struct Reserved {
    agent_id: String,
    role: String,
    resources: String,
}

const NEXT: &str = "`meseta agents` shows what each agent has and what of it is used";

pub async fn reserve(arguments: ReserveArguments) -> Result<ExitCode, String> {
    let (agent_id, resources) = arguments.read().await?;
    let reserve = call::ReserveResources { agent_id: agent_id.clone(), source: Vec::new(), resources };
    change(&arguments.connect, NEXT, async |client| client.reserve_resources(reserve).await).await?;
    arguments.show(agent_id, "reserved to")
}

pub async fn unreserve(arguments: ReserveArguments) -> Result<ExitCode, String> {
    let (agent_id, resources) = arguments.read().await?;
    let unreserve = call::UnreserveResources { agent_id: agent_id.clone(), resources };
    change(&arguments.connect, NEXT, async |client| client.unreserve_resources(unreserve).await).await?;
    arguments.show(agent_id, "no longer reserved to")
}

impl ReserveArguments {
    async fn read(&self) -> Result<(AgentId, Vec<Resource>), String> {
        let parsed = Resources::parse(&self.resources, "*").map_err(|error| error.to_string())?;
        let mut resources = parsed.to_protos();
        for resource in &mut resources {
            resource.reservations.push(ReservationInfo {
                r#type: Some(Type::Dynamic.into()),
                role: Some(self.role.clone()),
                principal: self.principal.clone(),
                labels: None,
            });
        }
        let parts = Parts { agents: true, ..Parts::default() };
        let rows = tables::fetch(&self.connect, parts).await?.agent_rows();
        let id = find::agent(&rows, &self.agent)?.id.clone();
        Ok((AgentId { value: id }, resources))
    }

    fn show(&self, agent_id: AgentId, what: &str) -> Result<ExitCode, String> {
        let resources = self.resources.clone();
        let reserved = Reserved { agent_id: agent_id.value, role: self.role.clone(), resources };
        self.format.print(&reserved, |reserved| {
            format!("{} is {what} {} on {}", reserved.resources, reserved.role, reserved.agent_id)
        })?;
        Ok(ExitCode::SUCCESS)
    }
}
