//! Whether an operation of an ACCEPT can be considered at all.

use model::parse;
use proto::v1::offer::{Operation, operation::Type};

/// Its resources make sense, and neither launches nor v0 drivers ask for feedback. Upgrades the resources on the way.
pub(crate) fn check(operation: &mut Operation, by_driver: bool) -> Result<(), String> {
    let kind = operation.r#type();
    let is_launch = matches!(kind, Type::Launch | Type::LaunchGroup);
    parse::operation::upgrade(operation)
        .map_err(|why| if is_launch { why } else { format!("Operation attempted with invalid resources: {why}") })?;
    if is_launch && operation.id.is_some() {
        return Err(format!("The `id` field cannot be set on {} operations", kind.as_str_name()));
    }
    if by_driver && operation.id.is_some() {
        let why = "The 'id' field was set in an offer operation, but operation feedback is not supported for the \
                   SchedulerDriver API";
        return Err(why.to_owned());
    }
    if operation.reserve.as_ref().is_some_and(|reserve| !reserve.source.is_empty()) {
        let why = "Reservation updates are not yet implemented for the scheduler API.";
        return Err(format!("Operation attempted with invalid resources: {why}"));
    }
    Ok(())
}
