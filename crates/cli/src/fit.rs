//! Which part of an offer a task takes: what is reserved to the role first, then what belongs to nobody. Pure; offers
//! come from `framework`.

use proto::v1;
use resources::{Quantities, Quantity, Resource, Resources};

/// Takes `needs` out of `free`; nothing if they are not all there.
pub fn take(free: &mut Resources, needs: &Quantities) -> Option<Vec<v1::Resource>> {
    let (mut left, mut taken) = (free.clone(), Resources::default());
    for (name, quantity) in needs.iter() {
        for part in take_scalar(&left, name.as_str(), quantity)? {
            left = left.subtract(&Resources::from(part.clone()))?;
            taken.add_one(part);
        }
    }
    *free = left;
    Some(taken.to_protos())
}

/// What tasks of ours may use of an offer: no volumes, no disks of their own, nothing that may be taken back.
pub fn usable(offered: &[v1::Resource]) -> Resources {
    let offered = Resources::from_protos(offered).unwrap_or_default();
    offered.filter(|resource| !resource.is_revocable() && !resource.is_shared() && resource.disk().is_none())
}

fn take_scalar(free: &Resources, name: &str, quantity: Quantity) -> Option<Vec<Resource>> {
    let mut sources: Vec<(&Resource, Quantity)> = free
        .iter()
        .filter(|resource| *resource.name() == name)
        .filter_map(|resource| Some((resource, resource.scalar()?)))
        .collect();
    sources.sort_by_key(|(resource, _)| resource.is_unreserved());
    let mut missing = quantity;
    let mut parts = Vec::new();
    for (resource, amount) in sources {
        let part = amount.min(missing);
        if part.is_positive() {
            parts.push(resource.with_scalar(part));
            missing = missing.minus(part);
        }
    }
    missing.is_zero().then_some(parts)
}

/// Amounts by name.
pub fn quantities<'a>(amounts: impl IntoIterator<Item = (&'a str, f64)>) -> Quantities {
    amounts.into_iter().map(|(name, amount)| (name.into(), Quantity::from_f64(amount))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(text: &str) -> Resources {
        Resources::parse(text, "*").expect(text).allocate("r")
    }

    #[test]
    fn a_task_takes_what_is_reserved_first_and_no_more_than_it_needs() {
        let mut free = offer("cpus(r):1;cpus:4;mem:100;disk:5");
        let taken = take(&mut free, &quantities([("cpus", 1.5), ("mem", 100.0)])).expect("fits");
        assert_eq!(Resources::from_protos(&taken).expect("valid"), offer("cpus(r):1;cpus:0.5;mem:100"));
        assert_eq!(free, offer("cpus:3.5;disk:5"));
    }

    #[test]
    fn what_does_not_fit_takes_nothing() {
        let mut free = offer("cpus:4;mem:100");
        assert!(take(&mut free, &quantities([("cpus", 1.0), ("mem", 101.0)])).is_none());
        assert!(take(&mut free, &quantities([("gpus", 1.0)])).is_none());
        assert_eq!(free, offer("cpus:4;mem:100"));
    }

    #[test]
    fn what_is_offered_comes_with_the_role_it_is_for() {
        let taken = take(&mut offer("cpus:1"), &quantities([("cpus", 0.1)])).expect("fits");
        let role = taken.first().and_then(|resource| resource.allocation_info.clone()).and_then(|info| info.role);
        assert_eq!(role.as_deref(), Some("r"));
    }
}
