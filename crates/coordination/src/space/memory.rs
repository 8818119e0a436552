//! A service inside this process, for tests: any number of sessions, and the faults that real services have.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use tokio::sync::{mpsc, watch};

use super::{Connect, Entry, Feed, Guard, Limits, Member, Signal, Space, SpaceError, Stored, Work, Write};

const FEED_CAPACITY: usize = 65_536;

/// The service. Clones are the same one.
#[derive(Clone, Default)]
pub struct Memory {
    world: Arc<Mutex<World>>,
    /// Counts changes of the members.
    members_changed: Arc<watch::Sender<u64>>,
}

#[derive(Default)]
struct World {
    keys: BTreeMap<String, Stored>,
    members: Vec<(u64, Member, Bytes)>,
    sessions: BTreeMap<u64, Link>,
    counter: u64,
    feeds: Vec<(u64, mpsc::Sender<Vec<Entry>>)>,
    limits: Option<Limits>,
    /// How many further transactions are done without their answer getting through.
    unsure: u64,
}

/// What a session's connection is like.
struct Link {
    over: watch::Sender<Option<String>>,
    cut: bool,
}

impl Memory {
    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the sessions of members whose value contains `text`, as a service does that has not heard from them; they
    /// learn of it only if `told`.
    pub fn expire(&self, text: &str, told: bool) {
        let mut world = self.world();
        let text = text.as_bytes();
        let hit = |info: &Bytes| info.windows(text.len()).any(|window| window == text);
        let ended: Vec<u64> = world.members.iter().filter(|(_, _, info)| hit(info)).map(|(id, ..)| *id).collect();
        world.members.retain(|(id, ..)| !ended.contains(id));
        for id in ended {
            if let Some(link) = world.sessions.get_mut(&id) {
                link.cut = true;
                if told {
                    link.over.send_replace(Some("expired".into()));
                }
            }
        }
        drop(world);
        self.members_changed.send_modify(|count| *count += 1);
    }

    /// The next `count` transactions are done, but their senders do not learn it.
    pub fn lose_answers(&self, count: u64) {
        self.world().unsure = count;
    }

    pub fn limit(&self, limits: Limits) {
        self.world().limits = Some(limits);
    }

    /// Everything that is kept.
    pub fn keys(&self) -> BTreeMap<String, Bytes> {
        self.world().keys.iter().map(|(key, stored)| (key.clone(), stored.value.clone())).collect()
    }

    pub fn put(&self, key: &str, value: impl Into<Bytes>) {
        self.world().keys.insert(key.into(), Stored { value: value.into(), version: 0 });
    }
}

impl Connect for Memory {
    fn connect(&self) -> Work<'_, Arc<dyn Space>> {
        Box::pin(async move {
            let mut world = self.world();
            world.counter += 1;
            let id = world.counter;
            world.sessions.insert(id, Link { over: watch::channel(None).0, cut: false });
            Ok(Arc::new(Session { memory: self.clone(), id }) as Arc<dyn Space>)
        })
    }

    fn describe(&self) -> String {
        "a memory for tests".into()
    }
}

struct Session {
    memory: Memory,
    id: u64,
}

impl Drop for Session {
    fn drop(&mut self) {
        let mut world = self.memory.world();
        world.sessions.remove(&self.id);
        world.members.retain(|(id, ..)| *id != self.id);
        drop(world);
        self.memory.members_changed.send_modify(|count| *count += 1);
    }
}

