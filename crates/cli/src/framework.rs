//! A framework that runs whatever it is given: it takes from offers just enough, launches, acknowledges, asks again
//! after the master was away, and asks for no offers while nothing waits. It runs as a task of its own; orders go in,
//! news come out. What is run and what its end means is its owner's business (`run`, `demo`); `plan` decides what goes
//! where.

pub mod plan;

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use client::{Error, Incoming, SchedulerClient, Subscription};
use model::task_state::is_terminal;
use proto::v1::{self, TaskState, TaskStatus, scheduler::call::reconcile};
use resources::Quantities;
use tokio::{
    sync::mpsc::{Receiver, Sender, channel},
    time::{Instant, sleep_until, timeout},
};

use plan::Placed;

/// How long an offer that is too small for what waits stays away, unless more comes free beside it.
const TOO_SMALL_SECS: f64 = 5.0;
/// How long an offer stays away when nothing waits; a revival ends it.
const NOTHING_WAITS_SECS: f64 = 3600.0;
const FIRST_RECONCILE: Duration = Duration::from_secs(1);
const LAST_RECONCILE: Duration = Duration::from_secs(60);
const FINISH_PATIENCE: Duration = Duration::from_secs(5);
/// How often a unit is launched anew when its launches get lost on the way.
const ATTEMPTS_MAX: u32 = 20;
const QUEUE: usize = 1024;

/// What is launched together on one agent: one command, or the containers of a pod.
#[derive(Clone, Debug)]
pub struct Unit {
    /// Its owner's number for it.
    pub number: usize,
    pub parts: Vec<Part>,
    /// For a pod, what its executor needs beside its containers.
    pub pod: Option<Quantities>,
}

/// One task.
#[derive(Clone, Debug)]
pub struct Part {
    /// Complete but for agent and resources.
    pub task: v1::TaskInfo,
    pub needs: Quantities,
}

impl Unit {
    /// All it needs on one agent.
    pub fn needs(&self) -> Quantities {
        self.parts.iter().map(|part| &part.needs).chain(self.pod.iter()).sum()
    }
}

#[derive(Debug)]
pub enum News {
    Subscribed {
        framework_id: v1::FrameworkId,
        again: bool,
    },
    /// The master is away, the framework tries to come back.
    Lost(Error),
    Launched {
        unit: Arc<Unit>,
        agent: Arc<AgentPlace>,
    },
    /// The launch never arrived; the unit waits again.
    Requeued {
        unit: Arc<Unit>,
        why: String,
    },
    Update {
        unit: Arc<Unit>,
        part: usize,
        status: Box<TaskStatus>,
    },
    /// Nothing comes after this. An error says why the framework cannot go on.
    Over(Result<(), Error>),
}

/// An agent as its offers name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentPlace {
    pub id: v1::AgentId,
    pub hostname: String,
    /// `host:port`, if the offer told.
    pub address: Option<String>,
}

#[derive(Debug)]
pub enum Order {
    Add(Vec<Unit>),
    /// Launch nothing more and kill what runs.
    Kill,
    /// Remove the framework from the master.
    Finish,
}

/// The owner's end.
#[derive(Debug)]
pub struct Framework {
    pub news: Receiver<News>,
    orders: Sender<Order>,
}

impl Framework {
    /// Subscribes, on the current runtime.
    pub fn start(scheduler: SchedulerClient, info: v1::FrameworkInfo) -> Framework {
        let (news_in, news) = channel(QUEUE);
        let (orders, orders_out) = channel(QUEUE);
        let engine = Engine {
            subscription: Subscription::new(scheduler.clone(), info),
            scheduler,
            news: news_in,
            orders: orders_out,
            waiting: VecDeque::new(),
            launches: BTreeMap::new(),
            tasks: BTreeMap::new(),
            next_launch: 0,
            subscribed: false,
            killing: false,
            suppressed: false,
            reconcile_at: None,
            reconcile_wait: FIRST_RECONCILE,
        };
        tokio::spawn(engine.run());
        Framework { news, orders }
    }

    /// Orders to a framework that is over are lost.
    pub async fn order(&self, order: Order) {
        let _ = self.orders.send(order).await;
    }

    /// Removes the framework and waits until that is done, within limits.
    pub async fn finish(mut self) {
        self.order(Order::Finish).await;
        while let Some(news) = self.news.recv().await {
            if matches!(news, News::Over(_)) {
                return;
            }
        }
    }
}

