//! The name of a container: its path from the root container down. Grammar checks live here; what a container is lives
//! in `spec`.

use std::{fmt, path::PathBuf};

/// How deep containers may nest.
pub const MAX_DEPTH: usize = 32;
/// The longest name of one level.
pub const MAX_LENGTH: usize = 242;

/// The path of a container, root first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContainerId(Vec<String>);

/// Why a text names no container.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    #[error("a container ID must have at least one level")]
    NoLevels,
    #[error("a container ID must not be empty")]
    Empty,
    #[error("the container ID '{0}' is longer than {MAX_LENGTH} characters")]
    TooLong(String),
    #[error("the container ID '{0}' contains a character that is not allowed ('.', '/', blank or control)")]
    BadCharacter(String),
    #[error("containers nest deeper than {MAX_DEPTH} levels")]
    TooDeep,
}

impl ContainerId {
    /// The id whose levels are `path`, root first.
    pub fn new(path: Vec<String>) -> Result<ContainerId, IdError> {
        if path.is_empty() {
            return Err(IdError::NoLevels);
        }
        if path.len() > MAX_DEPTH {
            return Err(IdError::TooDeep);
        }
        for level in &path {
            check_level(level)?;
        }
        Ok(ContainerId(path))
    }

    pub fn root(name: &str) -> Result<ContainerId, IdError> {
        ContainerId::new(vec![name.to_owned()])
    }

    pub fn child(&self, name: &str) -> Result<ContainerId, IdError> {
        let mut path = self.0.clone();
        path.push(name.to_owned());
        ContainerId::new(path)
    }

    pub fn parent(&self) -> Option<ContainerId> {
        match self.0.split_last() {
            Some((_, rest)) if !rest.is_empty() => Some(ContainerId(rest.to_vec())),
            _ => None,
        }
    }

    /// The levels, root first; never empty.
    pub fn path(&self) -> &[String] {
        &self.0
    }

    /// The last level.
    pub fn name(&self) -> &str {
        self.0.last().map_or("", String::as_str)
    }

    pub fn is_nested(&self) -> bool {
        self.0.len() > 1
    }

    /// Whether this container lies (strictly) below `other`.
    pub fn is_below(&self, other: &ContainerId) -> bool {
        self.0.len() > other.0.len() && self.0.starts_with(&other.0)
    }

    /// The levels joined with `separator` between them, as the path of a directory.
    pub(crate) fn directory(&self, separator: &str) -> PathBuf {
        let mut path = PathBuf::new();
        for (depth, level) in self.0.iter().enumerate() {
            if depth > 0 {
                path.push(separator);
            }
            path.push(level);
        }
        path
    }
}

impl fmt::Display for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("."))
    }
}

fn check_level(level: &str) -> Result<(), IdError> {
    if level.is_empty() {
        return Err(IdError::Empty);
    }
    if level.len() > MAX_LENGTH {
        return Err(IdError::TooLong(level.to_owned()));
    }
    if level.chars().any(|c| matches!(c, '.' | '/') || c.is_control() || c.is_whitespace()) {
        return Err(IdError::BadCharacter(level.to_owned()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_know_their_place() {
        let root = ContainerId::root("a").unwrap();
        let child = root.child("b").unwrap();
        assert_eq!(child.to_string(), "a.b");
        assert_eq!(child.parent(), Some(root.clone()));
        assert_eq!(root.parent(), None);
        assert!(child.is_below(&root) && !root.is_below(&child) && !root.is_below(&root));
        assert_eq!(child.directory("x"), PathBuf::from("a/x/b"));
    }

    #[test]
    fn names_that_could_leave_a_directory_are_refused() {
        for bad in ["", ".", "..", "a/b", "a.b", "a b", "a\n", "\u{7f}"] {
            assert!(ContainerId::root(bad).is_err(), "{bad:?}");
        }
        assert!(ContainerId::root(&"x".repeat(242)).is_ok());
        assert!(ContainerId::root(&"x".repeat(243)).is_err());
        assert!(ContainerId::new(vec!["x".into(); 32]).is_ok());
        assert_eq!(ContainerId::new(vec!["x".into(); 33]), Err(IdError::TooDeep));
    }
}
