//! A scheduler of the swarm: it keeps some tasks going, in the manner of its temper, and looks after them as good
//! schedulers do: it acknowledges, reconciles, kills what is overdue.

use std::{collections::BTreeMap, time::Duration};

use model::{OfferId, TaskId, task_state};
use proto::v1::{
    self, TaskState,
    framework_info::capability::Type as Capability,
    scheduler::{Call, Event, call, event},
};
use stdx::{Rng, Tick};

use super::{Say, Scheduler, accept, acknowledge, amount, bare, decline, info, launch, scalar, shell};
use crate::{
    scenario::{ExecutorStyle, FrameworkPlan, Temper, secs},
    world::executor::data_of,
};

const EXECUTOR_CPUS: f64 = 0.01;
const EXECUTOR_MEM_MB: f64 = 32.0;
/// Of a pod's executor, which must have some.
const EXECUTOR_DISK_MB: f64 = 10.0;
/// A task that lives longer than this is killed; some would never end by themselves.
const OVERDUE: Duration = Duration::from_secs(90);

pub(crate) struct Swarm {
    pub(super) plan: FrameworkPlan,
    info: v1::FrameworkInfo,
    pub(super) rng: Rng,
    name: String,
    id: Option<v1::FrameworkId>,
    pub(super) tasks: BTreeMap<TaskId, Known>,
    /// Offers that wait for an answer, and when it is due.
    pub(super) offers: BTreeMap<OfferId, (Tick, v1::Offer)>,
    /// The last offers that are no more, for those who mix things up.
    pub(super) stale: Vec<v1::OfferId>,
    launched: u64,
    suppressed: bool,
    resting: bool,
    connected: bool,
    tick: Tick,
    reconcile: Tick,
    asks_all: bool,
}

pub(super) struct Known {
    pub(super) state: TaskState,
    pub(super) agent: v1::AgentId,
    since: Tick,
}

impl Swarm {
    pub fn new(index: u32, plan: FrameworkPlan, mut rng: Rng) -> Swarm {
        let name = format!("f{index}");
        let mut capabilities = Vec::new();
        capabilities.extend(plan.partition_aware.then_some(Capability::PartitionAware));
        capabilities.extend((rng.below(2) == 0).then_some(Capability::TaskKillingState));
        let mut info = info(&name, &plan.role, &capabilities);
        info.checkpoint = Some(plan.checkpoint);
        info.failover_timeout = Some(plan.failover_secs);
        Swarm {
            plan,
            info,
            rng,
            name,
            id: None,
            tasks: BTreeMap::new(),
            offers: BTreeMap::new(),
            stale: Vec::new(),
            launched: 0,
            suppressed: false,
            resting: false,
            connected: false,
            tick: Tick::ZERO,
            reconcile: Tick::ZERO,
            asks_all: false,
        }
    }

    fn wants_more(&self) -> bool {
        !self.resting && self.tasks.len() < self.plan.parallel as usize
    }

    fn on_offers(&mut self, now: Tick, offers: &[v1::Offer], out: &mut Vec<Say>) {
        for offer in offers {
            let wait = match self.plan.temper {
                Temper::Slow => secs(self.rng.unit() * 8.0),
                Temper::Picky => secs(self.rng.unit()),
                _ => Duration::ZERO,
            };
            self.offers.insert(OfferId::from(&offer.id), (now + wait, offer.clone()));
        }
        self.answer(now, out);
    }

    fn answer(&mut self, now: Tick, out: &mut Vec<Say>) {
        let due: Vec<OfferId> =
            self.offers.iter().filter(|(_, (at, _))| *at <= now).map(|(id, _)| id.clone()).collect();
        for id in due {
            let Some((_, offer)) = self.offers.remove(&id) else { continue };
            self.note_stale(offer.id.clone());
            if self.plan.temper == Temper::Buggy && !self.resting && self.rng.below(5) == 0 {
                self.launch_wrongly(now, &offer, out);
                continue;
            }
            let picky = self.plan.temper == Temper::Picky && self.rng.below(3) != 0;
            let tasks = if picky || !self.wants_more() { Vec::new() } else { self.tasks_for(now, &offer) };
            if tasks.is_empty() {
                let refuse = if self.resting { 3600.0 } else { [0.0, 1.0, 5.0][self.rng.below(3) as usize] };
                out.push(Say::Call(decline(vec![offer.id], refuse)));
            } else {
                let operation = self.operation(&offer, tasks);
                out.push(Say::Call(accept(vec![offer.id], vec![operation], 1.0)));
            }
        }
    }

    fn note_stale(&mut self, offer: v1::OfferId) {
        if self.plan.temper == Temper::Buggy {
            self.stale.push(offer);
            if self.stale.len() > 8 {
                self.stale.remove(0);
            }
        }
    }

