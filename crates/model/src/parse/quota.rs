//! The old form of quotas. The new one, and what the cluster can promise, is judged by the allocator.

use ::resources::{role, validate};
use proto::v1::{
    quota::{QuotaConfig, QuotaRequest},
    value::Scalar,
};
use std::collections::{BTreeMap, BTreeSet};

/// The old form: plain scalars that are guarantee and limit at once.
pub fn quota_request(request: &QuotaRequest) -> Result<(), String> {
    role::check(request.role()).map_err(|why| format!("QuotaInfo with invalid role: {why}"))?;
    if request.guarantee.is_empty() {
        return Err("QuotaInfo with empty 'guarantee'".into());
    }
    let mut names = BTreeSet::new();
    for resource in &request.guarantee {
        validate::check(resource).map_err(|why| {
            let resource = ::resources::print::Proto(resource);
            format!("QuotaInfo with invalid resource: Resource '{resource}' is invalid: {why}")
        })?;
        let reserved =
            !resource.reservations.is_empty() || resource.reservation.is_some() || resource.role() != role::UNRESERVED;
        let wrong = if reserved {
            "QuotaInfo must not contain any ReservationInfo"
        } else if resource.disk.is_some() {
            "QuotaInfo must not contain DiskInfo"
        } else if resource.revocable.is_some() {
            "QuotaInfo must not contain RevocableInfo"
        } else if resource.scalar.is_none() {
            "QuotaInfo must not include non-scalar resources"
        } else if !names.insert(resource.name.as_str()) {
            return Err(format!("QuotaInfo contains duplicate resource name '{}'", resource.name));
        } else {
            continue;
        };
        return Err(wrong.into());
    }
    Ok(())
}

/// What an old request means in the new form.
pub fn config_of(request: &QuotaRequest) -> QuotaConfig {
    let amounts: BTreeMap<String, Scalar> =
        request.guarantee.iter().filter_map(|r| Some((r.name.clone(), r.scalar?))).collect();
    QuotaConfig { role: request.role().to_owned(), guarantees: amounts.clone(), limits: amounts }
}
