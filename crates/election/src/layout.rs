//! How a registry lies in a space of small values. Keys that begin with `_` are ours, the others are the registry's
//! parts by their own names:
//!
//! - `_header`: format and cluster; written once, by the first leader;
//! - `_epoch`: the present reign's number; every write of a leader is guarded by the version this key has in its reign;
//! - `_reign`: who leads and how long without news; the leader's heartbeat;
//! - `_commit`: the number of the last transaction, to find out what became of one whose answer was lost;
//! - `_redo`, `_redo/<n>`: a change that is too large for one transaction, written down before it is carried out;
//! - `<key>~<n>`: the pieces of a value that is too large for one; `<key>` then holds their number.

use std::collections::{BTreeMap, BTreeSet};

use bytes::{BufMut, Bytes, BytesMut};
use registry::{Change, DecodeError, Registry};
use serde::{Deserialize, Serialize};

use crate::{
    StoreError,
    space::{Limits, Write},
};

pub const HEADER: &str = "_header";
pub const EPOCH: &str = "_epoch";
pub const REIGN: &str = "_reign";
pub const COMMIT: &str = "_commit";
const REDO: &str = "_redo";

/// The newest layout this program reads, and the one it writes.
pub const FORMAT: u32 = 1;

/// Values above this are cut into pieces of at most this size.
const PIECE_BYTES: usize = 256 << 10;
/// What the value of a key with pieces begins with; registry values begin with other letters.
const PIECES: u8 = b'P';

