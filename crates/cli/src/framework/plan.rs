//! What goes where: units that wait, offers that came. Pure.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use proto::v1::{self, offer::operation};
use resources::{Quantities, Resources};

use super::{AgentPlace, Unit, Waiting};
use crate::fit;

/// The answers to some offers.
#[derive(Debug, Default)]
pub struct Plan {
    pub accepted: Vec<Answer>,
    pub declined: Vec<v1::OfferId>,
}

/// One ACCEPT.
#[derive(Debug)]
pub struct Answer {
    pub offer_ids: Vec<v1::OfferId>,
    pub agent: Arc<AgentPlace>,
    pub operations: Vec<v1::offer::Operation>,
    pub placed: Vec<Placed>,
}

/// A unit with the ids under which its tasks are launched.
#[derive(Debug)]
pub struct Placed {
    pub unit: Arc<Unit>,
    pub attempt: u32,
    pub task_ids: Vec<String>,
}

/// An agent and what it offers.
struct AgentOffers {
    agent: Arc<AgentPlace>,
    offer_ids: Vec<v1::OfferId>,
    free: Resources,
    commands: Vec<v1::TaskInfo>,
    operations: Vec<v1::offer::Operation>,
    placed: Vec<Placed>,
}

/// Places what fits, in the order of the queue, each unit where most is free; what does not fit stays in the queue and
/// lets others pass.
pub fn plan(offers: Vec<v1::Offer>, waiting: &mut VecDeque<Waiting>, framework: &v1::FrameworkId) -> Plan {
    let mut agents = by_agent(offers);
    let mut left = VecDeque::new();
    let mut misfits: Vec<Quantities> = Vec::new();
    while let Some(Waiting { unit, attempt }) = waiting.pop_front() {
        let needs = unit.needs();
        if misfits.contains(&needs) || !place(&mut agents, &unit, attempt, &needs, framework) {
            if !misfits.contains(&needs) {
                misfits.push(needs);
            }
            left.push_back(Waiting { unit, attempt });
        }
    }
    *waiting = left;
    let mut plan = Plan::default();
    for agent in agents {
        match agent.placed.is_empty() {
            true => plan.declined.extend(agent.offer_ids),
            false => plan.accepted.push(agent.answer()),
        }
    }
    plan
}

fn by_agent(offers: Vec<v1::Offer>) -> Vec<AgentOffers> {
    let mut agents: BTreeMap<String, AgentOffers> = BTreeMap::new();
    for offer in offers {
        let address = offer.url.as_ref().map(|url| {
            let host = url.address.ip.as_deref().or(url.address.hostname.as_deref()).unwrap_or(&offer.hostname);
            format!("{host}:{}", url.address.port)
        });
        let agent = agents.entry(offer.agent_id.value.clone()).or_insert_with(|| AgentOffers {
            agent: Arc::new(AgentPlace { id: offer.agent_id, hostname: offer.hostname, address }),
            offer_ids: Vec::new(),
            free: Resources::default(),
            commands: Vec::new(),
            operations: Vec::new(),
            placed: Vec::new(),
        });
        agent.free += fit::usable(&offer.resources);
        agent.offer_ids.push(offer.id);
    }
    agents.into_values().collect()
}

fn place(
    agents: &mut [AgentOffers],
    unit: &Arc<Unit>,
    attempt: u32,
    needs: &Quantities,
    framework: &v1::FrameworkId,
) -> bool {
    let mut order: Vec<&mut AgentOffers> =
        agents.iter_mut().filter(|agent| agent.free.contains_quantities(needs)).collect();
    order.sort_by_key(|agent| std::cmp::Reverse(agent.free.cpus()));
    order.into_iter().any(|agent| agent.place(unit, attempt, framework))
}

impl AgentOffers {
    fn place(&mut self, unit: &Arc<Unit>, attempt: u32, framework: &v1::FrameworkId) -> bool {
        let mut free = self.free.clone();
        let mut tasks = Vec::with_capacity(unit.parts.len());
        for part in &unit.parts {
            let Some(resources) = fit::take(&mut free, &part.needs) else { return false };
            let task_id = v1::TaskId { value: attempt_id(&part.task.task_id.value, attempt) };
            tasks.push(v1::TaskInfo { task_id, agent_id: self.agent.id.clone(), resources, ..part.task.clone() });
        }
        let task_ids = tasks.iter().map(|task| task.task_id.value.clone()).collect();
        match &unit.pod {
            None => self.commands.extend(tasks),
            Some(needs) => {
                let Some(resources) = fit::take(&mut free, needs) else { return false };
                self.operations.push(launch_group(unit, attempt, framework, resources, tasks));
            }
        }
        self.free = free;
        self.placed.push(Placed { unit: unit.clone(), attempt, task_ids });
        true
    }

    fn answer(mut self) -> Answer {
        if !self.commands.is_empty() {
            self.operations.push(v1::offer::Operation {
                r#type: Some(operation::Type::Launch as i32),
                launch: Some(operation::Launch { task_infos: self.commands }),
                ..Default::default()
            });
        }
        Answer { offer_ids: self.offer_ids, agent: self.agent, operations: self.operations, placed: self.placed }
    }
}

