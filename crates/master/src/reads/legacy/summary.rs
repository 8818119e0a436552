//! `/state-summary`: agents and frameworks with the numbers of their tasks instead of the tasks.

use std::collections::{BTreeMap, BTreeSet};

use master_core::State;
use model::{AgentId, FrameworkId};
use proto::{json::Writer, v1::TaskState};
use resources::Resources;

use super::{Process, agents, frameworks};

/// The states that are counted, in this order.
const STATES: [TaskState; 10] = [
    TaskState::TaskStaging,
    TaskState::TaskStarting,
    TaskState::TaskRunning,
    TaskState::TaskKilling,
    TaskState::TaskFinished,
    TaskState::TaskKilled,
    TaskState::TaskFailed,
    TaskState::TaskLost,
    TaskState::TaskError,
    TaskState::TaskUnreachable,
];

/// How many tasks are in each state, and who the others are: the frameworks of an agent, the agents of a framework.
struct Tally<Other> {
    counts: [u64; STATES.len()],
    others: BTreeSet<Other>,
}

impl<Other: Ord> Tally<Other> {
    fn count(&mut self, state: TaskState, other: Other) {
        let at = STATES.iter().position(|counted| *counted == state);
        if let Some(count) = at.and_then(|at| self.counts.get_mut(at)) {
            *count += 1;
        }
        self.others.insert(other);
    }

    fn write(&self, json: &mut Writer) {
        for (state, count) in STATES.iter().zip(self.counts) {
            json.field(state.as_str_name(), &count);
        }
    }
}

impl<Other> Default for Tally<Other> {
    fn default() -> Tally<Other> {
        Tally { counts: [0; STATES.len()], others: BTreeSet::new() }
    }
}

pub fn write(json: &mut Writer, state: &State, process: Process<'_>) {
    let (by_agent, by_framework) = tally(state);
    json.field("hostname", state.info.hostname());
    json.optional_field("cluster", process.flags.get("cluster"));
    let nothing = Tally::default();
    json.array_field("slaves", state.agents.values(), |json, agent| {
        let tally = by_agent.get(&agent.id).unwrap_or(&nothing);
        json.object(|json| {
            agents::write_fields(json, state, agent);
            tally.write(json);
            json.array_field("framework_ids", &tally.others, |json, id| json.string(id.as_str()));
        });
    });
    let nothing = Tally::default();
    json.array_field("frameworks", state.frameworks.values(), |json, framework| {
        let tally = by_framework.get(&framework.id).unwrap_or(&nothing);
        let used: Resources = state.used_by(framework).values().sum();
        json.object(|json| {
            frameworks::write_head(json, framework, &used, &state.offered_to(framework));
            tally.write(json);
            json.array_field("slave_ids", &tally.others, |json, id| json.string(id.as_str()));
        });
    });
}

type Tallies = (BTreeMap<AgentId, Tally<FrameworkId>>, BTreeMap<FrameworkId, Tally<AgentId>>);

/// Only frameworks that are not completed count.
fn tally(state: &State) -> Tallies {
    let (mut by_agent, mut by_framework) = Tallies::default();
    for framework in state.frameworks.values() {
        let ended = framework.unreachable_tasks.iter().chain(framework.completed_tasks.iter()).map(AsRef::as_ref);
        for task in framework.tasks.values().chain(ended) {
            by_agent.entry(task.agent.clone()).or_default().count(task.state(), framework.id.clone());
            by_framework.entry(framework.id.clone()).or_default().count(task.state(), task.agent.clone());
        }
    }
    (by_agent, by_framework)
}
