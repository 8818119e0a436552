//! Pieces kept for groups that lack guaranteed units. A group whose unit is larger than what comes free at a time would
//! never win one: whoever takes less takes each piece at once. So while a group holds less than its minimum, what comes
//! free on a few agents is kept there until a unit has come together, and then drawn for. On no more agents than units
//! are missing; but when that does not help for long, because what else is there never comes free, on more and more.

use std::collections::{BTreeMap, BTreeSet};

use smallvec::SmallVec;
use stdx::Tick;

use super::{
    competition::{Contender, Owner, Shape},
    contest::Held,
    membership::{Entry, Row},
};
use crate::{
    allocator::{Agent, Allocator, Client},
    bits::ones,
    directory::Idx,
    schedule::Urgency,
};

/// After each so many nanoseconds without its minimum, a group has pieces kept on as many agents again.
const PATIENCE: u64 = 60_000_000_000;

/// What is looked for to be kept: for each group, on how many more agents, and the best so far.
#[derive(Default)]
pub(super) struct Search {
    lacking: BTreeMap<u32, Lack>,
    /// How many numbers of the competition were passed.
    number: usize,
}

struct Lack {
    most: usize,
    shape: Shape,
    /// What part of a unit is there, in millionths, and the agent.
    best: BTreeSet<(u64, Idx<Agent>)>,
}

impl Search {
    pub fn is_needed(&self) -> bool {
        !self.lacking.is_empty()
    }
}

impl Allocator {
    /// What of an agent is kept for a group, if anything.
    pub(crate) fn kept_of(&self, a: Idx<Agent>, agent: &Agent) -> Option<(u32, Row)> {
        let g = *self.groups.kept.get(&a)?;
        let entry = self.groups.entries.get(g as usize)?;
        let mut kept = self.groups.divided(&agent.available);
        if !entry.group.exclusive {
            kept.iter_mut().zip(&entry.unit).for_each(|(kept, amount)| *kept = (*kept).min(*amount));
        }
        Some((g, kept))
    }

    /// An agent comes into a competition: says what of it is kept still. When a unit has come together, or the group
    /// has no use for it any more, everybody may have it.
    pub(super) fn judge_kept(&mut self, now: Tick, a: Idx<Agent>, contenders: &[Contender]) -> Option<Row> {
        if self.groups.kept.is_empty() {
            return None;
        }
        let agent = self.agents.get(a)?;
        let (g, kept) = self.kept_of(a, agent)?;
        let contender = contenders.get(g as usize)?;
        let lacks = contender.held < contender.min && contender.wanted > 0;
        let shape = Shape::new(&contender.unit);
        if lacks && self.part_of_unit(a, agent, g, &shape, None).is_some() {
            return Some(kept);
        }
        self.give_up_kept(now, a);
        None
    }

    /// Gives up what nobody needs any more, and notes who lacks units.
    pub(super) fn begin_keeping(&mut self, now: Tick, held: &Held) -> Search {
        let mut search = Search::default();
        let results = held.contenders.iter().zip(&held.outcome.results);
        let lacks = results.map(|(of, result)| match result.won < result.wanted {
            true => of.min.saturating_sub(of.held + result.won),
            false => 0,
        });
        for (g, missing) in lacks.enumerate() {
            let g = g as u32;
            let mut kept: Vec<Idx<Agent>> =
                self.groups.kept.iter().filter(|(_, of)| **of == g).map(|(a, _)| *a).collect();
            kept.retain(|a| {
                let usable = missing > 0 && self.agents.get(*a).is_some_and(Agent::is_offerable);
                if !usable {
                    self.give_up_kept(now, *a);
                }
                usable
            });
            let Some(entry) = self.groups.entries.get_mut(g as usize) else { continue };
            if missing == 0 {
                entry.lacking_since = None;
                continue;
            }
            let since = *entry.lacking_since.get_or_insert(now);
            let most = missing.saturating_mul(1 + now.0.saturating_sub(since.0) / PATIENCE);
            let most = usize::try_from(most).unwrap_or(usize::MAX);
            for a in kept.split_off(most.min(kept.len())) {
                self.give_up_kept(now, a);
            }
            if most > kept.len() {
                let shape = held.contenders.get(g as usize).map(|of| Shape::new(&of.unit)).unwrap_or_default();
                search.lacking.insert(g, Lack { most: most - kept.len(), shape, best: BTreeSet::new() });
            }
        }
        search
    }