/// Whose registry it is.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq, Eq)]
pub struct Header {
    pub format: u32,
    /// Chosen at random when the registry is made.
    pub cluster: String,
    /// What `--cluster` said then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// The leader's heartbeat.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
pub struct Reign {
    pub epoch: u64,
    /// How long the leader may go on after it sent this, in milliseconds.
    pub lasting_ms: u64,
    /// The leader has resigned: nobody needs to wait for it.
    #[serde(default)]
    pub released: bool,
    /// When it began, in seconds since 1970.
    pub since: f64,
    /// The leader's id.
    pub master: String,
}

impl Header {
    pub fn read(bytes: &[u8]) -> Result<Header, StoreError> {
        #[derive(Deserialize)]
        struct Any {
            format: u32,
            moved: Option<String>,
        }
        let foreign = || {
            let why = "the header there is not one of ours, or damaged (then `meseta registry restore --replace` puts \
                       back what `meseta registry dump` wrote)";
            StoreError::Foreign(why.into())
        };
        let any: Any = serde_json::from_slice(bytes).map_err(|_| foreign())?;
        if let Some(to) = any.moved {
            return Err(StoreError::Moved(to));
        }
        if any.format > FORMAT {
            return Err(StoreError::NewerLayout { found: any.format });
        }
        serde_json::from_slice(bytes).map_err(|_| foreign())
    }
}

/// What stands in the place of the header where the registry was: former versions take it for a newer layout, and do
/// not lead.
pub fn moved(to: &str) -> Bytes {
    to_json(&serde_json::json!({ "format": FORMAT + 1, "moved": to }))
}

pub fn to_json(value: &impl Serialize) -> Bytes {
    // Our own structures always have a JSON form.
    serde_json::to_vec(value).unwrap_or_default().into()
}

pub fn number(bytes: &[u8]) -> u64 {
    find_number(bytes).unwrap_or_default()
}

fn find_number(bytes: &[u8]) -> Option<u64> {
    std::str::from_utf8(bytes).ok()?.parse().ok()
}

/// The number of a reign. A wrong one would let a former leader write again.
pub fn epoch(bytes: &[u8]) -> Result<u64, StoreError> {
    find_number(bytes).ok_or_else(|| damaged(format!("{EPOCH} is no number")))
}

/// The values of a space by key.
pub type Values = BTreeMap<String, Bytes>;

/// The registry that lies there.
pub fn assemble(values: &Values) -> Result<Registry, StoreError> {
    let redone;
    let values = match pending_redo(values)? {
        Some(writes) => {
            let mut done = values.clone();
            writes.iter().for_each(|write| apply(&mut done, write));
            redone = done;
            &redone
        }
        None => values,
    };
    let parts = parts(values)?;
    Ok(Registry::from_entries(parts.iter().map(|(key, part)| (*key, &part[..])))?)
}

/// The registry's parts, each put together of its pieces.
fn parts(values: &Values) -> Result<Vec<(&str, Bytes)>, StoreError> {
    let parts = values.iter().filter(|(key, _)| is_part(key) && !key.contains('~'));
    let whole = parts.map(|(key, value)| {
        let whole = match value.first() {
            Some(&PIECES) => joined(values, key, value)?,
            _ => value.clone(),
        };
        Ok((key.as_str(), whole))
    });
    whole.collect()
}

/// Whether a key is one of the registry's, and not one of ours.
fn is_part(key: &str) -> bool {
    !key.starts_with('_')
}

/// The parts that former versions left without a sum of their own, as this one writes them.
pub fn without_sums(values: &Values, registry: &Registry) -> Result<Vec<Change>, StoreError> {
    let parts: BTreeMap<&str, Bytes> = parts(values)?.into_iter().collect();
    let old = registry.keys().filter(|key| parts.get(&*key.to_string()).is_some_and(|value| !registry::has_sum(value)));
    Ok(old.map(|key| Change { value: registry.entry(&key), key }).collect())
}

/// What must go so that the rest can be read: whatever is a damaged part, or a piece of one, or an unfinished change.
pub fn unreadable(values: &Values) -> Vec<Write> {
    let damaged = |key: &&String| {
        let name = key.split('~').next().unwrap_or_default();
        let own = values.iter().filter(|(other, _)| other.split('~').next() == Some(name));
        let own: Values = own.map(|(key, value)| (key.clone(), value.clone())).collect();
        (is_part(key) && assemble(&own).is_err()) || is_redo(key)
    };
    values.keys().filter(damaged).cloned().map(Write::Delete).collect()
}

pub fn apply(values: &mut Values, write: &Write) {
    match write {
        Write::Create(key, value) | Write::Set(key, value) => drop(values.insert(key.clone(), value.clone())),
        Write::Delete(key) => drop(values.remove(key)),
    }
}

fn joined(values: &Values, key: &str, head: &[u8]) -> Result<Bytes, StoreError> {
    let count = number(head.get(1..).unwrap_or_default());
    let mut whole = BytesMut::new();
    for i in 0..count {
        let piece = values.get(&piece_key(key, i)).ok_or_else(|| damaged(format!("a piece of {key} is missing")))?;
        whole.extend_from_slice(piece);
    }
    Ok(whole.freeze())
}

fn piece_key(key: &str, i: u64) -> String {
    format!("{key}~{i}")
}

fn damaged(why: String) -> StoreError {
    StoreError::from(DecodeError::Damaged { what: "layout", why })
}

/// The writes that make `changes`, given the keys that exist.
pub fn writes(changes: &[Change], existing: &BTreeSet<String>) -> Vec<Write> {
    let mut writes = Vec::with_capacity(changes.len());
    for change in changes {
        let key = change.key.to_string();
        let pieces = match &change.value {
            Some(value) if value.len() > PIECE_BYTES => {
                let pieces: Vec<Bytes> = value.chunks(PIECE_BYTES).map(|piece| value.slice_ref(piece)).collect();
                let mut head = BytesMut::from(&[PIECES][..]);
                head.extend_from_slice(pieces.len().to_string().as_bytes());
                put(&mut writes, existing, key.clone(), head.freeze());
                pieces
            }
            Some(value) => {
                put(&mut writes, existing, key.clone(), value.clone());
                Vec::new()
            }
            None => {
                delete(&mut writes, existing, key.clone());
                Vec::new()
            }
        };
        let stale = (0..).map(|i| piece_key(&key, i)).skip(pieces.len()).take_while(|key| existing.contains(key));
        stale.for_each(|key| writes.push(Write::Delete(key)));
        for (i, piece) in (0..).zip(pieces) {
            put(&mut writes, existing, piece_key(&key, i), piece);
        }
    }
    writes
}

pub fn put(writes: &mut Vec<Write>, existing: &BTreeSet<String>, key: String, value: Bytes) {
    writes.push(match existing.contains(&key) {
        true => Write::Set(key, value),
        false => Write::Create(key, value),
    });
}

fn delete(writes: &mut Vec<Write>, existing: &BTreeSet<String>, key: String) {
    if existing.contains(&key) {
        writes.push(Write::Delete(key));
    }
}

pub fn fits(writes: &[Write], limits: Limits) -> bool {
    writes.len() <= limits.writes && writes.iter().map(Write::bytes).sum::<usize>() <= limits.bytes
}

/// Cuts writes into runs that each fit into one transaction beside `spare` others.
pub fn runs(writes: Vec<Write>, limits: Limits, spare: usize) -> Vec<Vec<Write>> {
    let mut runs = Vec::new();
    let mut run = Vec::new();
    let mut bytes = 0;
    for write in writes {
        let more = write.bytes();
        if !run.is_empty() && (run.len() + spare >= limits.writes || bytes + more > limits.bytes) {
            runs.push(std::mem::take(&mut run));
            bytes = 0;
        }
        bytes += more;
        run.push(write);
    }
    if !run.is_empty() {
        runs.push(run);
    }
    runs
}

/// A change that is too large for one transaction, as steps that leave either all of it or nothing: the first ones
/// write it down, the turning step makes it hold, the rest carry it out and clean up.
pub fn redo_steps(writes: Vec<Write>, existing: &BTreeSet<String>, limits: Limits) -> Vec<Vec<Write>> {
    let record = encode_writes(&writes);
    let pieces: Vec<Bytes> = record.chunks(PIECE_BYTES).map(|piece| record.slice_ref(piece)).collect();
    let mut steps = Vec::new();
    let mut present = existing.clone();
    for (i, piece) in pieces.iter().enumerate() {
        let mut step = Vec::new();
        let key = format!("{REDO}/{i}");
        put(&mut step, &present, key.clone(), piece.clone());
        present.insert(key);
        steps.push(step);
    }
    let mut turning = Vec::new();
    put(&mut turning, &present, REDO_HEAD.to_owned(), Bytes::from(pieces.len().to_string()));
    steps.push(turning);
    steps.extend(runs(writes, limits, 1));
    steps.push(vec![Write::Delete(REDO_HEAD.to_owned())]);
    let leftovers = present.iter().filter(|key| is_redo_piece(key)).cloned().map(Write::Delete).collect();
    steps.extend(runs(leftovers, limits, 1));
    steps
}

/// In ZooKeeper a node with pieces below it cannot hold their number too.
const REDO_HEAD: &str = "_redo_count";

fn is_redo(key: &str) -> bool {
    key == REDO_HEAD || is_redo_piece(key)
}

fn is_redo_piece(key: &str) -> bool {
    key.strip_prefix(REDO).is_some_and(|rest| rest.starts_with('/'))
}

/// The change that was written down and perhaps not carried out to its end.
fn pending_redo(values: &Values) -> Result<Option<Vec<Write>>, StoreError> {
    let Some(head) = values.get(REDO_HEAD) else { return Ok(None) };
    let mut record = BytesMut::new();
    for i in 0..number(head) {
        let piece = values.get(&format!("{REDO}/{i}")).ok_or_else(|| damaged(format!("{REDO}/{i} is missing")))?;
        record.extend_from_slice(piece);
    }
    decode_writes(&record).ok_or_else(|| damaged(format!("{REDO} makes no sense"))).map(Some)
}

/// What a new leader must still write to finish such a change.
pub fn finish_redo(values: &Values, limits: Limits) -> Result<Vec<Vec<Write>>, StoreError> {
    let mut present = values.clone();
    let mut writes = Vec::new();
    for write in pending_redo(values)?.unwrap_or_default() {
        let key = write.key().to_owned();
        match &write {
            Write::Create(_, value) | Write::Set(_, value) if present.contains_key(&key) => {
                writes.push(Write::Set(key, value.clone()));
            }
            Write::Create(_, value) | Write::Set(_, value) => writes.push(Write::Create(key, value.clone())),
            Write::Delete(_) if present.contains_key(&key) => writes.push(Write::Delete(key)),
            Write::Delete(_) => continue,
        }
        apply(&mut present, &write);
    }
    let mut steps = runs(writes, limits, 1);
    if values.contains_key(REDO_HEAD) {
        steps.push(vec![Write::Delete(REDO_HEAD.to_owned())]);
    }
    let leftovers = values.keys().filter(|key| is_redo_piece(key)).cloned().map(Write::Delete).collect();
    steps.extend(runs(leftovers, limits, 1));
    Ok(steps)
}

/// What a written-down change begins with; a sum follows. Those of former versions begin with their first write.
const SUMMED: u8 = b'#';

fn encode_writes(writes: &[Write]) -> Bytes {
    let mut bytes = BytesMut::from(&[SUMMED, 0, 0, 0, 0][..]);
    for write in writes {
        let (kind, value): (u8, &[u8]) = match write {
            Write::Create(_, value) => (b'C', value),
            Write::Set(_, value) => (b'S', value),
            Write::Delete(_) => (b'D', &[]),
        };
        bytes.put_u8(kind);
        for part in [write.key().as_bytes(), value] {
            bytes.put_u32(u32::try_from(part.len()).unwrap_or(u32::MAX));
            bytes.extend_from_slice(part);
        }
    }
    let sum = crc32fast::hash(&bytes[5..]);
    bytes[1..5].copy_from_slice(&sum.to_be_bytes());
    bytes.freeze()
}

fn decode_writes(mut bytes: &[u8]) -> Option<Vec<Write>> {
    let mut writes = Vec::new();
    if let [SUMMED, rest @ ..] = bytes {
        let (sum, rest) = rest.split_first_chunk::<4>()?;
        if crc32fast::hash(rest) != u32::from_be_bytes(*sum) {
            return None;
        }
        bytes = rest;
    }
    while let Some((kind, rest)) = bytes.split_first() {
        let (key, rest) = take_part(rest)?;
        let (value, rest) = take_part(rest)?;
        let key = std::str::from_utf8(key).ok()?.to_owned();
        let value = Bytes::copy_from_slice(value);
        writes.push(match kind {
            b'C' => Write::Create(key, value),
            b'S' => Write::Set(key, value),
            b'D' => Write::Delete(key),
            _ => return None,
        });
        bytes = rest;
    }
    Some(writes)
}

fn take_part(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    rest.split_at_checked(u32::from_be_bytes(*length) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { writes: 5, bytes: 300 << 10 };

    /// A store that dies after any number of steps leaves the document before the change or after it.
    #[test]
    fn a_change_in_steps_is_all_or_nothing() {
        let mut registry = Registry::default();
        let mut values = Values::new();
        let mut existing = BTreeSet::new();
        for round in 0..3_u64 {
            let before = registry.clone();
            let mut mutation = registry::Mutation::default();
            for n in 0..40 {
                let name = format!("agent-{}", n + round * 20);
                let present = registry.agents.keys().find(|id| id.as_str() == name).cloned();
                let operation = match present {
                    Some(id) => registry::Operation::RemoveAgent(id),
                    None => registry::Operation::AdmitAgent(Box::new(proto::v1::AgentInfo {
                        id: Some(proto::v1::AgentId { value: name }),
                        hostname: "x".repeat(if n == 0 { 700_000 } else { 10 }),
                        ..Default::default()
                    })),
                };
                mutation.absorb(registry::apply(&mut registry, &operation).unwrap());
            }
            let writes = writes(&registry.changes(&mutation), &existing);
            assert!(!fits(&writes, LIMITS));
            let steps = redo_steps(writes, &existing, LIMITS);
            for died_after in 0..=steps.len() {
                let mut left = values.clone();
                steps.iter().take(died_after).flatten().for_each(|write| apply(&mut left, write));
                let found = assemble(&left).unwrap();
                assert!(found == before || found == registry, "after {died_after} of {}", steps.len());
                for step in finish_redo(&left, LIMITS).unwrap() {
                    assert!(fits(&step, LIMITS));
                    step.iter().for_each(|write| apply(&mut left, write));
                }
                assert_eq!(assemble(&left).unwrap(), found);
                assert!(!left.keys().any(|key| key.starts_with(REDO)));
            }
            steps.iter().flatten().for_each(|write| apply(&mut values, write));
            existing = values.keys().cloned().collect();
        }
    }

    #[test]
    fn a_change_that_is_written_down_is_told_when_it_is_damaged() {
        let writes = vec![Write::Create("a".into(), "x".into()), Write::Delete("b".into())];
        let record = encode_writes(&writes);
        assert_eq!(decode_writes(&record), Some(writes.clone()));
        assert_eq!(decode_writes(&record[5..]), Some(writes), "as former versions wrote it");
        for bit in 8..record.len() * 8 {
            let mut damaged = record.to_vec();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode_writes(&damaged), None, "bit {bit}");
        }
        assert!(epoch(b"12").is_ok() && epoch(b"1,").is_err());
    }

    #[test]
    fn headers_of_others_and_newer_ones_are_told_apart() {
        let header = Header { format: FORMAT, cluster: "c".into(), name: None };
        assert_eq!(Header::read(&to_json(&header)).unwrap(), header);
        let newer = br#"{"format":9,"what":"ever"}"#;
        assert!(matches!(Header::read(newer), Err(StoreError::NewerLayout { found: 9 })));
        assert!(matches!(Header::read(&moved("/there")), Err(StoreError::Moved(to)) if to == "/there"));
        assert!(matches!(Header::read(b"something"), Err(StoreError::Foreign(_))));
    }
}
