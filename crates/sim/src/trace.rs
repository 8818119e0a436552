//! A fingerprint of a run: two runs of one seed must have the same.

/// FNV-1a over everything noted, sixty-four bits at a time.
#[derive(Clone, Debug)]
pub struct Trace {
    hash: u64,
    notes: u64,
    /// Prints each line, for people.
    pub(crate) loud: bool,
}

impl Trace {
    pub fn new(loud: bool) -> Trace {
        Trace { hash: 0xcbf2_9ce4_8422_2325, notes: 0, loud }
    }

    pub fn note(&mut self, value: u64) {
        self.notes += 1;
        self.hash = (self.hash ^ value).wrapping_mul(0x0100_0000_01b3).rotate_left(23);
    }

    pub fn text(&mut self, text: &str) {
        for chunk in text.as_bytes().chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.note(u64::from_le_bytes(word));
        }
    }

    pub fn hash(&self) -> u64 {
        self.hash
    }
}
