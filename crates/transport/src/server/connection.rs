//! One connection: where it stands, the socket that keeps track of it, and the way of a request through it.

use std::{
    convert::Infallible,
    future::poll_fn,
    io,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker, ready},
    time::{Duration, Instant},
};

use bytes::Bytes;
use hyper::{
    Method, StatusCode, body::Body as _, body::Incoming, header::HeaderValue, server::conn::http1, service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::Notify,
    time::Sleep,
};

use super::{
    Handler, Limits, Shared,
    body::{self, CollectError, OutBody},
};
use crate::{
    caller::Caller,
    gzip,
    libprocess::{inbound, reach},
    negotiate, refuse,
    request::Request,
    response::{Body, Response},
    web,
};

/// Nothing under way.
const IDLE: u8 = 0;
/// Some of a head has come.
const HEAD: u8 = 1;
/// The head is complete, the body is coming.
const BODY: u8 = 2;
/// The handler is at work.
const HANDLING: u8 = 3;
/// A long answer is going out.
const STREAMING: u8 = 4;
/// The answer is complete, some of it may not be written yet.
const ANSWERED: u8 = 5;

/// Where a connection stands, as its own task notes it and the server's task reads it. Moments are periods of the
/// server's clock.
pub(super) struct ConnState {
    made: Instant,
    clock: Arc<AtomicU64>,
    phase: AtomicU8,
    phase_since: AtomicU64,
    /// When a write first found no room; 0 if the last one found some.
    stalled_since: AtomicU64,
    /// When the peer closed its side while a request was under way; 0 if it did not.
    closed_since: AtomicU64,
    /// Wakes the connection's task to see that end, once the request is answered.
    end_waker: Mutex<Option<Waker>>,
    /// Bytes beyond the request under way have come.
    more: AtomicBool,
    /// Flushes wait for the end of the task's turn, so that answers to pipelined requests leave together.
    defers_flush: AtomicBool,
    /// A flush was put off.
    owes_flush: AtomicBool,
    /// The peer sends libprocess messages and reads no answers: they may leave together, a little later.
    is_link: AtomicBool,
    draining: AtomicBool,
    overdue: AtomicBool,
    wake: Arc<Notify>,
}

impl ConnState {
    fn new(clock: Arc<AtomicU64>) -> ConnState {
        ConnState {
            made: Instant::now(),
            phase_since: AtomicU64::new(clock.load(Ordering::Relaxed)),
            clock,
            phase: AtomicU8::new(IDLE),
            stalled_since: AtomicU64::new(0),
            closed_since: AtomicU64::new(0),
            end_waker: Mutex::new(None),
            more: AtomicBool::new(false),
            defers_flush: AtomicBool::new(false),
            owes_flush: AtomicBool::new(false),
            is_link: AtomicBool::new(false),
            draining: AtomicBool::new(false),
            overdue: AtomicBool::new(false),
            wake: Arc::new(Notify::new()),
        }
    }

    fn now(&self) -> u64 {
        self.clock.load(Ordering::Relaxed)
    }

    fn enter(&self, phase: u8) {
        self.phase_since.store(self.now(), Ordering::Relaxed);
        self.phase.store(phase, Ordering::Relaxed);
    }

    fn on_bytes(&self) {
        match self.phase.load(Ordering::Relaxed) {
            IDLE => self.enter(HEAD),
            BODY => self.phase_since.store(self.now(), Ordering::Relaxed),
            HANDLING | ANSWERED => self.more.store(true, Ordering::Relaxed),
            _ => {}
        }
    }

    fn on_head(&self, has_body: bool) {
        self.more.store(false, Ordering::Relaxed);
        self.enter(if has_body { BODY } else { HANDLING });
    }

    pub(super) fn on_stream(&self) {
        self.enter(STREAMING);
    }

    pub(super) fn on_answered(&self) {
        self.enter(ANSWERED);
    }

    /// All that was answered is written.
    fn on_flushed(&self) {
        if self.phase.load(Ordering::Relaxed) != ANSWERED {
            return;
        }
        self.enter(if self.more.load(Ordering::Relaxed) { HEAD } else { IDLE });
        if self.closed_since.load(Ordering::Relaxed) != 0
            && let Some(waker) = self.end_waker.lock().unwrap_or_else(PoisonError::into_inner).take()
        {
            waker.wake();
        }
    }

