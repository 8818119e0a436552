//! Nested containers, through the agent's v1 API: launches, waits, signals, and checks that run inside a container.
//! Each call under way has a connection of its own, because a wait holds its connection until the container ends;
//! connections that fall free are used again.

use std::time::Duration;

use bytes::Bytes;
use proto::v1::{
    self,
    agent::{self, call},
};
use stdx::{Tick, rng::uuid_text};

use crate::{
    checks::{ProbeResult, Which},
    http::{Connection, Piece},
    link::RequestHead,
    settings::Settings,
    step::{Ended, Event, Signal},
};

const RETRY_DELAY: Duration = Duration::from_secs(1);
const MAX_IDLE: usize = 4;
const MAX_BODY: usize = 1 << 20;

/// The calls under way.
pub struct Containers<'a> {
    settings: &'a Settings,
    head: RequestHead,
    exchanges: Vec<Exchange>,
    idle: Vec<Connection>,
}

struct Exchange {
    purpose: Purpose,
    request: Bytes,
    connection: Option<Connection>,
    /// The connection had been used before: it may have died meanwhile, so one immediate retry is fair.
    reused: bool,
    retry_at: Option<Tick>,
    status: Option<u16>,
    body: Vec<u8>,
}

#[derive(Clone)]
enum Purpose {
    Launch {
        task: String,
    },
    Wait {
        task: String,
    },
    Signal {
        task: String,
    },
    /// The command of a check runs; the response ends when it does.
    Session(Check),
    /// The exit status of a check's command is asked for.
    CheckWait(Check),
    /// Nobody waits for the answer.
    Cleanup(Cleanup),
}

#[derive(Clone)]
enum Cleanup {
    Kill(Box<v1::ContainerId>),
    Wait(Box<v1::ContainerId>),
    Remove,
}

#[derive(Clone)]
struct Check {
    task: String,
    which: Which,
    deadline: Option<Tick>,
    container: Box<v1::ContainerId>,
}

