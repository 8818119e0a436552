//! What can be picked from resources, and what they become when they are allocated, reserved or stripped.

use crate::{
    error::ResourceError,
    quantities::Quantities,
    resource::{Reservation, Resource},
    resources::Resources,
    role,
};
use std::{collections::BTreeMap, sync::Arc};

impl Resources {
    /// The rows that `keep` wants; when it wants all, no new list is made.
    pub fn filter(&self, mut keep: impl FnMut(&Resource) -> bool) -> Resources {
        let mut kept = Vec::new();
        for row in self.iter() {
            if keep(row) {
                kept.push(row.clone());
            }
        }
        if kept.len() == self.len() { self.clone() } else { Resources::from_sorted(kept) }
    }

    /// Each row as `cut` leaves it: as it is, with less of it, or not at all.
    pub fn cut(&self, cut: impl FnMut(&Resource) -> Option<Resource>) -> Resources {
        Resources::from_sorted(self.iter().filter_map(cut).collect())
    }

    /// All resources called `name`.
    pub fn get(&self, name: &str) -> Resources {
        self.filter(|row| *row.name() == name)
    }

    pub fn scalars(&self) -> Resources {
        self.filter(|row| row.scalar().is_some())
    }

    pub fn unreserved(&self) -> Resources {
        self.filter(Resource::is_unreserved)
    }

    /// What is reserved to any role.
    pub fn reserved(&self) -> Resources {
        self.filter(|row| !row.is_unreserved())
    }

    /// What is reserved to exactly this role.
    pub fn reserved_to(&self, role: &str) -> Resources {
        self.filter(|row| row.is_reserved_to(role))
    }

    /// What is reserved to this role or one below it.
    pub fn reserved_in_subtree(&self, role: &str) -> Resources {
        self.filter(|row| row.is_reserved_in_subtree(role))
    }

    /// What may be offered to this role: the unreserved, its own and its ancestors'.
    pub fn allocatable_to(&self, role: &str) -> Resources {
        self.filter(|row| row.is_allocatable_to(role))
    }

    pub fn allocated_in_subtree(&self, role: &str) -> Resources {
        self.filter(|row| row.is_allocated_in_subtree(role))
    }

    pub fn revocable(&self) -> Resources {
        self.filter(Resource::is_revocable)
    }

    pub fn non_revocable(&self) -> Resources {
        self.filter(|row| !row.is_revocable())
    }

    pub fn shared(&self) -> Resources {
        self.filter(Resource::is_shared)
    }

    pub fn non_shared(&self) -> Resources {
        self.filter(|row| !row.is_shared())
    }

    pub fn persistent_volumes(&self) -> Resources {
        self.filter(Resource::is_persistent_volume)
    }

    /// What no resource provider supplies.
    pub fn without_provider(&self) -> Resources {
        self.filter(|row| row.provider_id().is_none())
    }

    /// What an agent must remember over a restart.
    pub fn checkpointed(&self) -> Resources {
        self.filter(Resource::needs_checkpointing)
    }

    pub fn has_refined_reservations(&self) -> bool {
        self.iter().any(Resource::has_refined_reservations)
    }

    /// By the role of the innermost reservation.
    pub fn reservations(&self) -> BTreeMap<String, Resources> {
        self.group_by(|row| row.reservation_role())
    }

    /// By the role they are allocated to; unallocated ones are left out.
    pub fn allocations(&self) -> BTreeMap<String, Resources> {
        self.group_by(|row| row.allocation_role())
    }

    fn group_by(&self, key: impl Fn(&Resource) -> Option<&str>) -> BTreeMap<String, Resources> {
        let Some(first) = self.iter().next().map(&key) else { return BTreeMap::new() };
        if let Some(only) = first.filter(|first| self.iter().all(|row| key(row) == Some(first))) {
            return BTreeMap::from([(only.to_owned(), self.clone())]);
        }
        let mut groups: BTreeMap<&str, Vec<Resource>> = BTreeMap::new();
        for row in self.iter() {
            if let Some(key) = key(row) {
                groups.entry(key).or_default().push(row.clone());
            }
        }
        groups.into_iter().map(|(key, rows)| (key.to_owned(), Resources::from_sorted(rows))).collect()
    }

