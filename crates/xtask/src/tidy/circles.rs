//! Files of a crate use each other one way. Two that use each other, directly or by way of others, can only be
//! understood together, however small each is.

use std::collections::{BTreeMap, BTreeSet};

use syn::{Item, UseTree};

use super::sources::{File, House};

/// Where a file is in its crate's tree of modules: `["world", "machine"]`.
type Module = Vec<String>;

/// The crate's files, and which each uses by name. What `lib.rs` hands on is not followed: nearly everything is.
type Uses = BTreeMap<Module, BTreeSet<Module>>;

/// Circles that are known, by their crates, and how many files are in them. No crate may be added, and no number grow.
const KNOWN: [(&str, usize); 6] =
    [("allocator", 13), ("charts", 2), ("cli", 4), ("registry", 4), ("sim", 8), ("transport", 2)];

pub fn broken(house: &House) -> Vec<String> {
    let mut broken = Vec::new();
    for name in &house.crates {
        let files: Vec<&File> =
            house.files.iter().filter(|file| file.crate_name == *name && file.is_of_library()).collect();
        let found = circles(&uses(&files));
        let members: usize = found.iter().map(Vec::len).sum();
        let known = KNOWN.iter().find(|(known, _)| known == name).map_or(0, |(_, count)| *count);
        if members > known {
            broken.extend(found.iter().map(|circle| {
                let files: Vec<String> = circle.iter().map(|module| module.join("/")).collect();
                format!("in {name}, {} use each other", files.join(", "))
            }));
        } else if members < known {
            broken.push(format!("only {members} files of {name} are in circles: say so in `KNOWN`"));
        }
    }
    broken
}

fn uses(files: &[&File]) -> Uses {
    let modules: BTreeMap<Module, &File> = files.iter().map(|file| (module(file), *file)).collect();
    let known: BTreeSet<Module> = modules.keys().filter(|module| !module.is_empty()).cloned().collect();
    let mut uses = Uses::new();
    for (module, file) in &modules {
        // What does not parse does not compile either, and others say so better.
        let items = syn::parse_file(&file.text).map(|file| file.items).unwrap_or_default();
        let mut used = BTreeSet::new();
        for item in items {
            if let Item::Use(item) = item {
                for path in paths(&item.tree) {
                    // A part may use the file that it is a part of.
                    used.extend(resolve(module, &path, &known).filter(|target| !module.starts_with(target)));
                }
            }
        }
        uses.insert(module.clone(), used);
    }
    uses
}

fn module(file: &File) -> Module {
    // crates/NAME/src/a/b.rs
    let mut parts: Module =
        file.path.with_extension("").iter().skip(3).map(|part| part.to_string_lossy().into_owned()).collect();
    if parts.last().is_some_and(|last| matches!(last.as_str(), "lib" | "main" | "mod")) {
        parts.pop();
    }
    parts
}

/// Each path that a `use` names, one by one.
fn paths(tree: &UseTree) -> Vec<Vec<String>> {
    match tree {
        UseTree::Path(path) => {
            let mut paths = paths(&path.tree);
            paths.iter_mut().for_each(|rest| rest.insert(0, path.ident.to_string()));
            paths
        }
        UseTree::Name(name) => vec![vec![name.ident.to_string()]],
        UseTree::Rename(rename) => vec![vec![rename.ident.to_string()]],
        UseTree::Glob(_) => vec![Vec::new()],
        UseTree::Group(group) => group.items.iter().flat_map(paths).collect(),
    }
}

/// The file of this crate where what `path` names is, as seen from `from`.
fn resolve(from: &Module, path: &[String], known: &BTreeSet<Module>) -> Option<Module> {
    let mut rest = path;
    let mut whole: Module = match rest.first().map(String::as_str) {
        Some("crate") => {
            rest = &rest[1..];
            Vec::new()
        }
        Some("self" | "super") => from.clone(),
        // A module of its own, or another crate.
        Some(first) => {
            let own: Module = from.iter().cloned().chain([first.to_owned()]).collect();
            known.contains(&own).then(|| from.clone())?
        }
        None => return None,
    };
    while let Some(first) = rest.first().filter(|first| matches!(first.as_str(), "self" | "super")) {
        if first == "super" {
            whole.pop();
        }
        rest = &rest[1..];
    }
    whole.extend(rest.iter().cloned());
    while !known.contains(&whole) {
        whole.pop()?;
    }
    Some(whole)
}

/// Groups of more than one file where each reaches each.
fn circles(uses: &Uses) -> Vec<Vec<Module>> {
    let reached: BTreeMap<&Module, BTreeSet<&Module>> =
        uses.keys().map(|module| (module, reach(module, uses))).collect();
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    for module in uses.keys() {
        if seen.contains(module) || !reached[module].contains(module) {
            continue;
        }
        let circle = reached[module].iter().filter(|other| reached[**other].contains(module));
        let circle: Vec<Module> = circle.map(|other| (*other).clone()).collect();
        seen.extend(circle.iter().cloned());
        found.push(circle);
    }
    found
}

/// What is used from `start` on; itself only if somebody of these uses it.
fn reach<'a>(start: &Module, uses: &'a Uses) -> BTreeSet<&'a Module> {
    let mut reached = BTreeSet::new();
    let mut open: Vec<&Module> = uses[start].iter().collect();
    while let Some(module) = open.pop() {
        if reached.insert(module) {
            open.extend(uses.get(module).into_iter().flatten());
        }
    }
    reached
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn file(path: &str, text: &str) -> File {
        let path = PathBuf::from(format!("crates/x/src/{path}"));
        File { path, crate_name: "x".into(), text: text.into() }
    }

    #[test]
    fn files_that_use_each_other_by_way_of_a_third_are_a_circle() {
        let files = [
            file("lib.rs", "pub use a::A;"),
            file("a.rs", "use crate::{b::{B, c}, std::x};"),
            file("b.rs", "use c::C;"),
            file("b/c.rs", "use super::{super::a::A, B}; use crate::A;"),
            file("d.rs", "use crate::a; use super::b::*;"),
        ];
        let uses = uses(&files.iter().collect::<Vec<_>>());
        let names = |modules: &[Module]| modules.iter().map(|module| module.join("/")).collect::<Vec<_>>();
        let found: Vec<_> = circles(&uses).iter().map(|circle| names(circle)).collect();
        assert_eq!(found, [["a", "b", "b/c"]]);
        assert_eq!(names(&uses[&vec!["d".to_owned()]].iter().cloned().collect::<Vec<_>>()), ["a", "b"]);
    }

    #[test]
    fn a_test_may_use_what_uses_its_file() {
        let files = [file("a.rs", "#[cfg(test)] mod tests { use crate::b::B; }"), file("b.rs", "use crate::a::A;")];
        assert_eq!(circles(&uses(&files.iter().collect::<Vec<_>>())), Vec::<Vec<Module>>::new());
    }
}
