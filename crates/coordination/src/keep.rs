//! The registry of any store for tools: read whole, written whole, looked over. No master may run on the store when it
//! is written.

use std::{path::Path, sync::Arc, time::Duration};

use bytes::Bytes;
use election::{
    announce,
    layout::{self, EPOCH, FORMAT, HEADER, Header, REIGN, Reign, Values},
};
use registry::{Change, Mutation, Registry};

use crate::{
    EmbeddedStore, Store, StoreError,
    space::{Connect, Guard, Space, SpaceError, Write},
    store::replicated::ReplicatedStore,
};

/// A store as a tool sees it.
pub enum Keep {
    Embedded(EmbeddedStore),
    Replicated { space: Arc<dyn Space>, describe: String },
}

/// What is there.
pub struct Content {
    pub registry: Registry,
    /// Whose it is; a file belongs to whoever has it.
    pub cluster: Option<Header>,
    /// Values that are there beside the registry itself, and how many bytes all have.
    pub values: usize,
    pub bytes: usize,
    pub largest: Option<(String, usize)>,
    /// A large change was begun; the next leader finishes it.
    pub unfinished: bool,
}

const WRITE_TIMEOUT: Duration = Duration::from_secs(20);

impl Keep {
    /// The file in a master's work directory.
    pub fn open(work_dir: &Path) -> Result<Keep, StoreError> {
        EmbeddedStore::open(work_dir).map(Keep::Embedded)
    }

    /// As `open`, for what replaces all that is there: a registry that cannot be read is put aside.
    pub fn open_to_replace(work_dir: &Path) -> Result<Keep, StoreError> {
        EmbeddedStore::open_to_replace(work_dir).map(Keep::Embedded)
    }

    pub async fn connect(connect: &dyn Connect) -> Result<Keep, StoreError> {
        let space = connect.connect().await?;
        if let Some(found) = space.find_foreign().await?
            && space.get(HEADER).await?.is_none()
        {
            return Err(StoreError::ForeignMasters(found));
        }
        Ok(Keep::Replicated { space, describe: connect.describe() })
    }

    pub fn describe(&self) -> String {
        match self {
            Keep::Embedded(store) => store.describe(),
            Keep::Replicated { describe, .. } => describe.clone(),
        }
    }

    pub async fn read(&mut self) -> Result<Content, StoreError> {
        let space = match self {
            Keep::Embedded(store) => {
                let registry = store.load()?;
                let sizes: Vec<_> = registry.entries().map(|(key, value)| (key.to_string(), value.len())).collect();
                return Ok(content(registry, None, sizes, false));
            }
            Keep::Replicated { space, .. } => space,
        };
        let values = values(&**space).await?;
        let header = match values.get(HEADER) {
            Some(bytes) => Some(Header::read(bytes)?),
            None if values.is_empty() => None,
            None => return Err(no_header()),
        };
        let sizes = values.iter().map(|(key, value)| (key.clone(), value.len())).collect();
        let unfinished = values.keys().any(|key| key.starts_with("_redo"));
        Ok(content(layout::assemble(&values)?, header, sizes, unfinished))
    }

    /// Replaces what is there. Unless `replace` is set, an existing registry is left alone.
    pub async fn write(&mut self, registry: &Registry, replace: bool) -> Result<(), StoreError> {
        if let (Keep::Replicated { space, .. }, true) = (&*self, replace) {
            remove_unreadable(&**space).await?;
        }
        let present = self.read().await?;
        if present.registry != Registry::default() && !replace {
            return Err(StoreError::Write(format!(
                "{} holds a registry already; look at it with `meseta registry dump`, and add --replace to lose it",
                self.describe()
            )));
        }
        let changes = difference(&present.registry, registry);
        match self {
            Keep::Embedded(store) => store.commit(&changes),
            Keep::Replicated { space, describe } => {
                seize(Arc::clone(space), describe.clone()).await?.write(&changes).await
            }
        }
    }
}

fn content(registry: Registry, cluster: Option<Header>, sizes: Vec<(String, usize)>, unfinished: bool) -> Content {
    Content {
        registry,
        cluster,
        values: sizes.len(),
        bytes: sizes.iter().map(|(_, size)| size).sum(),
        largest: sizes.into_iter().max_by_key(|(_, size)| *size),
        unfinished,
    }
}

