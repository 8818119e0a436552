//! Connections that are open and unused, per server.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

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

/// A new connection; its task ends with it.
pub(super) async fn connect(authority: &str, config: &ClientConfig) -> Result<Sender, ClientError> {
    let failed = |source| ClientError::Connect { authority: authority.to_owned(), source };
    let socket = tokio::time::timeout(config.connect_timeout, TcpStream::connect(authority))
        .await
        .unwrap_or_else(|elapsed| Err(elapsed.into()))
        .map_err(failed)?;
    socket.set_nodelay(true).map_err(failed)?;
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
