//! Resources as Mesos prints them: `cpus(allocated: a)(reservations: [(DYNAMIC,a,someone)]):4; mem:1024`.

use crate::{quantity::Quantity, resource::Resource, resources::Resources, value};
use proto::v1::{
    self,
    resource::{
        DiskInfo, ReservationInfo,
        disk_info::{Source, source},
    },
    volume,
};
use std::fmt::{self, Display, Formatter, Write};

impl Display for Resources {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("{}");
        }
        for (i, row) in self.iter().enumerate() {
            write!(f, "{}{row}", if i > 0 { "; " } else { "" })?;
        }
        Ok(())
    }
}

impl Display for Resource {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        Proto(&self.to_proto()).fmt(f)?;
        if self.is_shared() {
            write!(f, "<{}>", self.copies())?;
        }
        Ok(())
    }
}

/// A resource straight from the wire, valid or not. `role` and `reservation` of the old format are not shown.
pub struct Proto<'a>(pub &'a v1::Resource);

impl Display for Proto<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let resource = self.0;
        f.write_str(&resource.name)?;
        if let Some(allocation) = &resource.allocation_info {
            write!(f, "(allocated: {})", allocation.role())?;
        }
        for (i, reservation) in resource.reservations.iter().enumerate() {
            f.write_str(if i == 0 { "(reservations: [(" } else { ",(" })?;
            reservation_text(f, reservation)?;
            f.write_char(')')?;
        }
        if !resource.reservations.is_empty() {
            f.write_str("])")?;
        }
        if let Some(disk) = &resource.disk {
            f.write_char('[')?;
            disk_text(f, disk)?;
            f.write_char(']')?;
        }
        if resource.revocable.is_some() {
            f.write_str("{REV}")?;
        }
        if resource.shared.is_some() {
            f.write_str("<SHARED>")?;
        }
        f.write_char(':')?;
        match resource.r#type() {
            v1::value::Type::Scalar => Quantity::from_f64(resource.scalar.unwrap_or_default().value).fmt(f),
            v1::value::Type::Ranges => {
                f.write_char('[')?;
                let ranges = resource.ranges.as_ref().map_or(&[][..], |ranges| &ranges.range);
                for (i, range) in ranges.iter().enumerate() {
                    write!(f, "{}{}-{}", if i > 0 { ", " } else { "" }, range.begin, range.end)?;
                }
                f.write_char(']')
            }
            v1::value::Type::Set => {
                let items = resource.set.as_ref().map_or(&[][..], |set| &set.item);
                write!(f, "{{{}}}", items.join(", "))
            }
            v1::value::Type::Text => Ok(()),
        }
    }
}

fn reservation_text(f: &mut Formatter<'_>, reservation: &ReservationInfo) -> fmt::Result {
    write!(f, "{},{}", reservation.r#type().as_str_name(), reservation.role())?;
    if let Some(principal) = &reservation.principal {
        write!(f, ",{principal}")?;
    }
    if let Some(labels) = &reservation.labels {
        write!(f, ",{}", Labels(&labels.labels))?;
    }
    Ok(())
}

pub(crate) struct Labels<'a>(pub(crate) &'a [v1::Label]);

impl Display for Labels<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_char('{')?;
        for (i, label) in self.0.iter().enumerate() {
            write!(f, "{}{}", if i > 0 { ", " } else { "" }, label.key)?;
            if let Some(value) = &label.value {
                write!(f, ": {value}")?;
            }
        }
        f.write_char('}')
    }
}

fn disk_text(f: &mut Formatter<'_>, disk: &DiskInfo) -> fmt::Result {
    if let Some(source) = &disk.source {
        source_text(f, source)?;
    }
    if let Some(persistence) = &disk.persistence {
        write!(f, "{}{}", if disk.source.is_some() { "," } else { "" }, persistence.id)?;
    }
    if let Some(volume) = &disk.volume {
        f.write_char(':')?;
        match &volume.host_path {
            Some(host_path) => {
                let mode = if volume.mode() == volume::Mode::Rw { "rw" } else { "ro" };
                write!(f, "{host_path}:{}:{mode}", volume.container_path)?;
            }
            None => f.write_str(&volume.container_path)?,
        }
    }
    Ok(())
}

fn source_text(f: &mut Formatter<'_>, source: &Source) -> fmt::Result {
    f.write_str(source.r#type().as_str_name())?;
    if source.r#type() == source::Type::Unknown {
        return Ok(());
    }
    if source.id.is_some() || source.profile.is_some() {
        return write!(f, "({},{},{})", source.vendor(), source.id(), source.profile());
    }
    let root = match source.r#type() {
        source::Type::Mount => source.mount.as_ref().and_then(|mount| mount.root.as_deref()),
        source::Type::Path => source.path.as_ref().and_then(|path| path.root.as_deref()),
        _ => None,
    };
    root.map_or(Ok(()), |root| write!(f, ":{root}"))
}

impl Display for value::Range {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.begin, self.end)
    }
}
