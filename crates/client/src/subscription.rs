//! A subscription that comes back: after the master was away it subscribes again, with the framework's id, waiting
//! longer after each attempt that fails.

use std::{
    fmt,
    pin::Pin,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant, SystemTime},
};

use proto::v1::{
    self,
    scheduler::{Event, call},
};
use stdx::Rng;

use crate::{Error, Events, SchedulerClient};

/// How long to wait between attempts: a random part of a bound that doubles from `first` to `most`.
#[derive(Clone, Debug)]
pub struct Backoff {
    first: Duration,
    most: Duration,
    bound: Duration,
    rng: Rng,
}

impl Backoff {
    pub fn new(first: Duration, most: Duration) -> Backoff {
        Backoff { first, most, bound: first, rng: seeded_rng() }
    }

    /// The wait before the next attempt: between half of the bound and all of it.
    pub fn next_wait(&mut self) -> Duration {
        let wait = self.bound.mul_f64(0.5 + 0.5 * self.rng.unit());
        self.bound = self.bound.saturating_mul(2).min(self.most);
        wait
    }

    pub fn reset(&mut self) {
        self.bound = self.first;
    }
}

/// A generator unlike any other's, of this process or another: std seeds its hashers from the kernel.
pub(crate) fn seeded_rng() -> Rng {
    use std::hash::{BuildHasher, RandomState};
    Rng::new(RandomState::new().hash_one(SystemTime::now()))
}

impl Default for Backoff {
    fn default() -> Backoff {
        Backoff::new(Duration::from_millis(100), Duration::from_secs(10))
    }
}

/// What a subscription brings.
#[derive(Debug)]
pub enum Incoming {
    /// Subscribed, for the first time or again. After a reconnection offers made earlier are void, and `reconcile`
    /// tells what happened meanwhile.
    Subscribed { framework_id: v1::FrameworkId, again: bool },
    /// Any other event, heartbeats left out.
    Event(Box<Event>),
    /// The master is away; the next call of `next` tries to come back.
    Lost(Error),
}

/// A framework's subscription, kept up.
#[derive(Debug)]
pub struct Subscription {
    client: SchedulerClient,
    subscribe: call::Subscribe,
    backoff: Backoff,
    phase: Phase,
    subscribed: bool,
}

type Opening = Pin<Box<dyn Future<Output = Result<Events, Error>> + Send>>;

/// Every wait of `next` is kept here, so that a call that is dropped loses nothing: the next one goes on with it.
enum Phase {
    Away {
        until: Option<Instant>,
    },
    /// The SUBSCRIBE is under way, and may have reached the master. The mutex is never locked; it makes this `Sync`.
    Opening(Mutex<Opening>),
    Open(Box<Events>),
}

impl fmt::Debug for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Phase::Away { .. } => "Away",
            Phase::Opening(_) => "Opening",
            Phase::Open(_) => "Open",
        })
    }
}

impl Subscription {
    pub fn new(client: SchedulerClient, framework: v1::FrameworkInfo) -> Subscription {
        Subscription::with(
            client,
            call::Subscribe { framework_info: framework, ..Default::default() },
            Backoff::default(),
        )
    }

    pub fn with(client: SchedulerClient, subscribe: call::Subscribe, backoff: Backoff) -> Subscription {
        Subscription { client, subscribe, backoff, phase: Phase::Away { until: None }, subscribed: false }
    }

    pub fn client(&self) -> &SchedulerClient {
        &self.client
    }

    /// What comes next, waiting for it. An `Err` is final: this framework cannot go on. Safe to drop and call again.
    pub async fn next(&mut self) -> Result<Incoming, Error> {
        loop {
            let event = match &mut self.phase {
                Phase::Away { until } => {
                    if let Some(until) = *until {
                        tokio::time::sleep_until(until.into()).await;
                    }
                    let (client, subscribe) = (self.client.clone(), self.subscribe.clone());
                    self.phase = Phase::Opening(Mutex::new(Box::pin(async move { client.subscribe(subscribe).await })));
                    continue;
                }
                Phase::Opening(opening) => match opening.get_mut().unwrap_or_else(PoisonError::into_inner).await {
                    Ok(events) => {
                        self.phase = Phase::Open(Box::new(events));
                        continue;
                    }
                    Err(error) => return self.lose(error),
                },
                Phase::Open(events) => match events.next().await {
                    Ok(event) => event,
                    Err(error) => return self.lose(error),
                },
            };
            use v1::scheduler::event::Type;
            match (event.r#type(), event.subscribed) {
                (Type::Subscribed, Some(subscribed)) => {
                    self.backoff.reset();
                    let again = std::mem::replace(&mut self.subscribed, true);
                    return Ok(Incoming::Subscribed { framework_id: subscribed.framework_id, again });
                }
                (Type::Heartbeat, _) => {}
                (_, subscribed) => return Ok(Incoming::Event(Box::new(Event { subscribed, ..event }))),
            }
        }
    }

    fn lose(&mut self, error: Error) -> Result<Incoming, Error> {
        let mut until = None;
        if error.is_passing() {
            let wait = self.backoff.next_wait();
            tracing::debug!(%error, ?wait, "the subscription is lost");
            until = Some(Instant::now() + wait);
        }
        self.phase = Phase::Away { until };
        if error.is_passing() { Ok(Incoming::Lost(error)) } else { Err(error) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_begin_anew() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_millis(350));
        for bound in [100, 200, 350, 350] {
            let wait = backoff.next_wait().as_millis();
            assert!((bound / 2..=bound).contains(&wait), "{wait} of {bound}");
        }
        backoff.reset();
        assert!(backoff.next_wait() <= Duration::from_millis(100));
    }
}
