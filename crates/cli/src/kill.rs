//! `meseta kill`: ends tasks of any framework through their agents, or a whole framework through the master. Mesos has
//! no operator's call that kills a task, and a framework is not taken over for it: its scheduler must stay in charge.

use std::{collections::BTreeMap, process::ExitCode};

use model::task_state::is_terminal;
use proto::v1::{self, agent};
use serde::Serialize;

use crate::{
    cluster::Cluster,
    connect::{self, Connect, Target},
    find::{self, Among},
    output::Format,
    sandbox,
    tables::{self, Parts},
};

const SIGTERM: i32 = 15;
const SIGKILL: i32 = 9;

/// Ends tasks, or with --framework alone a framework and all its tasks.
///
/// A task is ended where it runs: its agent sends a signal to its container. The executor of a command passes SIGTERM
/// on to the command, waits for the task's grace period, and the task becomes TASK_KILLED. A container of a pod gets
/// the signal itself; the pod's executor then ends the rest of the pod. Frameworks learn of the end as of any other and
/// may start the task again.
#[derive(clap::Args, Debug)]
pub struct KillArguments {
    #[command(flatten)]
    connect: Connect,
    #[command(flatten)]
    format: Format,
    /// Tasks: ids, beginnings that no other task has, or names.
    #[arg(value_name = "TASK", required_unless_present = "framework")]
    tasks: Vec<String>,
    /// The framework of the tasks; without a TASK the framework that is torn down. Its id, a short id, or its name.
    #[arg(long, value_name = "ID")]
    framework: Option<String>,
    /// SIGKILL at once, which no program can catch; a command's task then becomes TASK_FAILED, for its executor dies
    /// too.
    #[arg(short, long)]
    force: bool,
    /// Ends the task's custom executor with all the tasks that it runs.
    #[arg(long)]
    with_executor: bool,
}

#[derive(Default, Serialize)]
struct Killed {
    tasks: Vec<KilledTask>,
    /// Ids of frameworks that were torn down.
    frameworks: Vec<String>,
}

#[derive(Serialize)]
struct KilledTask {
    task_id: String,
    framework_id: String,
    agent_id: String,
    container_id: String,
    signal: i32,
}

pub fn kill(arguments: KillArguments) -> ExitCode {
    connect::run(async {
        let target = arguments.connect.target()?;
        let whole_framework = arguments.tasks.is_empty();
        let parts = Parts {
            agents: !whole_framework,
            tasks: !whole_framework,
            frameworks: arguments.framework.is_some(),
            counts: false,
        };
        let cluster = tables::fetch(&arguments.connect, parts).await?;
        let framework = match &arguments.framework {
            Some(text) => Some(find::framework(&cluster, text)?.id),
            None => None,
        };
        let mut killed = Killed::default();
        if whole_framework && let Some(id) = framework {
            let teardown = target.client().teardown(v1::FrameworkId { value: id.clone() }).await;
            teardown.map_err(|error| target.explain(&error))?;
            killed.frameworks.push(id);
        } else {
            let signal = if arguments.force { SIGKILL } else { SIGTERM };
            // All are looked up before the first is told.
            let orders: Vec<Order> = arguments
                .tasks
                .iter()
                .map(|text| Order::new(&cluster, text, framework.as_deref(), arguments.with_executor))
                .collect::<Result<_, _>>()?;
            for order in orders {
                killed.tasks.push(order.carry_out(&target, signal).await?);
            }
        }
        arguments.format.print(&killed, |killed| {
            let tasks = killed.tasks.iter().map(|task| format!("{} has been told to end", task.task_id));
            let frameworks = killed.frameworks.iter().map(|id| format!("{id} has been torn down"));
            tasks.chain(frameworks).collect::<Vec<_>>().join("\n")
        })?;
        Ok(ExitCode::SUCCESS)
    })
}

/// Which container of which agent to signal.
struct Order {
    task_id: String,
    place: sandbox::Place,
    container: v1::ContainerId,
}

impl Order {
    fn new(cluster: &Cluster, text: &str, framework: Option<&str>, with_executor: bool) -> Result<Order, String> {
        let task = find::task(cluster, text, Among::NotEnded, framework)?;
        let task_id = task.task_id.value.clone();
        let place = find::place(cluster, task)?;
        let container = place.container.clone().ok_or_else(|| {
            format!("{task_id} has no container yet, for its executor has not told of one; try again in a moment")
        })?;
        let custom = task.executor_id.as_ref().is_some_and(|id| !id.value.is_empty()) && container.parent.is_none();
        let others = others_of_executor(cluster, task);
        if custom && others > 0 && !with_executor {
            return Err(format!(
                "{task_id} is run by the executor '{}' together with {others} other task(s); --with-executor ends them all, \
                 only its framework can end one of them",
                place.executor_id
            ));
        }
        Ok(Order { task_id, place, container })
    }

    async fn carry_out(self, target: &Target, signal: i32) -> Result<KilledTask, String> {
        let Order { task_id, place, container } = self;
        let container_id = container.value.clone();
        let call = agent::Call {
            r#type: Some(agent::call::Type::KillContainer as i32),
            kill_container: Some(agent::call::KillContainer { container_id: container, signal: Some(signal) }),
            ..Default::default()
        };
        let told = async { target.agent(&place.address)?.call(&call).await };
        told.await.map_err(|error| format!("cannot tell {} to end {task_id}: {error}", place.address))?;
        let (framework_id, agent_id) = (place.framework_id, place.agent_id);
        Ok(KilledTask { task_id, framework_id, agent_id, container_id, signal })
    }
}

/// How many other tasks the executor of a task runs.
fn others_of_executor(cluster: &Cluster, task: &v1::Task) -> usize {
    let mut tasks: BTreeMap<&str, usize> = BTreeMap::new();
    for other in cluster.tasks().filter(|other| !is_terminal(other.state())) {
        if other.framework_id == task.framework_id
            && other.agent_id == task.agent_id
            && other.executor_id == task.executor_id
            && other.task_id != task.task_id
        {
            *tasks.entry(other.task_id.value.as_str()).or_default() += 1;
        }
    }
    tasks.len()
}
