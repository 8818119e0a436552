//! The way from any number of connections into the one loop that decides. The queue is bounded; ends of streams have a
//! way of their own, because they come by themselves and must not be lost. What the traffic means is the program's. The
//! loop itself is in `turns`.

pub mod turns;

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
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
    /// What travels on the streams of this loop.
    type Streamed: Send + 'static;

    /// Nothing arrived until the deadline.
    fn wake() -> Self::Event;
    /// A stream has ended.
    fn closed(conn: ConnId) -> Self::Event;
}

/// One thing put into the loop.
pub enum Post<T: Traffic> {
    Event(T::Event),
    Call(Call<T>),
    /// A reader wants to know what is known.
    View(oneshot::Sender<T::View>),
}

/// An event whose reply goes back to the request that waits for it.
pub struct Call<T: Traffic> {
    pub event: T::Event,
    pub req: ReqId,
    pub reply: oneshot::Sender<T::Reply>,
    /// The stream that a favourable reply opens.
    pub stream: Option<(ConnId, Outbox<T::Streamed>)>,
}

/// The way in, for any number of holders.
pub struct Inbox<T: Traffic> {
    posts: mpsc::Sender<Post<T>>,
    closings: mpsc::UnboundedSender<ConnId>,
    ids: Arc<AtomicU64>,
}

impl<T: Traffic> Clone for Inbox<T> {
    fn clone(&self) -> Inbox<T> {
        Inbox { posts: self.posts.clone(), closings: self.closings.clone(), ids: self.ids.clone() }
    }
}

/// The loop's end.
pub struct Arrivals<T: Traffic> {
    pub posts: mpsc::Receiver<Post<T>>,
    pub closings: mpsc::UnboundedReceiver<ConnId>,
}

pub fn inbox<T: Traffic>() -> (Inbox<T>, Arrivals<T>) {
    let (posts, receive_posts) = mpsc::channel(CAPACITY);
    let (closings, receive_closings) = mpsc::unbounded_channel();
    let inbox = Inbox { posts, closings, ids: Arc::new(AtomicU64::new(1)) };
    (inbox, Arrivals { posts: receive_posts, closings: receive_closings })
}

impl<T: Traffic> Inbox<T> {
    /// A number for a request or a stream, never used twice.
    pub fn next_id(&self) -> u64 {
        self.ids.fetch_add(1, Ordering::Relaxed)
    }

    /// Hands over an event without waiting; false if the loop is too far behind or has ended.
    pub fn offer(&self, event: T::Event) -> bool {
        self.posts.try_send(Post::Event(event)).is_ok()
    }

    /// Hands over an event that must not be lost; waits for room.
    pub async fn put(&self, event: T::Event) {
        // A loop that has ended needs no more events.
        let _ = self.posts.send(Post::Event(event)).await;
    }

    /// `put` for threads outside the runtime.
    pub fn put_blocking(&self, event: T::Event) {
        let _ = self.posts.blocking_send(Post::Event(event));
    }

    /// Waits for room, then for the reply; `None` when the loop has ended.
    pub async fn call(
        &self,
        event: impl FnOnce(ReqId) -> T::Event,
        stream: Option<(ConnId, Outbox<T::Streamed>)>,
    ) -> Option<T::Reply> {
        let req = self.next_id();
        let (reply, answer) = oneshot::channel();
        self.posts.send(Post::Call(Call { event: event(req), req, reply, stream })).await.ok()?;
        answer.await.ok()
    }

    /// What is known at this moment.
    pub async fn view(&self) -> Option<T::View> {
        let (sender, view) = oneshot::channel();
        self.posts.send(Post::View(sender)).await.ok()?;
        view.await.ok()
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
    /// A stream for at most `capacity` unread events, whose end is told to the loop.
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
