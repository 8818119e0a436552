//! What peers and pages do to a master and an agent. Each attack gives back what went wrong; that both still answer,
//! and the neighbour lives, is looked at afterwards.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

/// Is given the master's and the agent's address.
pub type Attack = fn(&str, &str) -> Vec<String>;

pub const ATTACKS: &[(&str, Attack)] = &[
    ("a_thousand_idle_connections", idle_connections),
    ("half_a_request_from_each_of_two_hundred", half_requests),
    ("a_head_without_end", endless_head),
    ("a_body_without_end", endless_body),
    ("a_length_beyond_all_bounds", absurd_length),
    ("json_nested_a_hundred_thousand_deep", deep_json),
    ("a_page_of_another_site_posts", cross_site),
    ("a_name_that_somebody_else_points_here", foreign_host),
    ("an_update_that_its_sender_may_not_tell", foreign_update),
];

const PATIENCE: Duration = Duration::from_secs(5);

fn connect(address: &str) -> Option<TcpStream> {
    let stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    stream.set_write_timeout(Some(PATIENCE)).ok()?;
    Some(stream)
}

/// The status line of the answer; empty if there is none.
fn ask(address: &str, request: &str) -> String {
    let Some(mut stream) = connect(address) else { return String::new() };
    let _ = stream.write_all(request.as_bytes());
    let mut answer = [0; 512];
    let read = stream.read(&mut answer).unwrap_or(0);
    String::from_utf8_lossy(&answer[..read]).lines().next().unwrap_or_default().to_owned()
}

fn idle_connections(master: &str, agent: &str) -> Vec<String> {
    let held: Vec<_> = (0..500).flat_map(|_| [connect(master), connect(agent)]).collect();
    // A new one is served meanwhile.
    let mut wrong = Vec::new();
    for address in [master, agent] {
        let answer = ask(address, &format!("GET /health HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"));
        if !answer.contains(" 200") {
            wrong.push(format!("{address} answers '{answer}' beside idle connections"));
        }
    }
    drop(held);
    wrong
}

fn half_requests(master: &str, agent: &str) -> Vec<String> {
    for _ in 0..100 {
        for address in [master, agent] {
            if let Some(mut stream) = connect(address) {
                let _ = stream.write_all(b"POST /api/v1 HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n\r\n{");
            }
        }
    }
    Vec::new()
}

fn endless_head(master: &str, agent: &str) -> Vec<String> {
    flood(&[master, agent], b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: ", b"xxxxxxxxxxxxxxxx", 64 << 20)
}

fn endless_body(master: &str, agent: &str) -> Vec<String> {
    let head = b"POST /api/v1 HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
    flood(&[master, agent], head, b"4\r\n    \r\n", 256 << 20)
}

/// Sends until the other side has enough; wrong if it never has.
fn flood(addresses: &[&str], head: &[u8], more: &[u8], most: usize) -> Vec<String> {
    let block = more.repeat(4096);
    let mut wrong = Vec::new();
    for address in addresses {
        let Some(mut stream) = connect(address) else { continue };
        let _ = stream.write_all(head);
        let mut sent = 0;
        while sent < most && stream.write_all(&block).is_ok() {
            sent += block.len();
        }
        if sent >= most {
            wrong.push(format!("{address} took {sent} bytes of one request"));
        }
    }
    wrong
}

fn absurd_length(master: &str, agent: &str) -> Vec<String> {
    refused(&[master, agent], |address| {
        format!(
            "POST /api/v1 HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n\
             Content-Length: 18446744073709551615\r\n\r\n"
        )
    })
}

fn deep_json(master: &str, agent: &str) -> Vec<String> {
    let body = "{\"type\":".repeat(100_000);
    refused(&[master, agent], |address| {
        format!(
            "POST /api/v1 HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
    })
}

/// What a browser sends for a form on another site's page.
fn cross_site(master: &str, agent: &str) -> Vec<String> {
    let page = |path: &'static str| {
        move |address: &str| {
            format!(
                "POST {path} HTTP/1.1\r\nHost: {address}\r\nOrigin: http://elsewhere.example\r\nSec-Fetch-Site: cross-site\r\n\
                 Content-Type: text/plain\r\nContent-Length: 2\r\n\r\n{{}}"
            )
        }
    };
    let mut wrong = Vec::new();
    for path in ["/teardown", "/machine/down", "/quota", "/reserve", "/weights", "/api/v1"] {
        wrong.extend(with_status(&[master], page(path), "403"));
    }
    wrong.extend(with_status(&[agent], page("/api/v1"), "403"));
    wrong
}

fn foreign_host(master: &str, agent: &str) -> Vec<String> {
    refused(&[master, agent], |_| {
        "POST /api/v1 HTTP/1.1\r\nHost: elsewhere.example\r\nContent-Type: application/json\r\nAccept: application/json\r\n\
         Content-Length: 21\r\n\r\n{\"type\":\"GET_HEALTH\"}\n"
            .into()
    })
}

/// As libprocess would send it; the body is not even a message, and nobody may send one.
fn foreign_update(master: &str, _: &str) -> Vec<String> {
    let answer = ask(
        master,
        &format!(
            "POST /master/mesos.internal.StatusUpdateMessage HTTP/1.1\r\nHost: {master}\r\n\
             Libprocess-From: evil@127.0.0.1:1\r\nContent-Length: 4\r\n\r\nevil"
        ),
    );
    if answer.contains(" 200") { vec![format!("taken: {answer}")] } else { Vec::new() }
}

fn refused(addresses: &[&str], request: impl Fn(&str) -> String) -> Vec<String> {
    with_status(addresses, request, "4")
}

/// Whether each answers with a status that begins so.
fn with_status(addresses: &[&str], request: impl Fn(&str) -> String, begin: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    for address in addresses {
        let answer = ask(address, &request(address));
        let status = answer.split(' ').nth(1).unwrap_or_default();
        if !status.starts_with(begin) {
            wrong.push(format!("{address} answers '{answer}', wanted {begin}.."));
        }
    }
    wrong
}
