//! Reading JSON: a text becomes the bytes of a message, with no tree in between.
//!
//! As lenient as Mesos is: unknown fields are ignored, `null` is unset, an unknown enum name is dropped, numbers and
//! booleans may stand in strings, one value may stand for a list of one. Refusals use Mesos's words.

use crate::{
    DecodeError, Descriptor,
    descriptor::{Field, Kind, Label},
    wire::put_bytes,
    wire::put_varint,
};
use smallvec::SmallVec;
use std::borrow::Cow;

/// How deep objects and arrays may nest.
const MAX_DEPTH: usize = 200;

/// How much of the offending text an error repeats.
const MAX_NEAR: usize = 512;

/// The bytes of the message `text` says. Required fields are not checked.
pub(super) fn to_binary(descriptor: Descriptor, text: &[u8]) -> Result<Vec<u8>, DecodeError> {
    let mut reader = Reader::new(text);
    match reader.peek() {
        Some(b'{') => reader.message(descriptor, MAX_DEPTH)?,
        _ => {
            reader.skip(MAX_DEPTH)?;
            reader.refuse("Expecting a JSON object".to_owned());
        }
    }
    reader.finish()?;
    match reader.refusal {
        Some(refusal) => Err(refusal),
        None => Ok(reader.out),
    }
}

/// The same for a text that is an array of messages.
pub(super) fn to_binaries(descriptor: Descriptor, text: &[u8]) -> Result<List, DecodeError> {
    let mut reader = Reader::new(text);
    let mut ends = Vec::new();
    match reader.peek() {
        Some(b'[') => reader.array(MAX_DEPTH, |reader, depth| {
            match reader.peek() {
                Some(b'{') => reader.message(descriptor, depth)?,
                _ => {
                    reader.skip(depth)?;
                    reader.refuse("Expecting a JSON object".to_owned());
                }
            }
            ends.push(reader.out.len());
            Ok(())
        })?,
        _ => {
            reader.skip(MAX_DEPTH)?;
            reader.refuse("Unexpected JSON type parsed".to_owned());
        }
    }
    reader.finish()?;
    match reader.refusal {
        Some(refusal) => Err(refusal),
        None => Ok(List { bytes: reader.out, ends }),
    }
}

/// Messages one behind the other.
pub(super) struct List {
    bytes: Vec<u8>,
    /// Where each ends.
    ends: Vec<usize>,
}

impl List {
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| &self.bytes[start..*end])
    }
}

struct Reader<'a> {
    text: &'a [u8],
    at: usize,
    out: Vec<u8>,
    /// The first value that does not fit. A broken text counts more, so reading goes on to its end.
    refusal: Option<DecodeError>,
}

enum Number {
    Signed(i64),
    Unsigned(u64),
    Float(f64),
}

impl<'a> Reader<'a> {
    fn new(text: &'a [u8]) -> Self {
        Reader { text, at: 0, out: Vec::with_capacity(text.len() / 2), refusal: None }
    }

    fn finish(&self) -> Result<(), DecodeError> {
        let rest = &self.text[self.at..];
        if rest.iter().all(|byte| is_space(*byte)) {
            return Ok(());
        }
        let rest = String::from_utf8_lossy(&rest[..rest.len().min(MAX_NEAR)]);
        Err(DecodeError::Json(format!("Parsed JSON included non-whitespace trailing characters: {rest}")))
    }

    fn refuse(&mut self, why: String) {
        self.refusal.get_or_insert(DecodeError::Field(why));
    }

    fn refuse_type(&mut self, found: &str, field: &Field) {
        self.refuse(format!("Not expecting a JSON {found} for field '{}'", field.name()));
    }

    /// Reads `{…}` into `self.out`.
    fn message(&mut self, descriptor: Descriptor, depth: usize) -> Result<(), DecodeError> {
        let fields = descriptor.fields();
        let start = self.out.len();
        let mut spans: SmallVec<[Span; 16]> = SmallVec::new();
        let (mut seen, mut again) = (0u128, false);
        let mut expected = 0;
        self.object(depth, |reader, name, depth| {
            let named = |position: &usize| fields.get(*position).is_some_and(|field| field.name().as_bytes() == name);
            let Some(position) = Some(expected).filter(named).or_else(|| (0..fields.len()).find(named)) else {
                return reader.skip(depth);
            };
            expected = position + 1;
            let start = reader.out.len();
            reader.value(&fields[position], depth)?;
            again |= seen & 1 << position != 0;
            seen |= 1 << position;
            spans.push(Span { position, start, end: reader.out.len() });
            Ok(())
        })?;
        if again {
            self.keep_last(start, &spans);
        }
        Ok(())
    }

