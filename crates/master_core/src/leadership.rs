//! Becoming the leader, staying it, and giving up: election, the registry's first and every later write, timers.
//! What agents that do not come back mean is in `leadership/recovery`.

mod recovery;

use std::sync::Arc;

use proto::v1;
use registry::{Operation, Registry};
use stdx::never;

use crate::{
    Master, Step,
    effect::Effect,
    event::{PersistError, Ticket},
    operator::quota::recover_quotas,
    pending::Continuation,
    state::Phase,
    timers::{Timer, Timers},
};

impl Master {
    pub(crate) fn on_elected(&mut self, registry: Registry, step: &mut Step<'_>) {
        if self.state.phase != Phase::Standby {
            never!("elected in phase {:?}", self.state.phase);
            return;
        }
        let missing = registry.missing_capabilities();
        if !missing.is_empty() {
            let why = format!("the registry asks for capabilities that this master lacks: {}", missing.join(", "));
            step_down(&mut self.state.phase, &mut self.timers, why, step);
            return;
        }
        for (id, admitted) in &registry.agents {
            let mut info = admitted.info.clone();
            info.resources.iter_mut().for_each(resources::format::upgrade);
            self.state.recovered_agents.insert(id.clone(), info);
        }
        for (role, weight) in &registry.weights {
            self.allocator.set_weight(role, *weight);
        }
        self.state.registry = Arc::new(registry);
        recover_quotas(&mut self.allocator, &self.state.registry, step.now);
        self.recover_groups(step);
        self.state.phase = Phase::Recovering;
        self.state.elected = Some(step.wall);
        let info = Box::new(v1::MasterInfo::clone(&self.state.info));
        self.pending.persist(vec![Operation::RecordMaster(info)], Continuation::Lead, step);
    }

    fn recover_groups(&mut self, step: &mut Step<'_>) {
        stdx::bug!("groups_forgotten_at_failover", return);
        self.load_groups(step);
    }

    pub(crate) fn on_deposed(&mut self, step: &mut Step<'_>) {
        stdx::bug!("deposed_leads_on", return);
        if matches!(self.state.phase, Phase::Recovering | Phase::Leading { .. }) {
            // Whoever said so knows why, and tells.
            tracing::info!("this master decides nothing any more");
            end_reign(&mut self.state.phase, &mut self.timers, "another master leads".to_owned(), step);
        }
        self.state.phase = Phase::Deposed;
    }

    pub(crate) fn on_persisted(&mut self, ticket: Ticket, mut outcome: Result<(), PersistError>, step: &mut Step<'_>) {
        stdx::bug!("failed_write_ignored", outcome = Ok(()));
        if self.state.phase == Phase::Deposed {
            return;
        }
        let Some((operations, then)) = self.pending.take(ticket) else {
            never!("nobody waits for ticket {ticket}");
            return;
        };
        if let Err(error) = outcome {
            step_down(
                &mut self.state.phase,
                &mut self.timers,
                format!("the registry cannot be written: {error}"),
                step,
            );
            return;
        }
        let registry = Arc::make_mut(&mut self.state.registry);
        for operation in &operations {
            if let Err(refusal) = registry::apply(registry, operation) {
                never!("the store took {operation:?}, which does not fit the registry: {refusal}");
                step_down(
                    &mut self.state.phase,
                    &mut self.timers,
                    format!("the registry differs from its store: {refusal}"),
                    step,
                );
                return;
            }
        }
        match then {
            Continuation::Lead => self.on_lead(step),
            Continuation::Register { from, info, message, replaces } => {
                self.on_admitted(from, *info, *message, replaces, step);
            }
            Continuation::Reregister { from, agent, message, was } => {
                self.on_readmitted(from, &agent, *message, was, step);
            }
            Continuation::Unreachable { agent, since, why } => self.on_marked_unreachable(&agent, since, &why, step),
            Continuation::Unrecovered { agents } => self.on_unrecovered(&agents, step),
            Continuation::Gone { agent } => self.on_marked_gone(&agent, step),
            Continuation::Unregistered { agent } => self.on_unregistered(&agent, step),
            Continuation::Draining { req, agent } => self.on_draining(req, &agent, step),
            Continuation::Drained { agent } => self.on_drained(&agent, step),
            Continuation::Deactivated { req, agent } => self.on_deactivated(req, &agent, step),
            Continuation::Reactivated { req, agent } => self.on_reactivated(req, &agent, step),
            Continuation::Noted => {}
            Continuation::Pruned { unreachable } => self.on_pruned(&unreachable),
            Continuation::Quotas { req, roles } => self.on_quotas(req, &roles, step),
            Continuation::Groups { req } => self.on_groups(req, step),
            Continuation::Weights { req, roles } => self.on_weights(req, &roles, step),
            Continuation::Schedule { req } => self.on_schedule(req, step),
            Continuation::MachinesDown { req, agents } => self.on_machines_down(req, &agents, step),
            Continuation::MachinesUp { req, machines } => self.on_machines_up(req, &machines, step),
        }
    }

    fn on_lead(&mut self, step: &mut Step<'_>) {
        self.state.phase = Phase::Leading { since: step.now };
        self.recover_registered_frameworks(step);
        tracing::info!(agents = self.state.recovered_agents.len(), "leading; waiting for the registry's agents");
        self.timers.set(step.now, self.config.agent_reregister_timeout, Timer::Recovery);
        self.timers.set(step.now, self.config.registry_gc_interval, Timer::RegistryGc);
        self.take_early(step);
    }

    pub(crate) fn fire_timers(&mut self, step: &mut Step<'_>) {
        if !self.state.is_leading() {
            return;
        }
        while let Some(timer) = self.timers.take_due(step.now) {
            match timer {
                Timer::Ping(agent) => self.on_ping_timer(&agent, step),
                Timer::Remove(agent) => self.on_removal_turn(&agent, step),
                Timer::Reregister(agent) => self.on_reregister_timeout(&agent, step),
                Timer::Recovery => self.on_recovery_timeout(step),
                Timer::Heartbeat(conn) => self.on_heartbeat_timer(conn, step),
                Timer::Failover(framework) => self.on_failover_timeout(&framework, step),
                Timer::Offer(offer) => self.offers().rescind(&offer, None, step),
                Timer::InverseOffer(offer) => self.offers().rescind_inverse(&offer, step),
                Timer::RegistryGc => self.on_registry_gc(step),
            }
        }
    }
}

pub(crate) fn step_down(phase: &mut Phase, timers: &mut Timers<Timer>, why: String, step: &mut Step<'_>) {
    tracing::error!(why, "stepping down");
    end_reign(phase, timers, why, step);
}

fn end_reign(phase: &mut Phase, timers: &mut Timers<Timer>, why: String, step: &mut Step<'_>) {
    *phase = Phase::Deposed;
    timers.clear();
    step.out.push(Effect::StepDown { why });
}
