//! Requests and answers, peers that misbehave, limits, the end.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use transport::Limits;

use super::harness::{Site, World, soon, undated, until};

const NOT_FOUND: &str = "HTTP/1.1 404 Not Found\r\nContent-Type: text/plain; charset=utf-8\r\n\
                         X-Content-Type-Options: nosniff\r\nContent-Length: 14\r\n\r\n404 Not Found.";

#[tokio::test]
async fn answers_look_like_those_of_mesos() {
    let site = Site::start().await;
    assert_eq!(undated(&site.ask("GET /nope HTTP/1.1\r\nHost: \r\n\r\n").await), NOT_FOUND);
    let redirected = undated(&site.ask("GET /redirect HTTP/1.1\r\n\r\n").await);
    assert!(redirected.starts_with("HTTP/1.1 307 Temporary Redirect\r\nLocation: //10.0.0.1:5050/api/v1\r\n"));
    let wrapped = site.ask("GET /json?jsonp=cb HTTP/1.1\r\nHost: \r\n\r\n").await;
    assert!(wrapped.contains("Content-Type: text/javascript\r\n") && wrapped.ends_with("\r\n\r\ncb({\"a\":1})"));
    let star = site.ask("OPTIONS * HTTP/1.1\r\n\r\n").await;
    assert!(star.starts_with("HTTP/1.1 400 ") && star.ends_with("Request URL path must start with '/'"));
    let tunnel = site.ask("CONNECT 127.0.0.1:1 HTTP/1.1\r\n\r\n").await;
    assert!(tunnel.starts_with("HTTP/1.1 400 "), "{tunnel}");
    let absolute = site.ask("GET http://localhost/json HTTP/1.1\r\n\r\n").await;
    assert!(absolute.ends_with("{\"a\":1}"), "{absolute}");
}

#[tokio::test]
async fn pages_of_other_sites_are_told_apart() {
    let site = Site::start().await;
    let ask = async |head: &str| site.ask(&format!("{head}\r\n\r\n")).await;
    for refused in [
        "GET /json HTTP/1.1\r\nHost: evil.example",
        "POST /echo HTTP/1.1\r\nHost: 127.0.0.1\r\nOrigin: http://evil.example",
        "POST /actor/message HTTP/1.1\r\nLibprocess-From: a@127.0.0.1:1\r\nOrigin: http://evil.example",
        "DELETE /echo HTTP/1.1\r\nHost: 127.0.0.1\r\nSec-Fetch-Site: cross-site",
        "GET /json?jsonp=x HTTP/1.1\r\nHost: 127.0.0.1\r\nSec-Fetch-Site: cross-site\r\nSec-Fetch-Dest: script",
        "GET /json HTTP/1.1\r\nHost: evil.example\r\nConnection: Upgrade\r\nUpgrade: websocket",
    ] {
        let answer = ask(refused).await;
        assert!(answer.starts_with("HTTP/1.1 403 Forbidden\r\n") && answer.contains("--"), "{answer}");
    }
    // A browser asks first before it sends what a form cannot, and hears of no permission.
    let preflight = ask("OPTIONS /json HTTP/1.1\r\nHost: 127.0.0.1\r\nOrigin: http://evil.example").await;
    assert!(!preflight.to_ascii_lowercase().contains("access-control"), "{preflight}");
    for allowed in ["Host: 127.0.0.1:5050\r\nOrigin: http://127.0.0.1:5050", "Host: ", "User-Agent: curl/8"] {
        let answer = ask(&format!("POST /echo HTTP/1.1\r\n{allowed}")).await;
        assert!(
            answer.starts_with("HTTP/1.1 200 ") && answer.contains("X-Content-Type-Options: nosniff\r\n"),
            "{answer}"
        );
    }
    let script = ask("GET /json?jsonp=x HTTP/1.1\r\nHost: 127.0.0.1").await;
    assert!(script.contains("Cross-Origin-Resource-Policy: same-origin\r\n") && script.ends_with("x({\"a\":1})"));
}

#[tokio::test]
async fn a_head_has_no_body() {
    let site = Site::start().await;
    let answer = site.ask("HEAD /json HTTP/1.1\r\nHost: \r\n\r\n").await;
    assert!(answer.contains("Content-Length: 7\r\n") && answer.ends_with("\r\n\r\n"), "{answer}");
}

