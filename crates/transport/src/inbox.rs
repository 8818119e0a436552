//! The way from any number of connections into the one loop that decides. The queue is bounded; ends of streams have a
//! way of their own, because they come by themselves and must not be lost. What the traffic means is the program's. The
//! loop itself is in `turns`.

pub mod turns;

use std::{
    fmt::Display,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use proto::{Message, content::ContentType};
use tokio::sync::{mpsc, oneshot};

use crate::stream::{self, EventStream, Outbox};

/// Names a request until its reply.
pub type ReqId = u64;
/// Names an event stream, also before it is open.
pub type ConnId = u64;

/// How many inputs may wait. Beyond it callers wait for room, and messages that nobody waits for are dropped as they
/// would be on a broken socket.
const CAPACITY: usize = 65_536;

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
    fn closed(conn: ConnId) -> Self::Event;
}

/// One thing put into the loop.
pub enum Post<T: Traffic> {
    /// A libprocess message.
    Message(T::Event),
    Event(T::Event),
    Call(Call<T>),
    /// A reader wants to know what is known.
    View(oneshot::Sender<T::View>),
    Figures(oneshot::Sender<T::Figures>),
}

/// An event whose reply goes back to the request that waits for it.
pub struct Call<T: Traffic> {
    pub event: T::Event,
    pub req: ReqId,
    pub reply: oneshot::Sender<T::Reply>,
    /// The stream that a favourable reply opens.
    pub stream: Option<(ConnId, Outbox<T::Streamed>)>,
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
}

impl Counts {
    fn of<T: Traffic>(&self, post: &Post<T>) -> &AtomicU64 {
        match post {
            Post::Message(_) => &self.messages,
            Post::Event(_) => &self.events,
            Post::Call(_) | Post::View(_) | Post::Figures(_) => &self.requests,
        }
    }
}

/// The way in, for any number of holders.
pub struct Inbox<T: Traffic> {
    posts: mpsc::Sender<Post<T>>,
    closings: mpsc::UnboundedSender<ConnId>,
    counts: Arc<Counts>,
}

impl<T: Traffic> Clone for Inbox<T> {
    fn clone(&self) -> Inbox<T> {
        Inbox { posts: self.posts.clone(), closings: self.closings.clone(), counts: self.counts.clone() }
    }
}

/// The loop's end.
pub struct Arrivals<T: Traffic> {
    posts: mpsc::Receiver<Post<T>>,
    closings: mpsc::UnboundedReceiver<ConnId>,
    counts: Arc<Counts>,
}

pub fn inbox<T: Traffic>() -> (Inbox<T>, Arrivals<T>) {
    let (posts, receive_posts) = mpsc::channel(CAPACITY);
    let (closings, receive_closings) = mpsc::unbounded_channel();
    let counts = Arc::new(Counts::default());
    let arrivals = Arrivals { posts: receive_posts, closings: receive_closings, counts: counts.clone() };
    (Inbox { posts, closings, counts }, arrivals)
}

impl<T: Traffic> Inbox<T> {
    /// A number for a request or a stream, never used twice.
    pub fn next_id(&self) -> u64 {
        self.counts.ids.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Hands over a peer's message without waiting. One that could not be understood, or comes when too much waits, is
    /// dropped, as it would be on a broken socket: logged and counted.
    pub fn deliver<E: Display>(&self, from: impl Display, name: &str, event: Result<T::Event, E>) {
        let why = match event {
            Ok(event) => {
                if self.try_post(Post::Message(event)) {
                    return;
                }
                "too much waits already".to_owned()
            }
            Err(error) => error.to_string(),
        };
        self.counts.dropped.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(%from, name, why, "dropped a message");
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
        event: impl FnOnce(ReqId) -> T::Event,
        stream: Option<(ConnId, Outbox<T::Streamed>)>,
    ) -> Option<T::Reply> {
        let req = self.next_id();
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
    pub fn closed(&self, conn: ConnId) {
        let _ = self.closings.send(conn);
    }
}

impl<M, T> Inbox<T>
where
    M: Message + Send + 'static,
    T: Traffic<Streamed = Box<M>>,
{
    /// A stream for `capacity` unread events beyond those of one step, whose end is told to the loop.
    pub fn open_stream(
        &self,
        capacity: usize,
        content_type: ContentType,
    ) -> (ConnId, Outbox<T::Streamed>, EventStream) {
        let conn = self.next_id();
        let (outbox, events) = stream::messages(capacity, content_type);
        let inbox = self.clone();
        (conn, outbox, events.on_close(move || inbox.closed(conn)))
    }
}
