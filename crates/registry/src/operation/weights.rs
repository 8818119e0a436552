//! Weights of roles. An entry without a role says something about "*".

use proto::v1;

use super::Mutation;
use crate::{document::Registry, key::Key};

pub(super) fn update(registry: &mut Registry, weights: &[v1::WeightInfo], m: &mut Mutation) {
    for info in weights {
        let role = info.role.as_deref().unwrap_or("*");
        if registry.weights.get(role).map(|w| w.to_bits()) != Some(info.weight.to_bits()) {
            registry.weights.insert(role.to_owned(), info.weight);
            m.touch(Key::Weight(role.to_owned()));
        }
    }
}
