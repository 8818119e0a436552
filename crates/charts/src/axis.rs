//! An axis: what it counts, in which unit, on which scale; and from the values its range and ticks.

use std::ops::Range;

use plotters::coord::ranged1d::{DefaultFormatting, KeyPointHint, Ranged};

use crate::number::plain;

#[derive(Clone, Debug)]
pub struct Axis {
    label: String,
    unit: Option<String>,
    scale: Scale,
    from_zero: bool,
    max: Option<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    Linear,
    /// Equal steps are equal factors. What is not above zero is left out.
    Log,
}

impl Axis {
    /// A linear axis from zero.
    pub fn new(label: &str) -> Axis {
        Axis { label: label.to_owned(), unit: None, scale: Scale::Linear, from_zero: true, max: None }
    }

    pub fn unit(mut self, unit: &str) -> Axis {
        self.unit = Some(unit.to_owned());
        self
    }

    pub fn log(mut self) -> Axis {
        self.scale = Scale::Log;
        self
    }

    /// Begins where the values do.
    pub fn from_least(mut self) -> Axis {
        self.from_zero = false;
        self
    }

    /// Ends no earlier than here.
    pub fn up_to(mut self, max: f64) -> Axis {
        self.max = Some(max);
        self
    }

    pub(crate) fn title(&self) -> String {
        match &self.unit {
            Some(unit) => format!("{} ({unit})", self.label),
            None => self.label.clone(),
        }
    }

    /// Where a value stands, in the axis's own measure; `None` for what it cannot show.
    pub(crate) fn place(&self, value: f64) -> Option<f64> {
        match self.scale {
            _ if !value.is_finite() => None,
            Scale::Linear => Some(value),
            Scale::Log => (value > 0.0).then(|| value.log10()),
        }
    }

    /// The range and the ticks that show all `values`.
    pub(crate) fn fit(&self, values: impl Iterator<Item = f64>) -> Fit {
        let placed = values.chain(self.max).filter_map(|value| self.place(value));
        let bounds = placed.fold(None, |bounds: Option<(f64, f64)>, value| match bounds {
            Some((low, high)) => Some((low.min(value), high.max(value))),
            None => Some((value, value)),
        });
        match self.scale {
            Scale::Linear => {
                let (low, high) = bounds.unwrap_or((0.0, 1.0));
                if self.from_zero { linear(low.min(0.0), high.max(0.0)) } else { linear(low, high) }
            }
            Scale::Log => {
                let (low, high) = bounds.unwrap_or((0.0, 1.0));
                logarithmic(low, high)
            }
        }
    }
}

#[derive(Clone)]
pub(crate) struct Fit {
    pub range: Range<f64>,
    /// Where the ticks stand, in the axis's own measure.
    pub ticks: Vec<f64>,
    /// What they say.
    pub labels: Vec<String>,
}

impl Fit {
    /// Ends with the last of these values, where a tick would leave room behind it.
    pub fn ending_at(mut self, last: Option<f64>) -> Fit {
        if let Some(last) = last.filter(|last| *last > self.range.start && *last < self.range.end) {
            self.range.end = last;
            let within = self.ticks.iter().filter(|tick| **tick <= last).count();
            self.ticks.truncate(within);
            self.labels.truncate(within);
        }
        self
    }

    pub fn label(&self, place: f64) -> String {
        let nearest =
            self.ticks.iter().zip(&self.labels).min_by(|a, b| (a.0 - place).abs().total_cmp(&(b.0 - place).abs()));
        nearest.map(|(_, label)| label.clone()).unwrap_or_default()
    }
}

impl Ranged for Fit {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn range(&self) -> Range<f64> {
        self.range.clone()
    }

