//! Files of this host, opened with the rights of the calling thread: regular ones on a disk, and never one that has to
//! be waited for.

use kernel::beneath;
use std::{fs::File, path::Path};

pub fn open(path: &Path) -> Result<File, String> {
    let cannot = |error| format!("cannot read '{}': {error}", path.display());
    // Looked at before it is opened: opening a device may do something, opening a FIFO waits.
    let found = beneath::look_up(path).map_err(cannot)?;
    let file = File::from(found);
    if !file.metadata().map_err(cannot)?.is_file() {
        return Err(format!("'{}' is not a regular file", path.display()));
    }
    if beneath::is_made_up(&file).map_err(cannot)? {
        return Err(format!("'{}' is made up by the kernel; only files on a disk are fetched", path.display()));
    }
    beneath::open_found(&file).map(File::from).map_err(cannot)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, io::Read, os::unix::fs::symlink};

    #[test]
    fn regular_files_are_read_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        fs::write(at("file"), "content").unwrap();
        symlink(at("file"), at("link")).unwrap();
        for name in ["file", "link"] {
            let mut text = String::new();
            open(&at(name)).unwrap().read_to_string(&mut text).unwrap();
            assert_eq!(text, "content");
        }
        let made = std::process::Command::new("mkfifo").arg(at("fifo")).status().unwrap();
        assert!(made.success());
        symlink("/dev/zero", at("device")).unwrap();
        for name in ["fifo", "device", "."] {
            let why = open(&at(name)).unwrap_err();
            assert!(why.contains("not a regular file"), "{why}");
        }
        assert!(open(&at("absent")).unwrap_err().contains("No such file"));
    }

    #[test]
    fn what_the_kernel_makes_is_no_file() {
        for path in ["/proc/self/status", "/proc/sys/kernel/hostname", "/proc/version"] {
            let why = open(Path::new(path)).unwrap_err();
            assert!(why.contains("made up by the kernel"), "{why}");
        }
        // Descriptors of the agent are not reached through the links in /proc.
        assert!(open(Path::new("/proc/self/fd/0")).is_err());
        assert!(open(Path::new("/proc/self/root/etc/passwd")).is_err());
    }
}
