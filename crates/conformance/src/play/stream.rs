//! An event stream that a script holds open: events in the order they came, and how they were framed.

use std::{collections::VecDeque, time::Instant};

use proto::recordio::Decoder;
use serde_json::Value;

use super::body;
use crate::{
    http::{Connection, Head, Trouble},
    render,
    script::Api,
};

pub struct Stream {
    connection: Connection,
    api: Option<Api>,
    protobuf: bool,
    decoder: Decoder,
    /// Events that came and were not asked for yet.
    waiting: VecDeque<Value>,
    /// Types of all events since `order` was last asked, but heartbeats and offers, which come when they like.
    seen: Vec<String>,
    complaints: Vec<String>,
    ended: Option<String>,
}

impl Stream {
    pub fn new(connection: Connection, api: Option<Api>, head: &Head) -> Stream {
        Stream {
            connection,
            api,
            protobuf: head.header("content-type") == Some("application/x-protobuf"),
            decoder: Decoder::default(),
            waiting: VecDeque::new(),
            seen: Vec::new(),
            complaints: Vec::new(),
            ended: None,
        }
    }

    /// Takes the first event of a type, and with a value at a path if one is named.
    pub fn find(
        &mut self,
        kind: &str,
        condition: Option<&(String, String)>,
        deadline: Instant,
    ) -> Result<Value, Trouble> {
        let meant = |event: &Value| {
            type_of(event) == kind
                && condition.is_none_or(|(path, wanted)| {
                    render::find(event, path).is_some_and(|found| render::plain(found) == *wanted)
                })
        };
        loop {
            if let Some(at) = self.waiting.iter().position(meant) {
                return self.waiting.remove(at).ok_or(Trouble::TimedOut);
            }
            if self.ended.is_some() {
                return Err(Trouble::Closed);
            }
            self.read(deadline)?;
        }
    }

    pub fn order(&mut self) -> String {
        listed(std::mem::take(&mut self.seen))
    }

    /// The types of events that came until the deadline and nobody asked for.
    pub fn left(&mut self, deadline: Instant, offers: bool) -> String {
        while Instant::now() < deadline && self.ended.is_none() && self.read(deadline).is_ok() {}
        let names = self.waiting.iter().map(type_of);
        listed(names.filter(|name| name != "HEARTBEAT" && (offers || name != "OFFERS")).collect())
    }

    pub fn forget(&mut self, kind: &str) {
        while self.ended.is_none() && self.read(Instant::now()).is_ok() {}
        self.waiting.retain(|event| kind != "*" && type_of(event) != kind);
    }

    /// Waits for the end of the stream, and tells how it ended.
    pub fn end(&mut self, deadline: Instant) -> Result<String, Trouble> {
        while self.ended.is_none() {
            self.read(deadline)?;
        }
        Ok(self.ended.clone().unwrap_or_default())
    }

    pub fn take_complaints(&mut self) -> Vec<String> {
        std::mem::take(&mut self.complaints)
    }

    fn read(&mut self, deadline: Instant) -> Result<(), Trouble> {
        let chunk = match self.connection.next_chunk(deadline) {
            Ok(Some(chunk)) => chunk,
            Ok(None) => {
                self.ended = Some("ended with a last chunk".into());
                return Ok(());
            }
            Err(Trouble::Closed) => {
                self.ended = Some("ended without a last chunk".into());
                return Ok(());
            }
            Err(other) => return Err(other),
        };
        self.decoder.push(&chunk);
        let mut records = 0;
        loop {
            match self.decoder.next() {
                Ok(Some(record)) => {
                    records += 1;
                    self.take(&record);
                }
                Ok(None) => break,
                Err(error) => return Err(Trouble::Malformed(error.to_string())),
            }
        }
        if records != 1 || !self.decoder.is_idle() {
            self.complaints.push(format!("a chunk with {records} whole records"));
        }
        Ok(())
    }

    fn take(&mut self, record: &[u8]) {
        match body::event_value(self.api, self.protobuf, record) {
            Some(event) => {
                let kind = type_of(&event);
                if kind != "HEARTBEAT" && kind != "OFFERS" {
                    self.seen.push(kind);
                }
                self.waiting.push_back(event);
            }
            None => self.complaints.push(format!("a record that is no event: {:?}", String::from_utf8_lossy(record))),
        }
    }
}

fn type_of(event: &Value) -> String {
    event.get("type").and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn listed(names: Vec<String>) -> String {
    if names.is_empty() { "nothing".into() } else { names.join(" ") }
}