impl<'a> Containers<'a> {
    pub fn new(settings: &'a Settings) -> Containers<'a> {
        Containers { settings, head: RequestHead::new(settings, "/api/v1"), exchanges: Vec::new(), idle: Vec::new() }
    }

    pub fn launch(&mut self, now: Tick, task: String, launch: call::LaunchContainer) {
        let call = agent::Call { launch_container: Some(launch), ..typed(call::Type::LaunchContainer) };
        self.start(now, Purpose::Launch { task }, &call);
    }

    pub fn wait(&mut self, now: Tick, task: String, container: v1::ContainerId) {
        self.start(now, Purpose::Wait { task }, &wait_call(container));
    }

    pub fn signal(&mut self, now: Tick, task: String, container: v1::ContainerId, signal: Signal) {
        let number = match signal {
            Signal::Terminate => libc::SIGTERM,
            Signal::Kill => libc::SIGKILL,
        };
        self.start(now, Purpose::Signal { task }, &kill_call(container, number));
    }

    /// Runs a check's command inside `parent`; `unique` names its container.
    pub fn check(
        &mut self,
        now: Tick,
        (task, which): (String, Which),
        command: &v1::CommandInfo,
        timeout: Option<Duration>,
        (parent, unique): (Box<v1::ContainerId>, [u8; 16]),
    ) {
        let prefix = match which {
            Which::Health => "health-check",
            Which::Check => "check",
        };
        let container = v1::ContainerId { value: format!("{prefix}-{}", uuid_text(&unique)), parent: Some(parent) };
        let call = agent::Call {
            launch_nested_container_session: Some(call::LaunchNestedContainerSession {
                container_id: container.clone(),
                command: Some(command.clone()),
                container: None,
            }),
            ..typed(call::Type::LaunchNestedContainerSession)
        };
        let deadline = timeout.map(|timeout| now + timeout);
        self.start(now, Purpose::Session(Check { task, which, deadline, container: Box::new(container) }), &call);
    }

    /// Ends the checks of `task` without a result.
    pub fn forget_checks(&mut self, now: Tick, task: &str) {
        while let Some(index) = self.exchanges.iter().position(|exchange| exchange.check_of(task)) {
            let exchange = self.exchanges.swap_remove(index);
            self.clean_up(now, &exchange);
        }
    }

    /// The agent is gone, and every answer with it.
    pub fn clear(&mut self) {
        self.exchanges.clear();
        self.idle.clear();
    }

    pub fn sockets(&self) -> impl Iterator<Item = (usize, &Connection)> {
        let connections = self.exchanges.iter().enumerate();
        connections.filter_map(|(index, exchange)| Some((index, exchange.connection.as_ref()?)))
    }

    pub fn next_deadline(&self) -> Option<Tick> {
        self.exchanges.iter().flat_map(|exchange| [exchange.retry_at, exchange.deadline()]).flatten().min()
    }

    /// Repeats what is due, and ends one check whose time is over.
    pub fn on_wake(&mut self, now: Tick) -> Option<Event> {
        for exchange in &mut self.exchanges {
            if exchange.retry_at.is_some_and(|at| at <= now) {
                exchange.retry_at = None;
                exchange.open(self.settings, &self.head, now);
            }
        }
        let overdue = |exchange: &Exchange| exchange.deadline().is_some_and(|deadline| deadline <= now);
        let index = self.exchanges.iter().position(overdue)?;
        let exchange = self.exchanges.swap_remove(index);
        self.clean_up(now, &exchange);
        match exchange.purpose {
            Purpose::Session(check) | Purpose::CheckWait(check) => Some(check.result(ProbeResult::TimedOut)),
            _ => None,
        }
    }

    /// Reads what came for the exchange at `index`.
    pub fn on_ready(&mut self, index: usize, now: Tick) -> Option<Event> {
        let exchange = self.exchanges.get_mut(index)?;
        match exchange.read() {
            Ok(false) => return None,
            Ok(true) => {}
            Err(_) => {
                exchange.connection = None;
                exchange.status = None;
                exchange.body.clear();
                if std::mem::take(&mut exchange.reused) {
                    exchange.open(self.settings, &self.head, now);
                } else if matches!(exchange.purpose, Purpose::Session(_)) {
                    // A session that broke has ended its command; the next question is how.
                    exchange.status = Some(200);
                    return self.finish(index, now);
                } else {
                    exchange.retry_at = Some(now + RETRY_DELAY);
                }
                return None;
            }
        }
        if exchange.must_repeat() {
            exchange.status = None;
            exchange.body.clear();
            exchange.connection = None;
            exchange.retry_at = Some(now + RETRY_DELAY);
            return None;
        }
        self.finish(index, now)
    }

    fn finish(&mut self, index: usize, now: Tick) -> Option<Event> {
        let mut exchange = self.exchanges.swap_remove(index);
        if let Some(connection) = exchange.connection.take()
            && !connection.at_end()
            && self.idle.len() < MAX_IDLE
        {
            self.idle.push(connection);
        }
        let (status, body) = (exchange.status.unwrap_or_default(), &exchange.body);
        match exchange.purpose {
            Purpose::Launch { task } => Some(Event::ContainerLaunched { task, outcome: outcome(status, body) }),
            Purpose::Signal { task } => {
                // A container that is gone needs no signal; its wait tells the rest.
                let outcome = if status == 404 { Ok(()) } else { outcome(status, body) };
                Some(Event::ContainerSignalled { task, outcome })
            }
            Purpose::Wait { task } => Some(Event::ContainerEnded { task, outcome: ended(status, body) }),
            Purpose::Session(check) if status == 200 => {
                let call = wait_call((*check.container).clone());
                self.start(now, Purpose::CheckWait(check), &call);
                None
            }
            Purpose::Session(check) => {
                let why = outcome(status, body).err().unwrap_or_default();
                Some(check.result(ProbeResult::Failed(why)))
            }
            Purpose::CheckWait(check) => {
                let call = remove_call((*check.container).clone());
                self.start(now, Purpose::Cleanup(Cleanup::Remove), &call);
                Some(check.result(match ended(status, body) {
                    Ended::Known(told) => match told.exit_status {
                        Some(word) => ProbeResult::Command(word),
                        None => ProbeResult::Failed("The check ended without an exit status".to_owned()),
                    },
                    Ended::Unknown => ProbeResult::Failed("The check's container is unknown".to_owned()),
                }))
            }
            Purpose::Cleanup(Cleanup::Kill(container)) => {
                let call = wait_call((*container).clone());
                self.start(now, Purpose::Cleanup(Cleanup::Wait(container)), &call);
                None
            }
            Purpose::Cleanup(Cleanup::Wait(container)) => {
                self.start(now, Purpose::Cleanup(Cleanup::Remove), &remove_call(*container));
                None
            }
            Purpose::Cleanup(Cleanup::Remove) => None,
        }
    }

    /// Ends the command of a check that nobody waits for any more, and removes its container.
    fn clean_up(&mut self, now: Tick, exchange: &Exchange) {
        if let Purpose::Session(check) | Purpose::CheckWait(check) = &exchange.purpose {
            let container = check.container.clone();
            let call = kill_call((*container).clone(), libc::SIGKILL);
            self.start(now, Purpose::Cleanup(Cleanup::Kill(container)), &call);
        }
    }

    fn start(&mut self, now: Tick, purpose: Purpose, call: &agent::Call) {
        let mut exchange = Exchange {
            purpose,
            request: proto::wire::encode(call),
            connection: self.idle.pop(),
            reused: false,
            retry_at: None,
            status: None,
            body: Vec::new(),
        };
        match &mut exchange.connection {
            Some(connection) => {
                exchange.reused = true;
                self.head.queue(connection, &exchange.request);
                if connection.flush().is_err() {
                    exchange.reused = false;
                    exchange.open(self.settings, &self.head, now);
                }
            }
            None => exchange.open(self.settings, &self.head, now),
        }
        self.exchanges.push(exchange);
    }
}

impl Exchange {
    fn open(&mut self, settings: &Settings, head: &RequestHead, now: Tick) {
        let opened = Connection::open(&settings.endpoint).and_then(|mut connection| {
            head.queue(&mut connection, &self.request);
            connection.flush()?;
            Ok(connection)
        });
        match opened {
            Ok(connection) => self.connection = Some(connection),
            Err(_) => {
                self.connection = None;
                self.retry_at = Some(now + RETRY_DELAY);
            }
        }
    }

