//! What is replayed: agents, frameworks, what they hold and what they want, and the settings that share it out.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use allocator::{AgentProfile, AllocatorConfig, Group, Quota};
use model::{AgentCapabilities, AgentId, FrameworkCapabilities, FrameworkId};
use resources::{Name, Quantities, Resources};
use workload::{Agent, Fleet, Trace};

#[derive(Clone, Debug, Default)]
pub struct Scenario {
    pub config: AllocatorConfig,
    pub weights: BTreeMap<String, f64>,
    pub quotas: BTreeMap<String, Quota>,
    pub groups: Vec<Group>,
    pub agents: Vec<ScenarioAgent>,
    pub frameworks: Vec<ScenarioFramework>,
    /// What runs at the beginning.
    pub held: Vec<Held>,
    pub wanted: Vec<Wanted>,
    /// The end at the latest; without it, when nothing more can happen.
    pub until: Option<Duration>,
    /// Means are over the time from here on.
    pub measured_from: Duration,
    /// What was assumed and left out, in sentences.
    pub notes: Vec<String>,
}

#[derive(Clone, Debug)]
pub struct ScenarioAgent {
    pub id: AgentId,
    pub profile: AgentProfile,
    pub total: Resources,
}

#[derive(Clone, Debug)]
pub struct ScenarioFramework {
    pub id: FrameworkId,
    pub name: Arc<str>,
    pub roles: BTreeSet<String>,
    pub capabilities: FrameworkCapabilities,
    /// Whether it is connected and gets offers.
    pub active: bool,
}

/// A task that runs. Frameworks and agents are told by their place in the scenario.
#[derive(Clone, Debug)]
pub struct Held {
    pub framework: usize,
    pub role: Arc<str>,
    pub agent: usize,
    pub demand: Quantities,
    /// For how long it still runs.
    pub left: Duration,
    /// How long the same takes when it is started anew, if it is.
    pub again: Option<Duration>,
}

/// Equal tasks that arrive at one moment.
#[derive(Clone, Debug)]
pub struct Wanted {
    pub framework: usize,
    pub role: Arc<str>,
    pub arrival: Duration,
    pub duration: Duration,
    pub count: u32,
    pub demand: Quantities,
    /// Whether each is wanted again as soon as it ends.
    pub again: bool,
}

impl Scenario {
    /// Work that arrives at an empty cluster.
    pub fn of_trace(trace: &Trace, fleet: &Fleet) -> Scenario {
        let mut scenario = Scenario::default();
        scenario.add_fleet(fleet);
        let mut numbers: BTreeMap<Arc<str>, usize> = BTreeMap::new();
        for job in &trace.jobs {
            let framework = *numbers.entry(job.framework.clone()).or_insert_with(|| {
                scenario.frameworks.push(ScenarioFramework {
                    id: FrameworkId::new(job.framework.clone()),
                    name: job.framework.clone(),
                    roles: BTreeSet::new(),
                    capabilities: FrameworkCapabilities {
                        multi_role: true,
                        reservation_refinement: true,
                        ..FrameworkCapabilities::default()
                    },
                    active: true,
                });
                scenario.frameworks.len() - 1
            });
            if let Some(row) = scenario.frameworks.get_mut(framework) {
                row.roles.insert(job.role.to_string());
                row.capabilities.gpu_resources |= job.demand.get(&Name::from("gpus")).is_positive();
            }
            scenario.wanted.push(Wanted {
                framework,
                role: job.role.clone(),
                arrival: job.arrival,
                duration: job.duration,
                count: job.count,
                demand: job.demand.clone(),
                again: false,
            });
        }
        scenario
    }

    /// Agents called as nobody else is.
    pub fn add_fleet(&mut self, fleet: &Fleet) {
        let known: BTreeSet<AgentId> = self.agents.iter().map(|agent| agent.id.clone()).collect();
        for (number, agent) in fleet.agents.iter().enumerate() {
            let mut id = AgentId::new(agent.hostname.as_str());
            if known.contains(&id) {
                id = AgentId::new(format!("{}+{}", agent.hostname, self.agents.len() + number + 1));
            }
            self.agents.push(agent_of(id, agent));
        }
    }

    /// What all agents have together.
    pub fn capacity(&self) -> Quantities {
        let mut all = Quantities::default();
        for agent in &self.agents {
            all += &agent.total.scalar_quantities();
        }
        all
    }

    /// All roles that frameworks are in.
    pub fn roles(&self) -> BTreeSet<&str> {
        self.frameworks.iter().flat_map(|framework| framework.roles.iter().map(String::as_str)).collect()
    }
}

fn agent_of(id: AgentId, agent: &Agent) -> ScenarioAgent {
    ScenarioAgent {
        id,
        profile: AgentProfile {
            hostname: agent.hostname.clone(),
            attributes: agent.attributes.clone(),
            domain: agent.domain.clone(),
            capabilities: AgentCapabilities::ALL,
            active: true,
        },
        total: agent.resources.scalars(),
    }
}
