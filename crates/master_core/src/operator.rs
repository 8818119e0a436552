//! Operator calls that change something. Reads are answered from the state, elsewhere.

use model::{AgentId, FrameworkId};
use proto::v1::master::{Call, call::Type};

use crate::{Master, Step, counters::Counter, effect::Reply, event::ReqId};

impl Master {
    pub(crate) fn on_operator_call(&mut self, req: ReqId, _principal: Option<String>, call: Call, step: &mut Step<'_>) {
        if !self.state.is_leading() {
            step.reply(req, Reply::Unavailable("Master has not finished recovery".to_owned()));
            return;
        }
        if let Err(why) = model::parse::operator_call(&call) {
            step.reply(req, Reply::BadRequest(format!("Failed to validate master::Call: {why}")));
            return;
        }
        match (call.r#type(), call.teardown, call.mark_agent_gone) {
            (Type::Teardown, Some(teardown), _) => {
                self.on_operator_teardown(req, &FrameworkId::from(&teardown.framework_id), step);
            }
            (Type::MarkAgentGone, _, Some(gone)) => self.on_mark_agent_gone(req, AgentId::from(&gone.agent_id), step),
            (kind, _, _) => {
                step.reply(req, Reply::NotImplemented(format!("{} is not implemented", kind.as_str_name())));
            }
        }
    }

    fn on_operator_teardown(&mut self, req: ReqId, id: &FrameworkId, step: &mut Step<'_>) {
        if !self.state.frameworks.contains(id) {
            step.reply(req, Reply::BadRequest("No framework found with specified ID".to_owned()));
            return;
        }
        self.state.counters.add(Counter::MessagesUnregisterFramework);
        self.remove_framework(id, step);
        step.reply(req, Reply::Ok(None));
    }
}
