//! Bodies: collecting a request's within the limits, and giving an answer's to hyper frame by frame.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};

use super::connection::ConnState;
use crate::{
    response::Body,
    stream::{EventStream, Flow},
};

/// Why a body was not collected.
pub(super) enum CollectError {
    TooLarge,
    /// All bodies together are over their limit.
    Busy,
    Broken,
}

/// Reads a body to its end.
///
/// The share of the budget that comes with it is to be held for as long as the body is.
pub(super) async fn collect(
    mut incoming: Incoming,
    limit: usize,
    budget: usize,
    collecting: &AtomicUsize,
) -> Result<(Bytes, Share<'_>), CollectError> {
    let mut share = Share { collecting, bytes: 0 };
    if incoming.is_end_stream() {
        return Ok((Bytes::new(), share));
    }
    if incoming.size_hint().lower() > limit as u64 {
        return Err(CollectError::TooLarge);
    }
    let mut first = Bytes::new();
    let mut whole = BytesMut::new();
    while let Some(frame) = incoming.frame().await {
        let Ok(data) = frame.map_err(|_| CollectError::Broken)?.into_data() else { continue };
        let so_far = first.len() + whole.len();
        if data.len() > limit.saturating_sub(so_far) {
            return Err(CollectError::TooLarge);
        }
        if so_far == 0 {
            first = data;
            continue;
        }
        if share.grow(first.len() + data.len()) > budget {
            return Err(CollectError::Busy);
        }
        if !first.is_empty() {
            // The announced length is within the limit, but nothing proves that it comes: room grows with the data.
            whole.reserve((incoming.size_hint().lower() as usize).min(1 << 20) + first.len() + data.len());
            whole.extend_from_slice(&std::mem::take(&mut first));
        }
        whole.extend_from_slice(&data);
    }
    Ok((if whole.is_empty() { first } else { whole.freeze() }, share))
}

/// One body's part of the bytes of all bodies.
pub(super) struct Share<'a> {
    collecting: &'a AtomicUsize,
    bytes: usize,
}

impl Share<'_> {
    fn grow(&mut self, by: usize) -> usize {
        self.bytes += by;
        self.collecting.fetch_add(by, Ordering::Relaxed) + by
    }
}

impl Drop for Share<'_> {
    fn drop(&mut self) {
        self.collecting.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// An answer's body as hyper takes it.
pub(super) enum OutBody {
    Full(Option<Bytes>),
    Events { stream: EventStream, _held: Streaming },
    Flow { flow: Flow, _held: Streaming },
}

impl OutBody {
    pub(super) fn new(body: Body, connection: &Arc<ConnState>) -> OutBody {
        match body {
            Body::Full(bytes) => OutBody::Full(Some(bytes).filter(|bytes| !bytes.is_empty())),
            Body::Events(stream) => {
                stream.attach(connection.cut_handle());
                OutBody::Events { stream, _held: Streaming::start(connection) }
            }
            Body::Flow(flow) => OutBody::Flow { flow, _held: Streaming::start(connection) },
        }
    }
}

/// Marks its connection as carrying a long answer, for as long as it lives.
pub(super) struct Streaming(Arc<ConnState>);

impl Streaming {
    fn start(connection: &Arc<ConnState>) -> Streaming {
        connection.on_stream();
        Streaming(connection.clone())
    }
}

impl Drop for Streaming {
    fn drop(&mut self) {
        self.0.on_answered();
    }
}

impl HttpBody for OutBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match self.get_mut() {
            OutBody::Full(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            OutBody::Events { stream, .. } => stream.poll_record(cx).map(|record| record.map(|r| r.map(Frame::data))),
            OutBody::Flow { flow, .. } => Pin::new(flow).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, OutBody::Full(None))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            OutBody::Full(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            OutBody::Events { .. } | OutBody::Flow { .. } => SizeHint::default(),
        }
    }
}