    /// Whether the end of the peer's bytes is kept from hyper for now, so that a request under way is still answered.
    fn hides_end(&self, cx: &Context<'_>) -> bool {
        let hides = matches!(self.phase.load(Ordering::Relaxed), BODY | HANDLING | ANSWERED);
        if hides {
            if self.closed_since.load(Ordering::Relaxed) == 0 {
                self.closed_since.store(self.now(), Ordering::Relaxed);
            }
            *self.end_waker.lock().unwrap_or_else(PoisonError::into_inner) = Some(cx.waker().clone());
        }
        hides
    }

    fn on_write(&self, has_room: bool) {
        if has_room {
            if self.stalled_since.load(Ordering::Relaxed) != 0 {
                self.stalled_since.store(0, Ordering::Relaxed);
            }
        } else if self.stalled_since.load(Ordering::Relaxed) == 0 {
            self.stalled_since.store(self.now(), Ordering::Relaxed);
        }
    }

    /// Cuts the connection if it is over a limit of time; says whether.
    pub(super) fn cut_if_overdue(&self, limits: &Limits, period: Duration) -> bool {
        let now = self.now();
        let over = |since: u64, limit: Duration| {
            since != 0 && u128::from(now.saturating_sub(since)) * period.as_nanos() > limit.as_nanos()
        };
        let phase = self.phase.load(Ordering::Relaxed);
        let late = matches!(phase, HEAD | BODY) && over(self.phase_since.load(Ordering::Relaxed), limits.arrival);
        let stalled = over(self.stalled_since.load(Ordering::Relaxed), limits.stall);
        let left =
            matches!(phase, BODY | HANDLING) && over(self.closed_since.load(Ordering::Relaxed), limits.half_closed);
        (late || stalled || left) && self.cut()
    }

    /// For how many periods nothing was under way; `None` if something is, or if it is a link, which says little and is
    /// needed.
    pub(super) fn idle_periods(&self) -> Option<u64> {
        let idle = self.phase.load(Ordering::Relaxed) == IDLE && !self.is_link.load(Ordering::Relaxed);
        idle.then(|| self.now().saturating_sub(self.phase_since.load(Ordering::Relaxed)))
    }

    /// Whether the peer takes nothing of what is ready for it.
    pub(super) fn is_stalled(&self) -> bool {
        let since = self.stalled_since.load(Ordering::Relaxed);
        since != 0 && since < self.now()
    }

    /// Ends the connection whatever is under way; false if it is ending already.
    pub(super) fn cut(&self) -> bool {
        let first = !self.overdue.swap(true, Ordering::Relaxed);
        if first {
            self.wake.notify_one();
        }
        first
    }

    /// Lets the request under way finish and then closes.
    pub(super) fn drain(&self) {
        self.draining.store(true, Ordering::Release);
        self.wake.notify_one();
    }

    /// Notifying it cuts the connection.
    pub(super) fn cut_handle(&self) -> Arc<Notify> {
        self.wake.clone()
    }
}

/// Serves a connection to its end.
pub(super) async fn serve<H, S>(shared: Arc<Shared<H>>, id: u64, socket: S, caller: Caller)
where
    H: Handler,
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let state = Arc::new(ConnState::new(shared.clock.clone()));
    let (peer, caller) = (caller.remote, Arc::new(caller));
    let _listed = Listed::new(&shared, id, &state);
    let service = {
        let (shared, state) = (shared.clone(), state.clone());
        service_fn(move |request: hyper::Request<Incoming>| {
            state.on_head(!request.body().is_end_stream());
            let (shared, state, caller) = (shared.clone(), state.clone(), caller.clone());
            async move {
                let response = answer(&shared, &state, caller, request).await;
                Ok::<_, Infallible>(render(&shared, response, &state))
            }
        })
    };
    let tracked = TokioIo::new(Tracked { socket, state: state.clone(), out: Vec::new() });
    let mut connection = std::pin::pin!(
        http1::Builder::new()
            .title_case_headers(true)
            .header_read_timeout(None)
            .max_header_size(shared.limits.head)
            .max_buf_size(shared.limits.head.max(64 * 1024))
            .serve_connection(tracked, service)
    );
    let mut draining = false;
    let mut patience = None;
    loop {
        tokio::select! {
            biased;
            result = poll_fn(|cx| poll_turn(&state, connection.as_mut(), &mut patience, cx)) => {
                if let Err(error) = result {
                    tracing::debug!(%peer, %error, "a connection broke");
                }
                return;
            }
            () = state.wake.notified() => {
                if draining || !state.draining.load(Ordering::Acquire) {
                    tracing::debug!(%peer, "a connection is cut");
                    return;
                }
                draining = true;
                connection.as_mut().graceful_shutdown();
            }
        }
    }
}

