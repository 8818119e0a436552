//! A leader's work in the service: taking the epoch, which shuts out all former leaders, heartbeats that keep the
//! lease, and leaving.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{Candidate, End, Leadership, wait_out};
use crate::{
    layout::{self, EPOCH, FORMAT, HEADER, Header, REIGN, Reign},
    lease::Lease,
    replica::Replica,
    space::{Guard, Member, Space, SpaceError, Write},
    store::{StoreError, replicated::ReplicatedStore},
};

/// Of the session's timeout, the part that a leader acts on without news.
const LASTING: (u32, u32) = (2, 3);
/// Heartbeats within that time.
const BEATS: u32 = 4;
/// After how many times the longest that a candidate takes to read the registry nobody is left who has read it before
/// it was moved, and is not yet a member.
const TIDY_AFTER: u32 = 3;
/// How long the copy may take to see our own epoch before it is made anew.
const CATCH_UP: Duration = Duration::from_secs(2);

/// The epoch a leader took, and the version of its key.
struct Taken {
    epoch: u64,
    version: i64,
}

impl Candidate {
    /// `fetched` is how long it took to read the copy.
    pub(super) async fn lead(
        &mut self,
        space: Arc<dyn Space>,
        member: Member,
        replica: Replica,
        fetched: Duration,
    ) -> Result<(), End> {
        wait_out(&*space, &replica).await?;
        if let Err(error) = self.check(&replica) {
            let _ = space.leave(&member).await;
            return Err(error.into());
        }
        if !space.is_in_place().await? {
            let _ = space.leave(&member).await;
            return Err(End::Lost("the registry has been moved".into()));
        }
        let taken = self.take_epoch(&*space, &member).await?;
        let guards = vec![Guard::Version(EPOCH.to_owned(), taken.version), Guard::Member(member.clone())];
        let begun = Instant::now();
        let values = replica.reach(&*space, taken.version, CATCH_UP).await?;
        let store = ReplicatedStore::take_over(
            Arc::clone(&space),
            guards.clone(),
            &values,
            self.config.store_timeout,
            self.connect.describe(),
        )
        .await?;
        match space.move_registry(&guards).await {
            Ok(false) => {}
            Ok(true) => {
                let _ = space.leave(&member).await;
                return Err(End::Lost("the registry was where former versions keep it, and has been moved".into()));
            }
            Err(SpaceError::Denied(why)) => tracing::warn!(why, "the registry stays where former versions keep it"),
            Err(error) => return Err(error.into()),
        }
        drop((replica, values));
        let fetched = fetched + begun.elapsed();

        let lasting = space.session_timeout() * LASTING.0 / LASTING.1;
        let since = stdx::clock::wall();
        let mut reign = Reign {
            epoch: taken.epoch,
            lasting_ms: u64::try_from(lasting.as_millis()).unwrap_or(u64::MAX),
            released: false,
            since: since.0 as f64 / 1e9,
            master: self.config.info.id.clone(),
        };
        let mut heart = Heart { space: Arc::clone(&space), guards, beats: 0, exists: None };
        let sent = Instant::now();
        heart.beat(&reign).await?;
        let lease = Lease::until(sent + lasting);
        tracing::info!(epoch = taken.epoch, "elected");
        self.standing.send_modify(|standing| {
            standing.leading = true;
            standing.epoch = Some(taken.epoch);
            standing.since = Some(since);
            standing.replica = None;
        });
        let registry = Box::new(store.registry().clone());
        let elected =
            Leadership::Elected { epoch: taken.epoch, registry, store: Box::new(store), lease: lease.clone(), fetched };
        if self.news.send(elected).await.is_err() {
            return Err(End::Deposed("nobody wants to know".into()));
        }
        let end = self.hold(&space, &member, &mut heart, &reign, &lease).await;
        lease.end();
        if let End::Resigned(done) = end {
            reign.released = true;
            // Who cannot tell leaves silently; the next leader then waits a little longer.
            let told = tokio::time::timeout(lasting, async {
                heart.beat(&reign).await?;
                space.leave(&member).await
            });
            if let Ok(Err(error)) = told.await {
                tracing::warn!(%error, "could not hand over properly");
            }
            return Err(End::Resigned(done));
        }
        Err(end)
    }

