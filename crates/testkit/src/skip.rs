//! A test that cannot run on this machine says so here and returns: `cargo xtask test` then counts it as skipped, with
//! its reason, and not as passed. `cargo test` by itself has no such state; it only shows the line with `--nocapture`.

use std::{env, fs::OpenOptions, io::Write, thread};

/// Names the file that gathers the skipped tests of a run, a line each: the test, a tab, the reason.
pub const FILE: &str = "MESETA_SKIPPED";

/// Says that the running test is skipped, and why: what is missing, and how to get it.
pub fn skip(reason: &str) {
    let thread = thread::current();
    let test = thread.name().unwrap_or("a test without a name");
    println!("skipped {test}: {reason}");
    let Some(path) = env::var_os(FILE) else { return };
    // One write, so that programs that skip at the same moment do not mix their lines.
    let line = format!("{test}\t{}\n", reason.replace('\n', " "));
    let written =
        OpenOptions::new().append(true).create(true).open(&path).and_then(|mut file| file.write_all(line.as_bytes()));
    if let Err(error) = written {
        panic!("cannot write {} down as skipped in {}: {error}", test, path.display());
    }
}
