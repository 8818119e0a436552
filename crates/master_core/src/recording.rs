//! Inputs as bytes, so that a master's run can be recorded and stepped through again. Messages stand as they travel;
//! the rest is a tag and its fields. What a recording begins with is in `beginning`; where recordings are kept is
//! `observe`'s.

mod beginning;

use std::{collections::BTreeSet, sync::Arc};

use proto::{
    driver::FromDriver,
    link::ToMaster,
    scheduler_v0::{CALL_NAME, encode_v0},
    upid::Upid,
    v1, wire,
};
use registry::Registry;
use stdx::{
    Tick, WallTime,
    pack::{Pack, Unpack},
};

pub use self::beginning::Beginning;
use crate::{Actor, ConnectionId, Event, Input, PersistError, RequestId, Ticket};

/// One input; `None` for a call that cannot be put into a driver's words, which is none of a driver's.
pub fn encode(input: &Input) -> Option<Vec<u8>> {
    let Input { now: Tick(now), wall: WallTime(wall), event } = input;
    let mut out = Pack::default();
    out.number(*now).number(*wall as u64);
    match event {
        Event::Wake => out.number(0),
        Event::Elected { registry } => out.number(1).bytes(&registry.encode()),
        Event::Deposed => out.number(2),
        Event::Persisted { ticket, outcome } => {
            let error = outcome.as_ref().err().map(|error| error.0.as_str());
            out.number(3).number(ticket.0).maybe_text(error)
        }
        Event::FromAgent { from, to, message } => {
            match to {
                Actor::Master => out.number(4),
                Actor::Observer(number) => out.number(13).number(*number),
            };
            out.text(&from.to_string()).text(message.name()).bytes(&message.encode())
        }
        Event::FromDriver { from, message } => {
            let from = from.to_string();
            match message {
                FromDriver::Call(call) => out.number(5).text(&from).bytes(&encode_v0(call).ok()?),
                FromDriver::Register(info) => out.number(14).text(&from).bytes(&wire::encode(&**info)),
                FromDriver::Reregister { info, failover } => {
                    out.number(15).text(&from).bytes(&wire::encode(&**info)).number(u64::from(*failover))
                }
                FromDriver::Deactivate(id) => out.number(16).text(&from).text(&id.value),
                FromDriver::Submit { name } => out.number(17).text(&from).text(name),
            }
        }
        Event::Authenticating { peer } => out.number(6).text(&peer.to_string()),
        Event::Authenticated { peer, principal } => {
            out.number(7).text(&peer.to_string()).maybe_text(principal.as_deref())
        }
        Event::Exited { peer } => out.number(8).text(&peer.to_string()),
        Event::FromScheduler { req, conn, principal, stream_id, call } => {
            out.number(9)
                .number(req.0)
                .number(conn.map_or(0, |conn| conn.0))
                .maybe_text(principal.as_deref())
                .maybe_text(stream_id.as_deref());
            out.bytes(&wire::encode(&**call))
        }
        Event::FromOperator { req, principal, call } => {
            out.number(10).number(req.0).maybe_text(principal.as_deref()).bytes(&wire::encode(&**call))
        }
        Event::Closed { conn } => out.number(11).number(conn.0),
        Event::Whitelist { hostnames } => {
            out.number(12).number(u64::from(hostnames.is_some()));
            let hostnames = hostnames.iter().flatten();
            out.number(hostnames.clone().count() as u64);
            hostnames.fold(&mut out, |out, hostname| out.text(hostname))
        }
    };
    Some(out.take())
}

pub fn decode(bytes: &[u8]) -> Option<Input> {
    let mut from = Unpack::new(bytes);
    let (now, wall) = (Tick(from.number()?), WallTime(from.number()? as i64));
    let event = match from.number()? {
        0 => Event::Wake,
        1 => Event::Elected { registry: Box::new(Registry::decode(from.bytes()?).ok()?) },
        2 => Event::Deposed,
        3 => {
            let ticket = Ticket(from.number()?);
            let outcome = from.maybe_text()?.map_or(Ok(()), |why| Err(PersistError(why)));
            Event::Persisted { ticket, outcome }
        }
        kind @ (4 | 13) => {
            let to = if kind == 4 { Actor::Master } else { Actor::Observer(from.number()?) };
            let (sender, name) = (peer(&mut from)?, from.text()?);
            Event::FromAgent { from: sender, to, message: ToMaster::decode(&name, from.bytes()?).ok()? }
        }
        5 => {
            let sender = peer(&mut from)?;
            Event::FromDriver { from: sender, message: FromDriver::decode(CALL_NAME, from.bytes()?).ok()? }
        }
        6 => Event::Authenticating { peer: peer(&mut from)? },
        7 => Event::Authenticated { peer: peer(&mut from)?, principal: from.maybe_text()? },
        8 => Event::Exited { peer: peer(&mut from)? },
        9 => Event::FromScheduler {
            req: RequestId(from.number()?),
            // No stream has the number 0.
            conn: Some(from.number()?).filter(|conn| *conn != 0).map(ConnectionId),
            principal: from.maybe_text()?,
            stream_id: from.maybe_text()?,
            call: wire::decode(from.bytes()?).ok().map(Box::new)?,
        },
        10 => Event::FromOperator {
            req: RequestId(from.number()?),
            principal: from.maybe_text()?,
            call: wire::decode(from.bytes()?).ok().map(Box::new)?,
        },
        11 => Event::Closed { conn: ConnectionId(from.number()?) },
        12 => {
            let (is_list, count) = (from.number()? != 0, from.number()?);
            let hostnames: BTreeSet<String> = (0..count).map(|_| from.text()).collect::<Option<_>>()?;
            Event::Whitelist { hostnames: is_list.then_some(hostnames) }
        }
        14 => {
            let from_driver = peer(&mut from)?;
            let message = FromDriver::Register(Box::new(wire::decode(from.bytes()?).ok()?));
            Event::FromDriver { from: from_driver, message }
        }
        15 => {
            let from_driver = peer(&mut from)?;
            let info = Box::new(wire::decode(from.bytes()?).ok()?);
            Event::FromDriver {
                from: from_driver,
                message: FromDriver::Reregister { info, failover: from.number()? != 0 },
            }
        }
        16 => {
            let from_driver = peer(&mut from)?;
            let message = FromDriver::Deactivate(v1::FrameworkId { value: from.text()? });
            Event::FromDriver { from: from_driver, message }
        }
        17 => {
            let from_driver = peer(&mut from)?;
            Event::FromDriver { from: from_driver, message: FromDriver::Submit { name: from.text()? } }
        }
        _ => return None,
    };
    Some(Input { now, wall, event })
}

