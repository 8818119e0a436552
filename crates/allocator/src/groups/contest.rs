//! The competition at the beginning of a cycle, in pieces that a budget bounds: agents come in, `competition` draws,
//! winners get their purses, and pieces are kept for groups that lack guaranteed units (`kept`). What is done with what
//! was won is in `hand_out`.

use smallvec::SmallVec;
use stdx::{Rng, Tick};

use super::{
    Group,
    competition::{Competition, Contender, Eligible, Outcome, Owner, Supply},
    membership::{Entry, Purse, Row},
};
use crate::{
    allocator::{Agent, Allocator, Client},
    bits::{Bits, Set, ones},
    directory::{Idx, scramble},
    visit::{Candidates, is_allocatable},
};

/// A competition under way.
pub(crate) struct Contest {
    stage: Stage,
    /// Of the cycle's queue, how many agents from its beginning this stage did not look at yet.
    left: usize,
    /// Clients that are tried again for their group's sake.
    woken: Set<Client>,
    /// Groups that want units.
    wanting: Bits,
    /// The agents that came in, by their number in the competition; none for one that is gone since.
    pub(super) numbers: Vec<Option<Idx<Agent>>>,
    /// Of the candidates of the agent that came in last, which groups they are in: most agents have the same.
    met: (Candidates, SmallVec<[u64; 2]>),
    seed: u64,
}

enum Stage {
    Entering(Supply, Vec<Contender>, Eligible),
    Drawing(Box<Competition>),
    /// Up to which number the winners have their purses.
    Paying(Box<Held>, usize),
    /// And up to which it was seen what is left.
    Keeping(Box<Held>, super::kept::Search),
    Over,
}

/// A competition that was held.
pub(super) struct Held {
    pub supply: Supply,
    pub contenders: Vec<Contender>,
    pub outcome: Outcome,
}

/// Looks at an agent in a draw that take as long as one step of a cycle.
const LOOKS_PER_STEP: u64 = 64;

/// Keeps a competition's draws apart from the cycle's other lots.
const DRAW: u64 = 0x6c6f_7473;

impl Contest {
    /// An agent is gone. `at` is where it stood in the cycle's queue.
    pub(crate) fn forget(&mut self, a: Idx<Agent>, at: Option<usize>) {
        if at.is_some_and(|at| at < self.left) {
            self.left -= 1;
        }
        self.numbers.iter_mut().filter(|number| **number == Some(a)).for_each(|number| *number = None);
    }

    pub(crate) fn is_over(&self) -> bool {
        matches!(self.stage, Stage::Over)
    }
}

impl Allocator {
    /// Begins a competition for the agents of a cycle that begins. None without groups.
    pub(crate) fn begin_contest(&mut self, queue: &[Idx<Agent>], seed: u64) -> Option<Contest> {
        if self.groups.is_empty() {
            return None;
        }
        let contenders: Vec<Contender> = self.groups.entries.iter().map(|entry| self.contender(entry)).collect();
        let mut wanting = Bits::default();
        for (g, contender) in contenders.iter().enumerate() {
            wanting.put(g as u32, contender.wanted > 0);
        }
        let mut supply = Supply::new(self.groups.columns().len());
        supply.reserve(queue.len());
        let mut eligible = Eligible::new(contenders.len());
        eligible.reserve(queue.len());
        #[cfg(test)]
        self.note_kept(&[]);
        Some(Contest {
            stage: Stage::Entering(supply, contenders, eligible),
            left: if wanting.is_empty() { 0 } else { queue.len() },
            woken: std::mem::take(&mut self.groups.woken),
            wanting,
            numbers: Vec::with_capacity(queue.len()),
            met: Default::default(),
            seed,
        })
    }

