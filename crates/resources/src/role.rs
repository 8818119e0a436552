//! Role names: their grammar and their hierarchy (`a/b` lies below `a`).

/// Why a text is no role name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RoleError {
    #[error("Role names cannot be the empty string")]
    Empty,
    #[error("Role '{0}' cannot start with a slash")]
    LeadingSlash(String),
    #[error("Role '{0}' cannot end with a slash")]
    TrailingSlash(String),
    #[error("Role '{0}' cannot contain two adjacent slashes")]
    AdjacentSlashes(String),
    #[error("Role '{role}' cannot include '{component}' as a component")]
    Component { role: String, component: String },
    #[error("Role component '{0}' is invalid because it starts with a dash")]
    Dash(String),
    #[error("Role component '{0}' is invalid because it contains backspace or whitespace")]
    Character(String),
}

/// The role of whatever is reserved to nobody.
pub const UNRESERVED: &str = "*";

/// Checks a role name, `*` included.
pub fn check(role: &str) -> Result<(), RoleError> {
    if role == UNRESERVED {
        return Ok(());
    }
    if role.starts_with('/') {
        return Err(RoleError::LeadingSlash(role.into()));
    }
    if role.ends_with('/') {
        return Err(RoleError::TrailingSlash(role.into()));
    }
    if role.contains("//") {
        return Err(RoleError::AdjacentSlashes(role.into()));
    }
    if role.is_empty() {
        return Err(RoleError::Empty);
    }
    for component in role.split('/') {
        if matches!(component, "." | ".." | "*") {
            return Err(RoleError::Component { role: role.into(), component: component.into() });
        }
        if component.starts_with('-') {
            return Err(RoleError::Dash(component.into()));
        }
        if component.bytes().any(|byte| matches!(byte, b'\t' | b'\n' | 0x0b | 0x0c | b'\r' | b' ' | 0x7f)) {
            return Err(RoleError::Character(component.into()));
        }
    }
    Ok(())
}

/// Whether `role` lies strictly below `ancestor`.
pub fn is_strict_subrole_of(role: &str, ancestor: &str) -> bool {
    role.strip_prefix(ancestor).is_some_and(|rest| rest.starts_with('/'))
}

/// The roles above `role`, nearest first: `a/b/c` gives `a/b`, `a`.
pub fn ancestors(role: &str) -> impl Iterator<Item = &str> {
    role.rmatch_indices('/').map(move |(at, _)| role.get(..at).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grammar_of_role_names() {
        for good in ["*", "a", "a/b", "a.b", "a-b", "a/b-/c", "..a", "ü", "a*", "_"] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        let bad = [
            ("", "Role names cannot be the empty string"),
            ("/", "Role '/' cannot start with a slash"),
            ("/a", "Role '/a' cannot start with a slash"),
            ("a/", "Role 'a/' cannot end with a slash"),
            ("a//b", "Role 'a//b' cannot contain two adjacent slashes"),
            (".", "Role '.' cannot include '.' as a component"),
            ("a/..", "Role 'a/..' cannot include '..' as a component"),
            ("a/*/b", "Role 'a/*/b' cannot include '*' as a component"),
            ("-a", "Role component '-a' is invalid because it starts with a dash"),
            ("a/-b", "Role component '-b' is invalid because it starts with a dash"),
            ("a b", "Role component 'a b' is invalid because it contains backspace or whitespace"),
            ("a/b\u{7f}", "Role component 'b\u{7f}' is invalid because it contains backspace or whitespace"),
        ];
        for (role, text) in bad {
            assert_eq!(check(role).map_err(|e| e.to_string()), Err(text.into()), "{role}");
        }
    }

    #[test]
    fn the_hierarchy() {
        assert!(is_strict_subrole_of("a/b", "a") && is_strict_subrole_of("a/b/c", "a"));
        assert!(
            !is_strict_subrole_of("a", "a") && !is_strict_subrole_of("ab", "a") && !is_strict_subrole_of("a", "a/b")
        );
        assert_eq!(ancestors("a/b/c").collect::<Vec<_>>(), ["a/b", "a"]);
        assert_eq!(ancestors("a").count(), 0);
    }
}
