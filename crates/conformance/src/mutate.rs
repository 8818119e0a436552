//! Damages valid input: documents by their structure, bytes by flips, cuts and repeats. Seeded, so that a failure comes
//! again.

use serde_json::{Value, json};
use stdx::Rng;

/// A document with one to three of its parts replaced, removed or repeated; sometimes its bytes are damaged as well.
pub fn document(rng: &mut Rng, document: &Value) -> Vec<u8> {
    let mut value = document.clone();
    for _ in 0..=rng.below(2) {
        damage(rng, &mut value);
    }
    let text = value.to_string().into_bytes();
    if rng.below(4) == 0 { bytes(rng, &text) } else { text }
}

/// Bytes with one to four of them changed, cut out, repeated or added.
pub fn bytes(rng: &mut Rng, valid: &[u8]) -> Vec<u8> {
    let mut bytes = valid.to_vec();
    for _ in 0..=rng.below(3) {
        let at = rng.below(bytes.len() as u64 + 1) as usize;
        match rng.below(7) {
            0 => bytes.truncate(at),
            1 => bytes.insert(at, rng.next_u64() as u8),
            2 => drop(bytes.drain(at..(at + rng.below(8) as usize).min(bytes.len()))),
            3 => {
                let end = (at + rng.below(32) as usize).min(bytes.len());
                let again = bytes.get(at..end).unwrap_or_default().to_vec();
                bytes.splice(at..at, again);
            }
            4 => drop(bytes.splice(at..at, [0xff; 10])),
            _ => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << rng.below(8);
                }
            }
        }
    }
    bytes
}

/// Changes one part, chosen by a walk from the top.
fn damage(rng: &mut Rng, value: &mut Value) {
    let stop = rng.below(4) == 0;
    match value {
        Value::Object(fields) if !stop && !fields.is_empty() => {
            let at = rng.below(fields.len() as u64) as usize;
            let Some(key) = fields.keys().nth(at).cloned() else { return };
            match rng.below(10) {
                0 => drop(fields.remove(&key)),
                1 => {
                    let moved = fields.remove(&key).unwrap_or_default();
                    fields.insert(odd_text(rng), moved);
                }
                _ => damage(rng, fields.entry(key).or_insert(Value::Null)),
            }
        }
        Value::Array(items) if !stop && !items.is_empty() => {
            let at = rng.below(items.len() as u64) as usize;
            match rng.below(6) {
                0 => drop(items.remove(at)),
                1 => {
                    let again = items.get(at).cloned().unwrap_or_default();
                    items.extend(std::iter::repeat_n(again, rng.below(40) as usize));
                }
                _ => {
                    if let Some(item) = items.get_mut(at) {
                        damage(rng, item);
                    }
                }
            }
        }
        other => *other = odd_value(rng),
    }
}

fn odd_value(rng: &mut Rng) -> Value {
    match rng.below(14) {
        0 => Value::Null,
        1 => json!(rng.next_u64() as i64),
        2 => json!(rng.next_u64()),
        3 => json!(-1),
        4 => json!(1e308),
        5 => json!(rng.unit()),
        6 => json!([]),
        7 => json!({}),
        8 => json!(rng.below(2) == 0),
        9 => json!([[[{"value": 1}]]]),
        10 => json!({"value": odd_text(rng)}),
        11 => json!("NaN"),
        12 => json!("-Infinity"),
        _ => json!(odd_text(rng)),
    }
}

fn odd_text(rng: &mut Rng) -> String {
    const TEXTS: [&str; 14] = [
        "",
        "a/b",
        "..",
        ".",
        "\u{0}",
        "\n",
        "\u{7f}",
        "*",
        "ünïcode ☃",
        "../../etc/passwd",
        "TASK_RUNNING",
        "value",
        "%s%n",
        "type",
    ];
    match rng.below(12) {
        0 => "x".repeat(rng.below(3000) as usize),
        1 => rng.uuid_text(),
        _ => TEXTS.get(rng.below(TEXTS.len() as u64) as usize).copied().unwrap_or_default().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_damages_in_the_same_way() {
        let valid = json!({"type": "KILL", "kill": {"task_id": {"value": "t"}}, "list": [1, 2]});
        let many = |seed| (0..200u64).map(|i| document(&mut Rng::new(seed + i), &valid)).collect::<Vec<_>>();
        assert_eq!(many(5), many(5));
        let changed = many(5).iter().filter(|text| **text != valid.to_string().into_bytes()).count();
        assert!(changed > 180, "{changed}");
    }
}
