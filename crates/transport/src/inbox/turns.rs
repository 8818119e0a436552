//! The loop's end of the inbox: `run` gives what arrives to the one owner of a core, a batch a turn; `Peers` are those
//! who wait for what the core says. What an event does is the owner's.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use stdx::{ConnectionId, RequestId};
use tokio::sync::oneshot;

use super::{Arrivals, Call, Post, Traffic};
use crate::stream::Outbox;

/// How many inputs one turn takes before it looks at ended streams and timers again.
const BATCH: usize = 256;

/// Who owns a core, and carries out its effects.
pub trait Owner {
    type Traffic: Traffic;
    /// Why the loop is over.
    type End;

    /// Handles one event, and never waits.
    fn step(&mut self, event: <Self::Traffic as Traffic>::Event);
    /// When to wake the core if nothing arrives.
    fn deadline(&self) -> Option<Instant>;
    fn view(&self) -> <Self::Traffic as Traffic>::View;
    fn figures(&self) -> <Self::Traffic as Traffic>::Figures;
    fn peers(&mut self) -> &mut Peers<Self::Traffic>;
    /// After each turn: the reason to end, if there is one.
    fn end_turn(&mut self) -> Option<Self::End>;
}

/// Runs until the owner ends; `None` when nobody is left to serve.
pub async fn run<O: Owner>(owner: &mut O, mut arrivals: Arrivals<O::Traffic>) -> Option<O::End> {
    let mut posts = Vec::with_capacity(BATCH);
    owner.peers().unread = Some((arrivals.counts.unread.clone(), arrivals.bounds.outboxes));
    loop {
        let deadline = owner.deadline();
        tokio::select! {
            biased;
            Some(conn) = arrivals.closings.recv() => {
                owner.peers().close(conn);
                step(owner, O::Traffic::closed(conn));
            }
            count = arrivals.posts.recv_many(&mut posts, BATCH) => {
                if count == 0 {
                    return None;
                }
                for post in posts.drain(..) {
                    arrivals.counts.of(&post).fetch_sub(1, Ordering::Relaxed);
                    if let Post::Message(_, bytes) = &post {
                        arrivals.counts.bytes.fetch_sub(*bytes, Ordering::Relaxed);
                    }
                    on_post(owner, post);
                }
            }
            () = sleep_until(deadline) => step(owner, O::Traffic::wake()),
        }
        if let Some(end) = owner.end_turn() {
            return Some(end);
        }
    }
}

fn on_post<O: Owner>(owner: &mut O, post: Post<O::Traffic>) {
    match post {
        Post::Message(event, _) | Post::Event(event) => step(owner, event),
        Post::Call(call) => {
            let event = owner.peers().admit(call);
            step(owner, event);
        }
        // A reader that has left does not want its view.
        Post::View(sender) => drop(sender.send(owner.view())),
        Post::Figures(sender) => drop(sender.send(owner.figures())),
    }
}

/// What the owner says of one event is one turn of every stream.
fn step<O: Owner>(owner: &mut O, event: <O::Traffic as Traffic>::Event) {
    owner.peers().turn += 1;
    owner.step(event);
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}

/// Those who wait: requests without a reply yet, and open streams.
pub struct Peers<T: Traffic> {
    replies: HashMap<RequestId, oneshot::Sender<T::Reply>>,
    streams: HashMap<ConnectionId, Outbox<T::Streamed>>,
    /// Counts the owner's steps: what one of them says to a peer is taken as a whole.
    turn: u64,
    /// Bytes on all streams, and how many there may be.
    unread: Option<(Arc<AtomicUsize>, usize)>,
}

impl<T: Traffic> Default for Peers<T> {
    fn default() -> Peers<T> {
        Peers { replies: HashMap::new(), streams: HashMap::new(), turn: 0, unread: None }
    }
}

impl<T: Traffic> Peers<T> {
    fn admit(&mut self, call: Call<T>) -> T::Event {
        self.replies.insert(call.req, call.reply);
        self.streams.extend(call.stream);
        call.event
    }

    pub fn reply(&mut self, req: RequestId, reply: T::Reply) {
        if let Some(sender) = self.replies.remove(&req) {
            // A requester that has left does not want its reply.
            let _ = sender.send(reply);
        }
    }

