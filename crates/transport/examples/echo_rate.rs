//! How much the server and a node can do on this machine, in one process: requests per second of pipelining clients
//! against an echo handler, and libprocess messages per second from one node to one server.
//!
//! `cargo run --release -p transport --example echo_rate [SECONDS]` prints `name value unit` lines.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use transport::{Handler, Limits, Message, Node, Request, Response, Server, libprocess::NodeConfig};

const CLIENTS: usize = 8;
const DEPTH: usize = 32;

#[derive(Default)]
struct Echo {
    messages: AtomicU64,
}

impl Handler for Echo {
    async fn handle(&self, request: Request) -> Response {
        Response::json(request.body)
    }

    async fn deliver(&self, _: Message) -> bool {
        self.messages.fetch_add(1, Ordering::Relaxed);
        true
    }
}

#[tokio::main(worker_threads = 2)]
async fn main() -> std::io::Result<()> {
    let seconds = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(3.0);
    let span = Duration::from_secs_f64(seconds);
    let server = Server::bind("127.0.0.1:0", Limits::default()).await?;
    let address = server.local_addr()?;
    let echo = Arc::new(Echo::default());
    let running = server.serve(echo.clone());

    for (name, depth) in [("transport.echo_pipelined_per_s", DEPTH), ("transport.echo_per_s", 1)] {
        let start = Instant::now();
        let clients: Vec<_> = (0..CLIENTS).map(|_| tokio::spawn(client(address, depth, start + span))).collect();
        let mut answered = 0;
        for client in clients {
            answered += client.await.map_err(std::io::Error::other)??;
        }
        println!("{name} {:.0} 1/s", answered as f64 / start.elapsed().as_secs_f64());
    }

    let (node, _exits) = Node::new(NodeConfig::new(address));
    let to = node.upid("actor");
    let (start, mut sent) = (Instant::now(), 0u64);
    while start.elapsed() < span {
        for _ in 0..100 {
            node.send("actor", &to, "mesos.internal.StatusUpdateMessage", &[7; 300]);
        }
        sent += 100;
        while echo.messages.load(Ordering::Relaxed) + 2000 < sent {
            tokio::task::yield_now().await;
        }
    }
    while echo.messages.load(Ordering::Relaxed) < sent {
        tokio::task::yield_now().await;
    }
    println!("transport.messages_per_s {:.0} 1/s", sent as f64 / start.elapsed().as_secs_f64());
    running.shutdown(Duration::from_secs(1)).await;
    Ok(())
}

/// Keeps `depth` requests under way until `end`; says how many were answered.
async fn client(address: SocketAddr, depth: usize, end: Instant) -> std::io::Result<u64> {
    let request = b"POST /api/v1/scheduler HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
                    Content-Length: 20\r\n\r\n{\"type\":\"SUBSCRIBE\"}";
    let mut socket = TcpStream::connect(address).await?;
    socket.set_nodelay(true)?;
    let batch = request.repeat(depth);
    let mut answers = vec![0; 64 * 1024];
    let (mut answered, mut length) = (0, 0);
    while Instant::now() < end {
        socket.write_all(&batch).await?;
        if length == 0 {
            // All answers are as long as the first.
            let count = socket.read(&mut answers).await?;
            let text = String::from_utf8_lossy(&answers[..count]).into_owned();
            length = text[1..].find("HTTP/1.1").map_or(count, |at| at + 1);
            let mut rest = length * depth - count;
            while rest > 0 {
                rest -= socket.read(&mut answers).await?;
            }
        } else {
            let mut rest = length * depth;
            while rest > 0 {
                let room = rest.min(answers.len());
                rest -= socket.read(&mut answers[..room]).await?;
            }
        }
        answered += depth as u64;
    }
    Ok(answered)
}