/// A unit that waits, and how often its launch got lost.
#[derive(Debug)]
pub struct Waiting {
    pub unit: Arc<Unit>,
    pub attempt: u32,
}

struct Launch {
    unit: Arc<Unit>,
    attempt: u32,
    agent: Arc<AgentPlace>,
    /// Some update came, so it did arrive.
    heard: bool,
    open: usize,
}

struct Engine {
    subscription: Subscription,
    scheduler: SchedulerClient,
    news: Sender<News>,
    orders: Receiver<Order>,
    waiting: VecDeque<Waiting>,
    launches: BTreeMap<u64, Launch>,
    /// The launch and the part, by the id of each task that has not ended.
    tasks: BTreeMap<String, (u64, usize)>,
    next_launch: u64,
    subscribed: bool,
    killing: bool,
    suppressed: bool,
    reconcile_at: Option<Instant>,
    reconcile_wait: Duration,
}

/// What to do after an event.
enum Step {
    On,
    Over(Result<(), Error>),
}

impl Engine {
    async fn run(mut self) {
        loop {
            let reconcile_at = self.reconcile_at;
            let step = tokio::select! {
                incoming = self.subscription.next() => match incoming {
                    Ok(incoming) => self.on_incoming(incoming).await,
                    Err(error) => Step::Over(Err(error)),
                },
                order = self.orders.recv() => self.on_order(order).await,
                () = async { sleep_until(reconcile_at.unwrap_or_else(Instant::now)).await }, if reconcile_at.is_some() => {
                    self.reconcile().await;
                    Step::On
                }
            };
            if let Step::Over(outcome) = step {
                self.tell(News::Over(outcome)).await;
                return;
            }
        }
    }

    async fn on_incoming(&mut self, incoming: Incoming) -> Step {
        match incoming {
            Incoming::Subscribed { framework_id, again } => {
                self.subscribed = true;
                self.suppressed = false;
                self.tell(News::Subscribed { framework_id, again }).await;
                if again {
                    self.reconcile_wait = FIRST_RECONCILE;
                    self.reconcile().await;
                    if self.killing {
                        self.kill_all().await;
                    }
                }
                self.suppress_if_idle().await;
            }
            Incoming::Event(event) => {
                if let Some(offers) = event.offers {
                    self.on_offers(offers.offers).await;
                } else if let Some(update) = event.update {
                    self.on_update(update.status).await;
                }
            }
            Incoming::Lost(error) => self.tell(News::Lost(error)).await,
        }
        Step::On
    }

    async fn on_order(&mut self, order: Option<Order>) -> Step {
        match order {
            Some(Order::Add(units)) => {
                self.waiting.extend(units.into_iter().map(|unit| Waiting { unit: Arc::new(unit), attempt: 0 }));
                if self.suppressed && !self.waiting.is_empty() {
                    self.suppressed = self.scheduler.revive(Vec::new()).await.is_err();
                }
                Step::On
            }
            Some(Order::Kill) => {
                self.killing = true;
                self.waiting.clear();
                self.kill_all().await;
                Step::On
            }
            Some(Order::Finish) | None => {
                self.finish().await;
                Step::Over(Ok(()))
            }
        }
    }

    async fn on_offers(&mut self, offers: Vec<v1::Offer>) {
        let framework_id = self.scheduler.framework_id().unwrap_or_default();
        let plan = plan::plan(offers, &mut self.waiting, &framework_id);
        let secs = if self.waiting.is_empty() { NOTHING_WAITS_SECS } else { TOO_SMALL_SECS };
        let filters = Some(v1::Filters { refuse_seconds: Some(secs) });
        for answer in plan.accepted {
            let accepted = self.scheduler.accept(answer.offer_ids, answer.operations, filters).await;
            for placed in answer.placed {
                self.note(placed, &answer.agent).await;
            }
            if accepted.is_err() {
                // Whether it arrived is not known; asking tells.
                self.reconcile_at = Some(Instant::now() + FIRST_RECONCILE);
            }
        }
        if !plan.declined.is_empty() {
            // An offer that is not declined comes back when the master takes it back.
            let _ = self.scheduler.decline(plan.declined, filters).await;
        }
        self.suppress_if_idle().await;
    }

    async fn note(&mut self, placed: Placed, agent: &Arc<AgentPlace>) {
        let Placed { unit, attempt, task_ids } = placed;
        let launch = self.next_launch;
        self.next_launch += 1;
        let open = task_ids.len();
        self.tasks.extend(task_ids.into_iter().enumerate().map(|(part, id)| (id, (launch, part))));
        let row = Launch { unit: unit.clone(), attempt, agent: agent.clone(), heard: false, open };
        self.launches.insert(launch, row);
        self.tell(News::Launched { unit, agent: agent.clone() }).await;
    }

