//! Writes every message and enum as flat tables of numbers: no pointers, so they cost no relocation at start and no
//! memory until read. `src/descriptor.rs` holds the types and the accessors.

use heck::{ToSnakeCase, ToUpperCamelCase};
use prost_types::{
    DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorSet,
    field_descriptor_proto::{Label, Type},
};
use std::collections::HashMap;

/// What Mesos renders by hand rather than by its general rules, as `Special` in `src/descriptor.rs` tells.
const SPECIALS: &[(&str, &str)] = &[
    (".mesos.v1.AgentInfo.checkpoint", "V0Only"),
    (".mesos.v1.master.Response.GetAgents.Agent.agent_info", "HoldsV0"),
    (".mesos.v1.master.Response.GetAgents.agents", "Listed"),
    (".mesos.v1.master.Response.GetAgents.recovered_agents", "Listed"),
    (".mesos.v1.master.Response.GetExecutors.executors", "Listed"),
    (".mesos.v1.master.Response.GetFrameworks.completed_frameworks", "Listed"),
    (".mesos.v1.master.Response.GetFrameworks.frameworks", "Listed"),
    (".mesos.v1.master.Response.GetTasks.completed_tasks", "Listed"),
    (".mesos.v1.master.Response.GetTasks.tasks", "Listed"),
    (".mesos.v1.master.Response.GetTasks.unreachable_tasks", "Listed"),
    (".mesos.v1.agent.Response.GetExecutors.completed_executors", "Listed"),
    (".mesos.v1.agent.Response.GetExecutors.executors", "Listed"),
    (".mesos.v1.agent.Response.GetFrameworks.completed_frameworks", "Listed"),
    (".mesos.v1.agent.Response.GetFrameworks.frameworks", "Listed"),
    (".mesos.v1.agent.Response.GetTasks.completed_tasks", "Listed"),
    (".mesos.v1.agent.Response.GetTasks.launched_tasks", "Listed"),
    (".mesos.v1.agent.Response.GetTasks.pending_tasks", "Listed"),
    (".mesos.v1.agent.Response.GetTasks.queued_tasks", "Listed"),
    (".mesos.v1.agent.Response.GetTasks.terminated_tasks", "Listed"),
];

/// The one message from outside that a Mesos message holds.
const DURATION: &str = ".google.protobuf.Duration";

pub fn render(set: &FileDescriptorSet) -> String {
    let mut index = Index::default();
    for file in &set.file {
        let package = format!(".{}", file.package());
        file.message_type.iter().for_each(|message| index.add_message(message, &package));
        file.enum_type.iter().for_each(|descriptor| index.add_enum(descriptor, &package));
    }
    let mut tables = Tables::default();
    tables.enums(&index);
    tables.messages(&index);
    tables.finish()
}

