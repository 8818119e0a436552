//! Finding out where TCP connections come from, which takes a look through the descriptors of all processes of the
//! machine: one look for all that wait for it, and a rest after each, so that a flood of connections costs little more
//! than one.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use containers::{Connection, Origin};
use tokio::sync::oneshot;

/// How much longer than a look the rest after it is.
const REST: u32 = 3;
const REST_MAX: Duration = Duration::from_secs(1);

/// Says of each connection where it comes from.
type Look = dyn Fn(&[Connection]) -> Vec<Origin> + Send + Sync;

#[derive(Clone)]
pub struct Lookups {
    look: Arc<Look>,
    waiting: Arc<Mutex<Waiting>>,
}

#[derive(Default)]
struct Waiting {
    connections: Vec<(Connection, oneshot::Sender<Origin>)>,
    /// Somebody looks, or rests, and will look again.
    looking: bool,
}

impl Lookups {
    /// `look` may take its time, and answers for each connection.
    pub fn new(look: impl Fn(&[Connection]) -> Vec<Origin> + Send + Sync + 'static) -> Lookups {
        Lookups { look: Arc::new(look), waiting: Arc::default() }
    }

    /// Begins after the call: what is found is true of a moment after it.
    pub async fn look(&self, connection: Connection) -> Origin {
        let (sender, origin) = oneshot::channel();
        let begins = {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            waiting.connections.push((connection, sender));
            !std::mem::replace(&mut waiting.looking, true)
        };
        if begins {
            tokio::spawn(self.clone().run());
        }
        origin.await.unwrap_or(Origin::Unclear("the look at its socket broke off"))
    }

    async fn run(self) {
        while let Some(batch) = self.take() {
            let began = Instant::now();
            let look = Arc::clone(&self.look);
            let (connections, senders): (Vec<_>, Vec<_>) = batch.into_iter().unzip();
            if let Ok(origins) = tokio::task::spawn_blocking(move || look(&connections)).await {
                for (sender, origin) in senders.into_iter().zip(origins) {
                    // Whoever asked may have left.
                    let _ = sender.send(origin);
                }
            }
            tokio::time::sleep((began.elapsed() * REST).min(REST_MAX)).await;
        }
    }

    /// Those that wait by now and are still asked for; without any, nobody looks any more.
    fn take(&self) -> Option<Vec<(Connection, oneshot::Sender<Origin>)>> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let mut batch = std::mem::take(&mut waiting.connections);
        batch.retain(|(_, sender)| !sender.is_closed());
        waiting.looking = !batch.is_empty();
        waiting.looking.then_some(batch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    fn connection(port: u16) -> Connection {
        Connection { remote: ([127, 0, 0, 1], port).into(), local: ([127, 0, 0, 1], 5051).into() }
    }

    #[tokio::test]
    async fn all_that_wait_share_one_look() {
        let (go, may_go) = mpsc::channel::<()>();
        let (told, looks) = mpsc::channel::<usize>();
        let may_go = Mutex::new(may_go);
        let lookups = Lookups::new(move |connections: &[Connection]| {
            told.send(connections.len()).expect("the test listens");
            may_go.lock().expect("whole").recv().expect("the test goes on");
            connections.iter().map(|one| Origin::Machine { uid: u32::from(one.remote.port()) }).collect()
        });
        let ask = |port: u16| {
            let lookups = lookups.clone();
            tokio::spawn(async move { lookups.look(connection(port)).await })
        };
        let first = ask(1);
        while !lookups.waiting.lock().expect("whole").connections.is_empty()
            || !lookups.waiting.lock().expect("whole").looking
        {
            tokio::task::yield_now().await;
        }
        // While it is looked at the first, a thousand more come.
        let more: Vec<_> = (2..1002).map(ask).collect();
        while lookups.waiting.lock().expect("whole").connections.len() < 1000 {
            tokio::task::yield_now().await;
        }
        go.send(()).expect("it waits");
        go.send(()).expect("it will");
        assert_eq!(first.await.expect("told"), Origin::Machine { uid: 1 });
        for (number, one) in more.into_iter().enumerate() {
            assert_eq!(one.await.expect("told"), Origin::Machine { uid: number as u32 + 2 });
        }
        assert_eq!(looks.try_iter().collect::<Vec<_>>(), [1, 1000]);
    }

    #[tokio::test]
    async fn who_has_left_is_not_looked_for() {
        let lookups = Lookups::new(|connections: &[Connection]| {
            assert_eq!(connections.len(), 1);
            vec![Origin::Elsewhere]
        });
        {
            let mut waiting = lookups.waiting.lock().expect("whole");
            waiting.connections.push((connection(1), oneshot::channel().0));
        }
        assert_eq!(lookups.look(connection(2)).await, Origin::Elsewhere);
    }
}
