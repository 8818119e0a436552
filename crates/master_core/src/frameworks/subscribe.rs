//! SUBSCRIBE: a new framework, one that comes back, or one that takes over from its older self, on HTTP or through a v0
//! driver. What is wrong with the framework is said on the stream, not by the status code.

use std::{collections::BTreeSet, sync::Arc};

use model::{FrameworkCapabilities, FrameworkId, capabilities::roles_of, parse::framework};
use proto::{
    upid::Upid,
    v1::{
        self,
        scheduler::call::{Subscribe, Type},
    },
};
use stdx::WallTime;

use super::{events, send::send_event};
use crate::{
    Master, Step,
    calls::Request,
    counters::{Counter, Counters},
    effect::{Effect, Reply},
    event::ConnectionId,
    ids::Ids,
    publish,
    state::{Framework, Link, Operation, State},
    validate,
};

/// A framework's wish, checked against everything but its older self.
pub(crate) struct Subscription {
    pub(crate) info: v1::FrameworkInfo,
    pub(crate) suppressed: BTreeSet<String>,
    pub(crate) constraints: Option<Arc<v1::scheduler::OfferConstraints>>,
}

/// Who subscribes.
pub(crate) enum Subscriber {
    /// Events go on this stream.
    Stream { conn: ConnectionId, stream_id: Arc<str> },
    /// A v0 driver; `force` takes the framework over from another.
    Driver { pid: Upid, force: bool },
}

impl Subscriber {
    fn link(&self) -> Link {
        match self {
            Subscriber::Stream { conn, stream_id } => {
                Link::Subscribed { conn: *conn, stream_id: Arc::clone(stream_id) }
            }
            Subscriber::Driver { .. } => Link::Driver { active: true },
        }
    }

    fn pid(&self) -> Option<&Upid> {
        match self {
            Subscriber::Stream { .. } => None,
            Subscriber::Driver { pid, .. } => Some(pid),
        }
    }
}

impl Master {
    pub(crate) fn on_subscribe(&mut self, request: Request, call: Subscribe, step: &mut Step<'_>) {
        if request.stream_id.is_some() {
            let why = "Subscribe calls should not include the 'Mesos-Stream-Id' header";
            step.reply(request.req, Reply::BadRequest(why.to_owned()));
            return;
        }
        let Request { req, conn: Some(conn), principal, .. } = request else {
            stdx::never!("a SUBSCRIBE without a stream to open");
            step.reply(request.req, Reply::Unavailable("There is no stream to subscribe on; try again".to_owned()));
            return;
        };
        let mut subscription = Subscription::of_call(call);
        self.state.counters.count_subscribe(&subscription.info);
        if subscription.info.principal.is_none() {
            subscription.info.principal = principal;
        }
        let stream_id = self.rng.uuid_text();
        step.reply(req, Reply::Stream { stream_id: stream_id.clone() });
        self.subscribe(Subscriber::Stream { conn, stream_id: stream_id.into() }, subscription, step);
    }

    pub(super) fn subscribe(&mut self, subscriber: Subscriber, subscription: Subscription, step: &mut Step<'_>) {
        if let Err(why) = validate::framework::check_subscription(&self.config, &self.state, &subscription) {
            refuse(&subscriber, why, step);
            return;
        }
        match id_of(&subscription.info) {
            None => self.subscribe_new(subscriber, subscription, step),
            Some(id) => self.subscribe_again(id, subscriber, subscription, step),
        }
    }

    fn subscribe_new(&mut self, subscriber: Subscriber, mut subscription: Subscription, step: &mut Step<'_>) {
        // A driver that has not heard of its success asks again.
        if let Subscriber::Driver { pid, .. } = &subscriber
            && let Some(id) = self.by_driver.get(pid)
        {
            return self.welcome_driver(pid, id, false, step);
        }
        let id = new_framework_id(&mut self.ids, &self.state);
        subscription.info.id = Some(id.to_proto());
        let mut row = new_framework(&id, subscription, step.wall);
        tracing::info!(framework = %row.label(), "subscribed");
        (row.link, row.pid) = (subscriber.link(), subscriber.pid().cloned());
        self.add_framework(row, step);
        self.attach(&id, &subscriber, step);
        self.welcome(&subscriber, &id, false, step);
    }

    /// From now on the framework is where `subscriber` is.
    fn attach(&mut self, id: &FrameworkId, subscriber: &Subscriber, step: &mut Step<'_>) {
        let Some(framework) = self.state.frameworks.get_mut(id) else { return };
        framework.link = subscriber.link();
        framework.pid = subscriber.pid().cloned();
        match subscriber {
            Subscriber::Stream { conn, .. } => drop(self.by_conn.insert(*conn, id.clone())),
            Subscriber::Driver { pid, .. } => {
                self.by_driver.insert(pid.clone(), id.clone());
                step.out.push(Effect::Link { peer: pid.clone() });
            }
        }
    }

