//! Where this master stands: alone with its store, or one of several who stand for election. Brings the registry, its
//! registrar and the right to act to the loop, and gives them up again.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use coordination::{
    Candidacy, Leadership, Lease, Outcome, Registrar, Standing, Store, belonging,
    candidacy::{Config, Epoch},
    registrar::OnOutcome,
    space::Connect,
};
use master_core::{Event, PersistError, Ticket};
use observe::metrics;
use proto::v1;
use registry::{Operation, Registry};
use tokio::sync::{mpsc, oneshot, watch};

use crate::{settings::Settings, traffic::Inbox};

/// What loop, endpoints and program share. Clones are the same seat.
#[derive(Clone)]
pub struct Seat {
    shared: Arc<Shared>,
    pub standing: watch::Receiver<Standing>,
}

struct Shared {
    /// The program's own id, as candidates show it.
    id: String,
    store: String,
    registrar: Mutex<Option<Registrar>>,
    lease: OnceLock<Lease>,
    candidacy: OnceLock<Candidacy>,
    /// Somebody asked this master to hand over.
    leave: tokio::sync::Notify,
    /// For a master that stands alone.
    _alone: Option<watch::Sender<Standing>>,
}

/// A master that cannot stand for election says why, once.
pub type Failure = oneshot::Receiver<String>;

impl Seat {
    /// May the loop act? A standby's core acts by itself only once it is elected.
    pub fn may_act(&self) -> bool {
        self.shared.lease.get().is_none_or(Lease::holds)
    }

    pub fn persist(&self, ticket: Ticket, operations: Vec<Operation>) -> Result<(), String> {
        match &*self.registrar() {
            Some(registrar) => registrar.persist(Some(ticket), operations),
            None => Err("this master gave its registry up".into()),
        }
    }

    pub fn id(&self) -> &str {
        &self.shared.id
    }

    /// For people: which store, and where.
    pub fn store(&self) -> &str {
        &self.shared.store
    }

    /// Another master that leads.
    pub fn other_leader(&self) -> Option<Box<v1::MasterInfo>> {
        self.standing.borrow().leader.clone().filter(|leader| leader.id != self.shared.id)
    }

    /// Stores what is queued, and lets the next master lead at once. The loop must have ended.
    pub async fn hand_over(&self) {
        let registrar = self.registrar().take();
        // Ending the registrar waits for its store.
        let _ = tokio::task::spawn_blocking(move || drop(registrar)).await;
        if let Some(candidacy) = self.shared.candidacy.get() {
            candidacy.resign().await;
        }
    }

    pub fn ask_to_hand_over(&self) {
        self.shared.leave.notify_one();
    }

    /// Waits until somebody asks.
    pub async fn asked_to_hand_over(&self) {
        self.shared.leave.notified().await;
    }

    /// Gives the registry up without waiting for its store.
    pub fn abandon(&self) {
        if let Some(registrar) = self.registrar().take() {
            registrar.abandon();
        }
    }

    fn registrar(&self) -> std::sync::MutexGuard<'_, Option<Registrar>> {
        self.shared.registrar.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sit(&self, registrar: Registrar, lease: Lease) {
        *self.registrar() = Some(registrar);
        let _ = self.shared.lease.set(lease);
    }
}

/// Takes the only store there is, and leads.
pub fn alone(
    settings: &Settings,
    store: Box<dyn Store>,
    info: &v1::MasterInfo,
    inbox: &Inbox,
    metrics: &metrics::Registry,
) -> Result<Seat, String> {
    let opening = std::time::Instant::now();
    let described = store.describe();
    tracing::info!(registry = described, "opened the registry");
    let (registrar, registry) = Registrar::start(store, on_outcome(inbox.clone())).map_err(|e| e.to_string())?;
    metrics.timer("registrar/state_fetch").record(opening.elapsed());
    let registry = apply_flags(&settings.first_operations()?, registry, &registrar)?;
    let standing = Standing {
        leading: true,
        leader: Some(Box::new(info.clone())),
        since: Some(stdx::clock::wall()),
        elections: 1,
        ..Standing::default()
    };
    let (alone, standing) = watch::channel(standing);
    let seat = seat(info, described, standing, Some(alone));
    seat.sit(registrar, Lease::endless());
    let inbox = inbox.clone();
    tokio::spawn(async move { inbox.put(Event::Elected { registry: Box::new(registry) }).await });
    Ok(seat)
}

/// Stands for election.
pub fn candidate(
    settings: &Settings,
    connect: Arc<dyn Connect>,
    info: &v1::MasterInfo,
    inbox: &Inbox,
    metrics: &Arc<metrics::Registry>,
) -> Result<(Seat, Failure), String> {
    let described = connect.describe();
    tracing::info!(registry = described, "standing for election");
    let note = settings.cluster_file();
    let belongs = note.as_deref().map(belonging::read).transpose().map_err(|e| e.to_string())?;
    let config = Config {
        info: info.clone(),
        name: settings.values.text("cluster").map(str::to_owned),
        cluster: belongs.flatten(),
        store_timeout: settings.values.needed_duration("registry_store_timeout")?,
        fetch_timeout: settings.values.needed_duration("registry_fetch_timeout")?,
    };
    let (sender, news) = mpsc::channel(4);
    let candidacy = Candidacy::start(connect, config, sender);
    if let Some(path) = note {
        tokio::spawn(remember_cluster(candidacy.cluster.clone(), path));
    }
    let seat = seat(info, described, candidacy.standing.clone(), None);
    let _ = seat.shared.candidacy.set(candidacy);
    show(&seat, metrics);
    let (fail, failure) = oneshot::channel();
    tokio::spawn(follow(seat.clone(), news, inbox.clone(), settings.first_operations()?, Arc::clone(metrics), fail));
    Ok((seat, failure))
}

