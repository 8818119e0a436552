//! What checkers are told about resource groups, worked out from the master's tables and the registry alone: who serves
//! whom, who holds what where, and whether somebody has less than was promised.

use std::collections::{BTreeMap, BTreeSet};

use master_core::State;
use model::AgentId;
use proto::{meseta::v1::ResourceGroup, v1};
use resources::{Quantities, Quantity};

use super::World;
use crate::{
    observation::{Fact, Guaranteed},
    scenario::{self, POOL},
};

/// What an executor of a framework's own takes beside its tasks, at most.
const BESIDE: (f64, f64) = (0.01, 32.0);

impl World {
    /// What the groups hold, and whether anybody lacks what was promised.
    pub(super) fn note_shares(&mut self, master: u32) {
        let Some(core) = self.masters[master as usize].core() else { return };
        let state = core.view().clone();
        let standings = core.allocator().group_standings();
        if standings.is_empty() && state.registry.quotas.is_empty() {
            return;
        }
        let held = held_by_role(&state);
        for standing in standings {
            let Some(group) = state.registry.groups.get(&*standing.name) else { continue };
            let counted = in_unit(group, &held_by_group(&state, &held, &group.name));
            let booked = in_unit(group, &standing.held);
            self.fact(Fact::GroupHolds { name: group.name.clone(), counted, booked });
        }
        if self.at_work {
            self.note_promises(&state, &held);
        }
    }

    fn note_promises(&mut self, state: &State, held: &BTreeMap<String, Quantities>) {
        let groups = &state.registry.groups;
        let mut facts = Vec::new();
        for quota in state.registry.quotas.values().filter(|_| groups.is_empty()) {
            let Some(guarantee) = quota.guarantees.get("cpus").map(|scalar| scalar.value) else { continue };
            let below = held.iter().filter(|(role, _)| is_or_is_below(role, &quota.role));
            let has: f64 = below.map(|(_, held)| held.get(&"cpus".into()).as_f64()).sum();
            let wants =
                self.hungry(state, |role| is_or_is_below(role, &quota.role)).any(|(cpus, _)| has + cpus <= guarantee);
            facts.push(Fact::Lacks { whom: Guaranteed::Role(quota.role.clone()), lacks: wants });
        }
        let shared = state.registry.quotas.values().all(|quota| quota.limits.is_empty() && quota.guarantees.is_empty());
        let alone = !groups.values().any(ResourceGroup::exclusive);
        for group in groups.values().filter(|_| shared && alone) {
            let min = group.capacity.and_then(|capacity| capacity.min).unwrap_or(0);
            let amount = |name: &str| group.unit.get(name).map_or(0.0, |scalar| scalar.value);
            let fits = |(cpus, mem): (f64, f64)| cpus <= amount("cpus") && mem <= amount("mem");
            let whole = units(group, &held_by_group(state, held, &group.name), false);
            let wants = self.hungry(state, |role| serving(state, role) == Some(&group.name)).any(fits);
            facts.push(Fact::Lacks { whom: Guaranteed::Group(group.name.clone()), lacks: whole < min && wants });
        }
        facts.into_iter().for_each(|fact| self.fact(fact));
    }

