//! Operations whose agent or framework is no more.

use model::{AgentId, FrameworkId};
use proto::v1::OperationState;

use super::Operations;
use crate::{Step, tables::operations::is_final};

impl Operations<'_> {
    /// The agent left with its operations. Frameworks hear of those they named; if it comes back it brings them along.
    pub(crate) fn end_on(&mut self, agent: &AgentId, state: OperationState, why: &str, step: &mut Step<'_>) {
        let operations = self.agents.get(agent).map(|row| row.operations.clone()).unwrap_or_default();
        for uuid in operations {
            self.end(&uuid, state, why, step);
        }
    }

    /// The framework is over: what it was still to acknowledge, the master acknowledges.
    pub(crate) fn adopt_of(&mut self, framework: &FrameworkId, step: &mut Step<'_>) {
        let operations = self.frameworks.get(framework).map(|row| row.operations.clone()).unwrap_or_default();
        for uuid in operations {
            let Some(row) = self.operations.get(&uuid) else { continue };
            let (agent, ended) = (row.agent.clone(), is_final(row.state()));
            let told: Vec<_> = row.proto.statuses.iter().filter_map(|status| status.uuid.clone()).collect();
            for status in told {
                self.acknowledge(&agent, &uuid, status, step);
            }
            if ended {
                self.remove(&uuid);
            }
        }
    }
}
