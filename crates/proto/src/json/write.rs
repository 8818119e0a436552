//! Writing JSON: the streaming [`Writer`], and the rendering of binary messages with it.

use super::float;
use crate::{
    Descriptor, Message, decimal,
    descriptor::{Field, Kind, Label, Special},
    wire::{self, Entries, Payload},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use smallvec::{SmallVec, smallvec};

/// What can be written as one JSON value.
pub trait ToJson {
    fn write_json(&self, writer: &mut Writer);
}

/// Writes one JSON value piece by piece into memory; it sets the commas.
///
/// ```
/// # use proto::json::Writer;
/// let mut writer = Writer::new();
/// writer.object(|writer| {
///     writer.field("name", "sleep");
///     writer.field("cpus", &0.5);
///     writer.array_field("roles", ["a", "b"], |writer, role| writer.value(role));
/// });
/// assert_eq!(writer.into_string(), r#"{"name":"sleep","cpus":0.5,"roles":["a","b"]}"#);
/// ```
#[derive(Debug, Default)]
pub struct Writer {
    out: Vec<u8>,
    /// Whether a value stands before the place of the next one in the same object or array.
    follows: bool,
    /// Whether messages are written in the words of v0: `slave_id`, `REASON_SLAVE_REMOVED`.
    v0_names: bool,
    /// Whether fields of v0 alone are written.
    v0_fields: bool,
}

impl Writer {
    pub fn new() -> Self {
        Writer::default()
    }

    /// A writer whose messages speak v0.
    pub fn v0() -> Self {
        Writer { v0_names: true, v0_fields: true, ..Writer::default() }
    }

    pub fn into_bytes(self) -> Vec<u8> {
        self.out
    }

    pub fn into_string(self) -> String {
        String::from_utf8(self.out).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
    }

    /// Bytes written so far.
    pub fn len(&self) -> usize {
        self.out.len()
    }

    pub fn is_empty(&self) -> bool {
        self.out.is_empty()
    }

    pub fn object(&mut self, body: impl FnOnce(&mut Self)) {
        self.open(b'{');
        body(self);
        self.close(b'}');
    }

    pub fn array(&mut self, body: impl FnOnce(&mut Self)) {
        self.open(b'[');
        body(self);
        self.close(b']');
    }

    /// The name of the next value; only inside an object.
    pub fn key(&mut self, name: &str) {
        self.separate();
        self.put_string(name.as_bytes());
        self.out.push(b':');
        self.follows = false;
    }

    pub fn field(&mut self, name: &str, value: &(impl ToJson + ?Sized)) {
        self.key(name);
        value.write_json(self);
    }

    /// Nothing at all if there is no value.
    pub fn optional_field(&mut self, name: &str, value: Option<&(impl ToJson + ?Sized)>) {
        if let Some(value) = value {
            self.field(name, value);
        }
    }

    pub fn object_field(&mut self, name: &str, body: impl FnOnce(&mut Self)) {
        self.key(name);
        self.object(body);
    }

    /// An array of what `item` writes for each of `items`; written even when empty.
    pub fn array_field<I: IntoIterator>(&mut self, name: &str, items: I, mut item: impl FnMut(&mut Self, I::Item)) {
        self.key(name);
        self.array(|writer| items.into_iter().for_each(|each| item(writer, each)));
    }

    pub fn value(&mut self, value: &(impl ToJson + ?Sized)) {
        value.write_json(self);
    }

    pub fn null(&mut self) {
        self.scalar(|out| out.extend_from_slice(b"null"));
    }

    pub fn string(&mut self, text: &str) {
        self.separate();
        self.put_string(text.as_bytes());
        self.follows = true;
    }

    /// A text that is JSON already.
    pub fn raw(&mut self, json: &str) {
        self.scalar(|out| out.extend_from_slice(json.as_bytes()));
    }

    pub fn message<M: Message>(&mut self, message: &M) {
        self.binary(M::DESCRIPTOR, &wire::encode_to_vec(message));
    }

    fn open(&mut self, bracket: u8) {
        self.separate();
        self.out.push(bracket);
        self.follows = false;
    }

    fn close(&mut self, bracket: u8) {
        self.out.push(bracket);
        self.follows = true;
    }

    fn separate(&mut self) {
        if self.follows {
            self.out.push(b',');
        }
    }

    fn scalar(&mut self, put: impl FnOnce(&mut Vec<u8>)) {
        self.separate();
        put(&mut self.out);
        self.follows = true;
    }

    fn put_string(&mut self, text: &[u8]) {
        self.out.reserve(text.len() + 2);
        self.out.push(b'"');
        let mut plain = 0;
        for (at, &byte) in text.iter().enumerate() {
            if byte >= b' ' && byte != b'"' && byte != b'\\' {
                continue;
            }
            self.out.extend_from_slice(&text[plain..at]);
            plain = at + 1;
            let short = match byte {
                b'"' | b'\\' => byte,
                b'\n' => b'n',
                b'\r' => b'r',
                b'\t' => b't',
                0x08 => b'b',
                0x0c => b'f',
                _ => {
                    const HEX: &[u8; 16] = b"0123456789ABCDEF";
                    self.out.extend_from_slice(b"\\u00");
                    self.out.extend([HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
                    continue;
                }
            };
            self.out.extend([b'\\', short]);
        }
        self.out.extend_from_slice(&text[plain..]);
        self.out.push(b'"');
    }
}

/// Messages, from their bytes. These come from prost, so what does not fit is no peer's doing and is left out.
impl Writer {
    fn binary(&mut self, descriptor: Descriptor, bytes: &[u8]) {
        self.open(b'{');
        self.fields(descriptor, bytes);
        self.close(b'}');
    }

    fn fields(&mut self, descriptor: Descriptor, bytes: &[u8]) {
        let fields = descriptor.fields();
        // The wire is in the order of numbers: first find where each field's entries are.
        let mut spans: SmallVec<[(u32, u32); 32]> = smallvec![(0, 0); fields.len()];
        let mut entries = Entries(bytes);
        let mut start = 0;
        while let Some(Ok(entry)) = entries.next() {
            let end = bytes.len() - entries.0.len();
            if let Some(span) = descriptor.position(entry.number).and_then(|position| spans.get_mut(position)) {
                *span = (if span.1 == 0 { start as u32 } else { span.0 }, end as u32);
            }
            start = end;
        }
        for (field, (start, end)) in fields.iter().zip(spans) {
            let span = bytes.get(start as usize..end as usize).unwrap_or_default();
            self.field_of_message(field, span);
        }
    }

    fn field_of_message(&mut self, field: &Field, span: &[u8]) {
        match field.special() {
            Special::V0Only if !self.v0_fields => {}
            Special::HoldsV0 => {
                let outer = std::mem::replace(&mut self.v0_fields, true);
                self.known_field(field, span);
                self.v0_fields = outer;
            }
            _ => self.known_field(field, span),
        }
    }

    fn known_field(&mut self, field: &Field, span: &[u8]) {
        let payloads =
            || Entries(span).map_while(Result::ok).filter(|entry| entry.number == field.number()).map(|e| e.payload);
        let name = if self.v0_names { field.v0_name() } else { field.name() };
        match field.label() {
            Label::Repeated | Label::Map if span.is_empty() && field.special() != Special::Listed => {}
            Label::Repeated => self.array_field(name, payloads(), |writer, payload| writer.payload(field, payload)),
            Label::Map => {
                self.object_field(name, |writer| payloads().for_each(|payload| writer.map_entry(field, payload)));
            }
            Label::Optional | Label::Required => {
                let known = |payload: &Payload| match *payload {
                    Payload::Varint(number) => field.kind() != Kind::Enum || self.value_name(field, number).is_some(),
                    _ => true,
                };
                match payloads().last().filter(known) {
                    Some(payload) => {
                        self.key_of_message(name);
                        self.payload(field, payload);
                    }
                    None if field.default_literal().is_empty() => {}
                    None => {
                        self.key_of_message(name);
                        self.raw(field.default_literal());
                    }
                }
            }
        }
    }

    /// Names of fields need no escaping.
    fn key_of_message(&mut self, name: &str) {
        self.out.reserve(name.len() + 4);
        self.separate();
        self.out.push(b'"');
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
        self.follows = false;
    }

    fn map_entry(&mut self, map: &Field, payload: Payload) {
        let Payload::Bytes(bytes) = payload else { return };
        let (mut key, mut value) = (&[][..], None);
        for entry in Entries(bytes).map_while(Result::ok) {
            match (entry.number, entry.payload) {
                (1, Payload::Bytes(bytes)) => key = bytes,
                (2, payload) => value = Some(payload),
                _ => {}
            }
        }
        let Some(field) = map.message().fields().get(1) else { return };
        self.separate();
        self.put_string(key);
        self.out.push(b':');
        self.follows = false;
        self.payload(field, value.unwrap_or(Payload::Bytes(&[])));
    }

    fn payload(&mut self, field: &Field, payload: Payload) {
        match (field.kind(), payload) {
            (Kind::Message, Payload::Bytes(bytes)) => self.binary(field.message(), bytes),
            (Kind::String, Payload::Bytes(bytes)) => {
                self.separate();
                self.put_string(bytes);
                self.follows = true;
            }
            (Kind::Bytes, Payload::Bytes(bytes)) => self.base64(bytes),
            (Kind::Double, Payload::Fixed64(bits)) => f64::from_bits(bits).write_json(self),
            (Kind::Bool, Payload::Varint(value)) => (value != 0).write_json(self),
            (Kind::Int32 | Kind::Int64, Payload::Varint(value)) => (value as i64).write_json(self),
            (Kind::Uint32 | Kind::Uint64, Payload::Varint(value)) => value.write_json(self),
            (Kind::Enum, Payload::Varint(value)) => {
                if let Some(name) = self.value_name(field, value) {
                    self.string(name);
                }
            }
            _ => {}
        }
    }

    fn value_name(&self, field: &Field, number: u64) -> Option<&'static str> {
        let value = field.value(number as i32)?;
        Some(if self.v0_names { value.v0_name() } else { value.name() }).filter(|name| !name.is_empty())
    }

    fn base64(&mut self, bytes: &[u8]) {
        self.scalar(|out| {
            out.push(b'"');
            let start = out.len();
            out.resize(start + bytes.len().div_ceil(3) * 4, 0);
            // The space is exactly what the encoding takes.
            let written = STANDARD.encode_slice(bytes, &mut out[start..]).unwrap_or(0);
            out.truncate(start + written);
            out.push(b'"');
        });
    }
}

impl<M: Message> ToJson for M {
    fn write_json(&self, writer: &mut Writer) {
        writer.message(self);
    }
}

impl ToJson for str {
    fn write_json(&self, writer: &mut Writer) {
        writer.string(self);
    }
}

impl ToJson for String {
    fn write_json(&self, writer: &mut Writer) {
        writer.string(self);
    }
}

impl ToJson for bool {
    fn write_json(&self, writer: &mut Writer) {
        writer.raw(if *self { "true" } else { "false" });
    }
}

impl ToJson for f64 {
    fn write_json(&self, writer: &mut Writer) {
        writer.scalar(|out| float::put(out, *self));
    }
}

macro_rules! whole_numbers {
    ($($type:ty => $put:ident as $wide:ty,)*) => {
        $(impl ToJson for $type {
            fn write_json(&self, writer: &mut Writer) {
                writer.scalar(|out| decimal::$put(out, *self as $wide));
            }
        })*
    };
}

whole_numbers! {
    i32 => put_i64 as i64,
    i64 => put_i64 as i64,
    u16 => put_u64 as u64,
    u32 => put_u64 as u64,
    u64 => put_u64 as u64,
    usize => put_u64 as u64,
}

impl<T: ToJson> ToJson for [T] {
    fn write_json(&self, writer: &mut Writer) {
        writer.array(|writer| self.iter().for_each(|item| item.write_json(writer)));
    }
}

impl<T: ToJson> ToJson for Vec<T> {
    fn write_json(&self, writer: &mut Writer) {
        self[..].write_json(writer);
    }
}
