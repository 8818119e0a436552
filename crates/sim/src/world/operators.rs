//! Operators: people and scripts that change the cluster now and then, always through the leader.

use master_core::Reply;
use proto::v1::{
    self,
    master::{Call, call},
};

use super::{World, happening::Happening};
use crate::{observation::Fact, scenario};

#[derive(Default)]
pub(crate) struct Operator {
    /// No deeds any more.
    pub resting: bool,
    pub refused: u64,
    pub done: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    MarkGone,
    Teardown,
}

const ALL: [Deed; 2] = [Deed::MarkGone, Deed::Teardown];

impl Deed {
    fn every(self, operators: &scenario::Operators) -> f64 {
        match self {
            Deed::MarkGone => operators.mark_gone_every,
            Deed::Teardown => operators.teardown_every,
        }
    }
}

impl World {
    pub(crate) fn begin_operations(&mut self) {
        ALL.into_iter().for_each(|deed| self.schedule_deed(deed));
    }

    fn schedule_deed(&mut self, deed: Deed) {
        let every = deed.every(&self.scenario.operators);
        if every > 0.0 {
            let wait = self.draw_interval(every);
            self.heap.put(self.now + wait, Happening::Operate(deed));
        }
    }

    pub(crate) fn operate(&mut self, deed: Deed) {
        if self.operator.resting {
            return;
        }
        self.schedule_deed(deed);
        let Some(master) = self.election.leader.filter(|leader| self.masters[*leader as usize].is_leading()) else {
            return;
        };
        let Some(call) = self.plan_deed(master, deed) else { return };
        self.say(|| format!("an operator asks for {deed:?}"));
        self.call_master_as_operator(master, call);
    }

    fn plan_deed(&mut self, master: u32, deed: Deed) -> Option<Call> {
        let state = self.masters[master as usize].core.as_ref()?.view().clone();
        match deed {
            Deed::MarkGone => {
                let ids: Vec<v1::AgentId> = state.agents.keys().map(|id| id.to_proto()).collect();
                let agent_id = self.draw(&ids)?;
                Some(Call { mark_agent_gone: Some(call::MarkAgentGone { agent_id }), ..of(call::Type::MarkAgentGone) })
            }
            Deed::Teardown => {
                let ids: Vec<_> = state.frameworks.keys().cloned().collect();
                let id = self.draw(&ids)?;
                if let Some(framework) = self.schedulers.iter().position(|host| host.id.as_ref() == Some(&id)) {
                    self.fact(Fact::FrameworkEnded { framework: framework as u32, id: id.clone() });
                }
                let teardown = call::Teardown { framework_id: id.to_proto() };
                Some(Call { teardown: Some(teardown), ..of(call::Type::Teardown) })
            }
        }
    }

    fn draw<T: Clone>(&mut self, items: &[T]) -> Option<T> {
        items.get(self.draws.operators.below(items.len() as u64) as usize).cloned()
    }

    pub(crate) fn on_operator_reply(&mut self, reply: &Reply) {
        match reply {
            Reply::Ok(_) | Reply::Accepted => self.operator.done += 1,
            _ => self.operator.refused += 1,
        }
    }
}

fn of(kind: call::Type) -> Call {
    Call { r#type: Some(kind as i32), ..Call::default() }
}
