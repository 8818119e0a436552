//! A server whose process has no descriptors left: alone in its process, because the limit is the process's.
#![allow(clippy::unwrap_used)]

use std::{sync::Arc, time::Duration};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use transport::{Handler, Limits, Request, Response, Server};

struct Yes;

impl Handler for Yes {
    async fn handle(&self, _: Request) -> Response {
        Response::json("true")
    }
}

/// Asks on a connection of its own.
async fn ask(address: std::net::SocketAddr) -> Option<String> {
    let mut socket = TcpStream::connect(address).await.ok()?;
    socket.write_all(b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n").await.ok()?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.ok()?;
    Some(answer).filter(|answer| answer.ends_with("true"))
}

#[tokio::test]
async fn a_server_without_descriptors_takes_those_of_idle_connections() {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    let limits = Limits { idle_when_full: Duration::ZERO, ..Limits::default() };
    let server = Server::bind("127.0.0.1:0", limits).await.unwrap();
    let address = server.local_addr().unwrap();
    let running = server.serve(Arc::new(Yes));
    // Both ends of each connection are descriptors of this process; some are left for the next client's end.
    setrlimit(Resource::RLIMIT_NOFILE, 96, hard).unwrap();
    let mut idle = Vec::new();
    while let Ok(Ok(socket)) = tokio::time::timeout(Duration::from_secs(1), TcpStream::connect(address)).await {
        idle.push(socket);
    }
    let accepted = running.counters().accepted.load(std::sync::atomic::Ordering::Relaxed);
    assert!((idle.len() as u64) > accepted, "{} idle, {accepted} accepted: descriptors ran out", idle.len());
    // A client's end goes, and the server takes the other one that it needs from those who say nothing.
    idle.pop();
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while ask(address).await.is_none() {
        assert!(tokio::time::Instant::now() < deadline, "deaf");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).unwrap();
}
