//! Whether an operation on resources may be asked for at all, by a framework or by an operator.

use model::parse::operation::{Asker, reservation, volume};
use proto::v1::offer::{Operation, operation::Type};

use crate::{Master, state::Agent, weight};

impl Master {
    /// Why `operation`, one that converts resources of `agent`, is refused to `asker`.
    pub(crate) fn check_conversion(
        &self,
        operation: &Operation,
        agent: &Agent,
        asker: Asker<'_>,
    ) -> Result<(), String> {
        let capabilities = agent.capabilities;
        let checkpointed = || agent.total.checkpointed();
        match operation.r#type() {
            Type::Reserve => operation.reserve.iter().try_for_each(|r| {
                reservation::reserve(r, capabilities, asker)?;
                weight::check_reservations(&self.config, &agent.total, &r.resources)
            }),
            Type::Unreserve => operation.unreserve.iter().try_for_each(reservation::unreserve),
            Type::Create => operation.create.iter().try_for_each(|c| {
                volume::create(c, &checkpointed(), capabilities, asker)?;
                weight::check_reservations(&self.config, &agent.total, &c.volumes)
            }),
            Type::Destroy => {
                operation.destroy.iter().try_for_each(|d| volume::destroy(d, &checkpointed(), &self.held_on(&agent.id)))
            }
            Type::GrowVolume => operation.grow_volume.iter().try_for_each(|grow| volume::grow(grow, capabilities)),
            Type::ShrinkVolume => {
                operation.shrink_volume.iter().try_for_each(|shrink| volume::shrink(shrink, capabilities))
            }
            Type::Unknown | Type::Launch | Type::LaunchGroup | Type::CreateDisk | Type::DestroyDisk => {
                Err("Operation not supported".to_owned())
            }
        }
    }
}
