//! `cargo xtask check` and `fix`: format, lints, floors.

use anyhow::Result;

use crate::{
    floors,
    shell::{cargo, run},
};

pub fn check() -> Result<()> {
    run(cargo().args(["fmt", "--all", "--check"]))?;
    floors::floors()?;
    run(cargo().args(["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"]))
}

pub fn fix() -> Result<()> {
    run(cargo().args([
        "clippy",
        "--workspace",
        "--all-targets",
        "--fix",
        "--allow-dirty",
        "--allow-staged",
        "--quiet",
    ]))?;
    run(cargo().args(["fmt", "--all"]))
}