    /// Of a name given twice the last value counts.
    fn keep_last(&mut self, start: usize, spans: &[Span]) {
        let mut seen = 0u128;
        let is_last = |span: &&Span| {
            let first_from_behind = seen & 1 << span.position == 0;
            seen |= 1 << span.position;
            first_from_behind
        };
        let kept: Vec<&Span> = spans.iter().rev().filter(is_last).collect();
        let read = self.out.split_off(start);
        for span in kept.into_iter().rev() {
            self.out.extend_from_slice(&read[span.start - start..span.end - start]);
        }
    }

    /// Whatever stands here, as a value of `field`.
    fn value(&mut self, field: &Field, depth: usize) -> Result<(), DecodeError> {
        match self.peek() {
            Some(b'{') => match (field.label(), field.kind()) {
                (Label::Map, _) => self.map(field, depth),
                (_, Kind::Message) => self.nested(field.number(), |reader| reader.message(field.message(), depth)),
                _ => {
                    self.refuse_type("object", field);
                    self.skip(depth)
                }
            },
            Some(b'[') if matches!(field.label(), Label::Optional | Label::Required) => {
                self.refuse_type("array", field);
                self.skip(depth)
            }
            Some(b'[') => self.array(depth, |reader, depth| reader.value(field, depth)),
            Some(b'"') => {
                let text = self.string()?;
                self.put_string(field, &text);
                Ok(())
            }
            Some(b't' | b'f') => {
                let value = self.boolean()?;
                match field.kind() {
                    Kind::Bool => self.put_bool(field, value),
                    _ => self.refuse_type("boolean", field),
                }
                Ok(())
            }
            Some(b'n') => self.literal("null"),
            _ => {
                let number = self.number()?;
                match field.kind() {
                    Kind::Enum | Kind::Bool | Kind::String | Kind::Bytes | Kind::Message => {
                        self.refuse_type("number", field);
                    }
                    _ => self.put_number(field, number),
                }
                Ok(())
            }
        }
    }

    fn map(&mut self, field: &Field, depth: usize) -> Result<(), DecodeError> {
        let entry = field.message().fields();
        self.object(depth, |reader, name, depth| match entry {
            [key, value] => reader.nested(field.number(), |reader| {
                put_bytes(&mut reader.out, key.number(), name);
                reader.value(value, depth)
            }),
            _ => reader.skip(depth),
        })
    }

    /// Frames what `body` writes as the payload of a field.
    fn nested(
        &mut self,
        number: u32,
        body: impl FnOnce(&mut Self) -> Result<(), DecodeError>,
    ) -> Result<(), DecodeError> {
        put_varint(&mut self.out, u64::from(number) << 3 | 2);
        let start = self.out.len();
        self.out.push(0);
        body(self)?;
        let length = self.out.len() - start - 1;
        if length < 0x80 {
            self.out[start] = length as u8;
        } else {
            let mut prefix = Vec::with_capacity(10);
            put_varint(&mut prefix, length as u64);
            self.out.splice(start..=start, prefix);
        }
        Ok(())
    }

    fn put_string(&mut self, field: &Field, text: &[u8]) {
        match field.kind() {
            Kind::String if std::str::from_utf8(text).is_err() => {
                self.refuse(format!("Not expecting a JSON string that is not UTF-8 for field '{}'", field.name()));
            }
            Kind::String => put_bytes(&mut self.out, field.number(), text),
            Kind::Bytes => match decode_base64(text) {
                Ok(bytes) => put_bytes(&mut self.out, field.number(), &bytes),
                Err(byte) => self.refuse(format!(
                    "Failed to base64 decode bytes field '{}': Invalid character '{}'",
                    field.name(),
                    char::from(byte)
                )),
            },
            Kind::Enum => {
                if let Some(value) = field.values().iter().find(|value| is_named(value, text)) {
                    self.put_key(field, 0);
                    put_varint(&mut self.out, i64::from(value.number()) as u64);
                }
            }
            Kind::Bool => match alone(text, Reader::boolean) {
                Ok(value) => self.put_bool(field, value),
                Err(why) => self.refuse_text(field, text, "boolean", &why),
            },
            Kind::Message => self.refuse_type("string", field),
            Kind::Double if text == b"Infinity" => self.put_number(field, Number::Float(f64::INFINITY)),
            Kind::Double if text == b"-Infinity" => self.put_number(field, Number::Float(f64::NEG_INFINITY)),
            Kind::Double | Kind::Int32 | Kind::Int64 | Kind::Uint32 | Kind::Uint64 => {
                match alone(text, Reader::number) {
                    Ok(number) => self.put_number(field, number),
                    Err(why) => self.refuse_text(field, text, "number", &why),
                }
            }
        }
    }

