//! Linux containers: knows the kernel (clone, namespaces, cgroups, mounts, pidfds), sandboxes and how to fetch files
//! into them. Does not know frameworks, tasks, resources or any message of the Mesos API; the agent translates.
//!
//! The agent talks to a [`Containerizer`]; [`Containers`] is the one of this crate (`handle`). Two halves share the
//! crate. One is the agent's: `engine` is what all containers share, and `launch`, `supervise`, `recover` and
//! `statistics` work on it. The other is the container's: each starts in `launcher`, which runs inside the new process;
//! `zygote` is the agent's end of the line to the process that these are forked from. `record`, a file of the `shelf`,
//! ties both together: the agent writes there what to run, the launcher what became of it.
//!
//! What a container is kept from is for `isolators`, one file each behind the trait in `isolator`; `cgroups` hides v1
//! and v2 from them, `namespaces` how processes get into namespaces. `fetcher` brings URIs into a sandbox, `rotation`
//! keeps output short.
//!
//! Files use each other in one direction: what a container is (`spec`, `record`, `container`), isolators, `engine`, the
//! work on it, `handle`.

mod cgroups;
mod config;
mod container;
mod containerizer;
mod counts;
mod engine;
mod fetcher;
mod handle;
mod host;
mod id;
mod isolator;
mod isolators;
mod launch;
pub mod launcher;
mod mutex;
mod namespaces;
mod origin;
mod reactor;
mod record;
mod recover;
mod rotation;
mod sandbox;
mod shelf;
mod spec;
mod statistics;
mod supervise;
mod usage;
mod users;
mod workers;
mod zygote;

pub use config::{Config, Executable, FetcherConfig, Isolation, LauncherKind, Rotation};
pub use container::{State, Status};
pub use containerizer::{Answer, Containerizer};
pub use counts::Counts;
pub use handle::Containers;
pub use id::{ContainerId, IdError};
pub use isolators::{Enforcement, capabilities};
pub use kernel::{
    Rlimit,
    capabilities::{Capabilities, Capability},
};
pub use origin::{Connection, Origin};
pub use recover::Recovered;
pub use spec::{
    CapabilityWish, Class, Command, ExecutorKind, Gap, IpcMode, LaunchError, LaunchSpec, Launched, Limitation,
    LimitationReason, Limits, OpError, Output, Program, SeccompWish, SetupError, Termination, Uri, VolumeLink,
};
pub use usage::Usage;
