//! The schedulers' processes: they find the master, subscribe, carry calls and events, read slowly, crash and come
//! back. What they want is `crate::scheduler`'s.

use std::{
    collections::{BTreeSet, VecDeque},
    time::Duration,
};

use master_core::{ConnectionId, Reply, RequestId};
use model::{FrameworkId, OfferId, TaskId};
use proto::v1::{
    self,
    scheduler::{Call, Event, call, event},
    task_status::Reason,
};
use stdx::{Rng, Tick};

use super::{
    World,
    happening::{Happening, Life, Message, Node},
};
use crate::{
    observation::Fact,
    scenario::{FrameworkPlan, Temper},
    scheduler::{Say, Scheduler, steady::Steady, swarm::Swarm},
};

pub(crate) struct SchedulerHost {
    pub life: Life,
    pub up: bool,
    pub core: Box<dyn Scheduler>,
    /// It survives the process.
    pub id: Option<FrameworkId>,
    /// The names that it gave to tasks, if anybody watches.
    given: BTreeSet<TaskId>,
    master: Option<u32>,
    epoch: u64,
    stream: Option<Stream>,
    retry: Option<Tick>,
    wake: Option<Tick>,
    /// It reads nothing until then; what comes waits.
    reads_from: Tick,
    unread: VecDeque<(u32, ConnectionId, Box<Event>)>,
}

struct Stream {
    conn: ConnectionId,
    master: u32,
    asked: RequestId,
    stream_id: Option<String>,
}

impl SchedulerHost {
    pub fn new(index: u32, plan: FrameworkPlan, rng: Rng) -> SchedulerHost {
        let core: Box<dyn Scheduler> = match plan.temper {
            Temper::Steady => Box::new(Steady::new(index, plan, rng)),
            _ => Box::new(Swarm::new(index, plan, rng)),
        };
        SchedulerHost::of(core)
    }

    pub fn of(core: Box<dyn Scheduler>) -> SchedulerHost {
        SchedulerHost {
            life: 0,
            up: false,
            core,
            id: None,
            given: BTreeSet::new(),
            master: None,
            epoch: 0,
            stream: None,
            retry: None,
            wake: None,
            reads_from: Tick::ZERO,
            unread: VecDeque::new(),
        }
    }

    pub fn is_subscribed(&self) -> bool {
        self.up && self.stream.as_ref().is_some_and(|stream| stream.stream_id.is_some())
    }
}

impl World {
    fn host(&mut self, framework: u32) -> &mut SchedulerHost {
        &mut self.schedulers[framework as usize]
    }

    pub(crate) fn start_scheduler(&mut self, framework: u32) {
        let host = self.host(framework);
        if std::mem::replace(&mut host.up, true) {
            return;
        }
        self.say(|| format!("framework {framework} starts"));
        let wait = Duration::from_millis(1 + self.draws.schedulers.below(10));
        self.detect(Node::Framework(framework), wait);
        self.arm_scheduler(framework);
    }

    /// The process dies; its streams end, what it knew may be lost.
    pub(crate) fn end_scheduler(&mut self, framework: u32, away: Duration) {
        let host = self.host(framework);
        if !std::mem::replace(&mut host.up, false) {
            return;
        }
        host.life += 1;
        host.master = None;
        host.epoch = 0;
        host.retry = None;
        host.wake = None;
        host.unread.clear();
        host.core.forget();
        let stream = host.stream.take();
        self.say(|| format!("framework {framework} ends"));
        if let Some(stream) = stream {
            let at = self.now + self.draw_latency();
            self.heap.put(at, Happening::StreamEnds { at: Node::Master(stream.master), conn: stream.conn });
        }
        self.heap.put(self.now + away, Happening::Start(Node::Framework(framework)));
    }

    /// It reads nothing for a while.
    pub(crate) fn stall_scheduler(&mut self, framework: u32, time: Duration) {
        let until = self.now + time;
        self.host(framework).reads_from = until;
        self.arm_scheduler(framework);
    }

    pub(crate) fn on_scheduler_detection(&mut self, framework: u32, life: Life, leader: Option<u32>, epoch: u64) {
        let host = self.host(framework);
        if host.life != life || epoch < host.epoch || !host.up {
            return;
        }
        host.epoch = epoch;
        host.master = leader;
        if host.stream.as_ref().is_some_and(|stream| Some(stream.master) != leader) {
            self.drop_stream(framework);
        }
        self.subscribe(framework);
    }