    fn refuse_text(&mut self, field: &Field, text: &[u8], wanted: &str, why: &str) {
        let text = String::from_utf8_lossy(&text[..text.len().min(MAX_NEAR)]);
        self.refuse(format!("Failed to parse '{text}' as a JSON {wanted} for field '{}': {why}", field.name()));
    }

    fn put_key(&mut self, field: &Field, wire_type: u64) {
        put_varint(&mut self.out, u64::from(field.number()) << 3 | wire_type);
    }

    fn put_bool(&mut self, field: &Field, value: bool) {
        self.put_key(field, 0);
        self.out.push(value.into());
    }

    /// Only for fields of numbers. Like a C++ cast, what is too wide loses its upper bits, and a fraction is cut off.
    fn put_number(&mut self, field: &Field, number: Number) {
        if field.kind() == Kind::Double {
            let value = match number {
                Number::Signed(value) => value as f64,
                Number::Unsigned(value) => value as f64,
                Number::Float(value) => value,
            };
            self.put_key(field, 1);
            self.out.extend_from_slice(&value.to_bits().to_le_bytes());
            return;
        }
        let wide = match number {
            Number::Signed(value) => value as u64,
            Number::Unsigned(value) => value,
            Number::Float(value) if value < 0.0 => value as i64 as u64,
            Number::Float(value) => value as u64,
        };
        let value = match field.kind() {
            Kind::Int32 => i64::from(wide as i32) as u64,
            Kind::Uint32 => u64::from(wide as u32),
            _ => wide,
        };
        self.put_key(field, 0);
        put_varint(&mut self.out, value);
    }
}

/// The text itself.
impl<'a> Reader<'a> {
    /// The next byte that is no space.
    #[inline]
    fn peek(&mut self) -> Option<u8> {
        while let Some(&byte) = self.text.get(self.at) {
            if !is_space(byte) {
                return Some(byte);
            }
            self.at += 1;
        }
        None
    }

    fn syntax_error(&self) -> DecodeError {
        let (before, rest) = self.text.split_at(self.at.min(self.text.len()));
        let line = 1 + memchr::memchr_iter(b'\n', before).count();
        let near: Vec<u8> = rest
            .iter()
            .copied()
            .take_while(|byte| *byte != b'\n')
            .filter(|byte| *byte >= b' ')
            .take(MAX_NEAR)
            .collect();
        DecodeError::Json(format!("syntax error at line {line} near: {}", String::from_utf8_lossy(&near)))
    }

    fn expect(&mut self, byte: u8) -> Result<(), DecodeError> {
        match self.peek() {
            Some(found) if found == byte => {
                self.at += 1;
                Ok(())
            }
            _ => Err(self.syntax_error()),
        }
    }

    fn literal(&mut self, literal: &str) -> Result<(), DecodeError> {
        for byte in literal.bytes() {
            if self.text.get(self.at) != Some(&byte) {
                return Err(self.syntax_error());
            }
            self.at += 1;
        }
        Ok(())
    }

    fn boolean(&mut self) -> Result<bool, DecodeError> {
        let value = self.peek() == Some(b't');
        self.literal(if value { "true" } else { "false" })?;
        Ok(value)
    }

    /// One level down, or the error of a text that nests too deep.
    fn descend(&mut self, depth: usize) -> Result<usize, DecodeError> {
        self.at += 1;
        depth.checked_sub(1).ok_or_else(|| self.syntax_error())
    }

