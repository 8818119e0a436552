//! What resources must satisfy wherever somebody uses them, beyond making sense one by one.

use super::ids;
use ::resources::{Quantity, Resource, Resources};
use proto::{v1, wire};
use std::collections::BTreeSet;

/// Reads resources and checks each by itself.
pub fn usable(resources: &[v1::Resource]) -> Result<Resources, String> {
    let resources = Resources::from_protos(resources).map_err(|why| format!("Invalid resources: {why}"))?;
    sound(&resources)?;
    Ok(resources)
}

/// The same for resources that have been read.
pub fn sound(resources: &Resources) -> Result<(), String> {
    whole_gpus(resources).map_err(|why| format!("Invalid 'gpus' resource: {why}"))?;
    disks(resources).map_err(|why| format!("Invalid DiskInfo: {why}"))?;
    for resource in resources {
        if resource.is_dynamically_reserved() && resource.is_revocable() {
            return Err(format!(
                "Invalid ReservationInfo: Dynamically reserved resource {resource} cannot be created from revocable \
                 resources"
            ));
        }
    }
    Ok(())
}

/// What a reservation or a volume may say about itself, in bytes: offers, documents and agents repeat it.
const DESCRIPTION_MAX: usize = 16 << 10;

/// Whether a resource says no more about its reservation and its disk than may be kept.
pub fn light(resource: &Resource) -> Result<(), String> {
    let reservations = resource.reservations().iter().map(|reservation| {
        let labels = reservation.labels.iter().flatten().map(wire::len).sum::<usize>();
        reservation.role.len() + reservation.principal.as_ref().map_or(0, |principal| principal.len()) + labels
    });
    let bytes = reservations.sum::<usize>() + resource.disk().map_or(0, wire::len);
    if bytes > DESCRIPTION_MAX {
        let name = resource.name();
        return Err(format!(
            "The reservation or volume of a '{name}' resource describes itself in {bytes} bytes; at most \
             {DESCRIPTION_MAX} are allowed"
        ));
    }
    Ok(())
}

pub fn whole_gpus(resources: &Resources) -> Result<(), &'static str> {
    if resources.gpus().unwrap_or(Quantity::ZERO).0 % 1000 == 0 {
        return Ok(());
    }
    Err("The 'gpus' resource must be an unsigned integer")
}

fn disks(resources: &Resources) -> Result<(), String> {
    for resource in resources {
        let Some(disk) = resource.disk() else { continue };
        let Some(persistence) = &disk.persistence else {
            if disk.volume.is_some() {
                return Err("Non-persistent volume not supported".into());
            }
            if disk.source.is_none() {
                return Err("DiskInfo is set but empty".into());
            }
            continue;
        };
        if resource.is_revocable() {
            return Err("Persistent volumes cannot be created from revocable resources".into());
        }
        if resource.is_unreserved() {
            return Err("Persistent volumes cannot be created from unreserved resources".into());
        }
        let Some(volume) = &disk.volume else {
            return Err("Expecting 'volume' to be set for persistent volume".into());
        };
        if volume.host_path.is_some() {
            return Err("Expecting 'host_path' to be unset for persistent volume".into());
        }
        ids::id(&persistence.id).map_err(|why| format!("Invalid persistence ID for persistent volume: {why}"))?;
    }
    Ok(())
}

/// Persistence ids are unique within a role.
pub fn unique_persistence_ids<'a>(resources: impl IntoIterator<Item = &'a Resource>) -> Result<(), String> {
    let mut seen = BTreeSet::new();
    for resource in resources {
        if let Some(id) = resource.persistence_id()
            && !seen.insert((resource.reservation_role(), id))
        {
            return Err(format!("Persistence ID '{id}' is not unique"));
        }
    }
    Ok(())
}

/// Whoever uses resources uses one role's.
pub fn one_role(resources: &Resources) -> Result<(), String> {
    let mut first: Option<&str> = None;
    for resource in resources {
        let Some(role) = resource.allocation_role() else {
            return Err("The resources are not allocated to a role".into());
        };
        let first = *first.get_or_insert(role);
        if role != first {
            return Err(format!(
                "The resources have multiple allocation roles ('{role}' and '{first}') but only one allocation role is \
                 allowed"
            ));
        }
    }
    Ok(())
}

/// Of one name, all or none are revocable.
pub fn not_half_revocable(resources: &Resources) -> Result<(), String> {
    for name in resources.names() {
        let mut kinds = resources.iter().filter(|row| row.name() == name).map(|row| row.is_revocable());
        let first = kinds.next();
        if kinds.any(|kind| Some(kind) != first) {
            return Err(format!("Cannot use both revocable and non-revocable '{name}' at the same time"));
        }
    }
    Ok(())
}

/// Whether two of them claim the same port, or the same member of a set. Shared volumes may be claimed twice.
pub fn overlap<'a>(parts: impl IntoIterator<Item = &'a Resources>) -> bool {
    let mut amounts = ::resources::Quantities::default();
    let mut total = Resources::default();
    for part in parts {
        let part = part.non_shared();
        amounts += &part.quantities();
        total += part;
    }
    amounts != total.quantities()
}

/// Puts in the allocation where a framework left it out; those that know one role only always do.
pub fn inject_allocation(resources: &mut [v1::Resource], role: &str) {
    for resource in resources {
        resource.allocation_info.get_or_insert_with(|| v1::resource::AllocationInfo { role: Some(role.to_owned()) });
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        AgentCapabilities,
        parse::operation::{Asker, reservation, volume},
    };
    use ::resources::Resources;
    use proto::v1::{self, offer::operation, resource::DiskInfo};

    fn reserved(labels: usize, disk: Option<DiskInfo>) -> Vec<v1::Resource> {
        let label = v1::Label { key: "k".into(), value: Some("x".repeat(labels)) };
        let reservation = v1::resource::ReservationInfo {
            role: Some("r".into()),
            r#type: Some(v1::resource::reservation_info::Type::Dynamic.into()),
            labels: Some(v1::Labels { labels: vec![label] }),
            ..Default::default()
        };
        vec![v1::Resource {
            name: "disk".into(),
            r#type: v1::value::Type::Scalar.into(),
            scalar: Some(v1::value::Scalar { value: 10.0 }),
            reservations: vec![reservation],
            disk: disk.map(Box::new),
            ..Default::default()
        }]
    }

    /// Whatever stays with an agent after the call is of a bounded size.
    #[test]
    fn reservations_and_volumes_describe_themselves_briefly() {
        let reserve = |labels| {
            let call = operation::Reserve { resources: reserved(labels, None), source: Vec::new() };
            reservation::reserve(&call, AgentCapabilities::ALL, Asker::default())
        };
        assert_eq!(reserve(16_000), Ok(()));
        let why = reserve(20_000).expect_err("too much");
        assert!(why.contains("'disk' resource describes itself in 20") && why.contains("at most 16384"), "{why}");

        let create = |labels: usize, path: usize| {
            let disk = DiskInfo {
                persistence: Some(v1::resource::disk_info::Persistence { id: "p".into(), principal: None }),
                volume: Some(v1::Volume {
                    container_path: "x".repeat(path),
                    mode: v1::volume::Mode::Rw.into(),
                    ..Default::default()
                }),
                ..Default::default()
            };
            let call = operation::Create { volumes: reserved(labels, Some(disk)) };
            volume::create(&call, &Resources::default(), AgentCapabilities::ALL, Asker::default())
        };
        assert_eq!(create(1000, 1000), Ok(()));
        assert!(create(10_000, 10_000).expect_err("too much").contains("at most 16384"));
    }
}
