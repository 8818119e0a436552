//! What the master shows of its state. Each reader takes a view, which costs the loop a few reference counts, and
//! renders it on its own thread. `v1` is the operator API, `legacy` the documents that older tools read, `metrics` the
//! numbers.

pub mod legacy;
pub mod metrics;
pub mod v1;

#[cfg(test)]
mod recorded;
