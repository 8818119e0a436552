//! Who says it is somebody else is not heard, if that one can be asked.

use std::{net::SocketAddr, sync::Arc};

use proto::upid::Upid;
use tokio::sync::mpsc;
use transport::{
    Limits, Message, Node,
    libprocess::{
        NodeConfig,
        senders::{PATH, Senders},
    },
};

use super::harness::{Site, soon};

/// A process that gives keys and asks for those of others.
struct Process {
    site: Site,
    node: Node,
    messages: mpsc::UnboundedReceiver<Message>,
}

impl Process {
    async fn start() -> Process {
        Process::at("127.0.0.1:0".parse().unwrap()).await
    }

    async fn at(address: SocketAddr) -> Process {
        let site = Site::knowing(address, Limits::default()).await;
        let (sender, messages) = mpsc::unbounded_channel();
        *site.world.messages.lock().unwrap() = Some(sender);
        let senders = site.world.senders.get().cloned();
        let (node, _exits) = Node::new(NodeConfig { senders, ..NodeConfig::new(site.address) });
        Process { site, node, messages }
    }

    fn upid(&self, actor: &str) -> Upid {
        self.node.upid(actor)
    }

    /// The names of what was heard until `last`.
    async fn heard_until(&mut self, last: &str) -> Vec<String> {
        let mut names = Vec::new();
        loop {
            let message = soon(last, self.messages.recv()).await.unwrap();
            if message.name == last {
                return names;
            }
            names.push(message.name);
        }
    }

    /// Says something to this process in the name of `from`, with this key or none.
    async fn lie(&self, from: &Upid, name: &str, key: Option<&str>) {
        let key = key.map(|key| format!("Meseta-Sender-Key: {key}\r\n")).unwrap_or_default();
        let head = format!("POST /actor/{name} HTTP/1.1\r\nHost: \r\nLibprocess-From: {from}\r\n{key}");
        let answer = self.site.ask(&format!("{head}Content-Length: 0\r\nConnection: close\r\n\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 202"), "{answer}");
    }
}

#[tokio::test]
async fn nobody_else_speaks_in_the_name_of_a_process_that_gives_keys() {
    let (mut master, agent, mut task) = (Process::start().await, Process::start().await, Process::start().await);
    let (name, to) = (agent.upid("slave(1)"), master.upid("actor"));
    // Not even before it has said anything.
    master.lie(&name, "too_early", None).await;
    agent.node.send("slave(1)", &to, "true", b"");
    assert_eq!(master.heard_until("true").await, [""; 0]);
    master.lie(&name, "bare", None).await;
    master.lie(&name, "invented", Some(&"ab".repeat(16))).await;
    master.lie(&name, "malformed", Some("x")).await;
    // What the agent sends a task shows the task nothing of use.
    agent.node.send("slave(1)", &task.upid("actor"), "hello", b"");
    let seen = soon("a message", task.messages.recv()).await.unwrap().key.unwrap().to_string();
    master.lie(&name, "used_again", Some(&seen)).await;
    agent.node.send("slave(1)", &to, "last", b"");
    assert_eq!(master.heard_until("last").await, [""; 0]);
}

#[tokio::test]
async fn a_process_that_starts_anew_is_heard_at_once() {
    let mut master = Process::start().await;
    let agent = Process::start().await;
    let (address, to) = (agent.site.address, master.upid("actor"));
    agent.node.send("slave(1)", &to, "first", b"");
    master.heard_until("first").await;
    agent.site.running.shutdown(std::time::Duration::ZERO).await;
    drop(agent.node);
    let again = Process::at(address).await;
    again.node.send("slave(1)", &to, "second", b"");
    assert_eq!(master.heard_until("second").await, [""; 0]);
}

#[tokio::test]
async fn a_process_that_gives_no_keys_is_heard_without() {
    let mut master = Process::start().await;
    let other = Site::start().await;
    let (node, _exits) = Node::new(NodeConfig::new(other.address));
    node.send("slave(1)", &master.upid("actor"), "bare", b"");
    assert_eq!(master.heard_until("bare").await, [""; 0]);
    master.lie(&node.upid("slave(1)"), "invented", Some(&"ab".repeat(16))).await;
    node.send("slave(1)", &master.upid("actor"), "last", b"");
    assert_eq!(master.heard_until("last").await, [""; 0]);
}

#[tokio::test]
async fn who_does_not_answer_is_not_heard() {
    let mut master = Process::start().await;
    // Nothing listens there.
    let nobody = Upid::new("slave(1)", "127.0.0.1", 1);
    master.lie(&nobody, "from_nobody", None).await;
    let agent = Process::start().await;
    agent.node.send("slave(1)", &master.upid("actor"), "last", b"");
    assert_eq!(master.heard_until("last").await, [""; 0]);
}

#[tokio::test]
async fn a_key_is_confirmed_to_its_receiver_alone() {
    let (agent, mut master) = (Process::start().await, Process::start().await);
    agent.node.send("slave(1)", &master.upid("actor"), "m", b"");
    let key = soon("a message", master.messages.recv()).await.unwrap().key.unwrap();
    let at = master.site.address;
    for (query, mine) in [
        (format!("key={key}&at={at}"), true),
        (format!("key={key}&at=10.0.0.1:1&at={at}"), true),
        (format!("key={key}&at=10.0.0.1:1"), false),
        (format!("key={key}"), false),
        (format!("key=&at={at}"), false),
        (format!("at={at}"), false),
    ] {
        let request = format!("GET {PATH}?{query} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n");
        let answer = agent.site.ask(&request).await;
        assert!(answer.ends_with(&format!("{{\"mine\":{mine}}}")), "{query}: {answer}");
    }
    assert!(Senders::new(at).is_ok_and(|other| !format!("{:?}", Arc::new(other)).contains(&key.to_string())));
}
