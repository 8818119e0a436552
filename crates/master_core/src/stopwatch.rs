//! Tells whoever has a clock when the allocator works, so that it can be measured. Nothing comes back: the core decides
//! the same whether anybody listens or not.

use std::time::Duration;

use allocator::Allocator;
use stdx::Tick;

use crate::Master;

/// What a listener hears; it must not wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lap {
    /// The allocator is called, so long after it wanted to be.
    Begins { late: Duration },
    /// It has returned.
    Ends {
        /// A cycle began or went on in this call.
        ran: bool,
        /// No part of a cycle is left for the next call.
        done: bool,
    },
}

pub type Stopwatch = Box<dyn FnMut(Lap) + Send>;

impl Master {
    /// Lets `stopwatch` hear of every run of the allocator from now on.
    pub fn measure_allocation(&mut self, stopwatch: Stopwatch) {
        self.stopwatch = Some(stopwatch);
    }

    /// Calls the allocator through `work`, and tells of it.
    pub(crate) fn timed_allocation<R>(&mut self, now: Tick, due: Tick, work: impl FnOnce(&mut Allocator) -> R) -> R {
        let Some(stopwatch) = &mut self.stopwatch else { return work(&mut self.allocator) };
        let (runs, was_cut) = (self.allocator.cycles(), self.allocator.is_cut());
        let late = if was_cut { Duration::ZERO } else { now.since(due) };
        stopwatch(Lap::Begins { late });
        let result = work(&mut self.allocator);
        let ran = was_cut || self.allocator.cycles() > runs;
        stopwatch(Lap::Ends { ran, done: !self.allocator.is_cut() });
        result
    }
}
