//! One resource: a name, a value, and what is special about it (who it is reserved and allocated to, which disk it is,
//! whether it is revocable or shared). Which two of them melt into one is decided here; collections are in `resources`.

use crate::{
    name::Name,
    quantity::Quantity,
    role,
    value::{Ranges, Set, Value, cmp_text},
};
use proto::v1::{
    self,
    resource::{DiskInfo, disk_info},
};
use std::{cmp::Ordering, sync::Arc};

/// A row of [`Resources`](crate::Resources). Cloning it touches reference counts only.
#[derive(Clone, Debug)]
pub struct Resource {
    pub(crate) name: Name,
    pub(crate) value: Value,
    pub(crate) allocated_to: Option<Arc<str>>,
    /// Nothing for the plain resources that most agents have most of.
    pub(crate) detail: Option<Arc<Detail>>,
    /// How many copies of a shared resource there are; 1 for any other.
    pub(crate) copies: u32,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Detail {
    pub(crate) provider: Option<Arc<str>>,
    /// The outermost reservation comes first; each further one refines the one before it.
    pub(crate) reservations: Vec<Reservation>,
    pub(crate) disk: Option<Box<DiskInfo>>,
    pub(crate) revocable: bool,
    pub(crate) shared: bool,
}

/// One level of a reservation.
#[derive(Clone, Debug)]
pub struct Reservation {
    pub role: Arc<str>,
    pub dynamic: bool,
    pub principal: Option<Arc<str>>,
    pub labels: Option<Vec<v1::Label>>,
}

impl Resource {
    pub fn new(name: impl Into<Name>, value: Value) -> Resource {
        Resource { name: name.into(), value, allocated_to: None, detail: None, copies: 1 }
    }

    pub fn scalar_of(name: impl Into<Name>, quantity: Quantity) -> Resource {
        Resource::new(name, Value::Scalar(quantity))
    }

    pub fn name(&self) -> &Name {
        &self.name
    }

    pub fn value(&self) -> &Value {
        &self.value
    }

    /// The scalar, if it is one.
    pub fn scalar(&self) -> Option<Quantity> {
        match &self.value {
            Value::Scalar(scalar) => Some(*scalar),
            _ => None,
        }
    }

    pub fn ranges(&self) -> Option<&Ranges> {
        match &self.value {
            Value::Ranges(ranges) => Some(ranges),
            _ => None,
        }
    }

    pub fn set(&self) -> Option<&Set> {
        match &self.value {
            Value::Set(set) => Some(set),
            _ => None,
        }
    }

    pub fn copies(&self) -> u32 {
        self.copies
    }

    pub fn is_empty(&self) -> bool {
        self.copies == 0 || self.value.is_empty()
    }

    pub fn allocation_role(&self) -> Option<&str> {
        self.allocated_to.as_deref()
    }

    pub fn reservations(&self) -> &[Reservation] {
        self.detail.as_ref().map_or(&[], |detail| &detail.reservations)
    }

    /// The role of the innermost reservation; nothing when unreserved.
    pub fn reservation_role(&self) -> Option<&str> {
        self.reservations().last().map(|reservation| &*reservation.role)
    }

    pub fn disk(&self) -> Option<&DiskInfo> {
        self.detail.as_ref()?.disk.as_deref()
    }

    pub fn provider_id(&self) -> Option<&str> {
        self.detail.as_ref()?.provider.as_deref()
    }

    pub fn persistence_id(&self) -> Option<&str> {
        Some(&self.disk()?.persistence.as_ref()?.id)
    }

    pub fn is_unreserved(&self) -> bool {
        self.reservations().is_empty()
    }

    pub fn is_reserved_to(&self, role: &str) -> bool {
        self.reservation_role() == Some(role)
    }

    pub fn is_dynamically_reserved(&self) -> bool {
        self.reservations().last().is_some_and(|reservation| reservation.dynamic)
    }

    pub fn has_refined_reservations(&self) -> bool {
        self.reservations().len() > 1
    }

    /// An ancestor's reservations serve its descendants too, not the other way round.
    pub fn is_allocatable_to(&self, role: &str) -> bool {
        self.reservation_role().is_none_or(|mine| mine == role || role::is_strict_subrole_of(role, mine))
    }

    pub fn is_reserved_in_subtree(&self, role: &str) -> bool {
        self.reservation_role().is_some_and(|mine| mine == role || role::is_strict_subrole_of(mine, role))
    }

    pub fn is_allocated_in_subtree(&self, role: &str) -> bool {
        self.allocation_role().is_some_and(|mine| mine == role || role::is_strict_subrole_of(mine, role))
    }

    pub fn is_revocable(&self) -> bool {
        self.detail.as_ref().is_some_and(|detail| detail.revocable)
    }