    /// Heartbeats until something ends the reign.
    async fn hold(
        &mut self,
        space: &Arc<dyn Space>,
        member: &Member,
        heart: &mut Heart,
        reign: &Reign,
        lease: &Lease,
    ) -> End {
        let lasting = Duration::from_millis(reign.lasting_ms);
        let mut beat = tokio::time::interval(lasting / BEATS);
        beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let ended = space.ended();
        tokio::pin!(ended);
        let tidy_pause = self.config.fetch_timeout * TIDY_AFTER;
        let mut tidy_at = Some(Instant::now() + tidy_pause);
        loop {
            let watching = async {
                let (members, changed) = space.members().await.ok()?;
                // Nobody's reign ends with a foreign master, nor because it cannot be looked for.
                let _ = self.look_for_foreign(&**space).await;
                Some((members, changed))
            };
            let watching =
                async { watching.await.map_or((None, None), |(members, changed)| (Some(members), Some(changed))) };
            let (members, changed) = tokio::time::timeout(lasting / BEATS, watching).await.unwrap_or((None, None));
            if let Some(members) = &members {
                if !members.iter().any(|(other, _)| other == member) {
                    return End::Deposed("our membership is gone".into());
                }
                self.note_standbys(members);
            }
            let mut changed = changed;
            let more = loop {
                tokio::select! {
                    why = &mut ended => return End::Deposed(why),
                    Some(done) = self.orders.recv() => return End::Resigned(done),
                    () = async { match changed.as_mut() { Some(changed) => changed.await, None => std::future::pending().await } } => {
                        break true;
                    }
                    () = tokio::time::sleep_until(tidy_at.unwrap_or_else(Instant::now).into()), if tidy_at.is_some() => {
                        let tidied = tokio::time::timeout(lasting / BEATS, space.tidy()).await;
                        tidy_at = if let Ok(Ok(true)) = tidied { None } else { Some(Instant::now() + tidy_pause) };
                    }
                    _ = beat.tick() => {
                        let sent = Instant::now();
                        match tokio::time::timeout(lasting, heart.beat(reign)).await {
                            Ok(Ok(())) => lease.renew(sent + lasting),
                            Ok(Err(SpaceError::Fenced)) => return End::Deposed("another master has taken over".into()),
                            Ok(Err(error)) => tracing::warn!(%error, "a heartbeat failed"),
                            Err(_) => tracing::warn!("a heartbeat had no answer"),
                        }
                        if !lease.holds() {
                            return End::Deposed("the store did not answer for too long".into());
                        }
                        if changed.is_none() {
                            break false;
                        }
                    }
                }
            };
            tracing::trace!(more, "the members may have changed");
        }
    }

    fn note_standbys(&self, members: &[(Member, bytes::Bytes)]) {
        let standbys: Vec<_> = members.iter().skip(1).filter_map(|(_, info)| crate::announce::read(info)).collect();
        self.standing.send_modify(|standing| standing.standbys = standbys);
    }

    /// Makes the registry if there is none, and begins a new epoch. Only a member can.
    async fn take_epoch(&self, space: &dyn Space, member: &Member) -> Result<Taken, End> {
        let guard = Guard::Member(member.clone());
        if space.get(HEADER).await?.is_none() {
            let mut rng = stdx::Rng::new(stdx::rng::system_seed());
            let cluster = self.cluster.borrow().clone().unwrap_or_else(|| rng.uuid_text());
            let header = Header { format: FORMAT, cluster, name: self.config.name.clone() };
            let writes = [
                Write::Create(HEADER.to_owned(), layout::to_json(&header)),
                Write::Create(EPOCH.to_owned(), "0".into()),
            ];
            space.transact(std::slice::from_ref(&guard), &writes).await.map_err(lost)?;
            self.check_cluster(&header)?;
        }
        let former = space.get(EPOCH).await?;
        let former = former.ok_or_else(|| StoreError::Foreign("a registry without an epoch".into()))?;
        let epoch = layout::epoch(&former.value)? + 1;
        let guards = [guard, Guard::Version(EPOCH.to_owned(), former.version)];
        let writes = [Write::Set(EPOCH.to_owned(), epoch.to_string().into())];
        let versions = space.transact(&guards, &writes).await.map_err(lost)?;
        let version = versions.first().copied().ok_or_else(|| End::Lost("no version of the epoch".into()))?;
        Ok(Taken { epoch, version })
    }
}

/// Before the reign began, being shut out only means to stand again.
fn lost(error: SpaceError) -> End {
    match error {
        SpaceError::Fenced => End::Lost("another master was faster".into()),
        other => other.into(),
    }
}

struct Heart {
    space: Arc<dyn Space>,
    guards: Vec<Guard>,
    beats: u64,
    exists: Option<bool>,
}

impl Heart {
    async fn beat(&mut self, reign: &Reign) -> Result<(), SpaceError> {
        let exists = match self.exists {
            Some(exists) => exists,
            None => self.space.get(REIGN).await?.is_some(),
        };
        self.beats += 1;
        let mut value = serde_json::to_value(reign).unwrap_or_default();
        value["beat"] = self.beats.into();
        let value = layout::to_json(&value);
        let write = match exists {
            true => Write::Set(REIGN.to_owned(), value),
            false => Write::Create(REIGN.to_owned(), value),
        };
        let outcome = self.space.transact(&self.guards, &[write]).await;
        match &outcome {
            Ok(_) => self.exists = Some(true),
            // It may have been made after all.
            Err(_) => self.exists = None,
        }
        outcome.map(drop)
    }
}
