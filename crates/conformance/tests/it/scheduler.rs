//! A subscribed framework, in whose name calls are made.

use std::time::{Duration, Instant};

use conformance::http::{Connection, Trouble};

const PATIENCE: Duration = Duration::from_secs(30);

pub struct Scheduler {
    connection: Connection,
    pub framework: String,
    pub stream: String,
    /// The newest offer and its agent.
    pub offer: Option<(String, String)>,
}

impl Scheduler {
    pub fn subscribe(address: &str) -> Scheduler {
        let body = "{\"type\":\"SUBSCRIBE\",\"subscribe\":{\"framework_info\":{\"user\":\"root\",\"name\":\"fuzz\",\
                    \"roles\":[\"fuzz\"],\"capabilities\":[{\"type\":\"MULTI_ROLE\"}]}}}";
        let mut connection = Connection::open(address).expect("a connection");
        let head = "POST /api/v1/scheduler HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";
        let request = format!("{head}Content-Length: {}\r\n\r\n{body}", body.len());
        connection.send(request.as_bytes()).expect("a request");
        let head = connection.read_head(Instant::now() + PATIENCE).expect("an answer to SUBSCRIBE");
        assert_eq!(head.status, 200);
        let stream = head.header("mesos-stream-id").expect("a stream id").to_owned();
        let first = connection.next_chunk(Instant::now() + PATIENCE).expect("an event").expect("a first event");
        let text = String::from_utf8_lossy(&first).into_owned();
        let id = text.split_once("\"framework_id\":{\"value\":\"").expect("SUBSCRIBED").1;
        let framework = id.split('"').next().unwrap_or_default().to_owned();
        Scheduler { connection, framework, stream, offer: None }
    }

    /// Reads what has come; false once the stream has ended.
    pub fn is_alive(&mut self) -> bool {
        loop {
            match self.connection.next_chunk(Instant::now()) {
                Ok(Some(event)) => self.offer = offer_in(&String::from_utf8_lossy(&event)).or(self.offer.take()),
                Err(Trouble::TimedOut) => return true,
                Ok(None) | Err(_) => return false,
            }
        }
    }

    pub fn await_offer(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let chunk = self.connection.next_chunk(deadline).expect("an offer in time").expect("the stream goes on");
            if offer_in(&String::from_utf8_lossy(&chunk)).is_some() {
                return;
            }
        }
    }
}

fn offer_in(event: &str) -> Option<(String, String)> {
    let offers = event.split_once("\"type\":\"OFFERS\"")?.1;
    let value = |before: &str| {
        let (_, rest) = offers.split_once(before)?;
        Some(rest.split('"').next()?.to_owned())
    };
    Some((value("\"id\":{\"value\":\"")?, value("\"agent_id\":{\"value\":\"")?))
}
