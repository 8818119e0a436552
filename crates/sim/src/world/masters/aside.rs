//! The leading core on a thread of its own, for large worlds that nobody watches. What it decides is carried out no
//! sooner than its messages could arrive anywhere, so the world goes on meanwhile; which thread is faster changes
//! nothing.

use std::{
    collections::VecDeque,
    hint, panic,
    sync::mpsc::{Receiver, RecvError, Sender, TryRecvError, channel},
    thread::{self, JoinHandle},
    time::Duration,
};

use master_core::{Effects, Input, Master};
use stdx::Tick;

use super::{Core, World};

/// How often a thread looks for what it waits for before it sleeps: some ten microseconds.
const LOOKS: u32 = 5_000;

/// A thread that thinks for one master after the other.
pub(crate) struct Aside {
    orders: Sender<Order>,
    outcomes: Receiver<Outcome>,
    thread: JoinHandle<()>,
    /// Whose core is there.
    master: Option<u32>,
    /// What the core was told and the world has not carried out, oldest first.
    pending: VecDeque<Told>,
}

enum Order {
    Take(Box<Master>),
    Handle(Input),
    Return,
}

enum Outcome {
    Handled { effects: Effects, deadline: Option<Tick> },
    Returned(Box<Master>),
}

/// When the core was told something, and in which step of the world.
struct Told {
    at: Tick,
    step: u64,
}

impl Aside {
    fn start() -> Aside {
        let (orders, heard) = channel();
        let (say, outcomes) = channel();
        let thread = thread::spawn(move || think(&heard, &say));
        Aside { orders, outcomes, thread, master: None, pending: VecDeque::new() }
    }

    /// A thread that is gone has panicked; whoever waits for an outcome finds that.
    fn order(&self, order: Order) {
        let _ = self.orders.send(order);
    }
}

fn think(heard: &Receiver<Order>, say: &Sender<Outcome>) {
    let mut core: Option<Box<Master>> = None;
    while let Ok(order) = receive(heard) {
        let outcome = match order {
            Order::Take(given) => {
                core = Some(given);
                None
            }
            Order::Handle(input) => core.as_mut().map(|core| {
                let mut effects = Effects::new();
                core.handle(input, &mut effects);
                Outcome::Handled { effects, deadline: core.next_deadline().map(|(tick, _)| tick) }
            }),
            Order::Return => core.take().map(Outcome::Returned),
        };
        if outcome.is_some_and(|outcome| say.send(outcome).is_err()) {
            return;
        }
    }
}

/// The next there is. It mostly comes sooner than a thread could be sent to sleep and woken.
fn receive<T>(from: &Receiver<T>) -> Result<T, RecvError> {
    for _ in 0..LOOKS {
        match from.try_recv() {
            Ok(next) => return Ok(next),
            Err(TryRecvError::Disconnected) => return Err(RecvError),
            Err(TryRecvError::Empty) => hint::spin_loop(),
        }
    }
    from.recv()
}

