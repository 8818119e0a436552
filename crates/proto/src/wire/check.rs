//! Whether bytes may be decoded: all required fields are there, which prost would silently fill in; messages nest no
//! deeper than protobuf allows; and what comes of them fits the budget. Nothing is copied for it.

use super::{
    budget::Budget,
    entries::{Entries, Payload, malformed},
};
use crate::{
    DecodeError, Descriptor,
    descriptor::{Field, Kind, Label},
};
use smallvec::SmallVec;
use std::{fmt::Write, slice};

/// How deep messages may nest; protobuf's own limit.
const MAX_DEPTH: usize = 100;

/// The list of missing fields stops growing here: its length is the peer's choice.
const MAX_MISSING_TEXT: usize = 4096;

/// Refuses `bytes` that lack a field the message requires, with C++'s paths: `tasks[0].task_id`.
pub(super) fn check(descriptor: Descriptor, bytes: &[u8], budget: &mut Budget) -> Result<(), DecodeError> {
    budget.take_message(descriptor)?;
    let mut check = Check { path: String::new(), missing: String::new(), budget };
    check.message(descriptor, &[bytes], MAX_DEPTH)?;
    match check.missing.is_empty() {
        true => Ok(()),
        false => Err(DecodeError::MissingFields(check.missing)),
    }
}

struct Check<'b> {
    path: String,
    missing: String,
    budget: &'b mut Budget,
}

impl Check<'_> {
    /// A message is the sum of the parts it comes in; most come in one.
    fn message(&mut self, descriptor: Descriptor, parts: &[&[u8]], depth: usize) -> Result<(), DecodeError> {
        if !self.matters(descriptor) {
            return Ok(());
        }
        let Some(depth) = depth.checked_sub(1) else { return Err(malformed("too deep")) };
        let fields = descriptor.fields();
        let mut seen = 0u128;
        let mut nested: SmallVec<[(u32, &[u8]); 8]> = SmallVec::new();
        for entry in parts.iter().flat_map(|part| Entries(part)) {
            let entry = entry?;
            let Some(position) = descriptor.position(entry.number) else { continue };
            let field = &fields[position];
            match (field.kind(), entry.payload) {
                // A value we do not know is as good as none; prost keeps the last one it meets.
                (Kind::Enum, Payload::Varint(number)) if field.value(number as i32).is_none() => {
                    seen &= !(1 << position);
                    continue;
                }
                (Kind::Message, Payload::Bytes(payload)) => {
                    self.budget.take_message(field.message())?;
                    if self.matters(field.message()) {
                        nested.push((entry.number, payload));
                    }
                }
                (Kind::String | Kind::Bytes, Payload::Bytes(text)) => self.budget.take_text(text)?,
                // A list of numbers may come packed; a byte is enough for one.
                (_, Payload::Bytes(packed)) => self.budget.take_numbers(packed.len())?,
                _ if field.label() == Label::Repeated => self.budget.take_numbers(1)?,
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

    /// Whether it must be looked into.
    fn matters(&self, descriptor: Descriptor) -> bool {
        descriptor.is_demanding() || self.budget.counts()
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
                    _ => self.message(field.message(), slice::from_ref(payload), depth)?,
                }
            }
        } else {
            self.path.push('.');
            let parts: SmallVec<[&[u8]; 4]> = payloads.iter().map(|(_, part)| *part).collect();
            self.message(field.message(), &parts, depth)?;
        }
        self.path.truncate(length);
        Ok(())
    }

    /// An entry without a value holds an empty one.
    fn map_entry(&mut self, entry: Descriptor, bytes: &[u8], depth: usize) -> Result<(), DecodeError> {
        let Some(value) = entry.position(2).map(|position| &entry.fields()[position]) else { return Ok(()) };
        let mut parts: SmallVec<[&[u8]; 1]> = SmallVec::new();
        for part in Entries(bytes) {
            let part = part?;
            let Payload::Bytes(payload) = part.payload else { continue };
            match (part.number, value.kind()) {
                (2, Kind::Message) => parts.push(payload),
                _ => self.budget.take_text(payload)?,
            }
        }
        if value.kind() != Kind::Message {
            return Ok(());
        }
        self.path.push_str("value.");
        self.message(value.message(), &parts, depth)
    }

    fn report(&mut self, field: &Field) {
        if self.missing.len() < MAX_MISSING_TEXT {
            let separator = if self.missing.is_empty() { "" } else { ", " };
            let _ = write!(self.missing, "{separator}{}{}", self.path, field.name());
        }
    }
}
