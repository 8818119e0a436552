//! How many tests passed, failed and were skipped, read from what test programs print and from what tests wrote down
//! with `testkit::skip`. A skip is fine on a developer's machine; on CI only the expected ones are.

use std::{collections::BTreeMap, fs, path::Path};

/// Reasons for which a test may be skipped on CI: each waits for something that cannot be installed.
const EXPECTED: [&str; 1] = ["needs Mesos's own driver"];

#[derive(Default)]
pub struct Tally {
    pub passed: u64,
    pub failed: u64,
    /// Which tests, and why.
    pub skipped: BTreeMap<String, String>,
}

impl Tally {
    /// Adds what a test program printed. One that ended badly without saying so, or said nothing at all, has failed.
    pub fn add(&mut self, program: &str, output: &str, succeeded: bool) {
        let (failed_before, mut closed) = (self.failed, false);
        for line in output.lines() {
            if let Some(result) = line.strip_prefix("test result: ") {
                closed = true;
                self.add_result(result);
            } else if let Some((test, reason)) = skipped(line) {
                self.skipped.insert(format!("{program}::{test}"), reason.to_owned());
            }
        }
        if !closed || (!succeeded && self.failed == failed_before) {
            println!("{program}: ended without a result that counts");
            self.failed += 1;
        }
    }

    /// Adds a line such as `ok. 5 passed; 0 failed; 1 ignored; …`. What is ignored was told line by line.
    fn add_result(&mut self, result: &str) {
        for part in result.split([';', '.']) {
            let mut words = part.split_whitespace();
            let (Some(Ok(count)), Some(word)) = (words.next().map(str::parse::<u64>), words.next()) else { continue };
            match word {
                "passed" => self.passed += count,
                "failed" => self.failed += count,
                _ => {}
            }
        }
    }

    /// Takes the tests that skipped themselves, which their programs counted as passed, from the file they wrote.
    pub fn add_written(&mut self, file: &Path) {
        for line in fs::read_to_string(file).unwrap_or_default().lines() {
            let (test, reason) = line.split_once('\t').unwrap_or((line, "no reason"));
            // A test may skip several parts.
            if self.skipped.insert(test.to_owned(), reason.to_owned()).is_none() {
                self.passed = self.passed.saturating_sub(1);
            }
        }
    }

    pub fn unexpected(&self) -> impl Iterator<Item = (&String, &String)> {
        self.skipped.iter().filter(|(_, reason)| !EXPECTED.iter().any(|expected| reason.contains(expected)))
    }

    pub fn closing(&self) -> String {
        format!("{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped.len())
    }
}

/// `test NAME ... ignored, REASON` of Rust's own runner, and `test NAME ... skipped: REASON` of ours.
fn skipped(line: &str) -> Option<(&str, &str)> {
    let (test, rest) = line.strip_prefix("test ")?.split_once(" ... ")?;
    let reason = rest.strip_prefix("ignored").or_else(|| rest.strip_prefix("skipped"))?;
    Some((test, reason.trim_start_matches([',', ':', ' '])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_and_skips_are_counted() {
        let mut tally = Tally::default();
        let output = "test a ... ok\ntest b ... ignored, needs Mesos's own driver\ntest c ... skipped: needs root\n\
                      test result: ok. 1 passed; 0 failed; 2 ignored; 0 measured\n";
        tally.add("x", output, true);
        assert_eq!(tally.closing(), "1 passed, 0 failed, 2 skipped");
        let unexpected: Vec<_> = tally.unexpected().map(|(test, reason)| (test.as_str(), reason.as_str())).collect();
        assert_eq!(unexpected, [("x::c", "needs root")]);
    }

    #[test]
    fn a_program_that_dies_is_a_failure() {
        let mut tally = Tally::default();
        tally.add("x", "test a ... ", false);
        tally.add("y", "test result: ok. 3 passed; 0 failed; 0 ignored\n", false);
        tally.add("z", "test result: FAILED. 1 passed; 2 failed; 0 ignored\n", false);
        assert_eq!((tally.passed, tally.failed), (4, 4));
    }

    #[test]
    fn a_test_that_skipped_itself_did_not_pass() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        fs::write(file.path(), "t::a\tneeds root\nt::a\tneeds etcd\n").expect("writable");
        let mut tally = Tally::default();
        tally.add("x", "test result: ok. 2 passed; 0 failed; 0 ignored\n", true);
        tally.add_written(file.path());
        assert_eq!(tally.closing(), "1 passed, 0 failed, 1 skipped");
    }
}
