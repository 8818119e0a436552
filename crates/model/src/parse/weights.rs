//! Weights of roles by themselves.

use ::resources::role;
use proto::v1::WeightInfo;

/// The role, without blanks around it, and its weight. The role must be named, the weight be above zero.
pub fn weight(info: &WeightInfo) -> Result<WeightInfo, String> {
    let role = info.role().trim();
    role::check(role)
        .map_err(|why| format!("Failed to validate update weights request JSON: Invalid role '{role}': {why}"))?;
    let weight = info.weight;
    if !(weight > 0.0 && weight.is_finite()) {
        return Err(format!(
            "Failed to validate update weights request JSON for role '{role}': Invalid weight '{weight}': Weights must \
             be positive"
        ));
    }
    Ok(WeightInfo { weight, role: Some(role.to_owned()) })
}
