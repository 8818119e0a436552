//! Runs a scenario: virtual time, a real allocator, and frameworks that start what waits as soon as they are granted
//! room for it.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap, VecDeque},
    sync::Arc,
    time::Duration,
};

use allocator::{Allocator, Budget, FrameworkProfile, Grant, GroupError, QuotaError, Settlement};
use model::{AgentId, FrameworkId};
use resources::{Quantities, Resources};
use stdx::{Rng, Tick};
use workload::{Outcome, Party, Recorder};

use crate::{
    portion::{fitting, take, take_some},
    scenario::{Scenario, Wanted},
};

/// What came of it, and what a master would object to.
#[derive(Clone, Debug)]
pub struct Replay {
    pub outcome: Outcome,
    pub warnings: Vec<String>,
}

/// The settings cannot be: no master would take them.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ReplayError {
    #[error("{0}")]
    Quota(#[from] QuotaError),
    #[error("{0}")]
    Group(#[from] GroupError),
}

/// Runs the scenario to its end. The same scenario and seed give the same outcome.
pub fn replay(scenario: &Scenario, seed: u64) -> Result<Replay, ReplayError> {
    let mut rng = Rng::new(seed).fork("replay");
    let mut run = Run::new(scenario, &mut rng);
    let mut warnings = run.set_quotas(&scenario.quotas)?;
    run.set_groups(&scenario.groups, &mut warnings)?;
    run.go();
    let now = run.now.since(Tick::ZERO);
    Ok(Replay { outcome: run.recorder.finish(now), warnings })
}

struct Run<'a> {
    scenario: &'a Scenario,
    allocator: Allocator,
    recorder: Recorder,
    rng: Rng,
    now: Tick,
    clients: Vec<Client>,
    numbers: BTreeMap<(FrameworkId, Arc<str>), usize>,
    /// Jobs that are still to come, the next one last.
    arrivals: Vec<&'a Wanted>,
    /// When a task ends, and its place in `running`.
    ends: BinaryHeap<Reverse<(Tick, usize)>>,
    running: Vec<Option<Task>>,
    free_places: Vec<usize>,
    waiting: u64,
    /// When anything last arrived, started or ended.
    last_progress: Tick,
}

/// A framework in one of its roles.
struct Client {
    framework: FrameworkId,
    role: Arc<str>,
    party: Party,
    queue: VecDeque<Batch>,
    suppressed: bool,
}

/// Equal tasks that wait.
struct Batch {
    since: Tick,
    left: u32,
    demand: Quantities,
    duration: Duration,
    again: bool,
}

struct Task {
    client: usize,
    agent: AgentId,
    /// With its allocation.
    resources: Resources,
    demand: Quantities,
    /// The mean time that the same takes when it is started anew, if it is.
    again: Option<Duration>,
}

/// How long frameworks refuse what they cannot use. More on the same agent is offered all the same, and whoever wants
/// something easier to place revives.
const REFUSE: Duration = Duration::from_secs(3600);
/// How many kinds of waiting tasks a framework tries on one offer.
const LOOK: usize = 64;
/// When nothing runs or arrives any more and nothing happened for this long, nothing will.
const PATIENCE: Duration = Duration::from_secs(10);

