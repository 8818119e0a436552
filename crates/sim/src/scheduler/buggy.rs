//! What schedulers do wrong: stale offers, names given twice, too much at once, acknowledgements of nothing, kills of
//! the unknown, calls on other streams.

use bytes::Bytes;
use model::TaskId;
use proto::v1::{
    self,
    scheduler::{Call, call},
};
use stdx::Tick;

use super::{Say, accept, bare, decline, scalar, swarm::Swarm};

impl Swarm {
    /// One mistake.
    pub(super) fn blunder(&mut self, now: Tick, out: &mut Vec<Say>) {
        match self.rng.below(11) {
            0 => self.accept_stale(now, out),
            1 => out.push(Say::Call(decline(self.stale.clone(), 1.0))),
            2 => self.acknowledge_nothing(out),
            3 => {
                let task_id = v1::TaskId { value: "nobody".into() };
                let kill = call::Kill { task_id, agent_id: None, kill_policy: None };
                out.push(Say::Call(Box::new(Call { kill: Some(kill), ..bare(call::Type::Kill) })));
            }
            4 => {
                let revive = call::Revive { roles: vec!["of-somebody-else".into()] };
                out.push(Say::Call(Box::new(Call { revive: Some(revive), ..bare(call::Type::Revive) })));
            }
            5 => {
                let agent_id = v1::AgentId { value: "S?".into() };
                let message = call::Message {
                    agent_id,
                    executor_id: v1::ExecutorId { value: "x".into() },
                    data: Bytes::from_static(b"hello"),
                };
                out.push(Say::Call(Box::new(Call { message: Some(message), ..bare(call::Type::Message) })));
            }
            6 => {
                let reconcile = call::Reconcile::default();
                out.push(Say::Stray(Box::new(Call { reconcile: Some(reconcile), ..bare(call::Type::Reconcile) })));
            }
            7 => out.push(Say::Call(Box::new(bare(call::Type::Accept)))),
            8 => out.push(Say::Call(Box::new(bare(call::Type::Unknown)))),
            9 => out.push(Say::Call(accept(Vec::new(), Vec::new(), f64::NAN))),
            _ => {
                let shutdown = self.tasks.values().next().map(|known| call::Shutdown {
                    executor_id: v1::ExecutorId { value: "f0-x".into() },
                    agent_id: known.agent.clone(),
                });
                if shutdown.is_some() {
                    out.push(Say::Call(Box::new(Call { shutdown, ..bare(call::Type::Shutdown) })));
                }
            }
        }
    }

    /// A task on an offer that is no more.
    fn accept_stale(&mut self, now: Tick, out: &mut Vec<Say>) {
        let Some(offer_id) = self.stale.last().cloned() else { return };
        let agent_id = self.tasks.values().next().map(|known| known.agent.clone()).unwrap_or_default();
        let offer = v1::Offer { id: offer_id.clone(), agent_id, ..Default::default() };
        let task = self.task(now, &offer);
        let operation = self.operation(&offer, vec![task]);
        out.push(Say::Call(accept(vec![offer_id], vec![operation], -1.0)));
    }

    fn acknowledge_nothing(&mut self, out: &mut Vec<Say>) {
        let Some((task, known)) = self.tasks.iter().next() else { return };
        let uuid = Bytes::copy_from_slice(&self.rng.uuid());
        let acknowledge = call::Acknowledge { agent_id: known.agent.clone(), task_id: task.to_proto(), uuid };
        out.push(Say::Call(Box::new(Call { acknowledge: Some(acknowledge), ..bare(call::Type::Acknowledge) })));
    }

    /// More than was offered, or under a name that is taken.
    pub(super) fn launch_wrongly(&mut self, now: Tick, offer: &v1::Offer, out: &mut Vec<Say>) {
        let taken = self.tasks.keys().next().cloned();
        let mut task = self.task(now, offer);
        match taken {
            Some(taken) if self.rng.below(2) == 0 => {
                self.tasks.remove(&TaskId::from(&task.task_id));
                task.task_id = taken.to_proto();
            }
            _ => task.resources = vec![scalar(offer, "cpus", 1e6), scalar(offer, "mem", self.plan.mem_mb)],
        }
        let operation = self.operation(offer, vec![task]);
        out.push(Say::Call(accept(vec![offer.id.clone()], vec![operation], 0.0)));
    }
}
