//! The bytes of a journal: an 8-byte header, then records of length, CRC-32 of the payload, payload.

use std::path::Path;

use bytes::Bytes;

use crate::JournalError;

const MAGIC: &[u8] = b"MESETAJ";
const VERSION: u8 = 1;
pub const HEADER: [u8; 8] = *b"MESETAJ\x01";
const RECORD_HEADER: usize = 8;

/// No record is longer; a longer length is the mark of a torn write.
pub const RECORD_BYTES_MAX: usize = 64 << 20;

/// Appends `record` to `out` as the file holds it.
pub fn write(out: &mut Vec<u8>, record: &[u8]) {
    out.extend_from_slice(&(record.len() as u32).to_le_bytes());
    out.extend_from_slice(&crc32fast::hash(record).to_le_bytes());
    out.extend_from_slice(record);
}

/// The records of `content` up to the first that is torn, and how many bytes they and the header take.
pub fn read(path: &Path, content: Bytes) -> Result<(Vec<Bytes>, u64), JournalError> {
    check_header(path, &content)?;
    let mut records = Vec::new();
    let mut at = HEADER.len();
    while let Some(record) = record_at(&content, at) {
        at += RECORD_HEADER + record.len();
        records.push(record);
    }
    Ok((records, at as u64))
}

fn check_header(path: &Path, content: &[u8]) -> Result<(), JournalError> {
    let head = &content[..content.len().min(HEADER.len())];
    if head.len() < HEADER.len() || &head[..MAGIC.len()] != MAGIC {
        return Err(JournalError::NotAJournal { path: path.to_owned(), found: head.to_vec() });
    }
    match head[MAGIC.len()] {
        VERSION => Ok(()),
        found => Err(JournalError::NewerFormat { path: path.to_owned(), found, known: VERSION }),
    }
}

fn record_at(content: &Bytes, at: usize) -> Option<Bytes> {
    let header = content.get(at..at + RECORD_HEADER)?;
    let length = u32::from_le_bytes(header[..4].try_into().ok()?) as usize;
    let crc = u32::from_le_bytes(header[4..].try_into().ok()?);
    let start = at + RECORD_HEADER;
    if length > RECORD_BYTES_MAX || content.len() - start < length {
        return None;
    }
    let record = content.slice(start..start + length);
    (crc32fast::hash(&record) == crc).then_some(record)
}
