//! `mesos.scheduler.Call`, which a v0 driver sends over libprocess. Only its `Subscribe` is numbered differently from
//! v1; events are the same in both.

use crate::{
    DecodeError,
    v1::scheduler::Call,
    wire::{self, Entries, Payload, put_bytes},
};
use bytes::Bytes;

/// The name libprocess sends it under.
pub const CALL_NAME: &str = "mesos.scheduler.Call";

/// `Call.subscribe` in both.
const SUBSCRIBE: u32 = 3;
/// `Call.Subscribe.force`, v0 only.
const FORCE: u32 = 2;
/// The numbers of one field of `Call.Subscribe` in v0 and in v1; `framework_info` is 1 in both.
const RENUMBERED: [(u32, u32); 2] = [(3, 2), (4, 3)];

/// A v0 driver's call in the words of v1.
#[derive(Debug, Clone, PartialEq)]
pub struct CallV0 {
    pub call: Call,
    /// A SUBSCRIBE that takes the framework over from another driver.
    pub force: bool,
}

pub fn decode_v0(bytes: &[u8]) -> Result<CallV0, DecodeError> {
    let mut force = false;
    let renumbered = map_subscribe(bytes, |subscribe, out| {
        for_each_entry(subscribe, |number, payload, raw| {
            match (number, payload, RENUMBERED.iter().find(|(v0, _)| *v0 == number)) {
                (FORCE, Payload::Varint(value), _) => force = value != 0,
                (_, Payload::Bytes(payload), Some((_, v1))) => put_bytes(out, *v1, payload),
                _ => out.extend_from_slice(raw),
            }
            Ok(())
        })
    })?;
    Ok(CallV0 { call: wire::decode(&renumbered)?, force })
}

pub fn encode_v0(call: &CallV0) -> Result<Bytes, DecodeError> {
    let renumbered = map_subscribe(&wire::encode(&call.call), |subscribe, out| {
        for_each_entry(subscribe, |number, payload, raw| {
            match (payload, RENUMBERED.iter().find(|(_, v1)| *v1 == number)) {
                (Payload::Bytes(payload), Some((v0, _))) => put_bytes(out, *v0, payload),
                _ => out.extend_from_slice(raw),
            }
            Ok(())
        })?;
        if call.force {
            out.extend([(FORCE << 3) as u8, 1]);
        }
        Ok(())
    })?;
    Ok(renumbered.into())
}

/// The call with its subscribe part rewritten by `rewrite`.
fn map_subscribe(
    bytes: &[u8],
    mut rewrite: impl FnMut(&[u8], &mut Vec<u8>) -> Result<(), DecodeError>,
) -> Result<Vec<u8>, DecodeError> {
    let mut out = Vec::with_capacity(bytes.len() + 2);
    for_each_entry(bytes, |number, payload, raw| match payload {
        Payload::Bytes(subscribe) if number == SUBSCRIBE => {
            let mut rewritten = Vec::with_capacity(subscribe.len() + 2);
            rewrite(subscribe, &mut rewritten)?;
            put_bytes(&mut out, SUBSCRIBE, &rewritten);
            Ok(())
        }
        _ => {
            out.extend_from_slice(raw);
            Ok(())
        }
    })?;
    Ok(out)
}

/// Calls `visit` with number, payload and all bytes of each entry.
fn for_each_entry<'a>(
    bytes: &'a [u8],
    mut visit: impl FnMut(u32, Payload<'a>, &'a [u8]) -> Result<(), DecodeError>,
) -> Result<(), DecodeError> {
    let mut entries = Entries(bytes);
    loop {
        let before = entries.0;
        let Some(entry) = entries.next() else { return Ok(()) };
        let entry = entry?;
        visit(entry.number, entry.payload, &before[..before.len() - entries.0.len()])?;
    }
}
