//! v0 drivers and v0 executors, spoken by hand: what travels over libprocess between them, a master and an agent. The
//! real driver of Mesos plays in `libmesos`.

mod authentication;
mod driver;
mod executor;
mod peer;
