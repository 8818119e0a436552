//! The two encodings a body may have, by their content types. Which one a peer wants is `transport`'s business.

use crate::{DecodeError, Message, json, wire};
use bytes::Bytes;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ContentType {
    Json,
    Protobuf,
}

/// The type of event streams whose records are of another content type.
pub const RECORDIO: &str = "application/recordio";

impl ContentType {
    pub fn mime(self) -> &'static str {
        match self {
            ContentType::Json => "application/json",
            ContentType::Protobuf => "application/x-protobuf",
        }
    }

    /// Parameters (`; charset=utf-8`) do not count, nor does case.
    pub fn from_mime(text: &str) -> Option<Self> {
        let essence = text.split(';').next().unwrap_or_default().trim();
        [ContentType::Json, ContentType::Protobuf].into_iter().find(|one| essence.eq_ignore_ascii_case(one.mime()))
    }

    pub fn encode<M: Message>(self, message: &M) -> Bytes {
        match self {
            ContentType::Json => json::to_vec(message).into(),
            ContentType::Protobuf => wire::encode(message),
        }
    }

    pub fn decode<M: Message>(self, bytes: &[u8]) -> Result<M, DecodeError> {
        match self {
            ContentType::Json => json::from_slice(bytes),
            ContentType::Protobuf => wire::decode(bytes),
        }
    }

    /// Like [`Self::decode`]; the error is the body of Mesos's 400 answer.
    pub fn decode_body<M: Message>(self, bytes: &[u8]) -> Result<M, String> {
        self.decode(bytes).map_err(|error| error.body(M::DESCRIPTOR.name(), self == ContentType::Json))
    }
}