#[tokio::test]
async fn requests_may_be_pipelined() {
    let site = Site::start().await;
    let mut raw = site.raw().await;
    let mut text = String::new();
    for i in 0..100 {
        text += &format!("POST /echo HTTP/1.1\r\nHost: \r\nContent-Length: 4\r\n\r\n{i:04}");
    }
    raw.write(&text).await;
    for i in 0..100 {
        let answer = raw.read_until(&format!("\r\n\r\n{i:04}")).await;
        assert_eq!(answer.matches("HTTP/1.1 200 OK").count(), 1, "{answer}");
    }
}

#[tokio::test]
async fn what_old_clients_send_is_taken() {
    let site = Site::start().await;
    let chunked = "POST /echo HTTP/1.1\r\nHost: \r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
    assert!(site.ask(chunked).await.ends_with("\r\n\r\nabcde"));
    let doubled = "GET /accept HTTP/1.1\r\nAccept: text/html\r\nAccept: application/json\r\n\r\n";
    assert!(site.ask(doubled).await.ends_with("\r\n\r\napplication/json"));
    let old = site.ask("GET /json HTTP/1.0\r\n\r\n").await;
    assert!(old.ends_with("\r\n\r\n{\"a\":1}"), "{old}");
    let kept = "GET /json HTTP/1.1\r\nConnection: Keep-Alive\r\n\r\n";
    assert!(site.ask(kept).await.ends_with("{\"a\":1}"));
}

#[tokio::test]
async fn a_big_body_arrives_whole() {
    let site = Site::start().await;
    let body = "0123456789abcdef".repeat(1 << 16);
    let mut raw = site.raw().await;
    raw.write(&format!("POST /echo HTTP/1.1\r\nContent-Length: {}\r\n\r\n", body.len())).await;
    for piece in body.as_bytes().chunks(100_000) {
        raw.socket.write_all(piece).await.unwrap();
    }
    raw.socket.shutdown().await.unwrap();
    let answer = raw.rest().await;
    assert!(answer.ends_with(&format!("\r\n\r\n{body}")));
}

#[tokio::test]
async fn a_big_body_is_compressed_when_asked() {
    let site = Site::start().await;
    let ask = |size: usize, encoding: &str| {
        let request = format!("GET /zip?{size} HTTP/1.1\r\nAccept-Encoding: {encoding}\r\n\r\n");
        let site = &site;
        async move { site.ask(&request).await }
    };
    for size in [513, 50_000, 100_000] {
        let answer = ask(size, "gzip, deflate").await;
        assert!(answer.contains("Content-Encoding: gzip\r\n") && !answer.contains("abababab"), "{size}");
    }
    assert!(!ask(512, "gzip").await.contains("Content-Encoding"));
    assert!(!ask(5000, "gzip;q=0").await.contains("Content-Encoding"));
}

#[tokio::test]
async fn a_peer_that_closes_its_side_still_gets_its_answer() {
    let site = Site::start().await;
    let mut raw = site.raw().await;
    raw.write("GET /wait HTTP/1.1\r\nHost: \r\n\r\n").await;
    raw.socket.shutdown().await.unwrap();
    until("the handler", || site.world.waiting() == 1).await;
    site.world.gate.notify_one();
    assert!(raw.rest().await.ends_with("\r\n\r\nwaited"));
    let big = site.ask("GET /big HTTP/1.1\r\nHost: \r\n\r\n").await;
    assert!(big.ends_with("xxxx") && big.len() > 8 << 20);
    until("the end", || site.connections() == 0).await;
}

#[tokio::test]
async fn a_peer_that_left_is_not_worked_for_forever() {
    let limits = Limits { half_closed: Duration::from_millis(20), ..Limits::default() };
    let site = Site::with(limits).await;
    let mut raw = site.raw().await;
    raw.write("GET /wait HTTP/1.1\r\nHost: \r\n\r\n").await;
    until("the handler", || site.world.waiting() == 1).await;
    drop(raw);
    until("the handler to be dropped", || site.world.waiting() == 0 && site.connections() == 0).await;
}

