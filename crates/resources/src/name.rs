//! Names of resources: the five that everybody uses cost nothing to clone and compare.

use std::{cmp::Ordering, fmt, sync::Arc};

/// A resource's name. The order (known names first) is the order in which resources are kept and printed.
#[derive(Clone, Debug)]
pub enum Name {
    Cpus,
    Gpus,
    Mem,
    Disk,
    Ports,
    Other(Arc<str>),
}

impl Name {
    pub fn as_str(&self) -> &str {
        match self {
            Name::Cpus => "cpus",
            Name::Gpus => "gpus",
            Name::Mem => "mem",
            Name::Disk => "disk",
            Name::Ports => "ports",
            Name::Other(name) => name,
        }
    }

    fn rank(&self) -> u8 {
        match self {
            Name::Cpus => 0,
            Name::Gpus => 1,
            Name::Mem => 2,
            Name::Disk => 3,
            Name::Ports => 4,
            Name::Other(_) => 5,
        }
    }
}

impl From<&str> for Name {
    fn from(name: &str) -> Name {
        match name {
            "cpus" => Name::Cpus,
            "gpus" => Name::Gpus,
            "mem" => Name::Mem,
            "disk" => Name::Disk,
            "ports" => Name::Ports,
            other => Name::Other(other.into()),
        }
    }
}

impl Ord for Name {
    fn cmp(&self, other: &Name) -> Ordering {
        match (self, other) {
            (Name::Other(a), Name::Other(b)) => a.cmp(b),
            _ => self.rank().cmp(&other.rank()),
        }
    }
}

impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Name) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Name) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Name {}

impl PartialEq<str> for Name {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for Name {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
