//! Keeps out what a master's predecessor at the same address said. A master that leads there anew speaks on connections
//! of its own; what the process before it left on older ones may come late, and must not count any more.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use proto::upid::Upid;

/// Copies share what they know.
#[derive(Clone, Debug, Default)]
pub struct Fence(Arc<Mutex<VecDeque<Leader>>>);

/// A process that was said to lead: the last one at its address.
#[derive(Debug)]
struct Leader {
    /// `MasterInfo.id`, which every process makes up anew.
    id: String,
    host: Arc<str>,
    port: u16,
    /// When it was heard of first.
    since: Instant,
}

/// As many addresses of masters are remembered, those heard of last.
const LEADERS: usize = 64;

impl Fence {
    /// This process leads. One that leads for the first time says nothing to an agent that has not registered with it,
    /// so this comes before the core hears of it.
    pub fn detected(&self, upid: &Upid, id: &str) {
        let mut leaders = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = leaders.iter().position(|leader| leader.host == upid.host && leader.port == upid.port);
        // A process that leads once more, with another one between, still has its old connections.
        let former = known.and_then(|place| leaders.remove(place)).filter(|leader| leader.id == id);
        let new = || Leader { id: id.to_owned(), host: upid.host.clone(), port: upid.port, since: Instant::now() };
        leaders.push_back(former.unwrap_or_else(new));
        if leaders.len() > LEADERS {
            leaders.pop_front();
        }
    }

    /// Whether a message on a connection from `connected` on is of a process that was at its address before one that
    /// led there.
    pub fn shuts_out(&self, from: &Upid, connected: Instant) -> bool {
        let leaders = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        leaders.iter().any(|leader| leader.host == from.host && leader.port == from.port && connected < leader.since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_in_before_the_leader_is_of_another_process() {
        let (fence, old) = (Fence::default(), Instant::now());
        let upid = |actor: &str, port| Upid::new(actor, "127.0.0.1", port);
        assert!(!fence.shuts_out(&upid("master", 5050), old), "nobody leads");
        std::thread::sleep(std::time::Duration::from_millis(2));
        fence.detected(&upid("master", 5050), "a");
        assert!(fence.shuts_out(&upid("master", 5050), old) && fence.shuts_out(&upid("slave-observer(3)", 5050), old));
        assert!(!fence.shuts_out(&upid("master", 5051), old) && !fence.shuts_out(&upid("executor(1)", 5052), old));
        let new = Instant::now();
        assert!(!fence.shuts_out(&upid("master", 5050), new));
        // Told once more of the same process, its connections go on.
        fence.detected(&upid("master", 5050), "a");
        assert!(!fence.shuts_out(&upid("master", 5050), new));
        // Nor do they end because another one led meanwhile.
        fence.detected(&upid("master", 5051), "b");
        fence.detected(&upid("master", 5050), "a");
        assert!(!fence.shuts_out(&upid("master", 5050), new));
        assert!(fence.shuts_out(&upid("master", 5051), old));
        std::thread::sleep(std::time::Duration::from_millis(2));
        fence.detected(&upid("master", 5050), "b");
        assert!(fence.shuts_out(&upid("master", 5050), new));
    }
}
