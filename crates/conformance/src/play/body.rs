//! Bodies: from a script's text to bytes, and from an answer's bytes to a document or a text.

use std::io::Read;

use proto::{
    Message, json,
    v1::{agent, executor, master, scheduler},
    wire,
};
use serde_json::Value;

use crate::{
    http::Head,
    script::{Api, Coding},
};

pub enum Decoded {
    /// JSON, or protobuf shown as JSON; `wrapped` tells what was around it (compression, a callback).
    Document {
        value: Value,
        wrapped: Vec<String>,
    },
    Text(String),
}

impl Decoded {
    pub fn value(&self) -> Option<&Value> {
        match self {
            Decoded::Document { value, .. } => Some(value),
            Decoded::Text(_) => None,
        }
    }
}

pub fn encode(api: Option<Api>, text: &str, coding: Coding) -> Result<Vec<u8>, String> {
    match coding {
        Coding::Text => Ok(text.as_bytes().to_vec()),
        Coding::Hex => hex(text),
        Coding::Protobuf => match api.ok_or("protobuf needs an API")? {
            Api::Scheduler => transcode::<scheduler::Call>(text),
            Api::Operator => transcode::<master::Call>(text),
            Api::Agent => transcode::<agent::Call>(text),
            Api::Executor => transcode::<executor::Call>(text),
        },
    }
}

fn transcode<M: Message>(text: &str) -> Result<Vec<u8>, String> {
    let message: M = json::from_slice(text.as_bytes()).map_err(|error| format!("the script's body: {error}"))?;
    Ok(wire::encode(&message).to_vec())
}

fn hex(text: &str) -> Result<Vec<u8>, String> {
    let digits: Vec<u32> = text.chars().filter_map(|digit| digit.to_digit(16)).collect();
    let byte = |pair: &[u32]| pair.iter().fold(0, |byte, digit| byte << 4 | *digit as u8);
    Ok(digits.chunks(2).map(byte).collect())
}

/// A chunked body of pieces of seven bytes.
pub fn in_chunks(body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for piece in body.chunks(7) {
        bytes.extend(format!("{:x}\r\n", piece.len()).bytes());
        bytes.extend_from_slice(piece);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"0\r\n\r\n");
    bytes
}

pub fn decode(api: Option<Api>, head: &Head, bytes: Vec<u8>) -> Decoded {
    let mut wrapped = Vec::new();
    let bytes = match head.header("content-encoding") {
        Some("gzip") => {
            wrapped.push("gzip".to_owned());
            unzip(&bytes)
        }
        _ => bytes,
    };
    let kind = head.header("content-type").unwrap_or_default();
    let value = match kind.split(';').next().unwrap_or_default() {
        "application/json" => serde_json::from_slice(&bytes).ok(),
        "application/x-protobuf" => answer_value(api, &bytes),
        "text/javascript" => String::from_utf8_lossy(&bytes).split_once('(').and_then(|(name, rest)| {
            let (body, end) = rest.rsplit_once(')')?;
            wrapped.push(format!("{name}(…){end}"));
            serde_json::from_str(body).ok()
        }),
        _ => None,
    };
    match value {
        Some(value) => Decoded::Document { value, wrapped },
        None => Decoded::Text(String::from_utf8_lossy(&bytes).into_owned()),
    }
}

fn answer_value(api: Option<Api>, bytes: &[u8]) -> Option<Value> {
    match api? {
        Api::Scheduler => value::<scheduler::Response>(bytes),
        Api::Operator => value::<master::Response>(bytes),
        Api::Agent => value::<agent::Response>(bytes),
        Api::Executor => value::<executor::Event>(bytes),
    }
}

/// One record of an event stream.
pub fn event_value(api: Option<Api>, protobuf: bool, record: &[u8]) -> Option<Value> {
    if !protobuf {
        return serde_json::from_slice(record).ok();
    }
    match api? {
        Api::Scheduler => value::<scheduler::Event>(record),
        Api::Operator => value::<master::Event>(record),
        Api::Agent => value::<agent::ProcessIo>(record),
        Api::Executor => value::<executor::Event>(record),
    }
}

fn value<M: Message>(bytes: &[u8]) -> Option<Value> {
    wire::decode::<M>(bytes).ok().map(|message| json::to_value(&message))
}

fn unzip(bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    match flate2::read::GzDecoder::new(bytes).read_to_end(&mut plain) {
        Ok(_) => plain,
        Err(error) => format!("no gzip: {error}").into_bytes(),
    }
}
