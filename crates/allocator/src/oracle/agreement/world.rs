//! The allocator and the oracle side by side: each step happens to both, and what they grant is compared.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use model::{AgentId, FrameworkId};
use resources::{Reservation, Resources, conversion::Conversion};
use stdx::{Rng, Tick};

use super::history::{ROLES, Step, total};
use crate::{
    Allocator, AllocatorConfig, Budget, Grant, Group, InverseAnswer, InverseGrant, Quota, Settlement,
    groups::check_together,
    oracle::{Oracle, Run},
};

fn framework(n: u8) -> FrameworkId {
    FrameworkId::from(format!("framework-{n:02}"))
}

fn agent(n: u8) -> AgentId {
    AgentId::from(format!("agent-{n:02}"))
}

fn millis(n: Option<u16>) -> Option<Duration> {
    n.filter(|n| *n > 0).map(|n| Duration::from_millis(n.into()))
}

fn text(grants: &[Grant]) -> Vec<String> {
    grants
        .iter()
        .map(|g| {
            let group = g.group.as_deref().unwrap_or("-");
            format!("{} in {} ({group}) gets of {}: {}", g.framework, g.role, g.agent, g.resources)
        })
        .collect()
}

pub(super) struct World {
    pub now: Tick,
    pub allocator: Allocator,
    pub oracle: Oracle,
    pub offers: Vec<Grant>,
    inverse: Vec<InverseGrant>,
    running: Vec<(FrameworkId, AgentId, Resources)>,
}

impl World {
    pub fn new(config: AllocatorConfig, seed: u64) -> World {
        World {
            now: Tick(10_000_000),
            oracle: Oracle::new(config.clone()),
            allocator: Allocator::new(config, Rng::new(seed)),
            offers: Vec::new(),
            inverse: Vec::new(),
            running: Vec::new(),
        }
    }

