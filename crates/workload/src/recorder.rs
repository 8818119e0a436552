//! Counts while tasks arrive, start and end: what is held and waited for at each moment, and since when. `outcome` is
//! what it makes of that at the end.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use resources::{Name, Quantities, Quantity};

use crate::outcome::{
    self, GroupOutcome, Moment, Outcome, PartyOutcome, TaskCounts, Uses, Waits, amounts, jain, rounded,
};

/// A framework in one of its roles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Party(u32);

pub struct Recorder {
    now: Duration,
    /// Means are over the time from here on.
    measured_from: Duration,
    capacity: Quantities,
    weights: BTreeMap<String, f64>,
    parties: Vec<State>,
    roles: Vec<Arc<str>>,
    /// By role, where there are resource groups.
    groups: BTreeMap<Arc<str>, String>,
    fairness_in: BTreeMap<String, Vec<f64>>,
    numbers: BTreeMap<(Arc<str>, Arc<str>), u32>,
    whole: Held,
    /// The capacity times time.
    offered: BTreeMap<Name, f64>,
    peak: BTreeMap<Name, f64>,
    moments: Vec<Moment>,
    period: Duration,
    next_moment: Duration,
    fairness: Vec<f64>,
    first_arrival: Option<Duration>,
    last_end: Duration,
}

struct State {
    role: Arc<str>,
    framework: Arc<str>,
    role_number: usize,
    held: Held,
    share: Held,
    waiting: Quantities,
    tasks: TaskCounts,
    waits: Vec<f64>,
}

/// Amounts, and the amounts times the time they were held.
#[derive(Default)]
struct Held {
    now: Quantities,
    since: Duration,
    integral: BTreeMap<Name, f64>,
}

impl Held {
    fn until(&mut self, now: Duration, from: Duration) {
        let secs = now.saturating_sub(self.since.max(from)).as_secs_f64();
        self.since = now.max(self.since);
        if secs > 0.0 {
            for (name, amount) in self.now.iter() {
                *self.integral.entry(name.clone()).or_default() += amount.as_f64() * secs;
            }
        }
    }
}

const MOMENTS_MAX: usize = 1200;
const PERIOD: Duration = Duration::from_millis(100);
/// Shares are kept as amounts too, in millionths.
const SHARE: &str = "share";
const SHARE_SCALE: f64 = 1e6;

impl Recorder {
    pub fn new(capacity: Quantities) -> Recorder {
        Recorder {
            now: Duration::ZERO,
            measured_from: Duration::ZERO,
            capacity,
            weights: BTreeMap::new(),
            parties: Vec::new(),
            roles: Vec::new(),
            groups: BTreeMap::new(),
            fairness_in: BTreeMap::new(),
            numbers: BTreeMap::new(),
            whole: Held::default(),
            offered: BTreeMap::new(),
            peak: BTreeMap::new(),
            moments: Vec::new(),
            period: PERIOD,
            next_moment: Duration::ZERO,
            fairness: Vec::new(),
            first_arrival: None,
            last_end: Duration::ZERO,
        }
    }

    /// Leaves the time before out of all means.
    pub fn measured_from(mut self, moment: Duration) -> Recorder {
        self.measured_from = moment;
        self
    }

    /// The weights of roles, for fairness; 1 without.
    pub fn weights(mut self, weights: BTreeMap<String, f64>) -> Recorder {
        self.weights = weights;
        self
    }

    /// The resource group of each role; without, there are none.
    pub fn groups(mut self, of_roles: BTreeMap<Arc<str>, String>) -> Recorder {
        self.groups = of_roles;
        self
    }

    /// The number of a framework in a role; make it once and keep it.
    pub fn party(&mut self, role: &Arc<str>, framework: &Arc<str>) -> Party {
        if let Some(number) = self.numbers.get(&(role.clone(), framework.clone())) {
            return Party(*number);
        }
        let number = u32::try_from(self.parties.len()).unwrap_or(u32::MAX);
        let role_number = self.roles.iter().position(|known| known == role).unwrap_or_else(|| {
            self.roles.push(role.clone());
            self.roles.len() - 1
        });
        self.numbers.insert((role.clone(), framework.clone()), number);
        self.parties.push(State {
            role: role.clone(),
            framework: framework.clone(),
            role_number,
            held: Held::default(),
            share: Held::default(),
            waiting: Quantities::default(),
            tasks: TaskCounts::default(),
            waits: Vec::new(),
        });
        Party(number)
    }

    /// Agents came or went.
    pub fn capacity(&mut self, now: Duration, capacity: Quantities) {
        self.advance(now);
        self.capacity = capacity;
        for number in 0..self.parties.len() {
            self.reshare(number);
        }
    }

