//! The numbers, labels, types and defaults of every message against `testdata/fields.txt`, a table of the facts of
//! Mesos's wire format that was not made from `proto/*.proto`. In the order of declaration, which is the order of JSON.
//! What is not Mesos's stands out by its number.

use prost_types::{
    DescriptorProto, EnumDescriptorProto, FieldDescriptorProto,
    field_descriptor_proto::{Label, Type},
};
use std::{collections::BTreeMap, error::Error, fs, path::Path};

/// Fields, and values of enums, from here on are ours.
const OUR_FIELDS: i32 = 901;
const OUR_VALUES: i32 = 10_001;

/// Each message or enum by its full name, with a line for each field or value.
type Table = BTreeMap<String, Vec<String>>;

fn expected(root: &Path) -> Result<Table, Box<dyn Error>> {
    let mut table = Table::new();
    let mut name = String::new();
    for line in fs::read_to_string(root.join("testdata/fields.txt"))?.lines() {
        match line.strip_prefix("  ") {
            Some(field) => table.entry(name.clone()).or_default().push(field.to_owned()),
            None => {
                name = line.to_owned();
                table.insert(name.clone(), Vec::new());
            }
        }
    }
    Ok(table)
}

fn compiled(root: &Path) -> Result<Table, Box<dyn Error>> {
    let folder = root.join("proto");
    let files: Vec<_> =
        fs::read_dir(&folder)?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
    let set = protox::compile(files, [folder])?;
    let mut table = Table::new();
    for file in set.file.iter().filter(|file| file.package().starts_with("mesos")) {
        file.message_type.iter().for_each(|message| add_message(&mut table, file.package(), message));
        file.enum_type.iter().for_each(|descriptor| add_enum(&mut table, file.package(), descriptor));
    }
    Ok(table)
}

fn add_message(table: &mut Table, scope: &str, message: &DescriptorProto) {
    let name = format!("{scope}.{}", message.name());
    let oneof = |field: &FieldDescriptorProto| {
        field.oneof_index.map_or("", |index| message.oneof_decl[index as usize].name()).to_owned()
    };
    table.insert(
        name.clone(),
        message
            .field
            .iter()
            .filter(|field| field.number() < OUR_FIELDS)
            .map(|field| line(field, &oneof(field)))
            .collect(),
    );
    message.nested_type.iter().for_each(|nested| add_message(table, &name, nested));
    message.enum_type.iter().for_each(|nested| add_enum(table, &name, nested));
}

fn add_enum(table: &mut Table, scope: &str, descriptor: &EnumDescriptorProto) {
    let theirs = descriptor.value.iter().filter(|value| value.number() < OUR_VALUES);
    let values = theirs.map(|value| format!("{} {}", value.number(), value.name())).collect();
    table.insert(format!("{scope}.{}", descriptor.name()), values);
}

fn line(field: &FieldDescriptorProto, oneof: &str) -> String {
    let label = match field.label() {
        Label::Required => "required",
        Label::Optional => "optional",
        Label::Repeated => "repeated",
    };
    let scalar = format!("{:?}", field.r#type()).to_lowercase();
    let named = matches!(field.r#type(), Type::Message | Type::Enum);
    let kind = if named { field.type_name().trim_start_matches('.') } else { &scalar };
    let mut line = format!("{} {label} {kind} {}", field.number(), field.name());
    if let Some(default) = &field.default_value {
        line += &format!(" ={default}");
    }
    if field.options.as_ref().is_some_and(|options| options.deprecated()) {
        line += " deprecated";
    }
    if !oneof.is_empty() {
        line += &format!(" oneof:{oneof}");
    }
    line
}

#[test]
fn every_field_is_as_mesos_has_it() -> Result<(), Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (expected, compiled) = (expected(root)?, compiled(root)?);
    assert!(expected.len() > 400);
    let names = |table: &Table| table.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&compiled), names(&expected), "which messages there are");
    for (name, lines) in &compiled {
        assert_eq!(lines, &expected[name], "{name}");
    }
    Ok(())
}
