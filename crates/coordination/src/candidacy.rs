//! Standing for election among several masters: a member of the service from its start, a standby that follows the
//! registry, the leader once all its seniors are gone. `reign` is what a leader does in the service.

mod reign;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use proto::v1::MasterInfo;
use registry::Registry;
use stdx::WallTime;
use tokio::sync::{mpsc, oneshot, watch};

use crate::{
    announce,
    layout::{Header, REIGN, Reign},
    lease::Lease,
    replica::{Reader, Replica},
    space::{Connect, Member, Space, SpaceError},
    store::{StoreError, replicated::ReplicatedStore},
};

/// The reign a leader acts in. A later leader of the same cluster has a greater epoch.
pub type Epoch = u64;

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
        match self.replica.as_ref().and_then(Reader::reign) {
            Some(reign) => (Some(reign.epoch), Some(began(&reign))),
            None => (self.epoch, self.since),
        }
    }
}

fn began(reign: &Reign) -> WallTime {
    WallTime((reign.since * 1e9) as i64)
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
    task: tokio::task::AbortHandle,
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
        let candidate =
            Candidate { connect, config, standing, cluster, news, orders: orders_taken, foreign: None, joined: false };
        let task = tokio::spawn(candidate.run()).abort_handle();
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
        } else if tokio::time::timeout(LEAVE_MAX, wait).await.is_err() {
            // It waits for a service that does not answer, and has nothing to hand over.
            self.task.abort();
        }
    }
}

struct Candidate {
    connect: Arc<dyn Connect>,
    config: Config,
    standing: watch::Sender<Standing>,
    cluster: watch::Sender<Option<String>>,
    news: mpsc::Sender<Leadership>,
    orders: mpsc::Receiver<oneshot::Sender<()>>,
    /// Masters of another program that are where ours meet.
    foreign: Option<String>,
    /// It was a member once.
    joined: bool,
}

/// How a session came to its end.
enum End {
    /// Another one may follow.
    Lost(String),
    Deposed(String),
    Failed(StoreError),
    Resigned(oneshot::Sender<()>),
}

impl From<StoreError> for End {
    fn from(error: StoreError) -> End {
        match error.is_passing() {
            true => End::Lost(error.to_string()),
            false => End::Failed(error),
        }
    }
}

impl From<SpaceError> for End {
    fn from(error: SpaceError) -> End {
        StoreError::from(error).into()
    }
}

/// How long a candidate that does not lead may take to leave.
const LEAVE_MAX: Duration = Duration::from_secs(1);
const RETRY_MIN: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(2);

impl Candidate {
    async fn run(mut self) {
        let mut retry = RETRY_MIN;
        let mut ever_reached = false;
        loop {
            let end = match self.connect.connect().await {
                Ok(space) => {
                    retry = RETRY_MIN;
                    ever_reached = true;
                    self.serve(space).await
                }
                // At its start a master whose URL is wrong should say so and end.
                Err(error) if !ever_reached => Err(End::Failed(error.into())),
                Err(error) => Err(error.into()),
            };
            let Err(end) = end else { return };
            match end {
                End::Lost(why) => {
                    tracing::warn!(why, "not a candidate; trying again");
                    self.standing.send_modify(|standing| standing.replica = None);
                }
                End::Deposed(why) => {
                    self.standing.send_modify(|standing| standing.leading = false);
                    let _ = self.news.send(Leadership::Deposed { why }).await;
                    return;
                }
                End::Failed(why) => {
                    let _ = self.news.send(Leadership::Failed { why }).await;
                    return;
                }
                End::Resigned(done) => {
                    let _ = done.send(());
                    return;
                }
            }
            tokio::select! {
                () = tokio::time::sleep(retry) => {}
                Some(done) = self.orders.recv() => {
                    let _ = done.send(());
                    return;
                }
            }
            retry = (retry * 2).min(RETRY_MAX);
        }
    }

    /// One session, from joining to its end.
    async fn serve(&mut self, space: Arc<dyn Space>) -> Result<(), End> {
        let begun = Instant::now();
        let fetching = tokio::time::timeout(self.config.fetch_timeout, Replica::start(Arc::clone(&space)));
        let replica = fetching.await.map_err(|_| End::Lost("reading the registry takes too long".into()))??;
        let fetched = begun.elapsed();
        self.check(&replica)?;
        self.look_for_foreign(&*space).await?;
        // Where another program's masters are and no registry of ours is, the URL is wrong.
        if let Some(found) = &self.foreign
            && !self.joined
            && replica.header()?.is_none()
        {
            return Err(End::Failed(StoreError::ForeignMasters(found.clone())));
        }
        self.joined = true;
        let member = space.join(announce::write(&self.config.info)).await?;
        tracing::info!(name = member.name, "a candidate at {}", self.connect.describe());
        self.standing.send_modify(|standing| standing.replica = Some(replica.reader()));
        self.wait_for_turn(&*space, &member, &replica).await?;
        self.lead(space, member, replica, fetched).await
    }