    /// Sends on a stream without waiting. A peer that has not read what earlier steps said is cut off, and false comes
    /// back; it hears of it by the end of its stream. A stream that is gone takes everything.
    pub fn tell(&mut self, conn: ConnectionId, event: T::Streamed) -> bool {
        let Some(outbox) = self.streams.get_mut(&conn) else { return true };
        if outbox.send_in(self.turn, event).is_err() {
            self.cut(conn);
            return false;
        }
        while self.is_over() && self.cut_heaviest() {}
        self.streams.contains_key(&conn)
    }

    fn is_over(&self) -> bool {
        self.unread.as_ref().is_some_and(|(all, limit)| all.load(Ordering::Relaxed) > *limit)
    }

    /// All streams together hold too much: the peer that left the most unread goes.
    fn cut_heaviest(&mut self) -> bool {
        let weighed = self.streams.iter().map(|(conn, outbox)| (outbox.unread_bytes(), *conn));
        let Some((bytes, conn)) = weighed.max().filter(|(bytes, _)| *bytes > 0) else { return false };
        tracing::warn!(%conn, bytes, "what peers left unread takes too much memory; the stream with the most is cut");
        self.cut(conn);
        true
    }

    fn cut(&mut self, conn: ConnectionId) {
        if let Some(outbox) = self.streams.remove(&conn) {
            outbox.abort();
        }
    }

    /// Ends a stream after what was sent on it.
    pub fn close(&mut self, conn: ConnectionId) {
        self.streams.remove(&conn);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inbox::{Bounds, inbox};

    struct Texts;

    impl Traffic for Texts {
        type Event = ();
        type Reply = ();
        type View = ();
        type Figures = ();
        type Streamed = Box<proto::v1::scheduler::Event>;

        fn wake() {}
        fn closed(_: ConnectionId) {}
        fn weigh(_: &Self::Streamed) -> usize {
            10
        }
    }

    #[tokio::test]
    async fn the_peer_that_left_the_most_unread_goes_when_all_hold_too_much() {
        let (inbox, arrivals) = inbox::<Texts>(Bounds { outbox: 1000, outboxes: 100, ..Bounds::default() });
        let mut peers = Peers::<Texts> { unread: Some((arrivals.counts.unread.clone(), 100)), ..Peers::default() };
        let mut readers = Vec::new();
        for _ in 0..3 {
            let (conn, outbox, events) = inbox.open_stream(1000, proto::content::ContentType::Json);
            peers.streams.insert(conn, outbox);
            readers.push((conn, events));
        }
        let conn = |i: usize| readers[i].0;
        assert!((0..2).all(|_| peers.tell(conn(0), Box::default())));
        assert!((0..8).all(|_| peers.tell(conn(1), Box::default())), "as much as is allowed");
        assert!(peers.tell(conn(2), Box::default()), "another one is over");
        assert_eq!(peers.streams.len(), 2);
        assert!(peers.tell(conn(1), Box::default()), "a stream that is gone takes everything");
        assert_eq!(arrivals.counts.unread.load(Ordering::Relaxed), 30);
        assert!((0..7).all(|_| peers.tell(conn(2), Box::default())));
        assert!(!peers.tell(conn(2), Box::default()), "it went itself");
        assert_eq!(arrivals.counts.unread.load(Ordering::Relaxed), 20);
        drop(readers);
        assert_eq!(arrivals.counts.unread.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn messages_that_wait_are_bounded_in_bytes() {
        let (inbox, mut arrivals) = inbox::<Texts>(Bounds { messages: 100, ..Bounds::default() });
        let deliver = |bytes| inbox.deliver("somebody", "m", bytes, Ok::<(), std::fmt::Error>(()));
        deliver(1000);
        assert_eq!(inbox.waiting().messages, 1, "one alone is taken");
        deliver(1);
        assert_eq!((inbox.waiting().messages, inbox.waiting().dropped), (1, 1));
        let Some(Post::Message((), bytes)) = arrivals.posts.recv().await else { panic!("a message") };
        arrivals.counts.bytes.fetch_sub(bytes, Ordering::Relaxed);
        deliver(50);
        deliver(50);
        deliver(1);
        assert_eq!((inbox.waiting().messages, inbox.waiting().dropped), (3, 2));
    }
}