    /// Tasks that each want `demand` begin to wait.
    pub fn arrived(&mut self, now: Duration, party: Party, demand: &Quantities, count: u64) {
        self.advance(now);
        self.first_arrival.get_or_insert(now);
        if let Some(state) = self.parties.get_mut(party.0 as usize) {
            state.waiting = state.waiting.clone() + &demand.scale(count as f64);
            state.tasks.arrived += count;
            state.tasks.waiting += count;
        }
    }

    /// One of them runs now.
    pub fn started(&mut self, now: Duration, party: Party, demand: &Quantities, waited: Duration) {
        self.change(now, party, |state| {
            state.waiting = state.waiting.clone() - demand;
            state.held.now += demand;
            state.tasks.waiting = state.tasks.waiting.saturating_sub(1);
            state.tasks.running += 1;
            state.tasks.started += 1;
            state.waits.push(waited.as_secs_f64());
        });
        self.whole.now += demand;
        for (name, amount) in self.whole.now.iter() {
            let used = amount.as_f64();
            let peak = self.peak.entry(name.clone()).or_default();
            *peak = peak.max(used);
        }
    }

    /// One that runs has done its work.
    pub fn ended(&mut self, now: Duration, party: Party, demand: &Quantities) {
        self.stopped(now, party, demand);
        self.last_end = self.last_end.max(now);
        if let Some(state) = self.parties.get_mut(party.0 as usize) {
            state.tasks.finished += 1;
        }
    }

    /// One that runs was lost; `arrived` tells when it waits again.
    pub fn lost(&mut self, now: Duration, party: Party, demand: &Quantities) {
        self.stopped(now, party, demand);
        if let Some(state) = self.parties.get_mut(party.0 as usize) {
            state.tasks.lost += 1;
        }
    }

    /// Tasks were lost while they ran, and started again later; of that only the last start is told.
    pub fn retried(&mut self, party: Party, count: u64) {
        if let Some(state) = self.parties.get_mut(party.0 as usize) {
            state.tasks.lost += count;
        }
    }

    fn stopped(&mut self, now: Duration, party: Party, demand: &Quantities) {
        self.change(now, party, |state| {
            state.held.now = state.held.now.clone() - demand;
            state.tasks.running = state.tasks.running.saturating_sub(1);
        });
        self.whole.now = self.whole.now.clone() - demand;
    }

    fn change(&mut self, now: Duration, party: Party, change: impl FnOnce(&mut State)) {
        self.advance(now);
        let from = self.measured_from;
        let number = party.0 as usize;
        let Some(state) = self.parties.get_mut(number) else { return };
        state.held.until(now, from);
        change(state);
        self.reshare(number);
    }

    fn reshare(&mut self, number: usize) {
        let Some(state) = self.parties.get_mut(number) else { return };
        let share = dominant_share(&state.held.now, &self.capacity);
        state.share.until(self.now, self.measured_from);
        state.share.now = Quantities::default();
        state.share.now.add_one(&Name::from(SHARE), Quantity::from_f64(share * SHARE_SCALE));
    }

    /// Time goes on with everything as it is.
    fn advance(&mut self, now: Duration) {
        while self.next_moment < now {
            let at = self.next_moment;
            self.note(at);
            self.next_moment = at + self.period;
        }
        let secs = now.saturating_sub(self.now.max(self.measured_from)).as_secs_f64();
        if secs > 0.0 {
            for (name, amount) in self.capacity.iter() {
                *self.offered.entry(name.clone()).or_default() += amount.as_f64() * secs;
            }
        }
        self.whole.until(now, self.measured_from);
        self.now = self.now.max(now);
    }

    /// Keeps a moment for the charts; when they become too many, every second one goes.
    fn note(&mut self, at: Duration) {
        let mut shares = vec![0.0; self.roles.len()];
        let mut waits = vec![false; self.roles.len()];
        let mut waiting = 0;
        for state in &self.parties {
            if let Some(share) = shares.get_mut(state.role_number) {
                *share += dominant_share(&state.held.now, &self.capacity);
            }
            if let Some(role) = waits.get_mut(state.role_number) {
                *role |= state.tasks.waiting > 0;
            }
            waiting += state.tasks.waiting;
        }
        if at >= self.measured_from {
            let weight = |role: &Arc<str>| self.weights.get(&**role).copied().unwrap_or(1.0);
            let weighted = shares.iter().zip(&self.roles).map(|(share, role)| share / weight(role));
            let wanting: Vec<f64> = weighted.zip(&waits).filter(|(_, waits)| **waits).map(|(share, _)| share).collect();
            self.fairness.extend(jain(&wanting));
            self.note_fairness_in_groups();
        }
        let used = self.capacity.iter().map(|(name, all)| {
            (name.to_string(), rounded(self.whole.now.get(name).as_f64() / all.as_f64().max(f64::MIN_POSITIVE)))
        });
        let used = used.collect();
        let shares = shares.into_iter().map(rounded).collect();
        self.moments.push(Moment { secs: rounded(at.as_secs_f64()), used, shares, waiting });
        if self.moments.len() > MOMENTS_MAX {
            let mut number = 0;
            self.moments.retain(|_| {
                number += 1;
                number % 2 == 1
            });
            self.period *= 2;
        }
    }

