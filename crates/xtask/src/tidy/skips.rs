//! Skipped tests: one that cannot run says so by `testkit::skip`, which counts it. One that prints a line of its own
//! and returns would count as passed.

use super::sources::House;

/// Where a skipped test is told: where it is counted, and programs with a main of their own, which print the lines that
/// are counted.
const TELLERS: [&str; 3] = ["crates/testkit/", "crates/xtask/", "crates/containers/tests/real_kernel.rs"];

pub fn broken(house: &House) -> Vec<String> {
    let mut broken = Vec::new();
    for file in &house.files {
        let path = file.path.to_string_lossy();
        if TELLERS.iter().any(|teller| path.starts_with(teller)) || path.contains("/examples/") {
            continue;
        }
        // Not in one piece, or this line would be a place.
        let silent = |line: &str| line.contains(concat!("println!(\"", "skipped"));
        for (number, _) in file.text.lines().enumerate().filter(|(_, line)| silent(line)) {
            broken.push(format!("{} skips a test without counting it; `testkit::skip` does", file.at(number + 1)));
        }
    }
    broken
}
