//! SUBSCRIBE: a new framework, one that comes back, or one that takes over from its older self. What is wrong with the
//! framework is said on the stream, not by the status code.

use std::{collections::BTreeSet, sync::Arc};

use model::{FrameworkCapabilities, FrameworkId, capabilities::roles_of, parse::framework};
use proto::v1::{self, scheduler::call::Subscribe};
use stdx::WallTime;

use super::{events, shared};
use crate::{
    Master, Step,
    calls::Request,
    counters::Counter,
    effect::{Effect, Reply},
    event::ConnId,
    publish,
    state::{Framework, Link},
    validate,
};

/// A framework's wish, checked against everything but its older self.
pub(crate) struct Subscription {
    pub(crate) info: v1::FrameworkInfo,
    pub(crate) suppressed: BTreeSet<String>,
    pub(crate) constraints: Option<Arc<v1::scheduler::OfferConstraints>>,
}

impl Master {
    pub(crate) fn on_subscribe(&mut self, request: Request, call: Subscribe, step: &mut Step<'_>) {
        if request.stream_id.is_some() {
            let why = "Subscribe calls should not include the 'Mesos-Stream-Id' header";
            step.reply(request.req, Reply::BadRequest(why.to_owned()));
            return;
        }
        let Request { req, conn, principal, .. } = request;
        let mut info = call.framework_info;
        let id = info.id.as_ref().filter(|id| !id.value.is_empty()).map(FrameworkId::from);
        self.state.counters.add(match id {
            None => Counter::MessagesRegisterFramework,
            Some(_) => Counter::MessagesReregisterFramework,
        });
        if info.principal.is_none() {
            info.principal = principal;
        }
        let stream_id = self.rng.uuid_text();
        step.reply(req, Reply::Stream { stream_id: stream_id.clone() });
        let suppressed: BTreeSet<String> = call.suppressed_roles.into_iter().collect();
        let constraints = call.offer_constraints.filter(|c| !c.role_constraints.is_empty()).map(Arc::new);
        let subscription = Subscription { info, suppressed, constraints };
        if let Err(why) = validate::framework::check_subscription(&self.config, &self.state, &subscription) {
            refuse(conn, why, step);
            return;
        }
        match id {
            None => self.subscribe_new(conn, &stream_id, subscription, step),
            Some(id) => self.subscribe_again(id, conn, &stream_id, subscription, step),
        }
    }

    fn subscribe_new(&mut self, conn: ConnId, stream_id: &str, mut subscription: Subscription, step: &mut Step<'_>) {
        let id = self.new_framework_id();
        subscription.info.id = Some(id.to_proto());
        let mut row = new_framework(&id, subscription, step.wall);
        row.link = Link::Subscribed { conn, stream_id: shared(stream_id) };
        tracing::info!(framework = %row.label(), "subscribed");
        self.by_conn.insert(conn, id.clone());
        self.add_framework(row, step);
        self.welcome(conn, &id, step);
    }

    /// An id that no framework has: one may come back with any.
    fn new_framework_id(&mut self) -> FrameworkId {
        loop {
            let id = self.ids.framework();
            if !self.state.frameworks.contains(&id) && self.state.completed_frameworks.get(&id).is_none() {
                return id;
            }
        }
    }

    fn subscribe_again(
        &mut self,
        id: FrameworkId,
        conn: ConnId,
        stream_id: &str,
        mut subscription: Subscription,
        step: &mut Step<'_>,
    ) {
        if !self.state.frameworks.contains(&id) {
            self.recover_framework(&subscription.info, step);
        }
        let Some(row) = self.state.frameworks.get(&id) else { return };
        framework::preserve_immutable(&row.info, &mut subscription.info);
        if let Err(why) = framework::framework_update(&row.info, &subscription.info) {
            refuse(conn, why, step);
            return;
        }
        let (was_recovered, was_active) = (row.is_recovered(), row.is_active());
        let (old_conn, timer) = (row.conn(), row.failover_timer);
        self.update_framework(&id, subscription, step);
        if old_conn.is_some() {
            self.send_event(&id, events::error("Framework failed over"), step);
        }
        if let Some(old) = old_conn {
            step.out.push(Effect::Close { conn: old });
            self.by_conn.remove(&old);
        }
        if let Some(timer) = timer {
            self.timers.cancel(timer);
        }
        self.discard_offers_of(&id, step);
        if let Some(framework) = self.state.frameworks.get_mut(&id) {
            framework.link = Link::Subscribed { conn, stream_id: shared(stream_id) };
            framework.failover_timer = None;
            framework.reregistered = Some(step.wall);
            if was_recovered {
                framework.registered = step.wall;
            }
            tracing::info!(framework = %framework.label(), was_recovered, "subscribed again");
        }
        self.by_conn.insert(conn, id.clone());
        if !was_active {
            self.allocator.activate_framework(step.now, &id);
        }
        self.welcome(conn, &id, step);
        if let Some(framework) = self.state.frameworks.get(&id) {
            publish::framework_updated(&self.config, &self.state, framework, step);
        }
        self.tell_agents(&id, step);
    }

    fn welcome(&mut self, conn: ConnId, id: &FrameworkId, step: &mut Step<'_>) {
        if let Some(framework) = self.state.frameworks.get_mut(id) {
            framework.counters.subscribed = true;
            *framework.counters.calls.entry("SUBSCRIBE").or_default() += 1;
        }
        let interval = self.config.heartbeat_interval.as_secs_f64();
        let subscribed = events::subscribed(id, interval, &self.state.info);
        self.send_event(id, subscribed, step);
        self.heartbeat(conn, id, step);
    }

    /// Puts a new row into the tables and the allocator.
    pub(crate) fn add_framework(&mut self, framework: Framework, step: &mut Step<'_>) {
        let used = self.state.used_by(&framework);
        self.allocator.add_framework(step.now, &framework.id, self.framework_profile(&framework), &used);
        publish::framework_added(&self.config, &self.state, &framework, step);
        self.state.frameworks.insert(framework.id.clone(), framework);
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
        registered: now,
        reregistered: None,
        unregistered: None,
        tasks: Default::default(),
        completed_tasks: Default::default(),
        unreachable_tasks: Default::default(),
        executors: Default::default(),
        offers: Default::default(),
        counters: Default::default(),
        failover_timer: None,
    }
}

fn refuse(conn: ConnId, why: String, step: &mut Step<'_>) {
    tracing::info!(why, "refusing a subscription");
    step.out.push(Effect::ToScheduler { conn, event: Box::new(events::error(why)) });
    step.out.push(Effect::Close { conn });
}
