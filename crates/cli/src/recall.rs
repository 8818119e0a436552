//! Tasks that the master has forgotten, from the agents: they know what they ran last, and sandboxes stay until they
//! are collected.

use std::sync::Arc;

use client::Options;
use proto::v1::{self, TaskState, agent::response::GetTasks};
use tokio::{sync::Semaphore, task::JoinSet};

use crate::{
    cluster::{Cluster, address},
    connect::Connect,
    find::{self, Among, NotFound},
    sandbox::AgentFiles,
    tables::{self, Parts},
};

/// Agents that are asked at the same time.
const AT_ONCE: usize = 16;
/// Of an agent, how many frameworks are searched for sandboxes, the newest first.
const FRAMEWORKS_MAX: usize = 200;

/// The cluster as its agents know it: their tasks, also those of frameworks that are completed. If none of these is
/// meant by `text`, what is found in their directories.
pub async fn of_agents(connect: &Connect, text: &str, framework: Option<&str>) -> Result<Cluster, String> {
    let mut cluster = tables::fetch(connect, Parts { agents: true, ..Parts::default() }).await?;
    let options = connect.target()?.options();
    cluster.tasks.completed_tasks = of_each(&cluster, |address, _| tasks(address, options.clone())).await;
    if let Err(NotFound::Nothing(_)) = find::task(&cluster, text, Among::All, framework) {
        let wanted = text.to_owned();
        cluster.tasks.completed_tasks =
            of_each(&cluster, |address, agent| sandboxes(address, agent, options.clone(), wanted.clone())).await;
    }
    Ok(cluster)
}

/// What each agent that can be reached answers; the others cannot help.
async fn of_each<F>(cluster: &Cluster, ask: impl Fn(String, v1::AgentId) -> F) -> Vec<v1::Task>
where
    F: Future<Output = Result<Vec<v1::Task>, client::Error>> + Send + 'static,
{
    let turns = Arc::new(Semaphore::new(AT_ONCE));
    let mut asked = JoinSet::new();
    for agent in cluster.agents.agents.iter().filter(|agent| agent.active) {
        let (Some(address), Some(id)) = (address(agent), agent.agent_info.id.clone()) else { continue };
        let (answer, turns) = (ask(address, id), turns.clone());
        asked.spawn(async move {
            let _turn = turns.acquire_owned().await;
            answer.await.unwrap_or_default()
        });
    }
    asked.join_all().await.into_iter().flatten().collect()
}

async fn tasks(address: String, options: Options) -> Result<Vec<v1::Task>, client::Error> {
    let known = client::AgentClient::with_options(&address, options)?.get_tasks().await?;
    let GetTasks { pending_tasks, queued_tasks, launched_tasks, terminated_tasks, completed_tasks } = known;
    let lists = [completed_tasks, terminated_tasks, pending_tasks, queued_tasks, launched_tasks];
    Ok(lists.into_iter().flatten().collect())
}

/// Tasks of commands, whose executors' directories have their names.
async fn sandboxes(
    address: String,
    agent: v1::AgentId,
    options: Options,
    wanted: String,
) -> Result<Vec<v1::Task>, client::Error> {
    let files = AgentFiles::open(&address, options).await?;
    let frameworks = format!("slaves/{}/frameworks", agent.value);
    let mut found = Vec::new();
    for framework in files.list(&frameworks).await?.into_iter().take(FRAMEWORKS_MAX) {
        let executors = files.list(&format!("{frameworks}/{framework}/executors")).await?;
        found.extend(executors.into_iter().filter(|id| id.starts_with(&wanted)).map(|id| v1::Task {
            name: id.clone(),
            task_id: v1::TaskId { value: id },
            framework_id: v1::FrameworkId { value: framework.clone() },
            agent_id: agent.clone(),
            state: TaskState::TaskUnknown as i32,
            ..Default::default()
        }));
    }
    Ok(found)
}
