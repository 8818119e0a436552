//! The first framework: counts words by map and reduce. Each map task gets a piece of the text as a file and leaves its
//! counts in its sandbox; the reduce task fetches all of them from the agents and merges them.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use client::{Masters, SchedulerClient};
use model::task_state::is_terminal;
use proto::v1::{self, TaskState, TaskStatus};
use resources::Quantities;
use std::sync::Arc;

use super::{UNIT_CPUS, WORD_COUNT, ledger::Ledger, text::Counts};
use crate::{
    compose::Wish,
    fit,
    framework::{self, AgentPlace, Framework, News, Order, Unit},
    sandbox::{self, Place, Sandboxes},
};

const MAP: &str = "export LC_ALL=C; tr -cs A-Za-z '\\n' < chunk | tr A-Z a-z \
    | awk 'NF { n[$1]++ } END { for (w in n) print w, n[w] }' | sort > counts";
const REDUCE: &str = "export LC_ALL=C; cat part-* \
    | awk '{ n[$1] += $2 } END { for (w in n) print n[w], w }' | sort -k1,1nr -k2,2 > result; head -n 10 result";
const FAILOVER: Duration = Duration::from_secs(60);

pub struct WordCount {
    pub masters: Masters,
    pub user: String,
    pub ledger: Arc<Ledger>,
    pub sandboxes: Sandboxes,
}

impl WordCount {
    /// Counts the words of all chunks together.
    pub async fn run(self, chunks: &[PathBuf]) -> Result<Counts, String> {
        let info = framework::info(WORD_COUNT.to_owned(), self.user.clone(), vec!["*".to_owned()], true, FAILOVER);
        let mut framework = Framework::start(SchedulerClient::new(self.masters.clone()), info);
        let maps: Vec<Unit> = chunks.iter().enumerate().map(|(number, chunk)| map(number, chunk)).collect();
        let reducer = maps.len();
        framework.order(Order::Add(maps)).await;

        let mut framework_id = String::new();
        let mut agents: BTreeMap<usize, Arc<AgentPlace>> = BTreeMap::new();
        let mut parts: BTreeMap<usize, String> = BTreeMap::new();
        while let Some(news) = framework.news.recv().await {
            match news {
                News::Subscribed { framework_id: id, .. } => framework_id = id.value,
                News::Launched { unit, agent } => {
                    self.ledger.launched(WORD_COUNT, &agent, unit.parts.len());
                    agents.insert(unit.number, agent);
                }
                News::Update { unit, status, .. } if is_terminal(status.state()) => {
                    let good = status.state() == TaskState::TaskFinished;
                    self.ledger.end(WORD_COUNT, good);
                    if !good {
                        return Err(format!("{} failed: {}", status.task_id.value, status.message()));
                    }
                    let place = agents.get(&unit.number).and_then(|agent| place(&framework_id, agent, &status));
                    let place = place.ok_or("an agent did not tell its address")?;
                    let sandbox = self.sandboxes.open(&place).await.map_err(|error| error.to_string())?;
                    if unit.number == reducer {
                        let counts = read_result(&sandbox).await?;
                        framework.finish().await;
                        return Ok(counts);
                    }
                    let path = escape(&sandbox.path_of("counts"));
                    parts.insert(unit.number, format!("http://{}/files/download?path={path}", place.address));
                    if parts.len() == reducer {
                        framework.order(Order::Add(vec![reduce(reducer, &parts)])).await;
                    }
                }
                News::Over(Err(error)) => return Err(error.to_string()),
                News::Update { .. } | News::Lost(_) | News::Requeued { .. } | News::Over(Ok(())) => {}
            }
        }
        Err("the framework ended by itself".to_owned())
    }
}

fn map(number: usize, chunk: &Path) -> Unit {
    let uri = file(chunk.to_string_lossy().into_owned(), "chunk".to_owned());
    unit(number, &format!("map-{number}"), MAP, vec![uri])
}

fn reduce(number: usize, parts: &BTreeMap<usize, String>) -> Unit {
    let uris = parts.iter().map(|(part, uri)| file(uri.clone(), format!("part-{part:03}"))).collect();
    unit(number, "reduce", REDUCE, uris)
}

fn unit(number: usize, name: &str, command: &str, uris: Vec<v1::command_info::Uri>) -> Unit {
    let wish = Wish { command: vec![command.to_owned()], uris, needs: needs(), ..Wish::default() };
    Unit { number, parts: vec![wish.part(name, name)], pod: None }
}

fn needs() -> Quantities {
    fit::quantities([("cpus", UNIT_CPUS), ("mem", 64.0)])
}

fn file(value: String, name: String) -> v1::command_info::Uri {
    v1::command_info::Uri { value, output_file: Some(name), extract: Some(false), ..Default::default() }
}

fn place(framework_id: &str, agent: &AgentPlace, status: &TaskStatus) -> Option<Place> {
    Some(Place {
        address: agent.address.clone()?,
        agent_id: agent.id.value.clone(),
        framework_id: framework_id.to_owned(),
        executor_id: sandbox::executor_of(&status.task_id.value, status.executor_id.as_ref()),
        container: sandbox::container_of(status),
    })
}

async fn read_result(sandbox: &sandbox::Sandbox) -> Result<Counts, String> {
    let mut text = Vec::new();
    while let Some(piece) = sandbox.read("result", text.len() as u64).await.map_err(|error| error.to_string())? {
        if piece.data.is_empty() {
            break;
        }
        text.extend_from_slice(&piece.data);
    }
    parse(&String::from_utf8_lossy(&text))
}

/// Lines of "count word".
fn parse(text: &str) -> Result<Counts, String> {
    let line = |line: &str| {
        let (count, word) = line.split_once(' ')?;
        Some((word.to_owned(), count.parse().ok()?))
    };
    text.lines().map(|text| line(text).ok_or_else(|| format!("the result has a line '{text}'"))).collect()
}

/// A path as the value of a query.
fn escape(path: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'-' | b'_' | b'.' | b'~');
    path.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_read_or_refused() {
        assert_eq!(parse("3 the\n1 cat\n").expect("valid").get("the"), Some(&3));
        assert!(parse("the 3\n").is_err());
        assert_eq!(escape("/a b/ü"), "/a%20b/%C3%BC");
    }
}
