//! executor_calls
