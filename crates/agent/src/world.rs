//! What takes time: containers, sandboxes, the disk. Each effect becomes a task of its own that reports back as an
//! event. The translation between the core's words and those of `containers` is in `world/translate`.

mod memory;
mod sandboxes;
pub mod translate;
mod volumes;

use std::{
    collections::HashMap,
    io,
    os::{fd::OwnedFd, unix::fs::symlink},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use agent_core::{
    ContainerId, Event, Found, LaunchFailure, LaunchSpec, Launched, Life, Limits, State, Ticket, VolumeLink,
};
use containers::{Containerizer, Counts, Recovered};
use observe::metrics::Snapshot;
use tokio::runtime::Handle;

use crate::{
    reads::{Seen, Usages},
    traffic::Inbox,
};
pub use sandboxes::Sandboxes;
pub use volumes::Volumes;

/// A container that has ended is remembered for this long, so that the journal knows of its end before the container's
/// own record goes: else an agent that crashed in between would take it for one that never started.
const UNTIL_JOURNALED: Duration = Duration::from_secs(2);

/// Adapters to the machine, for the loop.
#[derive(Clone)]
pub struct World {
    pub containers: Arc<dyn Containerizer>,
    pub sandboxes: Sandboxes,
    pub volumes: Volumes,
    pub inbox: Inbox,
    /// The output pipes of sessions until somebody reads them.
    outputs: Arc<Mutex<HashMap<ContainerId, SessionOutput>>>,
    runtime: Handle,
}

/// The read ends of a session's output.
pub struct SessionOutput {
    pub stdout: Option<OwnedFd>,
    pub stderr: Option<OwnedFd>,
}

impl World {
    pub fn new(containers: Arc<dyn Containerizer>, sandboxes: Sandboxes, inbox: Inbox) -> World {
        World {
            containers,
            sandboxes,
            volumes: Volumes::default(),
            inbox,
            outputs: Arc::default(),
            runtime: Handle::current(),
        }
    }

    /// The containers of an earlier agent, in the core's words; those that run are watched from here on.
    pub fn take_up(&self, recovered: Vec<Recovered>) -> Vec<Found> {
        recovered.into_iter().map(|container| self.take_up_one(container)).collect()
    }

    fn take_up_one(&self, found: Recovered) -> Found {
        let container = translate::container_id(&found.id);
        let life = match found.termination {
            Some(termination) => Life::Ended(translate::termination(termination)),
            None => {
                self.watch(container.clone(), found.id);
                Life::Running { pid: found.pid }
            }
        };
        Found { container, life, sandbox: Some(found.sandbox.to_string_lossy().into_owned()) }
    }

    pub fn launch(&self, spec: LaunchSpec) {
        let world = self.clone();
        let paths: Vec<&str> = spec.volumes.iter().map(|volume| &*volume.path).collect();
        let volumes = self.volumes.settled(&paths);
        self.runtime.spawn(async move {
            volumes.await;
            let container = spec.container.clone();
            let launch = world.sandboxes.launching(&spec.sandbox);
            let outcome = world.try_launch(spec).await;
            drop(launch);
            let launched = outcome.as_ref().ok().map(|(id, _)| id.clone());
            let outcome = outcome.map(|(_, launched)| launched);
            world.inbox.put(Event::Launched { container: container.clone(), outcome }).await;
            if let Some(id) = launched {
                world.watch(container, id);
            }
        });
    }

    async fn try_launch(&self, spec: LaunchSpec) -> Result<(containers::ContainerId, Launched), LaunchFailure> {
        let container = spec.container.clone();
        let latest = spec.latest_link.clone().zip(Some(spec.sandbox.clone()));
        let spec = translate::spec(spec)?;
        let id = spec.id.clone();
        let launched = self.containers.launch(spec).await.map_err(translate::launch_failure)?;
        if let Some((link, sandbox)) = latest {
            point(&link, &sandbox);
        }
        if launched.stdout.is_some() || launched.stderr.is_some() {
            let output = SessionOutput { stdout: launched.stdout, stderr: launched.stderr };
            self.outputs.lock().unwrap_or_else(PoisonError::into_inner).insert(container, output);
        }
        Ok((id, Launched { pid: Some(launched.pid) }))
    }

    /// Reports the end of a container.
    fn watch(&self, container: ContainerId, id: containers::ContainerId) {
        let world = self.clone();
        self.runtime.spawn(async move {
            let termination = match world.containers.wait(id.clone()).await {
                Ok(termination) => translate::termination(termination),
                Err(error) => agent_core::Termination { message: Some(error.to_string()), ..Default::default() },
            };
            world.take_output(&container);
            let nested = container.is_nested();
            world.inbox.put(Event::Terminated { container, termination }).await;
            // Nested ones are asked for again, and removed by the core's order.
            if !nested {
                tokio::time::sleep(UNTIL_JOURNALED).await;
                forget(&*world.containers, id).await;
            }
        });
    }

    /// The output of a session, for its one reader.
    pub fn take_output(&self, container: &ContainerId) -> Option<SessionOutput> {
        self.outputs.lock().unwrap_or_else(PoisonError::into_inner).remove(container)
    }

    pub fn update_limits(&self, container: ContainerId, limits: Limits) {
        let world = self.clone();
        self.runtime.spawn(async move {
            let Some(id) = translate::to_container_id(&container) else { return };
            if let Err(error) = world.containers.update(id, translate::limits(&limits)).await {
                world.inbox.put(Event::LimitsRefused { container, message: error.to_string() }).await;
            }
        });
    }

    /// Reports when the volumes are there.
    pub fn link_volumes(&self, ticket: Ticket, container: ContainerId, volumes: Vec<VolumeLink>) {
        let paths: Vec<&str> = volumes.iter().map(|volume| &*volume.path).collect();
        let (made, world) = (self.volumes.settled(&paths), self.clone());
        self.runtime.spawn(async move {
            made.await;
            let volumes: Vec<_> = volumes.into_iter().map(translate::volume).collect();
            let containers = world.containers.clone();
            let link = move || {
                let id = translate::to_container_id(&container).ok_or("no container can have this name")?;
                containers.link_volumes(&id, &volumes).map_err(|error| error.to_string())
            };
            let outcome = tokio::task::spawn_blocking(link).await.unwrap_or_else(|error| Err(error.to_string()));
            world.inbox.put(Event::VolumesLinked { ticket, outcome }).await;
        });
    }

    pub fn signal(&self, container: &ContainerId, signal: i32) {
        let Some(id) = translate::to_container_id(container) else { return };
        if let Err(error) = self.containers.signal(&id, signal) {
            tracing::debug!(%container, signal, %error, "no signal was sent");
        }
    }

    pub fn destroy(&self, container: ContainerId) {
        let world = self.clone();
        self.runtime.spawn(async move {
            let Some(id) = translate::to_container_id(&container) else { return };
            // Its end is reported by whoever waits for it.
            if let Err(error) = world.containers.destroy(id).await {
                tracing::debug!(%container, %error, "nothing was destroyed");
            }
        });
    }

    pub fn remove(&self, container: ContainerId, sandbox: String) {
        let world = self.clone();
        self.runtime.spawn(async move {
            if let Some(id) = translate::to_container_id(&container) {
                forget(&*world.containers, id).await;
            }
            world.sandboxes.remove(sandbox).await;
        });
    }

    /// What each running container uses at this moment, and what it does not get.
    pub async fn usage(&self, state: &State) -> Usages {
        let of_executors = state.executors().map(|executor| executor.container.clone());
        let mut seen = Usages::new();
        for container in of_executors.chain(state.containers.keys().cloned()) {
            let Some(id) = translate::to_container_id(&container) else { continue };
            if let Ok(usage) = self.containers.usage(id.clone()).await {
                seen.insert(container, Seen { usage, gaps: self.containers.gaps(&id) });
            }
        }
        seen
    }

    /// Adds to what arrives what only the machine knows of it.
    pub fn explain(&self, event: &mut Event, state: &State) {
        memory::explain(event, state, &*self.containers);
    }

    /// `containerizer/*` and `gc/*`.
    pub fn add_metrics(&self, snapshot: &mut Snapshot) {
        let Counts { destroy_errors, fetches_succeeded, fetches_failed, fetch_cache_total, fetch_cache_used } =
            self.containers.counts();
        snapshot.put_counter("containerizer/mesos/container_destroy_errors", destroy_errors as f64);
        // Where there are no images, none of their root file systems can fail to go.
        snapshot.put_counter("containerizer/mesos/provisioner/bind/remove_rootfs_errors", 0.0);
        snapshot.put_counter("containerizer/fetcher/task_fetches_succeeded", fetches_succeeded as f64);
        snapshot.put_counter("containerizer/fetcher/task_fetches_failed", fetches_failed as f64);
        snapshot.put("containerizer/fetcher/cache_size_total_bytes", fetch_cache_total as f64);
        snapshot.put("containerizer/fetcher/cache_size_used_bytes", fetch_cache_used as f64);
        self.sandboxes.add_metrics(snapshot);
    }

    pub fn measure_disk(&self) {
        let world = self.clone();
        self.runtime.spawn(async move {
            match world.sandboxes.used_share() {
                Ok(used) => world.inbox.put(Event::DiskMeasured { used }).await,
                Err(error) => tracing::warn!(%error, "cannot measure the disk"),
            }
        });
    }
}

async fn forget(containers: &dyn Containerizer, id: containers::ContainerId) {
    if let Err(error) = containers.remove(id.clone()).await {
        tracing::debug!(container = %id, %error, "nothing was forgotten");
    }
}

/// Points the symbolic link at `link` to `target`. A sandbox without its `latest` link still works.
fn point(link: &str, target: &str) {
    let made = match symlink(target, link) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let temporary = format!("{link}.new");
            let _ = std::fs::remove_file(&temporary);
            symlink(target, &temporary).and_then(|()| std::fs::rename(&temporary, link))
        }
        made => made,
    };
    if let Err(error) = made {
        tracing::warn!(link, %error, "cannot make the link to the latest run");
    }
}