    fn array(
        &mut self,
        depth: usize,
        mut element: impl FnMut(&mut Self, usize) -> Result<(), DecodeError>,
    ) -> Result<(), DecodeError> {
        let depth = self.descend(depth)?;
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(());
        }
        loop {
            element(self, depth)?;
            match self.peek() {
                Some(b',') => self.at += 1,
                _ => return self.expect(b']'),
            }
        }
    }

    fn object(
        &mut self,
        depth: usize,
        mut member: impl FnMut(&mut Self, &[u8], usize) -> Result<(), DecodeError>,
    ) -> Result<(), DecodeError> {
        let depth = self.descend(depth)?;
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(());
        }
        loop {
            let name = match self.peek() {
                Some(b'"') => self.string()?,
                _ => return Err(self.syntax_error()),
            };
            self.expect(b':')?;
            member(self, &name, depth)?;
            match self.peek() {
                Some(b',') => self.at += 1,
                _ => return self.expect(b'}'),
            }
        }
    }

    fn skip(&mut self, depth: usize) -> Result<(), DecodeError> {
        match self.peek() {
            Some(b'{') => self.object(depth, |reader, _, depth| reader.skip(depth)),
            Some(b'[') => self.array(depth, |reader, depth| reader.skip(depth)),
            Some(b'"') => self.string().map(drop),
            Some(b't' | b'f') => self.boolean().map(drop),
            Some(b'n') => self.literal("null"),
            _ => self.number().map(drop),
        }
    }

    /// At an opening quote.
    fn string(&mut self) -> Result<Cow<'a, [u8]>, DecodeError> {
        self.at += 1;
        let mut unescaped: Vec<u8> = Vec::new();
        let mut plain = self.at;
        loop {
            match self.text.get(self.at) {
                Some(b'"') => {
                    let tail = &self.text[plain..self.at];
                    self.at += 1;
                    if unescaped.is_empty() {
                        return Ok(Cow::Borrowed(tail));
                    }
                    unescaped.extend_from_slice(tail);
                    return Ok(Cow::Owned(unescaped));
                }
                Some(b'\\') => {
                    unescaped.extend_from_slice(&self.text[plain..self.at]);
                    self.at += 1;
                    self.escape(&mut unescaped)?;
                    plain = self.at;
                }
                Some(byte) if *byte >= b' ' => self.at += 1,
                _ => return Err(self.syntax_error()),
            }
        }
    }

    /// After a backslash.
    fn escape(&mut self, out: &mut Vec<u8>) -> Result<(), DecodeError> {
        let Some(&byte) = self.text.get(self.at) else { return Err(self.syntax_error()) };
        self.at += 1;
        out.push(match byte {
            b'"' | b'\\' | b'/' => byte,
            b'b' => 0x08,
            b'f' => 0x0c,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => {
                let mut unit = self.hex()?;
                if (0xd800..0xdc00).contains(&unit) {
                    self.literal("\\u")?;
                    let low = self.hex()?;
                    if !(0xdc00..0xe000).contains(&low) {
                        return Err(self.syntax_error());
                    }
                    unit = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
                }
                let Some(char) = char::from_u32(unit) else { return Err(self.syntax_error()) };
                out.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
                return Ok(());
            }
            _ => return Err(self.syntax_error()),
        });
        Ok(())
    }

    fn hex(&mut self) -> Result<u32, DecodeError> {
        let mut unit = 0;
        for _ in 0..4 {
            match self.text.get(self.at).and_then(|byte| char::from(*byte).to_digit(16)) {
                Some(digit) => unit = unit << 4 | digit,
                None => return Err(self.syntax_error()),
            }
            self.at += 1;
        }
        Ok(unit)
    }

    fn number(&mut self) -> Result<Number, DecodeError> {
        if !matches!(self.peek(), Some(b'-' | b'0'..=b'9')) {
            return Err(self.syntax_error());
        }
        let rest = &self.text[self.at..];
        let of_number = |byte: &u8| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E');
        let length = rest.iter().position(|byte| !of_number(byte)).unwrap_or(rest.len());
        self.at += length;
        let token = std::str::from_utf8(&rest[..length]).map_err(|_| self.syntax_error())?;
        if let Ok(value) = token.parse() {
            return Ok(Number::Signed(value));
        }
        if let Ok(value) = token.parse() {
            return Ok(Number::Unsigned(value));
        }
        match token.parse::<f64>() {
            Ok(value) if value.is_finite() => Ok(Number::Float(value)),
            Ok(_) => Err(DecodeError::Json("Value out of range".to_owned())),
            Err(_) => Err(self.syntax_error()),
        }
    }
}

/// What one name of an object became: a range of the output.
struct Span {
    position: usize,
    start: usize,
    end: usize,
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// The only value in `text`, or in words why there is none such.
fn alone<'a, T>(text: &'a [u8], read: fn(&mut Reader<'a>) -> Result<T, DecodeError>) -> Result<T, String> {
    let mut reader = Reader::new(text);
    match read(&mut reader).and_then(|value| reader.finish().map(|()| value)) {
        Ok(value) => Ok(value),
        Err(error) => {
            let mut other = Reader::new(text);
            let is_json = other.skip(MAX_DEPTH).and_then(|()| other.finish()).is_ok();
            Err(if is_json { "Unexpected JSON type parsed".to_owned() } else { error.to_string() })
        }
    }
}

/// As lenient as Mesos: blanks are skipped, padding may lack, and what follows it does not count.
fn decode_base64(text: &[u8]) -> Result<Vec<u8>, u8> {
    let mut out = Vec::with_capacity(text.len() / 4 * 3 + 2);
    let (mut bits, mut count) = (0u32, 0);
    for &byte in text {
        let digit = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            b'=' => break,
            _ if byte.is_ascii_whitespace() => continue,
            _ => return Err(byte),
        };
        bits = bits << 6 | u32::from(digit);
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push((bits >> count) as u8);
        }
    }
    Ok(out)
}

/// Values without a name in v1 are read by that of v0.
fn is_named(value: &crate::descriptor::Value, text: &[u8]) -> bool {
    let name = if value.name().is_empty() { value.v0_name() } else { value.name() };
    name.as_bytes() == text
}
