//! The isolators there are, one file each, and those at work on this host. To add one: its file, and its line in
//! `KINDS`.

pub mod capabilities;
pub mod cpu;
pub mod disk;
pub mod ipc;
pub mod memory;
pub mod mounts;
pub mod no_new_privileges;
pub mod pid_namespace;
pub mod pids;
pub mod rlimits;
pub mod seccomp;
pub mod uts;

use crate::{
    Config, ContainerId, Gap, LaunchError, LaunchSpec, Limitation, Limits, Usage,
    host::Host,
    isolator::{Ask, Isolator, Kind, Plan, Subject, Watch},
};
use std::io;

/// In the order in which they are asked: a later one may look at what an earlier one has planned.
const KINDS: &[Kind] = &[
    mounts::KIND,
    pid_namespace::KIND,
    ipc::KIND,
    uts::KIND,
    cpu::KIND,
    memory::KIND,
    pids::KIND,
    disk::KIND,
    rlimits::KIND,
    no_new_privileges::KIND,
    seccomp::KIND,
    capabilities::KIND,
];

/// One isolator by Mesos's name: enforced, or why it is not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Enforcement {
    pub name: &'static str,
    pub enforced: Result<(), String>,
}

/// All isolators of an agent.
#[derive(Debug)]
pub struct Isolators {
    at_work: Vec<Box<dyn Isolator>>,
    /// In the order of `KINDS`.
    enforcements: Vec<Enforcement>,
}

impl Isolators {
    pub fn new(config: &Config, host: &Host) -> Isolators {
        let (mut at_work, mut enforcements) = (Vec::new(), Vec::new());
        for kind in KINDS {
            let made = match (kind.wanted)(&config.isolation) {
                true => (kind.make)(config, host),
                false => Err("--isolation does not ask for it".to_owned()),
            };
            let enforced = match made {
                Ok(isolator) => {
                    let enforces = isolator.enforces();
                    at_work.push(isolator);
                    enforces
                }
                Err(why) => Err(why),
            };
            enforcements.push(Enforcement { name: kind.name, enforced });
        }
        Isolators { at_work, enforcements }
    }

    /// Each isolator there is, and whether it is at work.
    pub fn enforcements(&self) -> &[Enforcement] {
        &self.enforcements
    }

    pub fn prepare(&self, ask: &Ask<'_>) -> Result<Plan, LaunchError> {
        let mut plan = Plan { gaps: self.gaps(|kind| (kind.wish)(ask.spec)), ..Plan::default() };
        self.at_work.iter().try_for_each(|isolator| isolator.prepare(ask, &mut plan))?;
        Ok(plan)
    }

    pub fn isolate(&self, container: Subject<'_>, limits: &Limits) -> io::Result<()> {
        self.at_work.iter().try_for_each(|isolator| isolator.isolate(container, limits))
    }

    pub fn recover(&self, container: Subject<'_>, limits: &Limits) {
        self.at_work.iter().for_each(|isolator| isolator.recover(container, limits));
    }

    pub fn watch<'a>(&'a self, container: Subject<'a>) -> Vec<Watch<'a>> {
        self.at_work.iter().filter_map(|isolator| isolator.watch(container)).collect()
    }

    pub fn find_limitation(&self, container: Subject<'_>) -> Option<Limitation> {
        self.at_work.iter().find_map(|isolator| isolator.find_limitation(container))
    }

    pub fn update(&self, container: Subject<'_>, limits: &Limits) -> io::Result<()> {
        self.at_work.iter().try_for_each(|isolator| isolator.update(container, limits))
    }

    pub fn usage(&self, container: Subject<'_>, usage: &mut Usage) {
        self.at_work.iter().for_each(|isolator| isolator.usage(container, usage));
    }

    pub fn cleanup(&self, container: &ContainerId) {
        self.at_work.iter().for_each(|isolator| isolator.cleanup(container));
    }

    /// Which limits of a container that has some of its own nobody enforces.
    pub fn limit_gaps(&self, limits: &Limits) -> Vec<Gap> {
        self.gaps(|kind| (kind.limit)(limits))
    }

    fn gaps(&self, asked: impl Fn(&Kind) -> Option<String>) -> Vec<Gap> {
        let missing = KINDS.iter().zip(&self.enforcements).filter_map(|(kind, state)| {
            let why = state.enforced.as_ref().err()?;
            Some(Gap { isolator: kind.name.to_owned(), asked: asked(kind)?, why: why.clone() })
        });
        missing.collect()
    }
}

/// For what has no limit, or no wish, that a container could name.
const fn no_limit(_: &Limits) -> Option<String> {
    None
}

const fn no_wish(_: &LaunchSpec) -> Option<String> {
    None
}
