//! Whether a resource on the wire makes sense by itself. The texts are Mesos's: clients see them.

use crate::{quantity::Quantity, role};
use proto::v1::{
    self,
    resource::{ReservationInfo, disk_info::source, reservation_info},
    value,
};

/// Checks one resource in any of the formats.
pub fn check(resource: &v1::Resource) -> Result<(), String> {
    if resource.name.is_empty() {
        return Err("Empty resource name".into());
    }
    check_value(resource)?;
    check_disk(resource)?;
    match resource.reservations.as_slice() {
        [] => check_unrefined(resource)?,
        reservations => check_stack(resource, reservations)?,
    }
    if resource.shared.is_some() {
        if resource.name != "disk" {
            return Err(format!("Resource {} cannot be shared", resource.name));
        }
        if resource.disk.as_ref().is_none_or(|disk| disk.persistence.is_none()) {
            return Err("Only persistent volumes can be shared".into());
        }
    }
    Ok(())
}

fn check_value(resource: &v1::Resource) -> Result<(), String> {
    let Ok(kind) = value::Type::try_from(resource.r#type) else {
        return Err("Invalid resource type".into());
    };
    match (kind, &resource.scalar, &resource.ranges, &resource.set) {
        (value::Type::Scalar, Some(scalar), None, None) => {
            // A number too small for three decimals is as wrong as a negative one; zero itself is fine.
            if scalar.value != 0.0 && !Quantity::from_f64(scalar.value).is_positive() {
                return Err("Invalid scalar resource: value <= 0".into());
            }
            Ok(())
        }
        (value::Type::Ranges, None, Some(ranges), None) => {
            if ranges.range.iter().any(|range| range.begin > range.end) {
                return Err("Invalid ranges resource: begin > end".into());
            }
            let mut sorted: Vec<_> = ranges.range.iter().map(|range| (range.begin, range.end)).collect();
            sorted.sort_unstable();
            if sorted.windows(2).any(|pair| matches!(pair, [a, b] if b.0 <= a.1)) {
                return Err("Invalid ranges resource: overlapping ranges".into());
            }
            Ok(())
        }
        (value::Type::Set, None, None, Some(set)) => {
            let mut sorted: Vec<&str> = set.item.iter().map(String::as_str).collect();
            sorted.sort_unstable();
            if sorted.windows(2).any(|pair| matches!(pair, [a, b] if a == b)) {
                return Err("Invalid set resource: duplicated elements".into());
            }
            Ok(())
        }
        (value::Type::Scalar, ..) => Err("Invalid scalar resource".into()),
        (value::Type::Ranges, ..) => Err("Invalid ranges resource".into()),
        (value::Type::Set, ..) => Err("Invalid set resource".into()),
        (value::Type::Text, ..) => Err("Unsupported resource type".into()),
    }
}

fn check_disk(resource: &v1::Resource) -> Result<(), String> {
    let Some(disk) = &resource.disk else { return Ok(()) };
    if resource.name != "disk" {
        return Err(format!("DiskInfo should not be set for {} resource", resource.name));
    }
    let Some(origin) = &disk.source else { return Ok(()) };
    match source::Type::try_from(origin.r#type) {
        Ok(source::Type::Path | source::Type::Mount) => Ok(()),
        Ok(kind @ (source::Type::Block | source::Type::Raw)) => {
            if origin.mount.is_some() {
                return Err(format!("Mount should not be set for {} disk source", kind.as_str_name()));
            }
            if origin.path.is_some() {
                return Err(format!("Path should not be set for {} disk source", kind.as_str_name()));
            }
            Ok(())
        }
        Ok(source::Type::Unknown) | Err(_) => Err("Unsupported 'DiskInfo.Source.Type' in 'UNKNOWN'".into()),
    }
}

/// The format that knows one reservation, in `role` and `reservation`.
fn check_unrefined(resource: &v1::Resource) -> Result<(), String> {
    role::check(resource.role()).map_err(|error| error.to_string())?;
    let Some(reservation) = &resource.reservation else { return Ok(()) };
    if reservation.r#type.is_some() {
        return Err("'Resource.ReservationInfo.type' must not be set for the 'Resource.reservation' field".into());
    }
    if reservation.role.is_some() {
        return Err("'Resource.ReservationInfo.role' must not be set for the 'Resource.reservation' field".into());
    }
    if resource.role() == role::UNRESERVED {
        return Err("Invalid reservation: role \"*\" cannot be dynamically reserved".into());
    }
    Ok(())
}

