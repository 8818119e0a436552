//! A scheduler that works off a list: each request waits from its arrival for room, in order, and is tried again when
//! an attempt fails.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use model::{TaskId, task_state};
use proto::v1::{
    self, TaskState,
    scheduler::{Call, Event, call, event},
};
use stdx::{Rng, Tick};

use super::{Say, Scheduler, accept, acknowledge, amount, bare, decline, info, launch, scalar, shell};
use crate::world::executor::data_of;

/// What a task needs.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Demand {
    pub cpus: f64,
    pub mem_mb: f64,
    pub disk_mb: f64,
    pub gpus: f64,
}

/// One task of a list.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Job {
    pub arrival: Tick,
    pub length: Duration,
    pub demand: Demand,
    /// The attempt under way, or the one that ended well.
    pub started: Option<Tick>,
    pub ended: Option<Tick>,
    pub attempts: u32,
}

pub(crate) struct Jobs {
    info: v1::FrameworkInfo,
    rng: Rng,
    fails: f64,
    pub all: Vec<Job>,
    /// By arrival, those that are still to come.
    coming: VecDeque<usize>,
    waiting: BTreeSet<usize>,
    running: BTreeMap<TaskId, usize>,
    finished: u32,
    suppressed: bool,
    connected: bool,
    reconcile: Option<Tick>,
}

/// How often a scheduler with running tasks asks whether they still do.
const RECONCILE: Duration = Duration::from_secs(60);
/// How many waiting requests are tried on one offer; more would make long queues slow.
const LOOK: usize = 64;

impl Jobs {
    pub fn new(name: &str, role: &str, jobs: Vec<Job>, fails: f64, rng: Rng) -> Jobs {
        use v1::framework_info::capability::Type;
        let mut coming: Vec<usize> = (0..jobs.len()).collect();
        coming.sort_by_key(|index| jobs[*index].arrival);
        Jobs {
            info: info(name, role, &[Type::PartitionAware, Type::GpuResources]),
            rng,
            fails,
            all: jobs,
            coming: coming.into(),
            waiting: BTreeSet::new(),
            running: BTreeMap::new(),
            finished: 0,
            suppressed: true,
            connected: false,
            reconcile: None,
        }
    }

    /// Waiting, running, ended.
    pub fn counts(&self) -> (u32, u32, u32) {
        (self.waiting.len() as u32, self.running.len() as u32, self.finished)
    }

    pub fn is_done(&self) -> bool {
        self.finished as usize == self.all.len()
    }

    pub fn used(&self) -> Demand {
        let mut used = Demand::default();
        for index in self.running.values() {
            let demand = self.all[*index].demand;
            used.cpus += demand.cpus;
            used.mem_mb += demand.mem_mb;
            used.disk_mb += demand.disk_mb;
            used.gpus += demand.gpus;
        }
        used
    }

    fn on_offer(&mut self, offer: &v1::Offer, out: &mut Vec<Say>) {
        const NAMES: [&str; 4] = ["cpus", "mem", "disk", "gpus"];
        let mut room = NAMES.map(|name| amount(offer, name));
        let mut tasks = Vec::new();
        let look: Vec<usize> = self.waiting.iter().take(LOOK).copied().collect();
        for index in look {
            let Demand { cpus, mem_mb, disk_mb, gpus } = self.all[index].demand;
            let needs = [cpus, mem_mb, disk_mb, gpus];
            if needs.iter().zip(room).any(|(need, room)| *need > room + 1e-9) {
                continue;
            }
            needs.iter().zip(&mut room).for_each(|(need, room)| *room -= need);
            let given = NAMES.iter().zip(needs).filter(|(_, need)| *need > 0.0);
            let resources = given.map(|(name, need)| scalar(offer, name, need)).collect();
            tasks.push(self.attempt(index, offer, resources));
        }
        let offers = vec![offer.id.clone()];
        out.push(Say::Call(match tasks.is_empty() {
            true => decline(offers, 5.0),
            false => accept(offers, vec![launch(tasks)], 0.0),
        }));
    }

