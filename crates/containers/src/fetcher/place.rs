//! Writing beneath a sandbox that is held open: links in it are followed as far as they stay beneath it, so that an
//! archive may bring some, and what a task swaps meanwhile leads nowhere else.

use kernel::{How, files, open_beneath};
use std::{
    ffi::OsStr,
    fs::File,
    io,
    os::fd::{AsRawFd, OwnedFd},
    path::{Component, Path, PathBuf},
};

const DIRECTORY_MODE: u32 = 0o755;

pub struct Place {
    root: OwnedFd,
}

impl Place {
    pub fn new(root: OwnedFd) -> Place {
        Place { root }
    }

    /// A new file; what has its name, but a directory, is replaced and not written through.
    pub fn create(&self, name: &Path, mode: u32) -> io::Result<File> {
        let (parent, last) = self.parent(name)?;
        remove(&parent, last)?;
        open_beneath(&parent, Path::new(last), How::create(mode)).map(File::from)
    }

    /// A regular file, for reading.
    pub fn open(&self, name: &Path) -> io::Result<File> {
        open_beneath(&self.root, name, How::READ).map(File::from)
    }

    /// The directory `name`, made with those that lead to it.
    pub fn directory(&self, name: &Path) -> io::Result<OwnedFd> {
        let mut missing = Vec::new();
        let mut at = name;
        let mut directory = loop {
            match open_beneath(&self.root, at, How::DIRECTORY) {
                Ok(directory) => break directory,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    let (Some(parent), Some(last)) = (at.parent(), at.file_name()) else { return Err(error) };
                    missing.push(last);
                    at = parent;
                }
                Err(error) => return Err(in_the_way(at, error)),
            }
        };
        while let Some(last) = missing.pop() {
            files::make_directory_at(directory.as_raw_fd(), Path::new(last), DIRECTORY_MODE)?;
            directory = open_beneath(&directory, Path::new(last), How::DIRECTORY.no_link())
                .map_err(|error| in_the_way(Path::new(last), error))?;
        }
        Ok(directory)
    }

    /// A symbolic link, which may point anywhere: nothing here follows it out of the sandbox.
    pub fn link(&self, name: &Path, target: &Path) -> io::Result<()> {
        let (parent, last) = self.parent(name)?;
        remove(&parent, last)?;
        match files::make_link_at(parent.as_raw_fd(), Path::new(last), target)? {
            true => Ok(()),
            false => Err(io::ErrorKind::AlreadyExists.into()),
        }
    }

    /// Another name for `target`.
    pub fn hard_link(&self, name: &Path, target: &Path) -> io::Result<()> {
        let (from, old) = self.parent(target)?;
        let (parent, last) = self.parent(name)?;
        remove(&parent, last)?;
        files::hard_link_at(&from, Path::new(old), &parent, Path::new(last))
    }

    fn parent<'n>(&self, name: &'n Path) -> io::Result<(OwnedFd, &'n OsStr)> {
        let last = name.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        Ok((self.directory(name.parent().unwrap_or(Path::new("")))?, last))
    }
}

/// The name without `.`; one that climbs or starts at the root is refused.
pub fn inside(name: &Path) -> Result<PathBuf, String> {
    let mut clean = PathBuf::new();
    for part in name.components() {
        match part {
            Component::Normal(part) => clean.push(part),
            Component::CurDir => {}
            _ => return Err(format!("'{}' would be placed outside the sandbox", name.display())),
        }
    }
    Ok(clean)
}

fn remove(parent: &OwnedFd, name: &OsStr) -> io::Result<()> {
    match files::unlink_at(parent, Path::new(name)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn in_the_way(name: &Path, error: io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("'{}' is in the way of a directory: {error}", name.display()))
}
