//! All scripts, their recordings, and what is meant to differ: loading, running, and the table at the end.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, anyhow};

use crate::{
    compare::{self, Change, Deliberate, Told},
    play::{Target, play},
    script::{self, Script},
};

/// The folders of this crate with scripts and recordings.
pub struct Suite {
    root: PathBuf,
}

/// What came of one script.
pub struct Outcome {
    pub name: String,
    pub steps: usize,
    /// Steps whose differences are all meant.
    pub deliberate: usize,
    pub differing: Vec<Difference>,
}

/// The differences of one step that nobody meant.
pub struct Difference {
    pub title: String,
    pub changes: Vec<Change>,
}

impl Default for Suite {
    fn default() -> Suite {
        Suite { root: Path::new(env!("CARGO_MANIFEST_DIR")).to_owned() }
    }
}

impl Suite {
    /// The scripts whose names contain `filter`, in the order of their names.
    pub fn scripts(&self, filter: &str) -> Result<Vec<Script>> {
        let folder = self.root.join("scripts");
        let entries = fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?;
        let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
        paths.sort();
        let name = |path: &Path| path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        paths.retain(|path| name(path).contains(filter));
        let read = |path: &PathBuf| {
            let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
            script::parse(&name(path), &text).map_err(|why| anyhow!(why))
        };
        paths.iter().map(read).collect()
    }

    pub fn deliberate(&self) -> Result<Deliberate> {
        let path = self.root.join("deliberate.txt");
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        Deliberate::read(&text).map_err(|why| anyhow!("{}: {why}", path.display()))
    }

    pub fn record(&self, script: &Script, target: &Target) -> Result<()> {
        let path = self.recording_path(&script.name);
        fs::write(&path, compare::print(&play(script, target)))
            .with_context(|| format!("cannot write {}", path.display()))
    }

    /// Compares what happened with the script's recording.
    pub fn compare(&self, script: &Script, told: &[Told], deliberate: &mut Deliberate) -> Result<Outcome> {
        let path = self.recording_path(&script.name);
        let text = fs::read_to_string(&path).with_context(|| format!("no recording {}", path.display()))?;
        Ok(outcome(&script.name, &compare::read(&text), told, deliberate))
    }

    fn recording_path(&self, name: &str) -> PathBuf {
        self.root.join("recorded").join(format!("{name}.txt"))
    }
}

fn outcome(name: &str, recorded: &[Told], got: &[Told], deliberate: &mut Deliberate) -> Outcome {
    let mut outcome = Outcome { name: name.to_owned(), steps: got.len(), deliberate: 0, differing: Vec::new() };
    let titles = recorded.iter().map(|step| &step.title);
    if !titles.eq(got.iter().map(|step| &step.title)) {
        let changes = vec![Change::Missing("the script has changed since it was recorded".into())];
        outcome.differing.push(Difference { title: "all".into(), changes });
    }
    for step in got {
        let Some(wanted) = recorded.iter().find(|recorded| recorded.title == step.title) else { continue };
        let mut changes = compare::changes(&wanted.lines, &step.lines);
        let all = changes.len();
        changes.retain(|change| deliberate.reason(name, &step.title, change).is_none());
        if !changes.is_empty() {
            outcome.differing.push(Difference { title: step.title.clone(), changes });
        } else if all > 0 {
            outcome.deliberate += 1;
        }
    }
    outcome
}

/// The table, then every difference.
pub fn report(outcomes: &[Outcome]) -> String {
    let mut text = format!("{:32} {:>6} {:>6} {:>11} {:>10}\n", "script", "steps", "same", "deliberate", "differing");
    for outcome in outcomes {
        let differing = outcome.differing.len();
        let same = outcome.steps.saturating_sub(outcome.deliberate + differing);
        text.push_str(&format!(
            "{:32} {:>6} {same:>6} {:>11} {differing:>10}\n",
            outcome.name, outcome.steps, outcome.deliberate
        ));
    }
    for outcome in outcomes {
        for difference in &outcome.differing {
            text.push_str(&format!("\n{}: {}\n", outcome.name, difference.title));
            difference.changes.iter().for_each(|change| text.push_str(&format!("  {change}\n")));
        }
    }
    text
}
