//! Quotas as values, and what makes one impossible. A guarantee is kept free for a role, a limit bounds it; both count
//! the scalars of the role and all roles below it. Who consumes how much is in `consumption`; texts of refusals are
//! Mesos's.

use std::{collections::BTreeMap, fmt};

use resources::{Name, Quantities, Quantity, Resources, role};

/// What a role is promised and what it may have at most.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Quota {
    pub guarantees: Quantities,
    pub limits: Limits,
}

impl Quota {
    /// Promises nothing and bounds nothing, like no quota at all.
    pub fn is_default(&self) -> bool {
        self.guarantees.is_empty() && self.limits.is_empty()
    }
}

/// Upper bounds by name. A name without an entry has no bound; a bound of zero means nothing at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits(BTreeMap<Name, Quantity>);

impl Limits {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn get(&self, name: &Name) -> Option<Quantity> {
        self.0.get(name).copied()
    }

    pub fn insert(&mut self, name: Name, bound: Quantity) {
        self.0.insert(name, bound);
    }

    pub fn iter(&self) -> impl Iterator<Item = (&Name, Quantity)> + '_ {
        self.0.iter().map(|(name, bound)| (name, *bound))
    }

    /// Whether `amounts` stay within the bounds.
    pub fn contains(&self, amounts: &Quantities) -> bool {
        amounts.iter().all(|(name, amount)| self.get(name).is_none_or(|bound| amount <= bound))
    }
}

impl FromIterator<(Name, Quantity)> for Limits {
    fn from_iter<I: IntoIterator<Item = (Name, Quantity)>>(entries: I) -> Limits {
        Limits(entries.into_iter().collect())
    }
}

impl fmt::Display for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("{}");
        }
        for (i, (name, bound)) in self.iter().enumerate() {
            write!(f, "{}{name}:{bound}", if i > 0 { "; " } else { "" })?;
        }
        Ok(())
    }
}

/// What stands in the way of a quota. `can_be_forced` says which of these an operator may override.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum QuotaError {
    #[error("Invalid 'QuotaConfig.role': {0}")]
    Role(String),
    #[error("Updating quota on nested role '{0}' is not supported yet")]
    Nested(String),
    #[error("Invalid '{field}': {{'{name}': {amount}}} is invalid: values greater than {bound} are not supported")]
    TooLarge { field: &'static str, name: String, amount: f64, bound: &'static str },
    #[error("Invalid {what} configuration {{'{name}': {amount}}}: {why}")]
    Scalar { what: &'static str, name: String, amount: f64, why: &'static str },
    #[error("'QuotaConfig.guarantees' {guarantees} is not contained within the 'QuotaConfig.limits' {limits}")]
    GuaranteeOverLimit { guarantees: Box<Quantities>, limits: Limits },
    #[error(
        "Invalid QuotaConfig: Invalid quota configuration. Parent role '{parent}' with guarantees ({guarantees}) does not \
         contain the sum of its children's guarantees ({children})"
    )]
    ChildrenOverParent { parent: String, guarantees: Box<Quantities>, children: Box<Quantities> },
    #[error(
        "Invalid QuotaConfig: Role '{role}' with limits ({limits}) is above the limits ({bound}) of role '{ancestor}'"
    )]
    LimitOverAncestor { role: String, limits: Limits, ancestor: String, bound: Limits },
    #[error(
        "Invalid QuotaConfig: Role '{role}' is already consuming '{consumed}'; this is more than the requested limits \
         '{limits}' (use 'force' flag to bypass this check)"
    )]
    LimitBelowConsumption { role: String, consumed: Box<Quantities>, limits: Limits },
    #[error(
        "Invalid QuotaConfig: total quota guarantees '{guarantees}' exceed cluster capacity '{capacity}' (use 'force' flag \
         to bypass this check)"
    )]
    Overcommitted { guarantees: Box<Quantities>, capacity: Box<Quantities> },
}

impl QuotaError {
    pub fn can_be_forced(&self) -> bool {
        matches!(self, QuotaError::LimitBelowConsumption { .. } | QuotaError::Overcommitted { .. })
    }
}