/// Every message and enum by its full name (with the leading dot), in the order of their definition.
#[derive(Default)]
struct Index<'a> {
    messages: Vec<(String, &'a DescriptorProto)>,
    message_of: HashMap<String, usize>,
    enums: Vec<(String, &'a EnumDescriptorProto)>,
    enum_of: HashMap<String, usize>,
}

impl<'a> Index<'a> {
    fn add_message(&mut self, message: &'a DescriptorProto, scope: &str) {
        let name = format!("{scope}.{}", message.name());
        if scope == ".google.protobuf" && name != DURATION {
            return;
        }
        self.message_of.insert(name.clone(), self.messages.len());
        self.messages.push((name.clone(), message));
        message.nested_type.iter().for_each(|nested| self.add_message(nested, &name));
        message.enum_type.iter().for_each(|nested| self.add_enum(nested, &name));
    }

    fn add_enum(&mut self, descriptor: &'a EnumDescriptorProto, scope: &str) {
        if scope.starts_with(".google.protobuf") {
            return;
        }
        let name = format!("{scope}.{}", descriptor.name());
        self.enum_of.insert(name.clone(), self.enums.len());
        self.enums.push((name, descriptor));
    }

    /// The message a field holds; for a map field its entry.
    fn target(&self, field: &FieldDescriptorProto) -> Option<usize> {
        (field.r#type() == Type::Message).then(|| self.message_of[field.type_name()])
    }

    fn is_map(&self, field: &FieldDescriptorProto) -> bool {
        self.target(field).is_some_and(|target| is_map_entry(self.messages[target].1))
    }

    /// For each message: does it, or anything it can hold, have a field that `is_such`?
    fn reaching(&self, is_such: impl Fn(&FieldDescriptorProto) -> bool) -> Vec<bool> {
        let mut reaching = vec![false; self.messages.len()];
        loop {
            let mut changed = false;
            for (at, (_, message)) in self.messages.iter().enumerate() {
                let reaches = message
                    .field
                    .iter()
                    .any(|field| is_such(field) || self.target(field).is_some_and(|target| reaching[target]));
                changed |= reaches != reaching[at];
                reaching[at] = reaches;
            }
            if !changed {
                return reaching;
            }
        }
    }
}

fn is_map_entry(message: &DescriptorProto) -> bool {
    message.options.as_ref().is_some_and(|options| options.map_entry())
}

#[derive(Default)]
struct Tables {
    names: String,
    offset_of: HashMap<String, usize>,
    messages: String,
    fields: String,
    field_count: usize,
    numbers: String,
    number_count: usize,
    enums: String,
    values: String,
    value_count: usize,
    special_count: usize,
    impls: String,
}

impl Tables {
    /// A text in the pool of names, as offset and length in one number.
    fn text(&mut self, text: &str) -> usize {
        assert!(text.len() < 256, "{text}: too long for the table");
        let names = &mut self.names;
        let offset = *self.offset_of.entry(text.to_owned()).or_insert_with(|| {
            names.push_str(text);
            names.len() - text.len()
        });
        (offset << 8) | text.len()
    }

    fn enums(&mut self, index: &Index) {
        for (name, descriptor) in &index.enums {
            let first = self.value_count;
            for value in &descriptor.value {
                let v1_name = if V0_ONLY_VALUES.contains(&value.name()) { "" } else { value.name() };
                let (name, v0_name) = (self.text(v1_name), self.text(&v0_value_name(value.name())));
                self.values += &format!("    Value::new({}, {name}, {v0_name}),\n", value.number());
                self.value_count += 1;
            }
            self.enums += &format!("    Enum::new({first}, {}), // {name}\n", descriptor.value.len());
        }
    }

    fn messages(&mut self, index: &Index) {
        let demanding = index.reaching(|field| field.label() == Label::Required);
        let mapping =
            index.reaching(|field| index.is_map(field) && index.target(field).is_some_and(|entry| demanding[entry]));
        for (at, (name, message)) in index.messages.iter().enumerate() {
            let (first_field, first_number) = (self.field_count, self.number_count);
            let highest = message.field.iter().map(|field| field.number()).max().unwrap_or(0);
            // The codecs keep sets of fields as bits of a `u128`.
            assert!(message.field.len() <= 128 && highest < 1000, "{name}: does not fit the table");
            for number in 0..=highest {
                let position = message.field.iter().position(|field| field.number() == number);
                self.numbers += &format!("{},", position.map_or(0, |position| position + 1));
                self.number_count += 1;
            }
            message.field.iter().for_each(|field| self.field(index, name, field));
            let full_name = self.text(&name[1..].replacen("mesos.v1", "mesos", 1));
            self.messages += &format!(
                "    Message::new({full_name}, {first_field}, {}, {first_number}, {}, {}, {}, {}),\n",
                message.field.len(),
                highest + 1,
                demanding[at],
                mapping[at],
                size(name, message),
            );
            if !is_map_entry(message) {
                let path = rust_path(name);
                self.impls +=
                    &format!("impl crate::Message for {path} {{ const DESCRIPTOR: Descriptor = Descriptor({at}); }}\n");
            }
        }
    }

    fn field(&mut self, index: &Index, message: &str, field: &FieldDescriptorProto) {
        let kind = format!("{:?}", field.r#type());
        let label = if index.is_map(field) { "Map".to_owned() } else { format!("{:?}", field.label()) };
        let target = match field.r#type() {
            Type::Message => index.message_of[field.type_name()],
            Type::Enum => index.enum_of[field.type_name()],
            _ => 0,
        };
        let deprecated = field.options.as_ref().is_some_and(|options| options.deprecated());
        let default = if deprecated { String::new() } else { default_literal(field) };
        let (name, v0_name) = (self.text(field.name()), self.text(&field.name().replace("agent", "slave")));
        let default = self.text(&default);
        let full_name = format!("{message}.{}", field.name());
        let special = SPECIALS.iter().find(|(name, _)| *name == full_name).map(|(_, special)| *special);
        self.special_count += usize::from(special.is_some());
        let special = special.unwrap_or("None");
        self.fields += &format!(
            "    Field::new({name}, {v0_name}, {default}, {}, {target}, Kind::{kind}, Label::{label}, Special::{special}),\n",
            field.number(),
        );
        self.field_count += 1;
    }

    fn finish(self) -> String {
        assert_eq!(self.special_count, SPECIALS.len(), "a special field does not exist");
        let Tables {
            names,
            messages,
            fields,
            field_count,
            numbers,
            number_count,
            enums,
            values,
            value_count,
            impls,
            ..
        } = self;
        let (message_count, enum_count) = (messages.lines().count(), enums.lines().count());
        format!(
            "static NAMES: &str = {names:?};\n\
             static MESSAGES: [Message; {message_count}] = [\n{messages}];\n\
             static FIELDS: [Field; {field_count}] = [\n{fields}];\n\
             static NUMBERS: [u8; {number_count}] = [{numbers}];\n\
             static ENUMS: [Enum; {enum_count}] = [\n{enums}];\n\
             static VALUES: [Value; {value_count}] = [\n{values}];\n\
             {impls}"
        )
    }
}

/// The explicit default of a field as a JSON literal; empty if it has none.
fn default_literal(field: &FieldDescriptorProto) -> String {
    let Some(default) = &field.default_value else { return String::new() };
    match field.r#type() {
        Type::String | Type::Enum => format!("{default:?}"),
        Type::Double => format!("{:?}", default.parse::<f64>().expect("protox checks defaults")),
        Type::Bytes => panic!("{}: default bytes are not supported", field.name()),
        _ => default.clone(),
    }
}

/// Values that the enums of Mesos 1.11's v1 do not have: there they have a number and no name.
const V0_ONLY_VALUES: &[&str] = &["QUOTA_V2"];

/// v0 says "slave" in these enum values only; the names of capabilities stay.
fn v0_value_name(name: &str) -> String {
    match name.strip_prefix("SOURCE_AGENT").map(|rest| ("SOURCE_SLAVE", rest)) {
        Some((prefix, rest)) => format!("{prefix}{rest}"),
        None => match name.strip_prefix("REASON_AGENT") {
            Some(rest) => format!("REASON_SLAVE{rest}"),
            None => name.to_owned(),
        },
    }
}

/// What a message takes in memory without what it points to, as a constant expression.
fn size(name: &str, message: &DescriptorProto) -> String {
    if !is_map_entry(message) {
        return format!("size_of::<{}>()", rust_path(name));
    }
    let part = |field: &FieldDescriptorProto| match field.r#type() {
        Type::Message => format!("size_of::<{}>()", rust_path(field.type_name())),
        _ => "size_of::<String>()".to_owned(),
    };
    message.field.iter().map(part).collect::<Vec<_>>().join(" + ")
}

/// The path prost gives a message.
fn rust_path(name: &str) -> String {
    if name == DURATION {
        return "prost_types::Duration".to_owned();
    }
    let (scope, name) = name[1..].rsplit_once('.').expect("a message has a package");
    let scope: Vec<String> = scope.split('.').map(|part| part.to_snake_case()).collect();
    format!("crate::{}::{}", scope.join("::"), name.to_upper_camel_case())
}
