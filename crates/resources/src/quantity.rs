//! One scalar amount: a fixed-point number with three decimals, as Mesos counts. Vectors of them are in `quantities`.

use std::{
    fmt,
    iter::Sum,
    ops::{Add, AddAssign, Neg, Sub, SubAssign},
};

/// An amount in thousandths. Arithmetic saturates instead of wrapping.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Quantity(pub i64);

const LIMIT: f64 = 9_223_372_036_854_775_808.0;

impl Quantity {
    pub const ZERO: Quantity = Quantity(0);
    pub const MAX: Quantity = Quantity(i64::MAX);

    pub const fn from_units(units: i64) -> Quantity {
        Quantity(units.saturating_mul(1000))
    }

    /// Rounds half away from zero. What has no fixed-point form (NaN, infinities, huge numbers) becomes the most
    /// negative amount, so that every check for a positive one refuses it.
    pub fn from_f64(value: f64) -> Quantity {
        let thousandths = (value * 1000.0).round();
        // 2^63, exact as f64, is the first number that does not fit.
        if (-LIMIT..LIMIT).contains(&thousandths) { Quantity(thousandths as i64) } else { Quantity(i64::MIN) }
    }

    /// Whole part and fraction are converted apart: only numbers below 1000 meet a floating-point division.
    pub fn as_f64(self) -> f64 {
        (self.0 / 1000) as f64 + (self.0 % 1000) as f64 / 1000.0
    }

    pub fn is_zero(self) -> bool {
        self.0 == 0
    }

    pub fn is_positive(self) -> bool {
        self.0 > 0
    }

    /// The whole part.
    pub fn units(self) -> i64 {
        self.0 / 1000
    }

    /// The amount times `factor`, rounded to thousandths; saturates.
    pub fn scale(self, factor: f64) -> Quantity {
        Quantity((self.0 as f64 * factor).round() as i64)
    }

    /// The difference, never below zero.
    pub fn minus(self, other: Quantity) -> Quantity {
        Quantity(self.0.saturating_sub(other.0).max(0))
    }
}

impl Add for Quantity {
    type Output = Quantity;
    fn add(self, other: Quantity) -> Quantity {
        Quantity(self.0.saturating_add(other.0))
    }
}

impl Sub for Quantity {
    type Output = Quantity;
    fn sub(self, other: Quantity) -> Quantity {
        Quantity(self.0.saturating_sub(other.0))
    }
}

impl Neg for Quantity {
    type Output = Quantity;
    fn neg(self) -> Quantity {
        Quantity(self.0.saturating_neg())
    }
}

impl AddAssign for Quantity {
    fn add_assign(&mut self, other: Quantity) {
        *self = *self + other;
    }
}

impl SubAssign for Quantity {
    fn sub_assign(&mut self, other: Quantity) {
        *self = *self - other;
    }
}

impl Sum for Quantity {
    fn sum<I: Iterator<Item = Quantity>>(iter: I) -> Quantity {
        iter.fold(Quantity::ZERO, Add::add)
    }
}

/// As a C++ stream with 15 significant digits prints the double: `4`, `0.1`, `1e+15`.
impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let magnitude = self.0.unsigned_abs();
        let sign = if self.0 < 0 { "-" } else { "" };
        if magnitude < 1_000_000_000_000_000 {
            let (whole, rest) = (magnitude / 1000, magnitude % 1000);
            return match rest {
                0 => write!(f, "{sign}{whole}"),
                r if r % 100 == 0 => write!(f, "{sign}{whole}.{}", r / 100),
                r if r % 10 == 0 => write!(f, "{sign}{whole}.{:02}", r / 10),
                r => write!(f, "{sign}{whole}.{r:03}"),
            };
        }
        let exact = format!("{:.14e}", self.as_f64().abs());
        let (digits, exponent) = exact.split_once('e').unwrap_or((&exact, "0"));
        let exponent: usize = exponent.parse().unwrap_or(0);
        if exponent >= 15 {
            let digits = digits.trim_end_matches('0').trim_end_matches('.');
            return write!(f, "{sign}{digits}e+{exponent:02}");
        }
        let mut all: String = digits.chars().filter(char::is_ascii_digit).collect();
        if exponent + 1 < all.len() {
            all.insert(exponent + 1, '.');
            all.truncate(all.trim_end_matches('0').trim_end_matches('.').len());
        }
        write!(f, "{sign}{all}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_decimals_are_kept_and_halves_go_away_from_zero() {
        assert_eq!(Quantity::from_f64(0.1) + Quantity::from_f64(0.2), Quantity::from_f64(0.3));
        assert_eq!(Quantity::from_f64(1.0005), Quantity(1001));
        assert_eq!(Quantity::from_f64(-1.0005), Quantity(-1001));
        assert_eq!(Quantity::from_f64(1.0004), Quantity(1000));
        assert_eq!(Quantity(100).as_f64(), 0.1);
    }

    #[test]
    fn what_has_no_fixed_point_form_is_never_positive() {
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e300, 9.3e15] {
            assert!(!Quantity::from_f64(value).is_positive(), "{value}");
        }
    }

    #[test]
    fn prints_as_a_stream_with_fifteen_digits() {
        let cases = [
            (0, "0"),
            (4000, "4"),
            (100, "0.1"),
            (1050, "1.05"),
            (12_345, "12.345"),
            (-1500, "-1.5"),
            (999_999_999_999_999, "999999999999.999"),
            (1_234_567_890_123_456, "1234567890123.46"),
            (1_000_000_000_000_000_000, "1e+15"),
            (1_000_000_000_000_000, "1000000000000"),
            (123_456_789_012_345_000, "123456789012345"),
            (1_234_567_890_123_456_000, "1.23456789012346e+15"),
        ];
        for (thousandths, text) in cases {
            assert_eq!(Quantity(thousandths).to_string(), text);
        }
    }
}
