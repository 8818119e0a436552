//! UPDATE_QUOTA, and the older SET_QUOTA and REMOVE_QUOTA. What makes a quota impossible is in `allocator::quota`; once
//! it is durable, offers that stand in its way are rescinded.

use std::collections::BTreeMap;

use allocator::{Allocator, Quota, QuotaError, quota};
use model::{OfferId, parse};
use proto::v1::{
    master::call,
    quota::{QuotaConfig, QuotaRequest},
};
use registry::{Operation, Registry};
use resources::{Quantities, Quantity, Resources, role};
use stdx::Tick;

use crate::{
    Master, Step,
    effect::Reply,
    event::RequestId,
    offers::Offers,
    pending::{Continuation, Pending},
    state::{Offer, Table},
};

impl Master {
    pub(super) fn on_update_quota(&mut self, req: RequestId, call: call::UpdateQuota, step: &mut Step<'_>) {
        match self.plan_quotas(&call.quota_configs, call.force()) {
            Ok(()) => self.pending.persist_quotas(req, Operation::UpdateQuota(call.quota_configs), step),
            Err(why) => step.reply(req, Reply::BadRequest(why)),
        }
    }

    fn plan_quotas(&self, configs: &[QuotaConfig], force: bool) -> Result<(), String> {
        if let Some(config) = configs.iter().find(|config| !self.is_known_role(&config.role)) {
            return Err(format!("Invalid QuotaConfig: '{}' is not on the roles whitelist", config.role));
        }
        let nested = self.config.allocator.nested_quota;
        if let Some(config) = configs.iter().find(|config| config.role.contains('/') && !nested) {
            return Err(QuotaError::Nested(config.role.clone()).to_string());
        }
        let mut all = self.coming_quotas();
        for config in configs {
            let quota = read(config).map_err(|why| format!("Invalid QuotaConfig: {}", text(config, &why)))?;
            let consumed = self.state.consumed(&config.role);
            if !force && !quota.limits.contains(&consumed) {
                let (role, limits) = (config.role.clone(), quota.limits);
                return Err(QuotaError::LimitBelowConsumption { role, consumed: consumed.into(), limits }.to_string());
            }
            all.insert(config.role.clone(), quota);
        }
        self.check_promises(&all, force).map_err(|why| why.to_string())
    }

    /// The quotas there will be when all that is under way is written.
    fn coming_quotas(&self) -> BTreeMap<String, Quota> {
        let mut all = self.allocator.quotas().clone();
        for operation in self.pending.operations() {
            match operation {
                Operation::UpdateQuota(configs) => {
                    all.extend(configs.iter().filter_map(|config| Some((config.role.clone(), read(config).ok()?))));
                }
                Operation::RemoveQuota(role) => drop(all.remove(role)),
                _ => {}
            }
        }
        all
    }

    /// Whether a role is on the list of roles there may be, if there is one.
    pub(super) fn is_known_role(&self, role: &str) -> bool {
        self.config.roles.as_ref().is_none_or(|roles| roles.contains(role))
    }

    /// Whether all quotas together fit into each other and, unless forced, into the cluster.
    fn check_promises(&self, quotas: &BTreeMap<String, Quota>, force: bool) -> Result<(), QuotaError> {
        quota::check_tree(quotas)?;
        if force { Ok(()) } else { quota::check_capacity(quotas, self.state.agents.values().map(|agent| &agent.total)) }
    }

    /// The old form only sets what is not set, and answers too much of it with a conflict.
    pub(super) fn on_set_quota(&mut self, req: RequestId, request: &QuotaRequest, step: &mut Step<'_>) {
        let invalid = |why: String| Reply::BadRequest(format!("Failed to validate set quota request: {why}"));
        if let Err(why) = parse::quota::quota_request(request) {
            step.reply(req, invalid(why));
            return;
        }
        let config = parse::quota::config_of(request);
        if !self.is_known_role(&config.role) {
            step.reply(req, invalid(format!("Unknown role '{}'", config.role)));
            return;
        }
        if config.role.contains('/') && !self.config.allocator.nested_quota {
            let why = format!("Setting quota on nested role '{}' is not supported yet", config.role);
            step.reply(req, Reply::BadRequest(why));
            return;
        }
        let mut all = self.coming_quotas();
        if all.get(&config.role).is_some_and(|quota| !quota.is_default()) {
            step.reply(req, invalid(format!("Cannot set quota for role '{}' which already has quota", config.role)));
            return;
        }
        let quota = match read(&config) {
            Ok(quota) => quota,
            Err(why) => {
                step.reply(req, invalid(why.to_string()));
                return;
            }
        };
        all.insert(config.role.clone(), quota);
        match self.check_promises(&all, request.force()) {
            Ok(()) => self.pending.persist_quotas(req, Operation::UpdateQuota(vec![config]), step),
            Err(QuotaError::Overcommitted { guarantees, capacity }) => {
                let why = format!(
                    "Quota guarantees overcommit the cluster (use 'force' to bypass this check): Total quota guarantees \
                     '{guarantees}' exceed cluster capacity '{capacity}'"
                );
                step.reply(req, Reply::Conflict(why));
            }
            Err(other) => {
                let why = other.to_string();
                step.reply(req, invalid(why.strip_prefix("Invalid QuotaConfig: ").unwrap_or(&why).to_owned()));
            }
        }
    }

    pub(super) fn on_remove_quota(&mut self, req: RequestId, role: &str, step: &mut Step<'_>) {
        if self.coming_quotas().get(role).is_none_or(Quota::is_default) {
            step.reply(req, Reply::BadRequest(format!("Failed to remove quota: Role '{role}' has no quota set")));
            return;
        }
        self.pending.persist_quotas(req, Operation::RemoveQuota(role.to_owned()), step);
    }