    /// Reads what is there; true once the response is complete.
    fn read(&mut self) -> Result<bool, String> {
        let Some(connection) = &mut self.connection else { return Ok(false) };
        connection.flush().and_then(|()| connection.fill()).map_err(|error| error.to_string())?;
        let keep = !matches!((&self.purpose, self.status), (Purpose::Session(_), Some(200)));
        while let Some(piece) = connection.next().map_err(|error| error.to_string())? {
            match piece {
                Piece::Head { status } => self.status = Some(status),
                // What a check's command prints is not looked at.
                Piece::Data(_) if !keep => {}
                Piece::Data(data) => {
                    let room = MAX_BODY.saturating_sub(self.body.len());
                    self.body.extend_from_slice(data.get(..room).unwrap_or(data));
                }
                Piece::End => return Ok(true),
            }
        }
        match connection.at_end() {
            true => Err("the agent closed the connection".to_owned()),
            false => Ok(false),
        }
    }

    /// An agent that is starting or overwhelmed is asked again, where asking twice does no harm.
    fn must_repeat(&self) -> bool {
        self.status == Some(503) && matches!(self.purpose, Purpose::Launch { .. } | Purpose::Wait { .. })
    }

    fn deadline(&self) -> Option<Tick> {
        match &self.purpose {
            Purpose::Session(check) | Purpose::CheckWait(check) => check.deadline,
            _ => None,
        }
    }

    fn check_of(&self, of: &str) -> bool {
        matches!(&self.purpose, Purpose::Session(Check { task, .. }) | Purpose::CheckWait(Check { task, .. }) if task == of)
    }
}

impl Check {
    fn result(self, result: ProbeResult) -> Event {
        Event::Probed { task: self.task, which: self.which, result }
    }
}

fn typed(kind: call::Type) -> agent::Call {
    agent::Call { r#type: Some(kind as i32), ..Default::default() }
}

fn wait_call(container_id: v1::ContainerId) -> agent::Call {
    agent::Call { wait_container: Some(call::WaitContainer { container_id }), ..typed(call::Type::WaitContainer) }
}

fn kill_call(container_id: v1::ContainerId, signal: i32) -> agent::Call {
    let kill = call::KillContainer { container_id, signal: Some(signal) };
    agent::Call { kill_container: Some(kill), ..typed(call::Type::KillContainer) }
}

fn remove_call(container_id: v1::ContainerId) -> agent::Call {
    agent::Call { remove_container: Some(call::RemoveContainer { container_id }), ..typed(call::Type::RemoveContainer) }
}

fn outcome(status: u16, body: &[u8]) -> Result<(), String> {
    match status {
        200..300 => Ok(()),
        _ => Err(format!("The agent answered {status}: {}", String::from_utf8_lossy(body).trim())),
    }
}

fn ended(status: u16, body: &[u8]) -> Ended {
    if status != 200 {
        return Ended::Unknown;
    }
    match proto::wire::decode::<agent::Response>(body) {
        Ok(response) => Ended::Known(Box::new(response.wait_container.unwrap_or_default())),
        Err(_) => Ended::Unknown,
    }
}