fn launch_group(
    unit: &Unit,
    attempt: u32,
    framework: &v1::FrameworkId,
    resources: Vec<v1::Resource>,
    tasks: Vec<v1::TaskInfo>,
) -> v1::offer::Operation {
    let first = unit.parts.first().map(|part| part.task.task_id.value.as_str()).unwrap_or_default();
    let executor = v1::ExecutorInfo {
        r#type: Some(v1::executor_info::Type::Default as i32),
        executor_id: v1::ExecutorId { value: format!("pod-{}", attempt_id(first, attempt)) },
        framework_id: Some(framework.clone()),
        resources,
        ..Default::default()
    };
    v1::offer::Operation {
        r#type: Some(operation::Type::LaunchGroup as i32),
        launch_group: Some(Box::new(operation::LaunchGroup { executor, task_group: v1::TaskGroupInfo { tasks } })),
        ..Default::default()
    }
}

/// The id of a later attempt differs, for the master may remember the earlier one.
fn attempt_id(id: &str, attempt: u32) -> String {
    if attempt == 0 { id.to_owned() } else { format!("{id}-retry{attempt}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::framework::Part;

    fn offer(id: &str, agent: &str, resources: &str) -> v1::Offer {
        v1::Offer {
            id: v1::OfferId { value: id.to_owned() },
            agent_id: v1::AgentId { value: agent.to_owned() },
            hostname: agent.to_owned(),
            resources: Resources::parse(resources, "*").expect(resources).allocate("*").to_protos(),
            ..Default::default()
        }
    }

    fn unit(number: usize, cpus: &[f64], pod: Option<f64>) -> Waiting {
        let part = |(i, cpus): (usize, &f64)| Part {
            task: v1::TaskInfo { task_id: v1::TaskId { value: format!("t{number}.{i}") }, ..Default::default() },
            needs: fit::quantities([("cpus", *cpus)]),
        };
        let parts = cpus.iter().enumerate().map(part).collect();
        let unit = Unit { number, parts, pod: pod.map(|cpus| fit::quantities([("cpus", cpus)])) };
        Waiting { unit: Arc::new(unit), attempt: 0 }
    }

    fn run(offers: Vec<v1::Offer>, waiting: Vec<Waiting>) -> (Plan, Vec<usize>) {
        let mut waiting = VecDeque::from(waiting);
        let plan = plan(offers, &mut waiting, &v1::FrameworkId { value: "f".to_owned() });
        (plan, waiting.iter().map(|waiting| waiting.unit.number).collect())
    }

    fn placed(answer: &Answer) -> Vec<usize> {
        answer.placed.iter().map(|placed| placed.unit.number).collect()
    }

    #[test]
    fn units_spread_and_what_is_not_needed_is_declined() {
        let offers = vec![offer("1", "a", "cpus:2"), offer("2", "b", "cpus:3"), offer("3", "c", "cpus:0.1")];
        let (plan, left) = run(offers, vec![unit(0, &[1.0], None), unit(1, &[1.0], None), unit(2, &[1.0], None)]);
        assert!(left.is_empty());
        assert_eq!(plan.accepted.iter().map(placed).collect::<Vec<_>>(), [vec![1], vec![0, 2]]);
        assert_eq!(plan.declined.iter().map(|id| id.value.as_str()).collect::<Vec<_>>(), ["3"]);
    }

    #[test]
    fn offers_of_one_agent_are_taken_together() {
        let (plan, left) = run(vec![offer("1", "a", "cpus:1"), offer("2", "a", "cpus:1")], vec![unit(0, &[2.0], None)]);
        assert!(left.is_empty());
        assert_eq!(plan.accepted[0].offer_ids.len(), 2);
    }

    #[test]
    fn what_does_not_fit_waits_and_lets_others_pass() {
        let (plan, left) = run(
            vec![offer("1", "a", "cpus:1")],
            vec![unit(0, &[2.0], None), unit(1, &[2.0], None), unit(2, &[0.5], None)],
        );
        assert_eq!(left, [0, 1]);
        assert_eq!(placed(&plan.accepted[0]), [2]);
    }

    #[test]
    fn a_pod_needs_room_for_its_executor_and_all_its_containers_on_one_agent() {
        let two = || vec![offer("1", "a", "cpus:1"), offer("2", "b", "cpus:1")];
        let (plan, left) = run(two(), vec![unit(0, &[0.5, 0.5], Some(0.1))]);
        assert!(plan.accepted.is_empty() && left == [0]);
        let (plan, left) = run(two(), vec![unit(0, &[0.5, 0.4], Some(0.1))]);
        assert!(left.is_empty());
        let group = plan.accepted[0].operations[0].launch_group.as_ref().expect("a group");
        assert_eq!(group.task_group.tasks.len(), 2);
        assert_eq!(group.executor.resources.len(), 1);
    }

    #[test]
    fn a_second_attempt_has_other_ids() {
        let waiting = Waiting { attempt: 2, ..unit(0, &[1.0], None) };
        let (plan, _) = run(vec![offer("1", "a", "cpus:1")], vec![waiting]);
        assert_eq!(plan.accepted[0].placed[0].task_ids, ["t0.0-retry2"]);
    }
}
