//! Following the output of one task, and cutting output into lines. Reads what is new, waits longer while nothing is,
//! stops at the end of the file once the task has ended. `tails` follows many at once, `sandbox` knows where the files
//! lie.

use std::{future::Future, time::Duration};

use bytes::Bytes;
use client::Error;
use tokio::{
    sync::watch,
    time::{Instant, sleep},
};

use crate::sandbox::Sandbox;

const FIRST_WAIT: Duration = Duration::from_millis(30);
const LONGEST_WAIT: Duration = Duration::from_millis(250);
/// How long an agent may be away after the task's end before the rest of the output is given up.
const PATIENCE_AFTER_END: Duration = Duration::from_secs(10);

/// Gives `sink` what `file` holds from `offset` on, until the task has `ended` and all of it is read.
pub async fn follow<F: Future<Output = ()>>(
    sandbox: &Sandbox,
    file: &str,
    mut offset: u64,
    mut ended: watch::Receiver<bool>,
    mut sink: impl FnMut(Bytes) -> F,
) -> Result<(), Error> {
    let mut wait = FIRST_WAIT;
    let mut give_up: Option<Instant> = None;
    loop {
        // Looked at before the read: what was written before the end is then surely read.
        // A sender that is gone has said its last word.
        let over = *ended.borrow_and_update() || ended.has_changed().is_err();
        match sandbox.read(file, offset).await {
            Ok(Some(piece)) if !piece.data.is_empty() => {
                offset += piece.data.len() as u64;
                wait = FIRST_WAIT;
                sink(piece.data).await;
                continue;
            }
            Ok(Some(piece)) if piece.size < offset => {
                offset = read_cut_off(sandbox, file, offset, piece.size, &mut sink).await?;
                continue;
            }
            Ok(_) if over => return Ok(()),
            Ok(_) => {}
            Err(error) if !error.is_passing() => return Err(error),
            Err(error) if over => {
                if *give_up.get_or_insert_with(|| Instant::now() + PATIENCE_AFTER_END) < Instant::now() {
                    return Err(error);
                }
            }
            Err(_) => {}
        }
        tokio::select! {
            () = sleep(wait) => wait = (wait * 2).min(LONGEST_WAIT),
            _ = ended.changed(), if !over => {}
        }
    }
}

/// Longer lines are broken, so that a task that never ends its line takes no memory.
const LINE_MAX: usize = 64 << 10;

/// `file` has become shorter than what was read of it: its front has been cut off, in one or more pieces of the same
/// size. Gives `sink` what nobody has read of them; the answer is where to go on in `file`.
async fn read_cut_off<F: Future<Output = ()>>(
    sandbox: &Sandbox,
    file: &str,
    offset: u64,
    size: u64,
    sink: &mut impl FnMut(Bytes) -> F,
) -> Result<u64, Error> {
    let length = sandbox.size(&format!("{file}.1")).await?.unwrap_or(0);
    let Some(cut) = Cut::find(offset, size, length) else { return Ok(0) };
    let Some((newest, mut from)) = cut.unread else { return Ok(cut.offset) };
    for age in (1..=newest).rev() {
        let piece = format!("{file}.{age}");
        while let Some(read) = sandbox.read(&piece, from).await?.filter(|read| !read.data.is_empty()) {
            from += read.data.len() as u64;
            sink(read.data).await;
        }
        from = 0;
    }
    Ok(cut.offset)
}

/// What became of a place in a file whose front was cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Cut {
    /// The oldest piece with something unread, and from where on.
    unread: Option<(u64, u64)>,
    /// Where to go on in the file.
    offset: u64,
}

impl Cut {
    /// `offset` bytes were read, `size` are left, and what was cut off last has `length`.
    fn find(offset: u64, size: u64, length: u64) -> Option<Cut> {
        let pieces = (offset - size.min(offset)).div_ceil(length.max(1));
        if length == 0 || pieces == 0 {
            return None;
        }
        Some(match offset.checked_sub(pieces * length) {
            Some(offset) => Cut { unread: None, offset },
            None => Cut { unread: Some((pieces - offset / length, offset % length)), offset: 0 },
        })
    }
}

