//! A master that stops for a while (a signal, a host that is suspended, a page that comes from a slow disk) and goes on
//! as if nothing had happened: what came meanwhile waits, and whatever the core believed it still believes.

use std::time::Duration;

use master_core::Event;
use stdx::Tick;

use super::{MasterHost, World};
use crate::world::happening::{Happening, Life};

#[derive(Default)]
pub(super) struct Pause {
    until: Option<Tick>,
    /// In the order in which it came.
    held: Vec<Event>,
    held_as_candidate: Vec<election::Event>,
}

impl MasterHost {
    pub fn is_paused(&self) -> bool {
        self.pause.until.is_some()
    }

    pub fn paused_until(&self) -> Option<Tick> {
        self.pause.until
    }

    /// The event, if the process runs; else it is kept for when it does.
    pub(super) fn hear(&mut self, event: Event) -> Option<Event> {
        if self.is_paused() {
            self.pause.held.push(event);
            return None;
        }
        Some(event)
    }

    /// The same for its candidate.
    pub fn hear_as_candidate(&mut self, event: election::Event) -> Option<election::Event> {
        if self.is_paused() {
            self.pause.held_as_candidate.push(event);
            return None;
        }
        Some(event)
    }
}

impl World {
    pub(crate) fn pause_master(&mut self, master: u32, time: Duration) {
        let until = self.now + time;
        self.call_leader_home();
        let host = &mut self.masters[master as usize];
        if !host.is_up() || host.is_paused() {
            return;
        }
        host.pause.until = Some(until);
        let life = host.life;
        self.say(|| format!("master {master} is paused for {time:?}"));
        self.heap.put(until, Happening::Resumes { master, life });
        self.fall_silent(master, time);
    }

    pub(crate) fn on_resumption(&mut self, master: u32, life: Life) {
        let host = &mut self.masters[master as usize];
        if host.life != life || !host.is_paused() {
            return;
        }
        self.say(|| format!("master {master} goes on"));
        let Pause { held, held_as_candidate, .. } = std::mem::take(&mut self.masters[master as usize].pause);
        // A candidate looks at its deadlines first, and so does a program before each step of its core.
        for event in held_as_candidate {
            if self.masters[master as usize].life == life {
                self.step_candidate(master, event);
            }
        }
        for event in held {
            if self.masters[master as usize].life == life {
                self.step_master(master, event);
            }
        }
    }

    /// Nobody is paused any more.
    pub(crate) fn resume_all(&mut self) {
        for master in 0..self.masters.len() as u32 {
            let life = self.masters[master as usize].life;
            self.on_resumption(master, life);
        }
    }
}
