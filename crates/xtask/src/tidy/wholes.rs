//! A core is one value, but not one hall: what touches a few of its tables is a method of a small part that borrows
//! just those, so that a signature says what may change. Here the methods are counted that may change everything.

use syn::{ImplItem, Item, ItemImpl, Type};

use super::sources::{File, House};

/// The cores, by crate and type, with how many methods take the whole of one by `&mut self`. No number may grow.
const KNOWN: [(&str, &str, usize); 3] =
    [("agent_core", "Agent", 116), ("allocator", "Allocator", 105), ("master_core", "Master", 110)];

pub fn broken(house: &House) -> Vec<String> {
    KNOWN.iter().filter_map(|(name, core, known)| why_broken(house, name, core, *known)).collect()
}

fn why_broken(house: &House, name: &str, core: &str, known: usize) -> Option<String> {
    let files = house.files.iter().filter(|file| file.crate_name == name && file.is_of_library());
    let count: usize = files.map(|file| methods_on_the_whole(file, core)).sum();
    if count > known {
        return Some(format!(
            "{count} methods may change all of {core}, and {known} did: let a part borrow what it needs"
        ));
    }
    (count < known).then(|| format!("only {count} methods may change all of {core}: say so in `KNOWN`"))
}

fn methods_on_the_whole(file: &File, core: &str) -> usize {
    // What does not parse does not compile either, and others say so better.
    let items = syn::parse_file(&file.text).map(|file| file.items).unwrap_or_default();
    items.iter().map(|item| of_item(item, core)).sum()
}

fn of_item(item: &Item, core: &str) -> usize {
    match item {
        Item::Impl(part) if is_of(part, core) => part.items.iter().filter(|item| changes_all(item)).count(),
        _ => 0,
    }
}

fn is_of(part: &ItemImpl, core: &str) -> bool {
    let Type::Path(path) = &*part.self_ty else { return false };
    path.path.segments.last().is_some_and(|last| last.ident == core)
}

fn changes_all(item: &ImplItem) -> bool {
    let ImplItem::Fn(method) = item else { return false };
    method.sig.receiver().is_some_and(|receiver| receiver.reference.is_some() && receiver.mutability.is_some())
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn only_methods_that_may_change_the_whole_count() {
        let text = "impl Master { fn a(&mut self) {} fn b(&self) {} fn c(mut self) {} fn d() {} }
                    impl crate::Master { pub(crate) fn e(&mut self, x: u8) -> u8 { x } }
                    impl Offers<'_> { fn f(&mut self) {} }";
        let file = File { path: PathBuf::from("crates/x/src/a.rs"), crate_name: "x".into(), text: text.into() };
        assert_eq!(methods_on_the_whole(&file, "Master"), 2);
    }
}
