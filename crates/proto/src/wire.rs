//! Binary messages, as prost writes and reads them, with what it leaves out: required fields are checked, what a
//! message takes in memory is bounded, and values of maps are always written.

mod budget;
mod check;
mod entries;
mod map_values;

pub(crate) use budget::Budget;
pub(crate) use entries::{Entries, Payload, put_bytes, put_varint};

use crate::{DecodeError, Message};
use bytes::Bytes;

pub fn encode<M: Message>(message: &M) -> Bytes {
    encode_to_vec(message).into()
}

pub fn encode_to_vec<M: Message>(message: &M) -> Vec<u8> {
    let bytes = message.encode_to_vec();
    match map_values::lacking(M::DESCRIPTOR, &bytes) {
        true => map_values::completed(M::DESCRIPTOR, &bytes),
        false => bytes,
    }
}

/// How many bytes `message` takes, about: what `encode` completes is not counted.
pub fn len<M: Message>(message: &M) -> usize {
    message.encoded_len()
}

pub fn decode<M: Message>(bytes: &[u8]) -> Result<M, DecodeError> {
    decode_within(bytes, &mut Budget::of(bytes.len()))
}

/// One of the messages that share a budget.
pub(crate) fn decode_within<M: Message>(bytes: &[u8], budget: &mut Budget) -> Result<M, DecodeError> {
    check::check(M::DESCRIPTOR, bytes, budget)?;
    M::decode(bytes).map_err(|error| DecodeError::Binary(error.to_string()))
}
