//! Long answers. `outbox` is the event stream of a subscription: the owner sends without ever waiting, the connection's
//! task encodes, and what nobody has read is bounded in events and in bytes. `flow` is a byte
//! stream whose writer waits for the peer. Heartbeats and meaning are the owner's.

use std::{
    fmt, io,
    pin::Pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use hyper::body::{Body as HttpBody, Frame};
use proto::{Message, content::ContentType, json};
use tokio::sync::{Notify, Semaphore, mpsc};

/// Room for a record's length in front of it: the digits of `usize::MAX` and a line feed.
const PREFIX: usize = 21;

/// Why an event was not taken. The event is lost either way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The peer reads too slowly. The owner drops or aborts the outbox.
    #[error("the outbox is full")]
    Full,
    /// The stream is over.
    #[error("the stream is closed")]
    Closed,
}

/// How much a peer may leave unread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    pub events: usize,
    pub bytes: usize,
}

impl Capacity {
    /// So many events of any size.
    pub const fn events(events: usize) -> Capacity {
        Capacity { events, bytes: usize::MAX }
    }
}

/// Bytes that were said and not read, of one stream and of all streams of its owner together.
#[derive(Debug, Default)]
struct Unread {
    bytes: AtomicUsize,
    all: Arc<AtomicUsize>,
}

impl Unread {
    fn add(&self, bytes: usize) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.all.fetch_add(bytes, Ordering::Relaxed);
    }

    /// An aborted stream counts for nothing any more, though its events may still be there for a moment.
    fn sub(&self, bytes: usize) {
        let rest = |held: usize| Some(held.saturating_sub(bytes));
        let held = self.bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, rest).unwrap_or_default();
        self.all.fetch_sub(held.min(bytes), Ordering::Relaxed);
    }

    fn clear(&self) {
        self.all.fetch_sub(self.bytes.swap(0, Ordering::Relaxed), Ordering::Relaxed);
    }
}

/// The owner's end of an event stream. Dropping it ends the stream after what was sent.
pub struct Outbox<E> {
    queue: mpsc::Sender<(usize, E)>,
    weigh: fn(&E) -> usize,
    unread: Arc<Unread>,
    link: Arc<Link>,
    capacity: Capacity,
    /// The owner's turn of the last event.
    turn: u64,
}

impl<E> Outbox<E> {
    /// Queues an event. Never waits.
    pub fn send(&self, event: E) -> Result<(), SendError> {
        let is_full = self.unread() >= self.capacity.events || self.unread_bytes() >= self.capacity.bytes;
        if is_full && !self.queue.is_closed() {
            return Err(SendError::Full);
        }
        self.queue(event)
    }

    /// Queues an event of the owner's `turn`, and only the first of a turn is refused for what is unread: one turn may
    /// say more than the capacity, as when a framework asks after all its tasks, and no peer can read that meanwhile.
    pub fn send_in(&mut self, turn: u64, event: E) -> Result<(), SendError> {
        if self.turn == turn {
            return self.queue(event);
        }
        self.turn = turn;
        self.send(event)
    }

    /// Events that the connection has not taken yet.
    fn unread(&self) -> usize {
        self.queue.max_capacity() - self.queue.capacity()
    }

    /// What those events weigh.
    pub fn unread_bytes(&self) -> usize {
        self.unread.bytes.load(Ordering::Relaxed)
    }

    fn queue(&self, event: E) -> Result<(), SendError> {
        let bytes = (self.weigh)(&event);
        self.unread.add(bytes);
        self.queue.try_send((bytes, event)).map_err(|refused| {
            self.unread.sub(bytes);
            match refused {
                mpsc::error::TrySendError::Full(_) => SendError::Full,
                mpsc::error::TrySendError::Closed(_) => SendError::Closed,
            }
        })
    }

    /// Resolves when the peer is gone (or the stream was never used).
    pub async fn closed(&self) {
        self.queue.closed().await;
    }

    pub fn is_closed(&self) -> bool {
        self.queue.is_closed()
    }

    /// Cuts the connection now, with whatever is still queued.
    pub fn abort(self) {
        self.unread.clear();
        self.link.abort();
    }
}

impl<E> fmt::Debug for Outbox<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbox")
            .field("unread", &self.unread())
            .field("bytes", &self.unread_bytes())
            .finish_non_exhaustive()
    }
}

