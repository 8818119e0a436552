//! A session with ZooKeeper. Members are ephemeral sequential nodes `json.info_<number>` directly below the URL's path,
//! as Mesos's masters make them. Clients of Mesos take whatever else they find there for masters, so that the registry
//! lies beside it: at `/mesos-meseta/registry` for `/mesos`, keys with a slash in one of 256 folders, so that no list
//! of children grows near a megabyte. `/mesos-meseta/masters` names the members that know this.
//!
//! Former versions kept it inside, at `/mesos/registry`. The first leader of this version moves it: it copies all, and
//! in one transaction makes the copy's header and epoch, deletes the old epoch and leaves word in the place of the old
//! header. Masters of a former version that stand by find it there, or no epoch, and do not lead; such as start later
//! find `/mesos/log_replicas`, which is always there with Mesos, and do not stand at all. The word goes once nobody can
//! need it.

use std::{
    collections::{BTreeSet, HashSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use election::layout::{self, EPOCH, HEADER};
use tokio::sync::mpsc;
use zookeeper_client::{
    Acl, Acls, AddWatchMode, AuthId, Client, CreateMode, Error, EventType, MultiReadResult, MultiWriteError,
    MultiWriteResult, Permission, PersistentWatcher, SessionState,
};

use super::{Connect, Entry, Feed, Guard, Limits, Member, Signal, Space, SpaceError, Stored, Work, Write};
use crate::url::Place;

/// What the names of members begin with. The second is of masters from before Mesos 0.24, whose value is protobuf.
const MEMBER: &str = "json.info_";
const OLD_MEMBER: &str = "info_";

/// Safely below the megabyte that a server takes in one request.
const LIMITS: Limits = Limits { writes: 1_000, bytes: 800 << 10 };
/// How many values one request reads.
const READS: usize = 100;
const FEED_CAPACITY: usize = 1_024;

/// The way to sessions with ZooKeeper.
pub struct ZooKeeper {
    place: Place,
    session_timeout: Duration,
}

impl ZooKeeper {
    pub fn new(place: Place, session_timeout: Duration) -> ZooKeeper {
        ZooKeeper { place, session_timeout }
    }

    async fn open(&self) -> Result<Arc<dyn Space>, SpaceError> {
        let unreachable = |why: String| {
            SpaceError::Unreachable(format!(
                "no ZooKeeper server answers at {}: {why}; check that most of them run, and the hosts and ports in the URL",
                self.place
            ))
        };
        let servers = resolve(self.place.hosts.clone()).await.map_err(unreachable)?;
        let mut connector = Client::connector().with_session_timeout(self.session_timeout);
        if let Some(login) = &self.place.login {
            connector = connector.with_auth("digest", format!("{}:{}", login.user, login.secret).as_bytes());
        }
        let connecting = tokio::time::timeout(self.session_timeout * 2, connector.connect(&servers));
        let client = match connecting.await {
            Ok(Ok(client)) => client,
            Ok(Err(Error::AuthFailed)) => return Err(denied("our user and password", &self.place.path)),
            Ok(Err(error)) => return Err(unreachable(error.to_string())),
            Err(_) => return Err(unreachable("they did not answer in time".into())),
        };
        let has_login = self.place.login.is_some();
        let path = self.place.path.clone();
        let mut session = Session { client, root: beside(&path), path, has_login, folders: Mutex::default() };
        session.root = session.find_root().await?;
        Ok(Arc::new(session))
    }
}

fn home(path: &str) -> String {
    format!("{path}-meseta")
}

/// Where the registry lies.
fn beside(path: &str) -> String {
    format!("{}/registry", home(path))
}

/// Where former versions keep it.
fn inside(path: &str) -> String {
    format!("{path}/registry")
}

impl Connect for ZooKeeper {
    fn connect(&self) -> Work<'_, Arc<dyn Space>> {
        Box::pin(self.open())
    }

    fn describe(&self) -> String {
        format!("ZooKeeper, {}", self.place)
    }
}

/// Names are looked up anew for each session, so that servers may move.
async fn resolve(hosts: Vec<String>) -> Result<String, String> {
    let look_up = move || {
        let mut found = Vec::new();
        let mut failure = String::new();
        for host in &hosts {
            match stdx::hosts::resolve(host) {
                Ok(addresses) => found.extend(addresses.iter().map(ToString::to_string)),
                Err(error) => failure = error.to_string(),
            }
        }
        if found.is_empty() { Err(failure) } else { Ok(found.join(",")) }
    };
    tokio::task::spawn_blocking(look_up).await.map_err(|e| e.to_string())?
}

struct Session {
    client: Client,
    path: String,
    root: String,
    has_login: bool,
    /// Folders that are known to exist.
    folders: Mutex<HashSet<String>>,
}

impl Session {
    /// Everybody may read who leads; only we may write. The registry is ours alone. Without a login all may do all.
    fn options(&self, mode: CreateMode, readable: bool) -> zookeeper_client::CreateOptions<'static> {
        static READABLE: std::sync::LazyLock<[Acl; 2]> = std::sync::LazyLock::new(|| {
            [Acl::new(Permission::ALL, AuthId::new("auth", "")), Acl::new(Permission::READ, AuthId::anyone())]
        });
        mode.with_acls(match (self.has_login, readable) {
            (false, _) => Acls::anyone_all(),
            (true, true) => Acls::new(&*READABLE),
            (true, false) => Acls::creator_all(),
        })
    }

    fn node(&self, key: &str) -> String {
        match key.split_once('/') {
            Some((subject, name)) => format!("{}/{subject}/{:02x}/{name}", self.root, folder_of(name)),
            None => format!("{}/{key}", self.root),
        }
    }

    fn key(&self, node: &str) -> Option<String> {
        let parts: Vec<&str> = node.strip_prefix(&self.root)?.strip_prefix('/')?.split('/').collect();
        match parts[..] {
            [key] => Some(key.to_owned()),
            [subject, _, name] => Some(format!("{subject}/{name}")),
            _ => None,
        }
    }

    fn error(&self, error: Error, path: &str) -> SpaceError {
        match error {
            Error::NoAuth => denied("that", path),
            Error::AuthFailed => denied("our user and password", path),
            Error::BadVersion | Error::NodeExists | Error::NoNode | Error::NotEmpty => SpaceError::Fenced,
            Error::SessionExpired | Error::SessionMoved | Error::ClientClosed => SpaceError::Ended(error.to_string()),
            Error::ConnectionLoss | Error::Timeout => SpaceError::Unsure(error.to_string()),
            Error::NotReadOnly => {
                SpaceError::Unreachable("the ZooKeeper server is cut off from the others and only reads".into())
            }
            other => SpaceError::Failed(format!("ZooKeeper, {path}: {other}")),
        }
    }

    /// Where the registry is just now, or is to be.
    async fn find_root(&self) -> Result<String, SpaceError> {
        match self.client.sync(&self.path).await {
            Ok(()) | Err(Error::NoNode) => {}
            Err(error) => return Err(self.error(error, &self.path)),
        }
        let (beside, inside) = (beside(&self.path), inside(&self.path));
        // In this order: it may be moved between the two.
        let is_inside = self.is_there(&format!("{inside}/{EPOCH}")).await?;
        let is_beside = self.is_there(&format!("{beside}/{HEADER}")).await?;
        Ok(if is_inside && !is_beside { inside } else { beside })
    }

    async fn is_there(&self, node: &str) -> Result<bool, SpaceError> {
        Ok(self.client.check_stat(node).await.map_err(|e| self.error(e, node))?.is_some())
    }

    async fn make(&self, folder: &str) -> Result<(), SpaceError> {
        let options = self.options(CreateMode::Persistent, true);
        self.client.mkdir(folder, &options).await.map_err(|e| self.error(e, folder))
    }

    /// The same session with the registry at `root`.
    fn with_root(&self, root: String) -> Session {
        Session {
            client: self.client.clone(),
            path: self.path.clone(),
            root,
            has_login: self.has_login,
            folders: Mutex::default(),
        }
    }

    /// Makes the folders that new nodes go to. Those that are there already were made by an earlier leader.
    async fn ensure_folders(&self, writes: &[Write]) -> Result<(), SpaceError> {
        let mut missing = BTreeSet::new();
        {
            let known = self.folders.lock().unwrap_or_else(PoisonError::into_inner);
            for write in writes.iter().filter(|write| matches!(write, Write::Create(..))) {
                let node = self.node(write.key());
                let parents = node.match_indices('/').map(|(at, _)| &node[..at]);
                missing
                    .extend(parents.filter(|p| p.len() >= self.root.len() && !known.contains(*p)).map(str::to_owned));
            }
        }
        if missing.contains(&self.root) {
            self.make(&self.path).await?;
            if self.root == beside(&self.path) {
                self.make(&format!("{}/log_replicas", self.path)).await?;
                self.make(&home(&self.path)).await?;
            }
        }
        let options = self.options(CreateMode::Persistent, false);
        let made: Vec<_> = missing.iter().map(|folder| self.client.create(folder, &[], &options)).collect();
        for (folder, outcome) in missing.iter().zip(made) {
            match outcome.await {
                Ok(_) | Err(Error::NodeExists) => {
                    self.folders.lock().unwrap_or_else(PoisonError::into_inner).insert(folder.clone());
                }
                Err(error) => return Err(self.error(error, folder)),
            }
        }
        Ok(())
    }

    async fn write(&self, guards: &[Guard], writes: &[Write]) -> Result<Vec<i64>, SpaceError> {
        self.ensure_folders(writes).await?;
        self.commit(guards, writes.iter().map(|write| (self, write))).await
    }

    /// One transaction; each write with the session whose root it is for.
    async fn commit<'a>(
        &self,
        guards: &[Guard],
        writes: impl Iterator<Item = (&'a Session, &'a Write)>,
    ) -> Result<Vec<i64>, SpaceError> {
        let mut multi = self.client.new_multi_writer();
        let options = self.options(CreateMode::Persistent, false);
        let mut nodes = Vec::with_capacity(guards.len());
        for guard in guards {
            let (node, version) = self.checked(guard);
            multi.add_check_version(&node, version).map_err(|e| self.error(e, &node))?;
            nodes.push(node);
        }
        for (session, write) in writes {
            let node = session.node(write.key());
            match write {
                Write::Create(_, value) => multi.add_create(&node, value, &options),
                Write::Set(_, value) => multi.add_set_data(&node, value, None),
                Write::Delete(_) => multi.add_delete(&node, None),
            }
            .map_err(|e| self.error(e, &node))?;
            nodes.push(node);
        }
        let results = match multi.commit().await {
            Ok(results) => results,
            Err(MultiWriteError::OperationFailed { index, source }) => {
                let node = nodes.get(index).map_or("", String::as_str);
                tracing::debug!(node, %source, "ZooKeeper refused a transaction");
                return Err(self.error(source, node));
            }
            Err(MultiWriteError::RequestFailed { source }) => return Err(self.error(source, &self.root)),
        };
        let version = |result: &MultiWriteResult| match result {
            MultiWriteResult::SetData { stat } => i64::from(stat.version),
            _ => 0,
        };
        Ok(results.iter().skip(guards.len()).map(version).collect())
    }

    /// All keys below the root.
    async fn list(&self) -> Result<Vec<Entry>, SpaceError> {
        let subjects = match self.client.list_children(&self.root).await {
            Ok(subjects) => subjects,
            Err(Error::NoNode) => return Ok(Vec::new()),
            Err(error) => return Err(self.error(error, &self.root)),
        };
        let mut folders = Vec::new();
        let mut leaves = Vec::new();
        for (node, children) in self.children(subjects.iter().map(|name| format!("{}/{name}", self.root))).await? {
            match children.is_empty() {
                true => leaves.push(node),
                false => folders.extend(children.iter().map(|name| format!("{node}/{name}"))),
            }
        }
        for (folder, children) in self.children(folders.into_iter()).await? {
            leaves.extend(children.iter().map(|name| format!("{folder}/{name}")));
        }
        self.read(&leaves).await
    }

    async fn children(&self, nodes: impl Iterator<Item = String>) -> Result<Vec<(String, Vec<String>)>, SpaceError> {
        let asked: Vec<_> = nodes
            .map(|node| {
                let answer = self.client.get_children(&node);
                (node, answer)
            })
            .collect();
        let mut found = Vec::with_capacity(asked.len());
        for (node, answer) in asked {
            match answer.await {
                Ok((children, _)) => found.push((node, children)),
                Err(Error::NoNode) => {}
                Err(error) => return Err(self.error(error, &node)),
            }
        }
        Ok(found)
    }

    /// The values of nodes; folders, which are empty, are left out.
    async fn read(&self, nodes: &[String]) -> Result<Vec<Entry>, SpaceError> {
        let mut asked = Vec::new();
        for nodes in nodes.chunks(READS) {
            let mut reader = self.client.new_multi_reader();
            for node in nodes {
                reader.add_get_data(node).map_err(|e| self.error(e, node))?;
            }
            asked.push((nodes, reader.commit()));
        }
        let mut entries = Vec::with_capacity(nodes.len());
        for (nodes, answers) in asked {
            let answers = answers.await.map_err(|e| self.error(e, &self.root))?;
            for (node, answer) in nodes.iter().zip(answers) {
                let Some(key) = self.key(node) else { continue };
                match answer {
                    MultiReadResult::Data { data, .. } if data.is_empty() => {}
                    MultiReadResult::Data { data, stat } => {
                        let version = i64::from(stat.version);
                        entries.push((key, Some(Stored { value: data.into(), version })));
                    }
                    MultiReadResult::Error { err: Error::NoNode } => entries.push((key, None)),
                    MultiReadResult::Error { err } => return Err(self.error(err, node)),
                    other => return Err(SpaceError::Failed(format!("ZooKeeper, {node}: {other:?} for a value"))),
                }
            }
        }
        Ok(entries)
    }

    /// The nodes at and below `top`, parents before their children.
    async fn tree(&self, top: String) -> Result<Vec<String>, SpaceError> {
        let mut level = vec![top];
        let mut nodes = Vec::new();
        while !level.is_empty() {
            let found = self.children(level.drain(..)).await?;
            for (node, children) in found {
                level.extend(children.iter().map(|name| format!("{node}/{name}")));
                nodes.push(node);
            }
        }
        Ok(nodes)
    }

    /// Deletes nodes given as `tree` gives them, children first, as long as the guards hold.
    async fn delete(&self, guards: &[Guard], nodes: &[String]) -> Result<(), SpaceError> {
        for run in nodes.rchunks(LIMITS.writes) {
            let mut multi = self.client.new_multi_writer();
            for (node, version) in guards.iter().map(|guard| self.checked(guard)) {
                multi.add_check_version(&node, version).map_err(|e| self.error(e, &node))?;
            }
            for node in run.iter().rev() {
                multi.add_delete(node, None).map_err(|e| self.error(e, node))?;
            }
            match multi.commit().await {
                Ok(_) => {}
                Err(MultiWriteError::OperationFailed { source, .. } | MultiWriteError::RequestFailed { source }) => {
                    return Err(self.error(source, run.first().map_or("", String::as_str)));
                }
            }
        }
        Ok(())
    }

    /// The node and the version that a guard asks for.
    fn checked(&self, guard: &Guard) -> (String, i32) {
        match guard {
            Guard::Member(member) => (format!("{}/{}", self.path, member.name), 0),
            Guard::Version(key, version) => (self.node(key), i32::try_from(*version).unwrap_or(i32::MAX)),
        }
    }

    /// From inside the folder of the masters to beside it.
    async fn move_out(&self, guards: &[Guard]) -> Result<(), SpaceError> {
        let target = self.with_root(beside(&self.path));
        // An attempt that came to nothing may have left something. The guards hold only until the turn.
        let left = target.tree(target.root.clone()).await?;
        self.delete(guards, &left).await?;
        let stays = |key: &str| key == HEADER || key == EPOCH || key == layout::REIGN;
        let entries = self.list().await?.into_iter().filter_map(|(key, stored)| Some((key, stored?.value)));
        let entries: Vec<(String, Bytes)> = entries.collect();
        let value = |key: &str| entries.iter().find(|(other, _)| other == key).map(|(_, value)| value.clone());
        let (Some(header), Some(epoch)) = (value(HEADER), value(EPOCH)) else { return Err(SpaceError::Fenced) };
        let copies = entries.iter().filter(|(key, _)| !stays(key));
        let copies: Vec<Write> = copies.map(|(key, value)| Write::Create(key.clone(), value.clone())).collect();
        for run in layout::runs(copies, LIMITS, guards.len()) {
            target.ensure_folders(&run).await?;
            self.commit(guards, run.iter().map(|write| (&target, write))).await?;
        }
        let there = [Write::Create(HEADER.to_owned(), header), Write::Create(EPOCH.to_owned(), epoch)];
        let here = [Write::Set(HEADER.to_owned(), layout::moved(&target.root)), Write::Delete(EPOCH.to_owned())];
        target.ensure_folders(&there).await?;
        let turning = there.iter().map(|write| (&target, write)).chain(here.iter().map(|write| (self, write)));
        self.commit(guards, turning).await?;
        tracing::info!(from = self.root, to = target.root, "the registry has been moved");
        // The rest is of no use to anybody; what is left of it goes with the word about the move.
        let mut old = self.tree(self.root.clone()).await?;
        old.retain(|node| *node != self.root && *node != self.node(HEADER));
        self.delete(&[], &old).await
    }

    /// Whether all members look for the registry where it is now.
    async fn all_know(&self) -> Result<bool, SpaceError> {
        let members = self.client.list_children(&self.path).await.map_err(|e| self.error(e, &self.path))?;
        let folder = format!("{}/masters", home(&self.path));
        let known = match self.client.list_children(&folder).await {
            Ok(known) => known,
            Err(Error::NoNode) => Vec::new(),
            Err(error) => return Err(self.error(error, &folder)),
        };
        let mut members = members.into_iter().filter_map(member_of);
        Ok(members.all(|member| known.contains(&member.name)))
    }

    /// Says that `member` looks for the registry where it is. Without that nothing is lost but a tidy folder.
    async fn say_known(&self, member: &Member) {
        let folder = format!("{}/masters", home(&self.path));
        let options = self.options(CreateMode::Ephemeral, true);
        let said = async {
            self.make(&folder).await?;
            let node = format!("{folder}/{}", member.name);
            self.client.create(&node, &[], &options).await.map_err(|e| self.error(e, &node))
        };
        if let Err(error) = said.await {
            tracing::debug!(%error, "cannot name this master beside the registry");
        }
    }

    /// Reads what the watcher names, until news may have been lost.
    async fn feed(self, mut watcher: PersistentWatcher, sender: mpsc::Sender<Vec<Entry>>) {
        loop {
            let mut dirty = BTreeSet::new();
            let mut event = tokio::select! {
                event = watcher.changed() => event,
                () = sender.closed() => return,
            };
            loop {
                if event.event_type == EventType::Session {
                    if event.session_state != SessionState::SyncConnected {
                        return;
                    }
                } else {
                    dirty.insert(event.path);
                }
                event = tokio::select! {
                    biased;
                    event = watcher.changed() => event,
                    () = std::future::ready(()) => break,
                };
            }
            let dirty: Vec<String> = dirty.into_iter().collect();
            let Ok(entries) = self.read(&dirty).await else { return };
            if !entries.is_empty() && sender.send(entries).await.is_err() {
                return;
            }
        }
    }
}