    /// Whether this registry is one we may lead with. Nothing was written yet.
    fn check(&self, replica: &Replica) -> Result<(), StoreError> {
        let Some(header) = replica.header()? else { return Ok(()) };
        self.check_cluster(&header)?;
        let registry = replica.registry()?;
        let missing = registry.missing_capabilities();
        if !missing.is_empty() {
            return Err(StoreError::MissingCapabilities(missing.join(", ")));
        }
        Ok(())
    }

    fn check_cluster(&self, header: &Header) -> Result<(), StoreError> {
        let other = |found: &str, expected: &str| StoreError::OtherCluster {
            found: format!("'{found}'"),
            expected: format!("'{expected}'"),
        };
        if let (Some(found), Some(expected)) = (&header.name, &self.config.name)
            && found != expected
        {
            return Err(other(found, expected));
        }
        if let Some(expected) = self.cluster.borrow().as_deref()
            && header.cluster != expected
        {
            return Err(other(&header.cluster, expected));
        }
        self.cluster.send_if_modified(|known| match known {
            Some(_) => false,
            None => {
                *known = Some(header.cluster.clone());
                true
            }
        });
        Ok(())
    }

    /// Waits until no senior member is left.
    async fn wait_for_turn(&mut self, space: &dyn Space, member: &Member, replica: &Replica) -> Result<(), End> {
        loop {
            let (members, changed) = space.members().await?;
            self.note(&members, replica);
            self.look_for_foreign(space).await?;
            match members.first() {
                Some((first, _)) if first == member => return Ok(()),
                _ if !members.iter().any(|(other, _)| other == member) => {
                    return Err(End::Lost("our membership is gone".into()));
                }
                _ => {}
            }
            tokio::select! {
                () = changed => {}
                why = space.ended() => return Err(End::Lost(why)),
                Some(done) = self.orders.recv() => {
                    let _ = space.leave(member).await;
                    return Err(End::Resigned(done));
                }
            }
            // A leader of a newer version may have made the registry one that we cannot lead with.
            if let Err(error) = self.check(replica) {
                let _ = space.leave(member).await;
                return Err(error.into());
            }
        }
    }

    /// They may come and go; whoever runs them should know what that does.
    async fn look_for_foreign(&mut self, space: &dyn Space) -> Result<(), SpaceError> {
        let found = space.find_foreign().await?;
        match &found {
            Some(who) if self.foreign != found => tracing::error!(
                "{who} have joined where our masters meet, {}: whichever master is the most senior leads, and theirs knows \
                 nothing of our agents, frameworks and quotas. Give them another path, and stop them here",
                self.connect.describe()
            ),
            None if self.foreign.is_some() => tracing::warn!("no master of another program is left where ours meet"),
            Some(_) | None => {}
        }
        self.foreign = found;
        Ok(())
    }

    fn note(&self, members: &[(Member, bytes::Bytes)], replica: &Replica) {
        let mut infos = members.iter().filter_map(|(_, info)| announce::read(info));
        let leader = infos.next();
        let standbys: Vec<MasterInfo> = infos.collect();
        let reign = replica.reign();
        self.standing.send_modify(|standing| {
            let id = |info: &Option<Box<MasterInfo>>| info.as_ref().map(|info| info.id.clone());
            let leader = leader.map(Box::new);
            if id(&standing.leader) != id(&leader) {
                standing.elections += u64::from(leader.is_some());
                let name = leader.as_deref().map(announce::address).unwrap_or_else(|| "nobody".into());
                tracing::info!(leader = name, "the leading master");
            }
            standing.leader = leader;
            standing.standbys = standbys;
            if let Some((reign, _)) = reign {
                standing.epoch = Some(reign.epoch);
                standing.since = Some(began(&reign));
            }
        });
    }
}

/// Waits, if the former leader may still believe it leads.
async fn wait_out(space: &dyn Space, replica: &Replica) -> Result<(), SpaceError> {
    let Some((reign, heard)) = replica.reign() else {
        if space.get(REIGN).await?.is_some() {
            // Who leads, and for how long, cannot be read: longer than a session nobody does.
            tokio::time::sleep(space.session_timeout()).await;
        }
        return Ok(());
    };
    // The copy may not have heard yet that the leader resigned.
    let now: Option<Reign> = space.get(REIGN).await?.and_then(|stored| serde_json::from_slice(&stored.value).ok());
    if reign.released || now.is_none_or(|now| now.released) {
        return Ok(());
    }
    // A little more than the leader gives itself, for clocks that differ in speed.
    let until = heard + Duration::from_millis(reign.lasting_ms + reign.lasting_ms / 50 + 5);
    let left = until.saturating_duration_since(Instant::now());
    if !left.is_zero() {
        tracing::info!(?left, "waiting until the former leader has surely stopped");
        tokio::time::sleep(left).await;
    }
    Ok(())
}
