//! UPDATE_WEIGHTS: how roles share. A new weight of a role that frameworks are in takes back every offer, so that all
//! is shared anew.

use model::parse::weights;
use proto::v1::WeightInfo;
use registry::Operation;

use crate::{Master, Step, effect::Reply, event::RequestId, pending::Continuation};

impl Master {
    pub(super) fn on_update_weights(&mut self, req: RequestId, infos: &[WeightInfo], step: &mut Step<'_>) {
        let read = |info: &WeightInfo| match info.role().trim() {
            role if resources::role::check(role).is_ok() && !self.is_known_role(role) => {
                Err(format!("Failed to validate update weights request JSON: Unknown role '{role}'"))
            }
            _ => weights::weight(info),
        };
        let checked: Result<Vec<WeightInfo>, String> = infos.iter().map(read).collect();
        let infos = match checked {
            Ok(infos) => infos,
            Err(why) => {
                step.reply(req, Reply::BadRequest(why));
                return;
            }
        };
        let roles = infos.iter().map(|info| info.role().to_owned()).collect();
        self.pending.persist(vec![Operation::UpdateWeights(infos)], Continuation::Weights { req, roles }, step);
    }

    /// The weights of `roles` are as the registry now says.
    pub(crate) fn on_weights(&mut self, req: RequestId, roles: &[String], step: &mut Step<'_>) {
        for role in roles {
            let weight = self.state.registry.weights.get(role).copied().unwrap_or(1.0);
            tracing::info!(role, weight, "weight");
            self.allocator.set_weight(role, weight);
        }
        let in_use = |role: &String| self.state.frameworks.values().any(|framework| framework.roles.contains(role));
        if roles.iter().any(in_use) {
            let offers: Vec<_> = self.state.offers.keys().cloned().collect();
            for offer in offers {
                self.offers().rescind(&offer, None, step);
            }
        }
        step.reply(req, Reply::Ok(None));
    }
}
