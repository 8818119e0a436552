//! The allocator's figures, one JSON object a line. Mesos's own benchmarks are rebuilt from their definitions and
//! printed beside what was published for them; the others show how the cost grows. Everything runs in this process, on
//! one thread, without offers going anywhere. Arguments choose suites: `decline`, `suppress`, `agents`, `mixed`,
//! `quota`, `cycle`, `update`, `placements`, `memory`, `groups`.
#![allow(clippy::disallowed_methods, clippy::disallowed_types, reason = "a benchmark looks at the clock")]

mod agents;
mod cluster;
mod cycles;
mod decline;
mod figure;
mod groups;
mod memory;
mod mixed;
mod quota;
mod suppress;
mod update;

fn main() {
    let asked: Vec<String> = std::env::args().skip(1).collect();
    // Memory first, while nothing was freed yet that could serve again.
    let suites: [(&str, fn()); 10] = [
        ("memory", memory::all),
        ("decline", decline::all),
        ("suppress", suppress::all),
        ("agents", agents::all),
        ("mixed", mixed::all),
        ("quota", quota::all),
        ("update", update::all),
        ("cycle", cycles::all),
        ("placements", cycles::placements),
        ("groups", groups::competition),
    ];
    for (name, suite) in suites {
        if asked.is_empty() || asked.iter().any(|wanted| wanted == name) {
            suite();
        }
    }
}
