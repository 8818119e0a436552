//! Inputs as bytes, so that an agent's run can be recorded and stepped through again. Messages stand as they travel;
//! the rest is a tag and its fields. The tags are none of a master's, so that a recording tells whose it is. Where
//! recordings are kept is `observe`'s.

use std::{sync::Arc, time::Duration};

use proto::{
    link::{FromExecutor, ToAgent},
    upid::Upid,
    v1::{self, TaskState, task_status::Reason},
    wire,
};
use stdx::{
    ConnectionId, RequestId, Tick, Ticket, WallTime,
    pack::{Pack, Unpack},
};

use crate::{
    Caller, Config, ContainerId, Event, Found, Input, LaunchFailure, Launched, Life, Proof, ReconfigurationPolicy,
    Record, Recover, Termination, recovery,
};

const BEGINNING: u64 = 100;

/// What a recording begins with: all that an agent is made from, and what its journal held.
#[derive(Clone, Debug)]
pub struct Beginning {
    pub seed: u64,
    pub config: Config,
    pub journal: Vec<Record>,
}

impl Beginning {
    pub fn encode(&self) -> Vec<u8> {
        // A field that is not named here would not be recorded.
        let Config {
            upid,
            info,
            version,
            capabilities,
            work_dir,
            sandbox_directory,
            switch_user,
            executor_environment,
            domain_socket,
            http_executor_domain_sockets,
            registration_backoff_factor,
            authenticate,
            authentication_backoff_factor,
            authentication_timeout_min,
            authentication_timeout_max,
            executor_registration_timeout,
            executor_reregistration_timeout,
            executor_shutdown_grace_period,
            recovery_timeout,
            gc_delay,
            gc_disk_headroom,
            disk_watch_interval,
            max_completed_executors_per_framework,
            cpu_limits,
            mem_limits,
            recover,
            reconfiguration_policy,
        } = &self.config;
        let mut out = Pack::default();
        out.number(BEGINNING).number(self.seed).text(&upid.to_string()).bytes(&wire::encode(info)).text(version);
        out.text(work_dir).text(sandbox_directory).maybe_text(domain_socket.as_deref());
        out.number(capabilities.len() as u64);
        for capability in capabilities {
            out.number(*capability as u64);
        }
        out.number(executor_environment.len() as u64);
        for (name, value) in executor_environment {
            out.text(name).text(value);
        }
        for switch in [switch_user, http_executor_domain_sockets, authenticate, cpu_limits, mem_limits] {
            out.number(u64::from(*switch));
        }
        for time in [
            registration_backoff_factor,
            authentication_backoff_factor,
            authentication_timeout_min,
            authentication_timeout_max,
            executor_registration_timeout,
            executor_reregistration_timeout,
            executor_shutdown_grace_period,
            recovery_timeout,
            gc_delay,
            disk_watch_interval,
        ] {
            out.number(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
        }
        out.number(gc_disk_headroom.to_bits());
        out.number(*max_completed_executors_per_framework as u64);
        out.number(u64::from(*recover == Recover::Cleanup));
        out.number(u64::from(*reconfiguration_policy == ReconfigurationPolicy::Additive));
        out.number(self.journal.len() as u64);
        for record in &self.journal {
            out.bytes(&record.to_bytes());
        }
        out.take()
    }

    pub fn decode(bytes: &[u8]) -> Option<Beginning> {
        let mut from = Unpack::new(bytes);
        if from.number()? != BEGINNING {
            return None;
        }
        let seed = from.number()?;
        let (upid, info) = (peer(&mut from)?, wire::decode(from.bytes()?).ok()?);
        let version = from.text()?;
        let (work_dir, sandbox_directory, domain_socket) = (from.text()?, from.text()?, from.maybe_text()?);
        let capabilities = many(&mut from, |from| {
            let number = i32::try_from(from.number()?).ok()?;
            v1::agent_info::capability::Type::try_from(number).ok()
        })?;
        let executor_environment = many(&mut from, |from| Some((from.text()?, from.text()?)))?;
        let switch = |from: &mut Unpack<'_>| Some(from.number()? != 0);
        let time = |from: &mut Unpack<'_>| Some(Duration::from_nanos(from.number()?));
        // In the order in which they are written, which is not that of the alphabet.
        let config = Config {
            upid,
            info,
            version,
            capabilities,
            work_dir,
            sandbox_directory,
            executor_environment,
            domain_socket,
            switch_user: switch(&mut from)?,
            http_executor_domain_sockets: switch(&mut from)?,
            authenticate: switch(&mut from)?,
            cpu_limits: switch(&mut from)?,
            mem_limits: switch(&mut from)?,
            registration_backoff_factor: time(&mut from)?,
            authentication_backoff_factor: time(&mut from)?,
            authentication_timeout_min: time(&mut from)?,
            authentication_timeout_max: time(&mut from)?,
            executor_registration_timeout: time(&mut from)?,
            executor_reregistration_timeout: time(&mut from)?,
            executor_shutdown_grace_period: time(&mut from)?,
            recovery_timeout: time(&mut from)?,
            gc_delay: time(&mut from)?,
            disk_watch_interval: time(&mut from)?,
            gc_disk_headroom: f64::from_bits(from.number()?),
            max_completed_executors_per_framework: usize::try_from(from.number()?).ok()?,
            recover: if from.number()? == 0 { Recover::Reconnect } else { Recover::Cleanup },
            reconfiguration_policy: match from.number()? {
                0 => ReconfigurationPolicy::Equal,
                _ => ReconfigurationPolicy::Additive,
            },
        };
        let journal = many(&mut from, |from| Record::from_bytes(from.bytes()?).ok())?;
        Some(Beginning { seed, config, journal })
    }

    /// An input as the agent had it: what the journal held stands here, and not in `Recovered`.
    pub fn complete(&self, mut input: Input) -> Input {
        if let Event::Recovered { state, .. } = &mut input.event {
            **state = recovery::replay(self.journal.iter().cloned());
        }
        input
    }
}

/// One input. What the journal held stands in the beginning.
pub fn encode(input: &Input) -> Vec<u8> {
    let mut out = Pack::default();
    out.number(input.now.0).number(input.wall.0 as u64);
    match &input.event {
        Event::Wake => out.number(101),
        Event::Recovered { state: _, found, boot_id } => {
            out.number(102).text(boot_id).number(found.len() as u64);
            for Found { container, life, sandbox } in found {
                out.text(&container.to_string()).maybe_text(sandbox.as_deref());
                match life {
                    Life::Running { pid } => maybe(out.number(0), pid.map(u64::from)),
                    Life::Ended(termination) => pack_termination(out.number(1), termination),
                };
            }
            &mut out
        }
        Event::MasterDetected { master } => {
            out.number(103).maybe_text(master.as_ref().map(ToString::to_string).as_deref())
        }
        Event::Authenticated { master, proof } => {
            out.number(104).text(&master.to_string());
            match proof {
                Proof::Taken => out.number(0),
                Proof::Refused => out.number(1),
                Proof::Failed(why) => out.number(2).text(why),
            }
        }
        Event::FromMaster { from, message } => {
            out.number(105).text(&from.to_string()).text(message.name()).bytes(&message.encode())
        }
        Event::Exited { peer } => out.number(106).text(&peer.to_string()),
        Event::FromExecutor { req, conn, caller, call } => {
            pack_caller(maybe(out.number(108).number(req.0), conn.map(|conn| conn.0)), caller)
                .bytes(&wire::encode(&**call))
        }
        Event::FromOperator { req, conn, caller, call } => {
            pack_caller(out.number(109).number(req.0).number(conn.0), caller).bytes(&wire::encode(&**call))
        }
        Event::Closed { conn } => out.number(110).number(conn.0),
        Event::Checkpointed { ticket, outcome } => {
            out.number(111).number(ticket.0).maybe_text(outcome.as_ref().err().map(String::as_str))
        }
        Event::Launched { container, outcome } => {
            out.number(112).text(&container.to_string());
            match outcome {
                Ok(Launched { pid }) => maybe(out.number(0), pid.map(u64::from)),
                Err(LaunchFailure { reason, message, not_supported }) => {
                    maybe(out.number(1), reason.map(|reason| reason as u64));
                    out.text(message).number(u64::from(*not_supported))
                }
            }
        }
        Event::Terminated { container, termination } => {
            pack_termination(out.number(113).text(&container.to_string()), termination)
        }
        Event::LimitsRefused { container, message } => out.number(114).text(&container.to_string()).text(message),
        Event::DiskMeasured { used } => out.number(115).number(used.to_bits()),
        Event::Shutdown { why } => out.number(116).text(why),
        Event::FromDriver { from, caller, message } => {
            pack_caller(out.number(118).text(&from.to_string()), caller).text(message.name()).bytes(&message.encode())
        }
        Event::VolumesLinked { ticket, outcome } => {
            out.number(117).number(ticket.0).maybe_text(outcome.as_ref().err().map(String::as_str))
        }
    };
    out.take()
}

pub fn decode(bytes: &[u8]) -> Option<Input> {
    let mut from = Unpack::new(bytes);
    let (now, wall) = (Tick(from.number()?), WallTime(from.number()? as i64));
    let event = match from.number()? {
        101 => Event::Wake,
        102 => Event::Recovered { boot_id: from.text()?, found: many(&mut from, found)?, state: Box::default() },
        103 => Event::MasterDetected {
            master: match from.maybe_text()? {
                Some(text) => Some(text.parse().ok()?),
                None => None,
            },
        },
        104 => Event::Authenticated {
            master: peer(&mut from)?,
            proof: match from.number()? {
                0 => Proof::Taken,
                1 => Proof::Refused,
                _ => Proof::Failed(from.text()?),
            },
        },
        105 => {
            let (sender, name) = (peer(&mut from)?, from.text()?);
            Event::FromMaster { from: sender, message: ToAgent::decode(&name, from.bytes()?).ok()? }
        }
        106 => Event::Exited { peer: peer(&mut from)? },
        108 => Event::FromExecutor {
            req: RequestId(from.number()?),
            conn: unpack_maybe(&mut from)?.map(ConnectionId),
            caller: caller(&mut from)?,
            call: wire::decode(from.bytes()?).ok().map(Box::new)?,
        },
        109 => Event::FromOperator {
            req: RequestId(from.number()?),
            conn: ConnectionId(from.number()?),
            caller: caller(&mut from)?,
            call: wire::decode(from.bytes()?).ok().map(Box::new)?,
        },
        110 => Event::Closed { conn: ConnectionId(from.number()?) },
        111 => Event::Checkpointed { ticket: Ticket(from.number()?), outcome: from.maybe_text()?.map_or(Ok(()), Err) },
        112 => {
            let container = container(&mut from)?;
            let outcome = match from.number()? {
                0 => Ok(Launched { pid: pid(&mut from)? }),
                _ => {
                    let reason = unpack_maybe(&mut from)?.and_then(reason_of);
                    Err(LaunchFailure { reason, message: from.text()?, not_supported: from.number()? != 0 })
                }
            };
            Event::Launched { container, outcome }
        }
        113 => Event::Terminated { container: container(&mut from)?, termination: unpack_termination(&mut from)? },
        114 => Event::LimitsRefused { container: container(&mut from)?, message: from.text()? },
        115 => Event::DiskMeasured { used: f64::from_bits(from.number()?) },
        116 => Event::Shutdown { why: from.text()? },
        117 => Event::VolumesLinked { ticket: Ticket(from.number()?), outcome: from.maybe_text()?.map_or(Ok(()), Err) },
        118 => {
            let (sender, caller, name) = (peer(&mut from)?, caller(&mut from)?, from.text()?);
            Event::FromDriver { from: sender, caller, message: FromExecutor::decode(&name, from.bytes()?).ok()? }
        }
        _ => return None,
    };
    Some(Input { now, wall, event })
}

fn pack_termination<'a>(out: &'a mut Pack, termination: &Termination) -> &'a mut Pack {
    let Termination { status, state, reason, limitation, message } = termination;
    maybe(out, status.map(|status| u64::from(status as u32)));
    maybe(out, state.map(|state| state as u64));
    maybe(out, reason.map(|reason| reason as u64));
    out.maybe_text(message.as_deref());
    match limitation {
        None => out.number(0),
        Some(limitation) => out.number(1).bytes(&wire::encode(limitation)),
    }
}

