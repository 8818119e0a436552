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

/// The reason given for a container that ran out of memory, in one line.
pub fn limitation(limit: Option<u64>, peak: Option<u64>) -> Limitation {
    let mebibytes = |bytes: u64| format!("{} MiB", bytes.div_ceil(1 << 20));
    let message = match (peak, limit) {
        (Some(peak), Some(limit)) if limit != u64::MAX => {
            format!("Memory limit exceeded: used {} of {} allowed", mebibytes(peak), mebibytes(limit))
        }
        (Some(peak), _) => format!("The machine ran out of memory: used {}, which no limit forbids", mebibytes(peak)),
        (None, Some(limit)) if limit != u64::MAX => format!("Memory limit exceeded: {} allowed", mebibytes(limit)),
        (None, _) => "Memory limit exceeded".to_owned(),
    };
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
    fn the_reason_says_in_one_line_what_was_used_and_allowed() {
        let told = limitation(Some(64 << 20), Some((95 << 20) + 1));
        assert_eq!(told.message, "Memory limit exceeded: used 96 MiB of 64 MiB allowed");
        assert_eq!(told.mem_bytes, Some((95 << 20) + 1));
        for limitation in [limitation(None, None), limitation(Some(1), None), limitation(Some(u64::MAX), Some(1))] {
            assert_eq!(limitation.message.lines().count(), 1);
        }
    }
}
