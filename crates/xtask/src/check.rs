//! `cargo xtask check` and `fix`: format, lints, and the laws of the house.

use anyhow::Result;

use crate::{
    shell::{cargo, run},
    tidy,
};

pub fn check() -> Result<()> {
    run(cargo().args(["fmt", "--all", "--check"]))?;
    tidy::tidy()?;
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