impl World {
    /// Lets time pass in which nobody looks at the cores, as fast as the machine can.
    pub(crate) fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            self.put_leader_aside();
            if !self.step(end) {
                break;
            }
        }
        self.call_leader_home();
    }

    fn put_leader_aside(&mut self) {
        if self.aside.as_ref().is_some_and(|aside| aside.master.is_some()) {
            return;
        }
        let unseen = self.watched.is_none() && self.talk.is_none();
        let Some(master) = self.election.leader.filter(|_| unseen && !self.least_latency().is_zero()) else { return };
        let host = &mut self.masters[master as usize];
        if host.is_paused() {
            return;
        }
        match std::mem::replace(&mut host.core, Core::Aside) {
            Core::Here(core) => {
                let aside = self.aside.get_or_insert_with(Aside::start);
                aside.master = Some(master);
                aside.order(Order::Take(core));
            }
            other => host.core = other,
        }
    }

    /// All that was told is carried out, and the core can be looked at.
    pub(crate) fn call_leader_home(&mut self) {
        while self.carry_out_oldest() {}
        let Some(aside) = &mut self.aside else { return };
        let Some(master) = aside.master.take() else { return };
        aside.order(Order::Return);
        if let Some(Outcome::Returned(core)) = self.next_outcome() {
            self.masters[master as usize].core = Core::Here(core);
        }
    }

    pub(super) fn tell_aside(&mut self, input: Input) {
        if let Some(aside) = &mut self.aside {
            aside.pending.push_back(Told { at: self.now, step: self.steps });
            aside.order(Order::Handle(input));
        }
    }

    /// Carries out what the core was told so long ago that its messages could arrive by the next thing to happen.
    pub(crate) fn carry_out_due(&mut self) {
        if self.aside.is_none() {
            return;
        }
        let latency = self.least_latency();
        while let Some(told) = self.aside.as_ref().and_then(|aside| aside.pending.front())
            && let due = told.at + latency
            && self.heap.next().is_none_or(|next| next >= due)
        {
            self.carry_out_oldest();
        }
    }

    fn carry_out_oldest(&mut self) -> bool {
        let Some(aside) = &mut self.aside else { return false };
        let Some(master) = aside.master else { return false };
        let Some(told) = aside.pending.pop_front() else { return false };
        let Some(Outcome::Handled { mut effects, deadline }) = self.next_outcome() else { return false };
        let (now, steps) = (self.now, self.steps);
        (self.now, self.steps) = (told.at, told.step);
        self.carry_out_step(master, &mut effects, deadline);
        (self.now, self.steps) = (now, steps);
        true
    }

    /// A panic of the thread goes on here.
    fn next_outcome(&mut self) -> Option<Outcome> {
        let aside = self.aside.take()?;
        match receive(&aside.outcomes) {
            Ok(outcome) => {
                self.aside = Some(aside);
                Some(outcome)
            }
            Err(RecvError) => {
                aside.thread.join().unwrap_or_else(|panic| panic::resume_unwind(panic));
                None
            }
        }
    }

    fn least_latency(&self) -> Duration {
        crate::scenario::secs(self.scenario.network.latency_min_ms / 1e3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::{Faults, FrameworkPlan, Scenario, Temper};

    fn world(faults: Faults) -> World {
        let plan = FrameworkPlan { temper: Temper::Steady, parallel: u32::MAX, ..FrameworkPlan::default() };
        let frameworks = vec![plan; 3];
        World::new(
            Scenario { agents: 0, light_agents: 40, masters: 2, frameworks, faults, ..Scenario::default() },
            None,
            false,
        )
    }

    /// How many tasks ended well, by the books of the master that leads.
    fn finished(world: &World) -> u64 {
        let core = world.leader().expect("somebody leads");
        assert!(core.view().agents.len() == 40 && core.view().agents.values().all(|agent| agent.connected));
        core.view().counters.get(master_core::counters::Counter::TasksFinished)
    }

    #[test]
    fn a_core_aside_does_what_one_at_hand_does_and_always_the_same() {
        const TIME: Duration = Duration::from_secs(100);
        let [mut aside, mut again, mut at_hand] = [(); 3].map(|()| world(Faults::default()));
        aside.pass(TIME);
        again.pass(TIME);
        while at_hand.step(Tick::ZERO + TIME) {}
        let (one, other) = (finished(&aside), finished(&at_hand));
        assert_eq!((one, aside.hash()), (finished(&again), again.hash()));
        assert!(other > 50 && one.abs_diff(other) * 20 < other, "{one} and {other}");
    }

    #[test]
    fn masters_may_fall_and_stop_while_their_core_is_aside() {
        let faults = Faults {
            master_crash_every: 30.0,
            master_away_secs: 5.0,
            pause_every: 30.0,
            pause_secs: 20.0,
            ..Faults::default()
        };
        let [mut one, mut other] = [(); 2].map(|()| {
            let mut world = world(faults.clone());
            world.begin_faults();
            world.pass(Duration::from_secs(150));
            assert!(world.election.epoch > 2, "{}", world.election.epoch);
            world.end_faults();
            world.pass(Duration::from_secs(60));
            world
        });
        assert!(finished(&one) > 20);
        assert_eq!(one.hash(), other.hash());
        one.pass(Duration::from_secs(30));
        other.pass(Duration::from_secs(30));
        assert_eq!((finished(&one), one.hash()), (finished(&other), other.hash()));
    }
}
