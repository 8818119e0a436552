//! A container's own directory: made with the right owner, and its output files opened, so that no name in it can be
//! swapped for a link to something else, and nothing that lies in it keeps a thread waiting. Filling it is for
//! `fetcher`, removing it for the agent.

use crate::{record::UserIds, spec::VolumeLink};
use kernel::{How, files, open_beneath};
use std::{
    fs, io,
    os::fd::{AsRawFd, OwnedFd},
    path::{Component, Path},
};

/// Nobody but its owner looks into a sandbox: what tasks write, and are given, may be secret.
const MODE: u32 = 0o700;
const OUTPUT_MODE: u32 = 0o600;
/// What a user needs to come through to a directory of its own.
const PASSAGE: u32 = 0o011;

/// Makes and opens the directory at `path`. What lies below `trusted` (the parent container's sandbox) may be in the
/// hands of a user: no symbolic link is followed there.
pub fn open(path: &Path, trusted: Option<&Path>) -> io::Result<OwnedFd> {
    if let Some((trusted, rest)) = trusted.and_then(|trusted| Some((trusted, path.strip_prefix(trusted).ok()?))) {
        return open_below(trusted, rest);
    }
    match files::make_directory_at(libc::AT_FDCWD, path, MODE) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            fs::create_dir_all(path.parent().unwrap_or(Path::new("/")))?;
            files::make_directory_at(libc::AT_FDCWD, path, MODE)?;
        }
        made => {
            made?;
        }
    }
    files::open_directory(path)
}

fn open_below(trusted: &Path, rest: &Path) -> io::Result<OwnedFd> {
    let mut directory = files::open_directory(trusted)?;
    for component in rest.components() {
        let Component::Normal(name) = component else { return Err(io::ErrorKind::InvalidInput.into()) };
        files::make_directory_at(directory.as_raw_fd(), Path::new(name), MODE)?;
        directory = files::open_directory_at(directory.as_raw_fd(), Path::new(name))?;
    }
    Ok(directory)
}

/// Opens a sandbox that was made before; as `open`, with no link followed below `trusted`.
pub fn reopen(path: &Path, trusted: &Path) -> io::Result<OwnedFd> {
    match path.strip_prefix(trusted) {
        Ok(rest) => open_beneath(&files::open_directory(trusted)?, rest, How::DIRECTORY.no_links()),
        Err(_) => files::open_directory(path),
    }
}

/// Lets `user` come through the directories between `trusted` and its own sandbox at `path`, should they be another's.
pub fn let_through(path: &Path, trusted: &Path, user: &UserIds) -> io::Result<()> {
    let Ok(rest) = path.strip_prefix(trusted) else { return Ok(()) };
    let mut directory = files::open_directory(trusted)?;
    for component in rest.components() {
        let status = kernel::status(&directory)?;
        if status.st_uid != user.uid && status.st_mode & PASSAGE != PASSAGE {
            files::change_mode(&directory, (status.st_mode & 0o7777) | PASSAGE)?;
        }
        let Component::Normal(name) = component else { return Err(io::ErrorKind::InvalidInput.into()) };
        directory = files::open_directory_at(directory.as_raw_fd(), Path::new(name))?;
    }
    Ok(())
}

/// Opens `stdout` and `stderr` for appending. What is there already and is no plain file of one name is refused.
pub fn open_output(directory: &OwnedFd, user: Option<&UserIds>) -> io::Result<(OwnedFd, OwnedFd)> {
    let open = |name: &str| {
        let wrong = |error: io::Error| io::Error::new(error.kind(), format!("'{name}': {error}"));
        let file = open_beneath(directory, Path::new(name), How::append(OUTPUT_MODE)).map_err(wrong)?;
        if let Some(user) = user {
            files::change_owner(&file, user.uid, user.gid)?;
        }
        io::Result::Ok(file)
    };
    Ok((open("stdout")?, open("stderr")?))
}

/// Lets the directory of a volume be seen under its name, and gives it to the container's user unless others use it. No
/// symbolic link is followed below `directory`; what stands in the way is an error, unless it is this very link.
pub fn link(directory: &OwnedFd, volume: &VolumeLink, user: Option<(u32, u32)>) -> io::Result<()> {
    let names: Option<Vec<&Path>> = volume
        .name
        .components()
        .filter(|component| *component != Component::CurDir)
        .map(|component| match component {
            Component::Normal(name) => Some(Path::new(name)),
            _ => None,
        })
        .collect();
    let wrong = |why: String| io::Error::new(io::ErrorKind::InvalidInput, why);
    let Some((last, above)) = names.as_deref().and_then(|names| names.split_last()) else {
        return Err(wrong(format!("the volume's path '{}' is not one below the sandbox", volume.name.display())));
    };
    let mut at = directory.try_clone()?;
    for name in above {
        files::make_directory_at(at.as_raw_fd(), name, MODE)?;
        at = files::open_directory_at(at.as_raw_fd(), name)?;
    }
    let there = files::path_of(&at).join(last);
    if !files::make_link_at(at.as_raw_fd(), last, &volume.path)?
        && fs::read_link(&there).ok().as_deref() != Some(&volume.path)
    {
        return Err(wrong(format!("'{}' is there already", volume.name.display())));
    }
    if let Some((uid, gid)) = user.filter(|_| !volume.shared) {
        files::change_owner(&files::open_directory(&volume.path)?, uid, gid)?;
    }
    Ok(())
}