    pub fn apply(&mut self, step: &Step) {
        let now = self.now;
        let (real, oracle) = (&mut self.allocator, &mut self.oracle);
        let names = |roles: &[usize]| roles.iter().map(|r| ROLES[*r].to_owned()).collect::<Vec<_>>();
        match step {
            Step::AddFramework(f, shape) => {
                let id = framework(*f);
                self.offers.retain(|offer| offer.framework != id);
                let mut used = BTreeMap::<AgentId, Resources>::new();
                for agent in (0..16).map(agent) {
                    used.insert(agent, Resources::EMPTY);
                }
                for (_, agent, resources) in self.running.iter().filter(|(f, ..)| *f == id) {
                    *used.entry(agent.clone()).or_default() += resources;
                }
                real.add_framework(now, &id, shape.profile(), &used);
                oracle.add_framework(&id, shape.profile(), &used);
            }
            Step::UpdateFramework(f, shape) => {
                real.update_framework(now, &framework(*f), shape.profile());
                oracle.update_framework(&framework(*f), shape.profile());
            }
            Step::RemoveFramework(f) => {
                let id = framework(*f);
                real.remove_framework(now, &id);
                oracle.remove_framework(&id);
                self.offers.retain(|offer| offer.framework != id);
                self.running.retain(|(f, ..)| *f != id);
            }
            Step::Connect(f, on) => {
                let id = framework(*f);
                if *on {
                    real.activate_framework(now, &id)
                } else {
                    real.deactivate_framework(now, &id)
                }
                oracle.set_framework_active(&id, *on);
            }
            Step::Suppress(f, roles) => {
                real.suppress(now, &framework(*f), &names(roles));
                oracle.suppress(&framework(*f), &names(roles));
            }
            Step::Revive(f, roles) => {
                real.revive(now, &framework(*f), &names(roles));
                oracle.revive(&framework(*f), &names(roles));
            }
            Step::Weight(role, weight) => {
                real.set_weight(ROLES[*role], *weight);
                oracle.set_weight(ROLES[*role], *weight);
            }
            Step::AddAgent(a, machine) => {
                let id = agent(*a);
                let mut used = BTreeMap::<FrameworkId, Resources>::new();
                for (f, _, resources) in self.running.iter().filter(|(_, at, _)| *at == id) {
                    *used.entry(f.clone()).or_default() += resources;
                }
                self.offers.retain(|offer| offer.agent != id);
                real.add_agent(now, &id, machine.profile(*a), total(machine.total), &used);
                oracle.add_agent(now, &id, machine.profile(*a), total(machine.total), &used);
            }
            Step::Total(a, index) => {
                real.update_agent_total(now, &agent(*a), total(*index));
                oracle.update_agent_total(&agent(*a), total(*index));
            }
            Step::Profile(a, machine) => {
                real.update_agent_profile(now, &agent(*a), machine.profile(*a));
                oracle.update_agent_profile(&agent(*a), machine.profile(*a));
            }
            Step::Activate(a, on) => {
                if *on {
                    real.activate_agent(now, &agent(*a))
                } else {
                    real.deactivate_agent(now, &agent(*a))
                }
                oracle.set_agent_active(&agent(*a), *on);
            }
            Step::RemoveAgent(a) => {
                let id = agent(*a);
                real.remove_agent(now, &id);
                oracle.remove_agent(&id);
                self.offers.retain(|offer| offer.agent != id);
                self.running.retain(|(_, a, _)| *a != id);
            }
            Step::Whitelist(list) => {
                let list: Option<BTreeSet<String>> =
                    list.as_ref().map(|list| list.iter().map(|a| format!("host{a}")).collect());
                real.set_whitelist(now, list.clone());
                oracle.set_whitelist(list);
            }
            Step::Settle { offer, use_part, reserve, filter } => {
                if self.offers.is_empty() {
                    return;
                }
                let offer = self.offers.swap_remove(offer % self.offers.len());
                let settlement = settlement(&offer, *use_part, *reserve, *filter);
                if !settlement.used.is_empty() {
                    self.running.push((offer.framework.clone(), offer.agent.clone(), settlement.used.clone()));
                }
                oracle.settle(now, &offer.framework, &offer.agent, &settlement);
                real.settle(now, &offer.framework, &offer.agent, settlement);
            }
            Step::Rescind(n) => {
                if self.offers.is_empty() {
                    return;
                }
                let offer = self.offers.swap_remove(n % self.offers.len());
                real.recover(now, &offer.framework, &offer.agent, &offer.resources, None);
                oracle.recover(now, &offer.framework, &offer.agent, &offer.resources, None);
            }
            Step::Finish(n, filter) => {
                if self.running.is_empty() {
                    return;
                }
                let (f, a, resources) = self.running.swap_remove(n % self.running.len());
                real.recover(now, &f, &a, &resources, millis(*filter));
                oracle.recover(now, &f, &a, &resources, millis(*filter));
            }
            Step::Quota(role, quota) => {
                let change = BTreeMap::from([(ROLES[*role].to_owned(), Quota::clone(quota))]);
                if real.check_quotas(&change, true).is_ok() {
                    real.set_quota(now, ROLES[*role], Quota::clone(quota));
                    oracle.set_quota(ROLES[*role], Quota::clone(quota));
                }
                assert_eq!(real.quotas(), oracle.quotas());
            }
            Step::Groups(specs) => {
                let groups: Vec<Group> = specs.iter().map(|spec| spec.group()).collect();
                let by_name = groups.iter().map(|group| (group.name.clone(), group.clone())).collect();
                if check_together(&by_name, None).is_ok() {
                    let groups: Vec<Group> = by_name.into_values().collect();
                    real.set_groups(now, groups.clone());
                    oracle.set_groups(groups);
                }
            }
            Step::Reserve(a, role) => {
                let free = real.available(&agent(*a)).cloned().unwrap_or_default();
                let free = free.filter(|r| r.is_unreserved() && !r.is_revocable() && r.scalar().is_some());
                let consumed = free.get("cpus");
                let reservation = Reservation::new_dynamic(ROLES[*role], None);
                if let Ok(converted) = consumed.push_reservation(&reservation) {
                    self.convert(*a, consumed, converted);
                }
            }
            Step::Unreserve(a) => {
                let free = real.available(&agent(*a)).cloned().unwrap_or_default();
                let consumed = free.filter(|r| r.is_dynamically_reserved() && !r.is_persistent_volume());
                if let Ok(converted) = consumed.pop_reservation() {
                    self.convert(*a, consumed, converted);
                }
            }
            Step::Unavailable(a, on) => {
                real.set_unavailability(now, &agent(*a), on.then(Default::default));
                oracle.set_unavailability(&agent(*a), *on);
            }
            Step::AnswerInverse(n, answer, filter) => {
                if self.inverse.is_empty() {
                    return;
                }
                let inverse = self.inverse.swap_remove(n % self.inverse.len());
                let answer = answer.map(|yes| if yes { InverseAnswer::Accept } else { InverseAnswer::Decline });
                real.settle_inverse_offer(now, &inverse.agent, &inverse.framework, answer, millis(*filter));
                oracle.settle_inverse_offer(now, &inverse.agent, &inverse.framework, millis(*filter));
            }
            Step::Recovery(agents) => {
                real.begin_recovery(now, (*agents).into());
                oracle.begin_recovery(now, (*agents).into());
            }
            Step::Wait(n) => self.now = now + Duration::from_millis((*n).into()),
        }
    }

    fn convert(&mut self, a: u8, consumed: Resources, converted: Resources) {
        let conversion = [Conversion { consumed, converted, gone: None }];
        let done = self.allocator.update_available(self.now, &agent(a), &conversion).is_ok();
        assert_eq!(done, self.oracle.update_available(&agent(a), &conversion));
    }

