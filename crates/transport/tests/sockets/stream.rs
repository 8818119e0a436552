//! Event streams: framing, slow readers, who notices what.

use std::time::Duration;

use tokio::io::AsyncWriteExt;
use transport::{Limits, stream::SendError};

use super::harness::{Raw, Site, soon, undated, until};

async fn subscribe(site: &Site, query: &str) -> Raw {
    let mut raw = site.raw().await;
    raw.write(&format!("POST /events{query} HTTP/1.1\r\nHost: \r\nConnection: close\r\n\r\n")).await;
    raw
}

#[tokio::test]
async fn each_event_is_one_record_in_one_chunk() {
    let site = Site::start().await;
    let mut raw = subscribe(&site, "").await;
    let head = undated(&raw.read_until("\r\n\r\n").await);
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    for line in
        ["Content-Type: application/json\r\n", "Mesos-Stream-Id: the-stream\r\n", "Transfer-Encoding: chunked\r\n"]
    {
        assert!(head.to_lowercase().contains(&line.to_lowercase()), "{head}");
    }
    let outbox = site.world.take_outbox();
    for event in ["{\"type\":\"SUBSCRIBED\"}", "", "0123456789"] {
        outbox.send(event.to_owned()).unwrap();
    }
    drop(outbox);
    let body = raw.rest().await;
    assert_eq!(body, "18\r\n21\n{\"type\":\"SUBSCRIBED\"}\r\n2\r\n0\n\r\nD\r\n10\n0123456789\r\n0\r\n\r\n");
    assert_eq!(site.world.closed(), 1);
}

#[tokio::test]
async fn the_owner_learns_that_the_peer_left() {
    let site = Site::start().await;
    for half in [true, false] {
        let before = site.world.closed();
        let mut raw = subscribe(&site, "").await;
        raw.read_until("\r\n\r\n").await;
        let outbox = site.world.take_outbox();
        if half {
            raw.socket.shutdown().await.unwrap();
        } else {
            drop(raw);
        }
        soon("the end", outbox.closed()).await;
        assert_eq!(outbox.send("late".to_owned()), Err(SendError::Closed));
        assert_eq!(site.world.closed(), before + 1);
    }
    until("the end", || site.connections() == 0).await;
}

#[tokio::test]
async fn a_slow_reader_fills_its_outbox_and_is_cut() {
    let site = Site::start().await;
    let mut raw = subscribe(&site, "?8").await;
    raw.read_until("\r\n\r\n").await;
    let outbox = site.world.take_outbox();
    let event = "e".repeat(1 << 20);
    let full = soon("a full outbox", async {
        loop {
            if let Err(error) = outbox.send(event.clone()) {
                break error;
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(full, SendError::Full);
    outbox.abort();
    until("the cut", || site.connections() == 0 && site.world.closed() == 1).await;
    let rest = raw.rest().await;
    assert!(!rest.ends_with("0\r\n\r\n"), "no orderly end");
}

#[tokio::test]
async fn what_one_turn_says_is_taken_as_a_whole() {
    let site = Site::start().await;
    let mut raw = subscribe(&site, "?8").await;
    raw.read_until("\r\n\r\n").await;
    let mut outbox = site.world.take_outbox();
    for _ in 0..1_000 {
        outbox.send_in(1, "e".repeat(1 << 16)).unwrap();
    }
    // Sixty megabytes are in no socket's buffer, so the next turn finds them unread.
    assert_eq!(outbox.send_in(2, "late".to_owned()), Err(SendError::Full));
    drop(outbox);
    let body = raw.rest().await;
    assert!(body.len() > 1_000 << 16 && body.ends_with("\r\n0\r\n\r\n"), "{} bytes", body.len());
}

#[tokio::test]
async fn a_dropped_outbox_cannot_hold_its_connection() {
    let site = Site::with(Limits { stall: Duration::from_millis(40), ..Limits::default() }).await;
    let mut raw = subscribe(&site, "?64").await;
    raw.read_until("\r\n\r\n").await;
    let outbox = site.world.take_outbox();
    for _ in 0..64 {
        outbox.send("e".repeat(1 << 20)).unwrap();
    }
    drop(outbox);
    until("the cut", || site.connections() == 0 && site.world.closed() == 1).await;
}

#[tokio::test]
async fn an_abort_before_the_answer_cuts_too() {
    let site = Site::start().await;
    let mut raw = subscribe(&site, "").await;
    until("the stream", || !site.world.outboxes.lock().unwrap().is_empty()).await;
    site.world.take_outbox().abort();
    raw.rest().await;
    until("the cut", || site.connections() == 0).await;
}

#[tokio::test]
async fn a_flow_is_sent_as_fast_as_it_is_taken() {
    let site = Site::start().await;
    let mut raw = site.raw().await;
    raw.write("GET /flow HTTP/1.1\r\nConnection: close\r\n\r\n").await;
    let body = raw.rest().await;
    assert_eq!(body.matches('f').count(), 1_000_000 + body.split("\r\n\r\n").next().unwrap().matches('f').count());
    assert!(body.ends_with("\r\n0\r\n\r\n"));
}
