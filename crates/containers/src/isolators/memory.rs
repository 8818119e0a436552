//! Memory: a soft limit from the request, a hard one from the limit, and what is said when it is exceeded.

use crate::{Limitation, LimitationReason, Limits};

/// No container lives with less.
pub const MIN_BYTES: u64 = 32 << 20;

/// What cgroups are told about memory; `u64::MAX` is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryShape {
    pub soft: Option<u64>,
    pub hard: Option<u64>,
}

impl MemoryShape {
    pub fn new(limits: &Limits) -> MemoryShape {
        let at_least = |bytes: u64| bytes.max(MIN_BYTES);
        MemoryShape { soft: limits.mem.map(at_least), hard: limits.mem_limit.or(limits.mem).map(at_least) }
    }
}

/// For a container that may use more than it requested: the less of the machine it requested, the sooner it goes.
pub fn oom_score_adj(limits: &Limits, machine_bytes: u64) -> Option<i32> {
    let (request, limit) = (limits.mem?, limits.mem_limit?);
    if limit <= request || machine_bytes == 0 {
        return None;
    }
    let share = (u128::from(request) * 1000 / u128::from(machine_bytes)).min(1000) as i32;
    Some((1000 - share).clamp(3, 999))
}

/// The reason given for a container that ran out of memory.
pub fn limitation(limit: Option<u64>, peak: Option<u64>, statistics: &str) -> Limitation {
    let megabytes = |bytes: Option<u64>| match bytes {
        Some(u64::MAX) => "unlimited".to_owned(),
        Some(bytes) => format!("{}MB", bytes >> 20),
        None => "unknown".to_owned(),
    };
    let message = format!(
        "Memory limit exceeded: Requested: {} Maximum Used: {}\n\nMEMORY STATISTICS: \n{}\n",
        megabytes(limit),
        megabytes(peak),
        statistics.trim_end()
    );
    Limitation { reason: LimitationReason::Memory, message, mem_bytes: peak }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_limits_are_raised_and_missing_ones_left_alone() {
        let limits = Limits { mem: Some(1 << 20), mem_limit: Some(64 << 20), ..Limits::default() };
        assert_eq!(MemoryShape::new(&limits), MemoryShape { soft: Some(MIN_BYTES), hard: Some(64 << 20) });
        let limits = Limits { mem: Some(48 << 20), ..Limits::default() };
        assert_eq!(MemoryShape::new(&limits), MemoryShape { soft: Some(48 << 20), hard: Some(48 << 20) });
        assert_eq!(MemoryShape::new(&Limits::default()), MemoryShape { soft: None, hard: None });
    }

    #[test]
    fn only_a_burstable_container_gets_a_score() {
        let limits = |mem, mem_limit| Limits { mem: Some(mem), mem_limit, ..Limits::default() };
        assert_eq!(oom_score_adj(&limits(100, None), 1000), None);
        assert_eq!(oom_score_adj(&limits(100, Some(100)), 1000), None);
        assert_eq!(oom_score_adj(&limits(100, Some(200)), 1000), Some(900));
        assert_eq!(oom_score_adj(&limits(1000, Some(u64::MAX)), 1000), Some(3));
    }

    #[test]
    fn the_reason_names_request_and_use() {
        let limitation = limitation(Some(64 << 20), Some(65 << 20), "cache 0\n");
        assert!(limitation.message.starts_with("Memory limit exceeded: Requested: 64MB Maximum Used: 65MB\n"));
        assert_eq!(limitation.mem_bytes, Some(65 << 20));
    }
}
