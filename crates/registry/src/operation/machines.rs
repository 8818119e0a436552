//! Planned maintenance: the schedule, and machines going down and up.

use std::collections::{BTreeMap, BTreeSet};

use proto::v1;
use v1::machine_info::Mode;

use super::Mutation;
use crate::{
    document::{MachineKey, Registry},
    key::Key,
};

/// Replaces the schedule. Machines that left it are up again; new ones start to drain; those in it keep their mode.
pub(super) fn update_schedule(registry: &mut Registry, schedule: &v1::maintenance::Schedule, m: &mut Mutation) {
    let schedules = vec![schedule.clone()];
    if registry.schedules != schedules {
        registry.schedules = schedules;
        m.touch(Key::Schedules);
    }

    let mut planned = BTreeMap::new();
    for window in &schedule.windows {
        for id in &window.machine_ids {
            planned.insert(MachineKey::from(id), (id, &window.unavailability));
        }
    }
    registry.machines.retain(|machine, _| {
        let stays = planned.contains_key(machine);
        if !stays {
            m.touch(Key::Machine(machine.clone()));
        }
        stays
    });
    for (machine, (id, unavailability)) in planned {
        let mode = registry.machines.get(&machine).and_then(|info| info.mode).unwrap_or(Mode::Draining as i32);
        let info = v1::MachineInfo {
            id: id.clone(),
            mode: Some(mode),
            unavailability: Some(v1::Unavailability::clone(unavailability)),
        };
        if registry.machines.get(&machine) != Some(&info) {
            m.touch(Key::Machine(machine.clone()));
            registry.machines.insert(machine, info);
        }
    }
}

pub(super) fn start_maintenance(registry: &mut Registry, machines: &[v1::MachineId], m: &mut Mutation) {
    for machine in machines.iter().map(MachineKey::from) {
        if let Some(info) = registry.machines.get_mut(&machine)
            && info.mode != Some(Mode::Down as i32)
        {
            info.mode = Some(Mode::Down as i32);
            m.touch(Key::Machine(machine));
        }
    }
}

/// The machines are up: they leave the schedule, and what is empty then leaves it too.
pub(super) fn stop_maintenance(registry: &mut Registry, machines: &[v1::MachineId], m: &mut Mutation) {
    let up: BTreeSet<MachineKey> = machines.iter().map(MachineKey::from).collect();
    for machine in &up {
        if registry.machines.remove(machine).is_some() {
            m.touch(Key::Machine(machine.clone()));
        }
    }
    let mut schedules = registry.schedules.clone();
    for schedule in &mut schedules {
        for window in &mut schedule.windows {
            window.machine_ids.retain(|id| !up.contains(&MachineKey::from(id)));
        }
        schedule.windows.retain(|window| !window.machine_ids.is_empty());
    }
    schedules.retain(|schedule| !schedule.windows.is_empty());
    if schedules != registry.schedules {
        registry.schedules = schedules;
        m.touch(Key::Schedules);
    }
}
