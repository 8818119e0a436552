//! What the agent offers: what `--resources` says, and for the usual kinds that it does not name, what the machine has.

use std::path::Path;

use resources::{Quantity, Resource, Resources};
use stdx::flags::Values;

const GB: u64 = 1 << 30;

pub fn offered(values: &Values, work_dir: &Path) -> Result<Resources, String> {
    let role = values.text("default_role").unwrap_or("*");
    let text = values.text("resources").unwrap_or_default();
    let mut offered = Resources::parse(text, role).map_err(|e| format!("--resources: {e}"))?;
    if let Some(gpus) = offered.iter().find(|resource: &&Resource| resource.name().as_str() == "gpus") {
        return Err(format!(
            "--resources: '{gpus}': no device would be given to a task that is promised a GPU; leave it out"
        ));
    }
    let measured = [("cpus", observe::host::cpus()), ("mem", memory_megabytes()), ("disk", disk_megabytes(work_dir))];
    for (name, amount) in measured {
        if !names(&offered, name) && !names_in(text, name) {
            offered += one(&format!("{name}:{amount}"), role)?;
        }
    }
    if !names(&offered, "ports") && !names_in(text, "ports") {
        offered += one("ports:[31000-32000]", role)?;
    }
    Ok(offered)
}

fn one(text: &str, role: &str) -> Result<Resources, String> {
    Resources::parse(text, role).map_err(|e| format!("measured '{text}': {e}"))
}

fn names(resources: &Resources, name: &str) -> bool {
    resources.iter().any(|resource: &Resource| resource.name().as_str() == name)
}

/// Whether the flag gives `name` explicitly, even as zero: then it is not measured.
fn names_in(text: &str, name: &str) -> bool {
    text.split([';', '"'])
        .map(str::trim)
        .any(|part| part.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with([':', '('])))
}

/// All but 1 GB for the system; half on a small machine.
fn memory_megabytes() -> f64 {
    let all = observe::host::memory_bytes();
    let offered = if all >= 2 * GB { all - GB } else { all / 2 };
    (offered >> 20) as f64
}

/// All of the work directory's disk but 5 GB; half of a small one.
fn disk_megabytes(work_dir: &Path) -> f64 {
    let all = observe::host::disk_bytes(work_dir).unwrap_or(0);
    let offered = if all >= 10 * GB { all - 5 * GB } else { all / 2 };
    Quantity::from_f64((offered >> 20) as f64).as_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_named_is_not_measured() {
        for (text, name, named) in [
            ("cpus:0;mem:10", "cpus", true),
            ("cpus(role):1", "cpus", true),
            ("cpusets:{a}", "cpus", false),
            (r#"[{"name": "disk", "type": "SCALAR"}]"#, "disk", true),
            ("", "mem", false),
        ] {
            assert_eq!(names_in(text, name), named, "{text} {name}");
        }
    }
}
