//! A task's resources out of what is offered: what is reserved first, then what everybody may have.

use resources::{Name, Quantities, Quantity, Resource, Resources};

/// What a task that wants `demand` takes; nothing if `from` has not enough.
pub(crate) fn take(from: &Resources, demand: &Quantities) -> Option<Resources> {
    let taken = take_some(from, demand);
    taken.scalar_quantities().contains(demand).then_some(taken)
}

/// As much of `demand` as there is.
pub(crate) fn take_some(from: &Resources, demand: &Quantities) -> Resources {
    let mut taken = Resources::default();
    for (name, amount) in demand.iter() {
        let mut missing = amount;
        for reserved in [true, false] {
            let mine = |resource: &&Resource| resource.name() == name && resource.is_unreserved() != reserved;
            for resource in from.iter().filter(mine) {
                let Some(here) = resource.scalar().map(|here| here.min(missing)).filter(|here| here.is_positive())
                else {
                    continue;
                };
                taken.add_one(resource.with_scalar(here));
                missing -= here;
            }
        }
    }
    taken
}

/// How many tasks that want `demand` fit into `free` at most.
pub(crate) fn fitting(free: &Quantities, demand: &Quantities) -> u32 {
    let fits = |(name, amount): (&Name, Quantity)| free.get(name).0 / amount.0.max(1);
    demand.iter().map(fits).min().map_or(0, |fits| u32::try_from(fits).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_resources_go_first() {
        let from = Resources::parse("cpus:2;mem:100;cpus(ads):1", "*").unwrap();
        let demand = Resources::parse("cpus:1.5;mem:10", "*").unwrap().scalar_quantities();
        let expected = Resources::parse("cpus(ads):1;cpus:0.5;mem:10", "*").unwrap();
        assert_eq!(take(&from, &demand), Some(expected));
        let more = Resources::parse("cpus:4", "*").unwrap().scalar_quantities();
        assert_eq!(take(&from, &more), None);
        assert_eq!(fitting(&from.scalar_quantities(), &demand), 2);
        assert_eq!(fitting(&from.scalar_quantities(), &more), 0);
    }
}