/// The format with a stack of reservations; a single one may be said in both formats at once.
fn check_stack(resource: &v1::Resource, reservations: &[ReservationInfo]) -> Result<(), String> {
    for reservation in reservations {
        if reservation.r#type.is_none() {
            return Err("Invalid reservation: 'Resource.ReservationInfo.type' field must be set.".into());
        }
        let Some(role) = &reservation.role else {
            return Err("Invalid reservation: 'Resource.ReservationInfo.role' field must be set.".into());
        };
        role::check(role).map_err(|error| error.to_string())?;
        if role == role::UNRESERVED {
            return Err("Invalid reservation: role \"*\" cannot be reserved".into());
        }
    }
    for pair in reservations.windows(2) {
        let [ancestor, descendant] = pair else { continue };
        if descendant.r#type() == reservation_info::Type::Static {
            return Err("Invalid refined reservation: A refined reservation cannot be STATIC".into());
        }
        if !role::is_strict_subrole_of(descendant.role(), ancestor.role()) {
            return Err(format!(
                "Invalid refined reservation: role '{}' is not a refinement of '{}'",
                descendant.role(),
                ancestor.role()
            ));
        }
    }
    if reservations.iter().any(|reservation| reservation.r#type() == reservation_info::Type::Unknown) {
        return Err("Unsupported 'Resource.ReservationInfo.Type'".into());
    }
    match reservations {
        [single] => check_both_formats(resource, single),
        _ if resource.role.is_some() => {
            Err("Invalid resource format: 'Resource.role' must not be set if there is more \
                                             than one reservation in 'Resource.reservations'"
                .into())
        }
        _ if resource.reservation.is_some() => Err(
            "Invalid resource format: 'Resource.reservation' must not be set if there is more than one reservation \
                 in 'Resource.reservations'"
                .into(),
        ),
        _ => Ok(()),
    }
}

fn check_both_formats(resource: &v1::Resource, single: &ReservationInfo) -> Result<(), String> {
    if let Some(role) = &resource.role
        && role != single.role()
    {
        return Err(format!(
            "Invalid resource format: 'Resource.role' field with '{role}' does not match the role '{}' in \
             'Resource.reservations'",
            single.role()
        ));
    }
    if single.r#type() == reservation_info::Type::Static {
        if resource.reservation.is_some() {
            return Err(
                "Invalid resource format: 'Resource.reservation' must not be set if the single reservation in \
                        'Resource.reservations' is STATIC"
                    .into(),
            );
        }
        return Ok(());
    }
    if resource.role.is_some() != resource.reservation.is_some() {
        return Err("Invalid resource format: 'Resource.role' and 'Resource.reservation' must either be both set or \
                    both not set if the single reservation in 'Resource.reservations' is DYNAMIC"
            .into());
    }
    let Some(old) = &resource.reservation else { return Ok(()) };
    if old.principal() != single.principal() {
        return Err(format!(
            "Invalid resource format: 'Resource.reservation.principal' field with '{}' does not match the principal \
             '{}' in 'Resource.reservations'",
            old.principal(),
            single.principal()
        ));
    }
    let labels = |reservation: &ReservationInfo| reservation.labels.clone().unwrap_or_default().labels;
    let (mine, theirs) = (labels(old), labels(single));
    let equal = mine.len() == theirs.len() && {
        let key = |label: &v1::Label| (label.key.clone(), label.value.clone());
        let sorted = |labels: &[v1::Label]| {
            let mut all: Vec<_> = labels.iter().map(key).collect();
            all.sort_unstable();
            all
        };
        sorted(&mine) == sorted(&theirs)
    };
    if !equal {
        return Err(format!(
            "Invalid resource format: 'Resource.reservation.labels' field with '{}' does not match the labels '{}' in \
             'Resource.reservations'",
            crate::print::Labels(&mine),
            crate::print::Labels(&theirs)
        ));
    }
    Ok(())
}
