//! What can go wrong between a program and a cluster.

use proto::DecodeError;
use transport::{StatusCode, client::ClientError};

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address of the masters makes no sense, or names a way to find them that is not supported.
    #[error("{0}")]
    Address(String),
    /// No answer, or none that is HTTP.
    #[error(transparent)]
    Transport(#[from] ClientError),
    /// Every master that answered knows no leader, or is still recovering.
    #[error("no master leads at present: {0}")]
    NoLeader(String),
    /// The peer said no.
    #[error("{status}: {message}")]
    Refused { status: StatusCode, message: String },
    /// The peer's message makes no sense.
    #[error("a malformed message came back: {0}")]
    Malformed(#[from] DecodeError),
    /// The master ended the subscription with an ERROR event: this framework cannot go on.
    #[error("the master refuses the framework: {0}")]
    Framework(String),
    /// The stream of events ended.
    #[error("the event stream ended: {0}")]
    Ended(String),
    /// A call that needs a subscription came before it, or after its end.
    #[error("not subscribed")]
    NotSubscribed,
}

impl Error {
    /// True if trying again, later or elsewhere, may help.
    pub fn is_passing(&self) -> bool {
        match self {
            Error::Transport(error) => !matches!(error, ClientError::Request { .. }),
            Error::NoLeader(_) | Error::Ended(_) | Error::NotSubscribed | Error::Malformed(_) => true,
            Error::Refused { status, .. } => status.is_server_error(),
            Error::Address(_) | Error::Framework(_) => false,
        }
    }
}
