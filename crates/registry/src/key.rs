//! The names of the document's independent parts. A store keeps one small value per key, so that a change rewrites
//! only what it touched.

use std::fmt;

use model::{AgentId, FrameworkId};

use crate::document::MachineKey;

/// One part of the document. Its text (`agents/<id>`) has exactly one slash, or none, and only printable ASCII.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    Master,
    Agent(AgentId),
    Unreachable(AgentId),
    Gone(AgentId),
    Machine(MachineKey),
    Schedules,
    Quota(String),
    LegacyQuota(String),
    Weight(String),
    Group(String),
    Framework(FrameworkId),
    RemovedFramework(FrameworkId),
    MinimumCapability(String),
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Key::Master => f.write_str("master"),
            Key::Agent(id) => write!(f, "agents/{}", Escaped(id.as_str())),
            Key::Unreachable(id) => write!(f, "unreachable/{}", Escaped(id.as_str())),
            Key::Gone(id) => write!(f, "gone/{}", Escaped(id.as_str())),
            Key::Machine(m) => write!(f, "machines/{},{}", Escaped(&m.hostname), Escaped(&m.ip)),
            Key::Schedules => f.write_str("schedules"),
            Key::Quota(role) => write!(f, "quotas/{}", Escaped(role)),
            Key::LegacyQuota(role) => write!(f, "legacy_quotas/{}", Escaped(role)),
            Key::Weight(role) => write!(f, "weights/{}", Escaped(role)),
            Key::Group(name) => write!(f, "groups/{}", Escaped(name)),
            Key::Framework(id) => write!(f, "frameworks/{}", Escaped(id.as_str())),
            Key::RemovedFramework(id) => write!(f, "removed_frameworks/{}", Escaped(id.as_str())),
            Key::MinimumCapability(name) => write!(f, "minimum_capabilities/{}", Escaped(name)),
        }
    }
}

struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for &byte in self.0.as_bytes() {
            if byte.is_ascii_alphanumeric() || b"-_.:*".contains(&byte) {
                write!(f, "{}", char::from(byte))?;
            } else {
                write!(f, "%{byte:02X}")?;
            }
        }
        Ok(())
    }
}
