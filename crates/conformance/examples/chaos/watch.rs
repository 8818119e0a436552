//! Looks at all masters all the time: never may two of them say that they lead, one after the other and the first
//! again. Writes to whoever leads, and remembers what was acknowledged.

use std::{
    collections::BTreeSet,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{JoinHandle, sleep, spawn},
    time::Duration,
};

use serde_json::Value;

use crate::secrets::BASIC;

pub struct Watch {
    stop: Arc<AtomicBool>,
    looking: JoinHandle<(u64, Vec<String>)>,
    writing: Vec<JoinHandle<Vec<String>>>,
}

/// What was seen.
pub struct Seen {
    pub looks: u64,
    pub problems: Vec<String>,
    /// Roles whose weight a leader said it had stored.
    pub acknowledged: Vec<String>,
}

impl Watch {
    pub fn start(masters: &[SocketAddr]) -> Watch {
        let stop = Arc::new(AtomicBool::new(false));
        let looking = spawn({
            let (stop, masters) = (Arc::clone(&stop), masters.to_vec());
            move || look(&masters, &stop)
        });
        let write = |(i, master): (usize, &SocketAddr)| {
            let (stop, master) = (Arc::clone(&stop), *master);
            spawn(move || write_on(i, master, &stop))
        };
        Watch { looking, writing: masters.iter().enumerate().map(write).collect(), stop }
    }

    pub fn stop(self) -> Seen {
        self.stop.store(true, Ordering::Relaxed);
        let (looks, problems) = self.looking.join().unwrap_or_default();
        let acknowledged = self.writing.into_iter().flat_map(|writer| writer.join().unwrap_or_default()).collect();
        Seen { looks, problems, acknowledged }
    }
}

fn look(masters: &[SocketAddr], stop: &AtomicBool) -> (u64, Vec<String>) {
    let (mut looks, mut problems) = (0, Vec::new());
    while !stop.load(Ordering::Relaxed) {
        let leading: Vec<(SocketAddr, u64)> = masters.iter().filter_map(|at| Some((*at, epoch(*at)?))).collect();
        if let [(first, before), (second, other), ..] = leading[..]
            && epoch(first) == Some(before)
        {
            problems.push(format!("{first} leads in epoch {before} while {second} leads in epoch {other}"));
        }
        looks += 1;
        sleep(Duration::from_millis(10));
    }
    (looks, problems)
}

/// The one that says that it leads.
pub fn leader(masters: &[SocketAddr]) -> Option<SocketAddr> {
    masters.iter().copied().find(|at| epoch(*at).is_some())
}

/// The epoch a master leads in, if it says that it leads.
fn epoch(at: SocketAddr) -> Option<u64> {
    let standing = get(at, "/standing")?;
    (standing["leading"] == true).then(|| standing["epoch"].as_u64())?
}

/// How a role is called whose weight was asked of that master.
pub fn role(master: usize, n: u64) -> String {
    format!("chaos-{master}-{n}")
}

/// Each master is asked, also one that is deposed and does not know it.
fn write_on(i: usize, at: SocketAddr, stop: &AtomicBool) -> Vec<String> {
    let mut acknowledged = Vec::new();
    let mut n = 0;
    while !stop.load(Ordering::Relaxed) {
        let role = role(i, n);
        n += 1;
        if write(at, &role) {
            acknowledged.push(role);
        }
        sleep(Duration::from_millis(50));
    }
    acknowledged
}

/// Gives a role a weight; true once this master, as the leader, has stored it. Masters that ask for no proof ignore it.
pub fn write(at: SocketAddr, role: &str) -> bool {
    let call = format!(
        r#"{{"type":"UPDATE_WEIGHTS","update_weights":{{"weight_infos":[{{"role":"{role}","weight":2.0}}]}}}}"#
    );
    let head = format!(
        "POST /api/v1 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Authorization: Basic {BASIC}\r\nContent-Length: {}\r\n\r\n",
        call.len()
    );
    ask(at, &(head + &call)).is_some_and(|answer| answer.starts_with("HTTP/1.1 200"))
}

/// The roles that have a weight in a master's registry.
pub fn weights(at: SocketAddr) -> Option<BTreeSet<String>> {
    let registry = get(at, "/registrar(1)/registry")?;
    let weights = registry["weights"].as_array()?;
    Some(weights.iter().filter_map(|weight| weight["info"]["role"].as_str().map(str::to_owned)).collect())
}

/// How many agents are registered with a master and at work.
pub fn active_agents(at: SocketAddr) -> Option<u64> {
    get(at, "/metrics/snapshot")?["master/slaves_active"].as_f64().map(|n| n as u64)
}

fn get(at: SocketAddr, path: &str) -> Option<Value> {
    let answer = ask(at, &format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"))?;
    serde_json::from_str(answer.split_once("\r\n\r\n")?.1).ok()
}

fn ask(at: SocketAddr, request: &str) -> Option<String> {
    const PATIENCE: Duration = Duration::from_millis(500);
    let mut stream = TcpStream::connect_timeout(&at, PATIENCE).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    String::from_utf8(answer).ok()
}
