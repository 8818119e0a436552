//! What ran where: launches and ends, by framework and agent.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::{
    framework::AgentPlace,
    output::{Column, table},
};

#[derive(Debug, Default)]
pub struct Ledger {
    pages: Mutex<BTreeMap<&'static str, Page>>,
}

/// One framework's.
#[derive(Debug, Default)]
struct Page {
    /// By the agent's name.
    launched: BTreeMap<String, usize>,
    ended: usize,
    failed: usize,
}

impl Ledger {
    pub fn launched(&self, framework: &'static str, agent: &AgentPlace, tasks: usize) {
        let mut pages = self.pages();
        *pages.entry(framework).or_default().launched.entry(name(agent)).or_default() += tasks;
    }

    pub fn end(&self, framework: &'static str, good: bool) {
        let mut pages = self.pages();
        let page = pages.entry(framework).or_default();
        page.ended += 1;
        page.failed += usize::from(!good);
    }

    pub fn ended(&self) -> usize {
        self.pages().values().map(|page| page.ended).sum()
    }

    /// "stream: 12 of 20 tasks done; wordcount: …".
    pub fn describe(&self) -> String {
        let pages = self.pages();
        let lines = pages.iter().map(|(framework, page)| {
            let launched: usize = page.launched.values().sum();
            format!("{framework}: {} tasks done, {} running", page.ended, launched.saturating_sub(page.ended))
        });
        lines.collect::<Vec<_>>().join("; ")
    }

    /// Agents down, frameworks across.
    pub fn table(&self, frameworks: &[&'static str]) -> String {
        let pages = self.pages();
        let mut agents: Vec<&String> = pages.values().flat_map(|page| page.launched.keys()).collect();
        agents.sort();
        agents.dedup();
        let columns: Vec<Column> =
            [Column::Text("TASKS ON")].into_iter().chain(frameworks.iter().map(|name| Column::Number(name))).collect();
        let cell = |agent: &String, framework: &&'static str| {
            let count = pages.get(framework).and_then(|page| page.launched.get(agent));
            count.copied().unwrap_or(0).to_string()
        };
        let rows = agents.iter().map(|agent| {
            std::iter::once((*agent).clone()).chain(frameworks.iter().map(|framework| cell(agent, framework))).collect()
        });
        let failed = std::iter::once("failed".to_owned())
            .chain(frameworks.iter().map(|name| pages.get(name).map_or(0, |page| page.failed).to_string()))
            .collect();
        table(&columns, rows.chain([failed]))
    }

    fn pages(&self) -> MutexGuard<'_, BTreeMap<&'static str, Page>> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Agents of one machine share its name; the end of the id tells them apart.
fn name(agent: &AgentPlace) -> String {
    let short = agent.id.value.rsplit('-').next().unwrap_or_default();
    format!("{short} {}", agent.address.as_deref().unwrap_or(&agent.hostname))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_counts_by_agent_and_framework() {
        let ledger = Ledger::default();
        let agent = |id: &str| AgentPlace {
            id: proto::v1::AgentId { value: format!("x-{id}") },
            hostname: "h".to_owned(),
            address: None,
        };
        ledger.launched("a", &agent("S1"), 2);
        ledger.launched("b", &agent("S0"), 1);
        ledger.end("a", true);
        ledger.end("a", false);
        assert_eq!(ledger.table(&["a", "b"]), "TASKS ON  a  b\nS0 h      0  1\nS1 h      2  0\nfailed    1  0");
        assert_eq!(ledger.describe(), "a: 2 tasks done, 0 running; b: 0 tasks done, 1 running");
        assert_eq!(ledger.ended(), 2);
    }
}
