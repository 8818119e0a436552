//! Filters of system calls: a small generator that turns a table of verdicts into a program for the kernel, and setting
//! one on the calling thread. Which calls are forbidden is for the caller to say.

use crate::{check, check_long};
use std::io;

/// What happens to a system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Allow,
    /// Fails with this error, and nothing is done.
    Fail(u16),
    /// Depends on the lower half of an argument: fails with the error if any of these bits is set in it.
    FailIfSet {
        argument: u8,
        bits: u32,
        error: u16,
    },
    /// Fails with the error if the argument is this.
    FailIfEqual {
        argument: u8,
        value: u32,
        error: u16,
    },
    /// Fails with the error unless the argument is one of these.
    FailUnless {
        argument: u8,
        values: &'static [u32],
        error: u16,
    },
}

/// A program that the kernel runs for each system call.
#[derive(Clone, Debug)]
pub struct Filter(Vec<libc::sock_filter>);

// Where `struct seccomp_data` has what.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
const ARGUMENTS: u32 = 16;

#[cfg(target_arch = "x86_64")]
const OWN_ARCHITECTURE: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const OWN_ARCHITECTURE: u32 = 0xc000_00b7;
/// From here on x86_64 has the calls of its 32-bit pointers (x32).
#[cfg(target_arch = "x86_64")]
const NUMBERS_END: u32 = 0x4000_0000;
#[cfg(not(target_arch = "x86_64"))]
const NUMBERS_END: u32 = u32::MAX;

impl Filter {
    /// A filter by number. `verdicts` names what is not `otherwise`; from the number `unknown` on every call fails as
    /// on a kernel that does not know it, and so does every call by another architecture's table.
    pub fn new(verdicts: &[(i64, Verdict)], otherwise: Verdict, unknown: i64) -> Filter {
        let absent = Verdict::Fail(libc::ENOSYS as u16);
        let mut sorted: Vec<(u32, Verdict)> =
            verdicts.iter().filter_map(|(number, verdict)| Some((u32::try_from(*number).ok()?, *verdict))).collect();
        sorted.sort_by_key(|(number, _)| *number);
        // Ranges of one verdict: each from its number up to the next one's.
        let mut ranges: Vec<(u32, Verdict)> = Vec::new();
        let mut push = |from: u32, verdict: Verdict| match ranges.last_mut() {
            Some((start, last)) if *start == from => *last = verdict,
            Some((_, last)) if *last == verdict => {}
            _ => ranges.push((from, verdict)),
        };
        push(0, otherwise);
        let end = u32::try_from(unknown).unwrap_or(NUMBERS_END).min(NUMBERS_END);
        for (number, verdict) in sorted.into_iter().filter(|(number, _)| *number < end) {
            push(number, verdict);
            push(number + 1, otherwise);
        }
        push(end, absent);
        ranges.dedup_by(|next, last| next.1 == last.1);

        let mut program =
            vec![load(ARCHITECTURE), jump(libc::BPF_JEQ, OWN_ARCHITECTURE, 1, 0), verdict_of(absent), load(NUMBER)];
        program.extend(search(&ranges));
        Filter(program)
    }

    /// How many instructions the program has; the kernel takes 4,096.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The program as the kernel is told it. It borrows from this filter.
    fn program(&self) -> libc::sock_fprog {
        libc::sock_fprog { len: self.0.len() as u16, filter: self.0.as_ptr().cast_mut() }
    }

    /// Whether this kernel takes filters at all.
    pub fn can_be_set() -> bool {
        let filter = Filter::new(&[], Verdict::Allow, i64::MAX);
        let attempt = std::thread::Builder::new().spawn(move || forbid_new_privileges().and_then(|()| filter.apply()));
        attempt.is_ok_and(|thread| thread.join().is_ok_and(|set| set.is_ok()))
    }

    /// Sets the filter on the calling thread and on all that it starts, for good. Without privileges this takes
    /// `forbid_new_privileges` first.
    pub fn apply(&self) -> io::Result<()> {
        let program = self.program();
        for flags in [SPEC_ALLOW, 0] {
            // SAFETY: the program is as long as it says and outlives the call.
            match check_long(unsafe { libc::syscall(libc::SYS_seccomp, SET_MODE_FILTER, flags, &raw const program) }) {
                // Before Linux 4.17 the flag is unknown.
                Err(error) if flags != 0 && error.raw_os_error() == Some(libc::EINVAL) => {}
                set => return set.map(drop),
            }
        }
        Ok(())
    }
}

const SET_MODE_FILTER: libc::c_uint = 1;
/// Leaves it to programs whether they want to be slowed down against speculation.
const SPEC_ALLOW: libc::c_ulong = 4;

/// From here on no program that this thread executes gains privileges by being executed (set-user-id, file
/// capabilities).
pub fn forbid_new_privileges() -> io::Result<()> {
    // SAFETY: takes numbers only.
    check(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) }).map(drop)
}

/// Halves the ranges until one is left. Jumps on a condition reach 255 instructions, those without one everything.
fn search(ranges: &[(u32, Verdict)]) -> Vec<libc::sock_filter> {
    let (below, above) = ranges.split_at(ranges.len() / 2);
    let Some(&(middle, verdict)) = above.first() else { return Vec::new() };
    if below.is_empty() {
        return decide(verdict);
    }
    let (left, right) = (search(below), search(above));
    let mut program = match u8::try_from(left.len()) {
        Ok(length) => vec![jump(libc::BPF_JGE, middle, length, 0)],
        Err(_) => vec![jump(libc::BPF_JGE, middle, 0, 1), skip(left.len() as u32)],
    };
    program.extend(left);
    program.extend(right);
    program
}