    /// Goes on with it for about so many steps; returns how many it took. `queue` and `clients` are the cycle's.
    pub(crate) fn go_on(
        &mut self,
        now: Tick,
        contest: &mut Contest,
        (queue, clients): (&[Idx<Agent>], &Set<Client>),
        most: usize,
    ) -> usize {
        let mut steps = 0;
        while steps < most && !contest.is_over() {
            contest.stage = match std::mem::replace(&mut contest.stage, Stage::Over) {
                Stage::Entering(mut supply, contenders, mut eligible) => {
                    // The last one in the queue is looked at first.
                    while contest.left > 0 && steps < most {
                        contest.left -= 1;
                        steps += 1;
                        let Some(&a) = queue.get(contest.left) else { continue };
                        self.enter_agent(now, a, clients, contest, &contenders, (&mut supply, &mut eligible));
                    }
                    match contest.left {
                        0 => {
                            let rng = Rng::new(scramble(contest.seed, DRAW));
                            Stage::Drawing(Box::new(Competition::new(supply, contenders, eligible, rng)))
                        }
                        _ => Stage::Entering(supply, contenders, eligible),
                    }
                }
                Stage::Drawing(mut competition) => {
                    let most = u64::try_from(most - steps).unwrap_or(u64::MAX).saturating_mul(LOOKS_PER_STEP);
                    let looks = competition.go_on(most).div_ceil(LOOKS_PER_STEP);
                    steps = steps.saturating_add(usize::try_from(looks).unwrap_or(usize::MAX));
                    match competition.is_over() {
                        true => {
                            let (supply, contenders, outcome) = competition.finish();
                            Stage::Paying(Box::new(Held { supply, contenders, outcome }), 0)
                        }
                        false => Stage::Drawing(competition),
                    }
                }
                Stage::Paying(held, mut number) => {
                    while number < contest.numbers.len() && steps < most {
                        if let Some(a) = contest.numbers.get(number).copied().flatten() {
                            self.fill_purses(a, number as u32, &held.outcome);
                        }
                        number += 1;
                        steps += usize::from(number % 4 == 0);
                    }
                    match number < contest.numbers.len() {
                        true => Stage::Paying(held, number),
                        false => {
                            let search = self.begin_keeping(now, &held);
                            contest.left = if search.is_needed() { queue.len() } else { 0 };
                            Stage::Keeping(held, search)
                        }
                    }
                }
                Stage::Keeping(held, mut search) => {
                    while contest.left > 0 && steps < most {
                        contest.left -= 1;
                        steps += 1;
                        let Some(&a) = queue.get(contest.left) else { continue };
                        self.judge_pieces(a, &contest.numbers, &held, &mut search);
                    }
                    match contest.left {
                        0 => {
                            self.keep_pieces(search);
                            self.end_contest(now, &held, clients);
                            #[cfg(test)]
                            self.note_kept(queue);
                            Stage::Over
                        }
                        _ => Stage::Keeping(held, search),
                    }
                }
                Stage::Over => Stage::Over,
            };
        }
        steps
    }

    fn end_contest(&mut self, now: Tick, held: &Held, clients: &Set<Client>) {
        let mut woken = Vec::new();
        for (entry, result) in self.groups.entries.iter_mut().zip(&held.outcome.results) {
            entry.won_total += result.won;
            if result.wanted == 0 || result.supply > 0 {
                entry.drawn = *result;
            }
            let was_full = std::mem::replace(&mut entry.was_full, result.won >= result.wanted);
            if was_full && !entry.was_full {
                // It has room again; agents that did not change since may have what it wants.
                woken.extend(entry.clients.iter().filter(|c| !clients.has(*c)));
            }
        }
        self.timing().wake_clients(now, woken, true);
    }

    /// Lets groups that have room again look at all agents, though none of these changed.
    pub(crate) fn wake_groups(&mut self, now: Tick) {
        let mut woken = Vec::new();
        for entry in &mut self.groups.entries {
            if entry.was_full && entry.group.max.is_none_or(|max| entry.held_units() < max) {
                entry.was_full = false;
                woken.extend(entry.clients.iter());
            }
        }
        self.timing().wake_clients(now, woken, true);
    }

    fn contender(&self, entry: &Entry) -> Contender {
        let held = entry.held_units();
        let group = &entry.group;
        let mut unit_share = 0.0;
        for (name, amount) in self.groups.columns().iter().zip(&entry.unit) {
            let total = self.scalars.find(name).map_or(0, |position| self.totals.amounts.get(position));
            if *amount > 0 && total > 0 {
                unit_share = f64::max(unit_share, *amount as f64 / total as f64);
            }
        }
        let most = end_of(group).map_or(u64::from(u32::MAX), |max| max.saturating_sub(held));
        Contender {
            unit: entry.unit.to_vec(),
            weight: group.weight,
            unit_share,
            held: entry.whole_units(),
            min: group.min,
            wanted: if self.has_listed(entry) { most } else { 0 },
            exclusive: group.exclusive,
        }
    }

    /// Whether anybody in a group takes offers.
    pub(super) fn has_listed(&self, entry: &Entry) -> bool {
        entry.clients.iter().any(|c| self.clients.get(c).is_some_and(|client| client.listed))
    }

