//! The libprocess messages between master and agent, and those to v0 drivers and to and from v0 executors, each
//! direction one closed enum. What v0 drivers say, which older ones say in other words, is in `driver`. How messages
//! travel (sockets, framing, which actor sends) is `transport`'s.

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

            /// One of each kind, with nothing in it: for tests that must leave out none.
            pub fn each() -> Vec<$direction> {
                vec![$($direction::$variant(Box::default()),)*]
            }

            pub fn encode(&self) -> Bytes {
                match self {
                    $($direction::$variant(message) => wire::encode(&**message),)*
                }
            }

            pub fn is_named(name: &str) -> bool {
                false $(|| name == internal::$message::full_name())*
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
    }
}

link! {
    /// What a master says to a v0 driver.
    ToDriver {
        FrameworkRegistered(FrameworkRegisteredMessage),
        FrameworkReregistered(FrameworkReregisteredMessage),
        ResourceOffers(ResourceOffersMessage),
        RescindResourceOffer(RescindResourceOfferMessage),
        StatusUpdate(StatusUpdateMessage),
        LostSlave(LostSlaveMessage),
        ExitedExecutor(ExitedExecutorMessage),
        ExecutorToFramework(ExecutorToFrameworkMessage),
        FrameworkError(FrameworkErrorMessage),
        SubmitScheduler(SubmitSchedulerResponse),
    }
}

link! {
    /// What a v0 executor says to its agent.
    FromExecutor {
        RegisterExecutor(RegisterExecutorMessage),
        ReregisterExecutor(ReregisterExecutorMessage),
        StatusUpdate(StatusUpdateMessage),
        ExecutorToFramework(ExecutorToFrameworkMessage),
    }
}

link! {
    /// What an agent says to a v0 executor.
    ToExecutor {
        ExecutorRegistered(ExecutorRegisteredMessage),
        ExecutorReregistered(ExecutorReregisteredMessage),
        ReconnectExecutor(ReconnectExecutorMessage),
        RunTask(RunTaskMessage),
        KillTask(KillTaskMessage),
        StatusUpdateAcknowledgement(StatusUpdateAcknowledgementMessage),
        FrameworkToExecutor(FrameworkToExecutorMessage),
        ShutdownExecutor(ShutdownExecutorMessage),
    }
}

link! {
    /// What an agent or a v0 driver says to authenticate itself: the first to the master, the others to the actor that
    /// answers.
    ToAuthenticator {
        Authenticate(AuthenticateMessage),
        Start(AuthenticationStartMessage),
        Step(AuthenticationStepMessage),
    }
}

link! {
    /// What it is answered.
    ToAuthenticatee {
        Mechanisms(AuthenticationMechanismsMessage),
        Step(AuthenticationStepMessage),
        Completed(AuthenticationCompletedMessage),
        Failed(AuthenticationFailedMessage),
        Error(AuthenticationErrorMessage),
    }
}