    /// Leaves its stream; the master hears of it.
    fn drop_stream(&mut self, framework: u32) {
        if let Some(stream) = self.host(framework).stream.take() {
            let at = self.now + self.draw_latency();
            self.heap.put(at, Happening::StreamEnds { at: Node::Master(stream.master), conn: stream.conn });
            self.host(framework).core.forget();
        }
    }

    fn subscribe(&mut self, framework: u32) {
        let (conn, req) = (self.mint_conn(), self.mint_req());
        let host = self.host(framework);
        let Some(master) = host.master.filter(|_| host.stream.is_none()) else { return };
        host.retry = None;
        host.stream = Some(Stream { conn, master, asked: req, stream_id: None });
        let id = host.id.as_ref().map(FrameworkId::to_proto);
        let framework_info = v1::FrameworkInfo { id: id.clone(), ..host.core.info().clone() };
        let suppressed_roles = host.core.suppressed();
        let subscribe = call::Subscribe { framework_info, suppressed_roles, offer_constraints: None };
        let call = Call {
            framework_id: id,
            r#type: Some(call::Type::Subscribe as i32),
            subscribe: Some(Box::new(subscribe)),
            ..Call::default()
        };
        let message = Message::Call { req, conn: Some(conn), stream_id: None, call: Box::new(call) };
        self.send(Node::Framework(framework), Node::Master(master), message);
    }

    fn retry_later(&mut self, framework: u32) {
        let wait = Duration::from_millis(100 + self.draws.schedulers.below(900));
        let at = self.now + wait;
        self.host(framework).retry = Some(at);
        self.arm_scheduler(framework);
    }

    pub(crate) fn on_reply(&mut self, framework: u32, req: RequestId, reply: Reply) {
        let host = self.host(framework);
        if let Some(stream) = host.stream.as_mut().filter(|stream| stream.asked == req) {
            match reply {
                Reply::Stream { stream_id } => stream.stream_id = Some(stream_id),
                _ => self.on_call_failed_subscribe(framework),
            }
        } else if let Reply::Forbidden(_) = reply {
            // The master does not take it for subscribed: it subscribes anew.
            self.drop_stream(framework);
            self.retry_later(framework);
        }
    }

    fn on_call_failed_subscribe(&mut self, framework: u32) {
        self.host(framework).stream = None;
        self.retry_later(framework);
    }

    pub(crate) fn on_call_failure(&mut self, framework: u32, life: Life, req: RequestId) {
        let host = self.host(framework);
        if host.life == life && host.stream.as_ref().is_some_and(|stream| stream.asked == req) {
            self.on_call_failed_subscribe(framework);
        }
    }

    /// The master's process is gone, and with it the calls that were under way.
    pub(crate) fn fail_calls_to(&mut self, master: u32) {
        for framework in 0..self.schedulers.len() as u32 {
            let host = self.host(framework);
            let asking = host.stream.as_ref().filter(|stream| stream.master == master && stream.stream_id.is_none());
            if let Some(req) = asking.map(|stream| stream.asked) {
                let life = host.life;
                let at = self.now + self.draw_latency();
                self.heap.put(at, Happening::CallFails { framework, life, req });
            }
        }
    }

    pub(crate) fn on_scheduler_stream_end(&mut self, framework: u32, conn: ConnectionId) {
        let host = self.host(framework);
        if host.up && host.stream.as_ref().is_some_and(|stream| stream.conn == conn) {
            self.say(|| format!("framework {framework} lost its stream {conn}"));
            let host = self.host(framework);
            host.stream = None;
            host.core.forget();
            self.retry_later(framework);
        }
    }

    pub(crate) fn on_scheduler_event(&mut self, framework: u32, master: u32, conn: ConnectionId, event: Box<Event>) {
        let now = self.now;
        let host = self.host(framework);
        if host.reads_from > now || !host.unread.is_empty() {
            host.unread.push_back((master, conn, event));
            return;
        }
        self.read(framework, master, conn, &event);
    }

