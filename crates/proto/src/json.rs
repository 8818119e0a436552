//! Messages as JSON, by Mesos's rules: names as in the proto, declaration order, empty lists left out, explicit
//! defaults written, enums by name, bytes in base64, 64-bit numbers as numbers.
//!
//! Both directions go through the binary form: `write` renders a message's bytes, `read` makes bytes of a text. So one
//! set of small tables serves all messages, and required fields are checked in one place. [`Writer`] is also for the
//! documents that no message describes, such as `/state`.

mod float;
mod read;
mod write;

pub use write::{ToJson, Writer};

use crate::{
    DecodeError, Message,
    wire::{self, Budget},
};
use std::io;

/// What a message is in JSON, as UTF-8.
pub fn to_vec<M: Message>(message: &M) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.message(message);
    writer.into_bytes()
}

pub fn to_string<M: Message>(message: &M) -> String {
    let mut writer = Writer::new();
    writer.message(message);
    writer.into_string()
}

pub fn to_writer<M: Message>(out: &mut impl io::Write, message: &M) -> io::Result<()> {
    out.write_all(&to_vec(message))
}

/// For code that wants to pick in the JSON; [`Writer`] needs no such tree.
pub fn to_value<M: Message>(message: &M) -> serde_json::Value {
    serde_json::from_slice(&to_vec(message)).unwrap_or_default()
}

pub fn from_slice<M: Message>(text: &[u8]) -> Result<M, DecodeError> {
    wire::decode(&read::to_binary(M::DESCRIPTOR, text)?)
}

/// An array of messages, for the few endpoints whose body is one.
pub fn list_from_slice<M: Message>(text: &[u8]) -> Result<Vec<M>, DecodeError> {
    let list = read::to_binaries(M::DESCRIPTOR, text)?;
    let mut budget = Budget::of(text.len());
    list.iter().map(|message| wire::decode_within(message, &mut budget)).collect()
}
