//! GET_GROUPS, SET_GROUP and REMOVE_GROUP: the resource groups. What makes a group impossible is in
//! `allocator::groups`; once a change is durable every offer is taken back, so that all is divided anew.

use std::{collections::BTreeMap, sync::Arc};

use allocator::{Group, GroupStanding, groups::check_together};
use proto::{
    meseta::v1::{GroupStatus, GroupStatuses, ResourceGroup, SetGroup},
    v1::{
        master::{Response, response},
        value::Scalar,
    },
};
use registry::Operation;

use crate::{Master, Step, effect::Reply, event::RequestId, pending::Continuation};

impl Master {
    pub(super) fn on_get_groups(&self, req: RequestId, step: &mut Step<'_>) {
        let mut groups = self.group_statuses();
        for status in &mut groups {
            let (selected, held) = self.allocator.group_agents(&status.group.name);
            status.agents_selected = Some(selected);
            status.agents_held = Some(held);
        }
        let answer = Response {
            r#type: Some(response::Type::GetGroups as i32),
            get_groups: Some(GroupStatuses { groups }),
            ..Default::default()
        };
        step.reply(req, Reply::Ok(Some(Box::new(answer))));
    }

    pub(super) fn on_set_group(&mut self, req: RequestId, call: SetGroup, step: &mut Step<'_>) {
        match self.check_group(&call) {
            Ok(()) => {
                let operation = Operation::SetGroup(Box::new(call.group));
                self.pending.persist(vec![operation], Continuation::Groups { req }, step);
            }
            Err(why) => step.reply(req, Reply::BadRequest(format!("Invalid resource group: {why}"))),
        }
    }

    fn check_group(&self, call: &SetGroup) -> Result<(), String> {
        let group = Group::compile(&call.group, self.config.constraint_limits).map_err(|why| why.to_string())?;
        let alone = [(group.name.clone(), group.clone())].into();
        check_together(&alone, self.config.roles.as_ref()).map_err(|why| why.to_string())?;
        self.allocator.check_group(self.coming_groups(), &group, call.force()).map_err(|why| {
            match why.can_be_forced() {
                true => format!("{why} (use 'force' flag to bypass this check)"),
                false => why.to_string(),
            }
        })
    }

    /// The groups there will be when all that is under way is written.
    fn coming_groups(&self) -> BTreeMap<Arc<str>, Group> {
        let mut all: BTreeMap<Arc<str>, Group> =
            self.allocator.groups().map(|group| (group.name.clone(), group.clone())).collect();
        for operation in self.pending.operations() {
            match operation {
                Operation::SetGroup(spec) => {
                    let group = Group::compile(spec, self.config.constraint_limits).ok();
                    all.extend(group.map(|group| (group.name.clone(), group)));
                }
                Operation::RemoveGroup(name) => drop(all.remove(name.as_str())),
                _ => {}
            }
        }
        all
    }

    pub(super) fn on_remove_group(&mut self, req: RequestId, name: String, step: &mut Step<'_>) {
        if !self.coming_groups().contains_key(name.as_str()) {
            step.reply(req, Reply::NotFound(format!("there is no resource group '{name}'")));
            return;
        }
        self.pending.persist(vec![Operation::RemoveGroup(name)], Continuation::Groups { req }, step);
    }

    /// The groups are as the registry now says.
    pub(crate) fn on_groups(&mut self, req: RequestId, step: &mut Step<'_>) {
        self.load_groups(step);
        let offers: Vec<_> = self.state.offers.keys().cloned().collect();
        for offer in offers {
            self.offers().rescind(&offer, None, step);
        }
        step.reply(req, Reply::Ok(None));
    }

    /// Gives the registry's groups to the allocator.
    pub(crate) fn load_groups(&mut self, step: &mut Step<'_>) {
        let mut groups = Vec::new();
        for spec in self.state.registry.groups.values() {
            match Group::compile(spec, self.config.constraint_limits) {
                Ok(group) => groups.push(group),
                Err(why) => tracing::error!(%why, "a resource group of the registry is left out"),
            }
        }
        if groups.is_empty() && self.allocator.groups().next().is_none() {
            return;
        }
        for group in &groups {
            tracing::info!(
                name = &*group.name,
                weight = group.weight,
                min = group.min,
                max = group.max,
                "resource group"
            );
        }
        self.allocator.set_groups(step.now, groups);
        self.note_groups();
    }

    /// Lets readers know how the groups stand.
    pub(crate) fn note_groups(&mut self) {
        if self.allocator.groups().next().is_some() || !self.state.groups.is_empty() {
            self.state.groups = Arc::new(self.group_statuses());
        }
    }

    fn group_statuses(&self) -> Vec<GroupStatus> {
        let status = |standing: GroupStanding| {
            let group = self.state.registry.groups.get(&*standing.name)?;
            Some(status(group, standing))
        };
        self.allocator.group_standings().into_iter().filter_map(status).collect()
    }
}

fn status(group: &ResourceGroup, standing: GroupStanding) -> GroupStatus {
    let amount = |(name, amount): (&resources::Name, resources::Quantity)| {
        (name.as_str().to_owned(), Scalar { value: amount.as_f64() })
    };
    GroupStatus {
        group: group.clone(),
        held_units: Some(standing.held_units),
        held: standing.held.iter().map(amount).collect(),
        agents_selected: None,
        agents_held: None,
        wanted: Some(standing.drawn.wanted),
        won: Some(standing.drawn.won),
        entrants: Some(standing.drawn.entrants),
        supply: Some(standing.drawn.supply),
        won_total: Some(standing.won_total),
        returned_total: Some(standing.returned_total),
    }
}
