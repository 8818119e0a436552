//! Counters, gauges and timers by name, and the moment's values of all of them. Names are Mesos's, with slashes. How
//! values are written as JSON and for Prometheus is in the files below; what is counted is the programs' business.

mod catalog;
mod json;
mod prometheus;
mod timer;

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

pub use catalog::{Description, describe};
pub use timer::{Statistics, Timer};

/// All metrics of a process.
#[derive(Default)]
pub struct Registry {
    sources: Mutex<BTreeMap<String, Source>>,
}

enum Source {
    Counter(Counter),
    Gauge(Gauge),
    Timer(Timer),
    Pull(Arc<dyn Fn(&mut Snapshot) + Send + Sync>),
}

/// A number that only grows. Counting is one atomic addition.
#[derive(Clone, Debug, Default)]
pub struct Counter(Arc<AtomicU64>);

impl Counter {
    pub fn increment(&self) {
        self.add(1);
    }

    pub fn add(&self, by: u64) {
        self.0.fetch_add(by, Ordering::Relaxed);
    }

    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A number that its owner sets.
#[derive(Clone, Debug, Default)]
pub struct Gauge(Arc<AtomicU64>);

impl Gauge {
    pub fn set(&self, value: f64) {
        self.0.store(value.to_bits(), Ordering::Relaxed);
    }

    pub fn get(&self) -> f64 {
        f64::from_bits(self.0.load(Ordering::Relaxed))
    }
}

/// What a number means to Prometheus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Counter,
    Gauge,
}

/// The values of one moment.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    values: BTreeMap<String, Sample>,
    timers: BTreeMap<String, Statistics>,
    labeled: Vec<Labeled>,
}

/// A number of one of several things, for Prometheus.
#[derive(Clone, Debug)]
struct Labeled {
    name: &'static str,
    labels: Vec<(&'static str, String)>,
    value: f64,
}

#[derive(Clone, Copy, Debug)]
struct Sample {
    kind: Kind,
    value: f64,
    shown: Shown,
}

/// Where a number is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shown {
    Everywhere,
    /// Not among Mesos's metrics.
    Prometheus,
    /// One of very many that come and go.
    Json,
}

impl Snapshot {
    /// Adds a gauge. Infinities and NaN are left out.
    pub fn put(&mut self, name: impl Into<String>, value: f64) {
        self.insert(name.into(), Kind::Gauge, value, Shown::Everywhere);
    }

    pub fn put_counter(&mut self, name: impl Into<String>, value: f64) {
        self.insert(name.into(), Kind::Counter, value, Shown::Everywhere);
    }

    /// Adds a number that Mesos does not have: `/metrics` shows it, `/metrics/snapshot` does not.
    pub fn put_own(&mut self, name: impl Into<String>, kind: Kind, value: f64) {
        self.insert(name.into(), kind, value, Shown::Prometheus);
    }

    /// Adds a number that `/metrics/snapshot` shows as Mesos does, and `/metrics` does not.
    pub fn put_for_json(&mut self, name: impl Into<String>, value: f64) {
        self.insert(name.into(), Kind::Gauge, value, Shown::Json);
    }

    /// Adds a number of one of several things, for `/metrics`; the catalog knows the name.
    pub fn put_labeled(&mut self, name: &'static str, labels: &[(&'static str, String)], value: f64) {
        if value.is_finite() {
            self.labeled.push(Labeled { name, labels: labels.to_vec(), value });
        }
    }

    /// All numbers that no description is known for.
    pub fn undescribed(&self) -> Vec<String> {
        prometheus::undescribed(self)
    }

    fn insert(&mut self, name: String, kind: Kind, value: f64, shown: Shown) {
        if value.is_finite() {
            self.values.insert(name, Sample { kind, value, shown });
        }
    }

    /// Mesos's names and values, timers spread over their keys.
    pub fn flat(&self) -> BTreeMap<String, f64> {
        let mut flat: BTreeMap<String, f64> = self
            .values
            .iter()
            .filter(|(_, s)| s.shown != Shown::Prometheus)
            .map(|(name, s)| (name.clone(), s.value))
            .collect();
        for (name, statistics) in &self.timers {
            statistics.spread(name, |key, value| {
                flat.insert(key, value);
            });
        }
        flat
    }

    /// The body of `/metrics/snapshot`: one flat object, keys sorted.
    pub fn to_json(&self) -> String {
        json::write(&self.flat())
    }

    /// The body of `/metrics`, in Prometheus's text format (`PROMETHEUS_TYPE`).
    pub fn to_prometheus(&self) -> String {
        prometheus::write(self)
    }
}

/// The Content-Type of Prometheus's text format.
pub const PROMETHEUS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

