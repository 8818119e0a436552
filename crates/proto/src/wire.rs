//! Binary messages. Decoding checks required fields on the bytes, since prost silently fills them in.

use crate::{DecodeError, Descriptor, Message, descriptor::Field, descriptor::Kind, descriptor::Label};
use bytes::Bytes;
use smallvec::SmallVec;
use std::fmt::Write;

/// How deep messages may nest; protobuf's own limit.
const MAX_DEPTH: usize = 100;

/// The list of missing fields stops growing here: its length is the peer's choice.
const MAX_MISSING_TEXT: usize = 4096;

pub fn encode<M: Message>(message: &M) -> Bytes {
    message.encode_to_vec().into()
}

pub fn decode<M: Message>(bytes: &[u8]) -> Result<M, DecodeError> {
    check_required(M::DESCRIPTOR, bytes)?;
    M::decode(bytes).map_err(|error| DecodeError::Binary(error.to_string()))
}

/// Refuses `bytes` that lack a field the message requires, with C++'s paths: `tasks[0].task_id`.
pub(crate) fn check_required(descriptor: Descriptor, bytes: &[u8]) -> Result<(), DecodeError> {
    let mut check = Check { path: String::new(), missing: String::new() };
    check.message(descriptor, bytes, MAX_DEPTH)?;
    match check.missing.is_empty() {
        true => Ok(()),
        false => Err(DecodeError::MissingFields(check.missing)),
    }
}

struct Check {
    path: String,
    missing: String,
}

impl Check {
    fn message(&mut self, descriptor: Descriptor, bytes: &[u8], depth: usize) -> Result<(), DecodeError> {
        if !descriptor.is_demanding() {
            return Ok(());
        }
        let Some(depth) = depth.checked_sub(1) else { return Err(malformed("too deep")) };
        let fields = descriptor.fields();
        let mut seen = 0u128;
        let mut nested: SmallVec<[(u32, &[u8]); 8]> = SmallVec::new();
        for entry in Entries(bytes) {
            let entry = entry?;
            let Some(position) = descriptor.position(entry.number) else { continue };
            let field = &fields[position];
            match (field.kind(), entry.payload) {
                (Kind::Enum, Payload::Varint(number)) if field.value(number as i32).is_none() => continue,
                (Kind::Message, Payload::Bytes(payload)) if field.message().is_demanding() => {
                    nested.push((entry.number, payload));
                }
                _ => {}
            }
            seen |= 1 << position;
        }
        for (position, field) in fields.iter().enumerate() {
            if field.label() == Label::Required && seen & 1 << position == 0 {
                self.report(field);
            }
        }
        nested.sort_by_key(|(number, _)| *number);
        for payloads in nested.chunk_by(|one, next| one.0 == next.0) {
            let Some(field) = descriptor.position(payloads[0].0).map(|position| &fields[position]) else { continue };
            self.field(field, payloads, depth)?;
        }
        Ok(())
    }

    /// All that the wire has for one field, in its order.
    fn field(&mut self, field: &Field, payloads: &[(u32, &[u8])], depth: usize) -> Result<(), DecodeError> {
        let length = self.path.len();
        self.path.push_str(field.name());
        if matches!(field.label(), Label::Repeated | Label::Map) {
            let stem = self.path.len();
            for (index, (_, payload)) in payloads.iter().enumerate() {
                self.path.truncate(stem);
                let _ = write!(self.path, "[{index}].");
                match field.label() {
                    Label::Map => self.map_entry(field.message(), payload, depth)?,
                    _ => self.message(field.message(), payload, depth)?,
                }
            }
        } else {
            self.path.push('.');
            match payloads {
                [(_, payload)] => self.message(field.message(), payload, depth)?,
                // A singular message that comes in parts is the sum of its parts.
                parts => {
                    let whole: Vec<u8> = parts.iter().flat_map(|(_, part)| *part).copied().collect();
                    self.message(field.message(), &whole, depth)?;
                }
            }
        }
        self.path.truncate(length);
        Ok(())
    }

