//! Mints the ids of frameworks, agents, offers and tickets. The master's own id is their prefix, so that no two masters
//! ever mint the same.

use model::{AgentId, FrameworkId, OfferId};

#[derive(Debug)]
pub(crate) struct Ids {
    prefix: String,
    frameworks: u64,
    agents: u64,
    offers: u64,
    observers: u64,
}

fn take(counter: &mut u64) -> u64 {
    let n = *counter;
    *counter += 1;
    n
}

impl Ids {
    pub(crate) fn new(prefix: &str) -> Ids {
        Ids { prefix: prefix.to_owned(), frameworks: 0, agents: 0, offers: 0, observers: 1 }
    }

    pub(crate) fn framework(&mut self) -> FrameworkId {
        let number = take(&mut self.frameworks);
        FrameworkId::from(format!("{}-{number:04}", self.prefix_of_frameworks()))
    }

    pub(crate) fn agent(&mut self) -> AgentId {
        AgentId::from(format!("{}-S{}", self.prefix, take(&mut self.agents)))
    }

    pub(crate) fn offer(&mut self) -> OfferId {
        let number = take(&mut self.offers);
        OfferId::from(format!("{}-O{number}", self.prefix_of_offers()))
    }

    fn prefix_of_frameworks(&self) -> &str {
        stdx::bug!("ids_without_master", return "m");
        &self.prefix
    }

    fn prefix_of_offers(&self) -> &str {
        stdx::bug!("offers_of_all_masters_alike", return "m");
        &self.prefix
    }

    pub(crate) fn observer(&mut self) -> u64 {
        take(&mut self.observers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_carry_the_master_and_a_number() {
        let mut ids = Ids::new("m");
        assert_eq!(ids.framework().as_str(), "m-0000");
        assert_eq!(ids.framework().as_str(), "m-0001");
        assert_eq!(ids.agent().as_str(), "m-S0");
        assert_eq!(ids.offer().as_str(), "m-O0");
    }
}
