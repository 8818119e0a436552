//! How long something takes: the last duration, and statistics over the latest ones.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// How many of the latest durations the statistics are over.
const WINDOW: usize = 1000;

/// Durations of one kind of work.
#[derive(Clone, Debug, Default)]
pub struct Timer(Arc<Mutex<Samples>>);

#[derive(Debug, Default)]
struct Samples {
    /// Milliseconds; once full, the oldest is at `next`.
    window: Vec<f64>,
    next: usize,
    last: f64,
    count: u64,
    /// Milliseconds of all durations ever.
    sum: f64,
}

impl Timer {
    pub fn record(&self, duration: Duration) {
        let mut samples = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let millis = duration.as_nanos() as f64 / 1e6;
        samples.last = millis;
        samples.count += 1;
        samples.sum += millis;
        if samples.window.len() < WINDOW {
            samples.window.push(millis);
        } else {
            let next = samples.next;
            if let Some(oldest) = samples.window.get_mut(next) {
                *oldest = millis;
            }
            samples.next = (next + 1) % WINDOW;
        }
    }

    /// Runs `work` and records how long it took.
    pub fn time<R>(&self, work: impl FnOnce() -> R) -> R {
        let start = Instant::now();
        let result = work();
        self.record(start.elapsed());
        result
    }

    /// What to show; `None` before the first duration.
    pub fn statistics(&self) -> Option<Statistics> {
        let (mut sorted, last, count, sum) = {
            let samples = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            (samples.window.clone(), samples.last, samples.count, samples.sum)
        };
        sorted.sort_by(f64::total_cmp);
        (count > 0).then_some(Statistics { last, sum, count, sorted })
    }
}

/// A timer's numbers, in milliseconds.
#[derive(Clone, Debug)]
pub struct Statistics {
    pub last: f64,
    pub sum: f64,
    /// All durations ever.
    pub count: u64,
    sorted: Vec<f64>,
}

/// The percentiles that are shown.
pub(super) const PERCENTILES: [(&str, f64); 6] =
    [("p50", 0.5), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99), ("p999", 0.999), ("p9999", 0.9999)];

impl Statistics {
    /// The value below which `fraction` of the durations lie, between two of them in proportion.
    pub fn percentile(&self, fraction: f64) -> f64 {
        let Some(highest) = self.sorted.len().checked_sub(1) else { return 0.0 };
        let position = fraction.clamp(0.0, 1.0) * highest as f64;
        let at = |i: usize| self.sorted.get(i.min(highest)).copied().unwrap_or_default();
        let below = position.floor();
        let (low, high) = (at(below as usize), at(below as usize + 1));
        low + (position - below) * (high - low)
    }

    /// Gives each key Mesos shows for the timer `name`. Statistics need two durations.
    pub(super) fn spread(&self, name: &str, mut show: impl FnMut(String, f64)) {
        show(format!("{name}_ms"), self.last);
        if let (Some(min), Some(max), true) = (self.sorted.first(), self.sorted.last(), self.sorted.len() > 1) {
            show(format!("{name}_ms/count"), self.sorted.len() as f64);
            show(format!("{name}_ms/min"), *min);
            show(format!("{name}_ms/max"), *max);
            for (key, fraction) in PERCENTILES {
                show(format!("{name}_ms/{key}"), self.percentile(fraction));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timer(millis: impl IntoIterator<Item = u64>) -> Timer {
        let timer = Timer::default();
        millis.into_iter().for_each(|m| timer.record(Duration::from_millis(m)));
        timer
    }

    #[test]
    fn the_keys_are_those_of_mesos() {
        let mut keys = Vec::new();
        timer([3, 1, 2]).statistics().unwrap().spread("x", |key, value| keys.push(format!("{key}={value}")));
        let expected = [
            "x_ms=2",
            "x_ms/count=3",
            "x_ms/min=1",
            "x_ms/max=3",
            "x_ms/p50=2",
            "x_ms/p90=2.8",
            "x_ms/p95=2.9",
            "x_ms/p99=2.98",
            "x_ms/p999=2.998",
            "x_ms/p9999=2.9998",
        ];
        assert_eq!(keys, expected);
    }

    #[test]
    fn the_window_keeps_the_latest() {
        let statistics = timer(0..2500).statistics().unwrap();
        assert_eq!(statistics.count, 2500);
        assert_eq!(statistics.percentile(0.0), 1500.0);
        assert_eq!(statistics.percentile(1.0), 2499.0);
        assert!(timer([]).statistics().is_none());
    }
}
