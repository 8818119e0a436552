//! Values as Mesos writes them into its messages.

use resources::Quantity;
use std::collections::BTreeSet;

pub(super) fn set(items: BTreeSet<&str>) -> String {
    format!("{{ {} }}", items.into_iter().collect::<Vec<_>>().join(", "))
}

/// Six significant digits, as a C++ stream prints a double by default.
pub(super) fn double(value: f64) -> String {
    if !value.is_finite() {
        return if value.is_nan() { "nan".into() } else { (if value > 0.0 { "inf" } else { "-inf" }).into() };
    }
    let scientific = format!("{value:.5e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let trim = |digits: &str| -> String {
        if digits.contains('.') { digits.trim_end_matches('0').trim_end_matches('.').into() } else { digits.into() }
    };
    if (-4..6).contains(&exponent) {
        let decimals = usize::try_from(5 - exponent).unwrap_or(0);
        trim(&format!("{value:.decimals$}"))
    } else {
        let sign = if exponent < 0 { '-' } else { '+' };
        format!("{}e{sign}{:02}", trim(digits), exponent.abs())
    }
}

/// Megabytes, in the largest unit that says them exactly.
pub(super) fn megabytes(amount: Quantity) -> String {
    let mut number = amount.units().max(0);
    if number == 0 {
        return "0B".into();
    }
    let mut unit = "MB";
    for next in ["GB", "TB"] {
        if number % 1024 != 0 {
            break;
        }
        number /= 1024;
        unit = next;
    }
    format!("{number}{unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_have_six_digits() {
        let cases = [
            (0.0, "0"),
            (0.01, "0.01"),
            (1.5, "1.5"),
            (123_456.7, "123457"),
            (1e20, "1e+20"),
            (1_234_567.0, "1.23457e+06"),
            (0.000_012_5, "1.25e-05"),
            (f64::INFINITY, "inf"),
        ];
        for (value, text) in cases {
            assert_eq!(double(value), text);
        }
    }

    #[test]
    fn sizes_take_the_largest_exact_unit() {
        let of = |units| megabytes(Quantity::from_units(units));
        assert_eq!([of(0), of(32), of(1024), of(1536), of(1 << 20)], ["0B", "32MB", "1GB", "1536MB", "1TB"]);
    }
}
