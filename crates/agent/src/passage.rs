//! Whether the users that tasks run as can come to what is there for them: their sandboxes, and the agent's own socket.
//! Who is kept out is told so when a container is launched; here an operator is, before that happens.

use std::{
    io,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
};

use kernel::credentials;

/// An ordinary user, for looking at what such may do.
const NOBODY: u32 = 65_534;
/// What users need to come through a directory.
const PASSAGE: u32 = 0o011;

/// Lets users come through our own runtime directory, whatever the umask was when it was made. What is in it and is
/// nobody else's business has modes of its own.
pub fn open(runtime_dir: &Path) -> Result<(), String> {
    let wrong = |error: io::Error| format!("--runtime_dir: {}: {error}", runtime_dir.display());
    let mode = std::fs::metadata(runtime_dir).map_err(wrong)?.mode() & 0o7777;
    if mode & PASSAGE == PASSAGE {
        return Ok(());
    }
    std::fs::set_permissions(runtime_dir, PermissionsExt::from_mode(mode | PASSAGE)).map_err(wrong)
}

/// What is to be said about the way to `path`, which must be there; nothing if every user can come to it.
pub fn check(what: &str, path: &Path) -> Option<String> {
    match credentials::find_barrier(path, NOBODY, NOBODY, &[]) {
        Ok(None) => None,
        Ok(Some(directory)) => {
            let (path, directory) = (path.display(), directory.display());
            Some(format!(
                "{what} {path} is in {directory}, which not every user may come through: tasks of those who may not do not \
                 start; let others pass with 'chmod o+x {directory}', or choose another place"
            ))
        }
        Err(error) => Some(format!("cannot look at the way to {what} {}: {error}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_directory_above_is_named_and_our_own_is_opened() {
        if !credentials::is_root() {
            testkit::skip("it takes the rights of another user: run it as root");
            return;
        }
        let home = tempfile::tempdir().expect("a directory");
        let (above, own) = (home.path().join("closed"), home.path().join("closed/run"));
        std::fs::create_dir_all(&own).expect("mkdir");
        let set = |path: &Path, mode| std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).expect("chmod");
        set(home.path(), 0o755);
        set(&above, 0o700);
        set(&own, 0o700);
        std::fs::write(own.join("agent.sock"), "").expect("write");
        let warning = check("the socket", &own.join("agent.sock")).expect("a warning");
        assert!(warning.contains(&format!("chmod o+x {}'", above.display())), "{warning}");
        set(&above, 0o711);
        assert!(check("the socket", &own.join("agent.sock")).is_some(), "our own is closed, too");
        open(&own).expect("opened");
        assert_eq!(std::fs::metadata(&own).expect("there").mode() & 0o7777, 0o711);
        assert_eq!(check("the socket", &own.join("agent.sock")), None);
    }
}