/// The connection's end of an event stream, to be put into a `Response`. Dropped when the peer is gone.
pub struct EventStream {
    records: Box<dyn Records>,
    link: Arc<Link>,
    on_close: Option<Box<dyn FnOnce() + Send>>,
}

/// An event stream for so much that is not yet encoded, beyond what one turn says (`Outbox::send_in`). `weigh` says how
/// many bytes of memory an event takes, about; `encode` appends an event's bytes, in the connection's task.
pub fn outbox<E: Send + 'static>(
    capacity: Capacity,
    weigh: fn(&E) -> usize,
    encode: impl FnMut(&E, &mut Vec<u8>) + Send + 'static,
) -> (Outbox<E>, EventStream) {
    outbox_among(Arc::default(), capacity, weigh, encode)
}

/// `outbox` as one of several, whose unread bytes are counted together in `all`.
pub(crate) fn outbox_among<E: Send + 'static>(
    all: Arc<AtomicUsize>,
    capacity: Capacity,
    weigh: fn(&E) -> usize,
    encode: impl FnMut(&E, &mut Vec<u8>) + Send + 'static,
) -> (Outbox<E>, EventStream) {
    // The queue's own bound is never met; it takes memory only for what is in it.
    let (queue, events) = mpsc::channel(Semaphore::MAX_PERMITS);
    let link = Arc::new(Link::default());
    let unread = Arc::new(Unread { bytes: AtomicUsize::new(0), all });
    let records = Box::new(Encoded { events, encode, unread: unread.clone() });
    let capacity = Capacity { events: capacity.events.max(1), bytes: capacity.bytes.max(1) };
    (
        Outbox { queue, weigh, unread, link: link.clone(), capacity, turn: 0 },
        EventStream { records, link, on_close: None },
    )
}

/// An event stream of messages in the negotiated encoding.
pub fn messages<M: Message + Send + 'static>(
    capacity: Capacity,
    content_type: ContentType,
) -> (Outbox<Box<M>>, EventStream) {
    outbox::<Box<M>>(capacity, weight, message_encoder(content_type))
}

/// About what a message takes while it waits: itself, and its texts and lists.
#[allow(clippy::borrowed_box, reason = "the queue holds boxes and hands them over as they are")]
pub fn weight<M: Message>(message: &Box<M>) -> usize {
    size_of::<M>() + 2 * message.encoded_len()
}

pub(crate) fn message_encoder<M: Message>(
    content_type: ContentType,
) -> impl FnMut(&Box<M>, &mut Vec<u8>) + Send + 'static {
    move |event, out| match content_type {
        // Writing to a Vec does not fail.
        ContentType::Json => drop(json::to_writer(out, event.as_ref())),
        ContentType::Protobuf => out.extend_from_slice(&content_type.encode(event.as_ref())),
    }
}

impl EventStream {
    /// Calls `notify` once when the stream is over, whoever ended it. It must not wait.
    pub fn on_close(mut self, notify: impl FnOnce() + Send + 'static) -> EventStream {
        self.on_close = Some(Box::new(notify));
        self
    }

    /// The next record, framed.
    pub(crate) fn poll_record(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        if self.link.aborted.load(Ordering::Acquire) {
            return Poll::Ready(Some(Err(io::ErrorKind::ConnectionAborted.into())));
        }
        self.records.poll(cx).map(|record| record.map(Ok))
    }

    /// Lets the owner cut the connection that carries this stream.
    pub(crate) fn attach(&self, cut: Arc<Notify>) {
        let _ = self.link.cut.set(cut);
        if self.link.aborted.load(Ordering::Acquire) {
            self.link.abort();
        }
    }
}

impl Drop for EventStream {
    fn drop(&mut self) {
        if let Some(notify) = self.on_close.take() {
            notify();
        }
    }
}

impl fmt::Debug for EventStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventStream").finish_non_exhaustive()
    }
}

/// What the two ends share beside the queue.
#[derive(Default)]
struct Link {
    aborted: AtomicBool,
    cut: OnceLock<Arc<Notify>>,
}

impl Link {
    fn abort(&self) {
        self.aborted.store(true, Ordering::Release);
        if let Some(cut) = self.cut.get() {
            cut.notify_one();
        }
    }
}

trait Records: Send {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>>;
}

struct Encoded<E, F> {
    events: mpsc::Receiver<(usize, E)>,
    encode: F,
    unread: Arc<Unread>,
}

