//! Why a framework in one of its roles was offered nothing, worked out when somebody asks, from the tables as they are:
//! the cycle itself keeps only who was granted something when. Asking walks all agents once for each client asked
//! about.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use model::{AgentId, FrameworkId};
use resources::{Resources, role::is_strict_subrole_of};
use stdx::Tick;

use crate::{
    allocator::{Agent, Allocator, Client, HAS_GPUS, LACKS_HIERARCHICAL_ROLE, LACKS_MULTI_ROLE, REMOTE_REGION},
    directory::Idx,
    groups::competition::{Owner, room},
    tree::Role,
    visit::is_allocatable,
};

/// How frameworks stand in their roles.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    /// By framework and role.
    pub explanations: Vec<Explanation>,
    /// How many more there are, for which there were no looks left.
    pub left_out: usize,
}

/// How a framework stands in one of its roles.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    pub framework: FrameworkId,
    pub role: Arc<str>,
    /// The resource group that serves the role.
    pub group: Arc<str>,
    pub role_share: f64,
    pub framework_share: f64,
    /// How many cycles there were, and the latest in which it was granted something.
    pub cycle: u64,
    pub granted_in_cycle: Option<u64>,
    /// What concerns most agents comes first, but what concerns the framework as a whole before all.
    pub reasons: Vec<Reason>,
}

/// One cause of no offers.
#[derive(Clone, Debug, PartialEq)]
pub struct Reason {
    pub cause: Cause,
    /// How many agents it keeps away, and one of them; none if it is about the framework itself.
    pub agents: u64,
    pub example: Option<AgentId>,
    /// How long until the first of them may change by itself.
    pub remaining: Option<Duration>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// It has what was granted last.
    Granted,
    Inactive,
    NotSubscribed,
    Suppressed,
    /// The agents of before the election are awaited.
    Recovering,
    NoAgents,
    AgentInactive,
    NotWhitelisted,
    /// Its offer constraints exclude the agent.
    Constraints,
    /// It lacks a capability that the agent asks for, or the agent lacks one: which.
    Capability(&'static str),
    NothingFree,
    /// What is free is reserved for other roles, or of a kind that it cannot cope with.
    SetApart,
    /// The group of its role does not select the agent.
    NotInGroup(Arc<str>),
    /// Its group holds all it may.
    GroupFull(Arc<str>),
    /// The agent has no room for a unit of its group.
    NoRoomForUnit(Arc<str>),
    /// An exclusive group holds the agent.
    Exclusive(Arc<str>),
    /// Others won the agent's units: this group.
    LostDraw(Arc<str>),
    /// What is free is kept until a unit of this group, which has less than its minimum, has come together.
    KeptForGroup(Arc<str>),
    BelowMinimum,
    /// The quota of this role leaves no room for more.
    Limit(Arc<str>),
    /// What is free is kept for guarantees: this role's, for one.
    Headroom(Option<Arc<str>>),
    Filtered,
    /// The agent's free resources went to another framework that was before it: which.
    OthersFirst(FrameworkId),
    /// It would be granted something with the next cycle.
    NextCycle,
}

impl Allocator {
    /// How frameworks stand in their roles: one framework, or those of one role and the roles below it, or all. Each
    /// costs a look at every agent; after `looks_max` no more are begun, but the first is told in any case.
    pub fn explain(&self, now: Tick, framework: Option<&FrameworkId>, role: Option<&str>, looks_max: usize) -> Answer {
        let mut all = Answer::default();
        let room = looks_max / self.agents.iter().count().max(1);
        let asked = |name: &str| role.is_none_or(|role| name == role || is_strict_subrole_of(name, role));
        for (c, client) in self.clients.iter() {
            let (Some(f), Some(r)) = (self.frameworks.get(client.framework), self.roles.get(client.role)) else {
                continue;
            };
            if framework.is_some_and(|id| f.id != *id) || !asked(&r.name) {
                continue;
            }
            if all.explanations.len() >= room.max(1) {
                all.left_out += 1;
                continue;
            }
            all.explanations.push(Explanation {
                framework: f.id.clone(),
                role: r.name.clone(),
                group: self.group_of_role(&r.name).into(),
                role_share: r.node.share(&self.totals, &self.scalars),
                framework_share: client.standing.share(&self.totals, &self.scalars),
                cycle: self.cycles,
                granted_in_cycle: client.granted_in,
                reasons: self.reasons(now, c),
            });
        }
        all.explanations.sort_by(|a, b| a.framework.cmp(&b.framework).then(a.role.cmp(&b.role)));
        all
    }

