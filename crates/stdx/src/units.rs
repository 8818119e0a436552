//! Durations and sizes as operators write them: `15secs`, `1.5mins`, `2GB`.

use std::time::Duration;

const DURATION_UNITS: [(&str, f64); 8] = [
    ("ns", 1.0),
    ("us", 1e3),
    ("ms", 1e6),
    ("secs", 1e9),
    ("mins", 60e9),
    ("hrs", 3_600e9),
    ("days", 86_400e9),
    ("weeks", 604_800e9),
];

const BYTE_UNITS: [(&str, u64); 5] = [("B", 1), ("KB", 1 << 10), ("MB", 1 << 20), ("GB", 1 << 30), ("TB", 1 << 40)];

/// Reads `15secs`, `1.5mins`, `100ms`. Units: ns, us, ms, secs, mins, hrs, days, weeks.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = split(text);
    let wrong = || format!("'{text}' is not a duration: write a number and a unit, such as 15secs, 100ms or 2weeks");
    let number: f64 = number.parse().map_err(|_| wrong())?;
    let (_, nanos) = DURATION_UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?;
    let nanos = number * nanos;
    if !nanos.is_finite() || nanos < 0.0 || nanos > u64::MAX as f64 {
        return Err(format!("'{text}' is outside the range of a duration (0 to 30000 weeks)"));
    }
    Ok(Duration::from_nanos(nanos.round() as u64))
}

/// Writes a duration with the largest unit that keeps the number at 1 or more.
pub fn print_duration(duration: Duration) -> String {
    let nanos = duration.as_nanos() as f64;
    let (name, unit) = DURATION_UNITS.iter().rev().find(|(_, unit)| nanos >= *unit).unwrap_or(&DURATION_UNITS[0]);
    format!("{}{name}", nanos / unit)
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
        assert_eq!(print_duration(Duration::from_secs(90)), "1.5mins");
        assert_eq!(print_duration(Duration::ZERO), "0ns");
        for text in ["", "15", "secs", "-1secs", "1e400secs", "15 parsecs"] {
            assert!(parse_duration(text).is_err(), "{text}");
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
