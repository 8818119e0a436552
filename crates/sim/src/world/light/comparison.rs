//! A light agent and a full one, given the same work, say the same.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use crate::{
    scenario::{FrameworkPlan, Scenario, Temper},
    world::World,
};

/// What was said about each task, in order, and what else was said at all.
fn talk_of(full: bool) -> (BTreeMap<String, Vec<String>>, BTreeSet<String>) {
    let plan = FrameworkPlan { temper: Temper::Steady, parallel: 3, ..FrameworkPlan::default() };
    let (agents, light_agents) = if full { (1, 0) } else { (0, 1) };
    let scenario = Scenario { agents, light_agents, frameworks: vec![plan], seed: 3, ..Scenario::default() };
    let mut world = World::new(scenario, None, false);
    world.talk = Some(Vec::new());
    let end = world.now() + Duration::from_secs(200);
    while world.step(end) {}
    let (mut tasks, mut rest) = (BTreeMap::<String, Vec<String>>::new(), BTreeSet::new());
    for line in world.talk.take().unwrap_or_default() {
        match line.split_whitespace().find(|word| word.starts_with("f0-")) {
            Some(task) => tasks.entry(task.to_owned()).or_default().push(line.clone()),
            None => drop(rest.insert(line)),
        }
    }
    (tasks, rest)
}

#[test]
fn light_agents_say_what_full_ones_say() {
    let ((of_full, rest_of_full), (of_light, rest_of_light)) = (talk_of(true), talk_of(false));
    assert_eq!(rest_of_full, rest_of_light);
    let ended = |talk: &BTreeMap<String, Vec<String>>| talk.values().filter(|lines| lines.len() == 7).count();
    assert!(ended(&of_full) > 10, "{of_full:?}");
    for (task, lines) in of_full.iter().filter(|(_, lines)| lines.len() == 7) {
        let other = of_light.get(task).filter(|lines| lines.len() == 7);
        if let Some(other) = other {
            assert_eq!(lines, other);
        }
    }
    assert!(ended(&of_light).abs_diff(ended(&of_full)) <= 3);
}