fn unpack_termination(from: &mut Unpack<'_>) -> Option<Termination> {
    let status = unpack_maybe(from)?.map(|status| status as u32 as i32);
    let state = unpack_maybe(from)?.and_then(|state| TaskState::try_from(i32::try_from(state).ok()?).ok());
    let reason = unpack_maybe(from)?.and_then(reason_of);
    let message = from.maybe_text()?;
    let limitation = match from.number()? {
        0 => None,
        _ => Some(wire::decode(from.bytes()?).ok()?),
    };
    Some(Termination { status, state, reason, limitation, message })
}

fn found(from: &mut Unpack<'_>) -> Option<Found> {
    let (container, sandbox) = (container(from)?, from.maybe_text()?);
    let life = match from.number()? {
        0 => Life::Running { pid: pid(from)? },
        _ => Life::Ended(unpack_termination(from)?),
    };
    Some(Found { container, life, sandbox })
}

fn maybe(out: &mut Pack, value: Option<u64>) -> &mut Pack {
    match value {
        None => out.number(0),
        Some(value) => out.number(1).number(value),
    }
}

fn unpack_maybe(from: &mut Unpack<'_>) -> Option<Option<u64>> {
    match from.number()? {
        0 => Some(None),
        _ => from.number().map(Some),
    }
}

