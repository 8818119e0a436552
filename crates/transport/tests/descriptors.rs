//! A server whose process has no descriptors left: alone in its process, because the limit is the process's.
#![allow(clippy::unwrap_used)]

use std::{
    fs::File,
    net::SocketAddr,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

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

/// Asks on a connection of its own; `None` if it finds no descriptor, or if nobody answers in time.
async fn ask(address: SocketAddr) -> Option<String> {
    let answered = async {
        let mut socket = TcpStream::connect(address).await.ok()?;
        socket.write_all(b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n").await.ok()?;
        let mut answer = String::new();
        socket.read_to_string(&mut answer).await.ok()?;
        Some(answer).filter(|answer| answer.ends_with("true"))
    };
    tokio::time::timeout(Duration::from_secs(5), answered).await.ok().flatten()
}

/// Takes every descriptor that this process may still have.
fn take_all_descriptors() -> Vec<File> {
    std::iter::from_fn(|| File::open("/dev/null").ok()).collect()
}

#[tokio::test]
async fn a_server_without_descriptors_takes_those_of_idle_connections() {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    let limits = Limits { idle_when_full: Duration::ZERO, ..Limits::default() };
    let server = Server::bind("127.0.0.1:0", limits).await.unwrap();
    let address = server.local_addr().unwrap();
    let running = server.serve(Arc::new(Yes));
    let mut idle = Vec::new();
    for _ in 0..20 {
        idle.push(TcpStream::connect(address).await.unwrap());
    }
    let deadline = Instant::now() + Duration::from_secs(20);
    while running.counters().connections.load(Ordering::Relaxed) < idle.len() {
        assert!(Instant::now() < deadline, "not all connections are accepted");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }

    // Both ends of each connection are descriptors of this process. One is left: the next client's end.
    setrlimit(Resource::RLIMIT_NOFILE, 96, hard).unwrap();
    let mut taken = take_all_descriptors();
    taken.pop();
    let answer = ask(address).await;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).unwrap();
    assert!(answer.is_some(), "deaf, with {} idle connections", running.counters().connections.load(Ordering::Relaxed));
    assert!(running.counters().cut.load(Ordering::Relaxed) > 0, "it answered, but nothing had to give way");
}
