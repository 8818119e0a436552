//! Code in public docs is compiled and run; a library whose docs hold none says `doctest = false`. rustdoc takes
//! seconds for each library, also for one without any code, and asking for some packages only (`cargo test --doc
//! --package …`) compiles most of the house once more, because cargo unites features over what it is asked for.

use std::{collections::BTreeSet, fs};

use anyhow::{Context, Result};

use super::sources::House;
use crate::shell::root;

pub fn broken(house: &House) -> Result<Vec<String>> {
    let with_code: BTreeSet<&str> = house
        .files
        .iter()
        .filter(|file| file.is_of_library() && has_code(&file.text))
        .map(|file| file.crate_name.as_str())
        .collect();
    let mut broken = Vec::new();
    for name in &house.crates {
        let directory = root().join("crates").join(name);
        if !directory.join("src/lib.rs").is_file() {
            continue;
        }
        let manifest =
            fs::read_to_string(directory.join("Cargo.toml")).with_context(|| format!("{name}'s manifest"))?;
        let says_none = manifest.lines().any(|line| line.trim() == "doctest = false");
        match (with_code.contains(name.as_str()), says_none) {
            (true, true) => broken.push(format!("crates/{name}: `doctest = false`, but its docs hold code")),
            (false, false) => {
                broken.push(format!("crates/{name}: no code in its docs, so `doctest = false` below [lib]"))
            }
            (true, false) | (false, true) => {}
        }
    }
    Ok(broken)
}

/// Whether a fence in a doc comment opens code; one that says `text` opens a drawing.
fn has_code(text: &str) -> bool {
    let mut inside = false;
    for line in text.lines().map(str::trim_start) {
        let Some(text) = line.strip_prefix("///").or_else(|| line.strip_prefix("//!")) else { continue };
        let Some(language) = text.trim_start().strip_prefix("```") else { continue };
        if !inside && language != "text" {
            return true;
        }
        inside = !inside;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::has_code;

    #[test]
    fn only_code_in_docs_is_a_doc_test() {
        for text in ["/// ```\n/// 1;\n/// ```", "    //! ```no_run", "/// ```text\n/// ```\nfn f() {}\n/// ```rust"] {
            assert!(has_code(text), "{text}");
        }
        for text in ["/// ```text\n/// ```", "// ```", "let fence = \"```\";"] {
            assert!(!has_code(text), "{text}");
        }
    }
}