fn pid(from: &mut Unpack<'_>) -> Option<Option<u32>> {
    Some(unpack_maybe(from)?.and_then(|pid| u32::try_from(pid).ok()))
}

fn reason_of(number: u64) -> Option<Reason> {
    Reason::try_from(i32::try_from(number).ok()?).ok()
}

fn pack_caller<'a>(out: &'a mut Pack, caller: &Caller) -> &'a mut Pack {
    match caller {
        Caller::Operator => out.number(0),
        Caller::Container(container) => out.number(1).text(container.as_str()),
        Caller::Network => out.number(2),
        Caller::User(uid) => out.number(3).number(u64::from(*uid)),
        Caller::Stranger(why) => out.number(4).text(why),
    }
}

fn caller(from: &mut Unpack<'_>) -> Option<Caller> {
    Some(match from.number()? {
        0 => Caller::Operator,
        1 => Caller::Container(container(from)?),
        2 => Caller::Network,
        3 => Caller::User(u32::try_from(from.number()?).ok()?),
        _ => Caller::Stranger(from.text()?),
    })
}

fn container(from: &mut Unpack<'_>) -> Option<ContainerId> {
    let text = from.text()?;
    let mut parts = text.split('.');
    let root = ContainerId::root_of(parts.next()?);
    Some(parts.fold(root, |parent, name| parent.child(name)))
}