/// Cuts a flow of bytes into lines with a prefix each.
#[derive(Debug)]
pub struct Lines {
    prefix: String,
    partial: Vec<u8>,
}

impl Lines {
    pub fn new(prefix: &str) -> Lines {
        Lines { prefix: prefix.to_owned(), partial: Vec::new() }
    }

    /// The whole lines that `data` completes.
    pub fn push(&mut self, data: &[u8]) -> Vec<u8> {
        let mut text = Vec::new();
        for line in data.split_inclusive(|byte| *byte == b'\n') {
            let mut rest = line;
            while !rest.is_empty() {
                if self.partial.len() >= LINE_MAX && rest != b"\n" {
                    text.extend(self.finish());
                }
                let room = LINE_MAX - self.partial.len().min(LINE_MAX);
                let whole = rest.len() <= room + 1 && rest.ends_with(b"\n");
                let (head, tail) = rest.split_at(if whole { rest.len() } else { room.min(rest.len()) });
                self.partial.extend_from_slice(head);
                rest = tail;
            }
            if self.partial.ends_with(b"\n") {
                text.extend(self.take());
            }
        }
        text
    }

    /// A last line that no newline ended.
    pub fn finish(&mut self) -> Vec<u8> {
        if !self.partial.is_empty() {
            self.partial.push(b'\n');
        }
        self.take()
    }

    fn take(&mut self) -> Vec<u8> {
        match self.partial.is_empty() {
            true => Vec::new(),
            false => [self.prefix.as_bytes(), &std::mem::take(&mut self.partial)].concat(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_line_without_an_end_is_broken() {
        let mut lines = Lines::new("[x] ");
        let mut seen = Vec::new();
        let mut kept = 0;
        for piece in vec![b'a'; 4 * LINE_MAX + 5].chunks(1000) {
            seen.extend(lines.push(piece));
            kept = kept.max(lines.partial.len());
        }
        seen.extend(lines.push(b"b\n"));
        assert!(kept <= LINE_MAX && lines.finish().is_empty());
        let lengths: Vec<usize> = String::from_utf8(seen).expect("text").lines().map(str::len).collect();
        assert_eq!(lengths, [LINE_MAX + 4, LINE_MAX + 4, LINE_MAX + 4, LINE_MAX + 4, 6 + 4]);
        let exact = [vec![b'a'; LINE_MAX], b"\n".to_vec()].concat();
        assert_eq!(lines.push(&exact).len(), LINE_MAX + 5);
    }

    #[test]
    fn a_place_is_found_again_after_the_front_was_cut_off() {
        let cut = |unread, offset| Some(Cut { unread, offset });
        // 250 were read when 200 were cut off, and 50 or more are left.
        assert_eq!(Cut::find(250, 60, 100), cut(None, 50));
        assert_eq!(Cut::find(250, 50, 100), cut(None, 50));
        // 150 were read when 200 were cut off: the end of the last piece has not been read.
        assert_eq!(Cut::find(150, 10, 100), cut(Some((1, 50)), 0));
        assert_eq!(Cut::find(50, 10, 100), cut(Some((1, 50)), 0));
        assert_eq!(Cut::find(100, 10, 100), cut(None, 0));
        assert_eq!(Cut::find(100, 10, 0), None);
    }

    proptest! {
        #[test]
        fn every_line_gets_its_prefix_however_the_text_is_cut(
            text in "[ab\n]{0,40}",
            cuts in proptest::collection::vec(0usize..40, 0..5),
        ) {
            let mut lines = Lines::new("[x] ");
            let mut seen = Vec::new();
            let mut cuts = cuts;
            cuts.sort_unstable();
            let mut from = 0;
            for cut in cuts.into_iter().map(|cut| cut.min(text.len())).chain([text.len()]) {
                seen.extend(lines.push(&text.as_bytes()[from..cut]));
                from = cut;
            }
            seen.extend(lines.finish());
            let expected: String = text.lines().map(|line| format!("[x] {line}\n")).collect();
            prop_assert_eq!(String::from_utf8(seen).expect("text"), expected);
        }
    }
}