#[tokio::test]
async fn a_body_that_never_comes_ends_with_its_connection() {
    let limits = Limits { half_closed: Duration::from_millis(20), ..Limits::default() };
    let site = Site::with(limits).await;
    let mut raw = site.raw().await;
    raw.write("POST /echo HTTP/1.1\r\nContent-Length: 10\r\n\r\nabc").await;
    raw.socket.shutdown().await.unwrap();
    raw.rest().await;
    until("the end", || site.connections() == 0).await;
}

#[tokio::test]
async fn slow_heads_and_bodies_are_cut_and_idle_connections_are_not() {
    let limits = Limits { arrival: Duration::from_millis(40), ..Limits::default() };
    let site = Site::with(limits).await;
    let (mut fresh, mut used) = (site.raw().await, site.raw().await);
    used.write("GET /json HTTP/1.1\r\nHost: \r\n\r\n").await;
    used.read_until("{\"a\":1}").await;
    for start in ["GET /js", "POST /echo HTTP/1.1\r\nContent-Length: 10\r\n\r\nabc"] {
        let mut slow = site.raw().await;
        slow.write(start).await;
        assert_eq!(slow.rest().await, "");
    }
    assert_eq!(site.running.counters().cut.load(Ordering::Relaxed), 2);
    for raw in [&mut fresh, &mut used] {
        raw.write("GET /json HTTP/1.1\r\nHost: \r\n\r\n").await;
        raw.read_until("{\"a\":1}").await;
    }
}

#[tokio::test]
async fn a_peer_that_does_not_read_is_cut() {
    let limits = Limits { stall: Duration::from_millis(40), ..Limits::default() };
    let site = Site::with(limits).await;
    let mut raw = site.raw().await;
    raw.write("GET /big HTTP/1.1\r\nHost: \r\n\r\n").await;
    until("the cut", || site.running.counters().cut.load(Ordering::Relaxed) == 1 && site.connections() == 0).await;
}