impl<E: Send, F: FnMut(&E, &mut Vec<u8>) + Send> Records for Encoded<E, F> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        self.events.poll_recv(cx).map(|next| {
            let (bytes, event) = next?;
            self.unread.sub(bytes);
            Some(record(|out| (self.encode)(&event, out)))
        })
    }
}

impl<E, F> Drop for Encoded<E, F> {
    fn drop(&mut self) {
        self.unread.clear();
    }
}

/// One RecordIO record in one buffer: the payload is written behind a gap that then takes its length.
fn record(write: impl FnOnce(&mut Vec<u8>)) -> Bytes {
    let mut buffer = Vec::with_capacity(256);
    buffer.resize(PREFIX, b'\n');
    write(&mut buffer);
    let mut left = buffer.len().saturating_sub(PREFIX);
    let mut start = PREFIX - 1;
    for place in buffer.iter_mut().take(PREFIX - 1).rev() {
        *place = b'0' + (left % 10) as u8;
        start -= 1;
        left /= 10;
        if left == 0 {
            break;
        }
    }
    Bytes::from(buffer).slice(start..)
}

/// The writer's end of a byte stream. Dropping it ends the body.
#[derive(Clone, Debug)]
pub struct FlowWriter(mpsc::Sender<Bytes>);

impl FlowWriter {
    /// Waits until the peer has room; false when it is gone.
    pub async fn write(&self, bytes: Bytes) -> bool {
        bytes.is_empty() || self.0.send(bytes).await.is_ok()
    }

    /// Resolves when the peer is gone.
    pub async fn closed(&self) {
        self.0.closed().await;
    }
}

/// The connection's end of a byte stream.
#[derive(Debug)]
pub struct Flow(mpsc::Receiver<Bytes>);

/// A byte stream with at most `capacity` pieces under way.
pub fn flow(capacity: usize) -> (FlowWriter, Flow) {
    let (writer, reader) = mpsc::channel(capacity.max(1));
    (FlowWriter(writer), Flow(reader))
}

impl HttpBody for Flow {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        self.get_mut().0.poll_recv(cx).map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_carry_their_length() {
        for size in [0usize, 1, 9, 10, 99, 100, 12_345] {
            let expected = [format!("{size}\n").into_bytes(), vec![b'x'; size]].concat();
            assert_eq!(record(|out| out.resize(out.len() + size, b'x')), expected);
        }
    }

    #[tokio::test]
    async fn a_full_outbox_says_so_and_a_dropped_stream_is_closed() {
        let (outbox, stream) = outbox::<u8>(Capacity::events(2), |_| 1, |e, out| out.push(*e));
        let (told, mut heard) = mpsc::channel(1);
        let stream = stream.on_close(move || told.try_send(()).unwrap_or_default());
        assert_eq!(outbox.send(1), Ok(()));
        assert_eq!(outbox.send(2), Ok(()));
        assert_eq!(outbox.send(3), Err(SendError::Full));
        drop(stream);
        outbox.closed().await;
        assert_eq!(outbox.send(4), Err(SendError::Closed));
        assert_eq!(heard.recv().await, Some(()));
    }

    #[tokio::test]
    async fn what_is_unread_is_bounded_and_counted_in_bytes() {
        let all = Arc::new(AtomicUsize::new(0));
        let capacity = Capacity { events: 100, bytes: 10 };
        let make =
            || outbox_among::<&str>(all.clone(), capacity, |e| e.len(), |e, out| out.extend_from_slice(e.as_bytes()));
        let ((mut first, mut stream), (second, other)) = (make(), make());
        assert_eq!(first.send_in(1, "sixbyt"), Ok(()));
        assert_eq!(first.send_in(2, "sixbyt"), Ok(()), "what is unread is within the bound");
        assert_eq!(first.send_in(2, "sixbyt"), Ok(()), "a turn is taken as a whole");
        assert_eq!(first.send_in(3, ""), Err(SendError::Full));
        assert_eq!(second.send("two"), Ok(()));
        assert_eq!((first.unread_bytes(), all.load(Ordering::Relaxed)), (18, 21));
        let record = std::future::poll_fn(|cx| stream.poll_record(cx)).await;
        assert_eq!(record.unwrap().unwrap(), "6\nsixbyt");
        assert_eq!(all.load(Ordering::Relaxed), 15);
        first.abort();
        assert_eq!(all.load(Ordering::Relaxed), 3);
        drop(stream);
        drop(other);
        assert_eq!(all.load(Ordering::Relaxed), 0);
    }
}