const EXABYTE_IN_MEGABYTES: f64 = 1_099_511_627_776.0;
const TRILLION: f64 = 1e12;

impl Quota {
    /// A quota from the numbers that an operator gave; refuses what is no amount, and guarantees above limits.
    pub fn from_numbers<'a>(
        guarantees: impl IntoIterator<Item = (&'a str, f64)>,
        limits: impl IntoIterator<Item = (&'a str, f64)>,
    ) -> Result<Quota, QuotaError> {
        let mut quota = Quota::default();
        for (name, amount) in guarantees {
            let amount = check_amount("QuotaConfig.guarantees", "guarantee", name, amount)?;
            quota.guarantees.add_one(&Name::from(name), amount);
        }
        for (name, amount) in limits {
            quota.limits.insert(Name::from(name), check_amount("QuotaConfig.limits", "limit", name, amount)?);
        }
        if !quota.limits.contains(&quota.guarantees) {
            return Err(QuotaError::GuaranteeOverLimit { guarantees: quota.guarantees.into(), limits: quota.limits });
        }
        Ok(quota)
    }
}

fn check_amount(field: &'static str, what: &'static str, name: &str, amount: f64) -> Result<Quantity, QuotaError> {
    let (most, bound) = match name {
        "mem" | "disk" => (EXABYTE_IN_MEGABYTES, "1 exabyte (1099511627776)"),
        _ => (TRILLION, "1 trillion (1000000000000)"),
    };
    let scalar = |why| QuotaError::Scalar { what, name: name.to_owned(), amount, why };
    if amount > most {
        return Err(QuotaError::TooLarge { field, name: name.to_owned(), amount, bound });
    }
    if amount.is_nan() {
        return Err(scalar("NaN not supported"));
    }
    if amount.is_infinite() {
        return Err(scalar("Infinite values not supported"));
    }
    if amount.is_subnormal() {
        return Err(scalar("Subnormal values not supported"));
    }
    if amount < 0.0 {
        return Err(scalar("Negative values not supported"));
    }
    Ok(Quantity::from_f64(amount))
}

/// Whether these quotas, all there are, can stand side by side: each role's guarantee holds those of its children, and
/// no limit is wider than one above it.
pub fn check_tree(quotas: &BTreeMap<String, Quota>) -> Result<(), QuotaError> {
    let mut children: BTreeMap<&str, Quantities> = BTreeMap::new();
    for (name, quota) in quotas {
        if let Some(parent) = parent_of(name)
            && !quota.guarantees.is_empty()
        {
            *children.entry(parent).or_default() += &quota.guarantees;
        }
        for (ancestor, above) in ancestors_of(name).filter_map(|a| Some((a, quotas.get(a)?))) {
            let wider = |(limit, bound): (&Name, Quantity)| above.limits.get(limit).is_some_and(|top| bound > top);
            if quota.limits.iter().any(wider) {
                return Err(QuotaError::LimitOverAncestor {
                    role: name.clone(),
                    limits: quota.limits.clone(),
                    ancestor: ancestor.to_owned(),
                    bound: above.limits.clone(),
                });
            }
        }
    }
    for (parent, sum) in children {
        let guarantees = quotas.get(parent).map(|quota| quota.guarantees.clone()).unwrap_or_default();
        if !guarantees.contains(&sum) {
            return Err(QuotaError::ChildrenOverParent {
                parent: parent.to_owned(),
                guarantees: guarantees.into(),
                children: sum.into(),
            });
        }
    }
    Ok(())
}

/// Whether a cluster with these agents has what the guarantees promise together. A parent's guarantee holds its
/// children's.
pub fn check_capacity<'a>(
    quotas: &BTreeMap<String, Quota>,
    agents: impl IntoIterator<Item = &'a Resources>,
) -> Result<(), QuotaError> {
    let top = quotas.iter().filter(|(name, _)| parent_of(name).is_none());
    let guarantees: Quantities = top.map(|(_, quota)| &quota.guarantees).sum();
    let mut capacity = Quantities::default();
    for total in agents {
        capacity += &total.non_revocable().scalar_quantities();
    }
    if capacity.contains(&guarantees) {
        Ok(())
    } else {
        Err(QuotaError::Overcommitted { guarantees: guarantees.into(), capacity: capacity.into() })
    }
}

