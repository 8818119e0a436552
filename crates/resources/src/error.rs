//! Why resources are refused.

/// The texts are part of the protocol: frameworks and operators see them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResourceError {
    /// A resource on the wire that makes no sense by itself.
    #[error("Resource '{resource}' is invalid: {why}")]
    Invalid { resource: String, why: String },
    /// Text that is no list of resources, or an operation that is impossible whatever there is.
    #[error("{0}")]
    Malformed(String),
    /// The old format has room for one reservation only.
    #[error("Cannot downgrade resources containing refined reservations")]
    Refined,
    #[error("{total} does not contain {wanted}")]
    Missing { total: String, wanted: String },
    #[error("Persistent volume {0} cannot be removed due to additional shared copies")]
    SharedCopies(String),
}
