//! What the codecs know about each message: fields in declaration order with names, numbers, kinds, labels, defaults.
//!
//! The tables are written by `build/tables.rs`. `crate::wire` and `crate::json` walk them; nothing else needs to.

include!(concat!(env!("OUT_DIR"), "/tables.rs"));

/// A text in [`NAMES`]: its offset, and its length in the low eight bits.
#[derive(Clone, Copy)]
struct Text(u32);

impl Text {
    fn get(self) -> &'static str {
        let offset = (self.0 >> 8) as usize;
        &NAMES[offset..offset + (self.0 & 0xff) as usize]
    }
}

/// Handle of one message type; cheap to copy.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Descriptor(u16);

struct Message {
    full_name: Text,
    first_field: u16,
    fields: u8,
    first_number: u16,
    numbers: u16,
    demanding: bool,
    mapping: bool,
    size: u32,
}

impl Message {
    #[allow(clippy::too_many_arguments)]
    const fn new(
        full_name: u32,
        first_field: u16,
        fields: u8,
        first_number: u16,
        numbers: u16,
        demanding: bool,
        mapping: bool,
        size: usize,
    ) -> Self {
        let (full_name, size) = (Text(full_name), size as u32);
        Message { full_name, first_field, fields, first_number, numbers, demanding, mapping, size }
    }
}

impl Descriptor {
    #[cfg(test)]
    pub fn all() -> impl Iterator<Item = Descriptor> {
        (0..MESSAGES.len() as u16).map(Descriptor)
    }

    fn row(self) -> &'static Message {
        &MESSAGES[self.0 as usize]
    }

    /// As libprocess names it: `mesos.scheduler.Call`, without the version.
    pub fn full_name(self) -> &'static str {
        self.row().full_name.get()
    }

    /// The last part of the full name.
    pub fn name(self) -> &'static str {
        let name = self.full_name();
        name.rsplit_once('.').map_or(name, |(_, last)| last)
    }

    /// In declaration order, which is the order of JSON.
    pub fn fields(self) -> &'static [Field] {
        let row = self.row();
        let first = row.first_field as usize;
        &FIELDS[first..first + row.fields as usize]
    }

    /// Where in [`Self::fields`] the field with this number stands.
    pub fn position(self, number: u32) -> Option<usize> {
        let row = self.row();
        let known = number < u32::from(row.numbers);
        let position = if known { NUMBERS[usize::from(row.first_number) + number as usize] } else { 0 };
        usize::from(position).checked_sub(1)
    }

    /// Whether it, or any message it can hold, has a required field.
    pub fn is_demanding(self) -> bool {
        self.row().demanding
    }

    /// Whether it, or any message it can hold, has a map whose values have required fields.
    pub fn is_mapping(self) -> bool {
        self.row().mapping
    }

    /// What it takes in memory, in bytes, without what it points to.
    pub fn size(self) -> usize {
        self.row().size as usize
    }
}

/// One field of a message.
pub struct Field {
    name: Text,
    v0_name: Text,
    default: Text,
    number: u16,
    target: u16,
    kind: Kind,
    label: Label,
    special: Special,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Double,
    Int32,
    Int64,
    Uint32,
    Uint64,
    Bool,
    String,
    Bytes,
    Enum,
    Message,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Label {
    Optional,
    Required,
    Repeated,
    Map,
}

/// How the JSON of a field differs from the general rules, because Mesos writes the answer that holds it by hand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Special {
    None,
    /// Written even when it is empty.
    Listed,
    /// A field of v0 alone.
    V0Only,
    /// A message that keeps its v0-only fields.
    HoldsV0,
}

impl Field {
    #[allow(clippy::too_many_arguments)]
    const fn new(
        name: u32,
        v0_name: u32,
        default: u32,
        number: u16,
        target: u16,
        kind: Kind,
        label: Label,
        special: Special,
    ) -> Self {
        let (name, v0_name, default) = (Text(name), Text(v0_name), Text(default));
        Field { name, v0_name, default, number, target, kind, label, special }
    }

    pub fn name(&self) -> &'static str {
        self.name.get()
    }

    /// The name in v0: "slave" for "agent".
    pub fn v0_name(&self) -> &'static str {
        self.v0_name.get()
    }

    /// The explicit default as a JSON literal, if unset it is to be written; empty otherwise.
    pub fn default_literal(&self) -> &'static str {
        self.default.get()
    }

    pub fn number(&self) -> u32 {
        self.number.into()
    }

    pub fn kind(&self) -> Kind {
        self.kind
    }

    pub fn label(&self) -> Label {
        self.label
    }

    pub fn special(&self) -> Special {
        self.special
    }

    /// The message of a field of kind [`Kind::Message`]; the entry, for a map.
    pub fn message(&self) -> Descriptor {
        debug_assert_eq!(self.kind, Kind::Message);
        Descriptor(self.target)
    }

    /// The values of a field of kind [`Kind::Enum`].
    pub fn values(&self) -> &'static [Value] {
        debug_assert_eq!(self.kind, Kind::Enum);
        let row = &ENUMS[self.target as usize];
        let first = row.first_value as usize;
        &VALUES[first..first + row.values as usize]
    }

    pub fn value(&self, number: i32) -> Option<&'static Value> {
        let values = self.values();
        let guess = usize::try_from(number).ok().and_then(|number| values.get(number));
        guess.filter(|value| value.number == number).or_else(|| values.iter().find(|value| value.number == number))
    }
}

struct Enum {
    first_value: u16,
    values: u16,
}

impl Enum {
    const fn new(first_value: u16, values: u16) -> Self {
        Enum { first_value, values }
    }
}

/// One value of an enum.
pub struct Value {
    number: i32,
    name: Text,
    v0_name: Text,
}

impl Value {
    const fn new(number: i32, name: u32, v0_name: u32) -> Self {
        Value { number, name: Text(name), v0_name: Text(v0_name) }
    }

    pub fn number(&self) -> i32 {
        self.number
    }

    /// The name in v1; empty where v1 has none, which JSON leaves out.
    pub fn name(&self) -> &'static str {
        self.name.get()
    }

    /// The name in v0: `SOURCE_SLAVE`, `REASON_SLAVE_*`.
    pub fn v0_name(&self) -> &'static str {
        self.v0_name.get()
    }
}
