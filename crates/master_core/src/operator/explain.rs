//! EXPLAIN: why frameworks got no offers. The allocator knows; this gives its answer the form of a message.

use allocator::explain::{Cause, Explanation, Reason};
use model::FrameworkId;
use proto::{
    meseta::v1::{self as ours, explanation::reason::Type},
    v1::master::{Response, response},
};

use crate::{Master, Step, effect::Reply, event::RequestId};

/// How many looks at agents one answer may cost: some tens of milliseconds.
const LOOKS_MAX: usize = 200_000;

impl Master {
    pub(super) fn on_explain(&self, req: RequestId, call: &ours::Explain, step: &mut Step<'_>) {
        let framework = call.framework_id.as_ref().map(FrameworkId::from);
        if let Some(id) = framework.as_ref().filter(|id| !self.state.frameworks.contains(*id)) {
            step.reply(req, Reply::NotFound(format!("there is no framework '{id}'")));
            return;
        }
        let all = self.allocator.explain(step.now, framework.as_ref(), call.role.as_deref(), LOOKS_MAX);
        if let Some(role) = call.role.as_deref().filter(|_| all.explanations.is_empty()) {
            step.reply(req, Reply::NotFound(format!("no framework is in role '{role}' or below it")));
            return;
        }
        let answer = Response {
            r#type: Some(response::Type::Explain as i32),
            explain: Some(ours::Explanations {
                explanations: all.explanations.iter().map(explanation).collect(),
                left_out: u32::try_from(all.left_out).ok().filter(|more| *more > 0),
            }),
            ..Default::default()
        };
        step.reply(req, Reply::Ok(Some(Box::new(answer))));
    }
}

fn explanation(of: &Explanation) -> ours::Explanation {
    ours::Explanation {
        framework_id: of.framework.to_proto(),
        role: of.role.to_string(),
        group: of.group.to_string(),
        role_share: Some(of.role_share),
        framework_share: Some(of.framework_share),
        cycle: Some(of.cycle),
        offered_in_cycle: of.granted_in_cycle,
        reasons: of.reasons.iter().map(reason).collect(),
    }
}

fn reason(of: &Reason) -> ours::explanation::Reason {
    let nanoseconds = |remaining: std::time::Duration| i64::try_from(remaining.as_nanos()).unwrap_or(i64::MAX);
    let (kind, subject) = kind(&of.cause);
    ours::explanation::Reason {
        r#type: kind as i32,
        agents: of.example.is_some().then_some(of.agents),
        example: of.example.as_ref().map(model::AgentId::to_proto),
        message: of.text(),
        remaining_nanoseconds: of.remaining.map(nanoseconds),
        subject,
    }
}

fn kind(cause: &Cause) -> (Type, Option<String>) {
    match cause {
        Cause::Granted => (Type::Offered, None),
        Cause::Inactive => (Type::Inactive, None),
        Cause::NotSubscribed => (Type::NotSubscribed, None),
        Cause::Suppressed => (Type::Suppressed, None),
        Cause::Recovering => (Type::Recovering, None),
        Cause::NoAgents => (Type::NoAgents, None),
        Cause::AgentInactive => (Type::AgentInactive, None),
        Cause::NotWhitelisted => (Type::NotWhitelisted, None),
        Cause::Constraints => (Type::Constraints, None),
        Cause::Capability(name) => (Type::Capability, Some((*name).to_owned())),
        Cause::NothingFree => (Type::NothingFree, None),
        Cause::SetApart => (Type::SetApart, None),
        Cause::NotInGroup(group) => (Type::NotInGroup, Some(group.to_string())),
        Cause::GroupFull(group) => (Type::GroupFull, Some(group.to_string())),
        Cause::NoRoomForUnit(group) => (Type::NoRoomForUnit, Some(group.to_string())),
        Cause::Exclusive(group) => (Type::Exclusive, Some(group.to_string())),
        Cause::LostDraw(group) => (Type::LostDraw, Some(group.to_string())),
        Cause::KeptForGroup(group) => (Type::KeptForGroup, Some(group.to_string())),
        Cause::Limit(role) => (Type::QuotaLimit, Some(role.to_string())),
        Cause::Headroom(role) => (Type::Headroom, role.as_ref().map(|role| role.to_string())),
        Cause::BelowMinimum => (Type::BelowMinimum, None),
        Cause::Filtered => (Type::Filtered, None),
        Cause::OthersFirst(framework) => (Type::OthersFirst, Some(framework.to_string())),
        Cause::NextCycle => (Type::NextCycle, None),
    }
}
