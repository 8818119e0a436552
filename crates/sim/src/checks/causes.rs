//! No task ends without a cause that its user would accept. An agent is told to end, with all it runs, only if an
//! operator gave it up or it came back as somebody else; and where nothing goes wrong, tasks end as they should.

use std::collections::BTreeSet;

use model::TaskId;
use proto::v1::TaskState;

use super::Check;
use crate::{
    observation::Fact,
    scenario::{Faults, FrameworkPlan, Operators, Scenario, Temper},
};

pub(super) struct Causes {
    /// Frameworks whose tasks nothing and nobody ends early.
    unharmed: BTreeSet<u32>,
    /// Tasks that their framework wants killed; it does so with those that take too long.
    doomed: BTreeSet<(u32, TaskId)>,
}

impl Causes {
    pub fn new(scenario: &Scenario) -> Causes {
        let quiet = Faults { clock_drift_ppm: scenario.faults.clock_drift_ppm, ..Faults::default() };
        let is_quiet = scenario.faults == quiet && scenario.operators == Operators::default();
        let is_gentle = |plan: &FrameworkPlan| {
            plan.kills == 0.0
                && plan.task_fails == 0.0
                && matches!(plan.temper, Temper::Greedy | Temper::Picky | Temper::Slow | Temper::Steady)
        };
        let gentle = scenario.frameworks.iter().enumerate().filter(|(_, plan)| is_quiet && is_gentle(plan));
        Causes { unharmed: gentle.map(|(index, _)| index as u32).collect(), doomed: BTreeSet::new() }
    }
}

/// What a master may say to an agent that it ends.
const FAIR: [&str; 4] = ["marked gone", "'Machine DOWN'", "Machine is `DOWN`", "different IP / hostname"];

impl Check for Causes {
    fn name(&self) -> &'static str {
        "causes"
    }

    fn note(&mut self, fact: &Fact) -> Result<(), String> {
        match fact {
            Fact::ShutDown { agent, why } if !FAIR.iter().any(|fair| why.contains(fair)) => {
                Err(format!("agent {agent} and all it runs is told to end: '{why}'"))
            }
            Fact::KillAsked { framework, task } => {
                self.doomed.insert((*framework, task.clone()));
                Ok(())
            }
            Fact::FrameworkHeard { framework, task, state, reconciled: false, .. }
                if self.unharmed.contains(framework)
                    && model::task_state::is_terminal(*state)
                    && *state != TaskState::TaskFinished
                    && !self.doomed.contains(&(*framework, task.clone())) =>
            {
                Err(format!("task {task} of framework {framework} ends as {state:?}, and nothing was wrong"))
            }
            _ => Ok(()),
        }
    }
}
