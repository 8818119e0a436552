//! A snapshot as Mesos writes it.

use std::{collections::BTreeMap, fmt::Write};

pub(super) fn write(flat: &BTreeMap<String, f64>) -> String {
    let mut out = String::with_capacity(flat.len() * 48 + 2);
    out.push('{');
    for (i, (name, value)) in flat.iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        out.push('"');
        for c in name.chars() {
            match c {
                '"' | '\\' => out.extend(['\\', c]),
                c if c.is_control() => drop(write!(out, "\\u{:04x}", u32::from(c))),
                c => out.push(c),
            }
        }
        // Shortest digits that read back the same, with a point always; writing to a String does not fail.
        let _ = write!(out, "\":{value:?}");
    }
    out.push('}');
    out
}