    /// An entry without a value holds an empty one.
    fn map_entry(&mut self, entry: Descriptor, bytes: &[u8], depth: usize) -> Result<(), DecodeError> {
        let Some(value) = entry.position(2).map(|position| &entry.fields()[position]) else { return Ok(()) };
        let mut payload: &[u8] = &[];
        for part in Entries(bytes) {
            if let Entry { number: 2, payload: Payload::Bytes(last) } = part? {
                payload = last;
            }
        }
        self.path.push_str("value.");
        self.message(value.message(), payload, depth)
    }

    fn report(&mut self, field: &Field) {
        if self.missing.len() < MAX_MISSING_TEXT {
            let separator = if self.missing.is_empty() { "" } else { ", " };
            let _ = write!(self.missing, "{separator}{}{}", self.path, field.name());
        }
    }
}

/// One field as it stands on the wire.
pub(crate) struct Entry<'a> {
    pub number: u32,
    pub payload: Payload<'a>,
}

#[derive(Clone, Copy)]
pub(crate) enum Payload<'a> {
    Varint(u64),
    Fixed64(u64),
    /// No field of ours is of this type.
    Fixed32,
    Bytes(&'a [u8]),
    Group,
}

/// The fields of a message in the order of the wire; ends after the first error.
pub(crate) struct Entries<'a>(pub &'a [u8]);

impl<'a> Iterator for Entries<'a> {
    type Item = Result<Entry<'a>, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let entry = self.read();
        if entry.is_none() {
            self.0 = &[];
        }
        Some(entry.ok_or_else(|| malformed("truncated or broken field")))
    }
}

impl<'a> Entries<'a> {
    #[inline]
    fn read(&mut self) -> Option<Entry<'a>> {
        let key = u32::try_from(self.varint()?).ok()?;
        let payload = match key & 7 {
            0 => Payload::Varint(self.varint()?),
            1 => Payload::Fixed64(u64::from_le_bytes(self.take(8)?.try_into().ok()?)),
            2 => {
                let length = usize::try_from(self.varint()?).ok()?;
                Payload::Bytes(self.take(length)?)
            }
            3 => {
                self.skip_group(key >> 3)?;
                Payload::Group
            }
            5 => {
                self.take(4)?;
                Payload::Fixed32
            }
            _ => return None,
        };
        (key >> 3 != 0).then_some(Entry { number: key >> 3, payload })
    }

    #[inline]
    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for at in 0..10 {
            let byte = *self.0.get(at)?;
            value |= u64::from(byte & 0x7f) << (7 * at);
            if byte < 0x80 {
                self.0 = &self.0[at + 1..];
                return Some(value);
            }
        }
        None
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    /// Groups are of the past: none is defined here, so they are only stepped over.
    fn skip_group(&mut self, number: u32) -> Option<()> {
        let mut open = vec![number];
        while let Some(&innermost) = open.last() {
            let key = u32::try_from(self.varint()?).ok()?;
            match key & 7 {
                0 => drop(self.varint()?),
                1 => drop(self.take(8)?),
                2 => {
                    let length = usize::try_from(self.varint()?).ok()?;
                    self.take(length)?;
                }
                3 if open.len() < MAX_DEPTH => open.push(key >> 3),
                4 if key >> 3 == innermost => drop(open.pop()),
                5 => drop(self.take(4)?),
                _ => return None,
            }
        }
        Some(())
    }
}

fn malformed(why: &str) -> DecodeError {
    DecodeError::Binary(why.to_owned())
}

pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

pub(crate) fn put_bytes(out: &mut Vec<u8>, number: u32, payload: &[u8]) {
    put_varint(out, u64::from(number) << 3 | 2);
    put_varint(out, payload.len() as u64);
    out.extend_from_slice(payload);
}
