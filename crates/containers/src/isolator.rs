//! What one kind of isolation is: what it does at each step of a container's life. Who calls when is in `launch`,
//! `supervise` and `recover`; the isolators themselves are below `isolators`, one file each.
//!
//! The steps, in order: `prepare` says what is to be made, `isolate` makes it, then the process is born inside of it;
//! `watch` waits for a limit to be broken, `update` changes limits, `usage` reads; `cleanup` undoes. An agent that
//! finds the containers of an earlier one calls `recover` instead of the first two.

use crate::{
    Config, ContainerId, Gap, Isolation, LaunchError, LaunchSpec, Limitation, Limits, Usage,
    cgroups::Root,
    host::Host,
    namespaces::Namespaces,
    record::{CgroupUse, Restrictions, UserIds},
};
use kernel::Rlimit;
use std::{
    fmt, io,
    path::{Path, PathBuf},
    pin::Pin,
};

/// One kind of isolation at work, for all containers of an agent. Each step does nothing unless an isolator says
/// otherwise. Called on threads that may wait.
pub trait Isolator: fmt::Debug + Send + Sync {
    /// Whether it keeps containers from what its name says, or only looks on, and why.
    fn enforces(&self) -> Result<(), String> {
        Ok(())
    }

    /// Says into `plan` what the container gets; what it asks for and does not get is an error, or a gap of the plan.
    fn prepare(&self, _ask: &Ask<'_>, _plan: &mut Plan) -> Result<(), LaunchError> {
        Ok(())
    }

    /// Sets limits, where the container's cgroups are made and its process is not.
    fn isolate(&self, _container: Subject<'_>, _limits: &Limits) -> io::Result<()> {
        Ok(())
    }

    /// A running container of an earlier agent.
    fn recover(&self, _container: Subject<'_>, _limits: &Limits) {}

    /// Waits until the container has broken a limit, if it has one that can be broken.
    fn watch<'a>(&'a self, _container: Subject<'a>) -> Option<Watch<'a>> {
        None
    }

    /// Whether the container has broken a limit by what the kernel counts at this moment. Quick.
    fn find_limitation(&self, _container: Subject<'_>) -> Option<Limitation> {
        None
    }

    fn update(&self, _container: Subject<'_>, _limits: &Limits) -> io::Result<()> {
        Ok(())
    }

    /// Adds what it knows.
    fn usage(&self, _container: Subject<'_>, _usage: &mut Usage) {}

    /// No process of the container is left, or it was never started. Its cgroups are removed by whoever made them.
    fn cleanup(&self, _container: &ContainerId) {}
}

/// Resolves when a limit was broken.
pub type Watch<'a> = Pin<Box<dyn Future<Output = Limitation> + Send + 'a>>;

/// How one kind of isolator comes to be: each isolator's file has one.
#[derive(Clone, Copy)]
pub struct Kind {
    /// As `--isolation` has it.
    pub name: &'static str,
    /// Whether the agent's settings want it.
    pub wanted: fn(&Isolation) -> bool,
    /// What limits of a container it would enforce, in words.
    pub limit: fn(&Limits) -> Option<String>,
    /// What else a container may ask of it, in words.
    pub wish: fn(&LaunchSpec) -> Option<String>,
    /// Makes it for this host, or says why it cannot be.
    pub make: fn(&Config, &Host) -> Made,
}

pub type Made = Result<Box<dyn Isolator>, String>;

/// A container that is to be.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    pub spec: &'a LaunchSpec,
    /// Whom it runs as, where that is not the agent's own user.
    pub user: Option<&'a UserIds>,
    /// It stays in the cgroups of its parent, whose limits hold for it.
    pub shares_cgroups: bool,
    /// Its namespaces come only inside a user namespace.
    pub user_namespace: bool,
}

/// What a container gets, as the isolators say one after the other.
#[derive(Debug, Default)]
pub struct Plan {
    pub namespaces: Namespaces,
    /// Has cgroups of its own, with limits.
    pub own_limits: bool,
    /// Mounts a `/dev/shm` of its own, of this size if it is known.
    pub own_shm: bool,
    pub shm_bytes: Option<u64>,
    pub hostname: Option<String>,
    pub rlimits: Vec<Rlimit>,
    pub oom_score_adj: Option<i32>,
    pub restrictions: Restrictions,
    /// What it asks for and does not get.
    pub gaps: Vec<Gap>,
}

/// A container that isolators are asked about.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    pub id: &'a ContainerId,
    pub sandbox: &'a Path,
    /// Which cgroups are its own.
    pub cgroups: CgroupUse,
    /// Whose cgroups limit it: its own, those of an ancestor, or nobody's.
    pub limited_by: Option<&'a ContainerId>,
}

impl Subject<'_> {
    /// Its directory below the root of a controller; `None` where its limits are its parent's, or nobody's.
    pub fn limited_in(&self, root: &Root) -> Option<PathBuf> {
        self.cgroups.limits().then(|| root.directory(self.id))
    }
}
