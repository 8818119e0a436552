//! Why bytes of a peer are not the message it says they are, in Mesos's words.

/// Why a text or a binary did not become a message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Not JSON at all, with line and rest of the line.
    #[error("{0}")]
    Json(String),
    /// JSON, but a value does not fit its field.
    #[error("{0}")]
    Field(String),
    /// Required fields are not there; the paths, separated by commas.
    #[error("Missing required fields: {0}")]
    MissingFields(String),
    /// Not protobuf, or not of this message.
    #[error("not a valid protobuf message: {0}")]
    Binary(String),
    /// Small on the wire, but not in memory.
    #[error(
        "a message of {bytes} bytes would take more than {bound} bytes in memory: it may hold fewer messages and values"
    )]
    TooLarge { bytes: usize, bound: usize },
}

impl DecodeError {
    /// The body of Mesos's 400 answer, for a message called `name` ("Call").
    pub fn body(&self, name: &str, was_json: bool) -> String {
        match self {
            DecodeError::Json(why) => format!("Failed to parse body into JSON: {why}"),
            _ if was_json => format!("Failed to convert JSON into {name} protobuf: {self}"),
            DecodeError::TooLarge { .. } => format!("Failed to parse body into {name} protobuf: {self}"),
            _ => format!("Failed to parse body into {name} protobuf"),
        }
    }
}
