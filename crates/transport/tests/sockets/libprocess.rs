//! Messages between nodes, and how a node notices that a peer is gone.

use std::{net::SocketAddr, sync::atomic::Ordering, time::Duration};

use proto::upid::Upid;
use tokio::{
    io::AsyncReadExt,
    net::{TcpListener, TcpStream},
    sync::mpsc,
};
use transport::{
    Limits, Message, Node,
    libprocess::{Exits, NodeConfig},
};

use super::harness::{Site, soon, undated, until};

/// A process: a server, and a node that says the server's address.
pub struct Process {
    pub site: Site,
    pub node: Node,
    exits: Exits,
    messages: mpsc::UnboundedReceiver<Message>,
}

impl Process {
    pub async fn start() -> Process {
        let site = Site::start().await;
        let (sender, messages) = mpsc::unbounded_channel();
        *site.world.messages.lock().unwrap() = Some(sender);
        let (node, exits) = Node::new(NodeConfig::new(site.address));
        Process { site, node, exits, messages }
    }

    pub fn upid(&self, actor: &str) -> Upid {
        self.node.upid(actor)
    }

    pub async fn receive(&mut self) -> Message {
        soon("a message", self.messages.recv()).await.unwrap()
    }

    async fn exit(&mut self) -> Upid {
        soon("an exit", self.exits.next()).await.unwrap()
    }
}

fn upid_at(address: SocketAddr, actor: &str) -> Upid {
    Upid::new(actor, address.ip().to_string(), address.port())
}

#[tokio::test]
async fn messages_arrive_in_order_over_one_socket() {
    let (mut here, mut there) = (Process::start().await, Process::start().await);
    let to = there.upid("slave(1)");
    for i in 0..2000u32 {
        let body = if i % 3 == 0 { Vec::new() } else { vec![b'x'; i as usize] };
        here.node.send("master", &to, &format!("m{i}"), &body);
    }
    for i in 0..2000u32 {
        let message = there.receive().await;
        assert_eq!(message.name, format!("m{i}"));
        assert_eq!(message.body.len(), if i % 3 == 0 { 0 } else { i as usize });
        assert_eq!((message.from, message.to.as_str()), (here.upid("master"), "slave(1)"));
    }
    assert_eq!(there.site.running.counters().accepted.load(Ordering::Relaxed), 1);
    there.node.send("slave(1)", &here.upid("actor"), "reply", b"r");
    assert_eq!(here.receive().await.name, "reply");
}

#[tokio::test]
async fn a_huge_message_arrives() {
    let (here, mut there) = (Process::start().await, Process::start().await);
    let body: Vec<u8> = (0..20 << 20).map(|i: u32| (i % 251) as u8).collect();
    here.node.send("a", &there.upid("actor"), "huge", &body);
    assert_eq!(there.receive().await.body, body);
}

#[tokio::test]
async fn a_message_to_nobody_is_lost_alone() {
    let (here, mut there) = (Process::start().await, Process::start().await);
    here.node.send("a", &there.upid("nobody"), "lost", b"");
    here.node.send("a", &there.upid("actor"), "found", b"");
    assert_eq!(there.receive().await.name, "found");
    for bad in [Upid::new("a b", "127.0.0.1", 1), Upid::new("a", "127.0.0.1", 0), Upid::new("a", "somewhere", 1)] {
        here.node.send("a", &bad, "x", b"");
    }
    here.node.send("a", &there.upid("actor"), "inject\r\nHost: x", b"");
    assert_eq!(here.node.counters().dropped.load(Ordering::Relaxed), 4);
}

#[tokio::test]
async fn the_end_of_a_process_is_told_once_to_each_link() {
    let (mut here, there) = (Process::start().await, Process::start().await);
    let (first, second, forgotten) = (there.upid("slave(1)"), there.upid("slave-observer(1)"), there.upid("other"));
    for upid in [&first, &first, &second, &forgotten] {
        here.node.link(upid);
    }
    here.node.unlink(&forgotten);
    until("the link", || there.site.connections() == 1).await;
    there.site.running.shutdown(Duration::ZERO).await;
    assert_eq!([here.exit().await, here.exit().await], [first.clone(), second.clone()]);
    // Nobody listens any more, so another link is over at once; and that is the next exit.
    here.node.link(&first);
    assert_eq!(here.exit().await, first);
    assert!(tokio::time::timeout(Duration::from_millis(5), here.exits.next()).await.is_err());
}

