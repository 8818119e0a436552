//! What always holds, for tests: nothing is handed out twice, and every sum agrees with its parts.

use resources::Resources;

use crate::{
    allocator::{Allocator, Client},
    directory::Idx,
    scalars::Amounts,
};

impl Allocator {
    /// The first broken invariant, in words.
    pub fn check_invariants(&mut self) -> Result<(), String> {
        let mut sums: std::collections::BTreeMap<Idx<Client>, Amounts> = Default::default();
        let mut total = Amounts::default();
        for (a, agent) in self.agents.iter() {
            let held: Resources = agent.held.iter().map(|(_, resources)| resources.non_shared()).sum();
            let out_and_in = held.clone() + agent.available.non_shared();
            if !agent.overcommitted && out_and_in != agent.total.non_shared() {
                return Err(format!("{}: {held} held and {} available of {}", agent.id, agent.available, agent.total));
            }
            if agent.queued != self.schedule.agents.contains(&a) {
                return Err(format!("{} is noted as queued: {}, but is not so", agent.id, agent.queued));
            }
            let waits = agent.queued || self.cycle.as_ref().is_some_and(|cycle| cycle.queue.contains(&a));
            if agent.dirty && !waits {
                return Err(format!("{} is dirty and nobody will look at it", agent.id));
            }
            let noted = agent.expiry.is_none_or(|expiry| self.expiries.contains(&(expiry, a)));
            if !noted || agent.filters.next_deadline().is_some_and(|next| agent.expiry.is_none_or(|e| e > next)) {
                return Err(format!("{}: no one waits for the end of its filters", agent.id));
            }
            for (c, resources) in &agent.held {
                if self.clients.get(*c).is_none() {
                    return Err(format!("{}: {resources} held by nobody", agent.id));
                }
                sums.entry(*c).or_default().add(&self.scalars.amounts(resources));
            }
            total.add(&agent.total_amounts);
        }
        let mut difference = self.totals.amounts.clone();
        difference.sub(&total);
        if !difference.is_zero() {
            return Err("the cluster's total is not the sum of its agents'".to_owned());
        }
        for (c, client) in self.clients.iter() {
            let mut difference = client.standing.amounts.clone();
            difference.sub(&sums.remove(&c).unwrap_or_default());
            if !difference.is_zero() {
                return Err(format!("client {c:?} does not hold what its standing says"));
            }
        }
        Ok(())
    }
}
