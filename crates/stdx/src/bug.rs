//! `bug!`: a mistake that can be put back, to prove that a simulation finds it. Nothing of it is left in a build
//! without the feature `mistakes`; in one with it, each thread switches one mistake on by its name.

#[cfg(feature = "mistakes")]
use std::cell::RefCell;

#[cfg(feature = "mistakes")]
thread_local! {
    static ON: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Whether this build holds the mistakes at all.
pub const ARE_BUILT_IN: bool = cfg!(feature = "mistakes");

/// Switches this thread's mistake; `None` for none.
#[cfg(feature = "mistakes")]
pub fn switch(name: Option<&str>) {
    ON.with(|on| on.replace(name.map(str::to_owned)));
}

#[cfg(not(feature = "mistakes"))]
pub fn switch(_: Option<&str>) {}

#[doc(hidden)]
#[cfg(feature = "mistakes")]
pub fn is_on(name: &str) -> bool {
    ON.with(|on| on.borrow().as_deref() == Some(name))
}

#[doc(hidden)]
#[inline(always)]
#[cfg(not(feature = "mistakes"))]
pub const fn is_on(_: &str) -> bool {
    false
}

/// Makes the mistake of this name: never, outside the proof of the simulator.
///
/// It has one form, `bug!("name", MISTAKE);`, and stands before everything else in a function, so that what the
/// function does without it can be read past it. MISTAKE goes back early (`return false`), takes something else for an
/// argument (`outcome = Ok(())`) or does one thing too many (`self.on_durable(key)`).
#[macro_export]
macro_rules! bug {
    ($name:literal, $mistake:expr) => {
        if $crate::bug::is_on($name) {
            $mistake;
        }
    };
}
