//! What peers and pages do to a master and an agent. Each attack gives back what went wrong; that both still answer,
//! and the neighbour lives, is looked at afterwards.

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use proto::{Message, internal, v1, wire};
use serde_json::Value;
use testkit::http;

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
    ("the_end_of_a_task_in_the_name_of_its_agent", foreign_update),
    ("a_kill_in_the_name_of_the_master", foreign_kill),
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

/// The end of each task that runs, told by others and in the name of the very agent.
fn foreign_update(master: &str, agent: &str) -> Vec<String> {
    let tasks = running(master);
    for task in &tasks {
        let status = internal::StatusUpdate {
            framework_id: v1::FrameworkId { value: task.framework.clone() },
            agent_id: Some(v1::AgentId { value: task.agent.clone() }),
            status: v1::TaskStatus {
                task_id: v1::TaskId { value: task.id.clone() },
                state: v1::TaskState::TaskFinished.into(),
                uuid: Some(vec![7; 16].into()),
                ..Default::default()
            },
            timestamp: 1.0,
            uuid: Some(vec![7; 16].into()),
            ..Default::default()
        };
        let update = internal::StatusUpdateMessage { update: status, ..Default::default() };
        for from in ["evil@127.0.0.1:1", "evil@192.0.2.1:1", &format!("slave(1)@{agent}")] {
            say(master, "master", from, &update);
        }
        say(
            master,
            "master",
            &format!("slave(1)@{agent}"),
            &internal::UnregisterSlaveMessage { agent_id: v1::AgentId { value: task.agent.clone() } },
        );
    }
    still_running(master, &tasks)
}

/// The end of each task that runs, as if the master wanted it.
fn foreign_kill(master: &str, agent: &str) -> Vec<String> {
    let tasks = running(master);
    for task in &tasks {
        for from in ["evil@127.0.0.1:1", "master@192.0.2.1:5050", &format!("master@{master}")] {
            say(
                agent,
                "slave(1)",
                from,
                &internal::KillTaskMessage {
                    framework_id: v1::FrameworkId { value: task.framework.clone() },
                    task_id: v1::TaskId { value: task.id.clone() },
                    ..Default::default()
                },
            );
            say(agent, "slave(1)", from, &internal::ShutdownMessage::default());
        }
    }
    still_running(master, &tasks)
}

/// Sends a message as libprocess would.
fn say<M: Message>(address: &str, actor: &str, from: &str, message: &M) {
    let body = wire::encode(message);
    let head = format!(
        "POST /{actor}/{} HTTP/1.1\r\nHost: {address}\r\nLibprocess-From: {from}\r\nContent-Length: {}\r\n\r\n",
        M::full_name(),
        body.len()
    );
    let Some(mut stream) = connect(address) else { return };
    let _ = stream.write_all(&[head.as_bytes(), &body].concat());
    let _ = stream.read(&mut [0; 512]);
}

#[derive(PartialEq)]
struct Task {
    id: String,
    framework: String,
    agent: String,
}

/// The tasks that the master says run.
fn running(master: &str) -> Vec<Task> {
    let answer = http::ask(master, "GET", "/tasks?limit=1000").map(|answer| answer.body).unwrap_or_default();
    let document: Value = serde_json::from_str(&answer).unwrap_or_default();
    let tasks = document["tasks"].as_array().into_iter().flatten();
    let text = |task: &Value, name: &str| task[name].as_str().unwrap_or_default().to_owned();
    tasks
        .filter(|task| task["state"] == "TASK_RUNNING")
        .map(|task| Task { id: text(task, "id"), framework: text(task, "framework_id"), agent: text(task, "slave_id") })
        .collect()
}

/// Looks for a while, as a task does not end at once.
fn still_running(master: &str, tasks: &[Task]) -> Vec<String> {
    if tasks.is_empty() {
        return vec!["no task runs that could be harmed".into()];
    }
    std::thread::sleep(Duration::from_secs(1));
    let now = running(master);
    let gone = tasks.iter().filter(|task| !now.contains(task));
    gone.map(|task| format!("{} does not run any more", task.id)).collect()
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
