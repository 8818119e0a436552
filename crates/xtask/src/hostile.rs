//! `cargo xtask hostile`: hostile tasks and peers against a real cluster, three times: tasks of root, tasks of another
//! user, and all of it below an agent of an ordinary user.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    process::Command,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result, bail};

use crate::shell::{build_debug, built, find, is_root, run_within};

#[derive(clap::Args)]
pub struct Arguments {
    /// Only kinds whose names contain this.
    #[arg(long)]
    filter: Option<String>,
    /// Every n-th kind only.
    #[arg(long, default_value_t = 1)]
    every: usize,
    /// Beginning after so many.
    #[arg(long, default_value_t = 0)]
    after: usize,
}

/// When a suite is given up; all kinds of one take about ten minutes.
const LIMIT: Duration = Duration::from_secs(40 * 60);

/// A smoke test takes one kind of so many.
const PART: usize = 5;

/// An ordinary user that every Debian has.
const ORDINARY: &str = "nobody";

/// A part of the kinds, for `cargo xtask test`: another one each day, so that all have their turn.
pub fn smoke() -> Result<()> {
    let today = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs() / (24 * 60 * 60);
    hostile(&Arguments { filter: None, every: PART, after: usize::try_from(today)? % PART })
}

pub fn hostile(arguments: &Arguments) -> Result<()> {
    build_debug()?;
    let mut failed = Vec::new();
    let mut suite = |whose: &str, mut command: Command| {
        println!("hostile: {whose}");
        if let Some(filter) = &arguments.filter {
            command.args(["--filter", filter]);
        }
        if let Err(error) = run_within(
            command.args(["--every", &arguments.every.to_string(), "--after", &arguments.after.to_string()]),
            LIMIT,
        ) {
            println!("hostile: {error:#}");
            failed.push(whose.to_owned());
        }
    };
    let program = built("debug", "examples/hostile");
    if !is_root() {
        suite("an agent of an ordinary user", Command::new(&program));
    } else {
        for user in ["root", ORDINARY] {
            let mut command = Command::new(&program);
            command.args(["--user", user]);
            suite(&format!("an agent of root, tasks of {user}"), command);
        }
        // Where another user may read it, whatever directory this was built in.
        let home = tempfile::Builder::new().prefix("meseta-ordinary-").tempdir()?;
        fs::set_permissions(home.path(), fs::Permissions::from_mode(0o777))?;
        for (from, name) in [(&program, "hostile"), (&built("debug", "meseta"), "meseta")] {
            fs::copy(from, home.path().join(name)).with_context(|| format!("cannot copy {}", from.display()))?;
        }
        let setpriv = find("setpriv").context("no `setpriv` on PATH (apt-get install util-linux)")?;
        let mut command = Command::new(setpriv);
        command.args([&format!("--reuid={ORDINARY}"), "--regid=nogroup", "--clear-groups"]);
        command.arg(home.path().join("hostile")).args(["--user", ORDINARY]);
        command.env("MESETA_BIN", home.path().join("meseta")).env("HOME", home.path()).env("TMPDIR", home.path());
        command.env("USER", ORDINARY).current_dir(home.path());
        suite("an agent of an ordinary user", command);
    }
    if !failed.is_empty() {
        bail!("hostile: {} gave way", failed.join("; "));
    }
    Ok(())
}