    pub fn is_shared(&self) -> bool {
        self.detail.as_ref().is_some_and(|detail| detail.shared)
    }

    pub fn is_persistent_volume(&self) -> bool {
        self.persistence_id().is_some()
    }

    pub fn is_disk_of(&self, kind: disk_info::source::Type) -> bool {
        self.source_type() == Some(kind)
    }

    fn source_type(&self) -> Option<disk_info::source::Type> {
        Some(self.disk()?.source.as_ref()?.r#type())
    }

    /// Whether it must be kept in the agent's checkpoints: dynamic reservations and persistent volumes.
    pub fn needs_checkpointing(&self) -> bool {
        self.is_dynamically_reserved() || self.is_persistent_volume()
    }

    /// Whether it can only be taken as a whole: MOUNT and BLOCK disks, RAW disks with an identity, persistent volumes.
    pub fn is_exclusive(&self) -> bool {
        use disk_info::source::Type;
        if self.is_persistent_volume() {
            return true;
        }
        match self.source_type() {
            Some(Type::Mount | Type::Block) => true,
            Some(Type::Raw) => {
                self.disk().and_then(|disk| disk.source.as_ref()).is_some_and(|source| source.id.is_some())
            }
            _ => false,
        }
    }

    /// Cuts a scalar down to `target`. False, and nothing changed, when it cannot be divided.
    pub fn shrink(&mut self, target: Quantity) -> bool {
        match self.scalar() {
            Some(now) if now <= target => true,
            Some(_) if !self.is_exclusive() && !self.is_shared() => {
                self.value = Value::Scalar(target);
                true
            }
            _ => false,
        }
    }

    /// Its details, to be changed; `tidy` afterwards.
    pub(crate) fn detail_mut(&mut self) -> &mut Detail {
        Arc::make_mut(self.detail.get_or_insert_default())
    }

    /// Drops details that say nothing, so that equal resources look equal.
    pub(crate) fn tidy(&mut self) {
        if self.detail.as_ref().is_some_and(|detail| detail.is_plain()) {
            self.detail = None;
        }
    }

    /// The same, reserved to nobody.
    pub fn to_unreserved(&self) -> Resource {
        let mut result = self.clone();
        if !result.is_unreserved() {
            result.detail_mut().reservations.clear();
            result.tidy();
        }
        result
    }

    /// The disk without its volume: what a persistent volume is made from, and what remains of it.
    pub fn to_disk_without_volume(&self) -> Resource {
        let mut result = self.clone();
        let detail = result.detail_mut();
        match &mut detail.disk {
            Some(disk) if disk.source.is_some() => {
                disk.persistence = None;
                disk.volume = None;
            }
            _ => detail.disk = None,
        }
        detail.shared = false;
        result.copies = 1;
        result.tidy();
        result
    }

    /// The same resource with another scalar.
    pub fn with_scalar(&self, quantity: Quantity) -> Resource {
        Resource { value: Value::Scalar(quantity), ..self.clone() }
    }

    pub fn with_allocation(&self, role: Option<Arc<str>>) -> Resource {
        Resource { allocated_to: role, ..self.clone() }
    }

    /// Where it stands among others. Two resources in one place melt into one, unless they are exclusive.
    pub(crate) fn cmp_place(&self, other: &Resource) -> Ordering {
        self.cmp_kind(other).then_with(|| {
            if self.is_shared() || self.is_exclusive() { self.value.cmp(&other.value) } else { Ordering::Equal }
        })
    }

    /// Compares all but the value and the number of copies.
    fn cmp_kind(&self, other: &Resource) -> Ordering {
        self.name
            .cmp(&other.name)
            .then_with(|| self.value.rank().cmp(&other.value.rank()))
            .then_with(|| cmp_text(&self.allocated_to, &other.allocated_to))
            .then_with(|| match (&self.detail, &other.detail) {
                (None, None) => Ordering::Equal,
                (Some(a), Some(b)) if Arc::ptr_eq(a, b) => Ordering::Equal,
                (Some(a), Some(b)) => a.cmp(b),
                (a, b) => a.is_some().cmp(&b.is_some()),
            })
    }

    /// Whether only the amounts may differ.
    pub fn is_same_kind(&self, other: &Resource) -> bool {
        self.cmp_kind(other) == Ordering::Equal
    }

    /// Whether `other` can be taken out of this one.
    pub fn contains(&self, other: &Resource) -> bool {
        if self.cmp_place(other) != Ordering::Equal {
            return false;
        }
        if self.is_shared() { self.copies >= other.copies } else { self.value.contains(&other.value) }
    }

    /// Adds a resource of the same place.
    pub(crate) fn merge(&mut self, other: &Resource) {
        if self.is_shared() {
            self.copies = self.copies.saturating_add(other.copies);
        } else {
            self.value.add(&other.value);
        }
    }

    /// Takes away what is there of a resource of the same place.
    pub(crate) fn reduce(&mut self, other: &Resource) {
        if self.is_shared() {
            self.copies = self.copies.saturating_sub(other.copies);
        } else {
            self.value.subtract(&other.value);
        }
    }
}

impl PartialEq for Resource {
    fn eq(&self, other: &Resource) -> bool {
        self.copies == other.copies && self.value == other.value && self.is_same_kind(other)
    }
}

impl Eq for Resource {}

impl Detail {
    fn is_plain(&self) -> bool {
        self.provider.is_none()
            && self.reservations.is_empty()
            && self.disk.is_none()
            && !self.revocable
            && !self.shared
    }

