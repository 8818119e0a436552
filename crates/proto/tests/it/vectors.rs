//! What a real Apache Mesos 1.11.0 said (`testdata/vectors`, taken by `testdata/capture.py`), read and said again.
//!
//! Each answer exists as protobuf and as JSON. The protobuf, decoded and rendered, must be that JSON byte for byte; the
//! JSON, decoded and rendered, must be itself. Protobuf is compared by length: Mesos writes some answers with their
//! fields out of order, which is as good.

use proto::{DecodeError, Message, json, recordio, v1, wire};
use std::{error::Error, fs, path::PathBuf};

type Outcome = Result<(), Box<dyn Error>>;

/// Pairs whose JSON says more or less than their protobuf, and why. Only each encoding by itself is checked.
const UNLIKE: &[(&str, &str)] = &[
    ("master_GET_STATE", "Mesos leaves the tasks of completed frameworks out of the protobuf"),
    ("master_GET_STATE_later", "Mesos leaves the tasks of completed frameworks out of the protobuf"),
    ("master_GET_TASKS", "Mesos leaves the tasks of completed frameworks out of the protobuf"),
];

fn vectors() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("testdata/vectors")
}

fn check_pair<M: Message>(name: &str, binary: &[u8], text: &str) -> Outcome {
    let alike = !UNLIKE.iter().any(|(unlike, _)| *unlike == name);
    let message: M = check_binary(name, binary)?;
    if alike {
        assert_eq!(json::to_string(&message), text, "{name}: the protobuf as JSON");
    }
    check_text::<M>(name, text)
}

fn check_binary<M: Message>(name: &str, binary: &[u8]) -> Result<M, DecodeError> {
    let message: M = wire::decode(binary)?;
    let again = wire::encode(&message);
    assert_eq!(again.len(), binary.len(), "{name}: the protobuf again");
    assert_eq!(wire::decode::<M>(&again)?, message, "{name}");
    Ok(message)
}

fn check_text<M: Message>(name: &str, text: &str) -> Outcome {
    let message: M = json::from_slice(text.as_bytes())?;
    assert_eq!(json::to_string(&message), text, "{name}: the JSON again");
    assert_eq!(wire::decode::<M>(&wire::encode(&message))?, message, "{name}: through protobuf");
    Ok(())
}

/// The records of a stream that arrives in pieces of odd sizes.
fn records(name: &str) -> Result<Vec<Vec<u8>>, Box<dyn Error>> {
    let stream = fs::read(vectors().join(name))?;
    let mut decoder = recordio::Decoder::default();
    let mut records = Vec::new();
    for piece in stream.chunks(97) {
        decoder.push(piece);
        while let Some(record) = decoder.next()? {
            records.push(record.to_vec());
        }
    }
    assert!(decoder.is_idle(), "{name}: ends within a record");
    let again: Vec<u8> = records.iter().flat_map(|record| recordio::encode(record)).collect();
    assert_eq!(again, stream, "{name}: framed again");
    Ok(records)
}

fn check_stream<M: Message>(name: &str, at_least: usize) -> Outcome {
    let texts = records(&format!("{name}.json.recordio"))?;
    let binaries = records(&format!("{name}.pb.recordio"))?;
    assert!(texts.len() >= at_least && binaries.len() >= at_least, "{name}: {} and {}", texts.len(), binaries.len());
    for text in &texts {
        check_text::<M>(name, std::str::from_utf8(text)?)?;
    }
    for binary in &binaries {
        check_binary::<M>(name, binary)?;
    }
    Ok(())
}

fn check_answers<M: Message>(prefix: &str) -> Result<usize, Box<dyn Error>> {
    let mut pairs = 0;
    for entry in fs::read_dir(vectors())? {
        let path = entry?.path();
        let Some(file) = path.file_name().and_then(|file| file.to_str()) else { continue };
        let Some(name) = file.strip_suffix(".json").filter(|name| name.starts_with(prefix)) else { continue };
        let (text, binary) = (fs::read_to_string(&path)?, fs::read(path.with_extension("pb"))?);
        if name.ends_with(".alone") {
            check_text::<M>(name, &text)?;
            check_binary::<M>(name, &binary)?;
        } else {
            check_pair::<M>(name, &binary, &text)?;
            pairs += 1;
        }
    }
    Ok(pairs)
}

#[test]
fn answers_of_the_master() -> Outcome {
    assert_eq!(check_answers::<v1::master::Response>("master_GET")?, 19);
    Ok(())
}

#[test]
fn answers_of_the_agent() -> Outcome {
    assert_eq!(check_answers::<v1::agent::Response>("agent_")?, 14);
    Ok(())
}

/// Both streams of the master saw the same events.
#[test]
fn events_for_operators() -> Outcome {
    check_stream::<v1::master::Event>("master_events", 30)?;
    let (texts, binaries) = (records("master_events.json.recordio")?, records("master_events.pb.recordio")?);
    let not_heartbeat = |text: &String| text != r#"{"type":"HEARTBEAT"}"#;
    let said: Result<Vec<String>, _> = texts.into_iter().map(String::from_utf8).collect();
    let rendered: Result<Vec<String>, DecodeError> =
        binaries.iter().map(|binary| Ok(json::to_string(&wire::decode::<v1::master::Event>(binary)?))).collect();
    let (said, rendered) = (said?.into_iter().filter(not_heartbeat), rendered?.into_iter().filter(not_heartbeat));
    assert!(said.eq(rendered));
    Ok(())
}

#[test]
fn events_for_schedulers() -> Outcome {
    check_stream::<v1::scheduler::Event>("scheduler_events", 8)
}

#[test]
fn events_for_executors() -> Outcome {
    check_stream::<v1::executor::Event>("executor_events", 4)
}