fn seat(
    info: &v1::MasterInfo,
    store: String,
    standing: watch::Receiver<Standing>,
    alone: Option<watch::Sender<Standing>>,
) -> Seat {
    let shared = Shared {
        id: info.id.clone(),
        store,
        registrar: Mutex::default(),
        lease: OnceLock::new(),
        candidacy: OnceLock::new(),
        leave: tokio::sync::Notify::new(),
        _alone: alone,
    };
    Seat { shared: Arc::new(shared), standing }
}

/// Tells the loop what becomes of the candidacy.
async fn follow(
    seat: Seat,
    mut news: mpsc::Receiver<Leadership>,
    inbox: Inbox,
    first: Vec<Operation>,
    metrics: Arc<metrics::Registry>,
    fail: oneshot::Sender<String>,
) {
    let mut fail = Some(fail);
    let mut failed = |why: String| {
        if let Some(fail) = fail.take() {
            // A program that is ending needs no reason.
            let _ = fail.send(why);
        }
    };
    while let Some(news) = news.recv().await {
        match news {
            Leadership::Elected { epoch, registry, store, lease, fetched } => {
                metrics.timer("registrar/state_fetch").record(fetched);
                match take_office(&seat, epoch, *registry, store, lease, &first, &inbox) {
                    Ok(registry) => inbox.put(Event::Elected { registry: Box::new(registry) }).await,
                    Err(why) => failed(why),
                }
            }
            Leadership::Deposed { why } => {
                tracing::warn!(why, "deposed");
                inbox.put(Event::Deposed).await;
                failed(format!("deposed: {why}"));
            }
            Leadership::Failed { why } => failed(why.to_string()),
        }
    }
}

fn take_office(
    seat: &Seat,
    epoch: Epoch,
    registry: Registry,
    store: Box<dyn Store>,
    lease: Lease,
    first: &[Operation],
    inbox: &Inbox,
) -> Result<Registry, String> {
    let registrar = Registrar::resume(store, registry.clone(), on_outcome(inbox.clone()));
    let registrar = registrar.map_err(|e| e.to_string())?;
    tracing::info!(epoch, agents = registry.agents.len(), "took over the registry");
    let registry = apply_flags(first, registry, &registrar)?;
    seat.sit(registrar, lease);
    Ok(registry)
}

/// Turns what the registrar reports into events.
fn on_outcome(inbox: Inbox) -> OnOutcome {
    Box::new(move |ticket, outcome| {
        let outcome = match outcome {
            Outcome::Stored => Ok(()),
            Outcome::Refused(refusal) => Err(PersistError(refusal.to_string())),
            Outcome::Failed(why) => Err(PersistError(why)),
        };
        inbox.put_blocking(Event::Persisted { ticket, outcome });
    })
}

/// Weights and groups given by flag count only for a registry that has none.
fn apply_flags(first: &[Operation], mut registry: Registry, registrar: &Registrar) -> Result<Registry, String> {
    let (has_weights, has_groups) = (!registry.weights.is_empty(), !registry.groups.is_empty());
    let counts = |operation: &&Operation| match operation {
        Operation::SetGroup(_) => !has_groups,
        _ => !has_weights,
    };
    let operations: Vec<Operation> = first.iter().filter(counts).cloned().collect();
    if operations.is_empty() {
        return Ok(registry);
    }
    for operation in &operations {
        registry::apply(&mut registry, operation).map_err(|e| format!("a flag's first entry in the registry: {e}"))?;
    }
    registrar.persist(None, operations)?;
    Ok(registry)
}

/// Notes which cluster this master belongs to, so that a wrong URL is noticed at its next start.
async fn remember_cluster(mut cluster: watch::Receiver<Option<String>>, path: PathBuf) {
    let Ok(id) = cluster.wait_for(Option::is_some).await.map(|id| id.clone().unwrap_or_default()) else { return };
    if let Err(error) = belonging::write(&path, &id) {
        tracing::warn!(%error, path = %path.display(), "cannot note the cluster");
    }
}

fn show(seat: &Seat, metrics: &Arc<metrics::Registry>) {
    let standing = seat.standing.clone();
    metrics.pull_many("coordination", move |snapshot| {
        let standing = standing.borrow();
        snapshot.put("coordination/epoch", standing.reign().0.unwrap_or_default() as f64);
        snapshot.put("coordination/standbys", standing.standbys.len() as f64);
        snapshot.put_counter("coordination/elections", standing.elections as f64);
        if let Some(replica) = &standing.replica {
            snapshot.put("coordination/replica/commit", replica.commit() as f64);
            snapshot.put("coordination/replica/silence_secs", replica.silence().as_secs_f64());
        }
    });
}