fn decide(verdict: Verdict) -> Vec<libc::sock_filter> {
    let argument = |index: u8| load(ARGUMENTS + 8 * u32::from(index) + LOWER_HALF);
    let (allow, fail) = (verdict_of(Verdict::Allow), |error| verdict_of(Verdict::Fail(error)));
    match verdict {
        Verdict::Allow | Verdict::Fail(_) => vec![verdict_of(verdict)],
        Verdict::FailIfSet { argument: index, bits, error } => {
            vec![argument(index), jump(libc::BPF_JSET, bits, 0, 1), fail(error), allow]
        }
        Verdict::FailIfEqual { argument: index, value, error } => {
            vec![argument(index), jump(libc::BPF_JEQ, value, 0, 1), fail(error), allow]
        }
        Verdict::FailUnless { argument: index, values, error } => {
            let mut program = vec![argument(index)];
            for (place, value) in values.iter().enumerate() {
                program.push(jump(libc::BPF_JEQ, *value, (values.len() - place) as u8, 0));
            }
            program.extend([fail(error), allow]);
            program
        }
    }
}

/// Both architectures are little-endian.
const LOWER_HALF: u32 = 0;

fn verdict_of(verdict: Verdict) -> libc::sock_filter {
    let value = match verdict {
        Verdict::Fail(error) => libc::SECCOMP_RET_ERRNO | u32::from(error),
        _ => libc::SECCOMP_RET_ALLOW,
    };
    statement(libc::BPF_RET | libc::BPF_K, value)
}

fn load(offset: u32) -> libc::sock_filter {
    statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, offset)
}

fn skip(count: u32) -> libc::sock_filter {
    statement(libc::BPF_JMP | libc::BPF_JA, count)
}

fn statement(code: u32, k: u32) -> libc::sock_filter {
    libc::sock_filter { code: code as u16, jt: 0, jf: 0, k }
}

fn jump(condition: u32, k: u32, if_so: u8, if_not: u8) -> libc::sock_filter {
    libc::sock_filter { code: (libc::BPF_JMP | condition | libc::BPF_K) as u16, jt: if_so, jf: if_not, k }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The kernel's reading of a program, for the instructions in use here.
    fn run(filter: &Filter, architecture: u32, number: u32, arguments: [u64; 6]) -> u32 {
        let (mut at, mut held) = (0, 0u32);
        loop {
            let op = filter.0[at];
            at += 1;
            let code = u32::from(op.code);
            let go = |if_so: bool| usize::from(if if_so { op.jt } else { op.jf });
            match (code & 0x07, code & 0xf0) {
                (libc::BPF_LD, _) => {
                    held = match op.k {
                        NUMBER => number,
                        ARCHITECTURE => architecture,
                        other => arguments[((other - ARGUMENTS) / 8) as usize] as u32,
                    }
                }
                (libc::BPF_RET, _) => return op.k,
                (libc::BPF_JMP, libc::BPF_JA) => at += op.k as usize,
                (libc::BPF_JMP, libc::BPF_JEQ) => at += go(held == op.k),
                (libc::BPF_JMP, libc::BPF_JGE) => at += go(held >= op.k),
                (libc::BPF_JMP, libc::BPF_JSET) => at += go(held & op.k != 0),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn every_number_gets_its_verdict() {
        const EPERM: u16 = libc::EPERM as u16;
        // Every third is allowed, so that there are as many ranges as may be.
        let mut verdicts: Vec<(i64, Verdict)> = (0..460).filter(|n| n % 3 == 0).map(|n| (n, Verdict::Allow)).collect();
        verdicts.push((100, Verdict::FailIfSet { argument: 0, bits: 0x30, error: EPERM }));
        verdicts.push((101, Verdict::FailUnless { argument: 1, values: &[7, 9], error: EPERM }));
        verdicts.push((103, Verdict::FailIfEqual { argument: 5, value: 40, error: EPERM }));
        let filter = Filter::new(&verdicts, Verdict::Fail(EPERM), 461);
        assert!(filter.len() < 4096, "{}", filter.len());
        let (allow, fail) = (libc::SECCOMP_RET_ALLOW, libc::SECCOMP_RET_ERRNO | u32::from(EPERM));
        let absent = libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32;
        let ask = |number, arguments| run(&filter, OWN_ARCHITECTURE, number, arguments);
        for number in (0..460).filter(|n| ![100, 101, 103].contains(n)) {
            assert_eq!(ask(number, [0; 6]), if number % 3 == 0 { allow } else { fail }, "{number}");
        }
        for number in [461, 462, 5000, 0x4000_0000, u32::MAX] {
            assert_eq!(ask(number, [0; 6]), absent, "{number}");
        }
        assert_eq!(ask(460, [0; 6]), fail);
        assert_eq!((ask(100, [0x1f; 6]), ask(100, [0x0f; 6])), (fail, allow));
        assert_eq!((ask(101, [8; 6]), ask(101, [7; 6]), ask(101, [9; 6])), (fail, allow, allow));
        assert_eq!((ask(103, [40; 6]), ask(103, [41; 6])), (fail, allow));
        assert_eq!(run(&filter, OWN_ARCHITECTURE ^ 1, 0, [0; 6]), absent);
    }

    #[test]
    fn the_kernel_takes_a_filter_and_keeps_to_it() {
        let filter = Filter::new(&[(libc::SYS_getppid, Verdict::Fail(libc::EXDEV as u16))], Verdict::Allow, 10_000);
        let thread = std::thread::spawn(move || {
            forbid_new_privileges().unwrap();
            filter.apply().unwrap();
            // SAFETY: takes nothing.
            let failed = unsafe { libc::syscall(libc::SYS_getppid) };
            (failed, io::Error::last_os_error().raw_os_error())
        });
        assert_eq!(thread.join().unwrap(), (-1, Some(libc::EXDEV)));
    }
}
