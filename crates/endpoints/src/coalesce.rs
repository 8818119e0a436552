//! Equal reads at one moment share one rendering. A reader never gets anything that was begun before it asked.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::sync::oneshot;

/// Renderings by what is asked for. A key is here only while something renders for it.
pub struct Coalescer<K, V> {
    rounds: Arc<Mutex<Rounds<K, V>>>,
    shared: AtomicU64,
}

/// Who asked since the present rendering of a key began. They get the next one.
type Rounds<K, V> = BTreeMap<K, Vec<oneshot::Sender<V>>>;

impl<K, V> Coalescer<K, V>
where
    K: Ord + Clone + Send + 'static,
    V: Clone + Send + 'static,
{
    /// What `render` gives, called after this call began: for this caller alone, or for all that ask for the same
    /// meanwhile. None if rendering failed. It goes on when the caller leaves.
    pub async fn get<F, R>(&self, key: K, render: F) -> Option<V>
    where
        F: Fn() -> R + Send + 'static,
        R: Future<Output = V> + Send + 'static,
    {
        let (sender, receiver) = oneshot::channel();
        {
            let mut rounds = self.rounds.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(waiting) = rounds.get_mut(&key) {
                self.shared.fetch_add(u64::from(!waiting.is_empty()), Ordering::Relaxed);
                waiting.push(sender);
            } else {
                rounds.insert(key.clone(), Vec::new());
                let renderer = Renderer { key, rounds: Arc::clone(&self.rounds), done: false };
                tokio::spawn(renderer.run(vec![sender], render));
            }
        }
        receiver.await.ok()
    }

    /// How many have got a rendering that another one asked for.
    pub fn shared(&self) -> u64 {
        self.shared.load(Ordering::Relaxed)
    }
}

impl<K, V> Default for Coalescer<K, V> {
    fn default() -> Coalescer<K, V> {
        Coalescer { rounds: Arc::default(), shared: AtomicU64::new(0) }
    }
}

/// Renders for one key, as long as somebody waits.
struct Renderer<K: Ord, V> {
    key: K,
    rounds: Arc<Mutex<Rounds<K, V>>>,
    done: bool,
}

impl<K: Ord, V: Clone> Renderer<K, V> {
    async fn run<F, R>(mut self, mut wanted: Vec<oneshot::Sender<V>>, render: F)
    where
        F: Fn() -> R,
        R: Future<Output = V>,
    {
        while !wanted.is_empty() {
            let value = render().await;
            for sender in wanted {
                // Who has left does not want it.
                let _ = sender.send(value.clone());
            }
            wanted = self.take_waiting();
        }
    }

    /// Those who wait; without any, the key is free for the next to ask.
    fn take_waiting(&mut self) -> Vec<oneshot::Sender<V>> {
        let mut rounds = self.rounds.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = rounds.get_mut(&self.key).map(std::mem::take).unwrap_or_default();
        if waiting.is_empty() {
            rounds.remove(&self.key);
            self.done = true;
        }
        waiting
    }
}

/// After a panic in rendering nobody shall wait for one that is no more.
impl<K: Ord, V> Drop for Renderer<K, V> {
    fn drop(&mut self) {
        if !self.done {
            self.rounds.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::Semaphore;

    use super::*;

    /// Renders the number of its renderings, each when the gate lets it.
    #[derive(Clone)]
    struct Counted {
        coalescer: Arc<Coalescer<&'static str, u64>>,
        begun: Arc<AtomicU64>,
        gate: Arc<Semaphore>,
    }

    impl Counted {
        fn new() -> Counted {
            Counted { coalescer: Arc::default(), begun: Arc::default(), gate: Arc::new(Semaphore::new(0)) }
        }

        async fn get(&self, key: &'static str) -> Option<u64> {
            let (begun, gate) = (self.begun.clone(), self.gate.clone());
            let render = move || {
                let (begun, gate) = (begun.clone(), gate.clone());
                async move {
                    let number = begun.fetch_add(1, Ordering::SeqCst) + 1;
                    gate.acquire().await.expect("open").forget();
                    number
                }
            };
            self.coalescer.get(key, render).await
        }

        fn spawn(&self, key: &'static str) -> tokio::task::JoinHandle<Option<u64>> {
            let counted = self.clone();
            tokio::spawn(async move { counted.get(key).await })
        }

        async fn wait_until(&self, condition: impl Fn(&Counted) -> bool) {
            while !condition(self) {
                tokio::task::yield_now().await;
            }
        }

        fn waiting(&self, key: &str) -> usize {
            self.coalescer.rounds.lock().unwrap().get(key).map_or(0, Vec::len)
        }

        fn begun(&self) -> u64 {
            self.begun.load(Ordering::SeqCst)
        }
    }

    #[tokio::test]
    async fn those_who_ask_during_a_rendering_share_the_next() {
        let counted = Counted::new();
        let first = counted.spawn("state");
        counted.wait_until(|c| c.begun() == 1).await;
        let later: Vec<_> = (0..100).map(|_| counted.spawn("state")).collect();
        counted.wait_until(|c| c.waiting("state") == 100).await;
        let other = counted.spawn("roles");
        counted.wait_until(|c| c.begun() == 2).await;
        counted.gate.add_permits(3);
        assert_eq!(first.await.unwrap(), Some(1));
        assert_eq!(other.await.unwrap(), Some(2));
        for reader in later {
            assert_eq!(reader.await.unwrap(), Some(3));
        }
        counted.wait_until(|c| c.coalescer.rounds.lock().unwrap().is_empty()).await;
        assert_eq!(counted.begun(), 3);
        assert_eq!(counted.coalescer.shared(), 99);
    }

    #[tokio::test]
    async fn a_reader_that_leaves_does_not_stop_the_others() {
        let counted = Counted::new();
        let first = counted.spawn("state");
        counted.wait_until(|c| c.begun() == 1).await;
        let second = counted.spawn("state");
        counted.wait_until(|c| c.waiting("state") == 1).await;
        first.abort();
        assert!(first.await.is_err());
        counted.gate.add_permits(2);
        assert_eq!(second.await.unwrap(), Some(2));
    }

    #[tokio::test]
    async fn a_failed_rendering_is_told_and_forgotten() {
        let coalescer: Coalescer<u8, u8> = Coalescer::default();
        let panics = || async { panic!("rendering fails on purpose") };
        assert_eq!(coalescer.get(1, panics).await, None);
        assert_eq!(coalescer.get(1, || async { 5 }).await, Some(5));
    }
}
