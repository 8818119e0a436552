//! What a container may use: the sum over its executor and its live tasks.

use super::spec::Limits;
use crate::state::{Executor, TaskPhase};
use proto::v1;
use resources::Quantity;
use std::collections::BTreeMap;

const MEGABYTE: f64 = 1024.0 * 1024.0;

/// Adds up requests and, where some task sets one, limits.
#[derive(Default)]
pub(crate) struct Sum {
    cpus: Quantity,
    mem: Quantity,
    disk: Quantity,
    gpus: Quantity,
    cpu_limit: Bound,
    mem_limit: Bound,
    revocable: bool,
}

/// A sum of limits; requests stand in for tasks that set none.
#[derive(Default)]
struct Bound {
    sum: Quantity,
    infinite: bool,
    set: bool,
}

impl Bound {
    fn add(&mut self, request: Quantity, limit: Option<f64>) {
        self.set |= limit.is_some();
        match limit {
            Some(limit) if limit.is_finite() => self.sum += Quantity::from_f64(limit),
            Some(_) => self.infinite = true,
            None => self.sum += request,
        }
    }

    fn value(&self) -> Option<f64> {
        self.set.then_some(if self.infinite { f64::INFINITY } else { self.sum.as_f64() })
    }
}

impl Sum {
    pub fn add(&mut self, resources: &[v1::Resource], limits: &BTreeMap<String, v1::value::Scalar>) {
        let (mut cpus, mut mem) = (Quantity::default(), Quantity::default());
        for resource in resources {
            let Some(scalar) = &resource.scalar else { continue };
            let quantity = Quantity::from_f64(scalar.value);
            match resource.name.as_str() {
                "cpus" => {
                    cpus += quantity;
                    self.revocable |= resource.revocable.is_some();
                }
                "mem" => mem += quantity,
                // A volume has its own place, outside the sandbox.
                "disk" if resource.disk.as_ref().is_none_or(|disk| disk.volume.is_none()) => self.disk += quantity,
                "gpus" => self.gpus += quantity,
                _ => {}
            }
        }
        self.cpus += cpus;
        self.mem += mem;
        self.cpu_limit.add(cpus, limits.get("cpus").map(|limit| limit.value));
        self.mem_limit.add(mem, limits.get("mem").map(|limit| limit.value));
    }

    pub fn limits(&self) -> Limits {
        Limits {
            cpus: self.cpus.as_f64(),
            cpu_limit: self.cpu_limit.value(),
            mem_bytes: bytes(self.mem.as_f64()),
            mem_limit_bytes: self.mem_limit.value().map(bytes),
            disk_bytes: bytes(self.disk.as_f64()),
            gpus: self.gpus.as_f64(),
            revocable_cpus: self.revocable,
        }
    }
}

/// Megabytes as bytes; what does not fit (infinity) is `u64::MAX`.
fn bytes(megabytes: f64) -> u64 {
    (megabytes * MEGABYTE) as u64
}

/// What the container of this executor may use at present.
pub(crate) fn of_executor(executor: &Executor) -> Limits {
    let mut sum = Sum::default();
    sum.add(&executor.info.resources, &BTreeMap::new());
    for task in executor.tasks.values().filter(|task| task.phase != TaskPhase::Ended) {
        sum.add(&task.row.resources, &task.row.limits);
    }
    sum.limits()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scalar(name: &str, value: f64) -> v1::Resource {
        let mut resource = v1::Resource { name: name.into(), ..Default::default() };
        resource.scalar = Some(v1::value::Scalar { value });
        resource
    }

    #[test]
    fn requests_add_up_and_stand_in_for_limits() {
        let mut sum = Sum::default();
        sum.add(&[scalar("cpus", 0.1), scalar("mem", 32.0)], &BTreeMap::new());
        assert_eq!(sum.limits().cpu_limit, None);
        let limit = BTreeMap::from([("cpus".to_owned(), v1::value::Scalar { value: 2.0 })]);
        sum.add(&[scalar("cpus", 0.2), scalar("cpus", 0.3), scalar("disk", 1.0)], &limit);
        let limits = sum.limits();
        assert_eq!(limits.cpus, 0.6);
        assert_eq!(limits.cpu_limit, Some(2.1));
        assert_eq!((limits.mem_bytes, limits.mem_limit_bytes), (32 << 20, None));
        assert_eq!(limits.disk_bytes, 1 << 20);
        let limit = BTreeMap::from([("mem".to_owned(), v1::value::Scalar { value: f64::INFINITY })]);
        sum.add(&[], &limit);
        assert_eq!(sum.limits().mem_limit_bytes, Some(u64::MAX));
    }
}
