//! What a master's `/roles` adds to its `/state`: weights and quotas.

use allocator::{Quota, quota};

use crate::{
    document::{DocumentError, Field, parse},
    scenario::Scenario,
};

/// Puts the weights and quotas of the document into the scenario.
pub fn read_roles(file: &str, text: &str, scenario: &mut Scenario) -> Result<(), DocumentError> {
    let value = parse(file, text)?;
    let root = Field::root(file, &value);
    let Some(roles) = root.find("roles") else {
        return Err(root.error("there is no field 'roles'", "what a leading master answers to GET /roles"));
    };
    for role in roles.items()? {
        let name = role.get("name")?.text()?;
        if let Some(weight) = role.find("weight") {
            let number = quota::check_weight(weight.number()?);
            let number = number.map_err(|error| weight.error(error.to_string(), "a number above 0"))?;
            if number != 1.0 {
                scenario.weights.insert(name.to_owned(), number);
            }
        }
        let Some(config) = role.find("quota") else { continue };
        let guarantees = amounts(&config, "guarantee")?;
        let limits = amounts(&config, "limit")?;
        let quota = Quota::from_numbers(guarantees, limits)
            .map_err(|error| config.error(error.to_string(), "guarantees within their limits"))?;
        if !quota.is_default() {
            scenario.quotas.insert(name.to_owned(), quota);
        }
    }
    Ok(())
}

fn amounts<'a>(config: &Field<'a>, name: &str) -> Result<Vec<(&'a str, f64)>, DocumentError> {
    let entries = config.find(name).map(|amounts| amounts.entries()).transpose()?.unwrap_or_default();
    entries.into_iter().map(|(name, amount)| Ok((name, amount.number()?))).collect()
}
