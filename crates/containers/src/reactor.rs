//! Descriptors of the kernel's in the reactor of the current tokio runtime.

use std::{
    io,
    os::fd::{AsRawFd, OwnedFd},
    sync::Arc,
};
use tokio::io::{Interest, unix::AsyncFd};

/// Watches a descriptor.
pub fn watch<T: HoldsFd>(fd: T, interest: Interest) -> io::Result<AsyncFd<T>> {
    // SAFETY: both kinds of holder keep their descriptor open, and the same one, as long as they live.
    Ok(unsafe { AsyncFd::register_with_interest(fd, interest) }?)
}

/// What keeps one descriptor open for as long as it lives.
pub trait HoldsFd: AsRawFd {}
impl HoldsFd for OwnedFd {}
impl HoldsFd for Arc<OwnedFd> {}
