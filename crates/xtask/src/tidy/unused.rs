//! `pub` items that nobody names anywhere else. rustc says nothing about them, since another crate could.

use std::collections::HashMap;

use super::sources::{File, House};

/// What a `pub` item may begin with.
const ITEMS: [&str; 9] = ["fn", "struct", "enum", "const", "static", "trait", "type", "mod", "union"];

/// Published for programs that are not here.
const FOR_OTHERS: [&str; 1] = ["client"];

pub fn broken(house: &House) -> Vec<String> {
    let mut uses: HashMap<&str, usize> = HashMap::new();
    for file in &house.files {
        for word in words(&file.text) {
            *uses.entry(word).or_default() += 1;
        }
    }
    let mut broken = Vec::new();
    let of_ours = |file: &&File| file.is_of_library() && !FOR_OTHERS.contains(&file.crate_name.as_str());
    for file in house.files.iter().filter(of_ours) {
        for (number, line) in file.text.lines().enumerate() {
            if let Some(name) = public_item(line).filter(|name| uses.get(name) == Some(&1)) {
                broken.push(format!("{}: nobody uses `{name}`", file.at(number + 1)));
            }
        }
    }
    broken
}

/// Identifiers of the code: what stands in a line's comment does not use anything.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let code = text.lines().map(|line| line.split_once("//").map_or(line, |(code, _)| code));
    code.flat_map(|line| line.split(|c: char| !(c.is_alphanumeric() || c == '_')).filter(|word| !word.is_empty()))
}

/// The name that a line such as `    pub async fn name(…` makes public.
fn public_item(line: &str) -> Option<&str> {
    let rest = line.trim_start().strip_prefix("pub ")?;
    let mut words = rest.split(|c: char| !(c.is_alphanumeric() || c == '_')).filter(|word| !word.is_empty());
    let mut word = words.next()?;
    while matches!(word, "async" | "unsafe" | "extern" | "C") || (word == "const" && rest.contains("const fn")) {
        word = words.next()?;
    }
    let is_item = ITEMS.contains(&word);
    words.next().filter(|_| is_item)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_items_have_their_names_found() {
        assert_eq!(public_item("    pub async fn run(self) {"), Some("run"));
        assert_eq!(public_item("pub const fn new() -> Self {"), Some("new"));
        assert_eq!(public_item("pub const MOST: u8 = 1;"), Some("MOST"));
        assert_eq!(public_item("pub struct Place<'a> {"), Some("Place"));
        assert_eq!(public_item("    pub field: u8,"), None);
        assert_eq!(public_item("pub(crate) fn inner() {}"), None);
        assert_eq!(public_item("pub use a::b;"), None);
    }

    #[test]
    fn comments_use_nothing() {
        assert_eq!(words("a(b) // c\n/// d\ne").collect::<Vec<_>>(), ["a", "b", "e"]);
    }
}
