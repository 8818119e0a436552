//! Two transcripts side by side, step by step; and the list of differences that are meant.

use std::collections::BTreeSet;

/// What one step did, line by line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    pub title: String,
    pub lines: Vec<String>,
}

/// A line that only one of two transcripts has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    Missing(String),
    Added(String),
}

impl std::fmt::Display for Change {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Change::Missing(line) => write!(f, "- {line}"),
            Change::Added(line) => write!(f, "+ {line}"),
        }
    }
}

pub fn print(told: &[Told]) -> String {
    let mut text = String::new();
    for step in told {
        text.push_str(&format!("== {}\n", step.title));
        for line in &step.lines {
            text.push_str(line);
            text.push('\n');
        }
        text.push('\n');
    }
    text
}

pub fn read(text: &str) -> Vec<Told> {
    let mut told: Vec<Told> = Vec::new();
    for line in text.lines() {
        if let Some(title) = line.strip_prefix("== ") {
            told.push(Told { title: title.to_owned(), lines: Vec::new() });
        } else if let Some(step) = told.last_mut().filter(|_| !line.is_empty()) {
            step.lines.push(line.to_owned());
        }
    }
    told
}

/// How to make `got` of `wanted`, by their longest common subsequence.
pub fn changes(wanted: &[String], got: &[String]) -> Vec<Change> {
    let start = wanted.iter().zip(got).take_while(|(a, b)| a == b).count();
    let (wanted, got) = (wanted.get(start..).unwrap_or_default(), got.get(start..).unwrap_or_default());
    // lengths[i][j]: of the longest common subsequence of what follows i and j.
    let mut lengths = vec![vec![0u32; got.len() + 1]; wanted.len() + 1];
    for i in (0..wanted.len()).rev() {
        for j in (0..got.len()).rev() {
            lengths[i][j] = match wanted[i] == got[j] {
                true => lengths[i + 1][j + 1] + 1,
                false => lengths[i + 1][j].max(lengths[i][j + 1]),
            };
        }
    }
    let mut changes = Vec::new();
    let (mut i, mut j) = (0, 0);
    while i < wanted.len() || j < got.len() {
        if i < wanted.len() && j < got.len() && wanted[i] == got[j] {
            (i, j) = (i + 1, j + 1);
        } else if j == got.len() || (i < wanted.len() && lengths[i + 1][j] >= lengths[i][j + 1]) {
            changes.push(Change::Missing(wanted[i].clone()));
            i += 1;
        } else {
            changes.push(Change::Added(got[j].clone()));
            j += 1;
        }
    }
    changes
}

/// Differences that are meant, each with its reason.
#[derive(Default)]
pub struct Deliberate {
    entries: Vec<Entry>,
    used: BTreeSet<(usize, usize)>,
}

struct Entry {
    reason: String,
    /// Patterns of `script: title`.
    places: Vec<String>,
    /// Patterns of printed changes.
    changes: Vec<String>,
}

impl Deliberate {
    /// Reads paragraphs of `why: …`, `at: SCRIPT: TITLE`, and lines of `- …` and `+ …`. A `*` stands for anything.
    pub fn read(text: &str) -> Result<Deliberate, String> {
        let mut entries: Vec<Entry> = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let line = line.trim_end();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if let Some(reason) = line.strip_prefix("why: ") {
                entries.push(Entry { reason: reason.to_owned(), places: Vec::new(), changes: Vec::new() });
                continue;
            }
            let entry = entries.last_mut().ok_or_else(|| format!("line {}: no `why:` yet", number + 1))?;
            if let Some(place) = line.strip_prefix("at: ") {
                entry.places.push(place.to_owned());
            } else if line.starts_with("- ") || line.starts_with("+ ") {
                entry.changes.push(line.to_owned());
            } else if let Some(more) = line.strip_prefix("  ") {
                entry.reason = format!("{} {}", entry.reason, more.trim());
            } else {
                return Err(format!("line {}: neither `why:`, `at:`, `-` nor `+`", number + 1));
            }
        }
        Ok(Deliberate { entries, used: BTreeSet::new() })
    }

    /// The reason for a change in a step, if there is one.
    pub fn reason(&mut self, script: &str, title: &str, change: &Change) -> Option<&str> {
        let place = format!("{script}: {title}");
        let change = change.to_string();
        for (i, entry) in self.entries.iter().enumerate() {
            if !entry.places.iter().any(|pattern| fits(pattern, &place)) {
                continue;
            }
            if let Some(j) = entry.changes.iter().position(|pattern| fits(pattern, &change)) {
                self.used.insert((i, j));
                return Some(&entry.reason);
            }
        }
        None
    }

    /// Entries that explained nothing.
    pub fn unused(&self) -> Vec<String> {
        let all = self
            .entries
            .iter()
            .enumerate()
            .flat_map(|(i, entry)| entry.changes.iter().enumerate().map(move |(j, change)| (i, j, entry, change)));
        all.filter(|(i, j, ..)| !self.used.contains(&(*i, *j)))
            .map(|(_, _, entry, change)| format!("{change} ({})", entry.reason))
            .collect()
    }
}

/// Whether a pattern with `*` for any run of characters fits the whole text.
fn fits(pattern: &str, text: &str) -> bool {
    let mut pieces = pattern.split('*');
    let Some(mut rest) = pieces.next().and_then(|first| text.strip_prefix(first)) else { return false };
    let pieces: Vec<&str> = pieces.collect();
    let Some((last, middle)) = pieces.split_last() else { return rest.is_empty() };
    for piece in middle {
        match rest.split_once(piece) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(lines: &[&str]) -> Vec<String> {
        lines.iter().map(|line| (*line).to_owned()).collect()
    }

    #[test]
    fn changes_are_few() {
        let changes = changes(&texts(&["a", "b", "c", "d"]), &texts(&["a", "c", "x", "d"]));
        assert_eq!(changes, [Change::Missing("b".into()), Change::Added("x".into())]);
    }

    #[test]
    fn what_is_printed_can_be_read() {
        let told = vec![
            Told { title: "one".into(), lines: texts(&["> x", "a = \"\""]) },
            Told { title: "two".into(), lines: vec![] },
        ];
        assert_eq!(read(&print(&told)), told);
    }

    #[test]
    fn a_meant_difference_has_a_reason_and_a_stale_one_is_told() {
        let text = "why: ours is better\n  in truth\nat: s: one*\n- a = *\n+ b\n";
        let mut deliberate = Deliberate::read(text).unwrap();
        let missing = Change::Missing("a = 5".into());
        assert_eq!(deliberate.reason("s", "one step", &missing), Some("ours is better in truth"));
        assert_eq!(deliberate.reason("s", "two", &missing), None);
        assert_eq!(deliberate.unused(), ["+ b (ours is better in truth)"]);
    }

    #[test]
    fn patterns_fit_whole_texts() {
        for (pattern, text, expected) in [
            ("a*c", "abc", true),
            ("a*c", "abcd", false),
            ("*", "", true),
            ("a", "ab", false),
            ("a*b*c", "axbyc", true),
        ] {
            assert_eq!(fits(pattern, text), expected, "{pattern} {text}");
        }
    }
}
