//! Random walks: anything anybody may say, sense and nonsense, in any order. Nothing may panic, the invariants hold
//! after every step, and every request is answered.

#[path = "walk/operations.rs"]
mod operations;

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use master_core::{Config, ConnectionId, Effect, Event, State};
use proto::{
    internal,
    v1::{self, TaskState, offer::operation, scheduler},
};
use registry::Registry;
use stdx::Rng;

use crate::{
    render,
    world::{World, config, pid, resources},
};

const AGENTS: u64 = 4;
const CONNS: u64 = 6;

struct Walk {
    world: World,
    rng: Rng,
    next_conn: u64,
    conns: Vec<ConnectionId>,
    next_task: u64,
    /// What the last master knew when it fell: agents remember it.
    before: State,
    counts: BTreeMap<String, u64>,
}

#[test]
fn walks() {
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    for seed in 0..80 {
        let (_, seen) = walk(seed, 500);
        for (name, count) in seen {
            *counts.entry(name).or_default() += count;
        }
    }
    // The walks get around: what they never meet, they do not test.
    for name in [
        "drained",
        "master/messages_launch_tasks",
        "master/tasks_finished",
        "master/tasks_lost",
        "master/tasks_error",
        "master/tasks_gone_by_operator",
        "master/slave_registrations",
        "master/slave_reregistrations",
        "master/slave_removals/reason_unhealthy",
        "master/slave_removals/reason_unregistered",
        "master/slave_removals/reason_registered",
        "master/slave_unreachable_canceled",
        "master/recovery_slave_removals",
        "master/messages_reregister_framework",
        "master/valid_status_updates",
        "master/valid_status_update_acknowledgements",
        "master/valid_executor_to_framework_messages",
        "master/valid_operation_status_updates",
        "master/task_lost/source_master/reason_slave_disconnected",
        "master/task_killed/source_master/reason_framework_removed",
        "master/task_dropped/source_master/reason_invalid_offers",
    ] {
        assert!(counts.get(name).is_some_and(|count| *count > 2), "{name}: {:?} of {counts:#?}", counts.get(name));
    }
}

#[test]
fn a_walk_is_the_same_at_every_run() {
    assert_eq!(walk(7, 300).0, walk(7, 300).0);
}

/// What came out, and what the masters counted.
fn walk(seed: u64, steps: usize) -> (Vec<String>, BTreeMap<String, u64>) {
    let mut rng = Rng::new(seed);
    let config = Config {
        max_completed_tasks_per_framework: 3,
        max_unreachable_tasks_per_framework: 3,
        max_completed_frameworks: 2,
        offer_timeout: (rng.below(2) == 0).then_some(Duration::from_secs(30)),
        agent_removal_rate_limit: (rng.below(2) == 0).then_some((1, Duration::from_secs(40))),
        agent_reregister_timeout: Duration::from_secs(120),
        registry_max_agent_age: Duration::from_secs(300),
        registry_gc_interval: Duration::from_secs(60),
        publish: true,
        ..config()
    };
    let world = World::new(config, seed);
    let before = world.master.view().clone();
    let mut walk = Walk { world, rng, next_conn: 1, conns: Vec::new(), next_task: 0, before, counts: BTreeMap::new() };
    walk.world.elect(Registry::default());
    let mut log = Vec::new();
    for _ in 0..steps {
        let effects = walk.step();
        log.extend(effects.iter().map(render::effect));
    }
    let drained = log.iter().filter(|line| line.starts_with("persist MarkDrained")).count() as u64;
    walk.counts.insert("drained".to_owned(), drained);
    walk.world.auto_persist = true;
    walk.world.advance(Duration::from_secs(1));
    while let Some(ticket) = walk.world.unwritten.pop_front() {
        walk.world.step(Event::Persisted { ticket, outcome: Ok(()) });
    }
    assert_eq!(walk.world.unanswered(), 0, "a request has no reply");
    assert!(!walk.world.stepped_down);
    walk.count();
    (log, walk.counts)
}

