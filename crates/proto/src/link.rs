//! The libprocess messages between master and agent, each direction one closed enum. How they travel (sockets, framing,
//! which actor sends) is `transport`'s.

use crate::{DecodeError, Message, internal, wire};
use bytes::Bytes;

/// Why a libprocess message is not one of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    #[error("no message of this link is called '{0}'")]
    Unknown(String),
    #[error("{name}: {error}")]
    Body { name: &'static str, error: DecodeError },
}

macro_rules! link {
    ($(#[$doc:meta])* $direction:ident { $($variant:ident($message:ident),)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq)]
        pub enum $direction {
            $(#[doc = concat!("`mesos.internal.", stringify!($message), "`")] $variant(Box<internal::$message>),)*
        }

        impl $direction {
            /// The name libprocess sends it under, e.g. `mesos.internal.RunTaskMessage`.
            pub fn name(&self) -> &'static str {
                match self {
                    $($direction::$variant(_) => internal::$message::full_name(),)*
                }
            }

            pub fn encode(&self) -> Bytes {
                match self {
                    $($direction::$variant(message) => wire::encode(&**message),)*
                }
            }

            pub fn decode(name: &str, body: &[u8]) -> Result<Self, LinkError> {
                $(if name == internal::$message::full_name() {
                    return match wire::decode(body) {
                        Ok(message) => Ok($direction::$variant(Box::new(message))),
                        Err(error) => Err(LinkError::Body { name: internal::$message::full_name(), error }),
                    };
                })*
                Err(LinkError::Unknown(name.to_owned()))
            }
        }

        $(impl From<internal::$message> for $direction {
            fn from(message: internal::$message) -> Self {
                $direction::$variant(Box::new(message))
            }
        })*
    };
}

link! {
    /// What an agent says to its master.
    ToMaster {
        RegisterSlave(RegisterSlaveMessage),
        ReregisterSlave(ReregisterSlaveMessage),
        UnregisterSlave(UnregisterSlaveMessage),
        StatusUpdate(StatusUpdateMessage),
        ExecutorToFramework(ExecutorToFrameworkMessage),
        ExitedExecutor(ExitedExecutorMessage),
        UpdateSlave(UpdateSlaveMessage),
        UpdateOperationStatus(UpdateOperationStatusMessage),
        PongSlave(PongSlaveMessage),
        Authenticate(AuthenticateMessage),
        AuthenticationStart(AuthenticationStartMessage),
        AuthenticationStep(AuthenticationStepMessage),
    }
}

link! {
    /// What a master says to its agents.
    ToAgent {
        SlaveRegistered(SlaveRegisteredMessage),
        SlaveReregistered(SlaveReregisteredMessage),
        PingSlave(PingSlaveMessage),
        RunTask(RunTaskMessage),
        RunTaskGroup(RunTaskGroupMessage),
        KillTask(KillTaskMessage),
        ShutdownExecutor(ShutdownExecutorMessage),
        ShutdownFramework(ShutdownFrameworkMessage),
        FrameworkToExecutor(FrameworkToExecutorMessage),
        UpdateFramework(UpdateFrameworkMessage),
        CheckpointResources(CheckpointResourcesMessage),
        ApplyOperation(ApplyOperationMessage),
        ReconcileOperations(ReconcileOperationsMessage),
        StatusUpdateAcknowledgement(StatusUpdateAcknowledgementMessage),
        AcknowledgeOperationStatus(AcknowledgeOperationStatusMessage),
        DrainSlave(DrainSlaveMessage),
        Shutdown(ShutdownMessage),
        AuthenticationMechanisms(AuthenticationMechanismsMessage),
        AuthenticationChallenge(AuthenticationStepMessage),
        AuthenticationCompleted(AuthenticationCompletedMessage),
        AuthenticationFailed(AuthenticationFailedMessage),
        AuthenticationError(AuthenticationErrorMessage),
    }
}
