//! Standing for election with a real service: carries out what `election::Candidate` wants, and tells it what came of
//! it. Each question to the service is a task of its own; the candidate itself never waits.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use election::{Answer, Ask, Candidate, Effect, Elected, Event, Input, Session, candidate::LEAVE_MAX};
use proto::v1::MasterInfo;
use registry::Registry;
use stdx::{WallTime, clock::Clock};
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::{AbortHandle, JoinSet},
};

use crate::{
    lease::Lease,
    space::{Connect, Space, SpaceError},
    store::{StoreError, replicated::ReplicatedStore},
};

pub use election::Epoch;

/// What a candidate learns.
pub enum Leadership {
    /// This master leads: the registry as it is, the store for its changes, and the lease to look at before each act.
    Elected {
        epoch: Epoch,
        registry: Box<Registry>,
        store: Box<ReplicatedStore>,
        lease: Lease,
        /// How long reading the registry took: all of it when this master joined, and the rest when it was elected.
        fetched: Duration,
    },
    /// This master leads no more and must stop acting at once. Nothing follows.
    Deposed { why: String },
    /// This master cannot be a candidate. Nothing follows.
    Failed { why: StoreError },
}

/// Who leads and who else could, as this master knows it.
#[derive(Clone, Debug, Default)]
pub struct Standing {
    /// This master leads.
    pub leading: bool,
    pub leader: Option<Box<MasterInfo>>,
    /// The present reign, once it is known.
    pub epoch: Option<Epoch>,
    pub since: Option<WallTime>,
    /// All candidates but the leader, the next one first.
    pub standbys: Vec<MasterInfo>,
    /// How often the leader was seen to change.
    pub elections: u64,
    /// A standby's copy of the registry.
    pub replica: Option<Reader>,
}

impl Standing {
    /// The present reign and since when it lasts. A standby reads it off its copy, which hears of it after the members.
    pub fn reign(&self) -> (Option<Epoch>, Option<WallTime>) {
        match self.replica.as_ref().and_then(|replica| replica.with(|copy| copy.reign()).flatten()) {
            Some(reign) => (Some(reign.epoch), Some(reign.began())),
            None => (self.epoch, self.since),
        }
    }
}

/// Reads a standby's copy of the registry, for as long as it is one.
#[derive(Clone)]
pub struct Reader {
    candidate: Shared,
    clock: Clock,
}

type Shared = Arc<Mutex<Candidate>>;

fn lock(candidate: &Shared) -> MutexGuard<'_, Candidate> {
    candidate.lock().unwrap_or_else(PoisonError::into_inner)
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Reader")
    }
}

impl Reader {
    fn with<R>(&self, read: impl FnOnce(&election::Copy) -> R) -> Option<R> {
        lock(&self.candidate).copy().map(read)
    }

    /// `None` once it is no standby's any more.
    pub fn registry(&self) -> Option<Result<Registry, StoreError>> {
        let values = self.with(|copy| copy.values().clone())?;
        Some(election::layout::assemble(&values))
    }

    /// The number of the last transaction.
    pub fn commit(&self) -> u64 {
        self.with(election::Copy::commit).unwrap_or_default()
    }

    /// How long nothing was heard of the leader.
    pub fn silence(&self) -> Duration {
        let now = self.clock.now();
        self.with(|copy| copy.silence(now)).unwrap_or_default()
    }
}

/// How a master stands for election.
pub struct Config {
    pub info: MasterInfo,
    /// The cluster's name, if it has one.
    pub name: Option<String>,
    /// The cluster whose registry this must be, if this master belonged to one before.
    pub cluster: Option<String>,
    /// For how long a write to the registry is tried.
    pub store_timeout: Duration,
    /// For how long reading the registry may take.
    pub fetch_timeout: Duration,
}

/// A candidacy under way. Dropping it ends it without a word to the service.
pub struct Candidacy {
    pub standing: watch::Receiver<Standing>,
    /// The cluster whose registry was found, once it was.
    pub cluster: watch::Receiver<Option<String>>,
    orders: mpsc::Sender<oneshot::Sender<()>>,
    task: AbortHandle,
}

impl Drop for Candidacy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Candidacy {
    /// Stands for election until the end, and reports to `news`.
    pub fn start(connect: Arc<dyn Connect>, config: Config, news: mpsc::Sender<Leadership>) -> Candidacy {
        let (standing, standing_seen) = watch::channel(Standing::default());
        let (cluster, cluster_seen) = watch::channel(config.cluster.clone());
        let (orders, orders_taken) = mpsc::channel(4);
        let (say, arrivals) = mpsc::channel(ARRIVALS);
        let Config { info, name, cluster: belongs, store_timeout, fetch_timeout } = config;
        let place = connect.describe();
        let seed = stdx::rng::system_seed();
        let config = election::Config { info, name, cluster: belongs, store_timeout, fetch_timeout, place, seed };
        let driver = Driver {
            candidate: Arc::new(Mutex::new(Candidate::new(config))),
            clock: Clock::start(),
            connect,
            sessions: 0,
            session: None,
            say,
            arrivals,
            orders: orders_taken,
            leaving: Vec::new(),
            lease: None,
            standing,
            cluster,
            news,
        };
        let task = tokio::spawn(driver.run()).abort_handle();
        Candidacy { standing: standing_seen, cluster: cluster_seen, orders, task }
    }

