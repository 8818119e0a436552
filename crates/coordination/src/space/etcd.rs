//! A session with etcd, over its JSON gateway. Members are keys `<path>/masters/<lease>` that hang on a lease, in the
//! order they were created; the registry lies below `<path>/registry/`.

mod gateway;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use bytes::Bytes;
use tokio::{
    sync::{mpsc, watch},
    task::AbortHandle,
};

use self::gateway::{Compare, Gateway, KeyValue, RangeRequest, TxnRequest};
use super::{Connect, Entry, Feed, Guard, Limits, Member, Signal, Space, SpaceError, Stored, Work, Write};
use crate::url::Place;

/// etcd takes 128 operations in a transaction and 1.5 MB in a request; the gateway's text is a third longer than our
/// bytes.
const LIMITS: Limits = Limits { writes: 120, bytes: 800 << 10 };
const FEED_CAPACITY: usize = 1_024;
/// After how long the members are read again although nothing was heard of a change: a watch may hang at a server that
/// is cut off from the others.
const MEMBERS_AGE_MAX: Duration = Duration::from_secs(3);

/// The way to sessions with etcd.
pub struct Etcd {
    place: Place,
    session_timeout: Duration,
}

impl Etcd {
    pub fn new(place: Place, session_timeout: Duration) -> Etcd {
        Etcd { place, session_timeout }
    }

    async fn open(&self) -> Result<Arc<dyn Space>, SpaceError> {
        let gateway = Gateway::new(&self.place, self.session_timeout)?;
        let deadline = Instant::now() + self.session_timeout;
        loop {
            match gateway.log_in().await {
                Ok(()) => break,
                Err(error) if error.is_passing() && Instant::now() < deadline => {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                Err(SpaceError::Unsure(why)) => {
                    return Err(SpaceError::Unreachable(format!(
                        "{} does not answer as etcd does: {why}; check that most of its servers run, the hosts and ports in \
                         the URL, and whether they ask for TLS (https://, with certificates) or not (http://)",
                        self.place
                    )));
                }
                Err(error) => return Err(error),
            }
        }
        let (over, _) = watch::channel(None);
        Ok(Arc::new(Session {
            gateway: Arc::new(gateway),
            path: self.place.path.clone(),
            timeout: self.session_timeout,
            over: Arc::new(over),
            lease: Mutex::new(None),
        }))
    }
}

impl Connect for Etcd {
    fn connect(&self) -> Work<'_, Arc<dyn Space>> {
        Box::pin(self.open())
    }

    fn describe(&self) -> String {
        format!("etcd, {}", self.place)
    }
}

struct Session {
    gateway: Arc<Gateway>,
    path: String,
    timeout: Duration,
    over: Arc<watch::Sender<Option<String>>>,
    lease: Mutex<Option<Lease>>,
}

struct Lease {
    id: i64,
    keeper: AbortHandle,
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(lease) = self.lease.lock().unwrap_or_else(PoisonError::into_inner).take() {
            lease.keeper.abort();
        }
    }
}

impl Session {
    fn masters(&self) -> String {
        format!("{}/masters/", self.path)
    }

    fn root(&self) -> String {
        format!("{}/registry/", self.path)
    }

    fn node(&self, key: &str) -> String {
        format!("{}/registry/{key}", self.path)
    }

    async fn become_member(&self, info: Bytes) -> Result<Member, SpaceError> {
        let begun = Instant::now();
        let seconds = self.timeout.as_secs().max(1);
        let id = self.gateway.grant_lease(seconds).await?;
        let lasting = Duration::from_secs(seconds);
        let keeper = tokio::spawn(keep(Arc::clone(&self.gateway), id, lasting, begun, Arc::clone(&self.over)));
        let former = self
            .lease
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .replace(Lease { id, keeper: keeper.abort_handle() });
        if let Some(former) = former {
            former.keeper.abort();
        }
        let name = format!("{}{id:016x}", self.masters());
        let mut txn = TxnRequest::default();
        txn.put(&name, &info, Some(id));
        let done = self.gateway.transact(&txn).await?;
        Ok(Member { name, number: done.revision })
    }

    async fn write(&self, guards: &[Guard], writes: &[Write]) -> Result<Vec<i64>, SpaceError> {
        let mut txn = TxnRequest::default();
        let mut fenced = false;
        for guard in guards {
            txn.compare.push(match guard {
                Guard::Member(member) => Compare::created(&member.name, member.number),
                Guard::Version(key, version) => {
                    fenced = true;
                    Compare::changed(&self.node(key), *version)
                }
            });
        }
        for write in writes {
            match write {
                // Behind a guard on the epoch nobody else writes.
                Write::Create(key, value) if fenced => txn.put(&self.node(key), value, None),
                Write::Create(key, value) => {
                    txn.compare.push(Compare::created(&self.node(key), 0));
                    txn.put(&self.node(key), value, None);
                }
                Write::Set(key, value) => txn.put(&self.node(key), value, None),
                Write::Delete(key) => txn.delete(&self.node(key)),
            }
        }
        let done = self.gateway.transact(&txn).await?;
        if !done.succeeded {
            return Err(SpaceError::Fenced);
        }
        Ok(vec![done.revision; writes.len()])
    }

