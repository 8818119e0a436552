//! Why nothing starts, as a person would say it. Pure.

use proto::v1::{self, master::response::GetAgents};
use resources::{Quantities, Resources};

use crate::shortage::{Quotas, free_on};

/// What stands between a unit that needs this and its launch.
pub fn nothing_starts(agents: &GetAgents, quotas: &Quotas, needs: &Quantities, role: &str) -> String {
    let active: Vec<_> = agents.agents.iter().filter(|agent| agent.active && agent.deactivated != Some(true)).collect();
    if active.is_empty() {
        return match agents.agents.is_empty() && agents.recovered_agents.is_empty() {
            true => "nothing starts: no agent is registered; start one with `meseta agent --master=HOST:PORT \
                     --work_dir=DIRECTORY`"
                .to_owned(),
            false => "nothing starts: every agent the master knows is away or deactivated".to_owned(),
        };
    }
    let total = |agent: &&v1::master::response::get_agents::Agent| ours(&agent.total_resources, role);
    let fits = active.iter().any(|agent| total(agent).contains_quantities(needs));
    if !fits {
        let largest = active.iter().max_by_key(|agent| (total(agent).cpus(), total(agent).mem()));
        let largest = largest.map(|agent| {
            format!("; the largest, {}, has {}", agent.agent_info.hostname, total(agent).scalar_quantities())
        });
        return format!(
            "nothing starts: no agent has {needs} for role '{role}'{}. Ask for less, or start a larger agent",
            largest.unwrap_or_default()
        );
    }
    let limits = quotas.limits_in_the_way(role, needs);
    if !limits.is_empty() {
        return format!("waiting for quota: {}", limits.join("; "));
    }
    let sum = |each: &dyn Fn(&&v1::master::response::get_agents::Agent) -> Quantities| {
        active.iter().map(each).fold(Quantities::default(), |sum, next| sum + &next)
    };
    let free = sum(&|agent| free_on(agent, role));
    if let Some(kept) = quotas.guarantees_in_the_way(role, needs, &free) {
        return format!("waiting for quota: {kept}");
    }
    let busy = sum(&|agent| ours(&agent.allocated_resources, role).scalar_quantities());
    let all = sum(&|agent| total(agent).scalar_quantities());
    let share = |name: &str| format!("{} of {} {name}", busy.named(name), all.named(name));
    let most =
        active.iter().max_by_key(|agent| (free_on(agent, role).named("cpus"), free_on(agent, role).named("mem")));
    let most = most.map(|agent| {
        format!("; the most that is free on one is {} on {}", free_on(agent, role), agent.agent_info.hostname)
    });
    format!(
        "waiting for {needs} to come free on one agent: {} agent(s), {} and {} in use{}",
        active.len(),
        share("cpus"),
        share("mem"),
        most.unwrap_or_default()
    )
}

/// What tasks of this role may use.
fn ours(resources: &[v1::Resource], role: &str) -> Resources {
    let all = Resources::from_protos(resources).unwrap_or_default();
    all.allocatable_to(role).filter(|resource| !resource.is_revocable() && resource.disk().is_none())
}

#[cfg(test)]
mod tests {
    use proto::v1::master::response::get_agents::Agent;

    use super::*;
    use crate::fit;

    fn agent(hostname: &str, total: &str, allocated: &str) -> Agent {
        let read = |text: &str| Resources::parse(text, "*").expect(text).to_protos();
        Agent {
            agent_info: v1::AgentInfo { hostname: hostname.to_owned(), ..Default::default() },
            active: true,
            total_resources: read(total),
            allocated_resources: read(allocated),
            ..Default::default()
        }
    }

    fn why(agents: Vec<Agent>, cpus: f64) -> String {
        let agents = GetAgents { agents, ..Default::default() };
        nothing_starts(&agents, &Quotas::default(), &fit::quantities([("cpus", cpus)]), "*")
    }

    #[test]
    fn without_agents_it_says_how_to_start_one() {
        assert!(why(vec![], 1.0).contains("`meseta agent"));
    }

    #[test]
    fn what_no_agent_has_is_told_with_the_largest() {
        let text = why(vec![agent("a", "cpus:2;mem:100", ""), agent("b", "cpus:4;cpus(r):9;mem:50", "")], 8.0);
        assert!(text.contains("no agent has cpus:8") && text.contains("b, has cpus:4; mem:50"), "{text}");
    }

    #[test]
    fn a_busy_cluster_is_told_as_busy() {
        let text = why(vec![agent("a", "cpus:4;mem:100", "cpus:3;mem:10")], 2.0);
        assert!(text.contains("3 of 4 cpus") && text.contains("10 of 100 mem"), "{text}");
    }

    #[test]
    fn agents_that_are_away_do_not_count() {
        let away = Agent { active: false, ..agent("a", "cpus:4", "") };
        assert!(why(vec![away], 1.0).contains("away"));
    }
}
