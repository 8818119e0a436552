//! The runtimes of commands and servers, and the signals that end them.

use tokio::{
    runtime::{Builder, Runtime},
    signal::unix::{SignalKind, signal},
};

/// How many threads serve connections and encode; the deciding loop is one task among theirs.
const WORKER_THREADS: usize = 2;

/// The runtime of a server. To be called before any other thread exists.
pub fn runtime() -> Result<Runtime, String> {
    keep_memory_together();
    Builder::new_multi_thread()
        .worker_threads(WORKER_THREADS)
        .enable_all()
        .build()
        .map_err(|e| format!("cannot start the runtime: {e}"))
}

/// A runtime of one thread: what an agent does is little, and handing it from thread to thread costs more than doing
/// it.
pub fn small_runtime() -> Result<Runtime, String> {
    keep_memory_together();
    Builder::new_current_thread().enable_all().build().map_err(|e| format!("cannot start the runtime: {e}"))
}

/// All threads allocate from one heap that grows and shrinks in large steps: glibc's heaps of threads ask the kernel
/// for every few pages.
fn keep_memory_together() {
    // SAFETY: sets parameters of the allocator; there is one thread.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
        libc::mallopt(libc::M_TOP_PAD, 256 << 10);
        libc::mallopt(libc::M_TRIM_THRESHOLD, 1 << 20);
    }
    if let Err(error) = kernel::memory::give_back_what_is_free() {
        tracing::warn!(%error, "free memory stays with this process");
    }
}

/// Waits for SIGTERM or SIGINT.
pub async fn told_to_stop() {
    let terminate = async {
        match signal(SignalKind::terminate()) {
            Ok(mut stream) => drop(stream.recv().await),
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        () = terminate => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}