impl Registry {
    fn with<R>(&self, f: impl FnOnce(&mut BTreeMap<String, Source>) -> R) -> R {
        f(&mut self.sources.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The counter of that name, made at first use.
    pub fn counter(&self, name: &str) -> Counter {
        self.with(|sources| match sources.get(name) {
            Some(Source::Counter(counter)) => counter.clone(),
            _ => {
                let counter = Counter::default();
                sources.insert(name.to_owned(), Source::Counter(counter.clone()));
                counter
            }
        })
    }

    /// The gauge of that name, made at first use with value 0.
    pub fn gauge(&self, name: &str) -> Gauge {
        self.with(|sources| match sources.get(name) {
            Some(Source::Gauge(gauge)) => gauge.clone(),
            _ => {
                let gauge = Gauge::default();
                sources.insert(name.to_owned(), Source::Gauge(gauge.clone()));
                gauge
            }
        })
    }

    /// The timer of that name, made at first use. Its keys are `<name>_ms`, `<name>_ms/count` and so on.
    pub fn timer(&self, name: &str) -> Timer {
        self.with(|sources| match sources.get(name) {
            Some(Source::Timer(timer)) => timer.clone(),
            _ => {
                let timer = Timer::default();
                sources.insert(name.to_owned(), Source::Timer(timer.clone()));
                timer
            }
        })
    }

    /// A gauge that is asked at each snapshot.
    pub fn pull(&self, name: &str, ask: impl Fn() -> f64 + Send + Sync + 'static) {
        let key = name.to_owned();
        self.pull_many(name, move |snapshot| snapshot.put(key.clone(), ask()));
    }

    /// Any number of values that are asked together at each snapshot; `key` is there to `remove` them.
    pub fn pull_many(&self, key: &str, ask: impl Fn(&mut Snapshot) + Send + Sync + 'static) {
        self.with(|sources| sources.insert(key.to_owned(), Source::Pull(Arc::new(ask))));
    }

    /// Forgets a metric. Holders may go on using it, nobody sees it.
    pub fn remove(&self, name: &str) {
        self.with(|sources| sources.remove(name));
    }

    /// Forgets all metrics whose names start with `prefix`.
    pub fn remove_prefix(&self, prefix: &str) {
        self.with(|sources| sources.retain(|name, _| !name.starts_with(prefix)));
    }

    /// The values of this moment. More may be put in before it is rendered.
    pub fn snapshot(&self) -> Snapshot {
        let mut snapshot = Snapshot::default();
        let mut pulls = Vec::new();
        self.with(|sources| {
            for (name, source) in sources.iter() {
                match source {
                    Source::Counter(counter) => snapshot.put_counter(name.clone(), counter.get() as f64),
                    Source::Gauge(gauge) => snapshot.put(name.clone(), gauge.get()),
                    Source::Timer(timer) => drop(timer.statistics().map(|s| snapshot.timers.insert(name.clone(), s))),
                    Source::Pull(ask) => pulls.push(ask.clone()),
                }
            }
        });
        for ask in pulls {
            ask(&mut snapshot);
        }
        snapshot
    }
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registry").field("metrics", &self.with(|sources| sources.len())).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_same_name_is_the_same_counter() {
        let registry = Registry::default();
        registry.counter("a/b").increment();
        registry.counter("a/b").add(2);
        assert_eq!(registry.counter("a/b").get(), 3);
    }

    #[test]
    fn the_snapshot_is_flat_sorted_and_in_doubles() {
        let registry = Registry::default();
        registry.counter("z/count").add(7);
        registry.gauge("b").set(0.25);
        registry.pull("a", || 2.0);
        registry.pull("nan", || f64::NAN);
        registry.pull_many("group", |s| {
            s.put("m/1", 25_276_502_016.0);
            s.put_own("own", Kind::Gauge, 1.0);
        });
        registry.timer("never_ran");
        let json = registry.snapshot().to_json();
        assert_eq!(json, r#"{"a":2.0,"b":0.25,"m/1":25276502016.0,"z/count":7.0}"#);
    }

    #[test]
    fn what_is_removed_is_seen_no_more() {
        let registry = Registry::default();
        registry.counter("f/1/calls").increment();
        registry.counter("f/2/calls").increment();
        registry.remove_prefix("f/1/");
        registry.gauge("g");
        registry.remove("g");
        assert_eq!(registry.snapshot().to_json(), r#"{"f/2/calls":1.0}"#);
    }

    #[test]
    fn one_sample_has_no_statistics() {
        let registry = Registry::default();
        registry.timer("registrar/state_fetch").record(Duration::from_micros(14_500));
        assert_eq!(registry.snapshot().to_json(), r#"{"registrar/state_fetch_ms":14.5}"#);
    }
}
