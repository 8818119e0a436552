//! An offer as its framework shall see it: older frameworks get the older forms.

use proto::v1::{self, resource::AllocationInfo};

use crate::state::{Agent, Offer, State};

/// The offer as the master keeps it, for readers.
pub(crate) fn full(state: &State, offer: &Offer) -> Option<v1::Offer> {
    let agent = state.agents.get(&offer.agent)?;
    let mut attributes = agent.info.attributes.clone();
    attributes.extend(offer.group.as_deref().map(group_attribute));
    Some(v1::Offer {
        id: offer.id.to_proto(),
        framework_id: offer.framework.to_proto(),
        agent_id: offer.agent.to_proto(),
        hostname: agent.info.hostname.clone(),
        url: Some(url(agent)),
        domain: agent.info.domain.clone(),
        resources: offer.resources.to_protos(),
        attributes,
        executor_ids: agent.executors_of(&offer.framework).map(|(id, _)| id.to_proto()).collect(),
        unavailability: state.unavailability_of(agent),
        allocation_info: Some(AllocationInfo { role: Some(offer.role.to_string()) }),
    })
}

/// The offer as it is sent.
pub(crate) fn for_framework(state: &State, offer: &Offer) -> Option<v1::Offer> {
    let capabilities = state.frameworks.get(&offer.framework)?.capabilities;
    let mut rendered = full(state, offer)?;
    rendered.resources.retain(|resource| resource.name != "ephemeral_ports");
    if !capabilities.multi_role {
        rendered.allocation_info = None;
        rendered.resources.iter_mut().for_each(|resource| resource.allocation_info = None);
    }
    if !capabilities.reservation_refinement {
        // A refined reservation has no older form; the allocator grants none to such a framework.
        rendered.resources.retain_mut(|resource| resources::format::downgrade(resource).is_ok());
    }
    Some(rendered)
}

/// Tells a framework which resource group an offer comes from; who does not look for it sees one more attribute.
fn group_attribute(group: &str) -> v1::Attribute {
    v1::Attribute {
        name: allocator::groups::GROUP_ATTRIBUTE.to_owned(),
        r#type: v1::value::Type::Text as i32,
        text: Some(v1::value::Text { value: group.to_owned() }),
        ..Default::default()
    }
}

pub(super) fn url(agent: &Agent) -> v1::Url {
    v1::Url {
        scheme: "http".to_owned(),
        address: v1::Address {
            hostname: Some(agent.info.hostname.clone()),
            ip: Some(agent.pid.host.as_ref().to_owned()),
            port: agent.pid.port.into(),
        },
        path: Some(format!("/{}", agent.pid.id)),
        ..Default::default()
    }
}