    fn tasks_for(&mut self, now: Tick, offer: &v1::Offer) -> Vec<v1::TaskInfo> {
        let (mut cpus, mut mem) = (amount(offer, "cpus"), amount(offer, "mem"));
        if self.plan.executor != ExecutorStyle::Command {
            cpus -= EXECUTOR_CPUS;
            mem -= EXECUTOR_MEM_MB;
        }
        if self.plan.executor == ExecutorStyle::Group && amount(offer, "disk") < EXECUTOR_DISK_MB {
            return Vec::new();
        }
        let mut tasks = Vec::new();
        while self.wants_more() && cpus >= self.plan.cpus && mem >= self.plan.mem_mb && tasks.len() < 4 {
            cpus -= self.plan.cpus;
            mem -= self.plan.mem_mb;
            tasks.push(self.task(now, offer));
        }
        tasks
    }

    pub(super) fn task(&mut self, now: Tick, offer: &v1::Offer) -> v1::TaskInfo {
        self.launched += 1;
        // A forgetful scheduler must not begin to count anew: the moment makes its names its own.
        let id = format!("{}-{}-{}", self.name, now.0 / 1_000_000, self.launched);
        let (min, max) = (self.plan.task_secs_min, self.plan.task_secs_max);
        let forever = self.rng.below(12) == 0;
        let length = if forever { 1e6 } else { min + self.rng.unit() * (max - min) };
        let fails = self.rng.unit() < self.plan.task_fails;
        let known = Known { state: TaskState::TaskStaging, agent: offer.agent_id.clone(), since: now };
        self.tasks.insert(TaskId::from(id.as_str()), known);
        v1::TaskInfo {
            name: id.clone(),
            task_id: v1::TaskId { value: id },
            agent_id: offer.agent_id.clone(),
            resources: vec![scalar(offer, "cpus", self.plan.cpus), scalar(offer, "mem", self.plan.mem_mb)],
            data: Some(data_of(length, fails)),
            command: (self.plan.executor == ExecutorStyle::Command).then(shell),
            ..Default::default()
        }
    }

    pub(super) fn operation(&mut self, offer: &v1::Offer, mut tasks: Vec<v1::TaskInfo>) -> v1::offer::Operation {
        use v1::executor_info::Type;
        let framework_id = self.id.clone();
        let executor = |id: String, kind: Type| v1::ExecutorInfo {
            framework_id: framework_id.clone(),
            r#type: Some(kind as i32),
            executor_id: v1::ExecutorId { value: id },
            command: (kind == Type::Custom).then(shell),
            resources: {
                let disk = (kind == Type::Default).then(|| scalar(offer, "disk", EXECUTOR_DISK_MB));
                let mut all = vec![scalar(offer, "cpus", EXECUTOR_CPUS), scalar(offer, "mem", EXECUTOR_MEM_MB)];
                all.extend(disk);
                all
            },
            ..Default::default()
        };
        match self.plan.executor {
            ExecutorStyle::Command => launch(tasks),
            ExecutorStyle::Custom => {
                for task in &mut tasks {
                    task.executor = Some(Box::new(executor(format!("{}-x", self.name), Type::Custom)));
                }
                launch(tasks)
            }
            ExecutorStyle::Group => {
                for task in &mut tasks {
                    task.command = Some(shell());
                }
                let first = tasks.first().map(|task| task.task_id.value.clone()).unwrap_or_default();
                let launch_group = v1::offer::operation::LaunchGroup {
                    executor: executor(format!("g-{first}"), Type::Default),
                    task_group: v1::TaskGroupInfo { tasks },
                };
                v1::offer::Operation {
                    r#type: Some(v1::offer::operation::Type::LaunchGroup as i32),
                    launch_group: Some(Box::new(launch_group)),
                    ..Default::default()
                }
            }
        }
    }

    fn on_update(&mut self, now: Tick, status: &v1::TaskStatus, out: &mut Vec<Say>) {
        out.extend(acknowledge(status).map(Say::Call));
        let task = TaskId::from(&status.task_id);
        let state = status.state();
        // An error about a name given twice says nothing of the task that had it first.
        if state == TaskState::TaskError && self.plan.temper == Temper::Buggy && status.uuid.is_none() {
            return;
        }
        if task_state::is_terminal(state) {
            self.tasks.remove(&task);
            return;
        }
        // What the master does not know will not come back by itself.
        if state == TaskState::TaskUnknown {
            self.tasks.remove(&task);
            return;
        }
        let agent = status.agent_id.clone().unwrap_or_default();
        let known = self.tasks.entry(task).or_insert(Known { state, agent, since: now });
        known.state = state;
    }