    /// Leaves the election and, if this master leads, lets the next one lead at once. Whoever writes to the registry
    /// must have stopped.
    pub async fn resign(&self) {
        let (done, wait) = oneshot::channel();
        if self.orders.send(done).await.is_err() {
            return;
        }
        if self.standing.borrow().leading {
            let _ = wait.await;
        } else if tokio::time::timeout(LEAVE_MAX * 2, wait).await.is_err() {
            self.task.abort();
        }
    }
}

/// How many events may wait for the candidate; whoever has more waits.
const ARRIVALS: usize = 1024;

struct Driver {
    candidate: Shared,
    clock: Clock,
    connect: Arc<dyn Connect>,
    /// How many there were.
    sessions: u64,
    session: Option<Live>,
    say: mpsc::Sender<Arrival>,
    arrivals: mpsc::Receiver<Arrival>,
    orders: mpsc::Receiver<oneshot::Sender<()>>,
    /// Who waits until this master has left.
    leaving: Vec<oneshot::Sender<()>>,
    lease: Option<Lease>,
    standing: watch::Sender<Standing>,
    cluster: watch::Sender<Option<String>>,
    news: mpsc::Sender<Leadership>,
}

/// A session, with the tasks that serve it. They end with it.
struct Live {
    space: Option<Arc<dyn Space>>,
    tasks: JoinSet<()>,
    following: Option<AbortHandle>,
    watching: Option<AbortHandle>,
}

/// What a session of that number says.
struct Arrival {
    session: u64,
    what: Said,
}

enum Said {
    Connected(Result<Arc<dyn Space>, SpaceError>),
    Event(Event),
}

/// Where the tasks of one session say what they hear.
#[derive(Clone)]
struct Ear {
    session: u64,
    say: mpsc::Sender<Arrival>,
}

impl Ear {
    /// False if nobody listens any more.
    async fn say(&self, event: Event) -> bool {
        self.say.send(Arrival { session: self.session, what: Said::Event(event) }).await.is_ok()
    }

    async fn answer(&self, number: u64, answer: Answer) -> bool {
        self.say(Event::Answer { number, answer }).await
    }
}

impl Driver {
    async fn run(mut self) {
        let mut event = Event::Wake;
        while self.handle(event).await {
            event = self.next().await;
        }
    }

