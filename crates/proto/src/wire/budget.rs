//! What a message may take in memory. Two bytes on the wire can be a kilobyte here: an empty message in a list.
//!
//! The bound grows with what was sent, many times more generous than what real messages need, so that nobody who means
//! well meets it. Counted are messages, texts and numbers, each wherever it stands; how lists and maps grow is not.

use crate::{DecodeError, Descriptor};

/// What any message may take.
const FLOOR: usize = 16 << 20;
/// What each byte on the wire adds to it. Tasks and resources, of small parts all, take about six.
const PER_BYTE: usize = 16;

/// A text beside what it holds, with what its allocation costs.
const TEXT: usize = 48;

/// Shorter ones cannot reach [`FLOOR`], were they all small messages in a list.
const COUNTED_FROM: usize = 4096;

/// What is left of it.
pub(crate) struct Budget {
    bytes: usize,
    bound: usize,
    left: usize,
}

impl Budget {
    /// For `bytes` on the wire.
    pub fn of(bytes: usize) -> Self {
        let bound = bytes.saturating_mul(PER_BYTE).saturating_add(FLOOR);
        Budget { bytes, bound, left: bound }
    }

    /// Whether it can be exceeded at all.
    pub fn counts(&self) -> bool {
        self.bytes >= COUNTED_FROM
    }

    pub fn take_message(&mut self, descriptor: Descriptor) -> Result<(), DecodeError> {
        // The walk itself keeps where each message lies.
        self.take(descriptor.size().max(size_of::<(u32, &[u8])>()))
    }

    pub fn take_text(&mut self, text: &[u8]) -> Result<(), DecodeError> {
        self.take(TEXT + text.len())
    }

    pub fn take_numbers(&mut self, count: usize) -> Result<(), DecodeError> {
        self.take(count.saturating_mul(size_of::<u64>()))
    }

    fn take(&mut self, size: usize) -> Result<(), DecodeError> {
        match self.left.checked_sub(size) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => Err(DecodeError::TooLarge { bytes: self.bytes, bound: self.bound }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_counted_fits() {
        let largest = Descriptor::all().map(Descriptor::size).max().unwrap();
        // Two bytes are the shortest entry.
        assert!(COUNTED_FROM / 2 * largest <= FLOOR, "{largest}");
    }
}
