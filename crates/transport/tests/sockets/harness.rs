//! A server with endpoints for tests, and a peer that speaks in raw bytes.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::{Notify, mpsc},
};
use transport::{
    EventStream, Handler, Limits, Message, Outbox, Request, Response, Running, Server, StatusCode, jsonp,
    libprocess::senders::{PATH, Senders},
    refuse,
    stream::{self, Capacity},
};

/// Longer than anything takes here; a test that waits this long hangs.
pub const HANG: Duration = Duration::from_secs(20);

/// Fails the test instead of hanging it.
pub async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(HANG, future).await {
        Ok(value) => value,
        Err(_) => panic!("hung: {what}"),
    }
}

/// Waits until a condition that another task brings about.
pub async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    soon(what, async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}

/// What the endpoints share with the test.
#[derive(Default)]
pub struct World {
    /// Lets `/wait` go on.
    pub gate: Notify,
    /// How many `/wait` are under way.
    pub waiting: AtomicUsize,
    /// The owner's ends of `/events`.
    pub outboxes: Mutex<Vec<Outbox<String>>>,
    /// How many streams are over.
    pub closed: Arc<AtomicUsize>,
    pub messages: Mutex<Option<mpsc::UnboundedSender<Message>>>,
    /// Set if the senders of all messages are asked.
    pub senders: OnceLock<Arc<Senders>>,
}

struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Handler for World {
    async fn handle(&self, request: Request) -> Response {
        match request.path() {
            "/echo" => Response::typed(StatusCode::OK, "application/octet-stream", request.body),
            "/accept" => Response::text(StatusCode::OK, request.header("accept").unwrap_or("none").to_owned()),
            "/big" => Response::json(vec![b'x'; 8 << 20]),
            "/json" => jsonp::json(&request, "{\"a\":1}"),
            "/zip" => Response::json("ab".repeat(request.query().parse().unwrap())),
            "/wait" => {
                self.waiting.fetch_add(1, Ordering::SeqCst);
                let _waiting = Waiting(&self.waiting);
                self.gate.notified().await;
                Response::text(StatusCode::OK, "waited")
            }
            "/events" => {
                let (outbox, events) = self.events(request.query().parse().unwrap_or(16));
                self.outboxes.lock().unwrap().push(outbox);
                Response::events("application/json", events).stream_id("the-stream")
            }
            "/flow" => {
                let (writer, flow) = stream::flow(1);
                tokio::spawn(async move {
                    for _ in 0..100 {
                        if !writer.write(vec![b'f'; 10_000].into()).await {
                            break;
                        }
                    }
                });
                Response::flow("application/octet-stream", flow)
            }
            PATH => self.senders.get().map_or_else(refuse::not_found, |senders| senders.answer(&request)),
            "/redirect" => Response::redirect("10.0.0.1:5050", "/api/v1"),
            _ => refuse::not_found(),
        }
    }

    async fn deliver(&self, message: Message) -> bool {
        let known =
            ["actor", "slave(1)", "master"].contains(&message.to.as_str()) || message.to.starts_with("crammd5-");
        if known && let Some(sender) = self.messages.lock().unwrap().as_ref() {
            let _ = sender.send(message);
        }
        known
    }

    fn needs_sender(&self, _: &Message) -> bool {
        self.senders.get().is_some()
    }
}

impl World {
    fn events(&self, capacity: usize) -> (Outbox<String>, EventStream) {
        let (outbox, events) = stream::outbox(Capacity::events(capacity), String::len, |event: &String, out| {
            out.extend_from_slice(event.as_bytes())
        });
        let closed = self.closed.clone();
        let events = events.on_close(move || {
            closed.fetch_add(1, Ordering::SeqCst);
        });
        (outbox, events)
    }

    pub fn take_outbox(&self) -> Outbox<String> {
        self.outboxes.lock().unwrap().pop().expect("an open stream")
    }

    pub fn closed(&self) -> usize {
        self.closed.load(Ordering::SeqCst)
    }

    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::SeqCst)
    }
}

pub struct Site {
    pub world: Arc<World>,
    pub running: Running,
    pub address: SocketAddr,
}

impl Site {
    pub async fn start() -> Site {
        Site::with(Limits::default()).await
    }

    pub async fn with(limits: Limits) -> Site {
        Site::at("127.0.0.1:0".parse().unwrap(), limits).await
    }

    pub async fn at(address: SocketAddr, limits: Limits) -> Site {
        let server = Server::bind(address, limits).await.unwrap();
        let address = server.local_addr().unwrap();
        let world = Arc::new(World::default());
        Site { running: server.serve(world.clone()), world, address }
    }

    /// One that asks the senders of all messages.
    pub async fn knowing(address: SocketAddr, limits: Limits) -> Site {
        let server = Server::bind(address, limits).await.unwrap();
        let address = server.local_addr().unwrap();
        let senders = Arc::new(Senders::new(address).unwrap());
        let world = World::default();
        world.senders.set(senders.clone()).unwrap();
        let world = Arc::new(world);
        Site { running: server.knowing(senders).serve(world.clone()), world, address }
    }

    pub fn connections(&self) -> usize {
        self.running.counters().connections.load(Ordering::Relaxed)
    }

    pub fn authority(&self) -> String {
        self.address.to_string()
    }

    pub async fn raw(&self) -> Raw {
        Raw { socket: TcpStream::connect(self.address).await.unwrap(), read: Vec::new() }
    }

    /// One request on a connection of its own; the whole answer once the server closes.
    pub async fn ask(&self, request: &str) -> String {
        let mut raw = self.raw().await;
        raw.write(request).await;
        raw.socket.shutdown().await.unwrap();
        raw.rest().await
    }
}

/// A peer that writes what it likes.
pub struct Raw {
    pub socket: TcpStream,
    read: Vec<u8>,
}

impl Raw {
    pub async fn write(&mut self, text: &str) {
        self.socket.write_all(text.as_bytes()).await.unwrap();
    }

    /// Everything up to and with `end`.
    pub async fn read_until(&mut self, end: &str) -> String {
        soon(end, async {
            loop {
                let found = self.read.windows(end.len()).position(|window| window == end.as_bytes());
                if let Some(at) = found {
                    let rest = self.read.split_off(at + end.len());
                    return String::from_utf8(std::mem::replace(&mut self.read, rest)).unwrap();
                }
                let count = self.socket.read_buf(&mut self.read).await.unwrap();
                assert!(count > 0, "the end, after {:?}", String::from_utf8_lossy(&self.read));
            }
        })
        .await
    }

    /// Everything until the server closes; an abort counts as the end.
    pub async fn rest(&mut self) -> String {
        soon("the end of a connection", async {
            while self.socket.read_buf(&mut self.read).await.is_ok_and(|count| count > 0) {}
        })
        .await;
        String::from_utf8_lossy(&std::mem::take(&mut self.read)).into_owned()
    }
}

/// An answer without its Date line.
pub fn undated(answer: &str) -> String {
    let lines: Vec<&str> = answer.split("\r\n").filter(|line| !line.starts_with("Date: ")).collect();
    lines.join("\r\n")
}