    fn note_fairness_in_groups(&mut self) {
        let mut wanting: BTreeMap<&String, Vec<f64>> = BTreeMap::new();
        for state in self.parties.iter().filter(|state| state.tasks.waiting > 0) {
            if let Some(group) = self.groups.get(&state.role) {
                wanting.entry(group).or_default().push(dominant_share(&state.held.now, &self.capacity));
            }
        }
        for (group, shares) in wanting {
            if let Some(fairness) = jain(&shares) {
                self.fairness_in.entry(group.clone()).or_default().push(fairness);
            }
        }
    }

    fn group_outcomes(&self, measured: f64) -> Vec<GroupOutcome> {
        let names: std::collections::BTreeSet<&String> = self.groups.values().collect();
        let outcome = |group: &String| {
            let members: Vec<&State> =
                self.parties.iter().filter(|state| self.groups.get(&state.role) == Some(group)).collect();
            let roles = self.groups.iter().filter(|(_, of)| *of == group).map(|(role, _)| role.to_string());
            let held = PartyOutcome { role: String::new(), ..party_outcome(&members, measured, false) };
            let fairness = self.fairness_in.get(group).map(|all| all.iter().sum::<f64>() / all.len() as f64);
            let fairness = fairness.map(rounded);
            GroupOutcome { group: group.clone(), roles: roles.collect(), fairness, units: None, held }
        };
        names.into_iter().map(outcome).collect()
    }

    pub fn finish(mut self, now: Duration) -> Outcome {
        self.advance(now);
        self.note(now);
        for number in 0..self.parties.len() {
            if let Some(state) = self.parties.get_mut(number) {
                state.held.until(now, self.measured_from);
            }
            self.reshare(number);
        }
        let measured = now.saturating_sub(self.measured_from).as_secs_f64();
        let mut tasks = TaskCounts::default();
        let mut unmet = Quantities::default();
        let mut waits = Vec::new();
        for state in &self.parties {
            tasks.add(&state.tasks);
            unmet += &state.waiting;
            waits.extend_from_slice(&state.waits);
        }
        let last = self.last_end.saturating_sub(self.first_arrival.unwrap_or_default()).as_secs_f64();
        let utilisation = self.offered.iter().filter(|(_, all)| **all > 0.0).map(|(name, all)| {
            let mean = self.whole.integral.get(name).copied().unwrap_or(0.0) / all;
            let capacity = self.capacity.get(name).as_f64().max(f64::MIN_POSITIVE);
            let peak = self.peak.get(name).copied().unwrap_or(0.0) / capacity;
            (name.to_string(), Uses { mean: rounded(mean), peak: rounded(peak) })
        });
        let frameworks: Vec<PartyOutcome> =
            self.parties.iter().map(|state| party_outcome(&[state], measured, true)).collect();
        let roles = self.roles.iter().enumerate().map(|(number, _)| {
            let members: Vec<&State> = self.parties.iter().filter(|state| state.role_number == number).collect();
            party_outcome(&members, measured, false)
        });
        let roles: Vec<PartyOutcome> = roles.collect();
        let fairness = (!self.fairness.is_empty())
            .then(|| rounded(self.fairness.iter().sum::<f64>() / self.fairness.len() as f64));
        let mut outcome = Outcome {
            ended_at_secs: rounded(now.as_secs_f64()),
            makespan_secs: (tasks.waiting + tasks.running == 0 && tasks.arrived > 0).then(|| rounded(last)),
            tasks,
            capacity: amounts(&self.capacity),
            utilisation: utilisation.collect(),
            unmet: amounts(&unmet),
            waits: Waits::of(waits),
            fairness,
            roles,
            frameworks,
            groups: self.group_outcomes(measured),
            moments: std::mem::take(&mut self.moments),
        };
        outcome::sort(&mut outcome);
        outcome
    }
}