    fn cmp(&self, other: &Detail) -> Ordering {
        self.reservations
            .cmp(&other.reservations)
            .then_with(|| self.revocable.cmp(&other.revocable))
            .then_with(|| self.shared.cmp(&other.shared))
            .then_with(|| cmp_text(&self.provider, &other.provider))
            .then_with(|| cmp_disk(self.disk.as_deref(), other.disk.as_deref()))
    }
}

impl Reservation {
    pub fn new_static(role: impl Into<Arc<str>>) -> Reservation {
        Reservation { role: role.into(), dynamic: false, principal: None, labels: None }
    }

    pub fn new_dynamic(role: impl Into<Arc<str>>, principal: Option<Arc<str>>) -> Reservation {
        Reservation { role: role.into(), dynamic: true, principal, labels: None }
    }
}

impl Ord for Reservation {
    fn cmp(&self, other: &Reservation) -> Ordering {
        self.role
            .cmp(&other.role)
            .then_with(|| self.dynamic.cmp(&other.dynamic))
            .then_with(|| self.principal.cmp(&other.principal))
            .then_with(|| cmp_labels(self.labels.as_deref(), other.labels.as_deref()))
    }
}

impl PartialOrd for Reservation {
    fn partial_cmp(&self, other: &Reservation) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Reservation {
    fn eq(&self, other: &Reservation) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Reservation {}

/// The order in which labels are given does not matter.
fn cmp_labels(a: Option<&[v1::Label]>, b: Option<&[v1::Label]>) -> Ordering {
    fn sorted(labels: &[v1::Label]) -> Vec<(&str, Option<&str>)> {
        let mut all: Vec<_> = labels.iter().map(|label| (label.key.as_str(), label.value.as_deref())).collect();
        all.sort_unstable();
        all
    }
    match (a, b) {
        (Some(a), Some(b)) if a == b => Ordering::Equal,
        (Some(a), Some(b)) => sorted(a).cmp(&sorted(b)),
        (a, b) => a.is_some().cmp(&b.is_some()),
    }
}

/// The volume's mount point and the persistence's principal tell how a disk is used, not which one it is.
fn cmp_disk(a: Option<&DiskInfo>, b: Option<&DiskInfo>) -> Ordering {
    let (a, b) = match (a, b) {
        (Some(a), Some(b)) => (a, b),
        (a, b) => return a.is_some().cmp(&b.is_some()),
    };
    let id = |disk: &DiskInfo| disk.persistence.as_ref().map(|persistence| persistence.id.clone());
    cmp_source(a.source.as_ref(), b.source.as_ref()).then_with(|| id(a).cmp(&id(b)))
}

fn cmp_source(a: Option<&disk_info::Source>, b: Option<&disk_info::Source>) -> Ordering {
    let (a, b) = match (a, b) {
        (Some(a), Some(b)) => (a, b),
        (a, b) => return a.is_some().cmp(&b.is_some()),
    };
    let root = |path: Option<&Option<String>>| path.cloned();
    a.r#type
        .cmp(&b.r#type)
        .then_with(|| a.vendor.cmp(&b.vendor))
        .then_with(|| a.id.cmp(&b.id))
        .then_with(|| a.profile.cmp(&b.profile))
        .then_with(|| root(a.path.as_ref().map(|p| &p.root)).cmp(&root(b.path.as_ref().map(|p| &p.root))))
        .then_with(|| root(a.mount.as_ref().map(|m| &m.root)).cmp(&root(b.mount.as_ref().map(|m| &m.root))))
        .then_with(|| {
            let labels = |source| -> Option<&[v1::Label]> {
                let source: &disk_info::Source = source;
                source.metadata.as_ref().map(|metadata| metadata.labels.as_slice())
            };
            cmp_labels(labels(a), labels(b))
        })
}
