//! How this process's heap lies in memory: what is free is given back to the kernel, for servers; large heaps in huge
//! pages, for programs whose one thread works on all of it. A heap of gigabytes that is touched everywhere spends a
//! good part of its time on finding pages; the kernel gives larger ones to those who ask (`madvise` in
//! /sys/kernel/mm/transparent_hugepage/enabled).

use std::{fs, io, time::Duration};

/// Mappings below this stay as they are: small processes remain small, and stacks are not touched.
const LARGE: usize = 32 << 20;

/// How soon what is new is seen.
const EVERY: Duration = Duration::from_millis(50);

/// Asks for huge pages for whatever is large in this process, now and as it grows, from a thread of its own. Without
/// them everything is only slower, so nobody needs to know.
pub fn prefer_huge_pages() {
    // The heap grows in steps large enough to be seen before they are filled, and keeps what is freed.
    // SAFETY: it sets figures of the allocator.
    unsafe {
        libc::mallopt(libc::M_TOP_PAD, 64 << 20);
        libc::mallopt(libc::M_MMAP_THRESHOLD, 32 << 20);
        libc::mallopt(libc::M_TRIM_THRESHOLD, 512 << 20);
    }
    let look = move || {
        loop {
            if advise().is_err() {
                return;
            }
            std::thread::sleep(EVERY);
        }
    };
    let _ = std::thread::Builder::new().name("huge-pages".into()).stack_size(64 << 10).spawn(look);
}

/// Servers look this often for memory to give back.
const GIVE_BACK_EVERY: Duration = Duration::from_secs(5);

/// Less than this is not worth the walk.
const WORTH_GIVING_BACK: usize = 8 << 20;

/// Gives free memory back to the kernel every few seconds when there is much of it, from a thread of its own. The
/// allocator by itself gives back only what lies at the end of its heap, so that one long-lived block keeps all that
/// was ever used before it. An error where no thread can be had; free memory then stays with this process.
pub fn give_back_what_is_free() -> io::Result<()> {
    let look = move || {
        let mut looked = FreeMemory::default();
        loop {
            std::thread::sleep(GIVE_BACK_EVERY);
            looked.give_back();
        }
    };
    std::thread::Builder::new().name("free-memory".into()).stack_size(64 << 10).spawn(look).map(drop)
}

/// What the heap held free when it was last looked at. Memory that was given back still counts as free there, so only
/// growth is worth another walk.
#[derive(Debug, Default)]
struct FreeMemory {
    given_back: usize,
}

impl FreeMemory {
    fn give_back(&mut self) -> bool {
        // SAFETY: reads figures of the allocator.
        let free = unsafe { libc::mallinfo2() }.fordblks;
        self.given_back = self.given_back.min(free);
        if free - self.given_back < WORTH_GIVING_BACK {
            return false;
        }
        // SAFETY: touches free memory only.
        unsafe { libc::malloc_trim(0) };
        // SAFETY: reads figures of the allocator.
        self.given_back = unsafe { libc::mallinfo2() }.fordblks;
        true
    }
}

fn advise() -> io::Result<()> {
    let maps = fs::read_to_string("/proc/self/maps")?;
    let heap: usize = large(&maps).filter(|(_, name)| *name == "[heap]").map(|(range, _)| range.len()).sum();
    for (range, name) in large(&maps) {
        let size = if name == "[heap]" { heap } else { range.len() };
        if size < LARGE {
            continue;
        }
        // SAFETY: it changes no byte, only how the kernel keeps them. A range that is gone by now is an error.
        if unsafe { libc::madvise(range.start as *mut _, range.len(), libc::MADV_HUGEPAGE) } != 0 {
            let error = io::Error::last_os_error();
            if error.kind() == io::ErrorKind::InvalidInput {
                return Err(error);
            }
        }
    }
    Ok(())
}

/// The private writable memory behind no file, and what it is called.
fn large(maps: &str) -> impl Iterator<Item = (std::ops::Range<usize>, &str)> {
    maps.lines().filter_map(|line| {
        let mut words = line.split_ascii_whitespace();
        let (start, end) = words.next()?.split_once('-')?;
        let rights = words.next()?;
        let name = words.nth(3).unwrap_or_default();
        let range = usize::from_str_radix(start, 16).ok()?..usize::from_str_radix(end, 16).ok()?;
        (rights == "rw-p" && (name.is_empty() || name == "[heap]")).then_some((range, name))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAPS: &str = "\
00400000-00452000 r-xp 00000000 08:02 173521 /usr/bin/dbus
00651000-00652000 rw-p 00051000 08:02 173521 /usr/bin/dbus
00e03000-02e24000 rw-p 00000000 00:00 0 [heap]
7f0000000000-7f0004000000 rw-p 00000000 00:00 0 
7f0004000000-7f0008000000 ---p 00000000 00:00 0 
7ffd0000-7ffe0000 rw-p 00000000 00:00 0 [stack]
";

    #[test]
    fn only_the_heap_and_nameless_memory_count() {
        let found: Vec<_> = large(MAPS).map(|(range, name)| (range.len(), name)).collect();
        assert_eq!(found, [(0x0202_1000, "[heap]"), (64 << 20, "")]);
    }

    #[test]
    fn what_is_free_between_long_lived_blocks_is_given_back() {
        let rss = || {
            let statm = fs::read_to_string("/proc/self/statm").expect("readable");
            statm.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).expect("a number") * 4096
        };
        let (mut looked, before) = (FreeMemory::default(), rss());
        let mut blocks: Vec<Vec<u8>> = (0..64 << 10).map(|i| vec![i as u8; 4096]).collect();
        let full = rss();
        assert!(full > before + (200 << 20), "{before} {full}");
        // Every thousandth stays.
        let mut i = 0;
        blocks.retain(|_| {
            i += 1;
            i % 1000 == 0
        });
        assert!(looked.give_back());
        let after = rss();
        assert!(after < before + (100 << 20), "{before} {full} {after}");
        assert!(!looked.give_back(), "nothing more came free");
        assert_eq!(blocks.len(), 65);
    }

    #[test]
    fn what_is_large_is_marked() {
        if !fs::exists("/sys/kernel/mm/transparent_hugepage").unwrap_or(false) {
            testkit::skip("this kernel has no huge pages");
            return;
        }
        let room = vec![0u8; 2 * LARGE];
        advise().expect("this kernel has huge pages");
        let smaps = fs::read_to_string("/proc/self/smaps").expect("readable");
        let at = room.as_ptr() as usize;
        let (mut here, mut flags) = (false, "");
        for line in smaps.lines() {
            if let Some((start, end)) = line.split(' ').next().and_then(|range| range.split_once('-')) {
                let bounds = (usize::from_str_radix(start, 16), usize::from_str_radix(end, 16));
                here = matches!(bounds, (Ok(start), Ok(end)) if (start..end).contains(&at));
            } else if here && line.starts_with("VmFlags:") {
                flags = line;
            }
        }
        assert!(flags.split(' ').any(|flag| flag == "hg"), "{flags}");
    }
}
