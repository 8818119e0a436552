//! placeholder
use std::collections::BTreeMap;
use master_core::State;
use transport::Request;
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Document { State, StateSummary, Slaves, Frameworks, Tasks, Roles }
pub struct Query;
impl Query { pub fn new(_: &Request, _: &str) -> Query { Query } }
pub fn render(_: Document, _: &State, _: &Query, _: &BTreeMap<String, String>) -> Result<Vec<u8>, String> { Ok(b"{}".to_vec()) }
