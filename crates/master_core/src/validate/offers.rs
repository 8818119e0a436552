//! Whether the offers of an ACCEPT can be taken together.

use std::collections::BTreeSet;

use model::FrameworkId;
use proto::v1::OfferId;

use crate::{State, state::Offer};

/// Each is outstanding and the framework's, none is named twice, and all are of one role and one agent.
pub(crate) fn check(state: &State, framework: &FrameworkId, ids: &[OfferId]) -> Result<(), String> {
    if ids.is_empty() {
        return Err("No offers specified".to_owned());
    }
    let mut seen = BTreeSet::new();
    let mut offers: Vec<&Offer> = Vec::with_capacity(ids.len());
    for id in ids {
        let offer = state.offers.get(id.value.as_str());
        offers.push(offer.ok_or_else(|| format!("Offer {} is no longer valid", id.value))?);
    }
    if let Some(id) = ids.iter().find(|id| !seen.insert(id.value.as_str())) {
        return Err(format!("Duplicate offer {} in offer list", id.value));
    }
    if let Some(offer) = offers.iter().find(|offer| offer.framework != *framework) {
        return Err(format!(
            "Offer {} has invalid framework {} while framework {framework} is expected",
            offer.id, offer.framework
        ));
    }
    let Some((first, rest)) = offers.split_first() else { return Ok(()) };
    if let Some(offer) = rest.iter().find(|offer| offer.role != first.role) {
        return Err(format!(
            "Aggregated offers must be allocated to the same role. Offer {} uses role '{} but another is using role \
             '{}",
            offer.id, offer.role, first.role
        ));
    }
    if let Some(offer) = rest.iter().find(|offer| offer.agent != first.agent) {
        return Err(format!(
            "Aggregated offers must belong to one single agent. Offer {} uses agent {} and agent {}",
            offer.id, offer.agent, first.agent
        ));
    }
    let agent = state.agents.get(&first.agent);
    match agent {
        Some(agent) if agent.connected => Ok(()),
        _ => Err(format!("Offer {} outlived its agent {}", first.id, first.agent)),
    }
}
