//! Status updates, delivered at least once and in order: `stream` is one task's queue. Here they are accepted, made
//! durable, forwarded, resent and acknowledged. What an executor may report: `executor_calls/update`.

pub(crate) mod stream;