    /// The same, allocated to `role`.
    pub fn allocate(&self, role: &str) -> Resources {
        if self.iter().all(|row| row.allocation_role() == Some(role)) {
            return self.clone();
        }
        let role: Arc<str> = role.into();
        self.map_rows(|row| row.with_allocation(Some(role.clone())))
    }

    /// The same, allocated to nobody.
    pub fn unallocate(&self) -> Resources {
        if self.iter().all(|row| row.allocation_role().is_none()) {
            return self.clone();
        }
        self.map_rows(|row| row.with_allocation(None))
    }

    /// What no role holds.
    pub fn unallocated(&self) -> Resources {
        self.filter(|row| row.allocation_role().is_none())
    }

    /// The same, reserved to nobody.
    pub fn to_unreserved(&self) -> Resources {
        if self.iter().all(Resource::is_unreserved) {
            return self.clone();
        }
        self.map_rows(Resource::to_unreserved)
    }

    /// Reserves all of it one level further in.
    pub fn push_reservation(&self, reservation: &Reservation) -> Result<Resources, ResourceError> {
        role::check(&reservation.role).map_err(|error| ResourceError::Malformed(error.to_string()))?;
        if &*reservation.role == role::UNRESERVED {
            return Err(ResourceError::Malformed("Invalid reservation: role \"*\" cannot be reserved".into()));
        }
        for row in self.iter() {
            if let Some(ancestor) = row.reservation_role() {
                check_refinement(reservation, ancestor).map_err(ResourceError::Malformed)?;
            }
        }
        Ok(self.map_rows(|row| {
            let mut row = row.clone();
            row.detail_mut().reservations.push(reservation.clone());
            row
        }))
    }

    /// Takes the innermost reservation from all of it; an error when some of it is unreserved.
    pub fn pop_reservation(&self) -> Result<Resources, ResourceError> {
        if let Some(row) = self.iter().find(|row| row.is_unreserved()) {
            return Err(ResourceError::Malformed(format!("Cannot pop a reservation from unreserved resource '{row}'")));
        }
        Ok(self.map_rows(|row| {
            let mut row = row.clone();
            row.detail_mut().reservations.pop();
            row.tidy();
            row
        }))
    }

    /// Takes at most `target` of the scalars; what cannot be divided and does not fit is left out, and so is any other
    /// kind.
    pub fn shrink_to(&self, target: &Quantities) -> Resources {
        let mut left = target.clone();
        let mut taken = Vec::new();
        for row in self.iter() {
            let allowed = left.get(row.name());
            let mut row = row.clone();
            if allowed.is_positive() && row.shrink(allowed) {
                left.sub_one(row.name(), row.scalar().unwrap_or_default());
                taken.push(row);
            }
        }
        Resources::from_sorted(taken)
    }

    /// What a framework may see that lacks the capability for shared, revocable or refined resources.
    pub fn visible_with(&self, shared: bool, revocable: bool, refined: bool) -> Resources {
        self.filter(|row| {
            (shared || !row.is_shared())
                && (revocable || !row.is_revocable())
                && (refined || !row.has_refined_reservations())
        })
    }
}

/// Whether `reservation` may stand inside one of `ancestor`.
pub(crate) fn check_refinement(reservation: &Reservation, ancestor: &str) -> Result<(), String> {
    if !reservation.dynamic {
        return Err("Invalid refined reservation: A refined reservation cannot be STATIC".into());
    }
    if !role::is_strict_subrole_of(&reservation.role, ancestor) {
        return Err(format!(
            "Invalid refined reservation: role '{}' is not a refinement of '{ancestor}'",
            reservation.role
        ));
    }
    Ok(())
}
