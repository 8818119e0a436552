//! RESERVE and UNRESERVE by themselves: whether these resources may be reserved by whoever asks, and given back.

use super::{Asker, sound};
use crate::{capabilities::AgentCapabilities, parse::resources as usable};
use ::resources::{Resource, Resources};
use proto::v1::offer::operation;

pub fn reserve(reserve: &operation::Reserve, agent: AgentCapabilities, asker: Asker<'_>) -> Result<(), String> {
    let resources = sound(&reserve.resources)?;
    if !reserve.source.is_empty() {
        let source = Resources::from_protos(&reserve.source).map_err(|why| format!("Invalid resources: {why}"))?;
        let (from, to) = (source.quantities(), resources.quantities());
        if from != to {
            return Err(format!(
                "Source and target resources should refer to identical resource quantities: {from} vs. {to}"
            ));
        }
    }
    resources.iter().try_for_each(|resource| reservable(resource, agent, asker))
}

fn reservable(resource: &Resource, agent: AgentCapabilities, asker: Asker<'_>) -> Result<(), String> {
    usable::light(resource)?;
    let Some(reservation) = resource.reservations().last().filter(|reservation| reservation.dynamic) else {
        return Err(format!("Resource {resource} is not dynamically reserved"));
    };
    let role = &*reservation.role;
    if role.contains('/') && !agent.hierarchical_role {
        return Err(format!(
            "Resource {resource} with reservation for hierarchical role '{role}' cannot be reserved on an agent \
             without HIERARCHICAL_ROLE capability"
        ));
    }
    if let Some(principal) = asker.principal {
        match reservation.principal.as_deref() {
            None => {
                return Err(format!(
                    "A reserve operation was attempted by principal '{principal}', but there is a reserved resource \
                     in the request with no principal set"
                ));
            }
            Some(other) if other != principal => {
                return Err(format!(
                    "A reserve operation was attempted by authenticated principal '{principal}', which does not \
                     match a reserved resource in the request with principal '{other}'"
                ));
            }
            Some(_) => {}
        }
    }
    match (asker.framework, resource.allocation_role()) {
        (None, None) => Ok(()),
        (None, Some(_)) => Err("A reserve operation was attempted with an allocated resource, but the operator API \
                                only allows reservations to be made to unallocated resources"
            .into()),
        (Some(_), Some(allocated)) if allocated == role => Ok(()),
        (Some(_), allocated) => Err(format!(
            "A reserve operation was attempted for a resource with role '{role}', but the resource was allocated to \
             role '{}'",
            allocated.unwrap_or_default()
        )),
    }
}

pub fn unreserve(unreserve: &operation::Unreserve) -> Result<(), String> {
    for resource in &sound(&unreserve.resources)? {
        if !resource.is_dynamically_reserved() {
            return Err(format!("Resource {resource} is not dynamically reserved"));
        }
        if resource.is_persistent_volume() {
            return Err(format!(
                "A dynamically reserved persistent volume {resource} cannot be unreserved directly. Please destroy the \
                 persistent volume first then unreserve the resource"
            ));
        }
    }
    Ok(())
}
