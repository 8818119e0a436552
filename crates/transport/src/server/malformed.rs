//! Broken requests by the hundred thousand: whatever comes, a connection answers or ends, nothing panics, and nothing
//! stays behind.

use std::{
    future::Future,
    io,
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll},
    time::Duration,
};

use stdx::Rng;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{Handler, Limits, Shared, connection};
use crate::{
    auth::{Anonymous, Authenticator, basic},
    caller::Caller,
    jsonp,
    libprocess::Message,
    negotiate, refuse,
    request::Request,
    response::{Body, Response},
    route::Table,
    stream,
};

const INPUTS: usize = 200_000;

const SEEDS: &[&str] = &[
    "GET /state?jsonp=cb&x=%20+%zz HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: gzip;q=0.5, *\r\n\r\n",
    "POST /api/v1/scheduler HTTP/1.1\r\nHost: \r\nContent-Type: application/json\r\nAccept: application/json;q=0\r\n\
     Accept: application/x-protobuf, */*\r\nContent-Length: 20\r\n\r\n{\"type\":\"SUBSCRIBE\"}",
    "POST /master/api/v1/scheduler/x/y HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Type: application/x-protobuf\
     \r\n\r\n5\r\nabcde\r\na;x=y\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n",
    "POST /slave(1)/mesos.internal.RunTaskMessage HTTP/1.1\r\nUser-Agent: libprocess/master@127.0.0.1:5050\r\n\
     Libprocess-From: master@127.0.0.1:5050\r\nConnection: Keep-Alive\r\nHost: \r\nTransfer-Encoding: chunked\r\n\r\n\
     a\r\n0123456789\r\n0\r\n\r\n",
    "POST /slave%281%29/x HTTP/1.1\r\nLibprocess-From: m@[::1]:5050\r\n\r\n",
    "POST /teardown HTTP/1.1\r\nAuthorization: Basic YWxpY2U6c2VjcmV0\r\nContent-Length: 15\r\n\r\nframeworkId=a+b",
    "GET /events HTTP/1.1\r\nConnection: close\r\nExpect: 100-continue\r\n\r\n",
    "GET /big HTTP/1.1\r\nAccept-Encoding: gzip\r\nMesos-Stream-Id: 36380497-c53f-4b74-86cb-5c8ae110b62b\r\n\r\n",
    "OPTIONS * HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    "CONNECT 127.0.0.1:80 HTTP/1.1\r\n\r\n",
    "GET http://localhost:99/version?a;b=c#d HTTP/1.1\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n",
];

const TOKENS: &[&str] = &[
    "\r\n",
    "\n",
    "\r\n\r\n",
    " ",
    "\t",
    ":",
    "%",
    "%00",
    "/",
    "//",
    "?",
    "&",
    "=",
    ";",
    ",",
    "\0",
    "\u{ff}",
    "0\r\n\r\n",
    "ffffffffffffffff\r\n",
    "-1",
    "99999999999999999999",
    "Content-Length: 5\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Host: a\r\n",
    "Host: 127.0.0.1:1\r\n",
    "Origin: http://a\r\n",
    "Referer: x\r\n",
    "Sec-Fetch-Site: same-site\r\n",
    "HTTP/1.1",
    "HTTP/9.9",
    "POST ",
    "libprocess/",
    "Libprocess-From: \r\n",
    "@",
    "Expect: 100-continue\r\n",
];

/// Reads everything a peer can put into a request.
struct Inquisitive(Table<u8>);

impl Handler for Inquisitive {
    async fn handle(&self, request: Request) -> Response {
        let _ = negotiate::content_type(&request.headers);
        let _ = negotiate::accept(&request.headers);
        let _ = basic::parse(&request.headers);
        let _ = Anonymous.authenticate("realm", &request.headers);
        let _ = request.form_value("frameworkId");
        let _ = request.query_pairs().count();
        let _ = request.header(negotiate::STREAM_ID).map(str::len);
        match self.0.find(request.path()).map(|found| (*found.endpoint, found.rest.len())) {
            Some((1, _)) => jsonp::json(&request, request.body.clone()),
            Some((2, _)) => {
                let (outbox, events) =
                    stream::outbox(stream::Capacity::events(4), |_| 1, |event: &u8, out| out.push(*event));
                let _ = outbox.send(b'e');
                Response { body: Body::Events(events), ..Response::ok() }
            }
            Some((3, _)) => Response::json(vec![b'x'; 20_000]),
            _ => refuse::not_found(),
        }
    }

