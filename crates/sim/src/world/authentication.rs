//! Agents prove who they are before they register, where masters ask for it. The secrets and their mechanism are the
//! adapters'; here it takes a while, its messages may be lost, and now and then it fails for no reason.

use std::time::Duration;

use agent_core::Proof;
use master_core::Event;
use proto::upid::Upid;

use super::{
    World,
    happening::{Happening, Life, Message, Node},
};

pub(super) const PRINCIPAL: &str = "agents";

impl World {
    pub(crate) fn agent_proves_itself(&mut self, agent: u32, to: &Upid) {
        if let Some(node @ Node::Master(_)) = self.node_at(to) {
            let from = self.agents[agent as usize].upid.clone();
            self.send(Node::Agent(agent), node, Message::Prove(from));
        }
    }

    /// A master hears an agent out, whether it leads or not.
    pub(super) fn hear_out(&mut self, master: u32, agent: u32, peer: Upid) {
        self.step_master(master, Event::Authenticating { peer: peer.clone() });
        let life = self.masters[master as usize].life;
        let slow = self.draws.network.below(50) == 0;
        let wait = Duration::from_millis(self.draws.network.below(if slow { 20_000 } else { 30 }));
        self.heap.put(self.now + wait, Happening::HeardOut { master, life, agent, peer });
    }

    pub(crate) fn on_heard_out(&mut self, master: u32, life: Life, agent: u32, peer: Upid) {
        if self.masters[master as usize].life != life {
            return;
        }
        let taken = self.faults.calm || self.draws.network.below(20) != 0;
        let principal = taken.then(|| PRINCIPAL.to_owned());
        let address = super::network::master_upid(master);
        // The agent may hear of it before the core does, or after.
        self.send(Node::Master(master), Node::Agent(agent), Message::Proof(address, taken));
        self.step_master(master, Event::Authenticated { peer, principal });
    }

    pub(super) fn hear_proof(&mut self, agent: u32, master: Upid, taken: bool) {
        let proof = if taken { Proof::Taken } else { Proof::Failed("it was interrupted".to_owned()) };
        self.step_agent(agent, agent_core::Event::Authenticated { master, proof });
    }
}