    fn enter_agent(
        &mut self,
        now: Tick,
        a: Idx<Agent>,
        clients: &Set<Client>,
        contest: &mut Contest,
        contenders: &[Contender],
        (supply, eligible): (&mut Supply, &mut Eligible),
    ) {
        let Some(agent) = self.agents.get(a) else { return };
        if !agent.is_offerable() || agent.available.is_empty() {
            return;
        }
        let plain = agent.is_plain();
        self.judge(a, plain);
        let kept = self.judge_kept(now, a, contenders);
        let Some(agent) = self.agents.get(a) else { return };
        let Some(selected) = self.groups.selection(a) else { return };
        let enough = is_allocatable(&self.config.min_allocatable, &agent.available);
        let candidates = self.candidates(agent, enough, (!agent.dirty).then_some((clients, &agent.reopened)));
        if candidates != contest.met.0 {
            contest.met = (candidates.clone(), self.groups.met_by(&candidates));
        }
        let meeting = contest.met.1.iter().enumerate();
        let mut groups: SmallVec<[u64; 2]> =
            meeting.map(|(index, word)| word & selected.word(index) & contest.wanting.word(index)).collect();
        if self.groups.is_spurned(a) {
            let fresh = |c: Idx<Client>| (clients.has(c) && !contest.woken.has(c)) || agent.reopened.has(c);
            let mut forgiven: SmallVec<[u32; 4]> = SmallVec::new();
            for (index, word) in groups.iter_mut().enumerate() {
                for bit in ones(*word) {
                    let g = index as u32 * 64 + bit;
                    let Some(entry) = self.groups.entries.get(g as usize) else { continue };
                    if !self.groups.has_spurned(g, a) {
                        continue;
                    }
                    match agent.dirty || entry.clients.iter().any(fresh) {
                        true => forgiven.push(g),
                        false => *word &= !(1 << bit),
                    }
                }
            }
            for g in forgiven {
                self.groups.note_spurned(g, a, false);
            }
        }
        let Some(agent) = self.agents.get(a) else { return };
        if groups.iter().all(|word| *word == 0) {
            return;
        }
        let mut free = self.groups.divided(&agent.available);
        if let Some(kept) = &kept {
            free.iter_mut().zip(kept).for_each(|(free, kept)| *free -= kept);
        }
        contest.numbers.push(Some(a));
        supply.add(&free, self.groups.weight(a), self.owner(agent));
        eligible.push(groups);
    }

    /// Which groups hold something on an agent.
    pub(crate) fn owner(&self, agent: &Agent) -> Owner {
        let mut owner = Owner::Nobody;
        for (c, _) in &agent.held {
            let group = self.groups.group_of(*c);
            let exclusive = self.groups.entries.get(group as usize).is_some_and(|entry| entry.group.exclusive);
            owner = match owner {
                Owner::Exclusive(holder) if exclusive && holder != group => return Owner::Contested,
                Owner::Exclusive(_) => owner,
                _ if exclusive => Owner::Exclusive(group),
                Owner::Nobody => Owner::Group(group),
                Owner::Group(holder) if holder == group => owner,
                _ => Owner::Several,
            };
        }
        owner
    }

    fn fill_purses(&mut self, a: Idx<Agent>, number: u32, outcome: &Outcome) {
        let mut purses: SmallVec<[Purse; 1]> = SmallVec::with_capacity(outcome.wins(number).count());
        for (group, units) in outcome.wins(number) {
            let Some(entry) = self.groups.entries.get(group as usize) else { continue };
            let left: Row = entry.unit.iter().map(|amount| amount * i64::from(units)).collect();
            purses.push(Purse { group, left });
        }
        #[cfg(test)]
        self.note_wins(a, &purses);
        if let Some(of) = self.groups.purses_mut(a) {
            *of = purses;
        }
    }

    /// Tells the oracle who won what.
    #[cfg(test)]
    fn note_wins(&mut self, a: Idx<Agent>, purses: &[Purse]) {
        let (Some(agent), Some(run)) = (self.agents.get(a), &mut self.last_run) else { return };
        let units = |purse: &Purse| {
            let unit =
                self.groups.entries.get(purse.group as usize).map(|entry| entry.unit.clone()).unwrap_or_default();
            (purse.group as usize, u64::from(super::competition::room(&unit, &purse.left)))
        };
        run.wins.insert(agent.id.clone(), purses.iter().map(units).collect());
    }
}

/// How many units a group may hold.
fn end_of(group: &Group) -> Option<u64> {
    stdx::bug!("group_without_end", return None);
    group.max
}
