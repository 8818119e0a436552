//! Values of maps that prost leaves out because they equal the default: a quota of zero `cpus`. Where they have
//! required fields, C++ refuses an entry without its value, and so does `super::check`.

use super::entries::{Entries, Payload, put_bytes, put_varint};
use crate::{
    Descriptor,
    descriptor::{Field, Kind, Label},
};

/// Whether such a value is missing.
pub(super) fn lacking(descriptor: Descriptor, bytes: &[u8]) -> bool {
    let message = |(field, payload): (&Field, &[u8])| match field.label() {
        Label::Map => is_incomplete(field, payload) || lacking(field.message(), payload),
        _ => lacking(field.message(), payload),
    };
    descriptor.is_mapping() && messages(descriptor, bytes).any(message)
}

/// The same message with such values put in.
pub(super) fn completed(descriptor: Descriptor, bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() + 16);
    let mut entries = Entries(bytes);
    loop {
        let before = entries.0;
        let Some(Ok(entry)) = entries.next() else { return out };
        let field = descriptor.position(entry.number).map(|position| &descriptor.fields()[position]);
        match (field, entry.payload) {
            (Some(field), Payload::Bytes(payload)) if field.kind() == Kind::Message => {
                let mut payload = completed(field.message(), payload);
                if field.label() == Label::Map && is_incomplete(field, &payload) {
                    put_empty(&field.message().fields()[1], &mut payload);
                }
                put_bytes(&mut out, entry.number, &payload);
            }
            _ => out.extend_from_slice(&before[..before.len() - entries.0.len()]),
        }
    }
}

/// The messages directly in a message, with their fields.
fn messages(descriptor: Descriptor, bytes: &[u8]) -> impl Iterator<Item = (&'static Field, &[u8])> {
    Entries(bytes).map_while(Result::ok).filter_map(move |entry| {
        let field = &descriptor.fields()[descriptor.position(entry.number)?];
        match entry.payload {
            Payload::Bytes(payload) if field.kind() == Kind::Message => Some((field, payload)),
            _ => None,
        }
    })
}

fn is_incomplete(map: &Field, entry: &[u8]) -> bool {
    map.message().is_demanding() && !Entries(entry).map_while(Result::ok).any(|part| part.number == 2)
}

/// A field with nothing in it but what it requires.
fn put_empty(field: &Field, out: &mut Vec<u8>) {
    let key = u64::from(field.number()) << 3;
    match field.kind() {
        Kind::Message => {
            let mut payload = Vec::new();
            let required = field.message().fields().iter().filter(|field| field.label() == Label::Required);
            required.for_each(|field| put_empty(field, &mut payload));
            put_bytes(out, field.number(), &payload);
        }
        Kind::String | Kind::Bytes => put_bytes(out, field.number(), &[]),
        Kind::Double => {
            put_varint(out, key | 1);
            out.extend_from_slice(&[0; 8]);
        }
        Kind::Enum => {
            put_varint(out, key);
            put_varint(out, field.values().first().map_or(0, |value| i64::from(value.number()) as u64));
        }
        Kind::Int32 | Kind::Int64 | Kind::Uint32 | Kind::Uint64 | Kind::Bool => {
            put_varint(out, key);
            put_varint(out, 0);
        }
    }
}
