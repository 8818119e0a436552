//! Calls of schedulers.

use super::{ids, present, type_of};
use proto::v1::{
    FrameworkId,
    scheduler::{Call, call::Type},
};

pub fn scheduler_call(call: &Call) -> Result<(), String> {
    let kind = type_of(call.r#type)?;
    if kind == Type::Subscribe {
        return subscribe(call);
    }
    let framework_id = present(&call.framework_id, "framework_id")?;
    match kind {
        Type::Unknown | Type::Subscribe | Type::Teardown | Type::Revive | Type::Suppress => Ok(()),
        Type::Accept => present(&call.accept, "accept").map(drop),
        Type::Decline => present(&call.decline, "decline").map(drop),
        Type::AcceptInverseOffers => present(&call.accept_inverse_offers, "accept_inverse_offers").map(drop),
        Type::DeclineInverseOffers => present(&call.decline_inverse_offers, "decline_inverse_offers").map(drop),
        Type::Kill => present(&call.kill, "kill").map(drop),
        Type::Shutdown => present(&call.shutdown, "shutdown").map(drop),
        Type::Acknowledge => ids::uuid(&present(&call.acknowledge, "acknowledge")?.uuid).map(drop),
        Type::AcknowledgeOperationStatus => {
            let acknowledge = present(&call.acknowledge_operation_status, "acknowledge_operation_status")?;
            ids::uuid(&acknowledge.uuid)?;
            present(&acknowledge.agent_id, "agent_id").map(drop)
        }
        Type::Reconcile => present(&call.reconcile, "reconcile").map(drop),
        Type::ReconcileOperations => present(&call.reconcile_operations, "reconcile_operations").map(drop),
        Type::Message => present(&call.message, "message").map(drop),
        Type::Request => present(&call.request, "request").map(drop),
        Type::UpdateFramework => {
            let update = present(&call.update_framework, "update_framework")?;
            if text(update.framework_info.id.as_ref()) != framework_id.value {
                return Err("'framework_id' differs from 'update_framework.framework_info.id'".into());
            }
            Ok(())
        }
    }
}

fn subscribe(call: &Call) -> Result<(), String> {
    let info = &present(&call.subscribe, "subscribe")?.framework_info;
    if text(info.id.as_ref()) != text(call.framework_id.as_ref()) {
        return Err("'framework_id' differs from 'subscribe.framework_info.id'".into());
    }
    Ok(())
}

/// A subscriber is who it says it is. Comes right after [`scheduler_call`]; `principal` is the authenticated one.
pub fn scheduler_principal(call: &Call, principal: Option<&str>) -> Result<(), String> {
    let claimed = call.subscribe.as_ref().and_then(|subscribe| subscribe.framework_info.principal.as_deref());
    match (principal, claimed) {
        (Some(principal), Some(claimed)) if principal != claimed => Err(format!(
            "Authenticated principal '{principal}' does not match principal '{claimed}' set in `FrameworkInfo`"
        )),
        _ => Ok(()),
    }
}

/// No id is the same as an empty one.
fn text(id: Option<&FrameworkId>) -> &str {
    id.map_or("", |id| &id.value)
}
