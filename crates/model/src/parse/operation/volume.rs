//! CREATE, DESTROY, GROW_VOLUME and SHRINK_VOLUME by themselves. What of the agent's state decides is handed in.

use super::{Asker, sound};
use crate::{capabilities::AgentCapabilities, parse::resources as usable};
use ::resources::{Quantity, Resource, Resources};
use proto::v1::{offer::operation, resource::disk_info::source, volume::Mode};

/// `checkpointed` is what the agent keeps already: ids of volumes are unique within agent and role.
pub fn create(
    create: &operation::Create,
    checkpointed: &Resources,
    agent: AgentCapabilities,
    asker: Asker<'_>,
) -> Result<(), String> {
    let volumes = sound(&create.volumes)?;
    volumes.iter().try_for_each(persistent)?;
    // Rows of one shared volume have melted together; two of the call are still two.
    let each: Vec<Resource> = create.volumes.iter().filter_map(|volume| Resource::from_proto(volume).ok()).collect();
    usable::unique_persistence_ids(each.iter().chain(checkpointed))?;
    volumes.iter().try_for_each(|volume| creatable(volume, agent, asker))
}

fn creatable(volume: &Resource, agent: AgentCapabilities, asker: Asker<'_>) -> Result<(), String> {
    usable::light(volume)?;
    if let Some((id, capabilities)) = asker.framework
        && volume.is_shared()
        && !capabilities.shared_resources
    {
        return Err(format!(
            "Create volume operation has been attempted by framework '{}' with no SHARED_RESOURCES capability",
            id.value
        ));
    }
    if let Some(role) = volume.reservation_role().filter(|role| role.contains('/'))
        && !agent.hierarchical_role
    {
        return Err(format!(
            "Volume {volume} with reservation for hierarchical role '{role}' cannot be created on an agent without \
             HIERARCHICAL_ROLE capability"
        ));
    }
    let Some(principal) = asker.principal else { return Ok(()) };
    let theirs = volume.disk().and_then(|disk| disk.persistence.as_ref()).and_then(|p| p.principal.as_deref());
    match theirs {
        None => Err(format!(
            "Create volume operation attempted by principal '{principal}', but there is a volume in the operation with \
             no principal set in 'disk.persistence'"
        )),
        Some(other) if other != principal => Err(format!(
            "Create volume operation attempted by authenticated principal '{principal}', which does not match a volume \
             in the operation with principal '{other}' set in 'disk.persistence'"
        )),
        Some(_) => Ok(()),
    }
}

fn persistent(volume: &Resource) -> Result<(), String> {
    is_volume(volume).map_err(|why| format!("Not a persistent volume: {why}"))
}

fn is_volume(volume: &Resource) -> Result<(), String> {
    let Some(disk) = volume.disk() else { return Err(format!("Resource {volume} does not have DiskInfo")) };
    if disk.persistence.is_none() {
        return Err("'persistence' is not set in DiskInfo".into());
    }
    match &disk.volume {
        None => Err("Expecting 'volume' to be set for persistent volume".into()),
        Some(mount) if mount.mode() == Mode::Ro => Err("Read-only persistent volume not supported".into()),
        Some(_) => Ok(()),
    }
}

/// `used` is what tasks and executors hold on the agent.
pub fn destroy<'a>(
    destroy: &operation::Destroy,
    checkpointed: &Resources,
    used: impl IntoIterator<Item = &'a Resources>,
) -> Result<(), String> {
    let volumes = sound(&destroy.volumes)?.unallocate();
    volumes.iter().try_for_each(persistent)?;
    if !checkpointed.contains(&volumes) {
        return Err("Persistent volumes not found".into());
    }
    for held in used {
        let held = held.unallocate();
        if volumes.iter().any(|volume| held.contains_one(volume)) {
            return Err("Persistent volumes in use".into());
        }
    }
    Ok(())
}

pub fn grow(grow: &operation::GrowVolume, agent: AgentCapabilities) -> Result<(), String> {
    let volume = one(&grow.volume, "GrowVolume.volume")?;
    let addition = one(&grow.addition, "GrowVolume.addition")?;
    is_volume(&volume).map_err(|why| format!("Invalid persistent volume in the 'GrowVolume.volume' field: {why}"))?;
    if !addition.scalar().is_some_and(Quantity::is_positive) {
        return Err("The size of 'GrowVolume.addition' field must be greater than zero".into());
    }
    let disk = volume.to_disk_without_volume();
    if disk.is_exclusive() || !disk.is_same_kind(&addition) {
        return Err("Incompatible resources in the 'GrowVolume.volume' and 'GrowVolume.addition' fields".into());
    }
    resizable(&volume, agent, "Growing", "grown")
}

pub fn shrink(shrink: &operation::ShrinkVolume, agent: AgentCapabilities) -> Result<(), String> {
    let volume = one(&shrink.volume, "ShrinkVolume.volume")?;
    is_volume(&volume).map_err(|why| format!("Invalid persistent volume in the 'ShrinkVolume.volume' field: {why}"))?;
    let less = Quantity::from_f64(shrink.subtract.value);
    if !less.is_positive() {
        return Err("Value of 'ShrinkVolume.subtract' must be greater than zero".into());
    }
    if less >= volume.scalar().unwrap_or_default() {
        return Err("Value of 'ShrinkVolume.subtract' must be smaller than the size of 'ShrinkVolume.volume'".into());
    }
    if volume.is_disk_of(source::Type::Mount) {
        return Err("Shrinking a volume on a MOUNT disk is not supported".into());
    }
    resizable(&volume, agent, "Shrinking", "shrunk")
}

fn one(resource: &proto::v1::Resource, field: &str) -> Result<Resource, String> {
    let wrong = |why: String| format!("Invalid resource in the '{field}' field: {why}");
    let read = Resource::from_proto(resource).map_err(|why| wrong(why.to_string()))?;
    usable::sound(&Resources::from(read.clone())).map_err(wrong)?;
    Ok(read)
}

fn resizable(volume: &Resource, agent: AgentCapabilities, doing: &str, done: &str) -> Result<(), String> {
    if volume.is_shared() {
        return Err(format!("{doing} a shared persistent volume is not supported"));
    }
    if volume.provider_id().is_some() {
        return Err(format!("{doing} a volume from a resource provider is not supported"));
    }
    if !agent.resize_volume {
        return Err(format!("Volume {volume} cannot be {done} on an agent without RESIZE_VOLUME capability"));
    }
    Ok(())
}
