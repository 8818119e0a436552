//! Where people find the sandbox of a pod's task: as `tasks/<task>` in the executor's, a link to the container's own.

use std::{fs, io, os::unix::fs::symlink, path::Path};

/// Makes the link in `sandbox`. It is relative, so that it stays within, wherever the sandbox is seen from.
pub fn make(sandbox: &Path, task: &str, container: &str) -> io::Result<()> {
    let tasks = sandbox.join("tasks");
    match fs::create_dir(&tasks) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let (link, target) = (tasks.join(task), format!("../containers/{container}"));
    match symlink(&target, &link) {
        // A former task of this id has left it.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            fs::remove_file(&link)?;
            symlink(target, link)
        }
        made => made,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sandbox_of_a_task_is_found_by_its_id() -> io::Result<()> {
        let home = tempfile::tempdir()?;
        for container in ["one", "two"] {
            let sandbox = home.path().join("containers").join(container);
            fs::create_dir_all(&sandbox)?;
            fs::write(sandbox.join("stdout"), container)?;
            make(home.path(), "task", container)?;
            assert_eq!(fs::read_to_string(home.path().join("tasks/task/stdout"))?, container);
        }
        Ok(())
    }
}
