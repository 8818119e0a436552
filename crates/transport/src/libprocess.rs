//! Messages between actors of different processes, as libprocess frames them: `POST /<actor>/<message>`, answered 202
//! and never waited for. Inbound messages arrive at the HTTP server's port (`inbound`); outbound ones go through a
//! `Node`, over one socket per peer (`outbound`). Whether a message comes from the machine and from the process that it
//! names is `reach`'s and `senders`' to find out; what the messages mean is `proto::link`'s and the programs' business.

pub(crate) mod inbound;
mod outbound;
pub(crate) mod reach;
pub mod senders;

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use proto::upid::Upid;
use tokio::{runtime::Handle, sync::mpsc};

use crate::caller::Caller;
use outbound::Peer;
use senders::{Key, Senders};

/// A message that arrived.
#[derive(Clone, Debug)]
pub struct Message {
    pub from: Upid,
    /// The actor it is for: `master`, `slave(1)`.
    pub to: String,
    /// The message's type: `mesos.internal.RunTaskMessage`.
    pub name: String,
    pub body: Bytes,
    /// When the connection was made that it came on.
    pub connected: Instant,
    /// What the sender shows for being who it says; whether it is true is `senders`' to know.
    pub key: Option<Key>,
    /// Who sent it, as far as the kernel tells; `from` is what the sender says.
    pub caller: Arc<Caller>,
}

/// How a node treats its peers.
#[derive(Clone, Debug)]
pub struct NodeConfig {
    /// Where our server can be reached; stands in every message's sender.
    pub address: SocketAddr,
    /// Bytes that may wait for one peer; one message more and the link counts as broken.
    pub queue: usize,
    /// Bytes that may wait for all peers; beyond it the link counts as broken for which the most waits.
    pub queues: usize,
    /// How long a peer may take none of what waits for it.
    pub stall: Duration,
    pub connect_timeout: Duration,
    /// How long a socket to a peer that nobody linked to stays open unused.
    pub idle: Duration,
    /// Makes the keys of our messages; without it they carry none.
    pub senders: Option<Arc<Senders>>,
}

impl NodeConfig {
    pub fn new(address: SocketAddr) -> NodeConfig {
        NodeConfig {
            address,
            queue: 64 << 20,
            queues: 512 << 20,
            stall: Duration::from_secs(120),
            connect_timeout: Duration::from_secs(10),
            idle: Duration::from_secs(60),
            senders: None,
        }
    }
}

/// What a node has done so far.
#[derive(Debug, Default)]
pub struct NodeCounters {
    pub sent: AtomicU64,
    /// Messages that could not be sent at all, or were waiting when their link broke.
    pub dropped: AtomicU64,
    pub connects: AtomicU64,
    pub breaks: AtomicU64,
}

/// Our end of all outbound links. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Node {
    inner: Arc<Inner>,
}

/// The linked actors whose process went away. Each `link` is told at most once.
#[derive(Debug)]
pub struct Exits(mpsc::UnboundedReceiver<Upid>);

impl Exits {
    /// The next actor that went away; `None` when the node is gone.
    pub async fn next(&mut self) -> Option<Upid> {
        self.0.recv().await
    }
}

#[derive(Debug)]
struct Inner {
    config: NodeConfig,
    address: String,
    runtime: Handle,
    peers: Mutex<HashMap<SocketAddr, Arc<Peer>>>,
    exits: mpsc::UnboundedSender<Upid>,
    counters: NodeCounters,
    /// Bytes that wait for all peers.
    waiting: Arc<AtomicUsize>,
}

impl Node {
    /// A node whose sockets live on the current runtime.
    pub fn new(config: NodeConfig) -> (Node, Exits) {
        let (exits, told) = mpsc::unbounded_channel();
        let inner = Inner {
            address: config.address.to_string(),
            config,
            runtime: Handle::current(),
            peers: Mutex::default(),
            exits,
            counters: NodeCounters::default(),
            waiting: Arc::default(),
        };
        (Node { inner: Arc::new(inner) }, Exits(told))
    }

    /// The address of an actor of ours.
    pub fn upid(&self, actor: &str) -> Upid {
        Upid::new(actor, self.inner.config.address.ip().to_string(), self.inner.config.address.port())
    }

    pub fn counters(&self) -> &NodeCounters {
        &self.inner.counters
    }

    /// Bytes that wait for all peers.
    pub fn waiting_bytes(&self) -> usize {
        self.inner.waiting.load(Ordering::Relaxed)
    }