#[tokio::test]
async fn a_refused_connection_is_an_exit() {
    let mut here = Process::start().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gone = upid_at(listener.local_addr().unwrap(), "slave(1)");
    drop(listener);
    here.node.send("a", &gone, "lost", b"");
    here.node.link(&gone);
    assert_eq!(here.exit().await, gone);
    here.node.link(&Upid::new("x", "not-an-address", 1));
    assert_eq!(&*here.exit().await.host, "not-an-address");
}

#[tokio::test]
async fn a_peer_that_closes_its_side_has_exited() {
    let mut here = Process::start().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let peer = upid_at(listener.local_addr().unwrap(), "slave(1)");
    here.node.link(&peer);
    let (mut socket, _) = soon("a connection", listener.accept()).await.unwrap();
    tokio::io::AsyncWriteExt::shutdown(&mut socket).await.unwrap();
    assert_eq!(here.exit().await, peer);
}

#[tokio::test]
async fn a_later_message_opens_another_socket() {
    let here = Process::start().await;
    let there = Process::start().await;
    let (address, to) = (there.site.address, there.upid("actor"));
    here.node.send("a", &to, "one", b"");
    until("the message", || there.site.running.counters().messages.load(Ordering::Relaxed) == 1).await;
    there.site.running.shutdown(Duration::ZERO).await;
    until("the break", || here.node.counters().breaks.load(Ordering::Relaxed) == 1).await;
    let again = Site::at(address, Limits::default()).await;
    here.node.send("a", &to, "two", b"");
    until("the message", || again.running.counters().messages.load(Ordering::Relaxed) == 1).await;
}

