//! A few threads for work that blocks for microseconds to milliseconds: making processes and cgroups, and removing
//! them. Bounded in threads; what waits is bounded by the number of containers.

use crate::mutex::lock;
use std::{
    collections::VecDeque,
    io,
    sync::{Arc, Condvar, Mutex, PoisonError},
    thread,
};
use tokio::sync::oneshot;

type Job = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct Queue {
    state: Mutex<State>,
    filled: Condvar,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    closed: bool,
}

/// Dropped, the threads end after the jobs already there.
pub struct Workers {
    queue: Arc<Queue>,
}

impl std::fmt::Debug for Workers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Workers")
    }
}

impl Workers {
    pub fn start(threads: usize) -> io::Result<Workers> {
        let queue = Arc::new(Queue::default());
        let workers = Workers { queue: queue.clone() };
        for number in 0..threads.max(1) {
            let queue = queue.clone();
            thread::Builder::new().name(format!("containers-{number}")).spawn(move || work(&queue))?;
        }
        Ok(workers)
    }

    /// Runs `job` on one of the threads. Dropping the answer does not stop the job. `None` when the job panicked.
    pub async fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let (sender, receiver) = oneshot::channel();
        self.push(Box::new(move || {
            let _ = sender.send(job());
        }));
        receiver.await.ok()
    }

    fn push(&self, job: Job) {
        lock(&self.queue.state).jobs.push_back(job);
        self.queue.filled.notify_one();
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        lock(&self.queue.state).closed = true;
        self.queue.filled.notify_all();
    }
}

fn work(queue: &Queue) {
    loop {
        let job = {
            let mut state = lock(&queue.state);
            loop {
                if let Some(job) = state.jobs.pop_front() {
                    break job;
                }
                if state.closed {
                    return;
                }
                state = queue.filled.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
        };
        // One container's broken job must not take the thread from the others.
        if std::panic::catch_unwind(std::panic::AssertUnwindSafe(job)).is_err() {
            tracing::error!("A job of the containers' threads panicked");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn jobs_run_and_a_panic_stops_only_itself() {
        let workers = Workers::start(1).unwrap();
        assert_eq!(workers.run(|| 1 + 1).await, Some(2));
        assert_eq!(workers.run(|| -> i32 { std::panic::resume_unwind(Box::new("on purpose")) }).await, None);
        assert_eq!(workers.run(|| 3).await, Some(3));
    }
}