    /// What one more task of each framework takes that wants more, of those in such roles.
    fn hungry<'a>(&'a self, state: &'a State, of: impl Fn(&str) -> bool + 'a) -> impl Iterator<Item = (f64, f64)> + 'a {
        self.schedulers.iter().zip(&self.scenario.frameworks).filter_map(move |(host, plan)| {
            let row = host.id.as_ref().and_then(|id| state.frameworks.get(id));
            let asks = host.core.is_hungry() && row.is_some_and(|row| row.is_connected());
            (asks && of(&plan.role)).then_some((plan.cpus + BESIDE.0, plan.mem_mb + BESIDE.1))
        })
    }

    pub(super) fn note_group_offer(&mut self, master: u32, offer: &v1::Offer) {
        let Some(core) = self.masters[master as usize].core() else { return };
        let state = core.view();
        let groups = &state.registry.groups;
        // An offer of a moment ago may be of groups that changed since.
        if groups.is_empty() || !offer.resources.iter().any(|resource| matches!(&*resource.name, "cpus" | "mem")) {
            return;
        }
        let agent = AgentId::from(&offer.agent_id);
        let role = offer.allocation_info.as_ref().and_then(|info| info.role.as_deref()).unwrap_or_default();
        let name = serving(state, role).cloned();
        let group = name.as_ref().and_then(|name| groups.get(name));
        let said = offer.attributes.iter().find(|attribute| attribute.name == allocator::groups::GROUP_ATTRIBUTE);
        let said = said.and_then(|attribute| attribute.text.as_ref()).map(|text| text.value.clone());
        let attribute = offer.attributes.iter().find(|attribute| attribute.name == POOL);
        let pool = attribute.and_then(|attribute| attribute.text.as_ref()).map(|text| text.value.as_str());
        let selects = group.and_then(pool_of).is_none_or(|wanted| pool == Some(wanted));
        let mut there: Vec<Option<String>> = Vec::new();
        if let Some(row) = state.agents.get(&agent) {
            let of_others = row.offers.iter().filter(|id| **id != offer.id).filter_map(|id| state.offers.get(id));
            let used = state.used_on(row).into_values().chain(of_others.map(|offer| offer.resources.clone()));
            let roles = used.flat_map(|used| used.allocations().into_keys());
            there = roles.map(|role| serving(state, &role).cloned()).collect();
        }
        let (own, others): (BTreeSet<_>, BTreeSet<_>) = there.into_iter().partition(|other| *other == name);
        let begun = !own.is_empty();
        let held = held_by_role(state);
        let held_units = group.map_or(0, |group| units(group, &held_by_group(state, &held, &group.name), true));
        let max = group.and_then(|group| group.capacity).and_then(|capacity| capacity.max);
        let exclusive = groups.values().filter(|group| group.exclusive()).map(|group| group.name.clone()).collect();
        self.fact(Fact::GroupOffered { name, said, agent, selects, others, begun, exclusive, held_units, max });
    }
}

/// The name of the group that serves a role.
pub(super) fn serving<'a>(state: &'a State, role: &str) -> Option<&'a String> {
    scenario::serving(state.registry.groups.values(), role).map(|group| &group.name)
}

fn is_or_is_below(role: &str, other: &str) -> bool {
    role.strip_prefix(other).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// What each role uses and is offered.
pub(super) fn held_by_role(state: &State) -> BTreeMap<String, Quantities> {
    let mut held = BTreeMap::<String, Quantities>::new();
    for framework in state.frameworks.values() {
        for resources in state.used_by(framework).into_values().chain([state.offered_to(framework)]) {
            for (role, part) in resources.allocations() {
                *held.entry(role).or_default() += &part.scalar_quantities();
            }
        }
    }
    held
}

fn held_by_group(state: &State, held: &BTreeMap<String, Quantities>, name: &str) -> Quantities {
    let mut sum = Quantities::default();
    for (role, part) in held {
        if serving(state, role).is_some_and(|group| group == name) {
            sum += part;
        }
    }
    sum
}

fn in_unit(group: &ResourceGroup, held: &Quantities) -> Quantities {
    let mut named = Quantities::default();
    for name in group.unit.keys() {
        let name = name.as_str().into();
        named.add_one(&name, held.get(&name));
    }
    named
}

/// How many units that is: of what is held most of, with parts of a unit or without.
fn units(group: &ResourceGroup, held: &Quantities, parts: bool) -> u64 {
    let of = |(name, unit): (&String, &v1::value::Scalar)| {
        let (unit, held) = (Quantity::from_f64(unit.value).0.max(1), held.get(&name.as_str().into()).0.max(0));
        u64::try_from(if parts { (held + unit - 1) / unit } else { held / unit }).unwrap_or(0)
    };
    group.unit.iter().map(of).max().unwrap_or(0)
}

/// The pool whose agents a group selects.
fn pool_of(group: &ResourceGroup) -> Option<&str> {
    use v1::scheduler::attribute_constraint::predicate::Predicate;
    let constraint = group.selector.as_ref()?.groups.first()?.attribute_constraints.first()?;
    match constraint.predicate.predicate.as_ref()? {
        Predicate::TextEquals(text) => Some(&text.value),
        _ => None,
    }
}