#[tokio::test]
async fn a_peer_that_does_not_read_is_cut_and_has_exited() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let peer = upid_at(listener.local_addr().unwrap(), "slave(1)");
    let config = NodeConfig { queue: 1 << 20, ..NodeConfig::new("127.0.0.1:1".parse().unwrap()) };
    let (node, mut exits) = Node::new(config);
    node.link(&peer);
    let (_silent, _) = soon("a connection", listener.accept()).await.unwrap();
    let body = vec![0; 1 << 20];
    soon("a full queue", async {
        while node.counters().breaks.load(Ordering::Relaxed) == 0 {
            node.send("a", &peer, "m", &body);
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(soon("the exit", exits.next()).await.unwrap(), peer);
}

#[tokio::test]
async fn a_peer_that_takes_nothing_breaks_its_link() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let peer = upid_at(listener.local_addr().unwrap(), "slave(1)");
    let config = NodeConfig { stall: Duration::from_millis(20), ..NodeConfig::new("127.0.0.1:1".parse().unwrap()) };
    let (node, mut exits) = Node::new(config);
    node.link(&peer);
    let (_silent, _) = soon("a connection", listener.accept()).await.unwrap();
    for _ in 0..16 {
        node.send("a", &peer, "m", &vec![0; 1 << 20]);
    }
    assert_eq!(soon("the exit", exits.next()).await.unwrap(), peer);
    assert_eq!(node.waiting_bytes(), 0);
}

#[tokio::test]
async fn all_queues_together_are_bounded_and_the_longest_goes() {
    let config = NodeConfig { queues: 64 << 20, ..NodeConfig::new("127.0.0.1:1".parse().unwrap()) };
    let (node, mut exits) = Node::new(config);
    let mut silent = Vec::new();
    for _ in 0..3 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let peer = upid_at(listener.local_addr().unwrap(), "slave(1)");
        node.link(&peer);
        let socket = soon("a connection", listener.accept()).await.unwrap();
        silent.push((peer, socket, listener));
    }
    let body = vec![0; 1 << 20];
    for (i, (peer, ..)) in silent.iter().enumerate() {
        for _ in 0..[12, 40, 20][i] {
            node.send("a", peer, "m", &body);
        }
    }
    assert_eq!(soon("the exit", exits.next()).await.unwrap(), silent[1].0);
    assert!(node.waiting_bytes() <= 64 << 20, "{}", node.waiting_bytes());
    assert_eq!(node.counters().breaks.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn an_unused_socket_without_links_is_closed_quietly() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let peer = upid_at(listener.local_addr().unwrap(), "slave(1)");
    let config = NodeConfig { idle: Duration::from_millis(10), ..NodeConfig::new("127.0.0.1:1".parse().unwrap()) };
    let (node, mut exits) = Node::new(config);
    for _ in 0..2 {
        node.send("a", &peer, "m", b"");
        let (mut socket, _) = soon("a connection", listener.accept()).await.unwrap();
        let mut read = String::new();
        soon("the end", socket.read_to_string(&mut read)).await.unwrap();
        assert!(read.starts_with("POST /slave(1)/m HTTP/1.1\r\n"), "{read}");
    }
    node.link(&peer);
    let (linked, _) = soon("a connection", listener.accept()).await.unwrap();
    assert!(tokio::time::timeout(Duration::from_millis(40), exits.next()).await.is_err(), "a linked socket stays");
    drop(linked);
    assert_eq!(soon("the exit", exits.next()).await.unwrap(), peer);
}

#[tokio::test]
async fn a_dropped_node_closes_its_sockets() {
    let there = Process::start().await;
    let (node, exits) = Node::new(NodeConfig::new("127.0.0.1:1".parse().unwrap()));
    node.link(&there.upid("actor"));
    until("the link", || there.site.connections() == 1).await;
    drop((node, exits));
    until("the end", || there.site.connections() == 0).await;
}

#[tokio::test]
async fn messages_of_the_real_thing_are_taken() {
    let mut here = Process::start().await;
    let mut raw = here.site.raw().await;
    let head = "HTTP/1.1\r\nUser-Agent: libprocess/slave(1)@127.0.0.1:15050\r\nLibprocess-From: slave(1)@127.0.0.1:15050\r\n\
                Connection: Keep-Alive\r\nHost: \r\n";
    raw.write(&format!("POST /actor/mesos.internal.PongSlaveMessage {head}\r\n")).await;
    raw.write(&format!("POST /actor/m {head}Transfer-Encoding: chunked\r\n\r\na\r\n\n\x08CRAM-MD5\r\n0\r\n\r\n")).await;
    raw.write(&format!("POST /nobody/m {head}\r\n")).await;
    raw.write("POST /actor/m HTTP/1.1\r\nLibprocess-From: junk\r\nConnection: close\r\n\r\n").await;
    let accepted = "HTTP/1.1 202 Accepted\r\nX-Content-Type-Options: nosniff\r\nContent-Length: 0\r\n\r\n";
    let answers = undated(&raw.rest().await);
    assert_eq!(answers.matches("HTTP/1.1 202 Accepted\r\n").count(), 3, "{answers}");
    assert!(answers.to_lowercase().starts_with(&accepted.repeat(2).to_lowercase()), "{answers}");
    assert!(answers.contains("HTTP/1.1 404 Not Found\r\n") && answers.contains("404 Not Found."), "{answers}");
    let (first, second) = (here.receive().await, here.receive().await);
    assert_eq!((first.name.as_str(), first.body.len()), ("mesos.internal.PongSlaveMessage", 0));
    assert_eq!(first.from.to_string(), "slave(1)@127.0.0.1:15050");
    assert_eq!(&second.body[..], b"\n\x08CRAM-MD5");
}

#[tokio::test]
async fn a_sender_may_be_held_to_its_address() {
    let site = Site::with(Limits { match_peer_address: true, ..Limits::default() }).await;
    let (sender, mut messages) = mpsc::unbounded_channel();
    *site.world.messages.lock().unwrap() = Some(sender);
    for (from, name) in [("10.1.1.1", "forged"), ("127.0.0.1", "honest")] {
        let answer = site.ask(&format!("POST /actor/{name} HTTP/1.1\r\nLibprocess-From: a@{from}:1\r\n\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 202 "), "{answer}");
    }
    assert_eq!(soon("a message", messages.recv()).await.unwrap().name, "honest");
}

#[tokio::test]
async fn two_nodes_stream_to_each_other_at_once() {
    let (mut here, mut there) = (Process::start().await, Process::start().await);
    let (a, b) = (here.upid("actor"), there.upid("actor"));
    here.node.link(&b);
    there.node.link(&a);
    for i in 0..5000 {
        here.node.send("actor", &b, "m", format!("{i}").as_bytes());
        there.node.send("actor", &a, "m", format!("{i}").as_bytes());
    }
    for i in 0..5000 {
        let expected = format!("{i}");
        assert_eq!(here.receive().await.body, expected);
        assert_eq!(there.receive().await.body, expected);
    }
    // A socket that is cut on purpose counts as broken for those who linked.
    here.node.disconnect(&b);
    assert_eq!(here.exit().await, b);
    let _ = TcpStream::connect(there.site.address).await.unwrap();
}