    async fn next(&mut self) -> Event {
        loop {
            let deadline = lock(&self.candidate).next_deadline().map(|at| self.clock.instant(at));
            let sleep = async {
                match deadline {
                    Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                Some(done) = self.orders.recv() => {
                    self.leaving.push(done);
                    return Event::Resign;
                }
                Some(arrival) = self.arrivals.recv() => {
                    if arrival.session == self.sessions && let Some(event) = self.hear(arrival.what) {
                        return event;
                    }
                }
                () = sleep => return Event::Wake,
            }
        }
    }

    fn hear(&mut self, said: Said) -> Option<Event> {
        let live = self.session.as_mut()?;
        let space = match said {
            Said::Event(event) => return Some(event),
            Said::Connected(Err(error)) => return Some(Event::Connected(Err(error))),
            Said::Connected(Ok(space)) => space,
        };
        let (ended, ear) = (space.ended(), Ear { session: self.sessions, say: self.say.clone() });
        live.tasks.spawn(async move {
            ear.say(Event::Ended(ended.await)).await;
        });
        let session = Session { timeout: space.session_timeout(), limits: space.limits() };
        live.space = Some(space);
        Some(Event::Connected(Ok(session)))
    }

    /// False once the candidacy is over.
    async fn handle(&mut self, event: Event) -> bool {
        let mut effects = Vec::new();
        let input = Input { now: self.clock.now(), wall: stdx::clock::wall(), event };
        lock(&self.candidate).handle(input, &mut effects);
        for effect in effects {
            if !self.carry_out(effect).await {
                return false;
            }
        }
        true
    }

    async fn carry_out(&mut self, effect: Effect) -> bool {
        match effect {
            Effect::Connect => self.begin_session(),
            Effect::Disconnect => self.session = None,
            Effect::Ask { number, ask } => self.ask(number, ask),
            Effect::Unfollow => {
                if let Some(following) = self.session.as_mut().and_then(|live| live.following.take()) {
                    following.abort();
                }
            }
            Effect::Show => self.show(),
            Effect::Belongs { cluster } => drop(self.cluster.send_replace(Some(cluster))),
            Effect::Elected(elected) => return self.lead(*elected).await,
            Effect::Renew { until } => {
                if let Some(lease) = &self.lease {
                    lease.renew(self.clock.instant(until));
                }
            }
            Effect::EndLease => {
                if let Some(lease) = &self.lease {
                    lease.end();
                }
            }
            Effect::Deposed { why } => {
                self.show();
                let _ = self.news.send(Leadership::Deposed { why }).await;
                return false;
            }
            Effect::Failed { why } => {
                let _ = self.news.send(Leadership::Failed { why }).await;
                return false;
            }
            Effect::Resigned => {
                for done in self.leaving.drain(..) {
                    let _ = done.send(());
                }
                return false;
            }
        }
        true
    }

    async fn lead(&mut self, elected: Elected) -> bool {
        let Elected { epoch, registry, ledger, until, fetched } = elected;
        let Some(space) = self.session.as_ref().and_then(|live| live.space.clone()) else { return true };
        let lease = Lease::until(self.clock.instant(until));
        self.lease = Some(lease.clone());
        // Whoever hears of the election finds the standing as it is now.
        self.show();
        let store = Box::new(ReplicatedStore::new(space, ledger, registry.clone(), self.connect.describe()));
        let elected = Leadership::Elected { epoch, registry: Box::new(registry), store, lease, fetched };
        self.news.send(elected).await.is_ok()
    }

    fn begin_session(&mut self) {
        self.sessions += 1;
        let (connect, say, session) = (Arc::clone(&self.connect), self.say.clone(), self.sessions);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let what = Said::Connected(connect.connect().await);
            let _ = say.send(Arrival { session, what }).await;
        });
        self.session = Some(Live { space: None, tasks, following: None, watching: None });
    }

    fn show(&self) {
        let standing = lock(&self.candidate).standing().clone();
        let replica = standing.follows.then(|| Reader { candidate: Arc::clone(&self.candidate), clock: self.clock });
        let election::Standing { leading, leader, epoch, since, standbys, elections, follows: _ } = standing;
        self.standing.send_replace(Standing { leading, leader, epoch, since, standbys, elections, replica });
    }

    fn ask(&mut self, number: u64, ask: Ask) {
        let ear = Ear { session: self.sessions, say: self.say.clone() };
        let Some(live) = &mut self.session else { return };
        let Some(space) = live.space.clone() else { return };
        // What is done needs no place any more.
        while live.tasks.try_join_next().is_some() {}
        match ask {
            Ask::Follow => {
                let task = live.tasks.spawn(follow(space, number, ear));
                if let Some(former) = live.following.replace(task) {
                    former.abort();
                }
            }
            Ask::Members => {
                let task = live.tasks.spawn(watch_members(space, number, ear));
                if let Some(former) = live.watching.replace(task) {
                    former.abort();
                }
            }
            ask => {
                live.tasks.spawn(async move {
                    let answer = answer(&*space, ask).await;
                    ear.answer(number, answer).await;
                });
            }
        }
    }
}

async fn follow(space: Arc<dyn Space>, number: u64, ear: Ear) {
    let mut feed = match space.follow().await {
        Ok((entries, feed)) => {
            ear.answer(number, Answer::Follow(Ok(entries))).await;
            feed
        }
        Err(error) => {
            ear.answer(number, Answer::Follow(Err(error))).await;
            return;
        }
    };
    while let Some(entries) = feed.recv().await {
        ear.say(Event::News(entries)).await;
    }
    ear.say(Event::NewsLost).await;
}

async fn watch_members(space: Arc<dyn Space>, number: u64, ear: Ear) {
    match space.members().await {
        Ok((members, changed)) => {
            ear.answer(number, Answer::Members(Ok(members))).await;
            changed.await;
            ear.say(Event::MembersChanged).await;
        }
        Err(error) => {
            ear.answer(number, Answer::Members(Err(error))).await;
        }
    }
}

async fn answer(space: &dyn Space, ask: Ask) -> Answer {
    match ask {
        // Who asks for these goes on being told, see above.
        Ask::Follow => Answer::Follow(space.follow().await.map(|(entries, _)| entries)),
        Ask::Members => Answer::Members(space.members().await.map(|(members, _)| members)),
        Ask::Foreign => Answer::Foreign(space.find_foreign().await),
        Ask::Join(info) => Answer::Join(space.join(info).await),
        Ask::Leave(member) => Answer::Leave(space.leave(&member).await),
        Ask::Get(key) => Answer::Get(space.get(key).await),
        Ask::Transact { guards, writes } => Answer::Transact(space.transact(&guards, &writes).await),
        Ask::InPlace => Answer::InPlace(space.is_in_place().await),
        Ask::Move(guards) => Answer::Move(space.move_registry(&guards).await),
        Ask::Tidy => Answer::Tidy(space.tidy().await),
    }
}
