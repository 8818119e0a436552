//! Whether an operation of an ACCEPT can be considered at all.

use model::parse;
use proto::v1::offer::{Operation, operation::Type};

/// Its resources make sense, and launches ask for no feedback. Upgrades the resources on the way.
pub(crate) fn check(operation: &mut Operation) -> Result<(), String> {
    let kind = operation.r#type();
    let is_launch = matches!(kind, Type::Launch | Type::LaunchGroup);
    parse::operation::upgrade(operation)
        .map_err(|why| if is_launch { why } else { format!("Operation attempted with invalid resources: {why}") })?;
    if is_launch && operation.id.is_some() {
        return Err(format!("The `id` field cannot be set on {} operations", kind.as_str_name()));
    }
    if operation.reserve.as_ref().is_some_and(|reserve| !reserve.source.is_empty()) {
        let why = "Reservation updates are not yet implemented for the scheduler API.";
        return Err(format!("Operation attempted with invalid resources: {why}"));
    }
    Ok(())
}
