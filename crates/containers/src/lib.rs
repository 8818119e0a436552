//! Linux containers: knows the kernel (clone, namespaces, cgroups, mounts, pidfds), sandboxes and how to fetch files
//! into them. Does not know frameworks, tasks, resources or any message of the Mesos API; the agent translates.
//!
//! Two halves share this crate. The agent holds a [`Containers`] handle (`handle`, `launch`, `supervise`, `recover`),
//! and each container starts in `launcher`, which runs inside the new process; `zygote` is the agent's end of the line
//! to the process that these are forked from. `record`, a file of the `shelf`, ties both together: the agent writes
//! there what to run, the launcher what became of it. `cgroups` hides v1 and v2 behind one trait, `fetcher` brings URIs
//! into a sandbox, `rotation` keeps output short.

mod cgroups;
mod config;
mod counts;
mod fetcher;
mod handle;
mod host;
mod id;
mod isolators;
mod launch;
pub mod launcher;
mod origin;
mod reactor;
mod record;
mod recover;
mod rotation;
mod sandbox;
mod shelf;
mod spec;
mod supervise;
mod usage;
mod users;
mod workers;
mod zygote;

pub use config::{Config, Executable, FetcherConfig, Isolation, LauncherKind, Rotation};
pub use counts::Counts;
pub use handle::{Containers, State, Status};
pub use id::{ContainerId, IdError};
pub use isolators::{
    capabilities::{self, CapabilityWish},
    seccomp::SeccompWish,
};
pub use kernel::{
    Rlimit,
    capabilities::{Capabilities, Capability},
};
pub use origin::Origin;
pub use recover::Recovered;
pub use spec::{
    Class, Command, ExecutorKind, IpcMode, LaunchError, LaunchSpec, Launched, Limitation, LimitationReason, Limits,
    OpError, Output, Program, SetupError, Termination, Uri, VolumeLink,
};
pub use usage::Usage;