async fn values(space: &dyn Space) -> Result<Values, SpaceError> {
    let (entries, _feed) = space.follow().await?;
    Ok(entries.into_iter().filter_map(|(key, stored)| Some((key, stored?.value))).collect())
}

/// Masters must have been stopped; damaged parts, and what hangs on them, are gone afterwards, and header and epoch can
/// be read. What is not ours, or a newer version's, is left alone.
async fn remove_unreadable(space: &dyn Space) -> Result<(), StoreError> {
    refuse_members(space).await?;
    let values = values(space).await?;
    let mended = mend_own(&values)?;
    if !mended.is_empty() {
        space.transact(&[], &mended).await?;
    }
    if layout::assemble(&values).is_ok() {
        return Ok(());
    }
    for run in layout::runs(layout::unreadable(&values), space.limits(), 0) {
        space.transact(&[], &run).await?;
    }
    Ok(())
}

/// A damaged epoch goes on this far above the last heartbeat's: above any reign that there can have been.
const EPOCHS_SKIPPED: u64 = 1_000_000;

/// New ones of header and epoch, where they are damaged. The epoch's key stays, as its version fences former leaders.
fn mend_own(values: &Values) -> Result<Vec<Write>, StoreError> {
    let mut writes = Vec::new();
    let header = match values.get(HEADER).map(|header| Header::read(header)) {
        None if values.is_empty() => return Ok(writes),
        None if !values.contains_key(EPOCH) => return Err(no_header()),
        None => Some(Write::Create(HEADER.to_owned(), new_header())),
        Some(Err(StoreError::Foreign(_))) => Some(Write::Set(HEADER.to_owned(), new_header())),
        Some(Err(other)) => return Err(other),
        Some(Ok(_)) => None,
    };
    writes.extend(header);
    let heartbeat = values.get(REIGN).and_then(|reign| serde_json::from_slice::<Reign>(reign).ok());
    let next = heartbeat.map_or(0, |reign| reign.epoch).saturating_add(EPOCHS_SKIPPED).to_string().into();
    match values.get(EPOCH).map(|epoch| layout::epoch(epoch)) {
        None => writes.push(Write::Create(EPOCH.to_owned(), next)),
        Some(Err(_)) => writes.push(Write::Set(EPOCH.to_owned(), next)),
        Some(Ok(_)) => {}
    }
    Ok(writes)
}

fn no_header() -> StoreError {
    StoreError::Foreign("there are values, and no header of a registry".into())
}

/// Of a registry that belongs to nobody yet.
fn new_header() -> Bytes {
    let cluster = stdx::Rng::new(stdx::rng::system_seed()).uuid_text();
    layout::to_json(&Header { format: FORMAT, cluster, name: None })
}

/// What turns one document into another.
fn difference(from: &Registry, to: &Registry) -> Vec<Change> {
    let mut mutation = Mutation::default();
    from.keys().chain(to.keys()).for_each(|key| mutation.touch(key));
    to.changes(&mutation)
}

/// The store of a service that no master runs on, fenced against everybody else by a new epoch.
pub async fn seize(space: Arc<dyn Space>, describe: String) -> Result<ReplicatedStore, StoreError> {
    refuse_members(&*space).await?;
    let former = match space.get(EPOCH).await? {
        Some(former) => former,
        None => {
            let writes = [Write::Create(HEADER.to_owned(), new_header()), Write::Create(EPOCH.to_owned(), "0".into())];
            space.transact(&[], &writes).await?;
            space.get(EPOCH).await?.ok_or(StoreError::Fenced)?
        }
    };
    let epoch = (layout::epoch(&former.value)? + 1).to_string();
    let guard = [Guard::Version(EPOCH.to_owned(), former.version)];
    let versions = space.transact(&guard, &[Write::Set(EPOCH.to_owned(), epoch.into())]).await?;
    let version = versions.first().copied().ok_or(StoreError::Fenced)?;
    let guards = vec![Guard::Version(EPOCH.to_owned(), version)];
    let values = values(&*space).await?;
    ReplicatedStore::take_over(space, guards, &values, WRITE_TIMEOUT, describe).await
}

async fn refuse_members(space: &dyn Space) -> Result<(), StoreError> {
    let (members, _) = space.members().await?;
    let Some((_, info)) = members.first() else { return Ok(()) };
    let who = announce::read(info).map(|info| announce::address(&info)).unwrap_or_default();
    Err(StoreError::Write(format!("{} masters run there, {who} leads; stop them first", members.len())))
}
