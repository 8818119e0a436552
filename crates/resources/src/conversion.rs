//! What the operations of an offer do to resources, as values: take this away, put that in its place. Whether an
//! operation is allowed is not judged here, only whether there is what it consumes.

use crate::{error::ResourceError, quantity::Quantity, resource::Resource, resources::Resources};
use proto::v1::{
    offer,
    offer::operation::{self, Type},
};

/// One exchange. `launch`es convert nothing: what a task uses is subtracted, not converted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conversion {
    pub consumed: Resources,
    pub converted: Resources,
    /// What must be gone altogether afterwards: a destroyed volume of which no shared copy may remain.
    pub gone: Option<Resource>,
}

impl Conversion {
    fn new(consumed: impl Into<Resources>, converted: impl Into<Resources>) -> Conversion {
        Conversion { consumed: consumed.into(), converted: converted.into(), gone: None }
    }

    /// The same exchange of resources that nobody holds.
    pub fn unallocate(&self) -> Conversion {
        Conversion {
            consumed: self.consumed.unallocate(),
            converted: self.converted.unallocate(),
            gone: self.gone.as_ref().map(|gone| gone.with_allocation(None)),
        }
    }

    pub fn apply(&self, total: &Resources) -> Result<Resources, ResourceError> {
        let Some(rest) = total.subtract(&self.consumed) else {
            return Err(ResourceError::Missing { total: total.to_string(), wanted: self.consumed.to_string() });
        };
        let result = rest + &self.converted;
        match &self.gone {
            Some(volume) if result.contains_one(volume) => Err(ResourceError::SharedCopies(volume.to_string())),
            _ => Ok(result),
        }
    }
}

/// Applies one after the other; all or nothing.
pub fn apply_all(total: &Resources, conversions: &[Conversion]) -> Result<Resources, ResourceError> {
    conversions.iter().try_fold(total.clone(), |total, conversion| conversion.apply(&total))
}

/// Applies an operation that converts resources.
pub fn apply(total: &Resources, operation: &offer::Operation) -> Result<Resources, ResourceError> {
    apply_all(total, &of_operation(operation)?)
}

/// What an operation converts. Launches are refused here, and the operations on disks of resource providers, whose
/// outcome nobody knows beforehand.
pub fn of_operation(operation: &offer::Operation) -> Result<Vec<Conversion>, ResourceError> {
    let missing =
        || ResourceError::Malformed(format!("{} operation without its content", operation.r#type().as_str_name()));
    match operation.r#type() {
        Type::Unknown => Err(ResourceError::Malformed("Unknown operation".into())),
        Type::Launch | Type::LaunchGroup | Type::CreateDisk | Type::DestroyDisk => {
            Err(ResourceError::Malformed("Operation not supported".into()))
        }
        Type::Reserve => of_reserve(operation.reserve.as_ref().ok_or_else(missing)?),
        Type::Unreserve => of_unreserve(operation.unreserve.as_ref().ok_or_else(missing)?),
        Type::Create => of_create(operation.create.as_ref().ok_or_else(missing)?),
        Type::Destroy => of_destroy(operation.destroy.as_ref().ok_or_else(missing)?),
        Type::GrowVolume => of_grow(operation.grow_volume.as_ref().ok_or_else(missing)?),
        Type::ShrinkVolume => of_shrink(operation.shrink_volume.as_ref().ok_or_else(missing)?),
    }
}

/// Without a source, one level of reservation is put on; with one, the source is exchanged for the result.
fn of_reserve(reserve: &operation::Reserve) -> Result<Vec<Conversion>, ResourceError> {
    let reserved = Resources::from_protos(&reserve.resources)?;
    let source = match reserve.source.as_slice() {
        [] => reserved.pop_reservation()?,
        source => Resources::from_protos(source)?,
    };
    Ok(vec![Conversion::new(source, reserved)])
}

fn of_unreserve(unreserve: &operation::Unreserve) -> Result<Vec<Conversion>, ResourceError> {
    let each = |resource| {
        let reserved = Resources::from(Resource::from_proto(resource)?);
        let freed = reserved.pop_reservation()?;
        Ok(Conversion::new(reserved, freed))
    };
    unreserve.resources.iter().map(each).collect()
}

fn of_create(create: &operation::Create) -> Result<Vec<Conversion>, ResourceError> {
    let each = |volume| {
        let volume = Resource::from_proto(volume)?;
        Ok(Conversion::new(volume.to_disk_without_volume(), volume))
    };
    create.volumes.iter().map(each).collect()
}

fn of_destroy(destroy: &operation::Destroy) -> Result<Vec<Conversion>, ResourceError> {
    let each = |volume| {
        let volume = Resource::from_proto(volume)?;
        let mut conversion = Conversion::new(volume.clone(), volume.to_disk_without_volume());
        conversion.gone = Some(volume);
        Ok(conversion)
    };
    destroy.volumes.iter().map(each).collect()
}

const FROM_PROVIDER: &str = "Operation not supported for resource provider";

fn of_grow(grow: &operation::GrowVolume) -> Result<Vec<Conversion>, ResourceError> {
    let volume = Resource::from_proto(&grow.volume)?;
    let addition = Resource::from_proto(&grow.addition)?;
    if volume.provider_id().is_some() {
        return Err(ResourceError::Malformed(FROM_PROVIDER.into()));
    }
    let (size, more) = (volume.scalar().unwrap_or_default(), addition.scalar().unwrap_or_default());
    let grown = volume.with_scalar(size + more);
    Ok(vec![Conversion::new(Resources::from(volume) + Resources::from(addition), grown)])
}

fn of_shrink(shrink: &operation::ShrinkVolume) -> Result<Vec<Conversion>, ResourceError> {
    let volume = Resource::from_proto(&shrink.volume)?;
    if volume.provider_id().is_some() {
        return Err(ResourceError::Malformed(FROM_PROVIDER.into()));
    }
    let less = Quantity::from_f64(shrink.subtract.value);
    let size = volume.scalar().unwrap_or_default();
    if !less.is_positive() || less >= size {
        return Err(ResourceError::Malformed(format!("Cannot shrink persistent volume {volume} by {less}")));
    }
    let freed = volume.to_disk_without_volume().with_scalar(less);
    let shrunk = volume.with_scalar(size - less);
    Ok(vec![Conversion::new(volume, Resources::from(shrunk) + Resources::from(freed))])
}

/// Puts what an agent has checkpointed (dynamic reservations and persistent volumes) in the place of the plain
/// resources that it is made from.
pub fn apply_checkpointed(total: &Resources, checkpointed: &Resources) -> Result<Resources, ResourceError> {
    let mut result = total.clone();
    for resource in checkpointed {
        if !resource.needs_checkpointing() {
            return Err(ResourceError::Malformed(format!("Unexpected checkpointed resources {resource}")));
        }
        let mut plain =
            if resource.is_persistent_volume() { resource.to_disk_without_volume() } else { resource.clone() };
        if plain.is_dynamically_reserved() {
            // An agent starts with unreserved and statically reserved resources only.
            plain.detail_mut().reservations.retain(|reservation| !reservation.dynamic);
            plain.tidy();
        }
        let plain = Resources::from(plain);
        let Some(rest) = result.subtract(&plain) else {
            return Err(ResourceError::Malformed(format!(
                "Incompatible agent resources: {result} does not contain {plain}"
            )));
        };
        result = rest + Resources::from(resource.clone());
    }
    Ok(result)
}
