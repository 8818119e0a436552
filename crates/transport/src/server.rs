//! The HTTP/1.1 server: accepts connections, keeps them within limits, and gives each request to the `Handler`. Nothing
//! here knows an endpoint. One connection's life is in `server/connection.rs`, reading and writing bodies in
//! `server/body.rs`.

mod answers;
mod body;
mod connection;
#[cfg(test)]
mod malformed;

use std::{
    collections::HashMap,
    fs::Permissions,
    future::Future,
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    os::unix::fs::PermissionsExt,
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use stdx::seldom::Seldom;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, ToSocketAddrs, UnixListener, UnixStream},
    sync::watch,
    task::{JoinHandle, JoinSet},
};

use crate::{
    caller::Caller,
    libprocess::{Message, senders::Senders},
    request::Request,
    response::Response,
    web::WebPolicy,
};
use answers::Answers;
use connection::ConnState;

/// What a server serves.
pub trait Handler: Send + Sync + 'static {
    /// Answers a request. The future is dropped when the connection breaks.
    fn handle(&self, request: Request) -> impl Future<Output = Response> + Send;

    /// Takes a libprocess message; false if its actor is not here. Messages of one connection come in order, the next
    /// one after this future is done.
    fn deliver(&self, message: Message) -> impl Future<Output = bool> + Send {
        drop(message);
        std::future::ready(false)
    }

    /// Whether a message has to come from a process that was asked, even if it carries no key: see `Server::knowing`.
    fn needs_sender(&self, message: &Message) -> bool {
        let _ = message;
        false
    }
}

/// What a peer may cost.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Connections at one time; more are closed at once. Shortly before there are so many, those are closed that have
    /// been idle for the longest and for `idle_when_full`.
    pub connections: usize,
    pub idle_when_full: Duration,
    /// Bytes of a request's head.
    pub head: usize,
    /// Bytes of a request's body.
    pub body: usize,
    /// Bytes of all bodies that are being collected or worked on at one time.
    pub bodies: usize,
    /// Bytes of all large answers that are being read at one time.
    pub answers: usize,
    /// From the first byte of a head to its end, and between two pieces of a body. A connection without a request under
    /// way may stay forever.
    pub arrival: Duration,
    /// How long a peer may take none of the bytes that are ready for it.
    pub stall: Duration,
    /// How long a request is worked on after its sender closed its side.
    pub half_closed: Duration,
    /// Drop libprocess messages without a key (see `libprocess::senders`) whose sender claims to be at another machine
    /// than the connection's.
    pub match_peer_address: bool,
    /// Which web pages may call.
    pub web: WebPolicy,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            connections: 16_384,
            idle_when_full: Duration::from_secs(5),
            head: 64 * 1024,
            body: 64 << 20,
            bodies: 512 << 20,
            answers: 512 << 20,
            arrival: Duration::from_secs(60),
            stall: Duration::from_secs(60),
            half_closed: Duration::from_secs(5),
            match_peer_address: true,
            web: WebPolicy::default(),
        }
    }
}

impl Limits {
    /// How often connections are looked at: often enough for the shortest limit.
    fn period(&self) -> Duration {
        let shortest = self.arrival.min(self.stall).min(self.half_closed);
        (shortest / 4).clamp(Duration::from_millis(5), Duration::from_secs(1))
    }

    /// With fewer places left, idle connections make room.
    fn slack(&self) -> usize {
        self.connections / 32
    }
}

/// A bound port, and perhaps a Unix domain socket beside it.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    local: Option<UnixListener>,
    limits: Limits,
    senders: Option<Arc<Senders>>,
}

/// What stands for the address of a peer on the domain socket.
const LOCAL_PEER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

impl Server {
    pub async fn bind(address: impl ToSocketAddrs, limits: Limits) -> io::Result<Server> {
        Ok(Server::from_listener(TcpListener::bind(address).await?, limits))
    }

    /// A server on a socket that is already listening.
    pub fn from_listener(listener: TcpListener, limits: Limits) -> Server {
        Server { listener, local: None, limits, senders: None }
    }

