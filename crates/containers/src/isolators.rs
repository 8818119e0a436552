//! What each kind of isolation makes of a container's wishes: pure numbers and flags, one file per resource. Writing
//! them to the kernel is for `cgroups` and `launcher`.

pub mod capabilities;
pub mod cpu;
pub mod memory;
pub mod namespaces;
pub mod seccomp;
