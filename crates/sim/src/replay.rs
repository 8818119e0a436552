//! Steps through what a master's flight recorder kept: each input, what the core did about it, and what changed in its
//! state. A recording that has lost its beginning is shown, but cannot be run.

use std::{collections::BTreeSet, io::BufRead, path::Path};

use anyhow::{Context, Result, bail};
use master_core::{
    Effects, Master, State,
    recording::{self, Beginning},
};
use observe::flight;

/// Runs a recording. At inputs of the kind `breakpoint` it stops and reads a command from `commands`: nothing for the
/// next input, `c` for the next breakpoint, `s` for the whole state, `q` for the end.
pub fn replay(path: &Path, breakpoint: Option<&str>, commands: &mut dyn BufRead) -> Result<()> {
    let recording = flight::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut records = recording.records.iter();
    let mut core = None;
    if recording.lost == 0 {
        let first = records.next().context("the recording is empty")?;
        let Some(Beginning { info, seed, config }) = Beginning::decode(first) else {
            bail!("{} does not begin as a master's recording does", path.display());
        };
        println!("master {} with seed {seed}", info.id);
        core = Some(Master::new(config, info, seed));
    } else {
        println!("the first {} inputs are lost: what follows is shown, not run", recording.lost);
    }
    let mut before = core.as_ref().map(|core| lines_of(core.view())).unwrap_or_default();
    let mut stepping = false;
    for (index, record) in records.enumerate() {
        let number = recording.lost + index as u64 + 1;
        let Some(input) = recording::decode(record) else {
            println!("{number:>8} cannot be read");
            continue;
        };
        let (kind, now) = (recording::kind_of(&input.event), input.now);
        let mut effects = Effects::new();
        if let Some(core) = &mut core {
            core.handle(input, &mut effects);
        }
        println!("{number:>8} {:>14.6} {kind}: {} effects", now.0 as f64 / 1e9, effects.len());
        let Some(core) = &core else { continue };
        let stops = stepping || breakpoint.is_some_and(|wanted| wanted == &*kind);
        if !stops && breakpoint.is_some() {
            continue;
        }
        let after = lines_of(core.view());
        before.difference(&after).for_each(|line| println!("         - {line}"));
        after.difference(&before).for_each(|line| println!("         + {line}"));
        before = after;
        if stops {
            effects.iter().for_each(|effect| println!("         > {}", shortened(&format!("{effect:?}"))));
            match ask(core, commands)? {
                Answer::Next => stepping = true,
                Answer::Continue => stepping = false,
                Answer::Quit => return Ok(()),
            }
        }
    }
    Ok(())
}

enum Answer {
    Next,
    Continue,
    Quit,
}

fn ask(core: &Master, commands: &mut dyn BufRead) -> Result<Answer> {
    loop {
        let mut line = String::new();
        if commands.read_line(&mut line)? == 0 {
            return Ok(Answer::Continue);
        }
        match line.trim() {
            "" | "n" => return Ok(Answer::Next),
            "c" => return Ok(Answer::Continue),
            "q" => return Ok(Answer::Quit),
            "s" => lines_of(core.view()).iter().for_each(|line| println!("           {line}")),
            other => println!("'{other}' is none of: n (next), c (continue), s (state), q (quit)"),
        }
    }
}

/// The state in lines, so that two can be compared.
fn lines_of(state: &State) -> BTreeSet<String> {
    let mut lines = BTreeSet::from([format!("phase {:?}", state.phase)]);
    for agent in state.agents.values() {
        let connected = if agent.connected { "connected" } else { "disconnected" };
        lines.insert(format!("agent {} at {}: {connected}, total {}", agent.id, agent.pid, agent.total));
    }
    lines.extend(state.recovered_agents.keys().map(|id| format!("agent {id}: expected back")));
    lines.extend(state.registry.unreachable.keys().map(|id| format!("agent {id}: unreachable")));
    lines.extend(state.registry.gone.keys().map(|id| format!("agent {id}: gone")));
    for framework in state.frameworks.values() {
        lines.insert(format!("framework {}: {:?}", framework.label(), framework.link));
        for task in framework.tasks.values() {
            lines.insert(format!("task {} of {} on {}: {:?}", task.id, framework.id, task.agent, task.state()));
        }
    }
    for offer in state.offers.values() {
        lines.insert(format!("offer {} to {} of {}: {}", offer.id, offer.framework, offer.agent, offer.resources));
    }
    lines
}

fn shortened(text: &str) -> String {
    text.chars().take(200).collect()
}
