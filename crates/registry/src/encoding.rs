//! The versioned bytes of documents, of their parts and of operations. Every value starts with a letter saying what
//! it is and the version of the format, so that a program refuses by name what a newer one wrote. From version 2 on
//! there follows a CRC-32 of all of it and of the name it is stored under, which tells what a disk damaged or a store
//! mixed up; values of version 1 are read as they are. Inside is `mesos.internal.Registry` (`encoding/document.rs`) or
//! an operation record (`encoding/operation.rs`).

mod document;
mod framework;
mod operation;

use bytes::{BufMut, Bytes, BytesMut};
use prost::Message;

use crate::key::Key;

/// The newest format this program reads, and the one it writes.
pub const VERSION: u8 = 2;
/// The newest format without sums.
const UNSUMMED: u8 = 1;

/// A write that a store owes: the new value of a part, or `None` if the part is to be deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub key: Key,
    pub value: Option<Bytes>,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    #[error("this is not a {expected} of the registry (it starts with {found:?})")]
    Foreign { expected: &'static str, found: Option<char> },
    #[error("the registry was written in format {found}; this program reads up to format {VERSION}: run a newer one")]
    Newer { found: u8 },
    #[error("the registry's {what} is damaged: {why}")]
    Damaged { what: &'static str, why: String },
}

#[derive(Clone, Copy)]
enum Kind {
    Document,
    Entry,
    Framework,
    Operation,
}

impl Kind {
    fn letter(self) -> u8 {
        match self {
            Kind::Document => b'D',
            Kind::Entry => b'E',
            Kind::Framework => b'F',
            Kind::Operation => b'O',
        }
    }

    fn name(self) -> &'static str {
        match self {
            Kind::Document => "document",
            Kind::Entry => "entry",
            Kind::Framework => "framework",
            Kind::Operation => "operation",
        }
    }
}

/// The value stored under `name`; a value that stands for itself has none.
fn seal(kind: Kind, name: &str, message: &impl Message) -> Bytes {
    let mut bytes = BytesMut::with_capacity(HEAD + SUM + message.encoded_len());
    bytes.put_u8(kind.letter());
    bytes.put_u8(VERSION);
    bytes.put_u32_le(0);
    message.encode_raw(&mut bytes);
    let sum = sum(name, &bytes[..HEAD], &bytes[HEAD + SUM..]);
    bytes[HEAD..HEAD + SUM].copy_from_slice(&sum.to_le_bytes());
    bytes.freeze()
}

const HEAD: usize = 2;
const SUM: usize = 4;

fn sum(name: &str, head: &[u8], body: &[u8]) -> u32 {
    let mut sum = crc32fast::Hasher::new();
    sum.update(name.as_bytes());
    sum.update(head);
    sum.update(body);
    sum.finalize()
}

/// Whether a value says by itself when it is damaged; those of former versions do not.
pub fn has_sum(value: &[u8]) -> bool {
    value.get(1).is_some_and(|version| *version > UNSUMMED)
}

fn open<M: Message + Default>(kind: Kind, name: &str, bytes: &[u8]) -> Result<M, DecodeError> {
    let foreign = |found: Option<u8>| DecodeError::Foreign { expected: kind.name(), found: found.map(char::from) };
    let damaged = |why: String| DecodeError::Damaged { what: kind.name(), why };
    let [letter, version, rest @ ..] = bytes else { return Err(foreign(bytes.first().copied())) };
    if *letter != kind.letter() {
        return Err(foreign(Some(*letter)));
    }
    let body = match *version {
        UNSUMMED => rest,
        0 => return Err(damaged(format!("no version wrote what stands at '{name}'"))),
        found if found > VERSION => return Err(DecodeError::Newer { found }),
        _ => match rest.split_first_chunk::<SUM>() {
            Some((expected, body)) if sum(name, &bytes[..HEAD], body) == u32::from_le_bytes(*expected) => body,
            _ => return Err(damaged(format!("the sum of what stands at '{name}' is wrong"))),
        },
    };
    M::decode(body).map_err(|e| damaged(e.to_string()))
}
