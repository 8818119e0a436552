//! Replaces what differs from run to run (ids, addresses, times) by names, so that two transcripts can be compared.

use regex::Regex;

/// Captured values by name, and the patterns of values nobody captured.
pub struct Neutral {
    known: Vec<(String, String)>,
    patterns: Vec<(Regex, &'static str)>,
}

impl Default for Neutral {
    fn default() -> Neutral {
        let uuid = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}";
        let pattern = |text: &str, name| (Regex::new(text).expect("a pattern of ours"), name);
        Neutral {
            known: Vec::new(),
            patterns: vec![
                pattern(&format!("{uuid}-O[0-9]+"), "<an offer>"),
                pattern(&format!("{uuid}-S[0-9]+"), "<an agent>"),
                pattern(&format!("{uuid}-[0-9]{{4}}"), "<a framework>"),
                pattern(uuid, "<a uuid>"),
                pattern(r"\b(127\.0\.0\.1|localhost):[0-9]+", "$1:<port>"),
            ],
        }
    }
}

impl Neutral {
    /// From now on `value` appears as `<name>`.
    pub fn learn(&mut self, name: &str, value: &str) {
        if value.len() < 8 {
            return;
        }
        self.known.retain(|(known, _)| known != name);
        self.known.push((name.to_owned(), value.to_owned()));
        self.known.sort_by_key(|(_, value)| std::cmp::Reverse(value.len()));
    }

    pub fn text(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (name, value) in &self.known {
            text = replace_whole(&text, value, &format!("<{name}>"));
        }
        for (pattern, name) in &self.patterns {
            text = pattern.replace_all(&text, *name).into_owned();
        }
        text
    }

    /// A number under `key`, as text: moments, durations since a moment, ports and process ids have no fixed value.
    pub fn number(&self, key: &str, number: &serde_json::Number) -> String {
        let value = number.as_f64().unwrap_or_default();
        let kind = if number.is_f64() { "float" } else { "int" };
        match key {
            "port" | "executor_pid" => format!("<{kind}>"),
            _ if value > 1.5e9 => format!("<{kind}: a time>"),
            _ => number.to_string(),
        }
    }
}

/// Replaces a value where it is not the beginning of a longer one: offer 1 is not offer 17.
fn replace_whole(text: &str, value: &str, name: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(value) {
        let goes_on = after.starts_with(|next: char| next.is_ascii_alphanumeric());
        out.push_str(before);
        out.push_str(if goes_on { value } else { name });
        rest = after;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_addresses_lose_their_values() {
        let mut neutral = Neutral::default();
        let id = "d9f0ec10-488f-4539-b1db-781a04354756";
        neutral.learn("fw", &format!("{id}-0001"));
        neutral.learn("o", &format!("{id}-O1"));
        assert_eq!(
            neutral.text(&format!("{id}-0001 {id}-0002 {id}-S0 {id}-O17 {id} slave(1)@127.0.0.1:99")),
            "<fw> <a framework> <an agent> <an offer> <a uuid> slave(1)@127.0.0.1:<port>"
        );
    }
}
