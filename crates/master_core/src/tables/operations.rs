//! An offer operation other than a launch, from its way to the agent until its end is acknowledged.

use bytes::Bytes;
use model::{AgentId, FrameworkId, OperationId};
use proto::v1::{self, OperationState};

#[derive(Clone, Debug)]
pub struct Operation {
    /// The master's name for it.
    pub uuid: Bytes,
    /// The framework's name for it, if it wants to hear of the outcome.
    pub id: Option<OperationId>,
    /// Nobody's if an operator asked.
    pub framework: Option<FrameworkId>,
    pub agent: AgentId,
    /// As operators see it.
    pub proto: v1::Operation,
}

impl Operation {
    pub fn state(&self) -> OperationState {
        self.proto.latest_status.state()
    }
}

/// Whether nothing follows this state.
pub(crate) fn is_final(state: OperationState) -> bool {
    use OperationState as S;
    match state {
        S::OperationFinished
        | S::OperationFailed
        | S::OperationError
        | S::OperationDropped
        | S::OperationGoneByOperator => true,
        S::OperationUnsupported
        | S::OperationPending
        | S::OperationUnreachable
        | S::OperationRecovering
        | S::OperationUnknown => false,
    }
}
