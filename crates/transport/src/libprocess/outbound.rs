//! One socket to one peer: a buffer of messages already framed, and the task that writes it. Responses are read and
//! thrown away; the reading is there to notice that the peer is gone.

use std::{
    collections::BTreeSet,
    io::{self, Write},
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicUsize, Ordering},
    },
};

use proto::upid::Upid;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::Notify,
};

use super::{Inner, NodeConfig, senders::HEADER as KEY};

/// A buffer that grew beyond this is given back after use.
const KEEP: usize = 256 * 1024;

/// What senders and the task of a socket share.
#[derive(Debug)]
pub(super) struct Peer {
    /// Bytes that wait for all peers.
    all: Arc<AtomicUsize>,
    /// What shows this peer that our messages are ours.
    key: Option<String>,
    state: Mutex<State>,
    ready: Notify,
    cut: Notify,
}

#[derive(Debug, Default)]
struct State {
    buffer: Vec<u8>,
    /// Messages in `buffer`.
    waiting: u64,
    /// Bytes taken out of `buffer` and not yet written.
    leaving: usize,
    links: BTreeSet<Upid>,
    /// The task is over or about to be: take another socket.
    broken: bool,
    /// Its links are told.
    over: bool,
}

impl Peer {
    pub(super) fn new(all: Arc<AtomicUsize>, key: Option<String>) -> Peer {
        Peer { all, key, state: Mutex::default(), ready: Notify::new(), cut: Notify::new() }
    }

    /// Bytes that wait for this peer.
    pub(super) fn weight(&self) -> usize {
        self.with(|state| state.buffer.len() + state.leaving)
    }