    async fn deliver(&self, message: Message) -> bool {
        message.to == "slave(1)"
    }
}

/// A peer that has written everything it will, reads everything, and gives its bytes in pieces.
struct Canned {
    input: Vec<u8>,
    at: usize,
    piece: usize,
}

impl AsyncRead for Canned {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let end = self.input.len().min(self.at + self.piece.min(buffer.remaining()));
        buffer.put_slice(&self.input[self.at..end]);
        self.at = end;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Canned {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

fn pick<'a, T: ?Sized>(rng: &mut Rng, from: &[&'a T]) -> &'a T {
    from[rng.below(from.len() as u64) as usize]
}

/// One to three seeds after each other, damaged in a few places.
fn mutant(rng: &mut Rng) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..=rng.below(3) {
        bytes.extend_from_slice(pick(rng, SEEDS).as_bytes());
    }
    for _ in 0..=rng.below(5) {
        let at = rng.below(bytes.len() as u64 + 1) as usize;
        let end = (at + rng.below(24) as usize).min(bytes.len());
        match rng.below(6) {
            0 => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << rng.below(8)),
            1 => drop(bytes.drain(at..end)),
            2 => drop(bytes.splice(at..at, pick(rng, TOKENS).bytes())),
            3 => bytes.truncate(at.max(1)),
            4 => {
                let copy = bytes[at..end].to_vec();
                drop(bytes.splice(at..at, copy));
            }
            _ => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte = rng.below(256) as u8),
        }
    }
    bytes
}

#[test]
fn malformed_requests_leave_nothing_behind() {
    let limits = Limits { body: 4096, bodies: 8192, head: 4096, ..Limits::default() };
    let period = limits.period();
    let table = Table::new("master").at("state", 1).at("api/v1/scheduler", 1).at("events", 2).at("big", 3).index(1);
    let shared = Arc::new(Shared::new(Arc::new(Inquisitive(table)), limits, None));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let _inside = runtime.enter();
    let mut rng = Rng::new(0x6d65_7365);
    let mut cx = Context::from_waker(std::task::Waker::noop());
    let mut cut = 0;
    for id in 0..INPUTS as u64 {
        let input = mutant(&mut rng);
        let piece = if rng.below(2) == 0 { usize::MAX / 2 } else { 1 + rng.below(40) as usize };
        let socket = Canned { input: input.clone(), at: 0, piece };
        let mut serving = Box::pin(connection::serve(shared.clone(), id, socket, Caller::default()));
        let ends = (0..100).any(|turn| {
            if turn > 60 {
                // What waits for more than will come is cut when its time is over.
                cut += usize::from(turn == 61);
                (0..5).for_each(|_| shared.on_period(period));
            }
            serving.as_mut().poll(&mut cx).is_ready()
        });
        assert!(ends, "never ends: {:?}", String::from_utf8_lossy(&input));
        drop(serving);
    }
    let counters = &shared.counters;
    assert_eq!(counters.connections.load(Ordering::Relaxed), 0);
    assert_eq!(shared.collecting.load(Ordering::Relaxed), 0);
    assert!(shared.with_connections(|all| all.is_empty()));
    // The damage is small enough that much still gets through, and great enough that much does not.
    let (requests, messages) = (counters.requests.load(Ordering::Relaxed), counters.messages.load(Ordering::Relaxed));
    assert!(requests > 50_000 && messages > 5_000, "{requests} requests, {messages} messages, {cut} cut");
    assert!(period > Duration::ZERO);
}
