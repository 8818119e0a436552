//! The loop around a machine: waits for sockets, children and deadlines, turns them into events, performs actions.

use std::{
    collections::VecDeque,
    io,
    path::Path,
    time::{Duration, Instant, SystemTime},
};

use bytes::Bytes;
use proto::v1::{self, executor};
use stdx::{Rng, Tick};

use crate::{
    checks::Target,
    containers::Containers,
    link::{Link, News},
    outbox::Outbox,
    probe::Probes,
    process::Processes,
    settings::Settings,
    step::{Action, Event, Machine, duration},
    task_links,
};

/// How long the loop sleeps at most; there is always a deadline or a socket that matters earlier.
const MAX_SLEEP: Duration = Duration::from_secs(3600);

/// Runs `machine` until it exits; the result is the exit code.
pub fn run(settings: &Settings, machine: &mut dyn Machine) -> io::Result<u8> {
    let mut shell = Shell::new(settings)?;
    shell.link.subscribe(shell.now(), &shell.outbox, &mut shell.news);
    shell.take_news();
    let mut actions = Vec::new();
    loop {
        while let Some(event) = shell.next_event() {
            machine.handle(shell.now(), event, &mut actions);
            for action in actions.drain(..) {
                if let Some(code) = shell.perform(action) {
                    shell.processes.end_all();
                    return Ok(code);
                }
            }
        }
        let now = shell.now();
        shell.link.flush(now);
        shell.wait(now, machine.next_deadline())?;
        let now = shell.now();
        if machine.next_deadline().is_some_and(|deadline| deadline <= now) {
            shell.push(Event::Wake);
        }
    }
}

/// What a polled descriptor is.
#[derive(Clone, Copy)]
enum Source {
    Signals,
    Stream,
    Calls,
    Probe(usize),
    Container(usize),
}

/// What the machine has yet to hear. An acknowledgement is looked at when its turn comes, not when it arrives: only
/// then is it known whether an update was sent meanwhile.
enum Incoming {
    Event(Event),
    Acknowledged(executor::event::Acknowledged),
}

struct Shell<'a> {
    origin: Instant,
    settings: &'a Settings,
    link: Link<'a>,
    outbox: Outbox,
    processes: Processes,
    probes: Probes,
    containers: Containers<'a>,
    /// The process of the command task.
    main: Option<i32>,
    incoming: VecDeque<Incoming>,
    news: Vec<News>,
    polled: Vec<libc::pollfd>,
    sources: Vec<Source>,
}

