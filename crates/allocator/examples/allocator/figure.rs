//! How figures are printed: one JSON object a line, with its conditions and what others published for the same.

use std::time::Duration;

/// What somebody else needs for the same thing.
pub struct Reference {
    pub name: &'static str,
    pub value: f64,
}

/// Mesos's own benchmark, as its authors published it: built with optimisation, on machines that they do not name.
pub fn mesos(value: f64) -> Option<Reference> {
    Some(Reference { name: "Mesos, published", value })
}

/// Mesos 1.12 built from source and measured on a two-core machine.
pub fn mesos_measured(value: f64) -> Option<Reference> {
    Some(Reference { name: "Mesos, measured on 2 cores", value })
}

pub fn print(name: &str, value: f64, unit: &str, conditions: &str, reference: Option<Reference>) {
    let reference = reference.map(|r| format!(r#","reference":{{"name":"{}","value":{}}}"#, r.name, r.value));
    let reference = reference.unwrap_or_default();
    println!(r#"{{"name":"{name}","value":{value:.4},"unit":"{unit}","conditions":"{conditions}"{reference}}}"#);
}

pub fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

pub fn median_ms(times: &mut [Duration]) -> f64 {
    times.sort_unstable();
    times.get(times.len() / 2).copied().map_or(0.0, millis)
}
