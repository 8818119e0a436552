//! What an agent asks of whatever runs its containers. [`crate::Containers`] is one: namespaces and cgroups of this
//! machine.

use crate::{
    ContainerId, Counts, Enforcement, Gap, LaunchError, LaunchSpec, Launched, Limitation, Limits, OpError, Recovered,
    SetupError, Status, Termination, Usage, VolumeLink,
};
use std::{fmt, pin::Pin};

/// An answer that takes a while.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Runs containers. What a dropped answer has begun goes on.
pub trait Containerizer: fmt::Debug + Send + Sync {
    /// Each kind of isolation it knows: at work, or why it is not.
    fn enforcements(&self) -> Vec<Enforcement>;

    /// Finds the containers of an earlier agent again. To be called once, before anything is launched.
    fn recover(&self) -> Answer<'_, Result<Vec<Recovered>, SetupError>>;

    /// Fetches, isolates and starts; `destroy` ends it in any state.
    fn launch(&self, spec: LaunchSpec) -> Answer<'_, Result<Launched, LaunchError>>;

    /// Changes what a container may use, once it runs.
    fn update(&self, id: ContainerId, limits: Limits) -> Answer<'_, Result<(), OpError>>;

    /// Lets a running container see more volumes in its sandbox.
    fn link_volumes(&self, id: &ContainerId, volumes: &[VolumeLink]) -> Result<(), OpError>;

    fn usage(&self, id: ContainerId) -> Answer<'_, Result<Usage, OpError>>;

    fn status(&self, id: &ContainerId) -> Option<Status>;

    /// What a container asks for and does not get.
    fn gaps(&self, id: &ContainerId) -> Vec<Gap>;

    /// Whether a running container has broken a limit, before the news that it is being ended for that.
    fn find_limitation(&self, id: &ContainerId) -> Option<Limitation>;

    fn signal(&self, id: &ContainerId, signal: i32) -> Result<(), OpError>;

    /// Waits until the container and every process it ever started are gone.
    fn wait(&self, id: ContainerId) -> Answer<'_, Result<Termination, OpError>>;

    /// Ends a container with all that is nested in it.
    fn destroy(&self, id: ContainerId) -> Answer<'_, Result<Termination, OpError>>;

    /// Forgets a terminated container.
    fn remove(&self, id: ContainerId) -> Answer<'_, Result<(), OpError>>;

    fn counts(&self) -> Counts;
}
