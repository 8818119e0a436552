//! The bytes of a journal and what can be told from them after damage.
//!
//! Format 2: eight bytes of name, two slots with the same mark, then records. A mark says how much of the file was
//! promised to callers; it is rewritten in place, one slot at a time, after each sync and without one of its own, so
//! that it may lag behind after a power cut but never runs ahead. A record is
//!
//! - its payload's length, 4 bytes,
//! - where the batch that it was written with begins, 8 bytes: what stands before that was promised by then,
//! - a CRC-32 of these, of the record's place in the file and of the file's salt, so that neither a stray block nor a
//!   payload made to look like a record is taken for one,
//! - a CRC-32 of the payload, and the payload.
//!
//! Format 1 has records of length, CRC-32 and payload behind the name; it is read and replaced.
//!
//! Bytes that are no record are a torn write if nothing behind them was promised, and damage otherwise.

use std::{ops::Range, path::Path};

use bytes::Bytes;

use crate::{JournalError, damage::Damage};

const NAME: &[u8] = b"MESETAJ";
pub const VERSION: u8 = 2;
const FORMER: u8 = 1;
const NAME_BYTES: usize = 8;
const SLOT_BYTES: usize = 32;
const HEADER_BYTES: usize = NAME_BYTES + 2 * SLOT_BYTES;
const RECORD_HEADER: usize = 20;
const FORMER_HEADER: usize = 8;

/// No record is longer; a longer length is the mark of damage.
pub const RECORD_BYTES_MAX: usize = 64 << 20;
/// How many bytes of a file in format 1 are summed up in vain before it counts as damaged.
const SEARCH_BYTES_MAX: usize = 1 << 30;

/// What a file promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Differs from file to file.
    pub salt: u32,
    /// Up to here callers were told that their records are kept.
    pub promised: u64,
    /// Up to here they are on the disk.
    pub synced: u64,
    /// Which boot of the machine the promise lasts for; 0 if it outlasts all.
    pub boot: u64,
}

/// What stands in a file.
pub struct Content {
    pub records: Vec<Bytes>,
    /// What was promised and cannot be read.
    pub damage: Vec<Damage>,
    /// Where a torn write begins, or the end of the file.
    pub end: u64,
    /// The salt of the records; none if the file must be written anew.
    pub salt: Option<u32>,
}

/// Where the slot that is written for the `turn`th time stands, and what it holds.
pub fn slot(turn: u64, mark: &Mark) -> (u64, [u8; SLOT_BYTES]) {
    let mut bytes = [0; SLOT_BYTES];
    bytes[..4].copy_from_slice(&mark.salt.to_le_bytes());
    bytes[4..12].copy_from_slice(&mark.promised.to_le_bytes());
    bytes[12..20].copy_from_slice(&mark.synced.to_le_bytes());
    bytes[20..28].copy_from_slice(&mark.boot.to_le_bytes());
    let sum = crc32fast::hash(&bytes[..28]);
    bytes[28..].copy_from_slice(&sum.to_le_bytes());
    (NAME_BYTES as u64 + (turn % 2) * SLOT_BYTES as u64, bytes)
}

/// A whole file that holds `records`, all of them promised for good, and its mark.
pub fn whole(records: &[Bytes], salt: u32) -> (Vec<u8>, Mark) {
    let mut content = vec![0; HEADER_BYTES];
    records.iter().for_each(|record| write(&mut content, 0, HEADER_BYTES as u64, salt, record));
    let length = content.len() as u64;
    let mark = Mark { salt, promised: length, synced: length, boot: 0 };
    content[..NAME.len()].copy_from_slice(NAME);
    content[NAME.len()] = VERSION;
    for turn in 0..2 {
        let (at, bytes) = slot(turn, &mark);
        content[at as usize..at as usize + SLOT_BYTES].copy_from_slice(&bytes);
    }
    (content, mark)
}