fn peer(from: &mut Unpack<'_>) -> Option<Upid> {
    from.text()?.parse().ok()
}

fn many<T>(from: &mut Unpack<'_>, mut one: impl FnMut(&mut Unpack<'_>) -> Option<T>) -> Option<Vec<T>> {
    let count = from.number()?;
    let mut all = Vec::new();
    for _ in 0..count {
        all.push(one(from)?);
    }
    Some(all)
}

/// The kind of an event, for people and breakpoints: its own name, or that of the message or call in it.
pub fn kind_of(event: &Event) -> Arc<str> {
    let name = match event {
        Event::Wake => "Wake",
        Event::Recovered { .. } => "Recovered",
        Event::MasterDetected { .. } => "MasterDetected",
        Event::Authenticated { .. } => "Authenticated",
        Event::FromMaster { message, .. } => message.name().rsplit('.').next().unwrap_or_default(),
        Event::Exited { .. } => "Exited",
        Event::FromExecutor { call, .. } => call.r#type().as_str_name(),
        Event::FromDriver { message, .. } => message.name().rsplit('.').next().unwrap_or_default(),
        Event::FromOperator { call, .. } => call.r#type().as_str_name(),
        Event::Closed { .. } => "Closed",
        Event::Checkpointed { .. } => "Checkpointed",
        Event::Launched { .. } => "Launched",
        Event::Terminated { .. } => "Terminated",
        Event::LimitsRefused { .. } => "LimitsRefused",
        Event::DiskMeasured { .. } => "DiskMeasured",
        Event::Shutdown { .. } => "Shutdown",
        Event::VolumesLinked { .. } => "VolumesLinked",
    };
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proto::internal;

    #[test]
    fn inputs_come_back_as_they_were() {
        let upid = Upid::new("master", "10.0.0.1", 5050);
        let container = ContainerId::root_of("c").child("n");
        let (req, conn) = (RequestId(1), ConnectionId(2));
        let termination = Termination {
            status: Some(-9),
            state: Some(TaskState::TaskKilled),
            reason: Some(Reason::ContainerLimitationMemory),
            limitation: Some(v1::TaskResourceLimitation::default()),
            message: Some("too much".into()),
        };
        let failure = LaunchFailure { reason: Some(Reason::ContainerLaunchFailed), ..LaunchFailure::default() };
        let found = [Life::Running { pid: Some(7) }, Life::Ended(termination.clone())].map(|life| Found {
            container: container.clone(),
            life,
            sandbox: Some("/s".into()),
        });
        let events = [
            Event::Wake,
            Event::Recovered { state: Box::default(), found: found.to_vec(), boot_id: "b".into() },
            Event::MasterDetected { master: Some(upid.clone()) },
            Event::MasterDetected { master: None },
            Event::Authenticated { master: upid.clone(), proof: Proof::Failed("why".into()) },
            Event::FromMaster { from: upid.clone(), message: internal::PingSlaveMessage { connected: true }.into() },
            Event::Exited { peer: upid.clone() },
            Event::FromDriver {
                from: upid,
                caller: Caller::Container(container.clone()),
                message: internal::RegisterExecutorMessage::default().into(),
            },
            Event::FromExecutor {
                req,
                conn: Some(conn),
                caller: Caller::Container(container.clone()),
                call: Box::default(),
            },
            Event::FromExecutor { req, conn: None, caller: Caller::Network, call: Box::default() },
            Event::FromExecutor { req, conn: None, caller: Caller::User(1000), call: Box::default() },
            Event::FromOperator { req, conn, caller: Caller::Operator, call: Box::default() },
            Event::FromOperator { req, conn, caller: Caller::Stranger("who?".into()), call: Box::default() },
            Event::Closed { conn: ConnectionId(3) },
            Event::Checkpointed { ticket: Ticket(4), outcome: Err("full".into()) },
            Event::Launched { container: container.clone(), outcome: Ok(Launched { pid: None }) },
            Event::Launched { container: container.clone(), outcome: Err(failure) },
            Event::Terminated { container: container.clone(), termination },
            Event::LimitsRefused { container, message: "no".into() },
            Event::DiskMeasured { used: 0.5 },
            Event::Shutdown { why: "enough".into() },
            Event::VolumesLinked { ticket: Ticket(5), outcome: Err("there is a file of that name".into()) },
        ];
        for event in events {
            let input = Input { now: Tick(5), wall: WallTime(-7), event };
            let back = decode(&encode(&input));
            assert_eq!(back.map(|back| format!("{back:?}")), Some(format!("{input:?}")));
        }
        assert!(decode(&[1, 2, 99]).is_none());
    }

    #[test]
    fn a_beginning_comes_back_as_it_was() {
        let upid = Upid::new("slave(1)", "10.0.0.2", 5051);
        let mut config = Config::new(upid, v1::AgentInfo { hostname: "h".into(), ..Default::default() }, "/srv");
        config.switch_user = false;
        config.gc_delay = Duration::from_secs(1);
        config.executor_environment.push(("A".into(), "b".into()));
        let record = Record::Boot(recovery::record::Boot { boot_id: "b".into() });
        let beginning = Beginning { seed: 9, config, journal: vec![record] };
        let back = Beginning::decode(&beginning.encode());
        assert_eq!(back.map(|back| format!("{back:?}")), Some(format!("{beginning:?}")));
    }
}