    fn map(&self, place: &f64, (from, to): (i32, i32)) -> i32 {
        let along = (place - self.range.start) / (self.range.end - self.range.start);
        from + (along * f64::from(to - from)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, _: Hint) -> Vec<f64> {
        self.ticks.clone()
    }
}

const TICKS: f64 = 6.0;

fn linear(low: f64, high: f64) -> Fit {
    let span = match high - low {
        span if span > 0.0 => span,
        _ => high.abs().max(1.0),
    };
    let rough = span / TICKS;
    let power = 10f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 2.5, 5.0, 10.0].into_iter().map(|nice| nice * power).find(|step| *step >= rough * 0.999);
    let step = step.unwrap_or(power);
    let first = (low / step + 1e-6).floor();
    // A value at the very end of the axis keeps some air above it.
    let last = ((high / step - 1e-6).ceil()).max(first + 1.0);
    let mut decimals = (-step.log10().floor()).clamp(0.0, 9.0) as usize;
    if (step / power - 2.5).abs() < 1e-6 {
        decimals += 1;
    }
    let ticks: Vec<f64> = (0..=(last - first).round() as usize).map(|n| (first + n as f64) * step).collect();
    let labels = ticks.iter().map(|tick| plain(*tick, decimals)).collect();
    Fit { range: first * step..last * step, ticks, labels }
}

/// `low` and `high` are exponents of ten. Few decades get ticks at 2 and 5 too.
fn logarithmic(low: f64, high: f64) -> Fit {
    let few = high - low < 2.5;
    let digits: &[f64] = if few { &[1.0, 2.0, 5.0] } else { &[1.0] };
    let from = (low + 1e-9).floor() as i32;
    let to = (high - 1e-9).ceil() as i32;
    let stride = ((to - from) / 8 + 1).max(1) as usize;
    let all: Vec<f64> = (from..=to)
        .step_by(stride)
        .flat_map(|exponent| digits.iter().map(move |digit| digit.log10() + f64::from(exponent)))
        .collect();
    let start = all.iter().copied().rfind(|tick| *tick <= low + 1e-9).unwrap_or(low);
    let end = all.iter().copied().find(|tick| *tick >= high - 1e-9 && *tick > start).unwrap_or(high.max(start + 1.0));
    let ticks: Vec<f64> = all.into_iter().filter(|tick| (start..=end).contains(tick)).collect();
    let labels = ticks.iter().map(|tick| plain(10f64.powf(*tick), (-tick).ceil().clamp(0.0, 9.0) as usize)).collect();
    Fit { range: start..end, ticks, labels }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn linear_ticks_are_round_and_hold_all_values() {
        let fit = Axis::new("x").fit([3.0, 97.0].into_iter());
        assert_eq!(fit.labels, ["0", "20", "40", "60", "80", "100"]);
        let fit = Axis::new("x").from_least().fit([0.101, 0.1049].into_iter());
        assert!(fit.range.start <= 0.101 && fit.range.end >= 0.1049);
        assert_eq!(fit.labels.first().map(String::as_str), Some("0.101"));
    }

    #[test]
    fn logarithmic_ticks_are_decades_or_their_parts() {
        let fit = Axis::new("x").log().fit([1000.0, 50_000.0, 0.0, -1.0].into_iter());
        assert_eq!(fit.labels, ["1,000", "2,000", "5,000", "10,000", "20,000", "50,000"]);
        let fit = Axis::new("x").log().fit([0.002, 8000.0].into_iter());
        assert_eq!(fit.labels, ["0.001", "0.01", "0.1", "1", "10", "100", "1,000", "10,000"]);
    }

    #[test]
    fn nothing_one_value_and_values_below_zero_have_an_axis() {
        for values in [vec![], vec![0.0], vec![5.0], vec![-3.0, 2.0], vec![f64::NAN], vec![1e-12, 1e15]] {
            for axis in [Axis::new("x"), Axis::new("x").log(), Axis::new("x").from_least()] {
                let fit = axis.fit(values.iter().copied());
                assert!(fit.range.start < fit.range.end, "{values:?}: {:?}", fit.range);
                assert!((2..40).contains(&fit.ticks.len()), "{values:?}: {:?}", fit.labels);
            }
        }
    }
}
