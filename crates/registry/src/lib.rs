//! Knows the cluster's durable document: what a master must remember when every process has died. It does not know
//! where the document is stored (`coordination`) nor when a master changes it (`master_core`).
//!
//! `document` has the value, `operation` the closed set of changes (one file per family), `key` the names of the
//! document's independent parts, `encoding` the versioned bytes of documents, parts and operations.

#![forbid(unsafe_code)]

mod capability;
mod document;
mod encoding;
mod key;
mod operation;

pub use capability::{AGENT_DRAINING, AGENT_UPDATE, QUOTA_V2};
pub use document::{Admitted, MachineKey, Registry, Unreachable};
pub use encoding::{Change, DecodeError, VERSION, has_sum};
pub use key::Key;
pub use operation::{Mutation, Operation, Refusal, apply};
