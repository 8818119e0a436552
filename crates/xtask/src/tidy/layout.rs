//! How files look: each opens with what it holds, comments fit, and a crate's tests are linked once.

use std::collections::BTreeMap;

use super::sources::House;

/// Of comments, which nothing else wraps: rustfmt minds code, and long strings are data.
const WIDTH_MAX: usize = 120;

/// Test programs beside the one of their crate, and why.
const PROGRAMS_OF_THEIR_OWN: [(&str, &str); 3] = [
    ("proto/malformed.rs", "counts allocations"),
    ("containers/real_kernel.rs", "is the launcher of its containers"),
    ("transport/descriptors.rs", "lowers the limit of its process"),
];

pub fn broken(house: &House) -> Vec<String> {
    let mut broken = Vec::new();
    for file in &house.files {
        if !file.text.starts_with("//!") {
            broken.push(format!("{} does not open with `//!` and what is here", file.at(1)));
        }
        for (number, line) in file.text.lines().enumerate() {
            let width = line.chars().count();
            if width > WIDTH_MAX && line.trim_start().starts_with("//") {
                broken.push(format!("{} is {width} wide, {WIDTH_MAX} at most", file.at(number + 1)));
            }
        }
    }
    broken.extend(second_programs(house));
    broken
}

/// Each file or directory directly below `tests/` is a program, and linking one takes seconds.
fn second_programs(house: &House) -> Vec<String> {
    let mut programs: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for file in &house.files {
        let mut parts = file.path.iter().skip(2).map(|part| part.to_string_lossy().into_owned());
        if parts.next().as_deref() != Some("tests") {
            continue;
        }
        let below: Vec<String> = parts.collect();
        let is_program = below.len() == 1 || (below.len() == 2 && below[1] == "main.rs");
        let name = format!("{}/{}", file.crate_name, below[0]);
        if is_program && !PROGRAMS_OF_THEIR_OWN.iter().any(|(known, _)| *known == name) {
            programs.entry(&file.crate_name).or_default().push(below[0].clone());
        }
    }
    let twice = programs.into_iter().filter(|(_, programs)| programs.len() > 1);
    twice.map(|(name, programs)| format!("{name} has several test programs, {}", programs.join(", "))).collect()
}