    fn entry(&self, pair: KeyValue) -> Option<Entry> {
        let key = std::str::from_utf8(&pair.key).ok()?.strip_prefix(&self.root())?.to_owned();
        Some((key, Some(Stored { value: pair.value.into(), version: pair.mod_revision })))
    }
}

/// Keeps a lease alive until it is lost.
async fn keep(
    gateway: Arc<Gateway>,
    id: i64,
    lasting: Duration,
    mut heard: Instant,
    over: Arc<watch::Sender<Option<String>>>,
) {
    loop {
        tokio::time::sleep(lasting / 5).await;
        let asked = Instant::now();
        let why = match tokio::time::timeout(lasting / 2, gateway.keep_lease(id)).await {
            Ok(Ok(true)) => {
                heard = asked;
                continue;
            }
            Ok(Ok(false)) => "etcd has let our lease go".to_owned(),
            Ok(Err(error)) if heard.elapsed() > lasting => format!("etcd did not renew our lease: {error}"),
            Err(_) if heard.elapsed() > lasting => "etcd did not renew our lease in time".to_owned(),
            Ok(Err(_)) | Err(_) => continue,
        };
        over.send_replace(Some(why));
        return;
    }
}

impl Space for Session {
    fn limits(&self) -> Limits {
        LIMITS
    }

    fn session_timeout(&self) -> Duration {
        Duration::from_secs(self.timeout.as_secs().max(1))
    }

    fn ended(&self) -> std::pin::Pin<Box<dyn Future<Output = String> + Send>> {
        let mut over = self.over.subscribe();
        Box::pin(async move {
            let why = over.wait_for(Option::is_some).await.map(|why| why.clone());
            why.ok().flatten().unwrap_or_else(|| "the etcd session is dropped".to_owned())
        })
    }

    fn join(&self, info: Bytes) -> Work<'_, Member> {
        Box::pin(self.become_member(info))
    }

    fn leave<'a>(&'a self, member: &'a Member) -> Work<'a, ()> {
        Box::pin(async move {
            let lease = self.lease.lock().unwrap_or_else(PoisonError::into_inner).take();
            let mut txn = TxnRequest::default();
            txn.delete(&member.name);
            self.gateway.transact(&txn).await?;
            if let Some(lease) = lease {
                lease.keeper.abort();
                self.gateway.revoke_lease(lease.id).await?;
            }
            Ok(())
        })
    }

    fn members(&self) -> Work<'_, (Vec<(Member, Bytes)>, Signal)> {
        Box::pin(async move {
            let prefix = self.masters();
            let request = RangeRequest::prefix(&prefix).oldest_first();
            let found = self.gateway.range(&request).await?;
            let gateway = Arc::clone(&self.gateway);
            let from = found.revision + 1;
            let changed: Signal = Box::pin(async move {
                let first = async {
                    let mut events = gateway.watch(&prefix, from).await?;
                    events.next().await
                };
                let _ = tokio::time::timeout(MEMBERS_AGE_MAX, async {
                    if first.await.is_err() {
                        tokio::time::sleep(Duration::from_millis(200)).await;
                    }
                })
                .await;
            });
            let member = |pair: KeyValue| {
                let name = String::from_utf8(pair.key).ok()?;
                Some((Member { name, number: pair.create_revision }, pair.value.into()))
            };
            Ok((found.pairs.into_iter().filter_map(member).collect(), changed))
        })
    }

    fn get<'a>(&'a self, key: &'a str) -> Work<'a, Option<Stored>> {
        Box::pin(async move {
            let found = self.gateway.range(&RangeRequest::one(&self.node(key))).await?;
            let pair = found.pairs.into_iter().next();
            Ok(pair.map(|pair| Stored { value: pair.value.into(), version: pair.mod_revision }))
        })
    }

    fn transact<'a>(&'a self, guards: &'a [Guard], writes: &'a [Write]) -> Work<'a, Vec<i64>> {
        Box::pin(self.write(guards, writes))
    }

    fn follow(&self) -> Work<'_, (Vec<Entry>, Feed)> {
        Box::pin(async move {
            let root = self.root();
            let (pairs, revision) = self.gateway.range_all(&root).await?;
            let entries = pairs.into_iter().filter_map(|pair| self.entry(pair)).collect();
            let mut events = self.gateway.watch(&root, revision + 1).await?;
            let (sender, feed) = mpsc::channel(FEED_CAPACITY);
            tokio::spawn(async move {
                loop {
                    let changes = tokio::select! {
                        changes = events.next() => changes,
                        () = sender.closed() => return,
                    };
                    let Ok(changes) = changes else { return };
                    let entries: Vec<Entry> = changes
                        .into_iter()
                        .filter_map(|change| {
                            let key = std::str::from_utf8(&change.key).ok()?.strip_prefix(&root)?.to_owned();
                            let stored =
                                change.value.map(|value| Stored { value: value.into(), version: change.revision });
                            Some((key, stored))
                        })
                        .collect();
                    if !entries.is_empty() && sender.send(entries).await.is_err() {
                        return;
                    }
                }
            });
            Ok((entries, feed))
        })
    }

    fn find_foreign(&self) -> Work<'_, Option<String>> {
        Box::pin(async { Ok(None) })
    }
}
