//! Frameworks in the document: Mesos's message has no place for them, so they have a record of their own. Field numbers
//! are never reused.

use model::FrameworkId;
use proto::{internal, v1};
use stdx::WallTime;

use super::DecodeError;
use crate::document::Registry;

/// One framework, present or removed.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct FrameworkRecord {
    #[prost(string, tag = "1")]
    pub(super) id: String,
    #[prost(message, optional, tag = "2")]
    pub(super) info: Option<v1::FrameworkInfo>,
    /// In nanoseconds since 1970.
    #[prost(int64, optional, tag = "3")]
    pub(super) removed: Option<i64>,
}

/// The whole document in one message.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Whole {
    #[prost(message, optional, tag = "1")]
    pub(super) registry: Option<internal::Registry>,
    #[prost(message, repeated, tag = "2")]
    pub(super) frameworks: Vec<FrameworkRecord>,
}

impl Registry {
    pub(super) fn framework_record(&self, id: &FrameworkId) -> Option<FrameworkRecord> {
        let info = self.frameworks.get(id)?.clone();
        Some(FrameworkRecord { id: id.to_string(), info: Some(info), removed: None })
    }

    pub(super) fn removed_framework_record(&self, id: &FrameworkId) -> Option<FrameworkRecord> {
        let removed = self.removed_frameworks.get(id)?.0;
        Some(FrameworkRecord { id: id.to_string(), info: None, removed: Some(removed) })
    }

    pub(super) fn framework_records(&self) -> impl Iterator<Item = FrameworkRecord> {
        let present = self.frameworks.keys().filter_map(|id| self.framework_record(id));
        present.chain(self.removed_frameworks.keys().filter_map(|id| self.removed_framework_record(id)))
    }

    pub(super) fn join_framework(&mut self, record: FrameworkRecord) -> Result<(), DecodeError> {
        let id = FrameworkId::from(record.id.as_str());
        match (record.info, record.removed) {
            (Some(info), None) => drop(self.frameworks.insert(id, info)),
            (None, Some(removed)) => drop(self.removed_frameworks.insert(id, WallTime(removed))),
            (Some(_), Some(_)) | (None, None) => {
                let why = format!("framework {id} is neither present nor removed");
                return Err(DecodeError::Damaged { what: "content", why });
            }
        }
        Ok(())
    }
}
