//! Steps through what a flight recorder kept, a master's or an agent's: each input, what the core did about it, and
//! what changed in its state. A recording that has lost its beginning is shown, but cannot be run. `master` and `agent`
//! know how to read and run theirs.

mod agent;
mod master;

use std::{collections::BTreeSet, io::BufRead, path::Path, sync::Arc};

use anyhow::{Context, Result, bail};
use observe::flight;
use stdx::Tick;

/// A core that can be run again.
trait Subject {
    /// Lets an input happen; what the core wants done about it comes back, a line each.
    fn handle(&mut self, record: &[u8]) -> Vec<String>;
    /// The state in lines, so that two can be compared.
    fn lines(&self) -> BTreeSet<String>;
}

/// When an input came, and of which kind it is.
type Label = (Tick, Arc<str>);

/// Runs a recording. At inputs of the kind `breakpoint` it stops and reads a command from `commands`: nothing for the
/// next input, `c` for the next breakpoint, `s` for the whole state, `q` for the end.
pub fn replay(path: &Path, breakpoint: Option<&str>, commands: &mut dyn BufRead) -> Result<()> {
    let recording = flight::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut records = recording.records.iter();
    let mut core: Option<Box<dyn Subject>> = None;
    if recording.lost == 0 {
        let first = records.next().context("the recording is empty")?;
        core = agent::begin(first).or_else(|| master::begin(first));
        if core.is_none() {
            bail!("{} begins neither as a master's recording does nor as an agent's", path.display());
        }
    } else {
        println!("the first {} inputs are lost: what follows is shown, not run", recording.lost);
    }
    let mut before = core.as_ref().map(|core| core.lines()).unwrap_or_default();
    let mut stepping = false;
    for (index, record) in records.enumerate() {
        let number = recording.lost + index as u64 + 1;
        let Some((now, kind)) = agent::label(record).or_else(|| master::label(record)) else {
            println!("{number:>8} cannot be read");
            continue;
        };
        let effects = core.as_mut().map(|core| core.handle(record)).unwrap_or_default();
        println!("{number:>8} {:>14.6} {kind}: {} effects", now.0 as f64 / 1e9, effects.len());
        let Some(core) = &core else { continue };
        let stops = stepping || breakpoint.is_some_and(|wanted| wanted == &*kind);
        if !stops && breakpoint.is_some() {
            continue;
        }
        let after = core.lines();
        before.difference(&after).for_each(|line| println!("         - {line}"));
        after.difference(&before).for_each(|line| println!("         + {line}"));
        before = after;
        if stops {
            effects.iter().for_each(|effect| println!("         > {}", shortened(effect)));
            match ask(core.as_ref(), commands)? {
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

fn ask(core: &dyn Subject, commands: &mut dyn BufRead) -> Result<Answer> {
    loop {
        let mut line = String::new();
        if commands.read_line(&mut line)? == 0 {
            return Ok(Answer::Continue);
        }
        match line.trim() {
            "" | "n" => return Ok(Answer::Next),
            "c" => return Ok(Answer::Continue),
            "q" => return Ok(Answer::Quit),
            "s" => core.lines().iter().for_each(|line| println!("           {line}")),
            other => println!("'{other}' is none of: n (next), c (continue), s (state), q (quit)"),
        }
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use agent_core::{Config, Event, Input, recording};
    use observe::flight::Recorder;
    use proto::{internal, upid::Upid, v1};
    use stdx::WallTime;

    #[test]
    fn an_agents_recording_is_run_and_stops_where_it_is_asked_to() {
        let place = tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"));
        let path = place.path().join("flight");
        let master = Upid::new("master", "10.0.0.1", 5050);
        let info = v1::AgentInfo { hostname: "h".into(), ..Default::default() };
        let config = Config::new(Upid::new("slave(1)", "10.0.0.2", 5051), info, "/srv");
        let beginning = recording::Beginning { seed: 1, config, journal: Vec::new() };
        let agent_id = v1::AgentId { value: "S1".into() };
        let registered = internal::SlaveRegisteredMessage { agent_id, connection: None };
        let events = [
            Event::Recovered { state: Box::default(), found: Vec::new(), boot_id: "b".into() },
            Event::MasterDetected { master: Some(master.clone()) },
            Event::FromMaster { from: master, message: registered.into() },
        ];
        let mut records = vec![beginning.encode()];
        let inputs = events.into_iter().zip(1..).map(|(event, n)| Input { now: Tick(n), wall: WallTime(0), event });
        records.extend(inputs.map(|input| recording::encode(&input)));

        let mut core = agent::begin(&records[0]).unwrap_or_else(|| panic!("it is an agent's beginning"));
        let effects: Vec<String> = records[1..].iter().flat_map(|record| core.handle(record)).collect();
        assert!(effects.iter().any(|effect| effect.contains("UpdateSlave")), "{effects:?}");
        assert!(core.lines().iter().any(|line| line.starts_with("S1: Running")), "{:?}", core.lines());
        assert!(records.iter().all(|record| master::label(record).is_none()), "a master's differ");

        let mut recorder = Recorder::create(&path, 1 << 20).unwrap_or_else(|error| panic!("{error}"));
        records.iter().for_each(|record| recorder.append(record).unwrap_or_else(|error| panic!("{error}")));
        let mut commands: &[u8] = b"s\nc\n";
        replay(&path, Some("SlaveRegisteredMessage"), &mut commands).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(commands, b"", "it stopped, and took both commands");
    }
}
