//! The tree of roles. A role stands among its siblings with all that its subtree holds; where it has roles below it and
//! frameworks of its own, these stand among its children as a virtual leaf, with a weight of 1.

use std::sync::Arc;

use smallvec::SmallVec;

use crate::{
    allocator::{Agent, Allocator, Client},
    bits::Set,
    consumption::{Consumption, QuotaRow},
    directory::{Directory, Idx},
    quota::parent_of,
    scalars::{Amounts, Scalars},
    standing::{Order, Standing, Totals},
};

pub(crate) struct Role {
    pub name: Arc<str>,
    pub parent: Option<Idx<Role>>,
    pub children: Vec<Idx<Role>>,
    /// The whole subtree among the children of the parent.
    pub node: Standing<Role>,
    /// Its own frameworks among its children.
    pub leaf: Standing<Role>,
    pub clients: Vec<Idx<Client>>,
    /// The same clients as bits: the number of each word that has any, and the word.
    pub words: Vec<(u32, u64)>,
    /// Its frameworks among each other.
    pub order: Order<Client>,
    /// How many clients take part, of its own and of the subtree.
    pub listed: u32,
    pub listed_below: u32,
    /// On how many agents something is reserved to it.
    pub reserving_agents: u32,
    pub consumption: Consumption,
    pub quota: Option<QuotaRow>,
    /// Agents of which it would get more if its quota, or one above it, left it more room.
    pub waiting: Set<Agent>,
}

/// The levels of the tree: 0 for the roles at the top, and one for the children of each role.
pub(crate) fn level_of(owner: Option<Idx<Role>>) -> usize {
    owner.map_or(0, |r| r.at() + 1)
}

/// What the roles hold among each other, and all that changes with it.
pub(crate) struct Tree<'a> {
    pub roles: &'a mut Directory<Arc<str>, Role>,
    pub levels: &'a mut Vec<Order<Role>>,
    pub relaxed: &'a mut Vec<Idx<Role>>,
    pub totals: &'a Totals,
    pub scalars: &'a Scalars,
}

impl Allocator {
    pub(crate) fn tree(&mut self) -> Tree<'_> {
        Tree {
            roles: &mut self.roles,
            levels: &mut self.levels,
            relaxed: &mut self.relaxed,
            totals: &self.totals,
            scalars: &self.scalars,
        }
    }

    /// The number of a role; it and those above it come into being as needed.
    pub(crate) fn ensure_role(&mut self, name: &str) -> Idx<Role> {
        if let Some(r) = self.roles.find(name) {
            return r;
        }
        // From the top down, without recursion: names can be deep.
        let missing: Vec<&str> = std::iter::successors(Some(name), |name| parent_of(name))
            .take_while(|name| self.roles.find(*name).is_none())
            .collect();
        let mut parent = missing.last().and_then(|top| parent_of(top)).and_then(|above| self.roles.find(above));
        for name in missing.into_iter().rev() {
            parent = Some(self.add_role(name, parent));
        }
        parent.unwrap_or(Idx::new(0))
    }

    fn add_role(&mut self, name: &str, parent: Option<Idx<Role>>) -> Idx<Role> {
        let name: Arc<str> = name.into();
        let weight = self.weights.get(&*name).copied().unwrap_or(1.0);
        let above = parent.filter(|_| self.config.nested_quota).and_then(|p| self.roles.get(p));
        let (hungry, closed) = above.map_or((0, 0), |above| (above.consumption.hungry, above.consumption.closed));
        let quota = self.quotas.get(&*name).map(|quota| QuotaRow::new(quota, &mut self.scalars));
        let role = Role {
            node: Standing::new(name.clone(), weight),
            leaf: Standing::new(format!("{name}/.").into(), 1.0),
            name: name.clone(),
            parent,
            children: Vec::new(),
            clients: Vec::new(),
            words: Vec::new(),
            order: Order::default(),
            listed: 0,
            listed_below: 0,
            reserving_agents: 0,
            consumption: Consumption { hungry, closed, ..Consumption::default() },
            quota,
            waiting: Set::default(),
        };
        let r = self.roles.insert(name, role);
        if self.levels.len() <= level_of(Some(r)) {
            self.levels.resize_with(level_of(Some(r)) + 1, Order::default);
        }
        if let Some(level) = self.levels.get_mut(level_of(Some(r))) {
            *level = Order::default();
        }
        if let Some(above) = parent.and_then(|p| self.roles.get_mut(p)) {
            above.children.push(r);
        }
        r
    }

    /// A role and those above it, the topmost first.
    pub(crate) fn path_to(&self, r: Idx<Role>) -> SmallVec<[Idx<Role>; 8]> {
        let mut path: SmallVec<[Idx<Role>; 8]> = SmallVec::new();
        let mut next = Some(r);
        while let Some(role) = next.and_then(|r| self.roles.get(r).map(|role| (r, role))) {
            path.push(role.0);
            next = role.1.parent;
        }
        path.reverse();
        path
    }

    /// The clients in a role and all roles below it.
    pub(crate) fn clients_below(&self, r: Idx<Role>) -> Set<Client> {
        let mut clients = Set::default();
        let mut roles = vec![r];
        while let Some(role) = roles.pop().and_then(|r| self.roles.get(r)) {
            for c in &role.clients {
                clients.set(*c);
            }
            roles.extend(&role.children);
        }
        clients
    }

    /// Puts the order of the frameworks of a role right.
    pub(crate) fn refresh_clients(&mut self, r: Idx<Role>) {
        let Some(role) = self.roles.get_mut(r) else { return };
        if role.order.is_fresh(&self.totals) {
            return;
        }
        let order = &mut role.order;
        let everyone = order.take_stale(&self.totals);
        let nodes = everyone.as_ref().unwrap_or(&role.clients);
        for &c in nodes {
            if let Some(client) = self.clients.get_mut(c).filter(|client| client.role == r)
                && (everyone.is_some() || client.standing.needs_place())
            {
                order.place(c, &mut client.standing, &self.totals, &self.scalars);
            }
        }
        match everyone {
            Some(stale) => order.give_back(stale),
            None => order.settle(&self.totals),
        }
    }
}

