//! `/roles`: weights, quotas, and what each role holds.

use std::collections::BTreeMap;

use master_core::{Role, State};
use proto::{
    json::Writer,
    v1::{quota::QuotaConfig, value::Scalar},
};
use resources::Quantities;

pub fn write_page(json: &mut Writer, state: &State) {
    let roles = state.roles();
    json.array_field("roles", &roles, |json, (name, role)| {
        json.object(|json| {
            json.field("name", name);
            json.field("weight", &role.weight);
            json.key("quota");
            write_quota(json, name, state.registry.quotas.get(name), &state.consumed(name));
            json.key("resources");
            write_quantities(json, &role.allocated.quantities());
            json.key("allocated");
            write_quantities(json, &used(role).quantities());
            json.key("offered");
            write_quantities(json, &role.offered.quantities());
            json.key("reserved");
            write_quantities(json, &role.reserved.quantities());
            json.array_field("frameworks", &role.frameworks, |json, id| json.string(id.as_str()));
        });
    });
}

fn used(role: &Role) -> resources::Resources {
    role.allocated.clone() - &role.offered
}

fn write_quota(json: &mut Writer, role: &str, quota: Option<&QuotaConfig>, consumed: &Quantities) {
    let none = BTreeMap::new();
    json.object(|json| {
        json.field("role", role);
        json.key("guarantee");
        write_scalars(json, quota.map_or(&none, |quota| &quota.guarantees));
        json.key("limit");
        write_scalars(json, quota.map_or(&none, |quota| &quota.limits));
        json.key("consumed");
        write_quantities(json, consumed);
    });
}

fn write_scalars(json: &mut Writer, scalars: &BTreeMap<String, Scalar>) {
    json.object(|json| scalars.iter().for_each(|(name, scalar)| json.field(name, &scalar.value)));
}

/// By name, in the order of the alphabet.
fn write_quantities(json: &mut Writer, quantities: &Quantities) {
    let sorted: BTreeMap<&str, f64> =
        quantities.iter().map(|(name, amount)| (name.as_str(), amount.as_f64())).collect();
    json.object(|json| sorted.iter().for_each(|(name, amount)| json.field(name, amount)));
}
