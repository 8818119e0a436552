//! Connections that are open and unused, per server.

use std::{
    collections::HashMap,
    io,
    net::SocketAddr,
    sync::{Mutex, PoisonError},
};

use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use stdx::hosts;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};

use super::{ClientConfig, ClientError, OutBody};

pub(crate) type Sender = http1::SendRequest<OutBody>;

#[derive(Debug)]
pub(super) struct Pool {
    kept: usize,
    unused: Mutex<HashMap<String, Vec<Sender>>>,
}

impl Pool {
    pub(super) fn new(kept: usize) -> Pool {
        Pool { kept, unused: Mutex::default() }
    }

    /// A connection to `authority` that looks alive.
    pub(super) fn take(&self, authority: &str) -> Option<Sender> {
        let mut unused = self.unused.lock().unwrap_or_else(PoisonError::into_inner);
        let senders = unused.get_mut(authority)?;
        let found = std::iter::from_fn(|| senders.pop()).find(|sender| sender.is_ready() && !sender.is_closed());
        if senders.is_empty() {
            unused.remove(authority);
        }
        found
    }

    /// Keeps a connection whose answer was read to its end.
    pub(super) fn put(&self, authority: &str, sender: Sender) {
        if sender.is_closed() {
            return;
        }
        let mut unused = self.unused.lock().unwrap_or_else(PoisonError::into_inner);
        let senders = unused.entry(authority.to_owned()).or_default();
        if senders.len() < self.kept {
            senders.push(sender);
        }
    }
}

/// The addresses of a peer; asking the system for them blocks, so it happens elsewhere.
async fn resolve(authority: &str) -> io::Result<Vec<SocketAddr>> {
    if hosts::is_immediate(authority) {
        return hosts::resolve(authority);
    }
    let authority = authority.to_owned();
    tokio::task::spawn_blocking(move || hosts::resolve(&authority)).await.map_err(io::Error::other)?
}

/// A new connection; its task ends with it.
pub(super) async fn connect(authority: &str, config: &ClientConfig) -> Result<Sender, ClientError> {
    let failed = |source| ClientError::Connect { authority: authority.to_owned(), source };
    let addresses = resolve(authority).await.map_err(failed)?;
    let socket = tokio::time::timeout(config.connect_timeout, TcpStream::connect(&addresses[..]))
        .await
        .unwrap_or_else(|elapsed| Err(elapsed.into()))
        .map_err(failed)?;
    socket.set_nodelay(true).map_err(failed)?;
    match &config.tls {
        None => speak(authority, socket).await,
        Some(tls) => {
            let shaking = tokio::time::timeout(config.connect_timeout, tls.shake_hands(authority, socket));
            let encrypted = shaking.await.unwrap_or_else(|elapsed| Err(elapsed.into())).map_err(failed)?;
            speak(authority, encrypted).await
        }
    }
}

async fn speak(
    authority: &str,
    socket: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
) -> Result<Sender, ClientError> {
    let (sender, connection) = http1::Builder::new()
        .title_case_headers(true)
        .handshake(TokioIo::new(socket))
        .await
        .map_err(|source| ClientError::Broken { authority: authority.to_owned(), source })?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::trace!(%error, "a client's connection broke");
        }
    });
    Ok(sender)
}
