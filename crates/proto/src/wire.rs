//! Binary messages, as prost writes and reads them, with what it leaves out: required fields are checked, and values
//! of maps are always written.

mod entries;
mod map_values;
mod required;

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
    required::check(M::DESCRIPTOR, bytes)?;
    M::decode(bytes).map_err(|error| DecodeError::Binary(error.to_string()))
}
