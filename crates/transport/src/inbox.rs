//! The way from any number of connections into the one loop that decides. The queue is bounded, in what waits and in
//! its bytes, and so is what waits on the streams that lead back; ends of streams have a
//! way of their own, because they come by themselves and must not be lost. What the traffic means is the program's. The
//! loop itself is in `turns`.

pub mod turns;

use std::{
    fmt::Display,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use proto::{Message, content::ContentType};
use stdx::{ConnectionId, RequestId, seldom::Seldom};
use tokio::sync::{mpsc, oneshot};

use crate::stream::{self, Capacity, EventStream, Outbox};

/// How many inputs may wait. Beyond it callers wait for room, and messages that nobody waits for are dropped as they
/// would be on a broken socket.
const CAPACITY: usize = 65_536;

/// How many bytes may wait around one loop. Calls are bounded by the server that reads them (`Limits::bodies`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Of messages that the loop has not taken.
    pub messages: usize,
    /// On one stream; what one step says is taken as a whole.
    pub outbox: usize,
    /// On all streams together. Beyond it the stream with the most is cut.
    pub outboxes: usize,
}

impl Default for Bounds {
    fn default() -> Bounds {
        Bounds { messages: 256 << 20, outbox: 32 << 20, outboxes: 256 << 20 }
    }
}

/// What goes in and out of one loop.
pub trait Traffic: Send + 'static {
    type Event: Send + 'static;
    type Reply: Send + 'static;
    /// What a reader gets to see.
    type View: Send + 'static;
    /// What only metrics show beside a view, and may cost more.
    type Figures: Send + 'static;
    /// What travels on the streams of this loop.
    type Streamed: Send + 'static;

    /// Nothing arrived until the deadline.
    fn wake() -> Self::Event;
    /// A stream has ended.
    fn closed(conn: ConnectionId) -> Self::Event;
    /// About how many bytes something takes while it waits on a stream. Asked in the loop, so it is quick.
    fn weigh(streamed: &Self::Streamed) -> usize;
}

/// One thing put into the loop.
pub enum Post<T: Traffic> {
    /// A libprocess message, and how many bytes it came in.
    Message(T::Event, usize),
    Event(T::Event),
    Call(Call<T>),
    /// A reader wants to know what is known.
    View(oneshot::Sender<T::View>),
    Figures(oneshot::Sender<T::Figures>),
}

/// An event whose reply goes back to the request that waits for it.
pub struct Call<T: Traffic> {
    pub event: T::Event,
    pub req: RequestId,
    pub reply: oneshot::Sender<T::Reply>,
    /// The stream that a favourable reply opens.
    pub stream: Option<(ConnectionId, Outbox<T::Streamed>)>,
}

/// How many of each kind wait for the loop, and how many messages did not come to wait.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waiting {
    pub messages: u64,
    pub requests: u64,
    /// What the program itself puts in: outcomes of writes, ends of processes.
    pub events: u64,
    /// Ever: messages that could not be understood, or for which there was no room.
    pub dropped: u64,
}

#[derive(Default)]
struct Counts {
    messages: AtomicU64,
    requests: AtomicU64,
    events: AtomicU64,
    dropped: AtomicU64,
    ids: AtomicU64,
    /// Bytes of the messages that wait.
    bytes: AtomicUsize,
    /// Bytes on all streams.
    unread: Arc<AtomicUsize>,
    dropping: Dropping,
}

struct Dropping(Seldom);

impl Default for Dropping {
    fn default() -> Dropping {
        Dropping(Seldom::new(std::time::Duration::from_secs(1)))
    }
}

impl Counts {
    fn of<T: Traffic>(&self, post: &Post<T>) -> &AtomicU64 {
        match post {
            Post::Message(..) => &self.messages,
            Post::Event(_) => &self.events,
            Post::Call(_) | Post::View(_) | Post::Figures(_) => &self.requests,
        }
    }
}

/// The way in, for any number of holders.
pub struct Inbox<T: Traffic> {
    posts: mpsc::Sender<Post<T>>,
    closings: mpsc::UnboundedSender<ConnectionId>,
    counts: Arc<Counts>,
    bounds: Bounds,
}

impl<T: Traffic> Clone for Inbox<T> {
    fn clone(&self) -> Inbox<T> {
        let Inbox { posts, closings, counts, bounds } = self;
        Inbox { posts: posts.clone(), closings: closings.clone(), counts: counts.clone(), bounds: *bounds }
    }
}

/// The loop's end.
pub struct Arrivals<T: Traffic> {
    posts: mpsc::Receiver<Post<T>>,
    closings: mpsc::UnboundedReceiver<ConnectionId>,
    counts: Arc<Counts>,
    bounds: Bounds,
}

pub fn inbox<T: Traffic>(bounds: Bounds) -> (Inbox<T>, Arrivals<T>) {
    let (posts, receive_posts) = mpsc::channel(CAPACITY);
    let (closings, receive_closings) = mpsc::unbounded_channel();
    let counts = Arc::new(Counts::default());
    let arrivals = Arrivals { posts: receive_posts, closings: receive_closings, counts: counts.clone(), bounds };
    (Inbox { posts, closings, counts, bounds }, arrivals)
}