    fn reasons(&self, now: Tick, c: Idx<Client>) -> Vec<Reason> {
        let mut reasons: Vec<Reason> = self.own_causes(c).into_iter().map(Reason::of_framework).collect();
        if !reasons.is_empty() {
            return reasons;
        }
        let mut counted = BTreeMap::<Cause, Reason>::new();
        for (a, agent) in self.agents.iter() {
            let cause = self.cause(a, agent, c);
            let remaining = match cause {
                Cause::Filtered => agent.filters.deadline_of(c, &self.filter_epochs).map(|at| at.since(now)),
                _ => None,
            };
            let reason = counted.entry(cause.clone()).or_insert_with(|| Reason {
                cause,
                agents: 0,
                example: Some(agent.id.clone()),
                remaining: None,
            });
            reason.agents += 1;
            reason.remaining = match (reason.remaining, remaining) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            };
        }
        if counted.is_empty() {
            reasons.push(Reason::of_framework(Cause::NoAgents));
        }
        reasons.extend(counted.into_values());
        reasons.sort_by_key(|reason| std::cmp::Reverse(reason.agents));
        reasons
    }

    /// What keeps a client from all agents.
    fn own_causes(&self, c: Idx<Client>) -> Option<Cause> {
        let client = self.clients.get(c)?;
        let framework = self.frameworks.get(client.framework)?;
        if self.is_recovering() {
            return Some(Cause::Recovering);
        }
        match client {
            _ if !(framework.known && framework.active) => Some(Cause::Inactive),
            client if !client.subscribed => Some(Cause::NotSubscribed),
            client if client.suppressed => Some(Cause::Suppressed),
            _ => None,
        }
    }

    /// Why a client that takes part holds no offer of an agent.
    fn cause(&self, a: Idx<Agent>, agent: &Agent, c: Idx<Client>) -> Cause {
        let Some(client) = self.clients.get(c) else { return Cause::NotSubscribed };
        if agent.last_winner == Some((self.cycles, c)) {
            return Cause::Granted;
        }
        if !agent.profile.active {
            return Cause::AgentInactive;
        }
        if !agent.whitelisted {
            return Cause::NotWhitelisted;
        }
        if agent.barred.has(c) {
            return Cause::Constraints;
        }
        for (flag, name) in [
            (HAS_GPUS, "GPU_RESOURCES"),
            (REMOTE_REGION, "REGION_AWARE"),
            (LACKS_MULTI_ROLE, "MULTI_ROLE of the agent"),
            (LACKS_HIERARCHICAL_ROLE, "HIERARCHICAL_ROLE of the agent"),
        ] {
            if agent.flags & client.barred_flags & flag != 0 {
                return Cause::Capability(name);
            }
        }
        let whole = self.portion(agent, c, false);
        let minimum = client.min_allocatable.as_ref().unwrap_or(&self.config.min_allocatable);
        let set_apart = whole.filter(|resource| !resource.is_unreserved());
        let part = match self.group_part(a, agent, c, &whole) {
            Ok(part) => part,
            Err(_) if !set_apart.is_empty() && is_allocatable(minimum, &set_apart) => set_apart,
            Err(cause) => return cause,
        };
        if part.is_empty() || !is_allocatable(minimum, &part) {
            let cause = match () {
                () if agent.available.is_empty() => Cause::NothingFree,
                () if part.is_empty() => Cause::SetApart,
                () => Cause::BelowMinimum,
            };
            return self.winner_of(agent, c).unwrap_or(cause);
        }
        if self.has_quotas() {
            let allowance = self.allowance(client.role, &agent.free);
            let bounded = self.cut_to(&part, &allowance.amounts);
            if bounded.is_empty() || !is_allocatable(minimum, &bounded) {
                let name = |r: Idx<Role>| self.roles.get(r).map(|role| role.name.clone());
                return match allowance.limited_by.and_then(name) {
                    Some(role) => Cause::Limit(role),
                    None => Cause::Headroom(self.neediest()),
                };
            }
        }
        if agent.filters.hides(c, &part, &self.filter_epochs) {
            return Cause::Filtered;
        }
        Cause::NextCycle
    }