    /// Serves processes of this machine at `path`, too: cheaper for both sides than loopback. Takes the place of a
    /// socket that was left there; whoever reaches the path may connect.
    pub fn also_at(self, path: &Path) -> io::Result<Server> {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let local = UnixListener::bind(path)?;
        std::fs::set_permissions(path, Permissions::from_mode(0o666))?;
        Ok(Server { local: Some(local), ..self })
    }

    /// Drops messages that do not come from the process they name, as far as `senders` finds out.
    pub fn knowing(self, senders: Arc<Senders>) -> Server {
        Server { senders: Some(senders), ..self }
    }

    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Starts to serve, on the current runtime.
    pub fn serve<H: Handler>(self, handler: Arc<H>) -> Running {
        let (stop, stopped) = watch::channel(None);
        let shared = Arc::new(Shared::new(handler, self.limits, self.senders));
        let counters = shared.counters.clone();
        let task = tokio::spawn(accept_loop(self.listener, self.local, shared, stopped));
        Running { stop, task, counters }
    }
}

/// What a server has done so far.
#[derive(Debug, Default)]
pub struct Counters {
    pub connections: AtomicUsize,
    pub accepted: AtomicU64,
    pub turned_away: AtomicU64,
    pub cut: AtomicU64,
    pub requests: AtomicU64,
    pub messages: AtomicU64,
}

/// A server at work. Dropping it stops the server at once.
#[derive(Debug)]
pub struct Running {
    stop: watch::Sender<Option<Duration>>,
    task: JoinHandle<()>,
    counters: Arc<Counters>,
}

impl Running {
    pub fn counters(&self) -> &Arc<Counters> {
        &self.counters
    }

