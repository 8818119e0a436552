//! UPDATE_FRAMEWORK: all changes or none, and the answer says which.

use std::sync::Arc;

use model::FrameworkId;
use proto::v1::scheduler::call::UpdateFramework;

use crate::{Master, Step, effect::Reply, frameworks::Subscription, publish, validate};

impl Master {
    pub(crate) fn on_update_framework(
        &mut self,
        id: &FrameworkId,
        call: UpdateFramework,
        step: &mut Step<'_>,
    ) -> Reply {
        let Some(framework) = self.state.frameworks.get(id) else {
            return Reply::BadRequest("Framework cannot be found".to_owned());
        };
        let subscription = Subscription {
            info: call.framework_info,
            suppressed: call.suppressed_roles.into_iter().collect(),
            constraints: call.offer_constraints.filter(|c| !c.role_constraints.is_empty()).map(Arc::new),
        };
        if let Err(why) = validate::framework::check_info(&self.config, &self.state, &subscription.info) {
            return Reply::BadRequest(format!("Supplied FrameworkInfo is not valid: {why}"));
        }
        if let Err(why) = model::parse::framework::framework_update(&framework.info, &subscription.info) {
            return Reply::BadRequest(format!("FrameworkInfo update is not valid: {why}"));
        }
        if let Err(why) = validate::framework::check_suppressed(&subscription) {
            return Reply::BadRequest(format!("Supplied FrameworkInfo is not valid: {why}"));
        }
        if let Err(why) = validate::framework::check_weight(&self.config, &subscription) {
            return Reply::BadRequest(format!("Supplied FrameworkInfo is not valid: {why}"));
        }
        if let Err(why) = validate::framework::check_constraints(&self.config, &subscription) {
            return Reply::BadRequest(format!("'UpdateFramework.offer_constraints' are not valid: {why}"));
        }
        let changed = *framework.info != subscription.info;
        self.update_framework(id, subscription, step);
        if changed {
            self.pending.record_framework(&self.state, id, step);
            if let Some(framework) = self.state.frameworks.get(id) {
                publish::framework_updated(&self.config, &self.state, framework, step);
            }
            self.tell_agents(id, step);
        }
        Reply::Ok(None)
    }
}