impl Walk {
    fn step(&mut self) -> Vec<Effect> {
        match self.rng.below(100) {
            0..4 => self.subscribe(),
            4..8 => {
                let n = self.agent();
                let message = internal::RegisterSlaveMessage {
                    agent: self.agent_info(n, None),
                    version: Some("1.11.0".into()),
                    agent_capabilities: model::AgentCapabilities::ALL.to_protos(),
                    ..Default::default()
                };
                self.world.hear(n, message.into())
            }
            8..12 => self.reregister(),
            12..40 => self.accept(),
            40..60 => self.update(),
            60..72 => self.other_call(),
            72..76 => {
                let n = self.agent();
                self.world.step(Event::Exited { peer: pid(n) })
            }
            76..80 => {
                let conn = self.conn();
                self.conns.retain(|other| *other != conn);
                self.world.step(Event::Closed { conn })
            }
            80..84 => self.agent_message(),
            84 => self.operation_status(),
            85..87 => self.operator(),
            87..89 => {
                let n = self.agent();
                if !self.world.silent.remove(&n) {
                    self.world.silent.insert(n);
                }
                let message = internal::PongSlaveMessage {};
                self.world.hear(n, message.into())
            }
            89 if self.rng.below(8) == 0 => self.fail_over(),
            89 => Vec::new(),
            90..92 => {
                self.world.auto_persist = !self.world.auto_persist;
                Vec::new()
            }
            92..94 => match self.world.unwritten.pop_front() {
                Some(ticket) => self.world.step(Event::Persisted { ticket, outcome: Ok(()) }),
                None => Vec::new(),
            },
            94..96 => {
                let agent_id = self.agent_id();
                let n = self.agent();
                self.world.hear(n, internal::UnregisterSlaveMessage { agent_id }.into())
            }
            _ => {
                let secs = [0, 1, 6, 20, 90][self.rng.below(5) as usize];
                self.world.advance(Duration::from_secs(secs))
            }
        }
    }

    fn count(&mut self) {
        for (name, count) in self.world.master.view().counters.iter() {
            *self.counts.entry(name).or_default() += count;
        }
    }

    fn fail_over(&mut self) -> Vec<Effect> {
        self.count();
        self.before = self.world.master.view().clone();
        self.conns.clear();
        let effects = self.world.fail_over(1000 + self.next_conn);
        while let Some(ticket) = self.world.unwritten.pop_front() {
            self.world.step(Event::Persisted { ticket, outcome: Ok(()) });
        }
        effects
    }

    /// Who says something about this agent: mostly itself.
    fn speaker(&mut self, id: &v1::AgentId) -> u16 {
        let host = self.world.master.view().agents.get(id.value.as_str()).map(|agent| agent.pid.host.clone());
        let itself = host.and_then(|host| host.rsplit('.').next()?.parse().ok());
        let stranger = self.agent();
        itself.filter(|_| self.rng.below(10) > 0).unwrap_or(stranger)
    }

    fn agent(&mut self) -> u16 {
        1 + self.rng.below(AGENTS) as u16
    }

    fn conn(&mut self) -> ConnectionId {
        match self.conns.len() as u64 {
            0 => ConnectionId(0),
            n => self.conns[self.rng.below(n) as usize],
        }
    }

    /// Mostly one that exists.
    fn agent_id(&mut self) -> v1::AgentId {
        let ids: Vec<_> = self.world.master.view().agents.keys().cloned().collect();
        let n = self.rng.below(ids.len() as u64 + 1) as usize;
        let value = ids.get(n).map_or_else(|| format!("m-S{}", self.rng.below(20)), |id| id.to_string());
        v1::AgentId { value }
    }

    /// One with tasks, if there is any.
    fn busy_agent_id(&mut self) -> v1::AgentId {
        let agents = self.world.master.view().agents.values();
        let ids: Vec<_> = agents.filter(|agent| !agent.tasks.is_empty()).map(|agent| agent.id.to_proto()).collect();
        let n = self.rng.below(ids.len().max(1) as u64) as usize;
        ids.get(n).cloned().unwrap_or_else(|| self.agent_id())
    }

    fn task_id(&mut self) -> v1::TaskId {
        let n = self.rng.below(self.next_task + 2);
        v1::TaskId { value: format!("t{}", self.next_task.saturating_sub(n % 12)) }
    }

    fn executor_id(&mut self) -> v1::ExecutorId {
        v1::ExecutorId { value: format!("e{}", self.rng.below(3)) }
    }

