//! What the agent shows of its state. Each reader takes a view, which costs the loop a few reference counts, and
//! renders it on its own thread. `v1` is the operator API, `legacy` the documents that older tools read, `metrics` the
//! numbers.

pub mod legacy;
pub mod metrics;
pub mod v1;

#[cfg(test)]
mod recorded;

use std::collections::BTreeMap;

/// What the machine says of containers, for reads that ask for it.
pub type Usages = BTreeMap<agent_core::ContainerId, Seen>;

/// One container.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Seen {
    pub usage: containers::Usage,
    /// What it asks for and does not get.
    pub gaps: Vec<containers::Gap>,
}