/// Appends `record` to `out`, whose first byte stands at `out_at` in the file, as part of the batch that begins at
/// `batch`.
pub fn write(out: &mut Vec<u8>, out_at: u64, batch: u64, salt: u32, record: &[u8]) {
    let at = out_at + out.len() as u64;
    let length = (record.len() as u32).to_le_bytes();
    out.extend_from_slice(&length);
    out.extend_from_slice(&batch.to_le_bytes());
    out.extend_from_slice(&header_sum(salt, at, &length, &batch.to_le_bytes()).to_le_bytes());
    out.extend_from_slice(&crc32fast::hash(record).to_le_bytes());
    out.extend_from_slice(record);
}

fn header_sum(salt: u32, at: u64, length: &[u8], batch: &[u8]) -> u32 {
    let mut sum = crc32fast::Hasher::new_with_initial(salt);
    sum.update(&at.to_le_bytes());
    sum.update(length);
    sum.update(batch);
    sum.finalize()
}

/// What `content` holds, seen in the boot `boot` of the machine.
pub fn read(path: &Path, content: &Bytes, boot: u64) -> Result<Content, JournalError> {
    let head = &content[..content.len().min(NAME_BYTES)];
    if head.len() < NAME_BYTES || &head[..NAME.len()] != NAME || head[NAME.len()] == 0 {
        return Err(JournalError::NotAJournal { path: path.to_owned(), found: head.to_vec() });
    }
    match head[NAME.len()] {
        FORMER => Ok(read_former(content)),
        VERSION => Ok(read_present(path, content, boot)),
        found => Err(JournalError::NewerFormat { path: path.to_owned(), found, known: VERSION }),
    }
}

fn read_present(path: &Path, content: &Bytes, boot: u64) -> Content {
    let marks = [0, 1].map(|turn| read_slot(content, turn));
    let mark = marks.iter().flatten().max_by_key(|mark| mark.promised).copied();
    if mark.is_some() && marks.iter().any(Option::is_none) {
        tracing::warn!(path = %path.display(), "one of the journal's two marks is damaged; nothing is lost by that");
    }
    let salt = mark.map(|mark| mark.salt);
    let lasts = mark.is_none_or(|mark| mark.boot == 0 || mark.boot == boot);
    let promised = mark.map_or(0, |mark| if lasts { mark.promised } else { mark.synced });
    let mut damage = Vec::new();
    if mark.is_none() {
        damage.push(Damage::Unreadable { at: NAME_BYTES as u64, bytes: (HEADER_BYTES - NAME_BYTES) as u64 });
    }
    let found = Found::of(content, HEADER_BYTES, |at| present_at(content, at, salt));
    let batches = if lasts { found.records.last().map_or(0, |(_, record)| record.batch) } else { 0 };
    found.judge(content.len() as u64, promised.max(batches), damage, salt)
}

fn read_former(content: &Bytes) -> Content {
    let mut budget = SEARCH_BYTES_MAX;
    let found = Found::of(content, NAME_BYTES, |at| former_at(content, at, &mut budget));
    let promised = match found.records.last() {
        _ if budget == 0 => content.len() as u64,
        // Each record may have been the last of those that were promised.
        Some((at, _)) => *at as u64,
        None => 0,
    };
    found.judge(content.len() as u64, promised, Vec::new(), None)
}

fn read_slot(content: &[u8], turn: u64) -> Option<Mark> {
    let (at, _) = slot(turn, &Mark { salt: 0, promised: 0, synced: 0, boot: 0 });
    let bytes = content.get(at as usize..at as usize + SLOT_BYTES)?;
    (crc32fast::hash(&bytes[..28]) == word(bytes, 28)?).then_some(Mark {
        salt: word(bytes, 0)?,
        promised: long(bytes, 4)?,
        synced: long(bytes, 12)?,
        boot: long(bytes, 20)?,
    })
}

/// A record found in a file.
struct Record {
    batch: u64,
    /// Where its payload stands.
    payload: Range<usize>,
}

/// What may stand at a place.
enum Seen {
    Record(Record),
    /// The header of a record whose payload is damaged or cut off; where the next one would begin.
    Header(usize),
    Nothing,
}

