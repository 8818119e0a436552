//! Inputs as bytes, so that a master's run can be recorded and stepped through again. Messages stand as they travel;
//! the rest is a tag and its fields. Where recordings are kept is `observe`'s.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

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

use crate::{Actor, Config, Event, Input, PersistError};

/// What a recording begins with: all that a master is made from. Of the configuration, times, counts and switches.
#[derive(Clone, Debug)]
pub struct Beginning {
    pub info: v1::MasterInfo,
    pub seed: u64,
    pub config: Config,
}

impl Beginning {
    pub fn encode(&self) -> Vec<u8> {
        let Beginning { info, seed, config } = self;
        let mut out = Pack::default();
        out.bytes(&wire::encode(info)).number(*seed);
        for time in [
            config.agent_ping_timeout,
            config.agent_reregister_timeout,
            config.offer_timeout.unwrap_or_default(),
            config.heartbeat_interval,
            config.registry_gc_interval,
            config.registry_max_agent_age,
            config.allocator.interval,
            config.allocator.coalesce,
        ] {
            out.number(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
        }
        for count in [
            config.max_agent_ping_timeouts as usize,
            config.max_completed_frameworks,
            config.max_completed_tasks_per_framework,
            config.max_unreachable_tasks_per_framework,
            config.registry_max_agent_count,
        ] {
            out.number(count as u64);
        }
        out.number(config.recovery_agent_removal_limit.to_bits());
        for switch in [
            config.authenticate_frameworks,
            config.authenticate_agents,
            config.root_submissions,
            config.require_agent_domain,
            config.allocator.event_driven,
        ] {
            out.number(u64::from(switch));
        }
        for bytes in [config.framework_bytes_max, config.task_bytes_max] {
            out.number(bytes as u64);
        }
        out.take()
    }

    pub fn decode(bytes: &[u8]) -> Option<Beginning> {
        let mut from = Unpack::new(bytes);
        let info = wire::decode(from.bytes()?).ok()?;
        let seed = from.number()?;
        let mut time = || from.number().map(Duration::from_nanos);
        let mut config = Config {
            agent_ping_timeout: time()?,
            agent_reregister_timeout: time()?,
            offer_timeout: time().filter(|time| !time.is_zero()),
            heartbeat_interval: time()?,
            registry_gc_interval: time()?,
            registry_max_agent_age: time()?,
            ..Config::default()
        };
        config.allocator.interval = time()?;
        config.allocator.coalesce = time()?;
        let mut count = || from.number().and_then(|count| usize::try_from(count).ok());
        config.max_agent_ping_timeouts = u32::try_from(count()?).ok()?;
        config.max_completed_frameworks = count()?;
        config.max_completed_tasks_per_framework = count()?;
        config.max_unreachable_tasks_per_framework = count()?;
        config.registry_max_agent_count = count()?;
        config.recovery_agent_removal_limit = f64::from_bits(from.number()?);
        let mut switch = || from.number().map(|switch| switch != 0);
        config.authenticate_frameworks = switch()?;
        config.authenticate_agents = switch()?;
        config.root_submissions = switch()?;
        config.require_agent_domain = switch()?;
        config.allocator.event_driven = switch()?;
        // Older recordings end here; nothing was too large for their masters.
        let mut bytes = || from.number().and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(usize::MAX);
        config.framework_bytes_max = bytes();
        config.task_bytes_max = bytes();
        Some(Beginning { info, seed, config })
    }
}

/// One input. `None` for the one kind that cannot be told: what an old driver's message became.
pub fn encode(input: &Input) -> Option<Vec<u8>> {
    let mut out = Pack::default();
    out.number(input.now.0).number(input.wall.0 as u64);
    match &input.event {
        Event::Wake => out.number(0),
        Event::Elected { registry } => out.number(1).bytes(&registry.encode()),
        Event::Deposed => out.number(2),
        Event::Persisted { ticket, outcome } => {
            let error = outcome.as_ref().err().map(|error| error.0.as_str());
            out.number(3).number(*ticket).maybe_text(error)
        }
        Event::FromAgent { from, to, message } => {
            match to {
                Actor::Master => out.number(4),
                Actor::Observer(number) => out.number(13).number(*number),
            };
            out.text(&from.to_string()).text(message.name()).bytes(&message.encode())
        }
        Event::FromDriver { from, message } => {
            let FromDriver::Call(call) = message else { return None };
            out.number(5).text(&from.to_string()).bytes(&encode_v0(call).ok()?)
        }
        Event::Authenticating { peer } => out.number(6).text(&peer.to_string()),
        Event::Authenticated { peer, principal } => {
            out.number(7).text(&peer.to_string()).maybe_text(principal.as_deref())
        }
        Event::Exited { peer } => out.number(8).text(&peer.to_string()),
        Event::FromScheduler { req, conn, principal, stream_id, call } => {
            out.number(9).number(*req).number(*conn).maybe_text(principal.as_deref()).maybe_text(stream_id.as_deref());
            out.bytes(&wire::encode(&**call))
        }
        Event::FromOperator { req, principal, call } => {
            out.number(10).number(*req).maybe_text(principal.as_deref()).bytes(&wire::encode(&**call))
        }
        Event::Closed { conn } => out.number(11).number(*conn),
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
            let ticket = from.number()?;
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
            req: from.number()?,
            conn: from.number()?,
            principal: from.maybe_text()?,
            stream_id: from.maybe_text()?,
            call: wire::decode(from.bytes()?).ok().map(Box::new)?,
        },
        10 => Event::FromOperator {
            req: from.number()?,
            principal: from.maybe_text()?,
            call: wire::decode(from.bytes()?).ok().map(Box::new)?,
        },
        11 => Event::Closed { conn: from.number()? },
        12 => {
            let (is_list, count) = (from.number()? != 0, from.number()?);
            let hostnames: BTreeSet<String> = (0..count).map(|_| from.text()).collect::<Option<_>>()?;
            Event::Whitelist { hostnames: is_list.then_some(hostnames) }
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
    use proto::internal;

    #[test]
    fn inputs_come_back_as_they_were() {
        let upid: Upid = "slave(1)@10.0.0.1:5051".parse().unwrap_or_else(|error| panic!("{error}"));
        let call = v1::scheduler::Call { r#type: Some(3), ..Default::default() };
        let events = [
            Event::Wake,
            Event::Elected { registry: Box::default() },
            Event::Persisted { ticket: 7, outcome: Err(PersistError("full".into())) },
            Event::Persisted { ticket: 8, outcome: Ok(()) },
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
            Event::Authenticated { peer: upid.clone(), principal: Some("p".into()) },
            Event::Exited { peer: upid },
            Event::FromScheduler {
                req: 1,
                conn: 2,
                principal: None,
                stream_id: Some("s".into()),
                call: Box::new(call),
            },
            Event::FromOperator { req: 3, principal: Some("o".into()), call: Box::default() },
            Event::Whitelist { hostnames: None },
            Event::Whitelist { hostnames: Some(BTreeSet::new()) },
            Event::Whitelist { hostnames: Some(BTreeSet::from(["a".into(), "b".into()])) },
            Event::Closed { conn: 9 },
            Event::Deposed,
        ];
        for event in events {
            let input = Input { now: Tick(5), wall: WallTime(-7), event };
            let back = encode(&input).and_then(|bytes| decode(&bytes));
            assert_eq!(back.map(|back| format!("{back:?}")), Some(format!("{input:?}")));
        }
        assert!(decode(&[1, 2, 99]).is_none());
    }

    #[test]
    fn a_beginning_comes_back_as_it_was() {
        let mut config = Config { max_completed_frameworks: 3, ..Config::default() };
        config.allocator.event_driven = false;
        let beginning = Beginning { info: v1::MasterInfo { id: "m".into(), ..Default::default() }, seed: 9, config };
        let back = Beginning::decode(&beginning.encode());
        assert_eq!(back.map(|back| format!("{back:?}")), Some(format!("{beginning:?}")));
    }
}