    async fn on_update(&mut self, status: TaskStatus) {
        // One that is not acknowledged comes again.
        let _ = self.scheduler.acknowledge(&status).await;
        let id = &status.task_id.value;
        let Some((number, part)) = self.tasks.get(id).copied() else { return };
        let Some(launch) = self.launches.get_mut(&number) else { return };
        let state = status.state();
        let never_arrived = match state {
            TaskState::TaskDropped => true,
            TaskState::TaskGone => !launch.heard,
            _ => false,
        };
        if never_arrived && !launch.heard && !self.killing && launch.attempt + 1 < ATTEMPTS_MAX {
            return self.requeue(number, status.message.unwrap_or_default()).await;
        }
        launch.heard = true;
        let unit = launch.unit.clone();
        // While everything is being ended, nobody waits for an agent that is away.
        let away = matches!(state, TaskState::TaskUnreachable | TaskState::TaskUnknown);
        if is_terminal(state) || state == TaskState::TaskUnknown || (self.killing && away) {
            launch.open = launch.open.saturating_sub(1);
            if launch.open == 0 {
                self.launches.remove(&number);
            }
            self.tasks.remove(id);
        }
        self.tell(News::Update { unit, part, status: Box::new(status) }).await;
    }

    async fn requeue(&mut self, number: u64, why: String) {
        let Some(launch) = self.launches.remove(&number) else { return };
        self.tasks.retain(|_, (of, _)| *of != number);
        let unit = launch.unit.clone();
        self.waiting.push_front(Waiting { unit: launch.unit, attempt: launch.attempt + 1 });
        if self.suppressed {
            self.suppressed = self.scheduler.revive(Vec::new()).await.is_err();
        }
        self.tell(News::Requeued { unit, why }).await;
    }

    async fn suppress_if_idle(&mut self) {
        if self.subscribed && !self.suppressed && self.waiting.is_empty() {
            self.suppressed = self.scheduler.suppress(Vec::new()).await.is_ok();
        }
    }

    /// Asks for the state of every task that has not ended, again and again while a launch is not heard of.
    async fn reconcile(&mut self) {
        let agent_of = |launch: &u64| self.launches.get(launch).map(|launch| launch.agent.id.clone());
        let tasks: Vec<_> = self
            .tasks
            .iter()
            .map(|(id, (launch, _))| reconcile::Task {
                task_id: v1::TaskId { value: id.clone() },
                agent_id: agent_of(launch),
            })
            .collect();
        self.reconcile_at = (!tasks.is_empty()).then(|| Instant::now() + self.reconcile_wait);
        self.reconcile_wait = (self.reconcile_wait * 2).min(LAST_RECONCILE);
        if !tasks.is_empty() {
            let _ = self.scheduler.reconcile(tasks).await;
        }
    }

    async fn kill_all(&self) {
        for (id, (launch, _)) in &self.tasks {
            let agent = self.launches.get(launch).map(|launch| launch.agent.id.clone());
            let _ = self.scheduler.kill(v1::TaskId { value: id.clone() }, agent, None).await;
        }
    }

    async fn finish(&mut self) {
        if !self.subscribed {
            return;
        }
        let _ = timeout(FINISH_PATIENCE, async {
            while let Err(error) = self.scheduler.teardown().await {
                if !error.is_passing() || self.subscription.next().await.is_err() {
                    return;
                }
            }
        })
        .await;
    }

    /// News that nobody wants any more are dropped.
    async fn tell(&self, news: News) {
        let _ = self.news.send(news).await;
    }
}

/// What this framework tells the master of itself.
pub fn info(name: String, user: String, roles: Vec<String>, checkpoint: bool, failover: Duration) -> v1::FrameworkInfo {
    use v1::framework_info::{Capability, capability::Type};
    let able = [Type::MultiRole, Type::PartitionAware, Type::ReservationRefinement, Type::TaskKillingState];
    v1::FrameworkInfo {
        user,
        name,
        roles,
        checkpoint: Some(checkpoint),
        failover_timeout: Some(failover.as_secs_f64()),
        capabilities: able.map(|able| Capability { r#type: Some(able as i32) }).to_vec(),
        ..Default::default()
    }
}
