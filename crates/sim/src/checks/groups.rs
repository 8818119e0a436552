//! Resource groups hold what their roles hold, neither more nor less; they are offered what they may draw from, up to
//! their end, and nobody joins an exclusive one on its agents.

use super::Check;
use crate::observation::Fact;

pub(super) struct Groups;

impl Check for Groups {
    fn name(&self) -> &'static str {
        "groups"
    }

    fn note(&mut self, fact: &Fact) -> Result<(), String> {
        match fact {
            Fact::GroupHolds { name, counted, booked } if counted != booked => {
                Err(format!("the roles of group {name} hold {counted}, and the master's books say {booked}"))
            }
            Fact::GroupOffered { name, said, agent, selects, others, begun, exclusive, held_units, max } => {
                let of = name.as_deref().unwrap_or(allocator::groups::DEFAULT);
                if said.as_deref().is_some_and(|said| said != of) || said.is_none() && name.is_some() {
                    return Err(format!(
                        "an offer of agent {agent} to a role of group {of} says that it is of {said:?}"
                    ));
                }
                if !selects {
                    return Err(format!("group {of} is offered agent {agent}, which it does not select"));
                }
                if let Some(owner) = others.iter().flatten().find(|other| exclusive.contains(*other)) {
                    return Err(format!("group {of} is offered agent {agent}, which group {owner} has for itself"));
                }
                // One that became exclusive keeps what it has, and so does everybody else.
                if exclusive.contains(of) && !others.is_empty() && !begun {
                    return Err(format!("the exclusive group {of} begins on agent {agent} beside {others:?}"));
                }
                match max.filter(|max| held_units > max) {
                    Some(max) => {
                        Err(format!("group {of} is offered more and holds {held_units} units, of {max} at most"))
                    }
                    None => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }
}
