//! Who is next, by the oracle: shares are added up from what everybody holds, each time.

use std::collections::{BTreeMap, BTreeSet};

use model::FrameworkId;
use resources::{Resources, role::is_strict_subrole_of};

use super::{Agent, Oracle, with_ancestors};
use crate::{config::SorterKind, directory::hash_text, quota::parent_of, standing::lot};

/// A place in an order: the least first.
type Place = (f64, u64, String);

impl Oracle {
    /// These roles and those above them, from the top of the tree down, each level in its order.
    pub fn sorted_roles(&self, roles: &BTreeSet<&str>, sorter: SorterKind, draw: u64) -> Vec<String> {
        let names: BTreeSet<String> = roles.iter().flat_map(|name| with_ancestors(name)).map(str::to_owned).collect();
        let mut sorted = Vec::new();
        // The places that are still to come, the next one last. A role that stands for itself ends with a dot.
        let mut ahead = vec![None];
        while let Some(next) = ahead.pop() {
            let owner: Option<&str> = match &next {
                None => None,
                Some((name, true)) => {
                    sorted.push(String::clone(name));
                    continue;
                }
                Some((name, false)) => Some(name),
            };
            let mut level: Vec<(Place, String, bool)> = names
                .iter()
                .filter(|name| parent_of(name) == owner)
                .map(|name| (self.place(name, name, false, sorter, draw), name.clone(), false))
                .collect();
            if let Some(owner) = owner {
                level.push((self.place(owner, &format!("{owner}/."), true, sorter, draw), owner.to_owned(), true));
            }
            level.sort_by(|(a, ..), (b, ..)| b.0.total_cmp(&a.0).then(b.1.cmp(&a.1)).then(b.2.cmp(&a.2)));
            ahead.extend(level.into_iter().map(|(_, name, itself)| Some((name, itself))));
        }
        sorted
    }

    fn place(&self, role: &str, path: &str, itself: bool, sorter: SorterKind, draw: u64) -> Place {
        let weight = if itself { 1.0 } else { self.weights.get(role).copied().unwrap_or(1.0) };
        let counts = if itself { &self.role_counts } else { &self.subtree_counts };
        match sorter {
            SorterKind::Drf => {
                let share = if itself { self.own_share(role) } else { self.role_share(role) };
                (share, counts.get(role).copied().unwrap_or(0), path.to_owned())
            }
            SorterKind::Random => (lot(hash_text(path), weight, draw), 0, path.to_owned()),
        }
    }

    pub fn sorted_frameworks(&self, role: &str, sorter: SorterKind, draw: u64) -> Vec<FrameworkId> {
        let listed = self.frameworks.iter().filter(|(_, f)| {
            f.known && f.active && f.profile.roles.contains(role) && !f.profile.suppressed.contains(role)
        });
        let place = |id: &FrameworkId| -> Place {
            match sorter {
                SorterKind::Drf => {
                    let count = self.client_counts.get(&(id.clone(), role.to_owned())).copied().unwrap_or(0);
                    (self.client_share(id, role), count, id.as_str().to_owned())
                }
                SorterKind::Random => (lot(hash_text(id.as_str()), 1.0, draw), 0, id.as_str().to_owned()),
            }
        };
        let mut ids: Vec<(Place, FrameworkId)> = listed.map(|(id, _)| (place(id), id.clone())).collect();
        ids.sort_by(|(a, _), (b, _)| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)).then(a.2.cmp(&b.2)));
        ids.into_iter().map(|(_, id)| id).collect()
    }

    pub fn client_share(&self, id: &FrameworkId, role: &str) -> f64 {
        self.share(|agent| agent.held.get(&(id.clone(), role.to_owned())).cloned().unwrap_or_default())
    }

    /// A role with all below it, by its weight.
    pub fn role_share(&self, role: &str) -> f64 {
        let below = |name: &str| name == role || is_strict_subrole_of(name, role);
        let share = self.share(|agent| self.of_roles(agent, below));
        share / self.weights.get(role).copied().unwrap_or(1.0)
    }

    /// A role by itself.
    fn own_share(&self, role: &str) -> f64 {
        self.share(|agent| self.of_roles(agent, |name| name == role))
    }

    /// What these roles hold of an agent, and what is reserved to them and idle.
    fn of_roles(&self, agent: &Agent, belongs: impl Fn(&str) -> bool) -> Resources {
        let mine = agent.held.iter().filter(|((_, role), _)| belongs(role));
        let mut all: Resources = mine.map(|(_, held)| held).sum();
        if self.config.idle_reservations_count {
            // Allocated to a role that nobody has, so that it does not melt with what is held of the same kind.
            let idle = agent.available().filter(|r| !r.is_shared() && r.reservation_role().is_some_and(&belongs));
            all += idle.allocate("idle");
        }
        all
    }

    /// The dominant share of what is somebody's on each agent.
    fn share(&self, of: impl Fn(&Agent) -> Resources) -> f64 {
        let mut mine = BTreeMap::<String, i64>::new();
        let mut totals = BTreeMap::<String, i64>::new();
        for agent in self.agents.values() {
            for (name, amount) in of(agent).scalar_quantities().iter() {
                *mine.entry(name.as_str().to_owned()).or_default() += amount.0;
            }
            for (name, amount) in agent.total.scalar_quantities().iter() {
                *totals.entry(name.as_str().to_owned()).or_default() += amount.0;
            }
        }
        let mut dominant = 0.0;
        for (name, amount) in mine {
            let total = totals.get(&name).copied().unwrap_or(0);
            if total > 0 && amount > 0 && !self.config.fair_sharing_excluded.contains(&name) {
                dominant = f64::max(dominant, amount as f64 / total as f64);
            }
        }
        dominant
    }
}
