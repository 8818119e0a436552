//! Whether all required fields are there. Prost silently fills them in, so this looks at the bytes.

use super::entries::{Entries, Entry, Payload, malformed};
use crate::{
    DecodeError, Descriptor,
    descriptor::{Field, Kind, Label},
};
use smallvec::SmallVec;
use std::fmt::Write;

/// How deep messages may nest; protobuf's own limit.
const MAX_DEPTH: usize = 100;

/// The list of missing fields stops growing here: its length is the peer's choice.
const MAX_MISSING_TEXT: usize = 4096;

/// Refuses `bytes` that lack a field the message requires, with C++'s paths: `tasks[0].task_id`.
pub(super) fn check(descriptor: Descriptor, bytes: &[u8]) -> Result<(), DecodeError> {
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
                // A value we do not know is as good as none; prost keeps the last one it meets.
                (Kind::Enum, Payload::Varint(number)) if field.value(number as i32).is_none() => {
                    seen &= !(1 << position);
                    continue;
                }
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