    fn look_after(&mut self, now: Tick, out: &mut Vec<Say>) {
        if !self.connected {
            return;
        }
        if now >= self.reconcile {
            self.reconcile = now + secs(15.0 + self.rng.unit() * 15.0);
            self.reconcile_all(now, out);
        }
        let kills = self.plan.kills;
        let mut doomed = Vec::new();
        for (id, known) in &self.tasks {
            let overdue = !self.resting && now.since(known.since) > OVERDUE;
            if overdue || (kills > 0.0 && self.rng.unit() < kills * 0.1) {
                doomed.push((id.to_proto(), known.agent.clone()));
            }
        }
        for (task_id, agent) in doomed {
            let agent_id = (self.rng.below(4) != 0).then_some(agent);
            let kill = call::Kill { task_id, agent_id, kill_policy: None };
            out.push(Say::Call(Box::new(Call { kill: Some(kill), ..bare(call::Type::Kill) })));
        }
        self.mind_offers(out);
        if !self.resting && self.plan.temper == Temper::FailingOver && self.rng.below(12) == 0 {
            out.push(Say::TakeOver);
        }
        if !self.resting && self.plan.temper == Temper::Buggy {
            self.blunder(now, out);
        }
    }

    /// Asks in turn about all that the master knows, and about the tasks it has itself: not at once, as the answers to
    /// the first may be more than what an outbox keeps while the second arrives.
    fn reconcile_all(&mut self, now: Tick, out: &mut Vec<Say>) {
        self.asks_all = !self.asks_all;
        if self.asks_all {
            out.push(reconcile(Vec::new()));
            return;
        }
        let old = self.tasks.iter().filter(|(_, known)| now.since(known.since) > Duration::from_secs(10));
        let tasks: Vec<call::reconcile::Task> = old
            .map(|(id, known)| call::reconcile::Task { task_id: id.to_proto(), agent_id: Some(known.agent.clone()) })
            .collect();
        if !tasks.is_empty() {
            out.push(reconcile(tasks));
        }
    }

    fn mind_offers(&mut self, out: &mut Vec<Say>) {
        if self.plan.temper != Temper::Picky {
            return;
        }
        let wants = self.wants_more();
        if wants && (self.suppressed || self.rng.below(4) == 0) {
            self.suppressed = false;
            let revive = call::Revive { roles: Vec::new() };
            out.push(Say::Call(Box::new(Call { revive: Some(revive), ..bare(call::Type::Revive) })));
        } else if !wants && !self.suppressed {
            self.suppressed = true;
            let suppress = call::Suppress { roles: Vec::new() };
            out.push(Say::Call(Box::new(Call { suppress: Some(suppress), ..bare(call::Type::Suppress) })));
        }
    }
}

impl Scheduler for Swarm {
    fn info(&self) -> &v1::FrameworkInfo {
        &self.info
    }

    fn suppressed(&self) -> Vec<String> {
        if self.suppressed { vec![self.plan.role.clone()] } else { Vec::new() }
    }

    fn on_event(&mut self, now: Tick, event: &Event, out: &mut Vec<Say>) {
        match event.r#type() {
            event::Type::Subscribed => {
                self.id = event.subscribed.as_ref().map(|subscribed| subscribed.framework_id.clone());
                self.connected = true;
                self.offers.clear();
                self.reconcile = now;
                self.asks_all = false;
                self.tick = now + Duration::from_millis(200);
            }
            event::Type::Offers => {
                let offers = event.offers.as_ref().map(|offers| offers.offers.as_slice());
                self.on_offers(now, offers.unwrap_or_default(), out);
            }
            event::Type::Rescind => {
                if let Some(rescind) = &event.rescind {
                    self.offers.remove(&OfferId::from(&rescind.offer_id));
                    self.note_stale(rescind.offer_id.clone());
                }
            }
            event::Type::Update => {
                if let Some(update) = &event.update {
                    self.on_update(now, &update.status, out);
                }
            }
            _ => {}
        }
    }

    fn on_wake(&mut self, now: Tick, out: &mut Vec<Say>) {
        self.answer(now, out);
        if now >= self.tick {
            self.tick = now + secs(1.0 + self.rng.unit() * 2.0);
            self.look_after(now, out);
        }
    }

    fn next_deadline(&self) -> Option<Tick> {
        self.offers.values().map(|(at, _)| *at).chain([self.tick]).min()
    }

    fn forget(&mut self) {
        self.connected = false;
        self.offers.clear();
        if self.plan.temper == Temper::Crashing {
            self.tasks.clear();
        }
    }

    fn renew(&mut self) {
        self.forget();
        self.tasks.clear();
    }

    fn rest(&mut self) {
        self.resting = true;
    }

    fn tasks(&self) -> Vec<(TaskId, TaskState)> {
        self.tasks.iter().map(|(id, known)| (id.clone(), known.state)).collect()
    }

    fn is_hungry(&self) -> bool {
        self.wants_more() && !self.suppressed
    }
}

fn reconcile(tasks: Vec<call::reconcile::Task>) -> Say {
    let reconcile = call::Reconcile { tasks };
    Say::Call(Box::new(Call { reconcile: Some(reconcile), ..bare(call::Type::Reconcile) }))
}
