//! The table of mistakes is that of the mistakes that are in the code, and each of them is found.

use std::{collections::BTreeSet, fs, path::Path};

use sim::prove::{BUGS, SEEDS_MAX, sample, seeds_of};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap()
}

fn table() -> String {
    fs::read_to_string(root().join("docs/simulation-bugs.md")).unwrap()
}

#[test]
fn the_table_lists_each_mistake_and_within_how_many_seeds_it_is_found() {
    let table = table();
    assert!(BUGS.len() >= 30);
    let rows: Vec<&str> = table.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    let names: Vec<&str> = BUGS.iter().map(|bug| bug.name).collect();
    assert_eq!(rows, names, "run cargo xtask sim --prove");
    for name in names {
        assert!(seeds_of(&table, name).is_some_and(|seeds| (1..=SEEDS_MAX).contains(&seeds)), "{name} is not found");
    }
}

#[test]
fn every_mistake_in_the_code_is_on_the_list_and_the_other_way_round() {
    let mut found = BTreeSet::new();
    for name in ["allocator", "agent_core", "master_core", "registry", "model", "resources"] {
        read(&root().join("crates").join(name).join("src"), &mut found);
    }
    let listed: BTreeSet<String> = BUGS.iter().map(|bug| bug.name.to_owned()).collect();
    assert_eq!(found, listed);
}

fn read(directory: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read(&path, found);
        } else {
            let text = fs::read_to_string(&path).unwrap();
            let uses = text.split("stdx::bug!(\"").skip(1);
            found.extend(uses.map(|rest| rest.split('"').next().unwrap().to_owned()));
        }
    }
}

#[test]
fn samples_go_round_those_that_are_found_quickly() {
    let table = table();
    let all = sample(&table, usize::MAX, 0);
    assert!(all.len() >= 10);
    assert_eq!(sample(&table, 2, 0), sample(&table, 2, all.len()));
    assert_ne!(sample(&table, 2, 0), sample(&table, 2, 1));
}
