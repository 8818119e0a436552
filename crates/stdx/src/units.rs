//! Durations and sizes as operators write them: `15secs`, `1.5mins`, `2GB`.

use std::time::Duration;

const DURATION_UNITS: [(&str, u64); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("ms", 1_000_000),
    ("secs", 1_000_000_000),
    ("mins", 60_000_000_000),
    ("hrs", 3_600_000_000_000),
    ("days", 86_400_000_000_000),
    ("weeks", 604_800_000_000_000),
];

/// The longest duration that can be written: Mesos counts nanoseconds in 63 bits.
const LONGEST_NANOS: u64 = i64::MAX as u64;

const BYTE_UNITS: [(&str, u64); 5] = [("B", 1), ("KB", 1 << 10), ("MB", 1 << 20), ("GB", 1 << 30), ("TB", 1 << 40)];

/// Reads `15secs`, `1.5mins`, `100ms`. Units: ns, us, ms, secs, mins, hrs, days, weeks.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = split(text);
    let wrong = || format!("'{text}' is not a duration: write a number and a unit, such as 15secs, 100ms or 2weeks");
    let number: f64 = number.parse().map_err(|_| wrong())?;
    let (_, nanos) = DURATION_UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?;
    let nanos = number * *nanos as f64;
    if !(0.0..LONGEST_NANOS as f64).contains(&nanos) {
        return Err(format!("'{text}' is outside the range of a duration (0 to 15250 weeks)"));
    }
    Ok(Duration::from_nanos(nanos.round() as u64))
}

/// Writes a duration as Mesos does: in the largest unit that keeps the number at 1 or more, or in the next smaller one
/// where only that makes the number whole (`75secs`, not `1.25mins`); 15 significant digits.
pub fn print_duration(duration: Duration) -> String {
    let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    let largest = DURATION_UNITS.iter().rposition(|(_, unit)| nanos >= *unit).unwrap_or(0);
    let whole = |at: usize| nanos.is_multiple_of(DURATION_UNITS[at].1);
    let at = if largest > 0 && !whole(largest) && whole(largest - 1) { largest - 1 } else { largest };
    let (name, unit) = DURATION_UNITS[at];
    match whole(at) {
        true => format!("{}{name}", nanos / unit),
        false => format!("{}{name}", significant(nanos as f64 / unit as f64)),
    }
}

/// `number` in 15 significant digits, without zeros at its end. It is at least 1 and below 1e15.
fn significant(number: f64) -> String {
    let digits_before = 1 + number.log10().max(0.0) as usize;
    let text = format!("{number:.*}", 15_usize.saturating_sub(digits_before));
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Reads `512MB`, `2GB`. Units: B, KB, MB, GB, TB, in powers of 1024.
pub fn parse_bytes(text: &str) -> Result<u64, String> {
    let (number, unit) = split(text);
    let wrong = || format!("'{text}' is not a size: write a whole number and a unit, such as 512MB or 2GB");
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let (_, factor) = BYTE_UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?;
    number.checked_mul(*factor).ok_or_else(|| format!("'{text}' is too large a size"))
}

/// Writes a size with the largest unit that divides it.
pub fn print_bytes(bytes: u64) -> String {
    let fits = |&&(_, unit): &&(&str, u64)| bytes >= unit && bytes.is_multiple_of(unit);
    let (name, unit) = BYTE_UNITS.iter().rev().find(fits).unwrap_or(&BYTE_UNITS[0]);
    format!("{}{name}", bytes / unit)
}

fn split(text: &str) -> (&str, &str) {
    let text = text.trim();
    let at = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    (text[..at].trim(), &text[at..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_and_print() {
        for (text, millis) in [("15secs", 15_000), ("100ms", 100), ("1.5mins", 90_000), ("2weeks", 1_209_600_000)] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in
            ["", "15", "secs", "-1secs", "1e400secs", "15 parsecs", "nansecs", "infsecs", "20000weeks", "1.2.3secs"]
        {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    /// Each text is what Mesos 1.11 prints for the same number of nanoseconds.
    #[test]
    fn durations_print_as_in_mesos() {
        const SEC: u64 = 1_000_000_000;
        for (nanos, text) in [
            (0, "0ns"),
            (999, "999ns"),
            (1_500, "1500ns"),
            (2_000, "2us"),
            (1_500_000, "1500us"),
            (1_500_001, "1.500001ms"),
            (20_000_000, "20ms"),
            (SEC * 3 / 2, "1500ms"),
            (SEC + 1, "1.000000001secs"),
            (15 * SEC, "15secs"),
            (75 * SEC, "75secs"),
            (90 * SEC, "90secs"),
            (90 * SEC + SEC / 2, "1.50833333333333mins"),
            (600 * SEC, "10mins"),
            (5_400 * SEC, "90mins"),
            (5_401 * SEC, "1.50027777777778hrs"),
            (36 * 3_600 * SEC, "36hrs"),
            (10 * 86_400 * SEC, "10days"),
            (14 * 86_400 * SEC, "2weeks"),
        ] {
            assert_eq!(print_duration(Duration::from_nanos(nanos)), text);
            let back = parse_duration(text).expect(text).as_nanos() as f64;
            assert!((back - nanos as f64).abs() <= nanos as f64 * 1e-14, "{text} is read as {back}");
        }
    }

    #[test]
    fn sizes_read_and_print() {
        assert_eq!(parse_bytes("2GB"), Ok(2 << 30));
        assert_eq!(print_bytes(512 << 20), "512MB");
        assert_eq!(print_bytes(0), "0B");
        for text in ["", "2", "2.5GB", "99999999999TB", "2gb"] {
            assert!(parse_bytes(text).is_err(), "{text}");
        }
    }
}
