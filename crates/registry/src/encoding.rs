//! The versioned bytes of documents, of their parts and of operations. Every value starts with a letter saying what
//! it is and the version of the format, so that a program refuses by name what a newer one wrote. Inside is
//! `mesos.internal.Registry` (`encoding/document.rs`) or an operation record (`encoding/operation.rs`).

mod document;
mod framework;
mod operation;

use bytes::{BufMut, Bytes, BytesMut};
use prost::Message;

use crate::key::Key;

/// The newest format this program reads, and the one it writes.
pub const VERSION: u8 = 1;

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

fn seal(kind: Kind, message: &impl Message) -> Bytes {
    let mut bytes = BytesMut::with_capacity(2 + message.encoded_len());
    bytes.put_u8(kind.letter());
    bytes.put_u8(VERSION);
    message.encode_raw(&mut bytes);
    bytes.freeze()
}

fn open<M: Message + Default>(kind: Kind, bytes: &[u8]) -> Result<M, DecodeError> {
    let foreign = |found: Option<u8>| DecodeError::Foreign { expected: kind.name(), found: found.map(char::from) };
    let [letter, version, body @ ..] = bytes else { return Err(foreign(bytes.first().copied())) };
    if *letter != kind.letter() {
        return Err(foreign(Some(*letter)));
    }
    if *version > VERSION {
        return Err(DecodeError::Newer { found: *version });
    }
    M::decode(body).map_err(|e| DecodeError::Damaged { what: kind.name(), why: e.to_string() })
}