impl<T: Traffic> Inbox<T> {
    /// For a connection on which something may be streamed, or at whose end somebody waits.
    pub fn next_connection(&self) -> ConnectionId {
        ConnectionId(self.next_id())
    }

    /// Never used twice.
    fn next_id(&self) -> u64 {
        self.counts.ids.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Hands over a peer's message of so many bytes without waiting. One that could not be understood, or comes when
    /// too much waits, is dropped, as it would be on a broken socket: counted, and logged once in a while.
    pub fn deliver<E: Display>(&self, from: impl Display, name: &str, bytes: usize, event: Result<T::Event, E>) {
        let why = match event {
            Ok(event) => {
                if self.post_message(event, bytes) {
                    return;
                }
                if self.posts.is_closed() {
                    // Its peers will notice that this process has ended.
                    return;
                }
                "too much waits already".to_owned()
            }
            Err(error) => error.to_string(),
        };
        self.counts.dropped.fetch_add(1, Ordering::Relaxed);
        if let Some(others) = self.counts.dropping.0.due() {
            tracing::warn!(%from, name, why, others, "dropped a message");
        }
    }

    fn post_message(&self, event: T::Event, bytes: usize) -> bool {
        let waiting = self.counts.bytes.fetch_add(bytes, Ordering::Relaxed);
        // One that is alone is taken whatever it weighs: the server bounds it.
        let posted = (waiting == 0 || waiting.saturating_add(bytes) <= self.bounds.messages)
            && self.try_post(Post::Message(event, bytes));
        if !posted {
            self.counts.bytes.fetch_sub(bytes, Ordering::Relaxed);
        }
        posted
    }

    /// Hands over an event without waiting; false if the loop is too far behind or has ended.
    pub fn offer(&self, event: T::Event) -> bool {
        self.try_post(Post::Event(event))
    }

    /// Hands over an event that must not be lost; waits for room.
    pub async fn put(&self, event: T::Event) {
        // A loop that has ended needs no more events.
        let _ = self.post(Post::Event(event)).await;
    }

    /// `put` for threads outside the runtime.
    pub fn put_blocking(&self, event: T::Event) {
        self.counts.events.fetch_add(1, Ordering::Relaxed);
        let _ = self.posts.blocking_send(Post::Event(event));
    }

    pub fn waiting(&self) -> Waiting {
        let Counts { messages, requests, events, dropped, .. } = &*self.counts;
        let [messages, requests, events, dropped] =
            [messages, requests, events, dropped].map(|count| count.load(Ordering::Relaxed));
        Waiting { messages, requests, events, dropped }
    }

    fn try_post(&self, post: Post<T>) -> bool {
        let Ok(room) = self.posts.try_reserve() else { return false };
        self.counts.of(&post).fetch_add(1, Ordering::Relaxed);
        room.send(post);
        true
    }

    async fn post(&self, post: Post<T>) -> Option<()> {
        let room = self.posts.reserve().await.ok()?;
        self.counts.of(&post).fetch_add(1, Ordering::Relaxed);
        room.send(post);
        Some(())
    }

    /// Waits for room, then for the reply; `None` when the loop has ended.
    pub async fn call(
        &self,
        event: impl FnOnce(RequestId) -> T::Event,
        stream: Option<(ConnectionId, Outbox<T::Streamed>)>,
    ) -> Option<T::Reply> {
        let req = RequestId(self.next_id());
        let (reply, answer) = oneshot::channel();
        self.post(Post::Call(Call { event: event(req), req, reply, stream })).await?;
        answer.await.ok()
    }

    /// What is known at this moment.
    pub async fn view(&self) -> Option<T::View> {
        let (sender, view) = oneshot::channel();
        self.post(Post::View(sender)).await?;
        view.await.ok()
    }

    pub async fn figures(&self) -> Option<T::Figures> {
        let (sender, figures) = oneshot::channel();
        self.post(Post::Figures(sender)).await?;
        figures.await.ok()
    }

    /// Tells that a stream has ended.
    pub fn closed(&self, conn: ConnectionId) {
        let _ = self.closings.send(conn);
    }
}

impl<M, T> Inbox<T>
where
    M: Message + Send + 'static,
    T: Traffic<Streamed = Box<M>>,
{
    /// A stream for so many unread events, beyond those of one step, whose end is told to the loop.
    pub fn open_stream(
        &self,
        events: usize,
        content_type: ContentType,
    ) -> (ConnectionId, Outbox<T::Streamed>, EventStream) {
        let conn = self.next_connection();
        let capacity = Capacity { events, bytes: self.bounds.outbox };
        let encode = stream::message_encoder(content_type);
        let (outbox, events) = stream::outbox_among(self.counts.unread.clone(), capacity, T::weigh, encode);
        let inbox = self.clone();
        (conn, outbox, events.on_close(move || inbox.closed(conn)))
    }
}
