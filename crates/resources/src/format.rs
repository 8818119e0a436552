//! Resources to and from the wire, in the three formats of Mesos: before reservation refinement (`role`,
//! `reservation`), after it (`reservations`), and that of the endpoints (both, where both can say it).

use crate::{
    error::ResourceError,
    print::Proto,
    quantity::Quantity,
    resource::{Detail, Reservation, Resource},
    resources::Resources,
    role, validate,
    value::{Ranges, Set, Value},
};
use proto::v1::{
    self,
    resource::{AllocationInfo, ReservationInfo, RevocableInfo, SharedInfo, reservation_info},
    value,
};
use std::sync::Arc;

impl Resources {
    /// Checks and reads resources of any format. Empty ones vanish.
    pub fn from_protos(resources: &[v1::Resource]) -> Result<Resources, ResourceError> {
        let mut all = Vec::with_capacity(resources.len());
        for resource in resources {
            all.push(Resource::from_proto(resource)?);
        }
        Ok(all.into_iter().collect())
    }

    /// Whether `from_protos` would take them, at less cost.
    pub fn check_protos(resources: &[v1::Resource]) -> Result<(), ResourceError> {
        resources.iter().try_for_each(check)
    }

    /// After reservation refinement. Copies of a shared resource appear once.
    pub fn to_protos(&self) -> Vec<v1::Resource> {
        self.iter().map(Resource::to_proto).collect()
    }

    /// Before reservation refinement; an error when some reservation is refined.
    pub fn to_protos_pre_refinement(&self) -> Result<Vec<v1::Resource>, ResourceError> {
        let mut all = self.to_protos();
        all.iter_mut().try_for_each(downgrade)?;
        Ok(all)
    }

    /// The format of the endpoints: the new one, and the old one beside it where it suffices.
    pub fn to_protos_endpoint(&self) -> Vec<v1::Resource> {
        let mut all = self.to_protos();
        all.iter_mut().for_each(inject_old_format);
        all
    }
}

impl Resource {
    pub fn from_proto(resource: &v1::Resource) -> Result<Resource, ResourceError> {
        check(resource)?;
        Ok(Resource::from_valid(resource))
    }

    /// Reads what `validate::check` has passed.
    fn from_valid(resource: &v1::Resource) -> Resource {
        let value = match resource.r#type() {
            value::Type::Ranges => {
                let ranges = resource.ranges.as_ref().map_or(&[][..], |ranges| &ranges.range);
                Value::Ranges(Ranges::new(ranges.iter().map(|range| (range.begin, range.end))))
            }
            value::Type::Set => {
                let items = resource.set.as_ref().map_or(&[][..], |set| &set.item);
                Value::Set(Set::new(items.iter().map(String::as_str)))
            }
            _ => Value::Scalar(Quantity::from_f64(resource.scalar.unwrap_or_default().value)),
        };
        let reservations = match resource.reservations.as_slice() {
            [] if resource.role() == role::UNRESERVED => Vec::new(),
            [] => vec![Reservation {
                role: resource.role().into(),
                dynamic: resource.reservation.is_some(),
                ..Reservation::from_proto(resource.reservation.as_deref().unwrap_or(&ReservationInfo::default()))
            }],
            stack => stack.iter().map(Reservation::from_proto).collect(),
        };
        let mut result = Resource::new(resource.name.as_str(), value);
        result.allocated_to = resource.allocation_info.as_ref().and_then(|info| info.role.as_deref()).map(Arc::from);
        let plain = reservations.is_empty()
            && resource.provider_id.is_none()
            && resource.disk.is_none()
            && resource.revocable.is_none()
            && resource.shared.is_none();
        if !plain {
            result.detail = Some(Arc::new(Detail {
                provider: resource.provider_id.as_ref().map(|id| id.value.as_str().into()),
                reservations,
                disk: resource.disk.clone(),
                revocable: resource.revocable.is_some(),
                shared: resource.shared.is_some(),
            }));
        }
        result
    }

    /// After reservation refinement.
    pub fn to_proto(&self) -> v1::Resource {
        let mut proto = v1::Resource {
            name: self.name().as_str().to_owned(),
            allocation_info: self.allocation_role().map(|role| AllocationInfo { role: Some(role.to_owned()) }),
            ..Default::default()
        };
        match self.value() {
            Value::Scalar(scalar) => {
                proto.set_type(value::Type::Scalar);
                proto.scalar = Some(value::Scalar { value: scalar.as_f64() });
            }
            Value::Ranges(ranges) => {
                proto.set_type(value::Type::Ranges);
                let range = ranges.iter().map(|range| value::Range { begin: range.begin, end: range.end }).collect();
                proto.ranges = Some(value::Ranges { range });
            }
            Value::Set(set) => {
                proto.set_type(value::Type::Set);
                proto.set = Some(value::Set { item: set.iter().map(str::to_owned).collect() });
            }
        }
        if let Some(detail) = &self.detail {
            proto.provider_id = detail.provider.as_ref().map(|id| v1::ResourceProviderId { value: (**id).to_owned() });
            proto.reservations = detail.reservations.iter().map(Reservation::to_proto).collect();
            proto.disk = detail.disk.clone();
            proto.revocable = detail.revocable.then(RevocableInfo::default);
            proto.shared = detail.shared.then(SharedInfo::default);
        }
        proto
    }
}

