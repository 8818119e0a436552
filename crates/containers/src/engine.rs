//! What all containers of an agent share, and the table of them. Nothing happens by itself here: `handle` takes calls,
//! `launch`, `supervise` and `recover` do the work.

use crate::{
    Config, ContainerId, Gap, LaunchError, Limitation, OpError, State, container::Container, counts::Counters,
    fetcher::Fetcher, host::Host, isolators::Isolators, launcher::zygote::MARKER, mutex::lock, shelf::Shelf,
    users::Users, workers::Workers, zygote::Zygote,
};
use kernel::procfs;
use std::{
    collections::BTreeMap,
    fs::File,
    ops::Bound,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard},
};
use tokio::runtime::Handle;

#[derive(Debug)]
pub struct Engine {
    pub config: Config,
    pub host: Host,
    pub isolators: Isolators,
    pub workers: Workers,
    pub users: Users,
    pub fetcher: Fetcher,
    pub zygote: Zygote,
    pub runtime: Handle,
    pub shelf: Shelf,
    pub counters: Counters,
    /// Names the runtime directory among all of this machine's.
    pub place: String,
    pub table: Mutex<Table>,
    /// Held as long as this handle takes charge of the runtime directory.
    pub _lock: File,
}

pub type Table = BTreeMap<ContainerId, Arc<Container>>;

/// The containers below one; in the table's order they follow it.
pub fn below<'a>(table: &'a Table, id: &'a ContainerId) -> impl Iterator<Item = (&'a ContainerId, &'a Arc<Container>)> {
    table.range((Bound::Excluded(id), Bound::Unbounded)).take_while(move |(other, _)| other.is_below(id))
}

impl Engine {
    pub fn table(&self) -> MutexGuard<'_, Table> {
        lock(&self.table)
    }

    pub fn find(&self, id: &ContainerId) -> Result<Arc<Container>, OpError> {
        self.table().get(id).cloned().ok_or_else(|| OpError::Unknown(id.clone()))
    }

    /// Enters a container to be launched; a nested one needs a running parent.
    pub fn enter(&self, container: &Arc<Container>) -> Result<(), LaunchError> {
        let mut table = self.table();
        if table.contains_key(&container.id) {
            return Err(LaunchError::Exists(container.id.clone()));
        }
        if let Some(parent) = container.id.parent()
            && !table.get(&parent).is_some_and(|parent| parent.is_running())
        {
            return Err(LaunchError::NoParent(container.id.clone()));
        }
        table.insert(container.id.clone(), container.clone());
        Ok(())
    }

    /// Starts `container`'s own task.
    pub fn spawn_life(&self, container: &Container, life: impl Future<Output = ()> + Send + 'static) {
        let mut slot = lock(&container.task);
        *slot = Some(self.runtime.spawn(life).abort_handle());
    }

    /// The sandbox of the root container above a nested one: what lies in it may be in the hands of a user.
    pub fn trusted_above(&self, id: &ContainerId) -> Option<PathBuf> {
        let root = id.path().first().filter(|_| id.is_nested())?;
        let root = self.find(&ContainerId::root(root).ok()?).ok()?;
        Some(root.sandbox.clone())
    }

    /// Marks a container as ending and gives those nested in it; from here on none can be added.
    pub fn close(&self, container: &Container) -> Vec<Arc<Container>> {
        let table = self.table();
        container.state.send_if_modified(|state| {
            let changes = matches!(state, State::Running);
            if changes {
                *state = State::Destroying;
            }
            changes
        });
        below(&table, &container.id).map(|(_, other)| other.clone()).collect()
    }

    /// Whether a container has broken a limit by what is counted at this moment; then whoever has that limit, all of
    /// it, is to end.
    pub fn find_limitation(&self, container: &Container) -> Option<Limitation> {
        let live = container.live.get()?;
        let limitation = self.isolators.find_limitation(container.subject(live))?;
        if let Some(owner) = live.limited_by.as_ref().and_then(|owner| self.find(owner).ok()) {
            owner.doom();
        }
        Some(limitation)
    }

    /// What a container that runs asks for and does not get, its limits included.
    pub fn gaps(&self, container: &Container) -> Vec<Gap> {
        let Some(live) = container.live.get() else { return Vec::new() };
        let mut gaps = live.gaps.clone();
        // One in its parent's cgroups has its parent's limits.
        if !container.id.is_nested() || live.used().limits() {
            gaps.extend(self.isolators.limit_gaps(&lock(&container.limits)));
        }
        gaps
    }

    /// What a process's marker says, if it has one of a container of this agent.
    pub fn find_marker(&self, pid: u32) -> Option<Vec<u8>> {
        let value = procfs::find_environment(pid, MARKER)?;
        value.ends_with(format!("@{}", self.place).as_bytes()).then_some(value)
    }

    /// The part of a container's environment that names it to whoever looks for its processes. Another agent's
    /// container may have the same id.
    pub fn marker(&self, id: &ContainerId) -> (String, String) {
        (MARKER.to_owned(), format!("{id}@{}", self.place))
    }
}