/// Who owns an open directory.
pub fn owner(directory: &OwnedFd) -> io::Result<(u32, u32)> {
    let status = kernel::status(directory)?;
    Ok((status.st_uid, status.st_gid))
}

/// Hands the directory to `user`.
pub fn give(directory: &OwnedFd, user: &UserIds) -> io::Result<()> {
    files::change_owner(directory, user.uid, user.gid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn a_sandbox_is_made_with_its_parents_and_closed_to_others() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("a/b/c");
        let directory = open(&path, None).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o077, 0);
        let (stdout, _) = open_output(&directory, None).unwrap();
        drop(stdout);
        assert_eq!(fs::metadata(path.join("stdout")).unwrap().permissions().mode() & 0o077, 0);
        assert!(path.join("stdout").is_file() && path.join("stderr").is_file());
        open(&path, None).unwrap();
    }

    #[test]
    fn volumes_are_linked_below_the_sandbox_and_nowhere_else() {
        let root = tempfile::tempdir().unwrap();
        let (path, volume) = (root.path().join("sandbox"), root.path().join("volume"));
        fs::create_dir(&volume).unwrap();
        fs::write(volume.join("kept"), "x").unwrap();
        let directory = open(&path, None).unwrap();
        let at = |name: &str| VolumeLink { name: name.into(), path: volume.clone(), shared: false };
        for name in ["data", "./deep/er/data", "data"] {
            link(&directory, &at(name), Some(owner(&directory).unwrap())).unwrap();
            assert_eq!(fs::read_to_string(path.join(name).join("kept")).unwrap(), "x");
        }
        fs::write(path.join("taken"), "").unwrap();
        for name in ["/etc/data", "../data", "", ".", "taken", "data/inside"] {
            assert!(link(&directory, &at(name), None).is_err(), "{name}");
        }
    }

    #[test]
    fn links_planted_in_a_parents_sandbox_lead_nowhere() {
        let root = tempfile::tempdir().unwrap();
        let parent = root.path().join("parent");
        fs::create_dir(&parent).unwrap();
        fs::create_dir(root.path().join("elsewhere")).unwrap();
        symlink(root.path().join("elsewhere"), parent.join("containers")).unwrap();
        assert!(open(&parent.join("containers/x"), Some(&parent)).is_err());
        assert!(!root.path().join("elsewhere/x").exists());
        let directory = open(&parent.join("good/x"), Some(&parent)).unwrap();
        symlink("/etc/passwd", parent.join("good/x/stdout")).unwrap();
        assert!(open_output(&directory, None).is_err());
    }

    #[test]
    fn what_stands_in_place_of_an_output_file_keeps_nobody_waiting() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("sandbox");
        let directory = open(&path, None).unwrap();
        let refused = |put: &dyn Fn(&Path)| {
            put(&path.join("stdout"));
            let error = open_output(&directory, None).unwrap_err().to_string();
            assert!(error.starts_with("'stdout': "), "{error}");
            kernel::remove_tree(&directory, Path::new("stdout"), &mut u64::MAX.clone()).unwrap();
        };
        refused(&|at| assert!(std::process::Command::new("mkfifo").arg(at).status().unwrap().success()));
        refused(&|at| fs::create_dir(at).unwrap());
        refused(&|at| drop(std::os::unix::net::UnixListener::bind(at).unwrap()));
        refused(&|at| symlink("elsewhere", at).unwrap());
        refused(&|at| {
            fs::write(root.path().join("victim"), "").unwrap();
            fs::hard_link(root.path().join("victim"), at).unwrap();
        });
        open_output(&directory, None).unwrap();
    }

    #[test]
    fn a_link_in_a_parents_sandbox_is_not_followed_again_later() {
        let root = tempfile::tempdir().unwrap();
        let parent = root.path().join("parent");
        open(&parent.join("containers/x"), None).unwrap();
        reopen(&parent.join("containers/x"), &parent).unwrap();
        fs::rename(parent.join("containers"), parent.join("moved")).unwrap();
        symlink("moved", parent.join("containers")).unwrap();
        assert!(reopen(&parent.join("containers/x"), &parent).is_err());
    }
}