    /// Lets both allocate what is due, cut into pieces of `budget`, and compares.
    pub fn run(&mut self, budget: Budget) {
        match self.allocator.next_deadline() {
            None => self.expect_nothing(self.now),
            Some((deadline, _)) if deadline <= self.now => {
                let mut grants = self.allocator.allocate(self.now, budget);
                while self.allocator.cycle.is_some() {
                    grants.extend(self.allocator.allocate(self.now, budget));
                }
                let run = self.allocator.last_run.clone().unwrap();
                assert!(!run.began || !self.oracle.is_recovering(self.now), "offers while recovering");
                if run.began {
                    let before = self.oracle.bounds();
                    assert_eq!(text(&grants), text(&self.oracle.allocate(&run)));
                    self.oracle.check_bounds(&before);
                } else {
                    assert_eq!(grants, []);
                }
                self.offers.extend(grants);
            }
            Some(_) => assert_eq!(self.allocator.allocate(self.now, budget), []),
        }
    }

    /// Lets only the allocator allocate; the oracle follows.
    pub fn allocate_unchecked(&mut self, budget: Budget) {
        let grants = self.allocator.allocate(self.now, budget);
        for grant in &grants {
            self.oracle.hold(&grant.agent, &grant.framework, &grant.role, &grant.resources.unallocate());
        }
        self.offers.extend(grants);
    }

    /// Lets both make inverse offers, and compares.
    pub fn run_inverse(&mut self) {
        let inverse = self.allocator.inverse_grants(self.now);
        let pairs: BTreeSet<_> = inverse.iter().map(|i| (i.framework.clone(), i.agent.clone())).collect();
        assert_eq!(pairs.len(), inverse.len());
        assert_eq!(pairs, self.oracle.inverse_grants(self.now));
        self.inverse.extend(inverse);
    }

    /// Nothing could be granted at `at`.
    pub fn expect_nothing(&self, at: Tick) {
        let run = Run { cutoff: at, kept: self.allocator.kept(), ..Default::default() };
        for (id, group) in &run.kept {
            assert!(self.oracle.lacks(*group, 0), "pieces of {id} are still kept for group {group}");
        }
        let grants = self.oracle.clone().allocate(&run);
        assert!(grants.is_empty(), "{:?}", text(&grants));
        let settled = |agent: &AgentId, group: usize| {
            let a = self.allocator.agents.find(agent);
            a.is_some_and(|a| self.allocator.groups.has_spurned(group as u32, a))
        };
        for run in self.oracle.clone().possible_wins(&run, settled) {
            let grants = self.oracle.clone().allocate(&run);
            assert!(grants.is_empty(), "{:?} would bring {:?}", run.wins, text(&grants));
        }
    }

    pub fn check(&mut self) {
        self.allocator.check_invariants().unwrap();
    }

    /// All that the allocator keeps up to date is what the oracle adds up.
    pub fn check_shares(&mut self) {
        let shares = self.allocator.role_shares();
        assert!(shares.keys().map(|role| role.to_string()).eq(self.oracle.roles()), "{shares:?}");
        for (role, share) in shares {
            assert_eq!(share, self.oracle.role_share(&role), "share of role {role}");
            for name in ["cpus", "mem", "disk"] {
                let consumed = self.allocator.quota_consumption(&role).named(name).0;
                assert_eq!(consumed, self.oracle.consumed(&role, name), "{name} consumed by {role}");
            }
            for (id, share) in self.allocator.framework_shares(&role) {
                assert_eq!(share, self.oracle.client_share(&id, &role), "share of {id} in {role}");
            }
        }
    }

    /// Allocates until nothing is left to do; the oracle must agree that nothing is.
    pub fn finish(&mut self) {
        for _ in 0..200 {
            self.run(Budget::UNLIMITED);
            self.run_inverse();
            let Some((deadline, _)) = self.allocator.next_deadline() else { break };
            self.now = self.now.max(deadline);
        }
    }
}

fn settlement(offer: &Grant, use_part: u8, reserve: bool, filter: Option<u16>) -> Settlement {
    let mut conversions = Vec::new();
    let mut rest = offer.resources.clone();
    if reserve && *offer.role != *"*" {
        let consumed = rest.filter(|r| r.is_unreserved() && !r.is_revocable() && r.scalar().is_some());
        let consumed = consumed.filter(|r| *r.name() == "cpus");
        let reservation = resources::Reservation::new_dynamic(offer.role.clone(), None);
        if let Ok(converted) = consumed.push_reservation(&reservation)
            && !consumed.is_empty()
        {
            rest = rest - &consumed + &converted;
            conversions.push(Conversion { consumed, converted, gone: None });
        }
    }
    let used = match use_part {
        0 | 1 => Resources::EMPTY,
        2 => rest.clone(),
        3 => rest.get("cpus") + &rest.shared() + &rest.shared(),
        _ => rest
            .iter()
            .filter_map(|r| Some(r.with_scalar(resources::Quantity(r.scalar()?.0 / 2))))
            .filter(|r| !r.is_exclusive())
            .collect(),
    };
    Settlement { offered: offer.resources.clone(), conversions, used, filter: millis(filter) }
}
