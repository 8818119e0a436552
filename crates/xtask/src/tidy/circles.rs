//! Files of a crate use each other in one direction: who reads one needs to read what it uses, and nothing twice.
//! Looked for among the files and directories right below `src`, in the crates that were untangled.

use std::collections::{BTreeMap, BTreeSet};

use super::sources::{File, House};

const CRATES: [&str; 1] = ["containers"];

/// What each file uses of its crate.
type Uses = BTreeMap<String, BTreeSet<String>>;

pub fn broken(house: &House) -> Vec<String> {
    let mut broken = Vec::new();
    for name in CRATES {
        let files: Vec<&File> =
            house.files.iter().filter(|file| file.crate_name == name && file.is_of_library()).collect();
        let texts: Vec<(String, &str)> = files.iter().map(|file| (module(file), file.text.as_str())).collect();
        if let Some(circle) = circle(&uses(&texts)) {
            broken.push(format!("crates/{name}/src: files use each other in a circle: {}", circle.join(" -> ")));
        }
    }
    broken
}

/// `isolators` for both `isolators.rs` and `isolators/cpu.rs`.
fn module(file: &File) -> String {
    let first = file.path.iter().nth(3).map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    first.trim_end_matches(".rs").to_owned()
}

fn uses(texts: &[(String, &str)]) -> Uses {
    let modules: BTreeSet<&str> = texts.iter().map(|(name, _)| name.as_str()).collect();
    let library = texts.iter().find(|(name, _)| name == "lib").map_or("", |(_, text)| text);
    let shown = shown(library);
    let mut uses = Uses::new();
    for (name, text) in texts.iter().filter(|(name, _)| name != "lib") {
        // What tests use is no part of the shape.
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        let code: String = code.lines().filter(|line| !line.trim_start().starts_with("//")).map(with_end).collect();
        for used in named(&code) {
            let used = shown.get(&used).unwrap_or(&used);
            if used != name && modules.contains(used.as_str()) {
                uses.entry(name.clone()).or_default().insert(used.clone());
            }
        }
    }
    uses
}

fn with_end(line: &str) -> String {
    format!("{line}\n")
}

/// What follows `crate::` in code: the first part of each path, also of those in braces.
fn named(code: &str) -> Vec<String> {
    let mut named = Vec::new();
    for rest in code.split("crate::").skip(1) {
        match rest.strip_prefix('{') {
            None => named.push(first_name(rest)),
            Some(list) => named.extend(parts(list).iter().map(|part| first_name(part))),
        }
    }
    named
}

/// The parts between the commas of a list in braces, up to its end.
fn parts(list: &str) -> Vec<String> {
    let (mut parts, mut depth) = (vec![String::new()], 0);
    for c in list.chars() {
        match c {
            '}' if depth == 0 => break,
            ',' if depth == 0 => parts.push(String::new()),
            c => {
                depth += i32::from(c == '{') - i32::from(c == '}');
                parts.last_mut().into_iter().for_each(|part| part.push(c));
            }
        }
    }
    parts
}

fn first_name(path: &str) -> String {
    path.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

/// Which module the names come from that the crate shows at its root.
fn shown(library: &str) -> BTreeMap<String, String> {
    let mut shown = BTreeMap::new();
    for line in library.split("pub use ").skip(1) {
        let (module, names) = line.split(';').next().and_then(|line| line.split_once("::")).unwrap_or_default();
        let list = names.strip_prefix('{').map_or_else(|| vec![names.to_owned()], parts);
        for name in list {
            let last = name.rsplit("::").next().unwrap_or_default();
            shown.insert(first_name(if last.contains("self") { &name } else { last }), module.to_owned());
        }
    }
    shown
}

/// A way from a file back to itself, if there is one.
fn circle(uses: &Uses) -> Option<Vec<String>> {
    uses.keys().find_map(|start| {
        let mut from: BTreeMap<&str, &str> = BTreeMap::new();
        let mut next = vec![start.as_str()];
        while let Some(at) = next.pop() {
            for used in uses.get(at).into_iter().flatten() {
                if used == start {
                    let mut way = vec![start.clone(), at.to_owned()];
                    while let Some(before) = way.last().and_then(|last| from.get(last.as_str())) {
                        way.push((*before).to_owned());
                    }
                    way.reverse();
                    return Some(way);
                }
                if !from.contains_key(used.as_str()) {
                    from.insert(used, at);
                    next.push(used);
                }
            }
        }
        None
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(texts: &[(&str, &str)]) -> Option<String> {
        let texts: Vec<(String, &str)> = texts.iter().map(|(name, text)| ((*name).to_owned(), *text)).collect();
        circle(&uses(&texts)).map(|circle| circle.join(" -> "))
    }

    #[test]
    fn a_circle_is_found_through_names_that_the_crate_shows() {
        let library = "pub use a::{One, deep::Two};\npub use b::Three;\npub use c::{self, Four};";
        let a = ("a", "use crate::{Four, b::{self, x}};");
        let c = ("c", "fn f() { crate::Two::new() }");
        assert_eq!(found(&[("lib", library), a, ("b", ""), c]).as_deref(), Some("a -> c -> a"));
        assert_eq!(found(&[("lib", library), a, ("b", "use crate::Three;"), ("c", "")]), None);
        let in_words = ("c", "//! [`crate::One`]\n/// crate::One\n#[cfg(test)]\nuse crate::One;");
        assert_eq!(found(&[("lib", library), a, ("b", ""), in_words]), None);
    }
}
