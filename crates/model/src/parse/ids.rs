//! What an id may look like. Ids become names of directories.

use proto::v1::{ContainerId, FrameworkId};

/// The longest file name.
const LENGTH_MAX: usize = 255;
/// The longest directory name on every file system that images are made of.
const CONTAINER_LENGTH_MAX: usize = 242;

/// Any id but a container's.
pub fn id(id: &str) -> Result<(), String> {
    if id.is_empty() {
        return Err("ID must not be empty".into());
    }
    if id.len() > LENGTH_MAX {
        return Err(format!("ID must not be greater than {LENGTH_MAX} characters"));
    }
    if matches!(id, "." | "..") {
        return Err(format!("'{id}' is disallowed"));
    }
    if id.bytes().any(|byte| byte.is_ascii_control() || byte == b'/' || byte == b'\\') {
        return Err(format!("'{id}' contains invalid characters"));
    }
    Ok(())
}

/// A framework's id; an empty one means that it has none yet.
pub fn framework_id(framework_id: Option<&FrameworkId>) -> Result<(), String> {
    match framework_id {
        Some(framework_id) if !framework_id.value.is_empty() => id(&framework_id.value),
        _ => Ok(()),
    }
}

/// A container's id and those of its parents. A period parts them when they are printed.
pub fn container_id(container: &ContainerId) -> Result<(), String> {
    let mut prefix = String::new();
    let mut next = Some(container);
    while let Some(container) = next {
        one_container_id(&container.value).map_err(|why| format!("{prefix}{why}"))?;
        prefix.push_str("'ContainerID.parent' is invalid: ");
        next = container.parent.as_deref();
    }
    Ok(())
}

fn one_container_id(value: &str) -> Result<(), String> {
    id(value)?;
    if value.len() > CONTAINER_LENGTH_MAX {
        return Err(format!("'ContainerID.value' '{value}' exceeds the maximum length ({CONTAINER_LENGTH_MAX})"));
    }
    if value.contains(['.', ' ']) {
        return Err(format!("'ContainerID.value' '{value}' contains invalid characters"));
    }
    Ok(())
}

/// Sixteen bytes with a version that says how they were made.
pub fn uuid(bytes: &[u8]) -> Result<[u8; 16], String> {
    match <[u8; 16]>::try_from(bytes) {
        Ok(uuid) if (1..=5).contains(&(uuid[6] >> 4)) => Ok(uuid),
        _ => Err("Not a valid UUID".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_characters_of_an_id() {
        for good in ["a", "a.b", " ", "ü", "a b:c@d", "...", &"x".repeat(255)] {
            assert_eq!(id(good), Ok(()), "{good}");
        }
        let long = "x".repeat(256);
        let bad = [
            ("", "ID must not be empty"),
            (".", "'.' is disallowed"),
            ("..", "'..' is disallowed"),
            ("a/b", "'a/b' contains invalid characters"),
            ("a\\b", "'a\\b' contains invalid characters"),
            ("a\nb", "'a\nb' contains invalid characters"),
            ("\u{7f}", "'\u{7f}' contains invalid characters"),
            (long.as_str(), "ID must not be greater than 255 characters"),
        ];
        for (text, why) in bad {
            assert_eq!(id(text), Err(why.into()));
        }
    }

    #[test]
    fn containers_are_named_more_narrowly_all_the_way_up() {
        let of = |value: &str, parent: Option<ContainerId>| ContainerId {
            value: value.into(),
            parent: parent.map(Box::new),
        };
        assert_eq!(container_id(&of("a", Some(of("b", None)))), Ok(()));
        assert_eq!(container_id(&of("a.b", None)), Err("'ContainerID.value' 'a.b' contains invalid characters".into()));
        assert_eq!(
            container_id(&of("a", Some(of("b c", None)))),
            Err("'ContainerID.parent' is invalid: 'ContainerID.value' 'b c' contains invalid characters".into())
        );
        let long = "x".repeat(243);
        assert_eq!(
            container_id(&of(&long, None)),
            Err(format!("'ContainerID.value' '{long}' exceeds the maximum length (242)"))
        );
    }

    #[test]
    fn a_uuid_has_sixteen_bytes_and_a_version() {
        let mut bytes = [0u8; 16];
        assert_eq!(uuid(&bytes), Err("Not a valid UUID".into()));
        bytes[6] = 0x40;
        assert_eq!(uuid(&bytes), Ok(bytes));
        assert!(uuid(&bytes[1..]).is_err());
    }
}
