//! Known answers: what each rule of the allocation does, one at a time, and what holds over many cycles.

mod fairness;
mod quota;
mod rules;
mod tree;
