//! `bug!`: a mistake that can be put back, to prove that a simulation finds it. Nothing of it is left in a build without
//! `--cfg sim_bugs`; in one with it, each thread switches one mistake on by its name.

#[cfg(sim_bugs)]
use std::cell::RefCell;

#[cfg(sim_bugs)]
thread_local! {
    static ON: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Whether this build holds the mistakes at all.
pub const ARE_BUILT_IN: bool = cfg!(sim_bugs);

/// Switches this thread's mistake; `None` for none.
#[cfg(sim_bugs)]
pub fn switch(name: Option<&str>) {
    ON.with(|on| on.replace(name.map(str::to_owned)));
}

#[cfg(not(sim_bugs))]
pub fn switch(_: Option<&str>) {}

#[doc(hidden)]
#[cfg(sim_bugs)]
pub fn is_on(name: &str) -> bool {
    ON.with(|on| on.borrow().as_deref() == Some(name))
}

#[doc(hidden)]
#[inline(always)]
#[cfg(not(sim_bugs))]
pub const fn is_on(_: &str) -> bool {
    false
}

/// Whether the mistake of this name is to be made: never, outside the proof of the simulator.
#[macro_export]
macro_rules! bug {
    ($name:literal) => {
        $crate::bug::is_on($name)
    };
}
