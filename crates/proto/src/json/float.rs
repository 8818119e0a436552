//! Doubles as Mesos prints them.

pub(super) fn put(out: &mut Vec<u8>, value: f64) {
    if !value.is_finite() {
        let name = if value.is_nan() {
            "NaN"
        } else if value < 0.0 {
            "-Infinity"
        } else {
            "Infinity"
        };
        out.extend_from_slice(format!("\"{name}\"").as_bytes());
        return;
    }
    out.extend_from_slice(format!("{value:?}").as_bytes());
}