    fn with<R>(&self, f: impl FnOnce(&mut State) -> R) -> R {
        f(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Adds a message; `Some(false)` if the queue is full, which cuts the link; `None` if this socket is broken.
    pub(super) fn push(&self, limit: usize, write: impl FnOnce(&mut Vec<u8>, Option<&str>)) -> Option<bool> {
        let pushed = self.with(|state| {
            if state.broken {
                return None;
            }
            let before = state.buffer.len();
            if before + state.leaving > limit {
                return Some(false);
            }
            write(&mut state.buffer, self.key.as_deref());
            self.all.fetch_add(state.buffer.len() - before, Ordering::Relaxed);
            state.waiting += 1;
            Some(true)
        });
        match pushed {
            Some(true) => self.ready.notify_one(),
            Some(false) => self.cut.notify_one(),
            None => {}
        }
        pushed
    }

    pub(super) fn link(&self, upid: &Upid) -> Option<()> {
        self.with(|state| {
            if state.broken {
                return None;
            }
            state.links.insert(upid.clone());
            Some(())
        })
    }

    pub(super) fn unlink(&self, upid: &Upid) {
        self.with(|state| state.links.remove(upid));
    }

    pub(super) fn cut(&self) {
        self.cut.notify_one();
    }

    /// Marks the socket broken; gives who is to be told and how many messages are lost, once.
    pub(super) fn take_broken(&self) -> Option<(BTreeSet<Upid>, u64)> {
        self.with(|state| {
            if std::mem::replace(&mut state.over, true) {
                return None;
            }
            state.broken = true;
            let bytes = std::mem::take(&mut state.buffer).len() + std::mem::take(&mut state.leaving);
            self.all.fetch_sub(bytes, Ordering::Relaxed);
            Some((std::mem::take(&mut state.links), std::mem::take(&mut state.waiting)))
        })
    }

    /// Takes what is to be written next into `batch`, which is empty.
    fn take_batch(&self, batch: &mut Vec<u8>) {
        self.with(|state| {
            std::mem::swap(&mut state.buffer, batch);
            state.waiting = 0;
            state.leaving = batch.len();
        });
    }

    fn on_written(&self, bytes: usize) {
        self.with(|state| {
            let bytes = bytes.min(state.leaving);
            state.leaving -= bytes;
            self.all.fetch_sub(bytes, Ordering::Relaxed);
        });
    }

    /// Marks the socket broken if nothing waits and nobody linked.
    fn retire_if_unused(&self) -> bool {
        self.with(|state| {
            state.broken |= state.buffer.is_empty() && state.links.is_empty();
            state.broken
        })
    }
}

/// The life of one socket.
pub(super) async fn run(node: Weak<Inner>, address: SocketAddr, peer: Arc<Peer>) {
    let Some(config) = node.upgrade().map(|node| node.config.clone()) else { return };
    let why = tokio::select! {
        result = connect_and_pump(&node, address, &peer, &config) => result,
        () = peer.cut.notified() => Err(io::ErrorKind::ConnectionAborted.into()),
    };
    match why {
        Ok(()) => tracing::debug!(peer = %address, "an unused link is closed"),
        Err(error) => tracing::debug!(peer = %address, %error, "a link broke"),
    }
    if let Some(node) = node.upgrade() {
        node.on_break(address, &peer);
    }
}

async fn connect_and_pump(node: &Weak<Inner>, address: SocketAddr, peer: &Peer, config: &NodeConfig) -> io::Result<()> {
    let socket = tokio::time::timeout(config.connect_timeout, TcpStream::connect(address)).await??;
    socket.set_nodelay(true)?;
    if let Some(node) = node.upgrade() {
        node.counters.connects.fetch_add(1, Ordering::Relaxed);
    }
    let (reader, writer) = socket.into_split();
    tokio::select! {
        result = drain(reader) => result,
        result = pump(writer, peer, config) => result,
    }
}

/// Reads until the peer closes, which is an error always.
async fn drain(mut reader: OwnedReadHalf) -> io::Result<()> {
    let mut scrap = vec![0; 4096];
    while reader.read(&mut scrap).await? > 0 {}
    Err(io::ErrorKind::UnexpectedEof.into())
}

/// Writes what is queued; ends well only when the socket has long been of no use.
async fn pump(mut writer: OwnedWriteHalf, peer: &Peer, config: &NodeConfig) -> io::Result<()> {
    let mut batch = Vec::new();
    loop {
        peer.take_batch(&mut batch);
        if !batch.is_empty() {
            let mut rest = batch.as_slice();
            while !rest.is_empty() {
                let written = tokio::time::timeout(config.stall, writer.write(rest)).await??;
                if written == 0 {
                    return Err(io::ErrorKind::WriteZero.into());
                }
                rest = rest.get(written..).unwrap_or_default();
                peer.on_written(written);
            }
            batch.clear();
            batch.shrink_to(KEEP);
        } else if tokio::time::timeout(config.idle, peer.ready.notified()).await.is_err() && peer.retire_if_unused() {
            return Ok(());
        }
    }
}

/// Whether a part of a request line or header can be sent as it is.
pub(super) fn is_sendable(part: &str) -> bool {
    !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Appends one message, framed exactly as libprocess does it, but for the key.
pub(super) fn write_message(
    out: &mut Vec<u8>,
    from_actor: &str,
    our_address: &str,
    key: Option<&str>,
    to: &str,
    name: &str,
    body: &[u8],
) {
    out.reserve(body.len() + 2 * (from_actor.len() + our_address.len()) + to.len() + name.len() + 160);
    for part in [
        "POST /",
        to,
        "/",
        name,
        " HTTP/1.1\r\nUser-Agent: libprocess/",
        from_actor,
        "@",
        our_address,
        "\r\nLibprocess-From: ",
        from_actor,
        "@",
        our_address,
        "\r\nConnection: Keep-Alive\r\nHost: \r\n",
    ] {
        out.extend_from_slice(part.as_bytes());
    }
    if let Some(key) = key {
        for part in [KEY, ": ", key, "\r\n"] {
            out.extend_from_slice(part.as_bytes());
        }
    }
    if body.is_empty() {
        out.extend_from_slice(b"\r\n");
        return;
    }
    // Writing to a Vec does not fail.
    let _ = write!(out, "Transfer-Encoding: chunked\r\n\r\n{:x}\r\n", body.len());
    out.extend_from_slice(body);
    out.extend_from_slice(b"\r\n0\r\n\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framed(body: &[u8]) -> String {
        framed_with(None, body)
    }

    fn framed_with(key: Option<&str>, body: &[u8]) -> String {
        let mut out = Vec::new();
        write_message(&mut out, "master", "127.0.0.1:5050", key, "slave(1)", "mesos.internal.RunTaskMessage", body);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_framing_is_that_of_libprocess() {
        let head = "POST /slave(1)/mesos.internal.RunTaskMessage HTTP/1.1\r\n\
                    User-Agent: libprocess/master@127.0.0.1:5050\r\n\
                    Libprocess-From: master@127.0.0.1:5050\r\n\
                    Connection: Keep-Alive\r\n\
                    Host: \r\n";
        assert_eq!(framed(b""), format!("{head}\r\n"));
        assert_eq!(framed_with(Some("k"), b""), format!("{head}meseta-sender-key: k\r\n\r\n"));
        assert_eq!(
            framed(b"0123456789"),
            format!("{head}Transfer-Encoding: chunked\r\n\r\na\r\n0123456789\r\n0\r\n\r\n")
        );
    }

    #[test]
    fn what_would_break_the_framing_is_not_sent() {
        for part in ["", "a b", "a\r\nb", "a\0", "ä"] {
            assert!(!is_sendable(part), "{part:?}");
        }
        assert!(is_sendable("slave-observer(7)"));
    }
}
