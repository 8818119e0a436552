//! What checkers are told about masters: their own laws, what they say after they must not, ids, offers, quota.

mod groups;

use model::{AgentId, FrameworkId, OfferId, TaskId};
use proto::v1;

use super::{Core, World};
use crate::{observation::Fact, world::Kill};

impl World {
    /// The core's own laws, now and then, and whether it leads.
    pub(super) fn check_master(&mut self, master: u32) {
        let Some(every) = self.watched else { return };
        let steps = self.steps;
        let host = &mut self.masters[master as usize];
        let epoch = host.epoch;
        let Core::Here(core) = &mut host.core else { return };
        let leads = core.view().is_leading();
        let looks = leads && steps.is_multiple_of(u64::from(every.max(1)));
        let broken = if looks { core.check_invariants().err() } else { None };
        let settled = looks && host.writes == 0 && epoch == self.service.epoch();
        if settled && *core.view().registry != *self.service.registry() {
            let why = "what it takes for the registry is not what the store has".to_owned();
            self.fact(Fact::Broken { who: format!("master {master}"), why });
        }
        if looks {
            self.note_shares(master);
        }
        if let Some(why) = broken {
            self.fact(Fact::Broken { who: format!("master {master}"), why });
        }
        if leads && !std::mem::replace(&mut self.masters[master as usize].leads, leads) {
            self.fact(Fact::Leads { master, epoch });
        }
    }

    pub(super) fn spoke(&mut self, master: u32, deposed: bool, what: &'static str) {
        if deposed {
            self.fact(Fact::MasterSpoke { master, deposed, what });
        }
    }

    /// Whether an agent that is told it is in stands in the registry. A former leader's agents may be gone from it.
    pub(super) fn note_let_in(&mut self, master: u32, id: AgentId) {
        if self.watched.is_some() && self.masters[master as usize].epoch == self.service.epoch() {
            let recorded = self.service.registry().agents.contains_key(&id);
            self.note_owed_kills(master, &id);
            self.fact(Fact::LetIn { master, id, recorded });
        }
    }

    /// What a KILL will mean if the master takes it: the task is one that it knows.
    pub(super) fn find_kill(&self, master: u32, call: &v1::scheduler::Call) -> Option<((FrameworkId, TaskId), Kill)> {
        let (kill, framework) = (call.kill.as_ref()?, FrameworkId::from(call.framework_id.as_ref()?));
        let host = self.masters.get(master as usize).filter(|_| self.watched.is_some())?;
        let task = TaskId::from(&kill.task_id);
        let row = host.core()?.view().find_task(&framework, &task)?;
        let named = kill.agent_id.as_ref().is_none_or(|agent| row.agent == *agent);
        let lives = !model::task_state::is_terminal(row.state());
        (named && lives).then(|| ((framework, task), (master, host.life, row.agent.clone())))
    }

    /// An agent is back: which tasks it should have been told to kill.
    fn note_owed_kills(&mut self, master: u32, id: &AgentId) {
        let host = &self.masters[master as usize];
        let Some(state) = host.core().map(|core| core.view()) else { return };
        let agents = self.agents.iter().filter_map(|agent| agent.full());
        let Some(agent) = agents.map(|core| core.view()).find(|view| view.agent_id.as_ref() == Some(id)) else {
            return;
        };
        let runs = |framework: &FrameworkId, task: &TaskId| {
            let row = agent
                .executors()
                .find_map(|executor| executor.tasks.get(task).filter(|_| executor.framework == *framework));
            row.is_some_and(|row| !model::task_state::is_terminal(row.row.state()))
        };
        let taken = self.kills.iter().filter(|(_, (by, life, at))| *by == master && *life == host.life && at == id);
        let owed: Vec<(FrameworkId, TaskId)> = taken
            .map(|(key, _)| key)
            .filter(|(framework, task)| {
                let known = state.find_task(framework, task);
                known.is_some_and(|row| !model::task_state::is_terminal(row.state())) && runs(framework, task)
            })
            .cloned()
            .collect();
        for (framework, task) in owed {
            self.fact(Fact::KillOwed { framework, task });
        }
    }

    pub(super) fn note_stored(&mut self, master: u32, operations: &[registry::Operation]) {
        if self.watched.is_none() {
            return;
        }
        for operation in operations {
            // With an agent that is away and forgotten, its kills are.
            if let registry::Operation::Prune { unreachable, .. } = operation {
                self.kills.retain(|_, (by, _, at)| *by != master || !unreachable.contains(at));
            }
            if let registry::Operation::AdmitAgent(info) = operation
                && let Some(id) = &info.id
            {
                let id = AgentId::from(id);
                self.fact(Fact::MintedAgent { master, id });
            }
        }
    }

    pub(super) fn note_event(&mut self, master: u32, framework: u32, event: &v1::scheduler::Event) {
        if let Some(subscribed) = &event.subscribed {
            let id = FrameworkId::from(&subscribed.framework_id);
            self.fact(Fact::MintedFramework { master, id });
        }
        for offer in event.offers.iter().flat_map(|offers| &offers.offers) {
            let (id, agent) = (OfferId::from(&offer.id), AgentId::from(&offer.agent_id));
            let role = offer.allocation_info.as_ref().and_then(|info| info.role.clone()).unwrap_or_default();
            let state = self.masters[master as usize].core().map(|core| core.view());
            let group = state.and_then(|state| groups::serving(state, &role)).cloned();
            self.fact(Fact::Offered { master, framework, offer: id, agent, role, group });
            self.note_group_offer(master, offer);
        }
        // Offers of one event may be of several roles, but here frameworks have one.
        let mut offers = event.offers.iter().flat_map(|offers| &offers.offers);
        let with_cpus = offers.find(|offer| offer.resources.iter().any(|resource| resource.name == "cpus"));
        let info = with_cpus.and_then(|offer| offer.allocation_info.as_ref());
        if let Some(role) = info.and_then(|info| info.role.clone()) {
            self.note_quota(master, role);
        }
    }

    /// What a role with a limit has after it was offered more.
    pub(super) fn note_quota(&mut self, master: u32, role: String) {
        let Some(core) = self.masters[master as usize].core() else { return };
        let state = core.view();
        let quota = state.registry.quotas.get(&role).and_then(|quota| quota.limits.get("cpus"));
        let Some(limit) = quota.map(|limit| limit.value) else { return };
        let cpus = groups::held_by_role(state).get(&role).map_or(0.0, |held| held.get(&"cpus".into()).as_f64());
        self.fact(Fact::RoleOffered { role, cpus, limit });
    }
}
