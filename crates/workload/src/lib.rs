//! Knows workloads as values: which tasks arrive when and want what, on which agents, and what became of them. Does not
//! know who decides about them: `what_if` replays them on an allocator, `sim` on whole masters and agents.
//!
//! `trace` and `fleet` are the two inputs with their CSV formats (`sheet` reads both), `mix` draws traces from a seed,
//! `recorder` counts while tasks come and go, `outcome` is what it counted, `report` shows that as tables and charts.

#![forbid(unsafe_code)]

mod fleet;
mod mix;
mod outcome;
mod recorder;
mod report;
mod sheet;
mod trace;

pub use fleet::{Agent, Fleet};
pub use mix::{Load, Mix};
pub use outcome::{GroupOutcome, Moment, Outcome, PartyOutcome, Uses, Waits, jain};
pub use recorder::{Party, Recorder};
pub use report::{Named, charts, page, tables};
pub use sheet::SheetError;
pub use trace::{Job, Trace};