fn party_outcome(members: &[&State], measured: f64, named: bool) -> PartyOutcome {
    let over = |integral: f64| if measured > 0.0 { rounded(integral / measured) } else { 0.0 };
    let mut held_mean: BTreeMap<String, f64> = BTreeMap::new();
    let mut tasks = TaskCounts::default();
    let (mut held, mut unmet, mut waits, mut share_mean, mut share) =
        (Quantities::default(), Quantities::default(), Vec::new(), 0.0, 0.0);
    for state in members {
        for (name, integral) in &state.held.integral {
            *held_mean.entry(name.to_string()).or_default() += over(*integral);
        }
        tasks.add(&state.tasks);
        held += &state.held.now;
        unmet += &state.waiting;
        waits.extend_from_slice(&state.waits);
        share += state.share.now.named(SHARE).as_f64() / SHARE_SCALE;
        share_mean += over(state.share.integral.get(&Name::from(SHARE)).copied().unwrap_or(0.0)) / SHARE_SCALE;
    }
    let first = members.first();
    PartyOutcome {
        role: first.map(|state| state.role.to_string()).unwrap_or_default(),
        framework: first.filter(|_| named).map(|state| state.framework.to_string()),
        share_mean: rounded(share_mean),
        share_end: rounded(share),
        held_mean,
        held_end: amounts(&held),
        unmet: amounts(&unmet),
        tasks,
        waits: Waits::of(waits),
    }
}

/// The largest part that `held` is of the whole of any resource.
fn dominant_share(held: &Quantities, capacity: &Quantities) -> f64 {
    let share = |(name, amount): (&Name, Quantity)| match capacity.get(name).as_f64() {
        all if all > 0.0 => amount.as_f64() / all,
        _ => 0.0,
    };
    held.iter().map(share).fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(cpus: f64, mem: f64) -> Quantities {
        [("cpus", cpus), ("mem", mem)].into_iter().map(|(n, q)| (Name::from(n), Quantity::from_f64(q))).collect()
    }

    fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    #[test]
    fn shares_waits_and_utilisation_are_means_over_time() {
        let mut recorder = Recorder::new(of(10.0, 1000.0));
        let (web, batch) =
            (recorder.party(&"web".into(), &"shop".into()), recorder.party(&"batch".into(), &"crunch".into()));
        recorder.arrived(secs(0), web, &of(5.0, 100.0), 1);
        recorder.started(secs(0), web, &of(5.0, 100.0), secs(0));
        recorder.arrived(secs(5), batch, &of(1.0, 800.0), 2);
        recorder.started(secs(7), batch, &of(1.0, 800.0), secs(2));
        recorder.ended(secs(10), web, &of(5.0, 100.0));
        let outcome = recorder.finish(secs(20));
        assert_eq!(outcome.tasks.waiting, 1);
        assert_eq!(outcome.unmet.get("mem"), Some(&800.0));
        assert_eq!(outcome.makespan_secs, None);
        let [batch, web] = outcome.roles.as_slice() else { panic!("two roles") };
        assert_eq!((web.role.as_str(), web.share_mean, web.share_end), ("web", 0.25, 0.0));
        assert_eq!((batch.share_mean, batch.share_end, batch.waits.p50), (0.52, 0.8, Some(2.0)));
        let cpus = outcome.utilisation.get("cpus").expect("cpus");
        assert_eq!((cpus.mean, cpus.peak), ((50.0 + 13.0) / 200.0, 0.6));
    }

    #[test]
    fn what_was_before_the_measuring_is_in_no_mean() {
        let mut recorder = Recorder::new(of(10.0, 1000.0)).measured_from(secs(100));
        let party = recorder.party(&"r".into(), &"f".into());
        recorder.arrived(secs(0), party, &of(10.0, 0.0), 1);
        recorder.started(secs(0), party, &of(10.0, 0.0), secs(0));
        recorder.ended(secs(150), party, &of(10.0, 0.0));
        let outcome = recorder.finish(secs(200));
        assert_eq!(outcome.roles[0].share_mean, 0.5);
        assert_eq!(outcome.utilisation["cpus"].mean, 0.5);
        assert_eq!(outcome.makespan_secs, Some(150.0));
    }

    #[test]
    fn a_long_run_keeps_a_bounded_number_of_moments() {
        let mut recorder = Recorder::new(of(1.0, 1.0));
        let party = recorder.party(&"r".into(), &"f".into());
        recorder.arrived(secs(1_000_000), party, &of(1.0, 0.0), 1);
        let outcome = recorder.finish(secs(2_000_000));
        assert!((300..=MOMENTS_MAX + 1).contains(&outcome.moments.len()));
        assert_eq!(outcome.moments.last().map(|moment| moment.waiting), Some(1));
    }
}
