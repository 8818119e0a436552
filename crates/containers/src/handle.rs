//! The handle the agent holds.

use crate::{
    Config, ContainerId, LaunchError, LaunchSpec, Launched, Limits, OpError, Recovered, SetupError, Termination, Usage,
};
use std::{path::PathBuf, sync::Arc};

/// All containers of one agent. Clones share them.
#[derive(Clone)]
pub struct Containers {
    _config: Arc<Config>,
}

/// Where a container is in its life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    Preparing,
    Fetching,
    Running,
    Destroying,
    Terminated(Termination),
}

/// One container as `list` and `status` tell it.
#[derive(Clone, Debug, PartialEq)]
pub struct Status {
    pub id: ContainerId,
    pub state: State,
    /// The first process, as the agent sees it.
    pub pid: Option<u32>,
    pub sandbox: PathBuf,
    pub tag: String,
    pub limits: Limits,
}

impl Containers {
    /// Looks at the host and takes charge of `config.runtime_dir`. Must be called inside a tokio runtime. The second part of
    /// the answer says, one sentence each, what containers will not be isolated from on this host.
    pub fn new(config: Config) -> Result<(Containers, Vec<String>), SetupError> {
        Ok((Containers { _config: Arc::new(config) }, Vec::new()))
    }

    /// Fetches, isolates and starts. When the answer is dropped early the launch goes on; `destroy` ends it in any state.
    pub async fn launch(&self, spec: LaunchSpec) -> Result<Launched, LaunchError> {
        Err(LaunchError::Refused { what: format!("launch {}", spec.id), why: "not available".to_owned() })
    }

    /// Waits until the container and every process it ever started are gone.
    pub async fn wait(&self, id: &ContainerId) -> Result<Termination, OpError> {
        Err(OpError::Unknown(id.clone()))
    }

    /// Ends the container, the containers nested in it and all their processes, and waits for it.
    pub async fn destroy(&self, id: &ContainerId) -> Result<Termination, OpError> {
        Err(OpError::Unknown(id.clone()))
    }

    /// Sends `signal` to the container's program (to its process group, so that a shell's children get it too).
    pub fn signal(&self, id: &ContainerId, _signal: i32) -> Result<(), OpError> {
        Err(OpError::Unknown(id.clone()))
    }

    /// Changes what a running container may use. A hard memory limit is only ever raised.
    pub async fn update(&self, id: &ContainerId, _limits: Limits) -> Result<(), OpError> {
        Err(OpError::Unknown(id.clone()))
    }

    pub async fn usage(&self, id: &ContainerId) -> Result<Usage, OpError> {
        Err(OpError::Unknown(id.clone()))
    }

    pub fn status(&self, _id: &ContainerId) -> Option<Status> {
        None
    }

    /// All containers, parents before the containers nested in them.
    pub fn list(&self) -> Vec<Status> {
        Vec::new()
    }

    /// Forgets a terminated container and those nested in it. Until then its termination can be asked for, also after a
    /// restart of the agent.
    pub async fn remove(&self, id: &ContainerId) -> Result<(), OpError> {
        Err(OpError::Unknown(id.clone()))
    }

    /// Finds the containers of an earlier agent again: those that run are waited for as if this agent had launched
    /// them, those that ended give their termination. Cgroups that belong to none of them are emptied and removed.
    pub async fn recover(&self) -> Result<Vec<Recovered>, SetupError> {
        Ok(Vec::new())
    }
}