impl<'a> Run<'a> {
    fn new(scenario: &'a Scenario, rng: &mut Rng) -> Run<'a> {
        let recorder =
            Recorder::new(scenario.capacity()).measured_from(scenario.measured_from).weights(scenario.weights.clone());
        let mut arrivals: Vec<&Wanted> = scenario.wanted.iter().collect();
        arrivals.sort_by_key(|wanted| Reverse(wanted.arrival));
        let mut run = Run {
            scenario,
            allocator: Allocator::new(scenario.config.clone(), rng.fork("allocator")),
            recorder,
            rng: rng.fork("durations"),
            now: Tick::ZERO,
            clients: Vec::new(),
            numbers: BTreeMap::new(),
            arrivals,
            ends: BinaryHeap::new(),
            running: Vec::new(),
            free_places: Vec::new(),
            waiting: 0,
            last_progress: Tick::ZERO,
        };
        for (role, weight) in &scenario.weights {
            run.allocator.set_weight(role, *weight);
        }
        for framework in &scenario.frameworks {
            let profile = FrameworkProfile {
                roles: framework.roles.clone(),
                suppressed: framework.roles.clone(),
                capabilities: framework.capabilities,
                active: framework.active,
                ..FrameworkProfile::default()
            };
            run.allocator.add_framework(Tick::ZERO, &framework.id, profile, &BTreeMap::new());
            for role in &framework.roles {
                let role: Arc<str> = Arc::from(role.as_str());
                run.numbers.insert((framework.id.clone(), role.clone()), run.clients.len());
                let party = run.recorder.party(&role, &framework.name);
                let framework = framework.id.clone();
                run.clients.push(Client { framework, role, party, queue: VecDeque::new(), suppressed: true });
            }
        }
        run.place_held();
        run
    }

    /// What runs at the beginning is told with the agents.
    fn place_held(&mut self) {
        let mut used: Vec<BTreeMap<FrameworkId, Resources>> = vec![BTreeMap::new(); self.scenario.agents.len()];
        let mut free: Vec<Resources> = self.scenario.agents.iter().map(|agent| agent.total.clone()).collect();
        let now = Duration::ZERO;
        for held in &self.scenario.held {
            let agent = self.scenario.agents.get(held.agent);
            let framework = self.scenario.frameworks.get(held.framework);
            let (Some(agent), Some(framework), Some(free), Some(used)) =
                (agent, framework, free.get_mut(held.agent), used.get_mut(held.agent))
            else {
                continue;
            };
            let Some(client) = self.numbers.get(&(framework.id.clone(), held.role.clone())).copied() else { continue };
            let portion = take_some(&free.allocatable_to(&held.role), &held.demand);
            *free -= &portion;
            let resources = portion.allocate(&held.role);
            *used.entry(framework.id.clone()).or_default() += &resources;
            let Some(party) = self.clients.get(client).map(|client| client.party) else { continue };
            self.recorder.arrived(now, party, &held.demand, 1);
            self.recorder.started(now, party, &held.demand, Duration::ZERO);
            let (agent, demand) = (agent.id.clone(), held.demand.clone());
            self.start(Task { client, agent, resources, demand, again: held.again }, held.left);
        }
        for (agent, used) in self.scenario.agents.iter().zip(&used) {
            self.allocator.add_agent(Tick::ZERO, &agent.id, agent.profile.clone(), agent.total.clone(), used);
        }
    }

    /// What a master would refuse unless it is forced is a warning.
    fn set_quotas(&mut self, quotas: &BTreeMap<String, allocator::Quota>) -> Result<Vec<String>, ReplayError> {
        let mut warnings = Vec::new();
        if let Err(error) = self.allocator.check_quotas(quotas, false) {
            if !error.can_be_forced() {
                return Err(error.into());
            }
            warnings.push(format!("A master takes these quotas only when it is forced: {error}"));
            self.allocator.check_quotas(quotas, true)?;
        }
        for (role, quota) in quotas {
            self.allocator.set_quota(Tick::ZERO, role, quota.clone());
        }
        Ok(warnings)
    }

    fn set_groups(&mut self, groups: &[allocator::Group], warnings: &mut Vec<String>) -> Result<(), ReplayError> {
        let by_name: BTreeMap<Arc<str>, allocator::Group> =
            groups.iter().map(|group| (group.name.clone(), group.clone())).collect();
        if by_name.len() < groups.len() {
            let twice =
                groups.iter().enumerate().find(|(at, group)| groups.iter().take(*at).any(|g| g.name == group.name));
            let name = twice.map(|(_, group)| group.name.to_string()).unwrap_or_default();
            return Err(GroupError::Twice { name }.into());
        }
        allocator::groups::check_together(&by_name, None)?;
        let agents = self.scenario.agents.iter().map(|agent| (&agent.profile, &agent.total));
        if let Err(error) = allocator::groups::check_capacity(&by_name, agents) {
            warnings.push(format!("A master takes these groups only when it is forced: {error}"));
        }
        if !groups.is_empty() {
            self.allocator.set_groups(Tick::ZERO, groups.to_vec());
        }
        Ok(())
    }

    fn go(&mut self) {
        let until = self.scenario.until.map(|until| Tick::ZERO + until);
        loop {
            let arrival = self.arrivals.last().map(|wanted| Tick::ZERO + wanted.arrival);
            let end = self.ends.peek().map(|Reverse((tick, _))| *tick);
            let deadline = self.allocator.next_deadline().map(|(tick, _)| tick);
            let next = [arrival, end, deadline].into_iter().flatten().min();
            let Some(next) = next.map(|next| next.max(self.now)) else { break };
            if let Some(until) = until
                && next > until
            {
                self.now = until;
                break;
            }
            let idle = arrival.is_none() && end.is_none();
            if idle && (self.waiting == 0 || next.since(self.last_progress) > PATIENCE) {
                break;
            }
            self.now = next;
            self.arrive();
            self.end();
            if self.allocator.next_deadline().is_some_and(|(tick, _)| tick <= self.now) {
                for grant in self.allocator.allocate(self.now, Budget::UNLIMITED) {
                    self.use_grant(grant);
                }
            }
        }
    }

    fn arrive(&mut self) {
        while let Some(wanted) = self.arrivals.last().filter(|wanted| Tick::ZERO + wanted.arrival <= self.now) {
            let wanted = *wanted;
            self.arrivals.pop();
            let id = self.scenario.frameworks.get(wanted.framework).map(|framework| framework.id.clone());
            let client = id.and_then(|id| self.numbers.get(&(id, wanted.role.clone())).copied());
            if let Some(client) = client {
                self.want(client, wanted.count, &wanted.demand, wanted.duration, wanted.again);
            }
        }
    }

    fn want(&mut self, number: usize, count: u32, demand: &Quantities, duration: Duration, again: bool) {
        let Some(client) = self.clients.get_mut(number) else { return };
        self.recorder.arrived(self.now.since(Tick::ZERO), client.party, demand, u64::from(count));
        self.waiting += u64::from(count);
        self.last_progress = self.now;
        // What is no easier to place than what waits already changes nothing.
        let hopeless = client.queue.iter().take(LOOK).any(|batch| demand.contains(&batch.demand));
        let batch = Batch { since: self.now, left: count, demand: demand.clone(), duration, again };
        client.queue.push_back(batch);
        if client.suppressed || !hopeless {
            client.suppressed = false;
            self.allocator.revive(self.now, &client.framework, &[client.role.to_string()]);
        }
    }

    fn end(&mut self) {
        while let Some(Reverse((tick, place))) = self.ends.peek().copied()
            && tick <= self.now
        {
            self.ends.pop();
            self.last_progress = self.now;
            let Some(task) = self.running.get_mut(place).and_then(Option::take) else { continue };
            self.free_places.push(place);
            let Some(client) = self.clients.get(task.client) else { continue };
            self.recorder.ended(self.now.since(Tick::ZERO), client.party, &task.demand);
            self.allocator.recover(self.now, &client.framework, &task.agent, &task.resources, None);
            if let Some(mean) = task.again {
                self.want(task.client, 1, &task.demand, mean, true);
            }
        }
    }

    /// Starts what waits, the oldest first, as far as it fits, and gives back the rest.
    fn use_grant(&mut self, grant: Grant) {
        let Some(number) = self.numbers.get(&(grant.framework.clone(), grant.role.clone())).copied() else { return };
        let mut free = grant.resources.clone();
        let mut amounts = free.scalar_quantities();
        let mut used = Resources::default();
        let mut tried = 0;
        let mut at = 0;
        while tried < LOOK
            && let Some(client) = self.clients.get_mut(number)
            && let Some(batch) = client.queue.get_mut(at)
        {
            let count = fitting(&amounts, &batch.demand).min(batch.left);
            tried += 1;
            at += 1;
            let (party, since, again) = (client.party, batch.since, batch.again);
            let (demand, mean) = (batch.demand.clone(), batch.duration);
            let mut started = 0;
            for _ in 0..count {
                let Some(portion) = take(&free, &demand) else { break };
                free -= &portion;
                used += &portion;
                started += 1;
                self.recorder.started(self.now.since(Tick::ZERO), party, &demand, self.now.since(since));
                let task = Task {
                    client: number,
                    agent: grant.agent.clone(),
                    resources: portion,
                    demand: demand.clone(),
                    again: again.then_some(mean),
                };
                let lasts = if again { mean.mul_f64(0.5 + self.rng.unit()) } else { mean };
                self.start(task, lasts);
            }
            if started > 0 {
                self.waiting = self.waiting.saturating_sub(u64::from(started));
                self.last_progress = self.now;
                amounts = free.scalar_quantities();
                if let Some(batch) = self.clients.get_mut(number).and_then(|client| client.queue.get_mut(at - 1)) {
                    batch.left -= started;
                }
            }
        }
        let Some(client) = self.clients.get_mut(number) else { return };
        for done in (0..at).rev() {
            if client.queue.get(done).is_some_and(|batch| batch.left == 0) {
                client.queue.remove(done);
            }
        }
        let filter = (!client.queue.is_empty()).then_some(REFUSE);
        let settlement = Settlement { offered: grant.resources, used, filter, ..Settlement::default() };
        self.allocator.settle(self.now, &grant.framework, &grant.agent, settlement);
        if client.queue.is_empty() && !client.suppressed {
            client.suppressed = true;
            self.allocator.suppress(self.now, &client.framework, &[client.role.to_string()]);
        }
    }

    fn start(&mut self, task: Task, lasts: Duration) {
        let place = self.free_places.pop().unwrap_or_else(|| {
            self.running.push(None);
            self.running.len() - 1
        });
        if let Some(row) = self.running.get_mut(place) {
            *row = Some(task);
        }
        self.ends.push(Reverse((self.now + lasts, place)));
    }
}