impl Session {
    fn reach(&self) -> Result<MutexGuard<'_, World>, SpaceError> {
        let world = self.memory.world();
        match world.sessions.get(&self.id) {
            Some(link) if !link.cut => Ok(world),
            _ => Err(SpaceError::Unsure("cut off".into())),
        }
    }

    fn write(&self, guards: &[Guard], writes: &[Write]) -> Result<Vec<i64>, SpaceError> {
        let mut world = self.reach()?;
        let holds = guards.iter().all(|guard| match guard {
            Guard::Member(member) => world.members.iter().any(|(_, other, _)| other == member),
            Guard::Version(key, version) => world.keys.get(key).is_some_and(|stored| stored.version == *version),
        });
        let fits = writes.iter().all(|write| match write {
            Write::Create(key, _) => !world.keys.contains_key(key),
            Write::Set(key, _) | Write::Delete(key) => world.keys.contains_key(key),
        });
        if !holds || !fits {
            return Err(SpaceError::Fenced);
        }
        let limits = world.limits.unwrap_or(LIMITS);
        if writes.len() > limits.writes || writes.iter().map(Write::bytes).sum::<usize>() > limits.bytes {
            return Err(SpaceError::Failed("too much for one transaction".into()));
        }
        let mut news = Vec::new();
        let mut versions = Vec::new();
        for write in writes {
            world.counter += 1;
            let version = i64::try_from(world.counter).unwrap_or(i64::MAX);
            let stored = match write {
                Write::Create(_, value) | Write::Set(_, value) => Some(Stored { value: value.clone(), version }),
                Write::Delete(_) => None,
            };
            match &stored {
                Some(stored) => drop(world.keys.insert(write.key().to_owned(), stored.clone())),
                None => drop(world.keys.remove(write.key())),
            }
            versions.push(version);
            news.push((write.key().to_owned(), stored));
        }
        world.feeds.retain(|(_, feed)| feed.try_send(news.clone()).is_ok());
        if world.unsure > 0 {
            world.unsure -= 1;
            return Err(SpaceError::Unsure("the answer is lost".into()));
        }
        Ok(versions)
    }
}

const LIMITS: Limits = Limits { writes: 1_000, bytes: 800 << 10 };

impl Space for Session {
    fn limits(&self) -> Limits {
        self.memory.world().limits.unwrap_or(LIMITS)
    }

    fn session_timeout(&self) -> Duration {
        Duration::from_millis(600)
    }

    fn ended(&self) -> std::pin::Pin<Box<dyn Future<Output = String> + Send>> {
        let over = self.memory.world().sessions.get(&self.id).map(|link| link.over.subscribe());
        Box::pin(async move {
            let Some(mut over) = over else { return "dropped".into() };
            let why = over.wait_for(Option::is_some).await.ok().and_then(|why| why.clone());
            why.unwrap_or_else(|| "dropped".into())
        })
    }

    fn join(&self, info: Bytes) -> Work<'_, Member> {
        Box::pin(async move {
            let mut world = self.reach()?;
            world.counter += 1;
            let number = i64::try_from(world.counter).unwrap_or(i64::MAX);
            let member = Member { name: format!("m{number}"), number };
            world.members.push((self.id, member.clone(), info));
            drop(world);
            self.memory.members_changed.send_modify(|count| *count += 1);
            Ok(member)
        })
    }

    fn leave<'a>(&'a self, member: &'a Member) -> Work<'a, ()> {
        Box::pin(async move {
            self.reach()?.members.retain(|(_, other, _)| other != member);
            self.memory.members_changed.send_modify(|count| *count += 1);
            Ok(())
        })
    }

    fn members(&self) -> Work<'_, (Vec<(Member, Bytes)>, Signal)> {
        Box::pin(async move {
            let mut changed = self.memory.members_changed.subscribe();
            let members = self.reach()?.members.iter().map(|(_, m, info)| (m.clone(), info.clone())).collect();
            let signal: Signal = Box::pin(async move { drop(changed.changed().await) });
            Ok((members, signal))
        })
    }

    fn get<'a>(&'a self, key: &'a str) -> Work<'a, Option<Stored>> {
        Box::pin(async move { Ok(self.reach()?.keys.get(key).cloned()) })
    }

    fn transact<'a>(&'a self, guards: &'a [Guard], writes: &'a [Write]) -> Work<'a, Vec<i64>> {
        Box::pin(async move { self.write(guards, writes) })
    }

    fn follow(&self) -> Work<'_, (Vec<Entry>, Feed)> {
        Box::pin(async move {
            let mut world = self.reach()?;
            let (sender, feed) = mpsc::channel(FEED_CAPACITY);
            world.feeds.push((self.id, sender));
            Ok((world.keys.iter().map(|(key, stored)| (key.clone(), Some(stored.clone()))).collect(), feed))
        })
    }

    fn find_foreign(&self) -> Work<'_, Option<String>> {
        Box::pin(async { Ok(None) })
    }
}
