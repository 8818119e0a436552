//! Tasks and executors after their launch: what agents report, what the master decides, and how both end.

mod executors;
pub(crate) mod status;
mod update;