/// Checks the name of a role that is to have a quota. Roles below another have one only where `nested` says so.
pub fn check_role(name: &str, nested: bool) -> Result<(), QuotaError> {
    role::check(name).map_err(|error| QuotaError::Role(error.to_string()))?;
    if !nested && name.contains('/') {
        return Err(QuotaError::Nested(name.to_owned()));
    }
    Ok(())
}

/// Why a number is no weight.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
#[error("Invalid weight '{0}': Weights must be positive")]
pub struct WeightError(pub f64);

/// Checks a role's weight.
pub fn check_weight(weight: f64) -> Result<f64, WeightError> {
    if weight > 0.0 && weight.is_finite() { Ok(weight) } else { Err(WeightError(weight)) }
}

/// So many levels the tree of roles has. Names come from frameworks, and each level costs a row; deeper ones stand on
/// the last level.
const LEVELS: usize = 64;

/// The role above; nothing for a role of the top level.
pub(crate) fn parent_of(name: &str) -> Option<&str> {
    match name.match_indices('/').nth(LEVELS - 1) {
        Some((end, _)) => name.get(..end).and_then(|name| name.rsplit_once('/')),
        None => name.rsplit_once('/'),
    }
    .map(|(parent, _)| parent)
}

/// The roles above, the nearest first.
pub(crate) fn ancestors_of(name: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(parent_of(name), |name| parent_of(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quota(guarantee: f64, limit: f64) -> Quota {
        Quota::from_numbers([("cpus", guarantee)], [("cpus", limit)]).unwrap()
    }

    #[test]
    fn numbers_that_are_no_amounts_are_refused_with_the_figure() {
        for (amount, text) in
            [(-1.0, "'cpus': -1"), (f64::NAN, "NaN"), (-f64::INFINITY, "Infinite"), (2e12, "2000000000000")]
        {
            let error = Quota::from_numbers([("cpus", amount)], []).unwrap_err();
            assert!(error.to_string().contains(text), "{error}");
        }
        let error = Quota::from_numbers([("cpus", 4.0)], [("cpus", 3.0)]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "'QuotaConfig.guarantees' cpus:4 is not contained within the 'QuotaConfig.limits' cpus:3"
        );
        for weight in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(check_weight(weight).is_err());
        }
    }

    #[test]
    fn a_tree_of_roles_has_a_bottom() {
        assert_eq!(ancestors_of("a/b/c").collect::<Vec<_>>(), ["a/b", "a"]);
        let deep = vec!["r"; 100_000].join("/");
        assert_eq!(ancestors_of(&deep).count(), LEVELS - 1);
        assert_eq!(ancestors_of(&deep).next(), Some(&*vec!["r"; LEVELS - 1].join("/")));
    }

    #[test]
    fn a_tree_must_fit_into_itself_and_into_the_cluster() {
        let mut quotas = BTreeMap::from([("a".to_owned(), quota(4.0, 8.0)), ("a/b".to_owned(), quota(3.0, 8.0))]);
        check_tree(&quotas).unwrap();
        quotas.insert("a/c".to_owned(), quota(2.0, 8.0));
        let error = check_tree(&quotas).unwrap_err().to_string();
        assert!(error.contains("'a' with guarantees (cpus:4)") && error.contains("(cpus:5)"), "{error}");
        quotas.insert("a/c".to_owned(), quota(0.0, 9.0));
        assert!(matches!(check_tree(&quotas), Err(QuotaError::LimitOverAncestor { .. })));
        let agent = Resources::parse("cpus:3;mem:10", "*").unwrap();
        let error = check_capacity(&quotas, [&agent]).unwrap_err();
        assert!(
            error.can_be_forced() && error.to_string().contains("'cpus:4' exceed cluster capacity 'cpus:3; mem:10'")
        );
        check_capacity(&quotas, [&agent, &agent]).unwrap();
        assert!(check_role("a/b", false).is_err());
        check_role("a/b", true).unwrap();
    }
}