    /// Accepts no more, lets requests under way finish for up to `grace`, then cuts what is left, event streams too.
    pub async fn shutdown(mut self, grace: Duration) {
        let _ = self.stop.send(Some(grace));
        if let Err(error) = (&mut self.task).await
            && error.is_panic()
        {
            tracing::error!("the server's task panicked");
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What all connections of a server share.
struct Shared<H> {
    handler: Arc<H>,
    limits: Limits,
    senders: Option<Arc<Senders>>,
    /// Tells of messages whose sender is elsewhere.
    elsewhere: Seldom,
    counters: Arc<Counters>,
    answers: Arc<Answers>,
    /// Bytes of bodies being collected or worked on.
    collecting: AtomicUsize,
    /// Counts periods, from 1.
    clock: Arc<AtomicU64>,
    connections: Mutex<HashMap<u64, Arc<ConnState>>>,
}

impl<H> Shared<H> {
    fn new(handler: Arc<H>, limits: Limits, senders: Option<Arc<Senders>>) -> Shared<H> {
        Shared {
            handler,
            senders,
            elsewhere: Seldom::new(Duration::from_secs(10)),
            answers: Answers::new(limits.answers),
            limits,
            counters: Arc::default(),
            collecting: AtomicUsize::new(0),
            clock: Arc::new(AtomicU64::new(1)),
            connections: Mutex::default(),
        }
    }

    fn with_connections<R>(&self, f: impl FnOnce(&mut HashMap<u64, Arc<ConnState>>) -> R) -> R {
        f(&mut self.connections.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// One period has passed: cuts the connections that are over a limit of time.
    fn on_period(&self, period: Duration) {
        self.clock.fetch_add(1, Ordering::Relaxed);
        let cut = self.with_connections(|all| all.values().filter(|c| c.cut_if_overdue(&self.limits, period)).count());
        self.counters.cut.fetch_add(cut as u64, Ordering::Relaxed);
    }

    /// Cuts the peers that take nothing of what is ready for them.
    fn cut_stalled(&self) {
        let cut = self.with_connections(|all| all.values().filter(|c| c.is_stalled() && c.cut()).count());
        self.counters.cut.fetch_add(cut as u64, Ordering::Relaxed);
    }

    /// Cuts a part of the connections, those that have been idle for the longest.
    fn cut_idle(&self) {
        let enough = self.limits.idle_when_full.as_nanos() / self.limits.period().as_nanos().max(1);
        let mut idle: Vec<(u64, Arc<ConnState>)> = self.with_connections(|all| {
            let periods = |c: &Arc<ConnState>| c.idle_periods().filter(|periods| u128::from(*periods) >= enough);
            all.values().filter_map(|c| Some((periods(c)?, c.clone()))).collect()
        });
        idle.sort_by_key(|(periods, _)| std::cmp::Reverse(*periods));
        let cut = idle.iter().take(self.limits.slack().max(1)).filter(|(_, c)| c.cut()).count();
        self.counters.cut.fetch_add(cut as u64, Ordering::Relaxed);
    }
}

async fn accept_loop<H: Handler>(
    listener: TcpListener,
    local: Option<UnixListener>,
    shared: Arc<Shared<H>>,
    mut stopped: watch::Receiver<Option<Duration>>,
) {
    let period = shared.limits.period();
    let mut ticks = tokio::time::interval(period);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut tasks = JoinSet::new();
    let mut next_id = 0u64;
    // After an error nothing is accepted for a moment.
    let mut resting: Option<Instant> = None;
    let grace = loop {
        tokio::select! {
            _ = stopped.changed() => break stopped.borrow().unwrap_or_default(),
            _ = ticks.tick() => shared.on_period(period),
            Some(ended) = tasks.join_next() => report(ended),
            () = rest(resting), if resting.is_some() => resting = None,
            accepted = listener.accept(), if resting.is_none() => match accepted {
                Ok((socket, peer)) => {
                    next_id += 1;
                    if let Err(error) = socket.set_nodelay(true) {
                        tracing::debug!(%error, "cannot set TCP_NODELAY");
                    }
                    let local = socket.local_addr().ok();
                    admit(&shared, &mut tasks, next_id, socket, Caller::over_tcp(peer, local));
                }
                Err(error) => resting = on_refused(&shared, &error),
            },
            accepted = accept_local(local.as_ref()), if resting.is_none() => match accepted {
                Ok(socket) => {
                    next_id += 1;
                    let caller = Caller::over_unix(&socket, LOCAL_PEER);
                    admit(&shared, &mut tasks, next_id, socket, caller);
                }
                Err(error) => resting = on_refused(&shared, &error),
            },
        }
    };
    drop((listener, local));
    shared.with_connections(|all| all.values().for_each(|connection| connection.drain()));
    let drained = async {
        while let Some(ended) = tasks.join_next().await {
            report(ended);
        }
    };
    if tokio::time::timeout(grace, drained).await.is_err() {
        tasks.shutdown().await;
    }
}

/// Never without a domain socket.
async fn accept_local(local: Option<&UnixListener>) -> io::Result<UnixStream> {
    match local {
        Some(local) => local.accept().await.map(|(socket, _)| socket),
        None => std::future::pending().await,
    }
}

/// Until when to accept nothing. A peer that left is its own affair; anything else, most likely, is a want of
/// descriptors: idle connections give theirs back.
fn on_refused<H>(shared: &Shared<H>, error: &io::Error) -> Option<Instant> {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted, TimedOut};
    static TOLD: Seldom = Seldom::new(Duration::from_secs(10));
    if matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted | TimedOut) {
        return None;
    }
    if let Some(others) = TOLD.due() {
        tracing::warn!(%error, others, "cannot accept connections");
    }
    shared.cut_idle();
    Some(Instant::now() + Duration::from_millis(50))
}

async fn rest(until: Option<Instant>) {
    if let Some(until) = until {
        tokio::time::sleep_until(until.into()).await;
    }
}

fn report(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!("a connection's task panicked");
    }
}

fn admit<H: Handler, S: AsyncRead + AsyncWrite + Send + Unpin + 'static>(
    shared: &Arc<Shared<H>>,
    tasks: &mut JoinSet<()>,
    id: u64,
    socket: S,
    caller: Caller,
) {
    let counters = &shared.counters;
    counters.accepted.fetch_add(1, Ordering::Relaxed);
    let open = counters.connections.load(Ordering::Relaxed);
    if open + shared.limits.slack() >= shared.limits.connections {
        shared.cut_idle();
    }
    if open >= shared.limits.connections {
        static TOLD: Seldom = Seldom::new(Duration::from_secs(10));
        counters.turned_away.fetch_add(1, Ordering::Relaxed);
        if let Some(others) = TOLD.due() {
            tracing::warn!(peer = %caller.remote, open, others, "turning connections away: there are too many");
        }
        return;
    }
    tasks.spawn(connection::serve(shared.clone(), id, socket, caller));
}