#[tokio::test]
async fn what_is_too_large_is_refused() {
    let site = Site::with(Limits { head: 4096, body: 1000, bodies: 600, ..Limits::default() }).await;
    let long = site.ask(&format!("GET /json HTTP/1.1\r\nA: {}\r\n\r\n", "x".repeat(5000))).await;
    assert!(long.starts_with("HTTP/1.1 431 "), "{long}");
    let long = site.ask(&format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(70_000))).await;
    assert!(long.starts_with("HTTP/1.1 4"), "{long}");
    let many = site.ask(&format!("GET /json HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(200))).await;
    assert!(many.starts_with("HTTP/1.1 431 "), "{many}");
    let announced = site.ask("POST /echo HTTP/1.1\r\nContent-Length: 1001\r\n\r\n").await;
    assert!(announced.starts_with("HTTP/1.1 413 ") && announced.contains("Connection: close\r\n"), "{announced}");
    let huge = site.ask("POST /echo HTTP/1.1\r\nContent-Length: 18446744073709551615\r\n\r\n").await;
    assert!(huge.starts_with("HTTP/1.1 4"), "{huge}");
    let chunk = format!("1f4\r\n{}\r\n", "y".repeat(500));
    let start = "POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
    // Two chunks are over the bound of all bodies, and more are over that of one.
    let busy = site.ask(&format!("{start}{chunk}{chunk}0\r\n\r\n")).await;
    assert!(busy.starts_with("HTTP/1.1 503 "), "{busy}");
    let roomy = Site::with(Limits { body: 1000, ..Limits::default() }).await;
    let grown = roomy.ask(&format!("{start}{chunk}{chunk}{chunk}0\r\n\r\n")).await;
    assert!(grown.starts_with("HTTP/1.1 413 "), "{grown}");
    let exact = roomy.ask(&format!("{start}{chunk}{chunk}0\r\n\r\n")).await;
    assert!(exact.starts_with("HTTP/1.1 200 "), "{exact}");
    until("the ends", || site.connections() == 0 && roomy.connections() == 0).await;
}

#[tokio::test]
async fn connections_over_the_limit_are_turned_away() {
    let site = Site::with(Limits { connections: 2, ..Limits::default() }).await;
    let mut kept = Vec::new();
    for _ in 0..2 {
        let mut raw = site.raw().await;
        raw.write("GET /json HTTP/1.1\r\nHost: \r\n\r\n").await;
        raw.read_until("{\"a\":1}").await;
        kept.push(raw);
    }
    assert_eq!(site.raw().await.rest().await, "");
    kept.clear();
    until("room", || site.connections() == 0).await;
    assert!(site.ask("GET /json HTTP/1.1\r\n\r\n").await.ends_with("{\"a\":1}"));
}

#[tokio::test]
async fn those_who_say_nothing_make_room_for_others() {
    let limits = Limits { connections: 64, idle_when_full: Duration::ZERO, ..Limits::default() };
    let site = Site::with(limits).await;
    let mut idle = Vec::new();
    for _ in 0..64 {
        idle.push(site.raw().await);
    }
    // Many more than there are places, one after the other.
    for _ in 0..100 {
        let answer = soon("a place", async {
            loop {
                let mut raw = site.raw().await;
                let asked = raw.socket.write_all(b"GET /json HTTP/1.1\r\nConnection: close\r\n\r\n").await;
                let answer = raw.rest().await;
                if asked.is_ok() && !answer.is_empty() {
                    return answer;
                }
            }
        })
        .await;
        assert!(answer.ends_with("{\"a\":1}"), "{answer}");
    }
    assert!(site.running.counters().cut.load(Ordering::Relaxed) > 0);
}

#[tokio::test]
async fn large_answers_that_nobody_reads_are_bounded() {
    let limits = Limits { answers: 20 << 20, stall: Duration::from_secs(600), ..Limits::default() };
    let site = Site::with(limits).await;
    let mut deaf = Vec::new();
    for _ in 0..2 {
        let mut raw = site.raw().await;
        raw.write("GET /big HTTP/1.1\r\n\r\n").await;
        deaf.push(raw);
    }
    // Each holds 8 of 20 MiB. The third is refused, and those who take nothing are cut for it.
    until("an answer that is refused", || site.running.counters().requests.load(Ordering::Relaxed) == 2).await;
    let answer = soon("room", async {
        loop {
            let answer = site.ask("GET /big HTTP/1.1\r\nConnection: close\r\n\r\n").await;
            if answer.starts_with("HTTP/1.1 200 ") {
                return answer;
            }
            assert!(answer.starts_with("HTTP/1.1 503 ") && answer.ends_with("try again"), "{answer}");
        }
    })
    .await;
    assert!(answer.len() > 8 << 20);
    assert!(site.running.counters().cut.load(Ordering::Relaxed) >= 1);
}

#[tokio::test]
async fn a_shutdown_lets_requests_finish() {
    let site = Site::start().await;
    let mut idle = site.raw().await;
    let mut busy = site.raw().await;
    busy.write("GET /wait HTTP/1.1\r\nHost: \r\n\r\n").await;
    until("the handler", || site.world.waiting() == 1 && site.connections() == 2).await;
    let address = site.address;
    let stopping = tokio::spawn(site.running.shutdown(Duration::from_secs(20)));
    assert_eq!(idle.rest().await, "");
    site.world.gate.notify_one();
    assert!(busy.rest().await.ends_with("waited"));
    soon("the shutdown", stopping).await.unwrap();
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn a_shutdown_cuts_what_does_not_end() {
    let site = Site::start().await;
    let mut stream = site.raw().await;
    stream.write("POST /events HTTP/1.1\r\nHost: \r\n\r\n").await;
    stream.read_until("\r\n\r\n").await;
    soon("the shutdown", site.running.shutdown(Duration::from_millis(10))).await;
    assert_eq!(site.world.closed(), 1);
}

#[tokio::test]
async fn a_domain_socket_serves_the_same_and_replaces_an_old_one() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("agent.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let server = transport::Server::bind("127.0.0.1:0", Limits::default()).await.unwrap().also_at(&path).unwrap();
    let running = server.serve(Arc::new(World::default()));
    let mut socket = tokio::net::UnixStream::connect(&path).await.unwrap();
    socket.write_all(b"POST /echo HTTP/1.1\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc").await.unwrap();
    let mut answer = String::new();
    soon("an answer", socket.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\nabc"), "{answer}");
    running.shutdown(Duration::ZERO).await;
    assert!(tokio::net::UnixStream::connect(&path).await.is_err(), "nobody listens any more");
}
