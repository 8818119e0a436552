//! Machines and maintenance schedules by themselves.

use proto::v1::{MachineId, Unavailability, maintenance::Schedule};
use std::{collections::BTreeSet, net::Ipv4Addr};

/// Every window has machines, no machine is named twice, no window ends before it begins.
pub fn schedule(schedule: &Schedule) -> Result<(), String> {
    let mut seen = BTreeSet::new();
    for window in &schedule.windows {
        if window.machine_ids.is_empty() {
            return Err("List of machines in the maintenance window is empty".into());
        }
        each_once(&window.machine_ids, &mut seen)?;
        unavailability(&window.unavailability)?;
    }
    Ok(())
}

/// A list of machines that shall go down, or up.
pub fn machines(machines: &[MachineId]) -> Result<(), String> {
    if machines.is_empty() {
        return Err("List of machines is empty".into());
    }
    each_once(machines, &mut BTreeSet::new())
}

/// A machine as texts name it.
pub fn label(machine: &MachineId) -> String {
    format!("Machine '{}'", proto::json::to_string(machine))
}

fn each_once(machines: &[MachineId], seen: &mut BTreeSet<(String, String)>) -> Result<(), String> {
    for machine in machines {
        let (hostname, ip) = (machine.hostname(), machine.ip());
        if hostname.is_empty() && ip.is_empty() {
            return Err("Both 'hostname' and 'ip' for a machine are empty".into());
        }
        if !ip.is_empty() && ip.parse::<Ipv4Addr>().is_err() {
            return Err(format!("Failed to parse IPv4: {ip}"));
        }
        if !seen.insert((hostname.to_ascii_lowercase(), ip.to_owned())) {
            return Err(format!("{} appears more than once in the schedule", label(machine)));
        }
    }
    Ok(())
}

fn unavailability(unavailability: &Unavailability) -> Result<(), String> {
    if unavailability.duration.as_ref().is_some_and(|duration| duration.nanoseconds < 0) {
        return Err("Unavailability 'duration' is negative".into());
    }
    Ok(())
}