    /// Mostly one that exists, or did.
    fn framework_id(&mut self) -> v1::FrameworkId {
        let (now, before) = (self.world.master.view(), &self.before);
        let ids: Vec<_> = now.frameworks.keys().chain(before.frameworks.keys()).cloned().collect();
        let n = self.rng.below(ids.len() as u64 + 1) as usize;
        let value = ids.get(n).map_or_else(|| format!("m-{:04}", self.rng.below(8)), |id| id.to_string());
        v1::FrameworkId { value }
    }

    fn agent_info(&mut self, n: u16, id: Option<v1::AgentId>) -> v1::AgentInfo {
        let text = if self.rng.below(10) == 0 { "cpus:2;mem:512" } else { "cpus:4;mem:1024;disk:1024;ports:[1-100]" };
        v1::AgentInfo {
            hostname: format!("h{n}"),
            resources: resources(text),
            id,
            checkpoint: Some(true),
            ..Default::default()
        }
    }

    fn subscribe(&mut self) -> Vec<Effect> {
        let kinds = [1, 2, 3, 4, 5, 6, 7];
        let capabilities = kinds
            .into_iter()
            .filter(|_| self.rng.below(2) == 0)
            .map(|kind| v1::framework_info::Capability { r#type: Some(kind) })
            .collect::<Vec<_>>();
        let multi = capabilities.iter().any(|capability| capability.r#type == Some(6));
        let id = (self.rng.below(3) == 0).then(|| self.framework_id());
        let role = ["a", "b", "a/c", "*"][self.rng.below(4) as usize].to_owned();
        let info = v1::FrameworkInfo {
            user: "u".into(),
            name: "f".into(),
            id: id.clone(),
            failover_timeout: Some([0.0, 30.0, 1e6][self.rng.below(3) as usize]),
            checkpoint: Some(self.rng.below(2) == 0),
            role: (!multi).then(|| role.clone()),
            roles: if multi { vec![role.clone(), "z".into()] } else { vec![] },
            capabilities,
            ..Default::default()
        };
        let subscribe = scheduler::call::Subscribe {
            framework_info: info,
            suppressed_roles: if self.rng.below(8) == 0 { vec![role] } else { vec![] },
            offer_constraints: None,
        };
        let call = scheduler::Call {
            r#type: Some(scheduler::call::Type::Subscribe.into()),
            framework_id: id,
            subscribe: Some(Box::new(subscribe)),
            ..Default::default()
        };
        let conn = ConnectionId(self.next_conn);
        self.next_conn += 1;
        if self.conns.len() as u64 >= CONNS {
            let old = self.conns.remove(0);
            self.world.step(Event::Closed { conn: old });
        }
        self.conns.push(conn);
        self.world.call(conn, call, None)
    }

    fn reregister(&mut self) -> Vec<Effect> {
        let n = self.agent();
        let state = self.world.master.view().clone();
        let here = state.agents.values().find(|agent| agent.pid == pid(n));
        let before = self.before.clone();
        let state = if here.is_some() { &state } else { &before };
        let row = state.agents.values().find(|agent| agent.pid == pid(n));
        let id = match row {
            Some(agent) => agent.id.to_proto(),
            None => v1::AgentId { value: format!("m-S{}", self.rng.below(20)) },
        };
        let mut message = internal::ReregisterSlaveMessage {
            agent: self.agent_info(n, Some(id.clone())),
            version: Some("1.11.0".into()),
            agent_capabilities: model::AgentCapabilities::ALL.to_protos(),
            ..Default::default()
        };
        if let Some(agent) = row {
            message.checkpointed_resources = agent.total.checkpointed().to_protos();
            // Some of the tasks and executors, and sometimes a task that the master does not know.
            for (framework, task) in &agent.tasks {
                if self.rng.below(3) > 0
                    && let Some(task) = state.find_task(framework, task)
                {
                    message.tasks.push(task.proto.clone());
                }
            }
            for executor in agent.executors.values() {
                if self.rng.below(3) > 0 {
                    message.executor_infos.push(executor.info.clone());
                }
            }
        } else if self.rng.below(2) == 0 {
            let framework_id = self.framework_id();
            let mut held = resources("cpus:1;mem:32");
            for resource in &mut held {
                resource.allocation_info = Some(v1::resource::AllocationInfo { role: Some("*".into()) });
            }
            message.tasks.push(v1::Task {
                name: "t".into(),
                task_id: self.task_id(),
                framework_id,
                agent_id: id,
                state: TaskState::TaskStaging.into(),
                resources: held,
                ..Default::default()
            });
        }
        let mut named: Vec<String> = message.tasks.iter().map(|task| task.framework_id.value.clone()).collect();
        named.extend(message.executor_infos.iter().filter_map(|e| Some(e.framework_id.as_ref()?.value.clone())));
        named.sort();
        named.dedup();
        for value in named {
            let known = state.frameworks.get(value.as_str()).map(|row| v1::FrameworkInfo::clone(&row.info));
            let id = Some(v1::FrameworkId { value });
            message.frameworks.push(known.unwrap_or(v1::FrameworkInfo {
                user: "u".into(),
                name: "f".into(),
                id,
                ..Default::default()
            }));
        }
        self.world.hear(n, message.into())
    }

    fn task_info(&mut self, agent_id: v1::AgentId) -> v1::TaskInfo {
        self.next_task += 1;
        let fresh = v1::TaskId { value: format!("t{}", self.next_task) };
        let text = ["cpus:0.5;mem:32", "cpus:1;mem:64;disk:1", "cpus:100", "cpus:0.1;mem:10;ports:[1-3]", ""]
            [self.rng.below(5) as usize];
        let command = v1::CommandInfo { value: Some("true".into()), ..Default::default() };
        let custom = self.rng.below(4) == 0;
        let executor = v1::ExecutorInfo {
            executor_id: self.executor_id(),
            command: Some(command.clone()),
            resources: resources("cpus:0.1;mem:32"),
            ..Default::default()
        };
        v1::TaskInfo {
            name: "t".into(),
            task_id: if self.rng.below(12) == 0 { self.task_id() } else { fresh },
            agent_id: if self.rng.below(12) == 0 { self.agent_id() } else { agent_id },
            resources: resources(text),
            command: (!custom).then_some(command),
            executor: custom.then_some(Box::new(executor)),
            ..Default::default()
        }
    }

    fn accept(&mut self) -> Vec<Effect> {
        let conn = self.conn();
        let state = self.world.master.view().clone();
        let framework = self.world.frameworks.get(&conn).cloned().unwrap_or_default();
        let mine: Vec<_> = state.offers.values().filter(|o| o.framework.as_str() == framework).collect();
        let all: Vec<_> = state.offers.values().collect();
        let from = if self.rng.below(12) == 0 { &all } else { &mine };
        let mut offers = Vec::new();
        for _ in 0..1 + self.rng.below(2) * self.rng.below(2) {
            if !from.is_empty() {
                offers.push(from[self.rng.below(from.len() as u64) as usize]);
            }
        }
        let agent_id = offers.first().map_or(self.agent_id(), |offer| offer.agent.to_proto());
        let mut operations = Vec::new();
        for _ in 0..self.rng.below(3) {
            let mut operation = v1::offer::Operation::default();
            match self.rng.below(8) {
                0 | 1 => {
                    let held: resources::Resources = offers.iter().map(|offer| &offer.resources).sum();
                    let role = offers.first().map_or("a".to_owned(), |offer| offer.role.to_string());
                    operation = self.resource_operation(&held, &role);
                }
                2 | 3 => {
                    let mut tasks: Vec<_> =
                        (0..1 + self.rng.below(3)).map(|_| self.task_info(agent_id.clone())).collect();
                    tasks.iter_mut().for_each(|task| {
                        task.executor = None;
                        task.command = Some(v1::CommandInfo { value: Some("true".into()), ..Default::default() });
                    });
                    let executor = v1::ExecutorInfo {
                        r#type: Some(v1::executor_info::Type::Default.into()),
                        executor_id: self.executor_id(),
                        framework_id: Some(v1::FrameworkId { value: framework.clone() }),
                        resources: resources("cpus:0.1;mem:32;disk:1"),
                        ..Default::default()
                    };
                    let task_group = v1::TaskGroupInfo { tasks };
                    operation.r#type = Some(operation::Type::LaunchGroup.into());
                    operation.launch_group = Some(Box::new(operation::LaunchGroup { executor, task_group }));
                }
                _ => {
                    let task_infos = (0..self.rng.below(4)).map(|_| self.task_info(agent_id.clone())).collect();
                    operation.r#type = Some(operation::Type::Launch.into());
                    operation.launch = Some(operation::Launch { task_infos });
                }
            }
            operations.push(operation);
        }
        let refuse_seconds = [None, Some(0.0), Some(3.0), Some(-1.0), Some(f64::NAN)][self.rng.below(5) as usize];
        let offer_ids = offers.iter().map(|offer| offer.id.to_proto()).collect();
        let accept = scheduler::call::Accept { offer_ids, operations, filters: Some(v1::Filters { refuse_seconds }) };
        let call = scheduler::Call {
            r#type: Some(scheduler::call::Type::Accept.into()),
            accept: Some(accept),
            ..Default::default()
        };
        self.world.call(conn, call, None)
    }

    fn update(&mut self) -> Vec<Effect> {
        let state = self.world.master.view().clone();
        let tasks: Vec<_> = state.frameworks.values().flat_map(|framework| framework.tasks.values()).collect();
        let known = match tasks.len() as u64 {
            0 => None,
            n => Some(tasks[self.rng.below(n) as usize]).filter(|_| self.rng.below(10) > 0),
        };
        let (framework_id, task_id, agent_id) = match known {
            Some(task) => (task.framework.to_proto(), task.id.to_proto(), task.agent.to_proto()),
            None => (self.framework_id(), self.task_id(), self.agent_id()),
        };
        let states = [1, 2, 3, 4, 5, 8, 9, 13];
        let state = states[self.rng.below(states.len() as u64) as usize];
        let uuid = (self.rng.below(8) > 0).then(|| Bytes::copy_from_slice(&self.rng.uuid()));
        let status = v1::TaskStatus { task_id, state, uuid: uuid.clone(), ..Default::default() };
        let update = internal::StatusUpdate {
            framework_id,
            executor_id: None,
            agent_id: Some(agent_id),
            timestamp: 1.0,
            uuid,
            latest_state: (self.rng.below(3) == 0).then(|| states[self.rng.below(states.len() as u64) as usize]),
            status,
        };
        let n = update.agent_id.clone().map_or(1, |id| self.speaker(&id));
        self.world.hear(n, internal::StatusUpdateMessage { update, pid: None }.into())
    }

    fn other_call(&mut self) -> Vec<Effect> {
        use scheduler::call::{self, Type};
        let conn = self.conn();
        let (task_id, agent_id, executor_id) = (self.task_id(), self.agent_id(), self.executor_id());
        let kind = Type::try_from(self.rng.below(19) as i32).unwrap_or_default();
        let mut made = scheduler::Call { r#type: Some(kind.into()), ..Default::default() };
        if self.rng.below(10) == 0 {
            made.framework_id = Some(self.framework_id());
        }
        let given_agent = (self.rng.below(2) == 0).then(|| agent_id.clone());
        let roles = if self.rng.below(2) == 0 { vec![] } else { vec!["a".to_owned()] };
        match kind {
            Type::Acknowledge => {
                let state = self.world.master.view();
                let forwarded = state.frameworks.values().flat_map(|framework| framework.tasks.values());
                let with_uuid: Vec<_> =
                    forwarded.filter_map(|task| Some((task, task.forwarded()?.1.clone()))).collect();
                let n = self.rng.below(with_uuid.len() as u64 + 1) as usize;
                made.acknowledge = Some(match with_uuid.get(n) {
                    Some((task, uuid)) => call::Acknowledge {
                        agent_id: task.agent.to_proto(),
                        task_id: task.id.to_proto(),
                        uuid: uuid.clone(),
                    },
                    None => call::Acknowledge { agent_id, task_id, uuid: Bytes::from_static(b"0123456789abcdef") },
                });
            }
            Type::Kill => made.kill = Some(call::Kill { task_id, agent_id: given_agent, kill_policy: None }),
            Type::Shutdown => made.shutdown = Some(call::Shutdown { executor_id, agent_id }),
            Type::Message => made.message = Some(call::Message { agent_id, executor_id, data: Bytes::new() }),
            Type::Reconcile => {
                let task = call::reconcile::Task { task_id, agent_id: given_agent };
                let tasks = if self.rng.below(2) == 0 { vec![] } else { vec![task] };
                made.reconcile = Some(call::Reconcile { tasks });
            }
            Type::Suppress => made.suppress = Some(call::Suppress { roles }),
            Type::Revive => made.revive = Some(call::Revive { roles }),
            Type::Decline => {
                let offer_ids = self.world.master.view().offers.keys().map(|id| id.to_proto()).collect();
                made.decline = Some(call::Decline { offer_ids, filters: None });
            }
            Type::Teardown if self.rng.below(4) > 0 => return Vec::new(),
            Type::AcceptInverseOffers => {
                let inverse_offer_ids =
                    self.world.master.view().inverse_offers.keys().map(|id| id.to_proto()).collect();
                made.accept_inverse_offers = Some(call::AcceptInverseOffers { inverse_offer_ids, filters: None });
            }
            Type::DeclineInverseOffers => {
                let inverse_offer_ids =
                    self.world.master.view().inverse_offers.keys().map(|id| id.to_proto()).collect();
                made.decline_inverse_offers = Some(call::DeclineInverseOffers { inverse_offer_ids, filters: None });
            }
            Type::AcknowledgeOperationStatus => {
                let framework = self.world.frameworks.get(&conn).cloned().unwrap_or_default();
                made.acknowledge_operation_status = Some(Box::new(self.acknowledgement(&framework)));
            }
            Type::ReconcileOperations => made.reconcile_operations = Some(call::ReconcileOperations::default()),
            _ => {}
        }
        let stream = (self.rng.below(12) == 0).then(|| "nonsense".to_owned());
        self.world.call(conn, made, stream)
    }

    fn agent_message(&mut self) -> Vec<Effect> {
        let (agent_id, framework_id, executor_id) = (self.agent_id(), self.framework_id(), self.executor_id());
        let n = self.speaker(&agent_id);
        match self.rng.below(3) {
            0 => {
                let message = internal::ExitedExecutorMessage { agent_id, framework_id, executor_id, status: 9 };
                self.world.hear(n, message.into())
            }
            1 => {
                let data = Bytes::from_static(b"x");
                let message = internal::ExecutorToFrameworkMessage { agent_id, framework_id, executor_id, data };
                self.world.hear(n, message.into())
            }
            _ => {
                let mut more = resources("cpus:2");
                if let Some(first) = more.first_mut() {
                    first.revocable = Some(v1::resource::RevocableInfo {});
                }
                // It may have lost some of its operations.
                let view = self.world.master.view();
                let rows = view.operations.values().filter(|row| row.agent.as_str() == agent_id.value);
                let operations = rows.step_by(2).map(|row| row.proto.clone()).collect();
                let message = internal::UpdateSlaveMessage {
                    agent_id,
                    operations: Some(internal::update_slave_message::Operations { operations }),
                    update_oversubscribed_resources: Some(true),
                    oversubscribed_resources: if self.rng.below(2) == 0 { more } else { vec![] },
                    ..Default::default()
                };
                self.world.hear(n, message.into())
            }
        }
    }

    fn operator(&mut self) -> Vec<Effect> {
        use v1::master::{Call, call};
        let call = match self.rng.below(16) {
            5..12 => self.resource_call(),
            12 => {
                let max_grace_period = (self.rng.below(2) == 0).then(Default::default);
                let mark_gone = (self.rng.below(3) == 0).then_some(true);
                Call {
                    r#type: Some(call::Type::DrainAgent.into()),
                    drain_agent: Some(call::DrainAgent { agent_id: self.agent_id(), max_grace_period, mark_gone }),
                    ..Default::default()
                }
            }
            13 => Call {
                r#type: Some(call::Type::DeactivateAgent.into()),
                deactivate_agent: Some(call::DeactivateAgent { agent_id: self.agent_id() }),
                ..Default::default()
            },
            14.. => Call {
                r#type: Some(call::Type::ReactivateAgent.into()),
                reactivate_agent: Some(call::ReactivateAgent { agent_id: self.agent_id() }),
                ..Default::default()
            },
            0 | 3 | 4 => Call {
                r#type: Some(call::Type::MarkAgentGone.into()),
                mark_agent_gone: Some(call::MarkAgentGone { agent_id: self.busy_agent_id() }),
                ..Default::default()
            },
            1 => Call {
                r#type: Some(call::Type::Teardown.into()),
                teardown: Some(call::Teardown { framework_id: self.framework_id() }),
                ..Default::default()
            },
            _ => Call { r#type: Some(self.rng.below(45) as i32), ..Default::default() },
        };
        self.world.operator(call)
    }
}
