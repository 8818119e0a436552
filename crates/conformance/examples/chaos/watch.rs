//! Looks at all masters all the time: never may two of them say that they lead, one after the other and the first again.
//! Writes to whoever leads, and remembers what was acknowledged.

use std::{
    collections::BTreeSet,
    io::{Read, Write},
    net::TcpStream,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{JoinHandle, sleep, spawn},
    time::Duration,
};

pub struct Watch {
    stop: Arc<AtomicBool>,
    looking: JoinHandle<(u64, Vec<String>)>,
    writing: JoinHandle<Vec<String>>,
}

/// What was seen.
pub struct Seen {
    pub looks: u64,
    pub problems: Vec<String>,
    /// Roles whose weight a leader said it had stored.
    pub acknowledged: Vec<String>,
}

impl Watch {
    pub fn start(masters: Vec<u16>) -> Watch {
        let stop = Arc::new(AtomicBool::new(false));
        let looking = spawn({
            let (stop, masters) = (Arc::clone(&stop), masters.clone());
            move || look(&masters, &stop)
        });
        let writing = spawn({
            let stop = Arc::clone(&stop);
            move || write_on(&masters, &stop)
        });
        Watch { stop, looking, writing }
    }

    pub fn stop(self) -> Seen {
        self.stop.store(true, Ordering::Relaxed);
        let (looks, problems) = self.looking.join().unwrap_or_default();
        Seen { looks, problems, acknowledged: self.writing.join().unwrap_or_default() }
    }
}

fn look(masters: &[u16], stop: &AtomicBool) -> (u64, Vec<String>) {
    let (mut looks, mut problems) = (0, Vec::new());
    while !stop.load(Ordering::Relaxed) {
        let leading: Vec<(u16, u64)> = masters.iter().filter_map(|port| Some((*port, epoch(*port)?))).collect();
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

/// The epoch a master leads in, if it says that it leads.
fn epoch(port: u16) -> Option<u64> {
    let standing = standing(port)?;
    (standing["leading"] == true).then(|| standing["epoch"].as_u64())?
}

fn standing(port: u16) -> Option<serde_json::Value> {
    let answer = ask(port, "GET /standing HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    serde_json::from_str(answer.split_once("\r\n\r\n")?.1).ok()
}

fn write_on(masters: &[u16], stop: &AtomicBool) -> Vec<String> {
    let mut acknowledged = Vec::new();
    let mut n = 0;
    while !stop.load(Ordering::Relaxed) {
        let role = format!("chaos-{n}");
        if masters.iter().any(|port| write(*port, &role)) {
            acknowledged.push(role);
            n += 1;
        }
        sleep(Duration::from_millis(20));
    }
    acknowledged
}

/// Gives a role a weight; true once this master, as the leader, has stored it.
pub fn write(port: u16, role: &str) -> bool {
    let call = format!(
        r#"{{"type":"UPDATE_WEIGHTS","update_weights":{{"weight_infos":[{{"role":"{role}","weight":2.0}}]}}}}"#
    );
    let head = format!(
        "POST /api/v1 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n",
        call.len()
    );
    ask(port, &(head + &call)).is_some_and(|answer| answer.starts_with("HTTP/1.1 200"))
}

/// The roles that have a weight in a master's registry.
pub fn weights(port: u16) -> Option<BTreeSet<String>> {
    let answer = ask(port, "GET /registrar(1)/registry HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let registry: serde_json::Value = serde_json::from_str(answer.split_once("\r\n\r\n")?.1).ok()?;
    let weights = registry["weights"].as_array()?;
    Some(weights.iter().filter_map(|weight| weight["info"]["role"].as_str().map(str::to_owned)).collect())
}

fn ask(port: u16, request: &str) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_millis(500))).ok()?;
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    String::from_utf8(answer).ok()
}
