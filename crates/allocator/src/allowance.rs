//! How much of an agent a role may have: what its guarantees promise, what its limits leave, and what guarantees of
//! others need.
//!
//! Along the way from the role up to the top, each role with a quota says how much its subtree is still promised and
//! how much room its limit leaves, both without what the other roles below it need. The largest promise and the
//! smallest room hold. Beyond the promise, only what nobody's guarantee needs is given.

use resources::{Quantity, Resource, Resources};

use crate::{
    allocator::Allocator,
    directory::Idx,
    scalars::{Amounts, is_chargeable},
    tree::Role,
};

/// What may be given of unreserved scalars, by position; and why it is less than there is.
#[derive(Debug)]
pub(crate) struct Allowance {
    pub amounts: Amounts,
    /// The part that guarantees promise.
    pub promised: Amounts,
    /// The role whose limit leaves no room for more.
    pub limited_by: Option<Idx<Role>>,
    /// Whether more would take what guarantees need.
    pub held_back: bool,
}

impl Allowance {
    pub fn is_all(&self) -> bool {
        self.limited_by.is_none() && !self.held_back
    }
}

impl Allocator {
    /// How much of `free` the frameworks of a role may have.
    pub(crate) fn allowance(&self, r: Idx<Role>, free: &Amounts) -> Allowance {
        let mut allowance =
            Allowance { amounts: Amounts::default(), promised: Amounts::default(), limited_by: None, held_back: false };
        for position in 0..free.len() {
            let there = free.get(position);
            if there <= 0 {
                continue;
            }
            let (promised, room, limiting) = self.promise_and_room(r, position);
            let promised = promised.min(room);
            let beyond = promised.saturating_add(self.room.surplus(position).max(0));
            let most = room.min(beyond);
            if most < there {
                if room <= beyond {
                    allowance.limited_by = limiting;
                }
                allowance.held_back |= beyond <= room;
            }
            allowance.promised.add_at(position, promised);
            allowance.amounts.add_at(position, there.min(most));
        }
        allowance
    }

    /// What is promised to a role, what room it has, and whose limit says so.
    fn promise_and_room(&self, r: Idx<Role>, position: usize) -> (i64, i64, Option<Idx<Role>>) {
        let (mut promised, mut room, mut limiting) = (0, i64::MAX, None);
        let (mut next, mut need_on_the_way) = (Some(r), 0);
        while let Some((r, role)) = next.and_then(|r| Some((r, self.roles.get(r)?))) {
            let consumption = &role.consumption;
            if let Some(quota) = &role.quota {
                let others = match self.config.nested_quota {
                    true => consumption.children_need.get(position).saturating_sub(need_on_the_way),
                    false => 0,
                };
                let consumed = consumption.amounts.get(position);
                let unmet = quota.guarantees.get(position).saturating_sub(consumed);
                promised = promised.max(unmet.saturating_sub(others));
                if let Some(limit) = quota.limit(position) {
                    let left = limit.saturating_sub(consumed).saturating_sub(others).max(0);
                    if left < room {
                        (room, limiting) = (left, Some(r));
                    }
                }
            }
            if !self.config.nested_quota {
                break;
            }
            need_on_the_way = consumption.need.get(position);
            next = role.parent;
        }
        (promised, room, limiting)
    }

    /// Cuts unreserved scalars down to what is allowed; the rest stays as it is. What can be divided is taken first,
    /// then what cannot, the smallest first, so that a smaller allowance never gives something that a larger one would
    /// not.
    pub(crate) fn cut_to(&self, resources: &Resources, allowed: &Amounts) -> Resources {
        let mut left = allowed.clone();
        let mut kept: Vec<Resource> = Vec::new();
        let mut whole: Vec<Resource> = Vec::new();
        for resource in resources {
            match resource.scalar() {
                Some(_) if is_chargeable(resource) && resource.is_exclusive() => whole.push(resource.clone()),
                Some(amount) if is_chargeable(resource) => {
                    let Some(position) = self.scalars.find(resource.name()) else { continue };
                    let taken = amount.0.min(left.get(position));
                    if taken > 0 {
                        left.add_at(position, -taken);
                        kept.push(resource.with_scalar(Quantity(taken)));
                    }
                }
                _ => kept.push(resource.clone()),
            }
        }
        whole.sort_by_key(|resource| resource.scalar());
        for resource in whole {
            let Some(position) = self.scalars.find(resource.name()) else { continue };
            let amount = resource.scalar().map_or(0, |scalar| scalar.0);
            if amount <= left.get(position) {
                left.add_at(position, -amount);
                kept.push(resource);
            }
        }
        kept.into_iter().collect()
    }
}