    fn read(&mut self, framework: u32, master: u32, conn: ConnectionId, event: &Event) {
        self.note_read(master, conn);
        let now = self.now;
        let host = self.host(framework);
        if host.stream.as_ref().is_none_or(|stream| stream.conn != conn) {
            return;
        }
        if let Some(subscribed) = &event.subscribed {
            let id = FrameworkId::from(&subscribed.framework_id);
            host.id = Some(id.clone());
            self.fact(Fact::FrameworkSubscribed { framework, id });
        }
        if event.r#type() == event::Type::Error {
            self.on_error(framework);
            return;
        }
        self.note_heard(framework, event);
        let mut said = Vec::new();
        self.host(framework).core.on_event(now, event, &mut said);
        self.carry(framework, said);
    }

    /// An ERROR is the end of a framework: it goes on as another.
    fn on_error(&mut self, framework: u32) {
        self.drop_stream(framework);
        let host = self.host(framework);
        host.core.renew();
        if let Some(id) = host.id.take() {
            self.fact(Fact::FrameworkEnded { framework, id });
        }
        self.retry_later(framework);
    }

    fn note_heard(&mut self, framework: u32, event: &Event) {
        if self.watched.is_none() {
            return;
        }
        if let Some(rescind) = &event.rescind {
            self.fact(Fact::Rescinded { framework, offer: OfferId::from(&rescind.offer_id) });
        }
        let Some(status) = event.update.as_ref().map(|update| &update.status) else { return };
        let Some(id) = self.host(framework).id.clone() else { return };
        let fact = Fact::FrameworkHeard {
            framework,
            id,
            task: TaskId::from(&status.task_id),
            state: status.state(),
            uuid: status.uuid.clone().unwrap_or_default(),
            source: status.source(),
            reconciled: status.reason.is_some() && status.reason() == Reason::Reconciliation,
        };
        self.fact(fact);
    }

    pub(crate) fn wake_scheduler(&mut self, framework: u32) {
        let now = self.now;
        let host = self.host(framework);
        if host.wake != Some(now) {
            return;
        }
        host.wake = None;
        if !host.up {
            return;
        }
        while self.host(framework).reads_from <= now
            && let Some((master, conn, event)) = self.host(framework).unread.pop_front()
        {
            self.read(framework, master, conn, &event);
        }
        let host = self.host(framework);
        if host.retry.is_some_and(|at| at <= now) {
            host.retry = None;
            self.subscribe(framework);
        }
        let host = self.host(framework);
        if host.core.next_deadline().is_some_and(|at| at <= now) {
            let mut said = Vec::new();
            host.core.on_wake(now, &mut said);
            self.carry(framework, said);
        }
        self.arm_scheduler(framework);
    }

    fn arm_scheduler(&mut self, framework: u32) {
        let now = self.now;
        let host = self.host(framework);
        let reads = (host.reads_from > now).then_some(host.reads_from);
        let at = [host.core.next_deadline(), host.retry, reads].into_iter().flatten().min();
        let Some(at) = at.map(|at| at.max(now)).filter(|_| host.up) else { return };
        if host.wake.is_none_or(|wake| at < wake) {
            host.wake = Some(at);
            self.heap.put(at, Happening::Wake(Node::Framework(framework)));
        }
    }

    /// Sends what a scheduler wants said, if anybody listens.
    fn carry(&mut self, framework: u32, said: Vec<Say>) {
        for say in said {
            let host = self.host(framework);
            let Some(stream) = &host.stream else { return };
            let (master, stream_id) = (stream.master, stream.stream_id.clone());
            let id = host.id.as_ref().map(FrameworkId::to_proto);
            let (mut call, stream_id) = match say {
                Say::Call(call) => (call, stream_id),
                Say::Stray(call) => (call, Some("of-another".to_owned())),
                Say::TakeOver => {
                    // The older instance's stream stays open until the master closes it.
                    host.stream = None;
                    host.core.forget();
                    self.subscribe(framework);
                    return;
                }
            };
            call.framework_id = id;
            self.note_said(framework, &call);
            let req = self.mint_req();
            let message = Message::Call { req, conn: None, stream_id, call };
            self.send(Node::Framework(framework), Node::Master(master), message);
        }
        self.arm_scheduler(framework);
    }

    fn note_said(&mut self, framework: u32, call: &Call) {
        if self.watched.is_none() {
            return;
        }
        if let Some(ack) = &call.acknowledge {
            let task = TaskId::from(&ack.task_id);
            self.fact(Fact::FrameworkAcknowledged { framework, task, uuid: ack.uuid.clone() });
        }
        if let Some(kill) = &call.kill {
            self.fact(Fact::KillAsked { framework, task: TaskId::from(&kill.task_id) });
        }
        let operations = call.accept.iter().flat_map(|accept| &accept.operations);
        for operation in operations {
            let single = operation.launch.iter().flat_map(|launch| &launch.task_infos);
            let grouped = operation.launch_group.iter().flat_map(|group| &group.task_group.tasks);
            for task in single.chain(grouped) {
                let task = TaskId::from(&task.task_id);
                let host = self.host(framework);
                let again = !host.given.insert(task.clone());
                let id = host.id.clone();
                self.fact(Fact::Launched { framework, id, task, again });
            }
        }
    }
}