fn peer(from: &mut Unpack<'_>) -> Option<Upid> {
    from.text()?.parse().ok()
}

/// The kind of an event, for people and breakpoints: its own name, or that of the message or call in it.
pub fn kind_of(event: &Event) -> Arc<str> {
    let name = match event {
        Event::Wake => "Wake",
        Event::Elected { .. } => "Elected",
        Event::Deposed => "Deposed",
        Event::Persisted { .. } => "Persisted",
        Event::FromAgent { message, .. } => message.name().rsplit('.').next().unwrap_or_default(),
        Event::FromDriver { .. } => "FromDriver",
        Event::Authenticating { .. } => "Authenticating",
        Event::Authenticated { .. } => "Authenticated",
        Event::Exited { .. } => "Exited",
        Event::FromScheduler { call, .. } => call.r#type().as_str_name(),
        Event::FromOperator { call, .. } => call.r#type().as_str_name(),
        Event::Whitelist { .. } => "Whitelist",
        Event::Closed { .. } => "Closed",
    };
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proto::{internal, scheduler_v0::CallV0};

    #[test]
    fn inputs_come_back_as_they_were() {
        let upid: Upid = "slave(1)@10.0.0.1:5051".parse().unwrap_or_else(|error| panic!("{error}"));
        let call = v1::scheduler::Call { r#type: Some(3), ..Default::default() };
        let subscribe = v1::scheduler::Call { r#type: Some(1), subscribe: Some(Box::default()), ..Default::default() };
        let events = [
            Event::Wake,
            Event::Elected { registry: Box::default() },
            Event::Persisted { ticket: Ticket(7), outcome: Err(PersistError("full".into())) },
            Event::Persisted { ticket: Ticket(8), outcome: Ok(()) },
            Event::FromAgent {
                from: upid.clone(),
                to: Actor::Observer(7),
                message: internal::PongSlaveMessage {}.into(),
            },
            Event::FromAgent {
                from: upid.clone(),
                to: Actor::Master,
                message: internal::UnregisterSlaveMessage::default().into(),
            },
            Event::FromDriver { from: upid.clone(), message: FromDriver::Register(Box::default()) },
            Event::FromDriver {
                from: upid.clone(),
                message: FromDriver::Reregister { info: Box::default(), failover: true },
            },
            Event::FromDriver {
                from: upid.clone(),
                message: FromDriver::Deactivate(v1::FrameworkId { value: "f".into() }),
            },
            Event::FromDriver { from: upid.clone(), message: FromDriver::Submit { name: "s".into() } },
            Event::FromDriver {
                from: upid.clone(),
                message: FromDriver::Call(Box::new(CallV0 { call: subscribe, force: true })),
            },
            Event::Authenticating { peer: upid.clone() },
            Event::Authenticated { peer: upid.clone(), principal: Some("p".into()) },
            Event::Exited { peer: upid },
            Event::FromScheduler {
                req: RequestId(1),
                conn: Some(ConnectionId(2)),
                principal: None,
                stream_id: Some("s".into()),
                call: Box::new(call),
            },
            Event::FromOperator { req: RequestId(3), principal: Some("o".into()), call: Box::default() },
            Event::Whitelist { hostnames: None },
            Event::Whitelist { hostnames: Some(BTreeSet::new()) },
            Event::Whitelist { hostnames: Some(BTreeSet::from(["a".into(), "b".into()])) },
            Event::Closed { conn: ConnectionId(9) },
            Event::Deposed,
        ];
        for event in events {
            let input = Input { now: Tick(5), wall: WallTime(-7), event };
            let back = encode(&input).and_then(|bytes| decode(&bytes));
            assert_eq!(back.map(|back| format!("{back:?}")), Some(format!("{input:?}")));
        }
        assert!(decode(&[1, 2, 99]).is_none());
    }
}