impl<'a> Shell<'a> {
    fn new(settings: &'a Settings) -> io::Result<Shell<'a>> {
        let mut seed = [0; 8];
        kernel::random(&mut seed)?;
        Ok(Shell {
            origin: Instant::now(),
            settings,
            link: Link::new(settings, Rng::new(u64::from_ne_bytes(seed))),
            outbox: Outbox::default(),
            processes: Processes::new()?,
            probes: Probes::default(),
            containers: Containers::new(settings),
            main: None,
            incoming: VecDeque::new(),
            news: Vec::new(),
            polled: Vec::new(),
            sources: Vec::new(),
        })
    }

    fn now(&self) -> Tick {
        Tick(u64::try_from(self.origin.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    fn push(&mut self, event: Event) {
        self.incoming.push_back(Incoming::Event(event));
    }

    fn next_event(&mut self) -> Option<Event> {
        loop {
            match self.incoming.pop_front()? {
                Incoming::Event(event) => return Some(event),
                Incoming::Acknowledged(ack) => {
                    if self.outbox.acknowledge(&ack.task_id, &ack.uuid) {
                        return Some(Event::Settled { task: ack.task_id.value });
                    }
                }
            }
        }
    }

    /// Waits for the next thing to happen and takes it in.
    fn wait(&mut self, now: Tick, machine: Option<Tick>) -> io::Result<()> {
        self.polled.clear();
        self.sources.clear();
        let mut add = |source, fd, events| {
            self.sources.push(source);
            self.polled.push(libc::pollfd { fd, events, revents: 0 });
        };
        add(Source::Signals, self.processes.fd(), libc::POLLIN);
        if let Some(stream) = self.link.stream() {
            add(Source::Stream, stream.fd(), stream.interest());
        }
        if let Some(calls) = self.link.calls() {
            add(Source::Calls, calls.fd(), calls.interest());
        }
        for (index, fd, interest) in self.probes.sockets() {
            add(Source::Probe(index), fd, interest);
        }
        for (index, connection) in self.containers.sockets() {
            add(Source::Container(index), connection.fd(), connection.interest());
        }
        let deadlines =
            [machine, self.link.next_deadline(), self.probes.next_deadline(), self.containers.next_deadline()];
        let sleep = deadlines.into_iter().flatten().min().map_or(MAX_SLEEP, |deadline| deadline.since(now));
        kernel::poll::wait(&mut self.polled, sleep.min(MAX_SLEEP))?;
        // From the last to the first: the end of a check moves the last check into its place.
        for index in (0..self.polled.len()).rev() {
            let (Some(polled), Some(source)) = (self.polled.get(index), self.sources.get(index)) else { continue };
            if polled.revents != 0 {
                self.on_ready(*source);
            }
        }
        let now = self.now();
        if self.link.next_deadline().is_some_and(|deadline| deadline <= now) {
            self.link.on_wake(now, &self.outbox, &mut self.news);
            self.take_news();
        }
        while let Some(event) = self.probes.take_overdue(now) {
            self.push(event);
        }
        while self.containers.next_deadline().is_some_and(|deadline| deadline <= now) {
            self.incoming.extend(self.containers.on_wake(now).map(Incoming::Event));
        }
        Ok(())
    }

    fn on_ready(&mut self, source: Source) {
        let now = self.now();
        match source {
            Source::Signals => {
                let signals = self.processes.take_signals();
                if signals.terminate {
                    self.push(Event::Shutdown);
                }
                while signals.child
                    && let Some((pid, word)) = self.processes.reap()
                {
                    self.on_exit(pid, word);
                }
            }
            Source::Stream => {
                self.link.on_stream_ready(now, &mut self.news);
                self.take_news();
            }
            Source::Calls => self.link.on_calls_ready(now),
            Source::Probe(index) => {
                self.incoming.extend(self.probes.on_ready(index, &self.processes).map(Incoming::Event));
            }
            Source::Container(index) => self.incoming.extend(self.containers.on_ready(index, now).map(Incoming::Event)),
        }
    }

    fn on_exit(&mut self, pid: i32, word: i32) {
        if self.main == Some(pid) {
            self.main = None;
            self.push(Event::Exited(word));
        } else {
            self.incoming.extend(self.probes.on_exit(pid, word).map(Incoming::Event));
        }
    }

    fn take_news(&mut self) {
        for news in std::mem::take(&mut self.news) {
            match news {
                News::Event(event) => self.on_agent_event(*event),
                News::Lost => {
                    self.containers.clear();
                    self.push(Event::Disconnected);
                }
                News::Over(why) => {
                    eprintln!("executor: {why}");
                    self.push(Event::Orphaned);
                }
            }
        }
    }

    fn on_agent_event(&mut self, event: executor::Event) {
        use executor::event::Type;
        let kind = event.r#type();
        let event = match kind {
            Type::Subscribed => event.subscribed.map(Event::Subscribed),
            Type::Launch => event.launch.map(|launch| self.launch(vec![launch.task])),
            Type::LaunchGroup => event.launch_group.map(|launch| self.launch(launch.task_group.tasks)),
            Type::Kill => event.kill.map(|kill| Event::Kill {
                task: kill.task_id.value,
                grace: kill.kill_policy.and_then(|policy| policy.grace_period).as_ref().map(duration),
            }),
            Type::Acknowledged => {
                self.incoming.extend(event.acknowledged.map(Incoming::Acknowledged));
                None
            }
            Type::Shutdown => Some(Event::Shutdown),
            Type::Error => {
                let why = event.error.map(|error| error.message).unwrap_or_default();
                eprintln!("executor: the agent says: {why}");
                None
            }
            Type::Message | Type::Heartbeat | Type::Unknown => None,
        };
        self.incoming.extend(event.map(Incoming::Event));
    }

    fn launch(&mut self, tasks: Vec<v1::TaskInfo>) -> Event {
        for task in &tasks {
            self.outbox.add_task(task.clone());
        }
        Event::Launch(tasks)
    }

    /// Does what the machine asks for; `Some` ends the executor.
    fn perform(&mut self, action: Action) -> Option<u8> {
        let now = self.now();
        match action {
            Action::Update(status) => {
                let update = executor::call::Update { status: self.stamp(*status) };
                if let Some(update) = self.outbox.add_update(update) {
                    self.link.send_update(now, update);
                }
            }
            Action::Spawn(command) => {
                let outcome = self.processes.spawn(&command, None);
                self.main = outcome.as_ref().ok().copied();
                self.incoming.push_front(Incoming::Event(Event::Spawned(outcome.map(drop))));
            }
            Action::Signal(signal) => self.processes.signal_all(signal),
            Action::Probe { task, which, target, timeout, container } => match (*target, container) {
                (Target::Command(command), Some(parent)) => {
                    let unique = self.unique();
                    self.containers.check(now, (task, which), &command, timeout, (parent, unique));
                }
                (target, _) => {
                    let started = self.probes.start(now, task, which, &target, timeout, &self.processes);
                    self.incoming.extend(started.err().map(Incoming::Event));
                }
            },
            Action::DropProbes { task } => {
                self.probes.forget(&task);
                self.containers.forget_checks(now, &task);
            }
            Action::LaunchContainer { task, call } => self.containers.launch(now, task, *call),
            Action::WaitContainer { task, container } => {
                if let Err(error) = task_links::make(Path::new("."), &task, &container.value) {
                    eprintln!("executor: cannot link the sandbox of task '{task}': {error}");
                }
                self.containers.wait(now, task, *container);
            }
            Action::KillContainer { task, container, signal } => {
                self.containers.signal(now, task, *container, signal);
            }
            Action::Log(text) => eprintln!("executor: {text}"),
            Action::Exit(code) => return Some(code),
        }
        None
    }

    fn stamp(&self, mut status: v1::TaskStatus) -> v1::TaskStatus {
        let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        status.uuid = Some(Bytes::copy_from_slice(&self.unique()));
        status.timestamp = Some(wall.as_secs_f64());
        status.source = Some(v1::task_status::Source::Executor as i32);
        status.executor_id = Some(v1::ExecutorId { value: self.settings.executor_id.clone() });
        status
    }

    /// A random (version 4) UUID; a real agent refuses other bytes.
    fn unique(&self) -> [u8; 16] {
        let mut uuid = [0u8; 16];
        if kernel::random(&mut uuid).is_err() {
            // The clock and our address are still unlike anybody else's.
            let nanoseconds = self.origin.elapsed().as_nanos() ^ std::ptr::from_ref(&uuid).addr() as u128;
            uuid = nanoseconds.to_ne_bytes();
        }
        uuid[6] = uuid[6] & 0x0f | 0x40;
        uuid[8] = uuid[8] & 0x3f | 0x80;
        uuid
    }
}
