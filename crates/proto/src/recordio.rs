//! RecordIO: each record is its length in decimal, a newline, and that many bytes. The framing of every event stream.

use crate::decimal;
use bytes::{Buf, Bytes, BytesMut};

/// A record's bound when the reader names none.
pub const DEFAULT_MAX_RECORD: usize = 64 << 20;

/// Digits of the longest length anybody can mean.
const MAX_HEADER: usize = 20;

pub fn encode(record: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(record.len() + MAX_HEADER + 1);
    encode_into(record, &mut out);
    out.into()
}

/// Appends one record to `out`.
pub fn encode_into(record: &[u8], out: &mut Vec<u8>) {
    decimal::put_u64(out, record.len() as u64);
    out.push(b'\n');
    out.extend_from_slice(record);
}

/// Why a stream of records cannot go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    #[error("Failed to decode length '{0}': not a decimal number")]
    Header(String),
    #[error("record of {size} bytes is longer than the {max} allowed")]
    TooLong { size: usize, max: usize },
}

/// Cuts a stream of bytes, pushed in pieces, into records. After an error the stream is of no more use.
#[derive(Debug)]
pub struct Decoder {
    buffer: BytesMut,
    /// Length of the record whose header is read.
    expected: Option<usize>,
    max_record: usize,
    failed: Option<RecordError>,
}

impl Default for Decoder {
    fn default() -> Self {
        Decoder::new(DEFAULT_MAX_RECORD)
    }
}

impl Decoder {
    pub fn new(max_record: usize) -> Self {
        Decoder { buffer: BytesMut::new(), expected: None, max_record, failed: None }
    }

    pub fn push(&mut self, bytes: &[u8]) {
        if self.failed.is_none() {
            self.buffer.extend_from_slice(bytes);
        }
    }

    /// The next whole record, or `None` until more is pushed.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Result<Option<Bytes>, RecordError> {
        if let Some(failed) = &self.failed {
            return Err(failed.clone());
        }
        self.advance().inspect_err(|error| {
            self.failed = Some(error.clone());
            self.buffer = BytesMut::new();
        })
    }

    /// Whether nothing of an unfinished record is held: where a stream may end.
    pub fn is_idle(&self) -> bool {
        self.buffer.is_empty() && self.expected.is_none()
    }

    fn advance(&mut self) -> Result<Option<Bytes>, RecordError> {
        let expected = match self.expected {
            Some(expected) => expected,
            None => match self.header()? {
                Some(expected) => *self.expected.insert(expected),
                None => return Ok(None),
            },
        };
        if self.buffer.len() < expected {
            return Ok(None);
        }
        self.expected = None;
        Ok(Some(self.buffer.split_to(expected).freeze()))
    }

    fn header(&mut self) -> Result<Option<usize>, RecordError> {
        let window = &self.buffer[..self.buffer.len().min(MAX_HEADER + 1)];
        let end = memchr::memchr(b'\n', window);
        let digits = &window[..end.unwrap_or(window.len())];
        let refuse = || RecordError::Header(String::from_utf8_lossy(digits).into_owned());
        if digits.len() > MAX_HEADER || !digits.iter().all(u8::is_ascii_digit) {
            return Err(refuse());
        }
        let Some(end) = end else { return Ok(None) };
        let size = std::str::from_utf8(digits).ok().and_then(|text| text.parse().ok()).ok_or_else(refuse)?;
        if size > self.max_record {
            return Err(RecordError::TooLong { size, max: self.max_record });
        }
        self.buffer.advance(end + 1);
        Ok(Some(size))
    }
}
