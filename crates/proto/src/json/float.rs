//! Doubles as Mesos prints them: Florian Loitsch's Grisu2, which is not always the nearest or shortest text, in the
//! notation of JavaScript with at least one decimal.

/// Appends `value` to `out`; infinities as strings, since JSON has no name for them.
pub(super) fn put(out: &mut Vec<u8>, value: f64) {
    if value.is_nan() {
        return out.extend_from_slice(b"\"NaN\"");
    }
    if value.is_infinite() {
        return out.extend_from_slice(if value > 0.0 { b"\"Infinity\"" } else { b"\"-Infinity\"" });
    }
    if value.is_sign_negative() {
        out.push(b'-');
    }
    if value == 0.0 {
        return out.extend_from_slice(b"0.0");
    }
    let (digits, exponent) = digits(value.abs());
    notation(out, digits.text(), exponent);
}

/// `digits` times ten to the `exponent`.
fn notation(out: &mut Vec<u8>, digits: &[u8], exponent: i32) {
    // Where the point stands, counted from the first digit.
    let point = digits.len() as i32 + exponent;
    match point {
        1..=21 if exponent >= 0 => {
            out.extend_from_slice(digits);
            out.extend(std::iter::repeat_n(b'0', exponent as usize));
            out.extend_from_slice(b".0");
        }
        1..=21 => {
            let (whole, fraction) = digits.split_at(point as usize);
            out.extend_from_slice(whole);
            out.push(b'.');
            out.extend_from_slice(fraction);
        }
        -5..=0 => {
            out.extend_from_slice(b"0.");
            out.extend(std::iter::repeat_n(b'0', -point as usize));
            out.extend_from_slice(digits);
        }
        _ => {
            let (first, rest) = digits.split_at(1);
            out.extend_from_slice(first);
            if !rest.is_empty() {
                out.push(b'.');
                out.extend_from_slice(rest);
            }
            out.push(b'e');
            crate::decimal::put_i64(out, i64::from(point - 1));
        }
    }
}

/// `significand` times two to the `exponent`.
#[derive(Clone, Copy)]
struct Binary {
    significand: u64,
    exponent: i32,
}

impl Binary {
    fn normalize(self) -> Self {
        let shift = self.significand.leading_zeros();
        Binary { significand: self.significand << shift, exponent: self.exponent - shift as i32 }
    }

    /// The product, rounded to 64 bits.
    fn times(self, other: Self) -> Self {
        let product = u128::from(self.significand) * u128::from(other.significand);
        let rounded = (product + (1 << 63)) >> 64;
        Binary { significand: rounded as u64, exponent: self.exponent + other.exponent + 64 }
    }
}

/// At most 17 digits, plus one to be safe.
#[derive(Default)]
struct Digits {
    bytes: [u8; 18],
    count: usize,
}

impl Digits {
    fn text(&self) -> &[u8] {
        &self.bytes[..self.count]
    }

    /// Leading zeros are not kept.
    fn push(&mut self, digit: u64) {
        if (digit != 0 || self.count != 0) && self.count < self.bytes.len() {
            self.bytes[self.count] = b'0' + digit as u8;
            self.count += 1;
        }
    }

    fn decrement_last(&mut self) {
        if let Some(last) = self.count.checked_sub(1) {
            self.bytes[last] -= 1;
        }
    }
}

/// Digits and decimal exponent of a positive, finite number.
fn digits(value: f64) -> (Digits, i32) {
    const HIDDEN: u64 = 1 << 52;
    let bits = value.to_bits();
    let (biased, fraction) = ((bits >> 52) as i32, bits & (HIDDEN - 1));
    let exact = match biased {
        0 => Binary { significand: fraction, exponent: -1074 },
        _ => Binary { significand: fraction | HIDDEN, exponent: biased - 1075 },
    };
    // All texts between the middles to both neighbours read back as this number.
    let above = Binary { significand: (exact.significand << 1) + 1, exponent: exact.exponent - 1 }.normalize();
    let below = match exact.significand {
        HIDDEN => Binary { significand: (exact.significand << 2) - 1, exponent: exact.exponent - 2 },
        _ => Binary { significand: (exact.significand << 1) - 1, exponent: exact.exponent - 1 },
    };
    let below =
        Binary { significand: below.significand << (below.exponent - above.exponent), exponent: above.exponent };
    let (power, decimal) = power_for(above.exponent);
    let exact = exact.normalize().times(power);
    let mut above = above.times(power);
    let mut below = below.times(power);
    // The products are off by one at most: stay on the safe side of them.
    below.significand += 1;
    above.significand -= 1;
    generate(above, above.significand - exact.significand, above.significand - below.significand, decimal)
}

/// Digits of `above`, until what is left is less than `delta`; then back towards the exact number, `distance` below it.
fn generate(above: Binary, distance: u64, mut delta: u64, decimal: i32) -> (Digits, i32) {
    let shift = -above.exponent as u32;
    let one = 1u64 << shift;
    let mut digits = Digits::default();
    let mut whole = above.significand >> shift;
    let mut fraction = above.significand & (one - 1);
    let mut place = whole.checked_ilog10().map_or(0, |log| log as i32 + 1);
    while place > 0 {
        place -= 1;
        let unit = 10u64.pow(place as u32);
        digits.push(whole / unit);
        whole %= unit;
        let rest = (whole << shift) + fraction;
        if rest <= delta {
            round(&mut digits, delta, rest, unit << shift, distance);
            return (digits, decimal + place);
        }
    }
    loop {
        fraction *= 10;
        delta *= 10;
        digits.push(fraction >> shift);
        fraction &= one - 1;
        place -= 1;
        if fraction < delta {
            // Like Mesos's, this does not round after the ninth decimal.
            let scale = if place > -9 { 10u64.pow(-place as u32) } else { 0 };
            round(&mut digits, delta, fraction, one, distance.wrapping_mul(scale));
            return (digits, decimal + place);
        }
    }
}

