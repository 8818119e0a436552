//! Whether what a message asks for is possible in the present state. Pure: each file judges one kind of thing, in
//! Mesos's order and words. What makes sense by itself is judged in `model::parse`.

pub(crate) mod agent;
pub(crate) mod framework;
pub(crate) mod offers;
pub(crate) mod operation;
pub(crate) mod task;
pub(crate) mod task_group;