/// One turn of a connection: everything that can be done now, and then one flush. On a link the flush waits for the
/// answers to more messages, until `patience` ends.
fn poll_turn<C: Future>(
    state: &ConnState,
    mut connection: Pin<&mut C>,
    patience: &mut Option<Pin<Box<Sleep>>>,
    cx: &mut Context<'_>,
) -> Poll<C::Output> {
    state.defers_flush.store(true, Ordering::Relaxed);
    let turn = connection.as_mut().poll(cx);
    state.defers_flush.store(false, Ordering::Relaxed);
    if turn.is_ready() || !state.owes_flush.load(Ordering::Relaxed) {
        return turn;
    }
    if state.is_link.load(Ordering::Relaxed) && state.closed_since.load(Ordering::Relaxed) == 0 {
        let end = patience.get_or_insert_with(|| Box::pin(tokio::time::sleep(LINK_PATIENCE)));
        ready!(end.as_mut().poll(cx));
        *patience = None;
    }
    state.owes_flush.store(false, Ordering::Relaxed);
    // hyper flushes whenever it is polled.
    connection.poll(cx)
}

/// A connection's entry in the server's list, for as long as its task lives.
struct Listed<'a, H> {
    shared: &'a Shared<H>,
    id: u64,
}

impl<'a, H> Listed<'a, H> {
    fn new(shared: &'a Shared<H>, id: u64, state: &Arc<ConnState>) -> Listed<'a, H> {
        shared.counters.connections.fetch_add(1, Ordering::Relaxed);
        shared.with_connections(|all| all.insert(id, state.clone()));
        Listed { shared, id }
    }
}

impl<H> Drop for Listed<'_, H> {
    fn drop(&mut self) {
        self.shared.with_connections(|all| all.remove(&self.id));
        self.shared.counters.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn answer<H: Handler>(
    shared: &Shared<H>,
    state: &ConnState,
    caller: Arc<Caller>,
    request: hyper::Request<Incoming>,
) -> Response {
    let (head, incoming) = request.into_parts();
    let limits = &shared.limits;
    // No browser reaches the domain socket.
    if caller.process.is_none()
        && let Err(refusal) = limits.web.check(&head.method, &head.uri, &head.headers)
    {
        return refusal;
    }
    let (body, _share) = match body::collect(incoming, limits.body, limits.bodies, &shared.collecting).await {
        Ok(body) => body,
        Err(CollectError::TooLarge) => return refuse::too_large(limits.body),
        Err(CollectError::Busy) => return refuse::unavailable("Too many large requests at once"),
        Err(CollectError::Broken) => return refuse::bad_request("The body is malformed"),
    };
    state.on_head(false);
    if head.method == Method::POST && inbound::is_message(&head.headers) {
        shared.counters.messages.fetch_add(1, Ordering::Relaxed);
        if inbound::is_from_libprocess(&head.headers) {
            state.is_link.store(true, Ordering::Relaxed);
        }
        return deliver(shared, state.made, caller, &head, body).await;
    }
    state.is_link.store(false, Ordering::Relaxed);
    shared.counters.requests.fetch_add(1, Ordering::Relaxed);
    if !head.uri.path().starts_with('/') {
        return refuse::bad_request("Request URL path must start with '/'");
    }
    let gzip = negotiate::accepts_gzip(&head.headers);
    let keeps_script = limits.web.keeps_script(&head.uri);
    let peer = caller.remote;
    let request = Request { method: head.method, uri: head.uri, headers: head.headers, body, peer, caller };
    let mut response = shared.handler.handle(request).await;
    if keeps_script {
        response.headers.insert(web::RESOURCE_POLICY, HeaderValue::from_static("same-origin"));
    }
    if gzip { gzip::compress(response).await } else { response }
}

/// A message is answered at once; what comes of it travels as a message of its own.
async fn deliver<H: Handler>(
    shared: &Shared<H>,
    connected: Instant,
    caller: Arc<Caller>,
    head: &hyper::http::request::Parts,
    body: Bytes,
) -> Response {
    let peer = caller.remote;
    let Some(message) = inbound::parse(head.uri.path(), &head.headers, body, connected, caller) else {
        tracing::debug!(%peer, path = head.uri.path(), "dropped a message from nobody");
        return Response::accepted();
    };
    // Who gives a key is asked; who gives none has to be where it says.
    let matches = shared.limits.match_peer_address && (shared.senders.is_none() || message.key.is_none());
    if let Some(why) = reach::why_not(&message, matches) {
        if let Some(others) = shared.elsewhere.due() {
            tracing::error!(from = %message.from, message.name, others, "dropped a message: {why}");
        }
        return Response::accepted();
    }
    if let Some(senders) = &shared.senders
        && !senders.vouch_for(&message, shared.handler.needs_sender(&message)).await
    {
        return Response::accepted();
    }
    if shared.handler.deliver(message).await { Response::accepted() } else { refuse::not_found() }
}

fn render<H>(shared: &Shared<H>, mut response: Response, state: &Arc<ConnState>) -> hyper::Response<OutBody> {
    state.on_answered();
    if let Body::Full(bytes) = &mut response.body {
        match shared.answers.hold(std::mem::take(bytes)) {
            Some(held) => *bytes = held,
            None => {
                shared.cut_stalled();
                response = refuse::unavailable("Too many large answers wait to be read; try again");
            }
        }
    }
    let mut out = hyper::Response::new(OutBody::new(response.body, state));
    *out.status_mut() = if response.status.is_informational() { StatusCode::OK } else { response.status };
    *out.headers_mut() = response.headers;
    out.headers_mut().insert(web::CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    out
}

/// A socket that notes what passes through it, and gathers small writes.
struct Tracked<S> {
    socket: S,
    state: Arc<ConnState>,
    /// Taken from hyper, not yet written.
    out: Vec<u8>,
}

/// How long answers to messages may wait for company.
const LINK_PATIENCE: Duration = Duration::from_millis(20);
/// As much is gathered.
const GATHER: usize = 16 * 1024;
/// A buffer that grew beyond this is not kept while nothing is written.
const KEEP: usize = 4 * 1024;

impl<S: AsyncRead + Unpin> AsyncRead for Tracked<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.socket).poll_read(cx, buffer))?;
        if buffer.filled().len() > before {
            self.state.on_bytes();
        } else if buffer.remaining() > 0 && self.state.hides_end(cx) {
            // The end is told when the request is answered, or the server's task cuts the connection.
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> Tracked<S> {
    /// Writes all that was gathered.
    fn poll_out(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut written = 0;
        let result = loop {
            let Some(rest) = self.out.get(written..).filter(|rest| !rest.is_empty()) else { break Poll::Ready(Ok(())) };
            match Pin::new(&mut self.socket).poll_write(cx, rest) {
                Poll::Ready(Ok(0)) => break Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(count)) => written += count,
                Poll::Ready(Err(error)) => break Poll::Ready(Err(error)),
                Poll::Pending => break Poll::Pending,
            }
        };
        self.out.drain(..written);
        if self.out.is_empty() && self.out.capacity() > KEEP {
            self.out = Vec::new();
        }
        self.state.on_write(result.is_ready());
        result
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Tracked<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.out.len() + bytes.len() <= GATHER {
            self.out.extend_from_slice(bytes);
            return Poll::Ready(Ok(bytes.len()));
        }
        ready!(self.poll_out(cx))?;
        let result = Pin::new(&mut self.socket).poll_write(cx, bytes);
        self.state.on_write(result.is_ready());
        result
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let total: usize = slices.iter().map(|slice| slice.len()).sum();
        if self.out.len() + total <= GATHER {
            slices.iter().for_each(|slice| self.out.extend_from_slice(slice));
            return Poll::Ready(Ok(total));
        }
        ready!(self.poll_out(cx))?;
        let result = Pin::new(&mut self.socket).poll_write_vectored(cx, slices);
        self.state.on_write(result.is_ready());
        result
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.out.is_empty() && self.state.defers_flush.load(Ordering::Relaxed) {
            self.state.owes_flush.store(true, Ordering::Relaxed);
            return Poll::Ready(Ok(()));
        }
        ready!(self.poll_out(cx))?;
        ready!(Pin::new(&mut self.socket).poll_flush(cx))?;
        self.state.on_flushed();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_out(cx))?;
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}
