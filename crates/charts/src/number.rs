//! Numbers as people read them: a few significant digits, thousands apart.

/// At most four significant digits, `1,250`, `0.25`, `12.5`; a dash for what is no number.
pub fn number(value: f64) -> String {
    if !value.is_finite() {
        return "-".to_owned();
    }
    let size = value.abs();
    let decimals = match size {
        0.0 => 0,
        _ if size >= 100.0 => 0,
        _ if size >= 10.0 => 1,
        _ if size >= 1.0 => 2,
        _ => (1.0 - size.log10().floor()).clamp(0.0, 9.0) as usize + 1,
    };
    plain(value, decimals)
}

/// With as many decimals as given at most, without zeros at the end, thousands apart.
pub(crate) fn plain(value: f64, decimals: usize) -> String {
    let text = format!("{:.decimals$}", value.abs());
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let fraction = fraction.trim_end_matches('0');
    let mut grouped = String::new();
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    let is_zero = fraction.is_empty() && whole.chars().all(|digit| digit == '0');
    let sign = if value < 0.0 && !is_zero { "-" } else { "" };
    match fraction.is_empty() {
        true => format!("{sign}{grouped}"),
        false => format!("{sign}{grouped}.{fraction}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_grouped() {
        for (value, expected) in [
            (0.0, "0"),
            (-0.0, "0"),
            (1234567.8, "1,234,568"),
            (1250.0, "1,250"),
            (12.55, "12.6"),
            (0.25, "0.25"),
            (0.012345, "0.0123"),
            (-3.5, "-3.5"),
            (99.96, "100"),
            (f64::NAN, "-"),
        ] {
            assert_eq!(number(value), expected, "{value}");
        }
    }
}