    fn subscribe_again(
        &mut self,
        id: FrameworkId,
        subscriber: Subscriber,
        mut subscription: Subscription,
        step: &mut Step<'_>,
    ) {
        if !self.state.frameworks.contains(&id) {
            self.recover_framework(&subscription.info, step);
        }
        let Some(row) = self.state.frameworks.get(&id) else { return };
        framework::preserve_immutable(&row.info, &mut subscription.info);
        if let Err(why) = framework::framework_update(&row.info, &subscription.info) {
            refuse(&subscriber, why, step);
            return;
        }
        let (was_recovered, was_active) = (row.is_recovered(), row.is_active());
        let (old_conn, old_pid, timer) = (row.conn(), row.pid.clone(), row.failover_timer);
        // Only another driver need say that it means to take over.
        let mut goes_on = false;
        if let Subscriber::Driver { pid, force: false } = &subscriber
            && !was_recovered
        {
            if old_pid.as_ref() != Some(pid) {
                refuse(&subscriber, "Framework failed over".to_owned(), step);
                return;
            }
            goes_on = true;
        }
        self.update_framework(&id, subscription, step);
        if let Some(old) = old_conn {
            send_event(
                &mut self.state.frameworks,
                &self.state.agents,
                &id,
                events::error("Framework failed over"),
                step,
            );
            step.out.push(Effect::Close { conn: old });
            self.by_conn.remove(&old);
        }
        if let Some(old) = old_pid.filter(|old| Some(old) != subscriber.pid()) {
            // Even if it seemed to be gone.
            step.refuse_driver(&old, "Framework failed over");
            self.let_go_of_driver(&old, step);
        }
        if let Some(timer) = timer {
            self.timers.cancel(timer);
        }
        if goes_on {
            self.offers().rescind_of(&id, step);
        } else {
            self.offers().discard_of(&id, step);
        }
        self.attach(&id, &subscriber, step);
        if let Some(framework) = self.state.frameworks.get_mut(&id) {
            framework.failover_timer = None;
            framework.reregistered = Some(step.wall);
            if was_recovered {
                framework.registered = step.wall;
            }
            tracing::info!(framework = %framework.label(), was_recovered, "subscribed again");
        }
        if !was_active {
            self.allocator.activate_framework(step.now, &id);
        }
        self.welcome(&subscriber, &id, goes_on, step);
        if let Some(framework) = self.state.frameworks.get(&id) {
            publish::framework_updated(&self.config, &self.state, framework, step);
        }
        self.tell_agents(&id, step);
    }

    fn welcome(&mut self, subscriber: &Subscriber, id: &FrameworkId, goes_on: bool, step: &mut Step<'_>) {
        self.pending.record_framework(&self.state, id, step);
        if let Some(framework) = self.state.frameworks.get_mut(id) {
            framework.counters.subscribed = true;
            *framework.counters.calls.entry(Type::Subscribe.into()).or_default() += 1;
        }
        match subscriber {
            Subscriber::Stream { conn, .. } => {
                let interval = self.config.heartbeat_interval.as_secs_f64();
                let subscribed = events::subscribed(id, interval, &self.state.info);
                send_event(&mut self.state.frameworks, &self.state.agents, id, subscribed, step);
                self.heartbeat(*conn, id, step);
            }
            Subscriber::Driver { pid, .. } => self.welcome_driver(pid, id, goes_on, step),
        }
    }

    /// Puts a new row into the tables and the allocator.
    pub(crate) fn add_framework(&mut self, mut framework: Framework, step: &mut Step<'_>) {
        let of_it = |operation: &&Operation| operation.framework.as_ref() == Some(&framework.id);
        framework.operations = self.state.operations.values().filter(of_it).map(|row| row.uuid.clone()).collect();
        let used = self.state.used_by(&framework);
        self.allocator.add_framework(step.now, &framework.id, self.framework_profile(&framework), &used);
        publish::framework_added(&self.config, &self.state, &framework, step);
        self.state.frameworks.insert(framework.id.clone(), framework);
    }
}

impl Counters {
    pub(super) fn count_subscribe(&mut self, info: &v1::FrameworkInfo) {
        self.add(match id_of(info) {
            None => Counter::MessagesRegisterFramework,
            Some(_) => Counter::MessagesReregisterFramework,
        });
    }
}

/// An id that no framework has: one may come back with any.
fn new_framework_id(ids: &mut Ids, state: &State) -> FrameworkId {
    loop {
        let id = ids.framework();
        if !state.frameworks.contains(&id) && !state.is_over(&id) {
            return id;
        }
    }
}

pub(crate) fn new_framework(id: &FrameworkId, subscription: Subscription, now: WallTime) -> Framework {
    let Subscription { info, suppressed, constraints } = subscription;
    Framework {
        id: id.clone(),
        roles: roles_of(&info).into_iter().collect(),
        suppressed,
        capabilities: FrameworkCapabilities::of(&info),
        offer_constraints: constraints,
        info: Arc::new(info),
        link: Link::Recovered,
        pid: None,
        registered: now,
        reregistered: None,
        unregistered: None,
        tasks: Default::default(),
        completed_tasks: Default::default(),
        unreachable_tasks: Default::default(),
        executors: Default::default(),
        offers: Default::default(),
        inverse_offers: Default::default(),
        operations: Default::default(),
        counters: Default::default(),
        failover_timer: None,
    }
}

/// The framework's id, if it has been given one.
pub(super) fn id_of(info: &v1::FrameworkInfo) -> Option<FrameworkId> {
    info.id.as_ref().filter(|id| !id.value.is_empty()).map(FrameworkId::from)
}

fn refuse(subscriber: &Subscriber, why: String, step: &mut Step<'_>) {
    tracing::info!(why, "refusing a subscription");
    match subscriber {
        Subscriber::Stream { conn, .. } => {
            step.out.push(Effect::ToScheduler { conn: *conn, event: Box::new(events::error(why)) });
            step.out.push(Effect::Close { conn: *conn });
        }
        Subscriber::Driver { pid, .. } => step.refuse_driver(pid, why),
    }
}
