//! Agents that see who leads before that master is ready to: their registrations wait for the moment it is, instead of
//! for the agents' next attempts, which come ever later. For a few seconds only: an older one says nothing of its agent
//! any more, and a new one is under way.

use std::{collections::VecDeque, time::Duration};

use proto::{link::ToMaster, upid::Upid};
use stdx::Tick;

use crate::{Actor, Event, Master, Step, state::Phase};

const AGE_MAX: Duration = Duration::from_secs(3);
const HELD_MAX: usize = 65_536;

/// In the order they came.
#[derive(Debug, Default)]
pub(crate) struct Early {
    held: VecDeque<(Tick, Upid, ToMaster)>,
}

impl Early {
    fn prune(&mut self, now: Tick) {
        while self.held.front().is_some_and(|(came, ..)| now.since(*came) > AGE_MAX) {
            self.held.pop_front();
        }
    }

    /// The peer's process is gone.
    pub(crate) fn forget(&mut self, peer: &Upid) {
        self.held.retain(|(_, from, _)| from.host != peer.host || from.port != peer.port);
    }
}

impl Master {
    /// This master leads: what waited for that happens now.
    pub(crate) fn take_early(&mut self, step: &mut Step<'_>) {
        self.early.prune(step.now);
        for (_, from, message) in std::mem::take(&mut self.early.held) {
            self.on_libprocess(Event::FromAgent { from, to: Actor::Master, message }, step);
        }
    }
}

impl Early {
    /// Whether the message waits until this master leads.
    pub(crate) fn holds(&mut self, phase: Phase, from: &Upid, message: &ToMaster, now: Tick) -> bool {
        let registers = matches!(message, ToMaster::RegisterSlave(_) | ToMaster::ReregisterSlave(_));
        if !registers || !matches!(phase, Phase::Standby | Phase::Recovering) {
            return false;
        }
        self.prune(now);
        let holds = self.held.len() < HELD_MAX;
        if holds {
            self.held.push_back((now, from.clone(), message.clone()));
        }
        holds
    }
}