    /// The quotas of `roles` are as the registry now says.
    pub(crate) fn on_quotas(&mut self, req: RequestId, roles: &[String], step: &mut Step<'_>) {
        for role in roles {
            let config = self.state.registry.quotas.get(role);
            let quota = config.and_then(|config| read(config).ok()).unwrap_or_default();
            tracing::info!(role, guarantees = %quota.guarantees, limits = %quota.limits, "quota");
            self.allocator.set_quota(step.now, role, quota);
        }
        for role in roles {
            self.offers().rescind_over_limit(role, step);
        }
        for role in roles {
            self.offers().rescind_for_guarantee(role, step);
        }
        step.reply(req, Reply::Ok(None));
    }
}

impl Pending {
    fn persist_quotas(&mut self, req: RequestId, operation: Operation, step: &mut Step<'_>) {
        let roles: Vec<String> = match &operation {
            Operation::UpdateQuota(configs) => configs.iter().map(|config| config.role.clone()).collect(),
            Operation::RemoveQuota(role) => vec![role.clone()],
            other => {
                stdx::never!("{other:?} is no change of quotas");
                return;
            }
        };
        self.persist(vec![operation], Continuation::Quotas { req, roles }, step);
    }
}

impl Offers<'_> {
    /// A role that holds more than its new limit gives back offers, until it holds no more or has none left.
    fn rescind_over_limit(&mut self, role: &str, step: &mut Step<'_>) {
        let limits = self.allocator.quotas().get(role).map(|quota| quota.limits.clone()).unwrap_or_default();
        if limits.is_empty() {
            return;
        }
        for offer in offers_in(self.offers, role, true) {
            let held = self.allocator.quota_consumption(role);
            let over = |name| limits.get(name).is_some_and(|limit| held.get(name) > limit);
            let Some(row) = self.offers.get(&offer) else { continue };
            if countable(row).iter().any(|(name, _)| over(name)) {
                self.rescind(&offer, None, step);
            }
        }
    }

    /// What a guarantee lacks is taken from the offers of other roles.
    fn rescind_for_guarantee(&mut self, role: &str, step: &mut Step<'_>) {
        let guarantees = self.allocator.quotas().get(role).map(|quota| quota.guarantees.clone()).unwrap_or_default();
        let mut missing = guarantees - &self.allocator.quota_consumption(role);
        if missing.is_empty() {
            return;
        }
        for offer in offers_in(self.offers, role, false) {
            if missing.is_empty() {
                return;
            }
            let Some(row) = self.offers.get(&offer) else { continue };
            let freed = countable(row);
            if freed.iter().any(|(name, _)| missing.get(name).is_positive()) {
                missing -= &freed;
                self.rescind(&offer, None, step);
            }
        }
    }
}

/// Takes on the quotas of the registry, for a master that was just elected.
pub(crate) fn recover_quotas(allocator: &mut Allocator, registry: &Registry, now: Tick) {
    for info in registry.legacy_quotas.values() {
        let request = QuotaRequest { force: None, role: info.role.clone(), guarantee: info.guarantee.clone() };
        let config = parse::quota::config_of(&request);
        if let Ok(quota) = read(&config) {
            allocator.set_quota(now, &config.role, quota);
        }
    }
    for (role, config) in &registry.quotas {
        match read(config) {
            Ok(quota) => allocator.set_quota(now, role, quota),
            Err(error) => tracing::error!(role, %error, "ignoring a quota of the registry"),
        }
    }
    allocator.begin_recovery(now, registry.agents.len());
}

/// Outstanding offers to `role` and the roles below it, or to all others.
fn offers_in(offers: &Table<OfferId, Offer>, role: &str, inside: bool) -> Vec<OfferId> {
    let is_inside = |offer: &&Offer| *offer.role == *role || role::is_strict_subrole_of(&offer.role, role);
    offers.values().filter(|offer| is_inside(offer) == inside).map(|offer| offer.id.clone()).collect()
}

/// What of an offer counts against a quota and would not count if nobody held it.
fn countable(offer: &Offer) -> Quantities {
    let unreserved: Resources = offer.resources.filter(|row| row.is_unreserved() && !row.is_revocable());
    unreserved.scalar_quantities()
}

fn read(config: &QuotaConfig) -> Result<Quota, QuotaError> {
    role::check(&config.role).map_err(|error| QuotaError::Role(error.to_string()))?;
    let numbers = |scalars: &BTreeMap<String, proto::v1::value::Scalar>| -> Vec<(String, f64)> {
        scalars.iter().map(|(name, scalar)| (name.clone(), scalar.value)).collect()
    };
    let (guarantees, limits) = (numbers(&config.guarantees), numbers(&config.limits));
    Quota::from_numbers(
        guarantees.iter().map(|(name, value)| (name.as_str(), *value)),
        limits.iter().map(|(name, value)| (name.as_str(), *value)),
    )
}

/// The text of what is wrong with a configuration by itself.
fn text(config: &QuotaConfig, why: &QuotaError) -> String {
    let braced = |scalars: &BTreeMap<String, proto::v1::value::Scalar>| {
        let each: Vec<String> =
            scalars.iter().map(|(name, scalar)| format!("{name}: {}", Quantity::from_f64(scalar.value))).collect();
        format!("{{ {} }}", each.join(", "))
    };
    match why {
        QuotaError::GuaranteeOverLimit { .. } => format!(
            "'QuotaConfig.guarantees' {} is not contained within the 'QuotaConfig.limits' {}",
            braced(&config.guarantees),
            braced(&config.limits)
        ),
        other => other.to_string(),
    }
}
