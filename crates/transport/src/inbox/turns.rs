//! The loop's end of the inbox: `run` gives what arrives to the one owner of a core, a batch a turn; `Peers` are those who
//! wait for what the core says. What an event does is the owner's.

use std::{collections::HashMap, sync::atomic::Ordering, time::Instant};

use tokio::sync::oneshot;

use super::{Arrivals, Call, ConnId, Post, ReqId, Traffic};
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
        Post::Message(event) | Post::Event(event) => step(owner, event),
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
    replies: HashMap<ReqId, oneshot::Sender<T::Reply>>,
    streams: HashMap<ConnId, Outbox<T::Streamed>>,
    /// Counts the owner's steps: what one of them says to a peer is taken as a whole.
    turn: u64,
}

impl<T: Traffic> Default for Peers<T> {
    fn default() -> Peers<T> {
        Peers { replies: HashMap::new(), streams: HashMap::new(), turn: 0 }
    }
}

impl<T: Traffic> Peers<T> {
    fn admit(&mut self, call: Call<T>) -> T::Event {
        self.replies.insert(call.req, call.reply);
        self.streams.extend(call.stream);
        call.event
    }

    pub fn reply(&mut self, req: ReqId, reply: T::Reply) {
        if let Some(sender) = self.replies.remove(&req) {
            // A requester that has left does not want its reply.
            let _ = sender.send(reply);
        }
    }

    /// Sends on a stream without waiting. A peer that has not read what earlier steps said is cut off, and false comes
    /// back; it hears of it by the end of its stream. A stream that is gone takes everything.
    pub fn tell(&mut self, conn: ConnId, event: T::Streamed) -> bool {
        let Some(outbox) = self.streams.get_mut(&conn) else { return true };
        if outbox.send_in(self.turn, event).is_ok() {
            return true;
        }
        if let Some(outbox) = self.streams.remove(&conn) {
            outbox.abort();
        }
        false
    }

    /// Ends a stream after what was sent on it.
    pub fn close(&mut self, conn: ConnId) {
        self.streams.remove(&conn);
    }
}
