//! Keeps out what a master's predecessor at the same address said. A master that leads there anew speaks on connections
//! of its own; what the process before it left on older ones may come late, and must not count any more.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use proto::upid::Upid;

/// Copies share what they know.
#[derive(Clone, Debug, Default)]
pub struct Fence(Arc<Mutex<Option<Leader>>>);

#[derive(Debug)]
struct Leader {
    /// `MasterInfo.id`, which every process makes up anew.
    id: String,
    upid: Upid,
    since: Instant,
}

impl Fence {
    /// Another process leads. It says nothing to an agent that has not registered with it, so this comes before
    /// the core hears of it.
    pub fn detected(&self, upid: &Upid, id: &str) {
        let mut leader = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if leader.as_ref().is_none_or(|leader| leader.id != id || leader.upid != *upid) {
            *leader = Some(Leader { id: id.to_owned(), upid: upid.clone(), since: Instant::now() });
        }
    }

    /// Whether a message on a connection from `connected` on is of a process that was at the leader's address before
    /// it.
    pub fn shuts_out(&self, from: &Upid, connected: Instant) -> bool {
        let leader = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        leader.as_ref().is_some_and(|leader| {
            leader.upid.host == from.host && leader.upid.port == from.port && connected < leader.since
        })
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
        std::thread::sleep(std::time::Duration::from_millis(2));
        fence.detected(&upid("master", 5050), "b");
        assert!(fence.shuts_out(&upid("master", 5050), new));
    }
}
