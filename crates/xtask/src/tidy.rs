//! `cargo xtask tidy`: the laws of the house that neither rustc nor clippy can see. Reads only. Each law is one file
//! that gives back a line for each place that breaks it.

mod circles;
mod doc_tests;
mod docs;
mod floors;
mod layout;
mod mistakes;
mod pure;
mod skips;
mod sources;
mod unused;
mod wholes;

use anyhow::{Result, bail};

pub fn tidy() -> Result<()> {
    let house = sources::House::read()?;
    let laws: [(&str, Vec<String>); 10] = [
        ("floors", floors::broken()?),
        ("layout", layout::broken(&house)),
        ("circles", circles::broken(&house)),
        ("mistakes", mistakes::broken(&house)),
        ("parts of cores", wholes::broken(&house)),
        ("pure crates", pure::broken(&house)?),
        ("skipped tests", skips::broken(&house)),
        ("unused pub", unused::broken(&house)),
        ("doc tests", doc_tests::broken(&house)?),
        ("docs", docs::broken(&house)?),
    ];
    let mut broken = 0;
    for (law, places) in &laws {
        for place in places {
            println!("tidy: {law}: {place}");
        }
        broken += places.len();
    }
    if broken > 0 {
        bail!("tidy: {broken} places break a law of the house");
    }
    println!("tidy: {} files of {} crates keep the laws of the house", house.files.len(), house.crates.len());
    Ok(())
}