    /// What groups leave of a portion, or why they leave nothing.
    fn group_part(&self, a: Idx<Agent>, agent: &Agent, c: Idx<Client>, whole: &Resources) -> Result<Resources, Cause> {
        if self.groups.is_empty() {
            return Ok(whole.clone());
        }
        let group = self.groups.group_of(c);
        let holder = match self.owner(agent) {
            Owner::Exclusive(holder) => Some(holder).filter(|holder| *holder != group),
            Owner::Contested => {
                agent.held.iter().map(|(holder, _)| self.groups.group_of(*holder)).find(|g| *g != group)
            }
            Owner::Nobody | Owner::Group(_) | Owner::Several => None,
        };
        if let Some(name) = holder.and_then(|holder| self.groups.name(holder)) {
            return Err(Cause::Exclusive(name.clone()));
        }
        let mut free = self.groups.divided(&agent.available);
        let kept = self.kept_of(a, agent).filter(|(keeper, _)| *keeper != group);
        let keeper = kept.as_ref().and_then(|(keeper, _)| self.groups.name(*keeper));
        if let Some((_, kept)) = &kept {
            free.iter_mut().zip(kept).for_each(|(free, kept)| *free -= kept);
        }
        let Some(entry) = self.groups.entries.get(group as usize) else {
            let part = self.cut_all(whole, &mut free);
            return match keeper.filter(|_| !is_allocatable(&self.config.min_allocatable, &part)) {
                Some(keeper) => Err(Cause::KeptForGroup(keeper.clone())),
                None => Ok(part),
            };
        };
        let name = || entry.group.name.clone();
        if !self.groups.selection(a).is_some_and(|selected| selected.has(group)) || self.groups.weight(a) <= 0.0 {
            return Err(Cause::NotInGroup(name()));
        }
        let held = entry.held_units();
        let wanted = entry.group.max.map_or(u64::from(u32::MAX), |max| max.saturating_sub(held));
        if wanted == 0 {
            return Err(Cause::GroupFull(name()));
        }
        let units = u64::from(room(&entry.unit, &free)).min(wanted);
        if units > 0 {
            return Ok(self.units_of(whole, &entry.unit, units));
        }
        if let Some(keeper) = keeper {
            return Err(Cause::KeptForGroup(keeper.clone()));
        }
        let others = agent.held.iter().map(|(holder, _)| self.groups.group_of(*holder));
        match others.filter(|other| *other != group).find_map(|other| self.groups.name(other)) {
            Some(other) => Err(Cause::LostDraw(other.clone())),
            None => Err(self.winner_of(agent, c).unwrap_or(Cause::NoRoomForUnit(name()))),
        }
    }

    /// The role at the top whose guarantee needs most of what is kept free.
    fn neediest(&self) -> Option<Arc<str>> {
        let top = self.roles.iter().filter(|(_, role)| role.parent.is_none());
        let needs = top.map(|(_, role)| (role.consumption.need.iter().max().unwrap_or(0), &role.name));
        needs.filter(|(need, _)| *need > 0).max_by_key(|(need, _)| *need).map(|(_, name)| name.clone())
    }

    /// Another framework that was granted the agent last, if it holds it still.
    fn winner_of(&self, agent: &Agent, c: Idx<Client>) -> Option<Cause> {
        let (_, winner) = agent.last_winner.filter(|(_, winner)| *winner != c)?;
        agent.held_by(winner)?;
        let framework = self.frameworks.get(self.clients.get(winner)?.framework)?;
        Some(Cause::OthersFirst(framework.id.clone()))
    }
}

impl Reason {
    fn of_framework(cause: Cause) -> Reason {
        Reason { cause, agents: 0, example: None, remaining: None }
    }

    /// The cause in words.
    pub fn text(&self) -> String {
        let agents = match self.agents {
            1 => "1 agent".to_owned(),
            n => format!("{n} agents"),
        };
        match &self.cause {
            Cause::Granted => format!("it was offered {agents} in the last cycle"),
            Cause::Inactive => "the framework is not connected".to_owned(),
            Cause::NotSubscribed => "the framework is not subscribed in this role any more".to_owned(),
            Cause::Suppressed => "it asked for no offers (SUPPRESS); REVIVE brings them back".to_owned(),
            Cause::Recovering => "the master waits for the agents of before its election".to_owned(),
            Cause::NoAgents => "there are no agents".to_owned(),
            Cause::AgentInactive => format!("{agents}: disconnected or deactivated"),
            Cause::NotWhitelisted => format!("{agents}: not on the whitelist"),
            Cause::Constraints => format!("{agents}: excluded by its offer constraints"),
            Cause::Capability(name) => format!("{agents}: need capability {name}"),
            Cause::NothingFree => format!("{agents}: nothing free"),
            Cause::SetApart => format!("{agents}: what is free is reserved, or of a kind that it cannot use"),
            Cause::NotInGroup(group) => format!("{agents}: not selected by resource group '{group}'"),
            Cause::GroupFull(group) => format!("{agents}: resource group '{group}' holds all the units it may"),
            Cause::NoRoomForUnit(group) => format!("{agents}: no room for a unit of resource group '{group}'"),
            Cause::Exclusive(group) => format!("{agents}: held by the exclusive resource group '{group}'"),
            Cause::LostDraw(group) => format!("{agents}: resource group '{group}' won the draw"),
            Cause::KeptForGroup(group) => {
                format!(
                    "{agents}: kept until a unit has come together for resource group '{group}', which is below its min"
                )
            }
            Cause::Limit(role) => format!("{agents}: the quota limit of role '{role}' leaves no room for an offer"),
            Cause::Headroom(Some(role)) => format!("{agents}: kept free for guarantees, most for role '{role}'"),
            Cause::Headroom(None) => format!("{agents}: kept free for guarantees"),
            Cause::BelowMinimum => format!("{agents}: less free than the minimum of an offer"),
            Cause::Filtered => format!("{agents}: refused before, and filtered until the refusal ends"),
            Cause::OthersFirst(framework) => format!("{agents}: offered to others first, the last to {framework}"),
            Cause::NextCycle => format!("{agents}: to be offered with the next cycle"),
        }
    }
}
