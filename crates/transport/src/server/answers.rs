//! Large answers that peers have not read yet, and how many bytes they hold together. Equal answers share their bytes,
//! and then they count once.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;

/// Smaller answers are bounded by the number of connections.
const LARGE: usize = 64 << 10;

#[derive(Debug)]
pub(super) struct Answers {
    limit: usize,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    bytes: usize,
    /// How many answers have bytes at a place in memory.
    readers: HashMap<usize, usize>,
}

impl Answers {
    pub(super) fn new(limit: usize) -> Arc<Answers> {
        Arc::new(Answers { limit, held: Mutex::default() })
    }

    /// The same bytes, counted until the last of them is gone; `None` if all together would be too many.
    pub(super) fn hold(self: &Arc<Answers>, bytes: Bytes) -> Option<Bytes> {
        if bytes.len() < LARGE {
            return Some(bytes);
        }
        let place = bytes.as_ptr() as usize;
        {
            let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
            let is_shared = held.readers.contains_key(&place);
            if !is_shared && held.bytes > 0 && held.bytes.saturating_add(bytes.len()) > self.limit {
                return None;
            }
            *held.readers.entry(place).or_default() += 1;
            held.bytes += if is_shared { 0 } else { bytes.len() };
        }
        Some(Bytes::from_owner(Counted { bytes, answers: self.clone() }))
    }

    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).bytes
    }
}

struct Counted {
    bytes: Bytes,
    answers: Arc<Answers>,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut held = self.answers.held.lock().unwrap_or_else(PoisonError::into_inner);
        let place = self.bytes.as_ptr() as usize;
        let Some(readers) = held.readers.get_mut(&place) else { return };
        *readers -= 1;
        if *readers == 0 {
            held.readers.remove(&place);
            held.bytes -= self.bytes.len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_answers_are_counted_once_however_many_read_them() {
        let answers = Answers::new(3 * LARGE);
        let whole = Bytes::from(vec![1; 2 * LARGE]);
        let readers: Vec<Bytes> = (0..5).map(|_| answers.hold(whole.clone()).unwrap()).collect();
        assert_eq!(answers.bytes(), 2 * LARGE);
        let other = Bytes::from(vec![2; 2 * LARGE]);
        assert_eq!(answers.hold(other.clone()), None);
        assert!(answers.hold(Bytes::from(vec![3; LARGE - 1])).is_some());
        let piece = readers[0].slice(..10);
        drop(readers);
        assert_eq!(answers.bytes(), 2 * LARGE, "a piece of it is still to be written");
        drop(piece);
        assert_eq!(answers.bytes(), 0);
        assert_eq!(answers.hold(other.clone()), Some(other));
        assert_eq!(answers.hold(Bytes::from(vec![4; 9 * LARGE])).map(|held| held.len()), Some(9 * LARGE), "alone");
    }
}