    /// Looks whether an agent of the cycle has a piece that is worth to be kept.
    pub(super) fn judge_pieces(&self, a: Idx<Agent>, numbers: &[Option<Idx<Agent>>], held: &Held, search: &mut Search) {
        while numbers.get(search.number).is_some_and(Option::is_none) {
            search.number += 1;
        }
        let number = (numbers.get(search.number).copied().flatten() == Some(a)).then_some(search.number as u32);
        search.number += usize::from(number.is_some());
        let (Some(agent), Some(selected)) = (self.agents.get(a), self.groups.selection(a)) else { return };
        if !agent.is_offerable() || agent.available.is_empty() || self.groups.kept.contains_key(&a) {
            return;
        }
        let free = number.map(|number| held.supply.free(number));
        let won = number.and_then(|number| held.outcome.wins(number).next()).is_some();
        for index in 0..selected.words() {
            for bit in ones(selected.word(index)) {
                let g = index as u32 * 64 + bit;
                let Some(lack) = search.lacking.get_mut(&g) else { continue };
                let is_exclusive = self.groups.entries.get(g as usize).is_some_and(|entry| entry.group.exclusive);
                if won && is_exclusive {
                    continue;
                }
                if let Some(part) = self.part_of_unit(a, agent, g, &lack.shape, free) {
                    lack.best.insert((part, a));
                    if lack.best.len() > lack.most {
                        lack.best.pop_first();
                    }
                }
            }
        }
    }

    /// Keeps the best pieces; an agent is kept for one group.
    pub(super) fn keep_pieces(&mut self, search: Search) {
        for (g, lack) in search.lacking {
            for (_, a) in lack.best {
                self.groups.kept.entry(a).or_insert(g);
            }
        }
    }

    /// What part of a unit of a group an agent has free, in millionths, if it is less than one and more may come: it
    /// has room for one when all is free, and one of the group's frameworks would be offered it.
    fn part_of_unit(&self, a: Idx<Agent>, agent: &Agent, g: u32, shape: &Shape, free: Option<&[i64]>) -> Option<u64> {
        let entry = self.groups.entries.get(g as usize)?;
        let is_drawn = self.groups.weight(a) > 0.0 && self.groups.selection(a).is_some_and(|groups| groups.has(g));
        let is_barred = match self.owner(agent) {
            Owner::Exclusive(holder) => holder != g,
            Owner::Contested => true,
            Owner::Nobody | Owner::Group(_) | Owner::Several => false,
        };
        if !is_drawn || is_barred || self.groups.has_spurned(g, a) || !self.would_be_offered(agent, entry) {
            return None;
        }
        let total = self.groups.divided(&agent.total);
        if shape.room(&total) == 0 {
            return None;
        }
        let own: Row;
        let free = match free {
            Some(free) => free,
            None => {
                own = self.groups.divided(&agent.available);
                &own
            }
        };
        let may_begin = !entry.group.exclusive || matches!(self.owner(agent), Owner::Nobody | Owner::Exclusive(_));
        if may_begin && shape.room(free) > 0 {
            return None;
        }
        // An exclusive group needs all of the agent, others what their unit names.
        let whole = if entry.group.exclusive { &total } else { &entry.unit };
        let named = entry.unit.iter().zip(free).zip(whole).filter(|((unit, _), _)| **unit > 0);
        let parts: SmallVec<[f64; 4]> =
            named.map(|((_, free), whole)| (*free as f64 / (*whole).max(1) as f64).clamp(0.0, 1.0)).collect();
        let mean = parts.iter().sum::<f64>() / parts.len().max(1) as f64;
        Some((mean * 1e6) as u64).filter(|part| *part > 0)
    }

    /// Whether no filter, constraint or missing capability keeps all of a group's frameworks from an agent.
    fn would_be_offered(&self, agent: &Agent, entry: &Entry) -> bool {
        entry.meets(&self.candidates(agent, true, None))
    }

    /// Lets everybody have what was kept of an agent.
    pub(crate) fn give_up_kept(&mut self, now: Tick, a: Idx<Agent>) {
        if self.groups.kept.remove(&a).is_some() {
            self.timing().mark_agent(now, a, Urgency::Freed);
        }
    }

    /// A client left its group's offers: if it was the last one, nothing is kept for the group any more.
    pub(crate) fn look_at_kept(&mut self, now: Tick, c: Idx<Client>) {
        let g = self.groups.group_of(c);
        if self.groups.kept.is_empty() || self.groups.entries.get(g as usize).is_none_or(|entry| self.has_listed(entry))
        {
            return;
        }
        let kept: Vec<Idx<Agent>> = self.groups.kept.iter().filter(|(_, of)| **of == g).map(|(a, _)| *a).collect();
        kept.into_iter().for_each(|a| self.give_up_kept(now, a));
    }

    /// Tells the oracle what is kept for whom: on the agents of the cycle, which may be given up, and on others, which
    /// wait for the next one.
    #[cfg(test)]
    pub(super) fn note_kept(&mut self, queue: &[Idx<Agent>]) {
        let mut kept = self.kept();
        let judged: BTreeSet<_> = queue.iter().filter_map(|a| Some(self.agents.get(*a)?.id.clone())).collect();
        if let Some(run) = &mut self.last_run {
            let before = std::mem::take(&mut run.kept);
            kept.extend(before.into_iter().filter(|(id, _)| !judged.contains(id)));
            (run.kept, run.judged) = (kept, judged);
        }
    }

    #[cfg(test)]
    pub(crate) fn kept(&self) -> BTreeMap<model::AgentId, usize> {
        let kept = self.groups.kept.iter();
        kept.filter_map(|(a, g)| Some((self.agents.get(*a)?.id.clone(), *g as usize))).collect()
    }
}