impl Space for Session {
    fn limits(&self) -> Limits {
        LIMITS
    }

    fn session_timeout(&self) -> Duration {
        self.client.session_timeout()
    }

    fn ended(&self) -> std::pin::Pin<Box<dyn Future<Output = String> + Send>> {
        let mut watcher = self.client.state_watcher();
        Box::pin(async move {
            let mut state = watcher.peek_state();
            while !state.is_terminated() {
                state = watcher.changed().await;
            }
            format!("the ZooKeeper session is {state}").to_lowercase()
        })
    }

    fn join(&self, info: Bytes) -> Work<'_, Member> {
        Box::pin(async move {
            self.make(&self.path).await?;
            let options = self.options(CreateMode::EphemeralSequential, true);
            let path = format!("{}/{MEMBER}", self.path);
            let (_, number) =
                self.client.create(&path, &info, &options).await.map_err(|e| self.error(e, &self.path))?;
            let member = Member { name: format!("{MEMBER}{number}"), number: number.into_i64() };
            self.say_known(&member).await;
            Ok(member)
        })
    }

    fn leave<'a>(&'a self, member: &'a Member) -> Work<'a, ()> {
        Box::pin(async move {
            let known = format!("{}/masters/{}", home(&self.path), member.name);
            let _ = self.client.delete(&known, None).await;
            let path = format!("{}/{}", self.path, member.name);
            match self.client.delete(&path, None).await {
                Ok(()) | Err(Error::NoNode) => Ok(()),
                Err(error) => Err(self.error(error, &path)),
            }
        })
    }

    fn members(&self) -> Work<'_, (Vec<(Member, Bytes)>, Signal)> {
        Box::pin(async move {
            let (names, changed): (Vec<String>, Signal) = loop {
                match self.client.list_and_watch_children(&self.path).await {
                    Ok((names, watcher)) => break (names, Box::pin(async move { drop(watcher.changed().await) })),
                    Err(Error::NoNode) => {
                        let watched = self.client.check_and_watch_stat(&self.path).await;
                        let (found, watcher) = watched.map_err(|e| self.error(e, &self.path))?;
                        // Had it been made meanwhile, this watch would not tell of its children.
                        if found.is_none() {
                            break (Vec::new(), Box::pin(async move { drop(watcher.changed().await) }));
                        }
                    }
                    Err(error) => return Err(self.error(error, &self.path)),
                }
            };
            let mut members: Vec<Member> = names.into_iter().filter_map(member_of).collect();
            members.sort_by_key(|member| member.number);
            let reads: Vec<_> =
                members.iter().map(|m| self.client.get_data(&format!("{}/{}", self.path, m.name))).collect();
            let mut found = Vec::with_capacity(reads.len());
            for (member, read) in members.into_iter().zip(reads) {
                match read.await {
                    Ok((info, _)) => found.push((member, Bytes::from(info))),
                    Err(Error::NoNode) => {}
                    Err(error) => return Err(self.error(error, &member.name)),
                }
            }
            Ok((found, changed))
        })
    }

    fn get<'a>(&'a self, key: &'a str) -> Work<'a, Option<Stored>> {
        Box::pin(async move {
            let node = self.node(key);
            let synced = self.client.sync(&self.path);
            let read = self.client.get_data(&node);
            match synced.await {
                Ok(()) | Err(Error::NoNode) => {}
                Err(error) => return Err(self.error(error, &node)),
            }
            match read.await {
                Ok((value, stat)) => Ok(Some(Stored { value: value.into(), version: i64::from(stat.version) })),
                Err(Error::NoNode) => Ok(None),
                Err(error) => Err(self.error(error, &node)),
            }
        })
    }

    fn transact<'a>(&'a self, guards: &'a [Guard], writes: &'a [Write]) -> Work<'a, Vec<i64>> {
        Box::pin(self.write(guards, writes))
    }

    fn follow(&self) -> Work<'_, (Vec<Entry>, Feed)> {
        Box::pin(async move {
            let watcher = self.client.watch(&self.root, AddWatchMode::PersistentRecursive).await;
            let watcher = watcher.map_err(|e| self.error(e, &self.root))?;
            match self.client.sync(&self.path).await {
                Ok(()) | Err(Error::NoNode) => {}
                Err(error) => return Err(self.error(error, &self.path)),
            }
            let entries = self.list().await?;
            let (sender, feed) = mpsc::channel(FEED_CAPACITY);
            tokio::spawn(self.with_root(self.root.clone()).feed(watcher, sender));
            Ok((entries, feed))
        })
    }

    /// A master of Mesos is a child of `log_replicas` as long as it runs; the node itself stays for ever.
    fn find_foreign(&self) -> Work<'_, Option<String>> {
        Box::pin(async move {
            let log = format!("{}/log_replicas", self.path);
            let names = match self.client.list_children(&log).await {
                Ok(names) => names,
                Err(Error::NoNode | Error::NoAuth) => return Ok(None),
                Err(error) => return Err(self.error(error, &log)),
            };
            let reads: Vec<_> = names.iter().map(|name| self.client.get_data(&format!("{log}/{name}"))).collect();
            let mut running = Vec::new();
            for read in reads {
                match read.await {
                    Ok((pid, stat)) if stat.ephemeral_owner != 0 => {
                        running.push(
                            String::from_utf8_lossy(&pid).chars().filter(|c| !c.is_control()).collect::<String>(),
                        );
                    }
                    Ok(_) | Err(Error::NoNode | Error::NoAuth) => {}
                    Err(error) => return Err(self.error(error, &log)),
                }
            }
            running.sort();
            Ok((!running.is_empty()).then(|| format!("masters of Apache Mesos ({})", running.join(", "))))
        })
    }

    fn is_in_place(&self) -> Work<'_, bool> {
        Box::pin(async move { Ok(self.find_root().await? == self.root) })
    }

    fn move_registry<'a>(&'a self, guards: &'a [Guard]) -> Work<'a, bool> {
        Box::pin(async move {
            if self.root != inside(&self.path) {
                return Ok(false);
            }
            self.move_out(guards).await?;
            Ok(true)
        })
    }

    fn tidy(&self) -> Work<'_, bool> {
        Box::pin(async move {
            let left = self.tree(inside(&self.path)).await?;
            if left.is_empty() || self.root == inside(&self.path) {
                return Ok(true);
            }
            if !self.all_know().await? {
                return Ok(false);
            }
            self.delete(&[], &left).await?;
            Ok(true)
        })
    }
}

fn denied(what: &str, path: &str) -> SpaceError {
    SpaceError::Denied(format!(
        "ZooKeeper does not let us: {what} is refused at {path}; check the user and password in the URL (zk://user:password@…), \
         or remove what another user left there"
    ))
}

fn member_of(name: String) -> Option<Member> {
    let digits = name.strip_prefix(MEMBER).or_else(|| name.strip_prefix(OLD_MEMBER))?;
    let number = digits.parse().ok()?;
    Some(Member { name, number })
}

/// FNV-1a; part of the layout.
fn folder_of(name: &str) -> u8 {
    let hash = name.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    (hash ^ (hash >> 16) ^ (hash >> 8)) as u8
}
