//! Which agent is at which address. Each begins at one of its own; two may swap, as machines do whose addresses are
//! handed out anew.

use proto::upid::Upid;

use super::{World, happening::Node, network::host_of};

pub(crate) struct Addresses {
    /// The place of each agent.
    places: Vec<u32>,
    /// Who is at each place.
    agents: Vec<u32>,
}

impl Addresses {
    pub fn new(agents: u32) -> Addresses {
        Addresses { places: (0..agents).collect(), agents: (0..agents).collect() }
    }

    pub fn of_agent(&self, agent: u32) -> Upid {
        let place = self.places.get(agent as usize).copied().unwrap_or(agent);
        Upid::new("slave(1)", host_of(Node::Agent(place)), 5051)
    }

    /// Which node listens there.
    pub fn node_at(&self, peer: &Upid) -> Option<Node> {
        let mut parts = [0u32; 4];
        let mut texts = peer.host.split('.');
        for part in &mut parts {
            *part = texts.next()?.parse().ok()?;
        }
        match parts {
            [10, 0, 0, n] if n > 0 => Some(Node::Master(n - 1)),
            [10, a, b, c] if a >= 128 => {
                let place = (a - 128) << 16 | b << 8 | c;
                self.agents.get(place as usize).map(|agent| Node::Agent(*agent))
            }
            _ => None,
        }
    }

    fn swap(&mut self, one: u32, other: u32) {
        self.places.swap(one as usize, other as usize);
        for agent in [one, other] {
            let place = self.places[agent as usize];
            self.agents[place as usize] = agent;
        }
    }
}

impl World {
    pub(crate) fn node_at(&self, peer: &Upid) -> Option<Node> {
        self.addresses.node_at(peer)
    }

    /// Two agents end, and come back each at the other's address.
    pub(crate) fn swap_addresses(&mut self) {
        let (one, other) = (self.draw_agent(), self.draw_agent());
        if one == other {
            return;
        }
        for agent in [one, other] {
            let away = self.draw_away(self.scenario.faults.agent_away_secs);
            self.end_agent(agent, away);
        }
        self.say(|| format!("agents {one} and {other} swap addresses"));
        self.addresses.swap(one, other);
        for agent in [one, other] {
            self.agents[agent as usize].upid = self.addresses.of_agent(agent);
        }
    }
}
