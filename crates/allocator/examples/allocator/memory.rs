//! What an agent and a framework cost in memory, as the process grows by them.

use crate::{cluster::Cluster, figure::print};

pub fn all() {
    let (agents, frameworks) = (50_000, 6_000);
    let before = resident();
    let without = Cluster::half_used(1, frameworks, 1);
    let with_frameworks = resident();
    let cluster = Cluster::half_used(agents, frameworks, 1);
    let with_both = resident();
    let per_framework = with_frameworks.saturating_sub(before) as f64 / frameworks as f64;
    let per_agent = (with_both - with_frameworks).saturating_sub(with_frameworks - before) as f64 / agents as f64;
    let conditions = format!("{frameworks} frameworks in one role; growth of the resident set");
    print("memory.per_framework_bytes", per_framework, "B", &conditions, None);
    let conditions = format!("{agents} agents, each in use by one framework; growth of the resident set");
    print("memory.per_agent_bytes", per_agent, "B", &conditions, None);
    drop((without, cluster));
}

fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).unwrap_or(0) * 4096
}