/// Records in a file with what stands between them.
struct Found {
    /// Each with the place it begins at.
    records: Vec<(usize, Record)>,
    payloads: Vec<Bytes>,
    holes: Vec<Range<usize>>,
}

impl Found {
    fn of(content: &Bytes, begin: usize, mut see: impl FnMut(usize) -> Seen) -> Found {
        let mut found = Found { records: Vec::new(), payloads: Vec::new(), holes: Vec::new() };
        let mut at = begin;
        while at < content.len() {
            let next = match see(at) {
                Seen::Record(record) => {
                    let next = record.payload.end;
                    found.payloads.push(content.slice(record.payload.clone()));
                    found.records.push((at, record));
                    at = next;
                    continue;
                }
                Seen::Header(next) => next.min(content.len()),
                Seen::Nothing => {
                    let search = (at + 1..content.len()).find(|at| !matches!(see(*at), Seen::Nothing));
                    search.unwrap_or(content.len())
                }
            };
            match found.holes.last_mut() {
                Some(hole) if hole.end == at => hole.end = next,
                _ => found.holes.push(at..next),
            }
            at = next;
        }
        found
    }

    /// What lies before `promised` is damage, and the first hole behind it a torn write, with all that follows.
    fn judge(self, length: u64, promised: u64, mut damage: Vec<Damage>, salt: Option<u32>) -> Content {
        let torn = self.holes.iter().map(|hole| hole.start).find(|start| *start as u64 >= promised);
        let lost = self.holes.iter().take_while(|hole| torn.is_none_or(|torn| hole.start < torn));
        damage.extend(lost.map(|hole| Damage::Unreadable { at: hole.start as u64, bytes: hole.len() as u64 }));
        if length < promised {
            damage.push(Damage::Missing { at: length, bytes: promised - length });
        }
        let kept = self.records.iter().take_while(|(at, _)| torn.is_none_or(|torn| *at < torn)).count();
        let records = self.payloads.into_iter().take(kept).collect();
        Content { records, damage, end: torn.map_or(length, |torn| torn as u64), salt }
    }
}

fn present_at(content: &Bytes, at: usize, salt: Option<u32>) -> Seen {
    let Some(header) = content.get(at..at + RECORD_HEADER) else { return Seen::Nothing };
    let (Some(length), Some(batch), Some(sum), Some(payload_sum)) =
        (word(header, 0), long(header, 4), word(header, 12), word(header, 16))
    else {
        return Seen::Nothing;
    };
    let is_header = length as usize <= RECORD_BYTES_MAX
        && (HEADER_BYTES as u64..=at as u64).contains(&batch)
        && salt.is_none_or(|salt| header_sum(salt, at as u64, &header[..4], &header[4..12]) == sum);
    if !is_header {
        return Seen::Nothing;
    }
    let payload = at + RECORD_HEADER..at + RECORD_HEADER + length as usize;
    match content.get(payload.clone()).map(crc32fast::hash) {
        Some(sum) if sum == payload_sum => Seen::Record(Record { batch, payload }),
        // Without the salt what looks like a header may be anything.
        Some(_) | None if salt.is_none() => Seen::Nothing,
        Some(_) | None => Seen::Header(payload.end),
    }
}

fn former_at(content: &Bytes, at: usize, budget: &mut usize) -> Seen {
    let Some(header) = content.get(at..at + FORMER_HEADER) else { return Seen::Nothing };
    let (Some(length), Some(sum)) = (word(header, 0), word(header, 4)) else { return Seen::Nothing };
    let payload = at + FORMER_HEADER..at + FORMER_HEADER + length as usize;
    // No record was ever empty; zeros are what a torn write leaves.
    if length == 0 || length as usize > RECORD_BYTES_MAX || payload.end > content.len() {
        return Seen::Nothing;
    }
    if *budget > 0 && crc32fast::hash(&content[payload.clone()]) == sum {
        return Seen::Record(Record { batch: at as u64, payload });
    }
    *budget = budget.saturating_sub(payload.len());
    Seen::Nothing
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn long(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}
