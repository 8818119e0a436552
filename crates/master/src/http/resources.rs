//! `/reserve`, `/unreserve`, `/create-volumes`, `/destroy-volumes`: forms with an agent's id and a JSON list of
//! resources.

use proto::{
    json,
    v1::{
        AgentId, Resource,
        master::{Call, call},
    },
};
use transport::{Method, Request, Response, refuse};

use super::Endpoints;

/// What is done to the resources of an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Reserve,
    Unreserve,
    Create,
    Destroy,
}

impl Endpoints {
    pub(super) async fn change_resources(
        &self,
        request: &Request,
        change: Change,
        principal: Option<String>,
    ) -> Response {
        if let Err(elsewhere) = self.check_leading(request).await {
            return elsewhere;
        }
        if request.method != Method::POST {
            return refuse::method_not_allowed(&["POST"], &request.method);
        }
        match read(request, change) {
            Ok(call) => self.change_plainly(call, principal).await,
            Err(why) => refuse::bad_request(why),
        }
    }
}

fn read(request: &Request, change: Change) -> Result<Call, String> {
    let field = match change {
        Change::Reserve | Change::Unreserve => "resources",
        Change::Create | Change::Destroy => "volumes",
    };
    let needed = |name: &str| {
        request.form_value(name).ok_or_else(|| format!("Missing '{name}' query parameter in the request body"))
    };
    let agent_id = AgentId { value: needed("slaveId")? };
    let parsing = if change == Change::Reserve { "Error parsing" } else { "Error in parsing" };
    let resources: Vec<Resource> = json::list_from_slice(needed(field)?.as_bytes())
        .map_err(|error| format!("{parsing} '{field}' query parameter in the request body: {error}"))?;
    Ok(match change {
        Change::Reserve => {
            let reserve_resources = Some(call::ReserveResources { agent_id, source: Vec::new(), resources });
            Call { reserve_resources, ..super::change_call(call::Type::ReserveResources) }
        }
        Change::Unreserve => {
            let unreserve_resources = Some(call::UnreserveResources { agent_id, resources });
            Call { unreserve_resources, ..super::change_call(call::Type::UnreserveResources) }
        }
        Change::Create => {
            let create_volumes = Some(call::CreateVolumes { agent_id, volumes: resources });
            Call { create_volumes, ..super::change_call(call::Type::CreateVolumes) }
        }
        Change::Destroy => {
            let destroy_volumes = Some(call::DestroyVolumes { agent_id, volumes: resources });
            Call { destroy_volumes, ..super::change_call(call::Type::DestroyVolumes) }
        }
    })
}
