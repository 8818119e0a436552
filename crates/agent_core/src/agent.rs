//! The agent itself: its fields, and the step that hands each event to the file that knows it.

use crate::{config::Config, effect::Effects, event::Input, recovery::Record, state::State, timers::Timers};
use std::sync::Arc;
use stdx::{Rng, Tick};

pub struct Agent {
    pub(crate) config: Config,
    pub(crate) state: State,
    pub(crate) rng: Rng,
    pub(crate) timers: Timers,
}

impl Agent {
    /// An agent that has not heard anything yet; `Event::Recovered` must come first.
    pub fn new(config: Config, seed: u64) -> Agent {
        let state = State { info: Arc::new(config.info.clone()), ..State::default() };
        Agent { config, state, rng: Rng::new(seed), timers: Timers::default() }
    }

    /// Takes one event and says what is to be done about it.
    pub fn handle(&mut self, input: Input, out: &mut Effects) {
        let _ = (input, out);
    }

    /// When the agent wants a `Wake`, and why.
    pub fn next_deadline(&self) -> Option<(Tick, &'static str)> {
        self.timers.next()
    }

    /// For reads.
    pub fn view(&self) -> &State {
        &self.state
    }

    /// A short journal that means the same as everything written so far. To be written in place of it, right away:
    /// effects of later steps come after it.
    pub fn snapshot(&self) -> Vec<Record> {
        Vec::new()
    }
}