    fn attempt(&mut self, index: usize, offer: &v1::Offer, resources: Vec<v1::Resource>) -> v1::TaskInfo {
        self.waiting.remove(&index);
        let fails = self.fails > 0.0 && self.rng.unit() < self.fails;
        let job = &mut self.all[index];
        job.attempts += 1;
        let id = format!("{index}-{}", job.attempts);
        self.running.insert(TaskId::from(id.as_str()), index);
        v1::TaskInfo {
            name: String::new(),
            task_id: v1::TaskId { value: id },
            agent_id: offer.agent_id.clone(),
            resources,
            data: Some(data_of(job.length.as_secs_f64(), fails)),
            command: Some(shell()),
            ..Default::default()
        }
    }

    fn on_update(&mut self, now: Tick, status: &v1::TaskStatus, out: &mut Vec<Say>) {
        out.extend(acknowledge(status).map(Say::Call));
        let task = TaskId::from(&status.task_id);
        let Some(index) = self.running.get(&task).copied() else { return };
        let state = status.state();
        if state == TaskState::TaskRunning {
            self.all[index].started.get_or_insert(now);
        } else if state == TaskState::TaskFinished {
            self.running.remove(&task);
            self.all[index].ended = Some(now);
            self.all[index].started.get_or_insert(now);
            self.finished += 1;
        } else if task_state::is_terminal(state) || matches!(state, TaskState::TaskUnreachable | TaskState::TaskUnknown)
        {
            self.running.remove(&task);
            self.all[index].started = None;
            self.waiting.insert(index);
            self.mind_offers(out);
        }
    }

    /// Wants offers while something waits, and only then.
    fn mind_offers(&mut self, out: &mut Vec<Say>) {
        let idle = self.waiting.is_empty();
        if !self.connected || idle == self.suppressed {
            return;
        }
        self.suppressed = idle;
        out.push(Say::Call(Box::new(match idle {
            true => Call { suppress: Some(call::Suppress::default()), ..bare(call::Type::Suppress) },
            false => Call { revive: Some(call::Revive::default()), ..bare(call::Type::Revive) },
        })));
    }
}

impl Scheduler for Jobs {
    fn info(&self) -> &v1::FrameworkInfo {
        &self.info
    }

    fn suppressed(&self) -> Vec<String> {
        if self.suppressed { self.info.roles.clone() } else { Vec::new() }
    }

    fn on_event(&mut self, now: Tick, event: &Event, out: &mut Vec<Say>) {
        match event.r#type() {
            event::Type::Subscribed => {
                self.connected = true;
                self.reconcile = Some(now + RECONCILE);
                self.mind_offers(out);
            }
            event::Type::Offers => {
                event.offers.iter().flat_map(|offers| &offers.offers).for_each(|offer| self.on_offer(offer, out));
                self.mind_offers(out);
            }
            event::Type::Update => event.update.iter().for_each(|update| self.on_update(now, &update.status, out)),
            _ => {}
        }
    }

    fn on_wake(&mut self, now: Tick, out: &mut Vec<Say>) {
        while let Some(index) = self.coming.pop_front_if(|index| self.all[*index].arrival <= now) {
            self.waiting.insert(index);
        }
        self.mind_offers(out);
        if self.connected && self.reconcile.is_some_and(|at| at <= now) {
            self.reconcile = Some(now + RECONCILE);
            let asked =
                self.running.keys().map(|task| call::reconcile::Task { task_id: task.to_proto(), agent_id: None });
            let tasks: Vec<_> = asked.collect();
            if !tasks.is_empty() {
                let reconcile = Some(call::Reconcile { tasks });
                out.push(Say::Call(Box::new(Call { reconcile, ..bare(call::Type::Reconcile) })));
            }
        }
    }

    fn next_deadline(&self) -> Option<Tick> {
        let next = self.coming.front().map(|index| self.all[*index].arrival);
        next.into_iter().chain(self.reconcile).min()
    }

    fn forget(&mut self) {
        self.connected = false;
    }

    fn renew(&mut self) {
        self.connected = false;
        self.waiting.extend(std::mem::take(&mut self.running).into_values());
    }

    fn jobs(&self) -> Option<&Jobs> {
        Some(self)
    }
}
