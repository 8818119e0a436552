//! Operators that set, change and remove resource groups.

use master_core::State;
use proto::{
    meseta::v1::{RemoveGroup, ResourceGroup, SetGroup},
    v1::master::{Call, call},
};

use super::{World, of};
use crate::scenario::GroupPlan;

/// As many as operators use; scenarios use the same ones.
const NAMES: u64 = 4;
const ROLES: [&str; 6] = ["a", "b", "c", "c/x", "c/y", "c/z"];

impl World {
    pub(super) fn plan_groups(&mut self, state: &State) -> Option<Call> {
        let groups = &state.registry.groups;
        let names: Vec<String> = groups.keys().cloned().collect();
        if self.draws.operators.below(3) == 0 {
            return Some(remove_group(self.draw(&names)?));
        }
        let name = format!("g{}", self.draws.operators.below(NAMES));
        let taken =
            |role: &str| groups.values().any(|of| of.name != name && of.roles.iter().any(|other| other == role));
        // Now and then one of another group's, which is refused.
        let careless = self.draws.operators.below(8) == 0;
        let free: Vec<&str> = ROLES.into_iter().filter(|role| careless || !taken(role)).collect();
        let role = self.draw(&free)?.to_owned();
        let mut roles = vec![role];
        if self.draws.operators.below(3) == 0 {
            roles.extend(self.draw(&free).filter(|other| *other != roles[0]).map(str::to_owned));
        }
        let plan = GroupPlan::draw(&mut self.draws.operators, &self.scenario, &name, roles);
        Some(set_group(plan.to_proto()))
    }

    /// One step towards the groups that the scenario has.
    pub(super) fn settle_groups(&self, state: &State) -> Option<Call> {
        let wanted: Vec<ResourceGroup> = self.scenario.groups.iter().map(GroupPlan::to_proto).collect();
        let there = &state.registry.groups;
        if let Some(name) = there.keys().find(|name| wanted.iter().all(|group| group.name != **name)) {
            return Some(remove_group(name.clone()));
        }
        let changed = wanted.iter().find(|group| there.get(&group.name) != Some(*group))?;
        // Another group may have one of its roles still.
        let rival = there
            .values()
            .find(|of| of.name != changed.name && of.roles.iter().any(|role| changed.roles.contains(role)));
        Some(match rival {
            Some(rival) => remove_group(rival.name.clone()),
            None => set_group(changed.clone()),
        })
    }
}

fn set_group(group: ResourceGroup) -> Call {
    Call { set_group: Some(SetGroup { group, force: Some(true) }), ..of(call::Type::SetGroup) }
}

fn remove_group(name: String) -> Call {
    Call { remove_group: Some(RemoveGroup { name }), ..of(call::Type::RemoveGroup) }
}