    /// Sends a message without waiting. Messages to one address stay in order; nothing tells whether they arrive, but
    /// a broken `link` tells that they may not.
    pub fn send(&self, from_actor: &str, to: &Upid, name: &str, body: &[u8]) {
        let inner = &self.inner;
        let sendable = [from_actor, &to.id, name].iter().all(|part| outbound::is_sendable(part));
        let Some(address) = socket_address(to).filter(|_| sendable) else {
            tracing::debug!(%name, "dropped a message to an address that cannot exist");
            inner.counters.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        };
        inner.counters.sent.fetch_add(1, Ordering::Relaxed);
        let written = inner.with_peer(address, |peer| {
            peer.push(inner.config.queue, |buffer, key| {
                outbound::write_message(buffer, from_actor, &inner.address, key, &to.id, name, body);
            })
        });
        if !written {
            inner.counters.dropped.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(peer = %address, "the queue of a peer is full, its link is cut");
        }
        if inner.waiting.load(Ordering::Relaxed) > inner.config.queues {
            inner.cut_heaviest();
        }
    }

    /// Asks to be told once when the process of `peer` goes away, and connects to it if no socket is open.
    pub fn link(&self, peer: &Upid) {
        match socket_address(peer) {
            Some(address) => self.inner.with_peer(address, |socket| socket.link(peer)),
            None => drop(self.inner.exits.send(peer.clone())),
        }
    }

    /// Forgets a link. Its socket stays while it is used.
    pub fn unlink(&self, peer: &Upid) {
        if let Some(address) = socket_address(peer)
            && let Some(socket) = self.inner.with_peers(|peers| peers.get(&address).cloned())
        {
            socket.unlink(peer);
        }
    }

    /// Closes the socket to an address, as if it had broken: linked actors there are told to have exited.
    pub fn disconnect(&self, peer: &Upid) {
        if let Some(address) = socket_address(peer)
            && let Some(socket) = self.inner.with_peers(|peers| peers.get(&address).cloned())
        {
            socket.cut();
        }
    }
}

impl Inner {
    fn with_peers<R>(&self, f: impl FnOnce(&mut HashMap<SocketAddr, Arc<Peer>>) -> R) -> R {
        f(&mut self.peers.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Runs `f` on the socket to `address`, opened if there is none. `f` says `None` for one that has just broken.
    fn with_peer<R>(self: &Arc<Self>, address: SocketAddr, mut f: impl FnMut(&Peer) -> Option<R>) -> R {
        loop {
            let (peer, is_new) = self.with_peers(|peers| match peers.get(&address) {
                Some(peer) => (peer.clone(), false),
                None => {
                    let key = self.config.senders.as_ref().map(|senders| senders.key_for(address).to_string());
                    let peer = Arc::new(Peer::new(self.waiting.clone(), key));
                    peers.insert(address, peer.clone());
                    (peer, true)
                }
            });
            let result = f(&peer);
            if is_new {
                self.runtime.spawn(outbound::run(Arc::downgrade(self), address, peer.clone()));
            }
            match result {
                Some(result) => return result,
                None => self.forget(address, &peer),
            }
        }
    }

    /// What waits for all peers takes too much memory: the peer that left the most goes.
    fn cut_heaviest(self: &Arc<Self>) {
        let peers: Vec<_> = self.with_peers(|peers| peers.iter().map(|(at, peer)| (*at, peer.clone())).collect());
        let weighed = peers.into_iter().map(|(address, peer)| (peer.weight(), address, peer));
        let Some((bytes, peer, socket)) = weighed.max_by_key(|(bytes, ..)| *bytes).filter(|(bytes, ..)| *bytes > 0)
        else {
            return;
        };
        tracing::warn!(%peer, bytes, "what waits for peers takes too much memory; the link with the most is cut");
        self.on_break(peer, &socket);
        socket.cut();
    }

    fn forget(&self, address: SocketAddr, peer: &Arc<Peer>) {
        self.with_peers(|peers| {
            if peers.get(&address).is_some_and(|listed| Arc::ptr_eq(listed, peer)) {
                peers.remove(&address);
            }
        });
    }

    /// A socket is over: its links are told, a later message opens another.
    fn on_break(&self, address: SocketAddr, peer: &Arc<Peer>) {
        self.forget(address, peer);
        let Some((links, dropped)) = peer.take_broken() else { return };
        self.counters.breaks.fetch_add(1, Ordering::Relaxed);
        self.counters.dropped.fetch_add(dropped, Ordering::Relaxed);
        for link in links {
            let _ = self.exits.send(link);
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.with_peers(|peers| peers.values().for_each(|peer| peer.cut()));
    }
}

fn socket_address(upid: &Upid) -> Option<SocketAddr> {
    let ip: IpAddr = upid.host.parse().ok()?;
    (upid.port != 0).then(|| SocketAddr::new(ip, upid.port))
}