impl Tree<'_> {
    /// Removes a role that nobody is in, nothing is reserved to and no quota is for, and then the same above it.
    pub(crate) fn drop_if_unused(&mut self, r: Idx<Role>) {
        let mut next = Some(r);
        while let Some(r) = next {
            let Some(role) = self.roles.get(r) else { return };
            if !role.clients.is_empty()
                || !role.children.is_empty()
                || role.reserving_agents > 0
                || role.quota.is_some()
            {
                return;
            }
            let (name, parent) = (role.name.clone(), role.parent);
            if let Some((_, mut role)) = self.roles.remove(&*name)
                && let Some(level) = self.levels.get_mut(level_of(parent))
            {
                level.remove(&mut role.node);
            }
            if let Some(above) = parent.and_then(|p| self.roles.get_mut(p)) {
                above.children.retain(|other| *other != r);
            }
            self.relaxed.retain(|other| *other != r);
            next = parent;
        }
    }

    /// A client of the role takes part now, or no longer.
    pub(crate) fn count_listed(&mut self, r: Idx<Role>, listed: bool) {
        let step = |count: &mut u32| {
            *count = if listed { *count + 1 } else { count.saturating_sub(1) };
            *count > 0
        };
        if let Some(role) = self.roles.get_mut(r)
            && let Some(level) = self.levels.get_mut(level_of(Some(r)))
        {
            let any = step(&mut role.listed);
            level.list(r, &mut role.leaf, any);
        }
        let mut next = Some(r);
        while let Some(r) = next {
            let Some(role) = self.roles.get_mut(r) else { return };
            let any = step(&mut role.listed_below);
            if let Some(level) = self.levels.get_mut(level_of(role.parent)) {
                level.list(r, &mut role.node, any);
            }
            next = role.parent;
        }
    }

    /// Adds to what a role has for itself.
    pub(crate) fn add_to_leaf(&mut self, r: Idx<Role>, change: &Amounts) {
        if let Some(role) = self.roles.get_mut(r)
            && let Some(level) = self.levels.get_mut(level_of(Some(r)))
        {
            role.leaf.amounts.add(change);
            level.touch(r, &mut role.leaf);
        }
    }

    /// Adds to what a role has for itself, and to the subtrees that it lies in.
    pub(crate) fn add_to_role(&mut self, r: Idx<Role>, change: &Amounts) {
        self.add_to_leaf(r, change);
        let mut next = Some(r);
        while let Some(r) = next {
            next = self.add_to_node(r, change);
        }
    }

    /// Adds to what one subtree has; returns the role above.
    pub(crate) fn add_to_node(&mut self, r: Idx<Role>, change: &Amounts) -> Option<Idx<Role>> {
        let role = self.roles.get_mut(r)?;
        role.node.amounts.add(change);
        if let Some(level) = self.levels.get_mut(level_of(role.parent)) {
            level.touch(r, &mut role.node);
        }
        role.parent
    }

    /// Counts one more allocation for a role and those above it.
    pub(crate) fn count_allocation(&mut self, r: Idx<Role>) {
        if let Some(role) = self.roles.get_mut(r) {
            role.leaf.count += 1;
        }
        let mut next = Some(r);
        while let Some(role) = next.and_then(|r| self.roles.get_mut(r)) {
            role.node.count += 1;
            next = role.parent;
        }
    }

    /// Puts the order of one level right.
    pub(crate) fn refresh_level(&mut self, owner: Option<Idx<Role>>) {
        let Some(order) = self.levels.get_mut(level_of(owner)) else { return };
        if order.is_fresh(self.totals) {
            return;
        }
        let stale = order.take_stale(self.totals);
        let everyone: Vec<Idx<Role>> = match (&stale, owner) {
            (Some(_), _) => Vec::new(),
            (None, None) => self.roles.iter().filter(|(_, role)| role.parent.is_none()).map(|(r, _)| r).collect(),
            (None, Some(r)) => self.roles.get(r).map_or_else(Vec::new, |role| {
                let mut nodes = role.children.clone();
                nodes.push(r);
                nodes
            }),
        };
        for &r in stale.as_ref().unwrap_or(&everyone) {
            let Some(role) = self.roles.get_mut(r) else { continue };
            let standing = match owner {
                Some(owner) if owner == r => &mut role.leaf,
                owner if owner == role.parent => &mut role.node,
                _ => continue,
            };
            if stale.is_some() || standing.needs_place() {
                order.place(r, standing, self.totals, self.scalars);
            }
        }
        match stale {
            Some(stale) => order.give_back(stale),
            None => order.settle(self.totals),
        }
    }
}