impl Reservation {
    fn from_proto(info: &ReservationInfo) -> Reservation {
        Reservation {
            role: info.role().into(),
            dynamic: info.r#type() == reservation_info::Type::Dynamic,
            principal: info.principal.as_deref().map(Arc::from),
            labels: info.labels.as_ref().map(|labels| labels.labels.clone()),
        }
    }

    pub fn to_proto(&self) -> ReservationInfo {
        let mut info = ReservationInfo {
            role: Some((*self.role).to_owned()),
            principal: self.principal.as_ref().map(|principal| (**principal).to_owned()),
            labels: self.labels.clone().map(|labels| v1::Labels { labels }),
            ..Default::default()
        };
        info.set_type(if self.dynamic { reservation_info::Type::Dynamic } else { reservation_info::Type::Static });
        info
    }
}

fn check(resource: &v1::Resource) -> Result<(), ResourceError> {
    validate::check(resource).map_err(|why| ResourceError::Invalid { resource: Proto(resource).to_string(), why })
}

/// Puts a valid resource of any format into the one after refinement, and touches nothing else.
pub fn upgrade(resource: &mut v1::Resource) {
    let reservation = resource.reservation.take();
    let Some(role) = resource.role.take() else { return };
    if resource.reservations.is_empty() && role != role::UNRESERVED {
        let kind = if reservation.is_some() { reservation_info::Type::Dynamic } else { reservation_info::Type::Static };
        let mut info = reservation.map(|info| *info).unwrap_or_default();
        info.set_type(kind);
        info.role = Some(role);
        resource.reservations.push(info);
    }
}

/// Puts a resource from after refinement into the format before it.
pub fn downgrade(resource: &mut v1::Resource) -> Result<(), ResourceError> {
    if resource.reservations.len() > 1 {
        return Err(ResourceError::Refined);
    }
    inject_old_format(resource);
    resource.reservations.clear();
    Ok(())
}

/// Says in `role` and `reservation`, too, what `reservations` says, where that is possible.
pub fn inject_old_format(resource: &mut v1::Resource) {
    match resource.reservations.as_slice() {
        [] => resource.role = Some(role::UNRESERVED.to_owned()),
        [single] => {
            if single.r#type() == reservation_info::Type::Dynamic {
                resource.reservation = Some(Box::new(ReservationInfo {
                    principal: single.principal.clone(),
                    labels: single.labels.clone(),
                    ..Default::default()
                }));
            }
            resource.role = Some(single.role().to_owned());
        }
        _ => {}
    }
}
