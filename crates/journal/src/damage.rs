//! What a journal has lost of what it promised to keep.

use std::fmt;

/// One part of a file that is not as it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// Bytes that were records and are none now.
    Unreadable { at: u64, bytes: u64 },
    /// The file ends before the last record that was reported as kept.
    Missing { at: u64, bytes: u64 },
    /// Nothing is left: a journal is never empty.
    Empty,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Damage::Unreadable { at, bytes } => write!(f, "{bytes} bytes at offset {at} cannot be read"),
            Damage::Missing { at, bytes } => write!(f, "it ends at offset {at}, {bytes} bytes before its end"),
            Damage::Empty => f.write_str("it is empty, and a journal never is"),
        }
    }
}

/// For people: all of it in one line.
pub fn list(damage: &[Damage]) -> String {
    const SHOWN: usize = 5;
    let mut parts: Vec<String> = damage.iter().take(SHOWN).map(Damage::to_string).collect();
    if damage.len() > SHOWN {
        parts.push(format!("and {} more places", damage.len() - SHOWN));
    }
    parts.join(", ")
}
