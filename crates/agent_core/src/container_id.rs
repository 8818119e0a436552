//! `ContainerId`: the path of a container, root first. What is known about a container: `state`.

use proto::v1;
use std::{fmt, sync::Arc};

/// A container's place in the tree of containers. Ordered so that a container comes right before its descendants.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContainerId(Arc<str>);

impl ContainerId {
    /// The root container called `name`.
    pub fn root_of(name: &str) -> ContainerId {
        ContainerId(name.into())
    }

    /// The container called `name` inside this one.
    pub fn child(&self, name: &str) -> ContainerId {
        ContainerId(format!("{}.{name}", self.0).into())
    }

    /// The id a message carries. `None` when a part is empty, holds the separator, or the nesting is absurd.
    pub fn from_proto(proto: &v1::ContainerId) -> Option<ContainerId> {
        let mut parts = vec![proto.value.as_str()];
        let mut next = proto.parent.as_deref();
        while let Some(parent) = next {
            parts.push(&parent.value);
            if parts.len() > MAX_DEPTH {
                return None;
            }
            next = parent.parent.as_deref();
        }
        if parts.iter().any(|part| part.is_empty() || part.contains('.')) {
            return None;
        }
        parts.reverse();
        Some(ContainerId(parts.join(".").into()))
    }

    pub fn to_proto(&self) -> v1::ContainerId {
        let mut id: Option<v1::ContainerId> = None;
        for part in self.parts() {
            id = Some(v1::ContainerId { value: part.to_owned(), parent: id.map(Box::new) });
        }
        id.unwrap_or_default()
    }

    /// The names from the root to this container.
    pub fn parts(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split('.')
    }

    pub fn root(&self) -> ContainerId {
        match self.0.split_once('.') {
            None => self.clone(),
            Some((root, _)) => ContainerId(root.into()),
        }
    }

    pub fn parent(&self) -> Option<ContainerId> {
        self.0.rsplit_once('.').map(|(parent, _)| ContainerId(parent.into()))
    }

    /// The container's own name, without its parents'.
    pub fn name(&self) -> &str {
        self.0.rsplit_once('.').map_or(&self.0, |(_, name)| name)
    }

    pub fn is_nested(&self) -> bool {
        self.0.contains('.')
    }

    pub fn is_inside(&self, ancestor: &ContainerId) -> bool {
        self.0.strip_prefix(&*ancestor.0).is_some_and(|rest| rest.starts_with('.'))
    }

    /// The path joined by dots, as Mesos prints it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Reads back what `as_str` gave.
    pub fn from_joined(text: &str) -> ContainerId {
        ContainerId(text.into())
    }
}

/// How deep containers may nest.
pub const MAX_DEPTH: usize = 32;

impl fmt::Display for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_survives_the_wire() {
        let id = ContainerId::root_of("a").child("b").child("c");
        assert_eq!(ContainerId::from_proto(&id.to_proto()), Some(id.clone()));
        assert_eq!(id.root().as_str(), "a");
        assert_eq!(id.parent().map(|p| p.to_string()), Some("a.b".into()));
        assert_eq!(id.name(), "c");
        assert!(
            id.is_inside(&ContainerId::root_of("a"))
                && !ContainerId::root_of("ab").is_inside(&ContainerId::root_of("a"))
        );
    }

    #[test]
    fn a_bad_part_or_absurd_depth_is_refused() {
        let mut id = v1::ContainerId { value: "x".into(), parent: None };
        for _ in 0..40 {
            id = v1::ContainerId { value: "x".into(), parent: Some(Box::new(id)) };
        }
        assert_eq!(ContainerId::from_proto(&id), None);
        assert_eq!(ContainerId::from_proto(&v1::ContainerId { value: "a.b".into(), parent: None }), None);
        assert_eq!(ContainerId::from_proto(&v1::ContainerId { value: String::new(), parent: None }), None);
    }
}