/// Lowers the last digit while that comes closer to the exact number.
fn round(digits: &mut Digits, delta: u64, mut rest: u64, unit: u64, distance: u64) {
    while rest < distance
        && delta - rest >= unit
        && (rest + unit < distance || distance - rest > rest + unit - distance)
    {
        digits.decrement_last();
        rest += unit;
    }
}

/// The first power of ten in the table, and the steps between them.
const FIRST_POWER: i32 = -348;
const POWER_STEP: i32 = 8;
const POWERS: usize = 87;

/// A power of ten that brings a number with this binary exponent near one, and the decimal exponent that undoes it.
fn power_for(exponent: i32) -> (Binary, i32) {
    const LOG10_2: f64 = 0.301_029_995_663_981_14;
    let wanted = (f64::from(-61 - exponent) * LOG10_2).ceil() as i32 - FIRST_POWER - 1;
    let index = (wanted / POWER_STEP + 1) as usize;
    (TEN_TO_THE[index], -(FIRST_POWER + index as i32 * POWER_STEP))
}

/// Every eighth power of ten, rounded to 64 bits.
static TEN_TO_THE: [Binary; POWERS] = powers();

const fn powers() -> [Binary; POWERS] {
    // A long number, least limb first, that stands for itself times 2^-(32 * SCALE): wide enough that cutting off
    // does not reach the bits used.
    const SCALE: usize = 60;
    let mut limbs = [0u32; 100];
    limbs[SCALE] = 1;
    let mut at = FIRST_POWER;
    while at < 0 {
        divide(&mut limbs, 10_000);
        at += 4;
    }
    let mut table = [Binary { significand: 0, exponent: 0 }; POWERS];
    let mut index = 0;
    while index < POWERS {
        table[index] = leading_bits(&limbs, 32 * SCALE as i32);
        multiply(&mut limbs, 100_000_000);
        index += 1;
    }
    table
}

const fn divide<const N: usize>(limbs: &mut [u32; N], divisor: u64) {
    let (mut at, mut carry) = (N, 0);
    while at > 0 {
        at -= 1;
        let value = carry << 32 | limbs[at] as u64;
        limbs[at] = (value / divisor) as u32;
        carry = value % divisor;
    }
}

const fn multiply<const N: usize>(limbs: &mut [u32; N], factor: u64) {
    let (mut at, mut carry) = (0, 0);
    while at < N {
        let value = limbs[at] as u64 * factor + carry;
        limbs[at] = value as u32;
        carry = value >> 32;
        at += 1;
    }
}

/// The 64 leading bits, rounded, of `limbs` times 2^-`scale`.
const fn leading_bits<const N: usize>(limbs: &[u32; N], scale: i32) -> Binary {
    let mut top = N - 1;
    while limbs[top] == 0 {
        top -= 1;
    }
    let lead = (limbs[top] as u128) << 96
        | (limbs[top - 1] as u128) << 64
        | (limbs[top - 2] as u128) << 32
        | limbs[top - 3] as u128;
    let shift = lead.leading_zeros();
    let lead = lead << shift;
    let exponent = 32 * top as i32 - 32 - shift as i32 - scale;
    match ((lead >> 64) as u64, (lead >> 63) & 1 == 1) {
        (u64::MAX, true) => Binary { significand: 1 << 63, exponent: exponent + 1 },
        (significand, up) => Binary { significand: significand + up as u64, exponent },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(value: f64) -> String {
        let mut out = Vec::new();
        put(&mut out, value);
        String::from_utf8_lossy(&out).into_owned()
    }

    /// Seen in the answers of Mesos.
    #[test]
    fn prints_what_mesos_prints() {
        for (value, expected) in [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.0, "1.0"),
            (0.1, "0.1"),
            (2.25, "2.25"),
            (33.333333333333336, "33.333333333333339"),
            (0.30000000000000004, "0.30000000000000007"),
            (1795368986.9450936, "1795368986.9450937"),
            (1e21, "1e21"),
            (1e22, "1e22"),
            (1e-7, "1e-7"),
            (0.000001, "0.000001"),
            (1.5e300, "1.5e300"),
            (5e-324, "5e-324"),
            (f64::MAX, "1.7976931348623157e308"),
            (9007199254740992.0, "9007199254740992.0"),
            (123456789012345680000.0, "123456789012345680000.0"),
            (f64::INFINITY, "\"Infinity\""),
            (f64::NEG_INFINITY, "\"-Infinity\""),
            (f64::NAN, "\"NaN\""),
        ] {
            assert_eq!(text(value), expected);
        }
    }

    #[test]
    fn powers_of_ten_are_exact_where_they_can_be() {
        for (index, power) in TEN_TO_THE.iter().enumerate() {
            let decimal = FIRST_POWER + POWER_STEP * index as i32;
            if (0..=19).contains(&decimal) {
                let exact = Binary { significand: 10u64.pow(decimal as u32), exponent: 0 }.normalize();
                assert_eq!((power.significand, power.exponent), (exact.significand, exact.exponent));
            }
            assert!(power.significand >> 63 == 1);
        }
    }

    proptest! {
        #[test]
        fn reads_back(bits: u64) {
            let value = f64::from_bits(bits);
            if value.is_finite() {
                prop_assert_eq!(text(value).parse::<f64>().ok().map(f64::to_bits), Some(bits));
            }
        }

        #[test]
        fn reads_back_in_thousandths(thousandths: i32) {
            let value = f64::from(thousandths) / 1000.0;
            prop_assert_eq!(text(value).parse(), Ok(value));
        }
    }
}
