//! What must hold of each decoder for any bytes at all. Run by the fuzz targets here and, on mutated vectors, by
//! `tests/malformed.rs`.

// Each target runs one of them.
#![allow(dead_code)]

use proto::{DecodeError, Message, driver, internal, json, link, recordio, scheduler_v0, v1, wire};

/// Refusals repeat some of what was sent, never much of it.
const MAX_ERROR_TEXT: usize = 8192;

/// The longest record `records` takes.
const MAX_RECORD: usize = 1 << 14;

/// Whether the bytes were taken; decoded as one of a few messages that peers send.
pub fn json(which: u8, bytes: &[u8]) -> bool {
    match which % 6 {
        0 => json_as::<v1::scheduler::Call>(bytes),
        1 => json_as::<v1::master::Call>(bytes),
        2 => json_as::<v1::executor::Call>(bytes),
        3 => json_as::<v1::agent::Call>(bytes),
        4 => json_as::<v1::master::Response>(bytes),
        _ => json_as::<v1::scheduler::Event>(bytes),
    }
}

pub fn wire(which: u8, bytes: &[u8]) -> bool {
    match which % 8 {
        0 => wire_as::<v1::scheduler::Call>(bytes),
        1 => wire_as::<v1::master::Call>(bytes),
        2 => wire_as::<v1::executor::Call>(bytes),
        3 => wire_as::<v1::agent::Response>(bytes),
        4 => wire_as::<v1::master::Response>(bytes),
        5 => wire_as::<v1::scheduler::Event>(bytes),
        6 => wire_as::<internal::ReregisterSlaveMessage>(bytes),
        _ => {
            check_libprocess(bytes);
            scheduler_v0::decode_v0(bytes).map_err(check_error).is_ok_and(|call| scheduler_v0::encode_v0(&call).is_ok())
        }
    }
}

/// The messages of agents, drivers, executors and whoever authenticates, under each name that has a body.
fn check_libprocess(bytes: &[u8]) {
    for name in [
        "AuthenticateMessage",
        "AuthenticationMechanismsMessage",
        "AuthenticationStartMessage",
        "AuthenticationStepMessage",
        "DeactivateFrameworkMessage",
        "ExecutorToFrameworkMessage",
        "FrameworkToExecutorMessage",
        "KillTaskMessage",
        "LaunchTasksMessage",
        "ReconcileTasksMessage",
        "RegisterExecutorMessage",
        "RegisterFrameworkMessage",
        "ReregisterExecutorMessage",
        "ReregisterFrameworkMessage",
        "ResourceRequestMessage",
        "ReviveOffersMessage",
        "RunTaskMessage",
        "StatusUpdateAcknowledgementMessage",
        "StatusUpdateMessage",
        "SubmitSchedulerRequest",
        "UnregisterFrameworkMessage",
    ] {
        let name = format!("mesos.internal.{name}");
        let errors = [
            link::ToAgent::decode(&name, bytes).err(),
            link::ToMaster::decode(&name, bytes).err(),
            link::FromExecutor::decode(&name, bytes).err(),
            link::ToAuthenticator::decode(&name, bytes).err(),
            link::ToAuthenticatee::decode(&name, bytes).err(),
            driver::FromDriver::decode(&name, bytes).err(),
        ];
        for error in errors.into_iter().flatten() {
            if let link::LinkError::Unknown(_) = error {
                continue;
            }
            let text = error.to_string();
            assert!(!text.is_empty() && text.len() < MAX_ERROR_TEXT, "{} bytes", text.len());
        }
    }
}

/// Whether the whole stream was taken. Each piece pushed is as long as the byte before it says.
pub fn records(bytes: &[u8]) -> bool {
    let mut decoder = recordio::Decoder::new(MAX_RECORD);
    let mut rest = bytes;
    while let [length, tail @ ..] = rest {
        let (piece, tail) = tail.split_at(tail.len().min(usize::from(*length)));
        rest = tail;
        decoder.push(piece);
        loop {
            match decoder.next() {
                Ok(Some(record)) => assert!(record.len() <= MAX_RECORD),
                Ok(None) => break,
                Err(error) => {
                    let text = error.to_string();
                    assert!(!text.is_empty() && text.len() < MAX_ERROR_TEXT);
                    assert_eq!(decoder.next(), Err(error), "an error stays");
                    return false;
                }
            }
        }
    }
    decoder.is_idle()
}

fn json_as<M: Message>(bytes: &[u8]) -> bool {
    match json::from_slice::<M>(bytes) {
        Ok(message) => {
            check_message(&message);
            true
        }
        Err(error) => {
            check_error(error);
            false
        }
    }
}

fn wire_as<M: Message>(bytes: &[u8]) -> bool {
    match wire::decode::<M>(bytes) {
        Ok(message) => {
            check_message(&message);
            true
        }
        Err(error) => {
            check_error(error);
            false
        }
    }
}

/// What was taken can be said again in both encodings, and then means the same.
fn check_message<M: Message>(message: &M) {
    let binary = wire::encode(message);
    match wire::decode::<M>(&binary) {
        Ok(again) => assert_eq!(wire::encode(&again), binary),
        Err(error) => panic!("{error} in our own bytes: {message:?}"),
    }
    let text = json::to_string(message);
    match json::from_slice::<M>(text.as_bytes()) {
        Ok(again) => assert_eq!(json::to_string(&again), text),
        // JSON has no name for it.
        Err(_) if text.contains("NaN") => {}
        Err(error) => panic!("{error} in our own JSON: {text}"),
    }
}

fn check_error(error: DecodeError) {
    for text in [error.to_string(), error.body("Call", true), error.body("Call", false)] {
        assert!(!text.is_empty() && text.len() < MAX_ERROR_TEXT, "{} bytes", text.len());
    }
}
