//! placeholder
use std::collections::BTreeMap;
use agent_core::{ContainerId, State};
use containers::Usage;
pub fn state(_: &State, _: &BTreeMap<String, String>) -> Vec<u8> { b"{}".to_vec() }
pub fn containers(_: &State, _: &BTreeMap<ContainerId, Usage>) -> Vec<u8> { b"[]".to_vec() }
