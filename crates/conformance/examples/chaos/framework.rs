//! A framework that runs small tasks as long as the chaos lasts, and then sees every one of them to its end. Each task
//! leaves a trace when it runs, so that its final state can be held against what happened.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use client::{Incoming, Masters, SchedulerClient, Subscription};
use proto::v1::{self, TaskState};

pub struct Framework {
    number: u64,
    url: String,
    traces: PathBuf,
    busy: Arc<AtomicBool>,
    /// How many tasks to run at most while the chaos lasts.
    share: u64,
    launched: u64,
    tasks: BTreeMap<String, Task>,
    problems: Vec<String>,
}

#[derive(Default)]
struct Task {
    agent: Option<v1::AgentId>,
    end: Option<TaskState>,
}

pub struct Report {
    pub ended: usize,
    pub problems: Vec<String>,
}

const RECONCILE: Duration = Duration::from_secs(3);
const TASKS_AT_ONCE: usize = 12;

impl Framework {
    pub fn new(number: u64, url: String, traces: PathBuf, busy: Arc<AtomicBool>, share: u64) -> Framework {
        let (tasks, problems) = Default::default();
        Framework { number, url, traces, busy, share, launched: 0, tasks, problems }
    }

    pub async fn run(mut self) -> Report {
        let Ok(masters) = self.url.parse::<Masters>() else {
            return Report { ended: 0, problems: vec![format!("{} is no place of masters", self.url)] };
        };
        let client = SchedulerClient::new(masters);
        let info = v1::FrameworkInfo {
            user: "root".into(),
            name: format!("chaos {}", self.number),
            failover_timeout: Some(600.0),
            checkpoint: Some(true),
            ..Default::default()
        };
        let mut subscription = Subscription::new(client.clone(), info);
        let mut reconcile = tokio::time::interval(RECONCILE);
        while self.busy.load(Ordering::Relaxed) || self.open().next().is_some() {
            tokio::select! {
                incoming = subscription.next() => match incoming {
                    Ok(Incoming::Subscribed { .. }) => drop(client.reconcile(self.asked()).await),
                    Ok(Incoming::Event(event)) => self.on_event(*event, &client).await,
                    Ok(Incoming::Lost(_)) => {}
                    Err(error) => {
                        self.problems.push(format!("framework {}: {error}", self.number));
                        break;
                    }
                },
                _ = reconcile.tick() => drop(client.reconcile(self.asked()).await),
            }
        }
        let _ = client.teardown().await;
        self.check_traces();
        Report { ended: self.tasks.values().filter(|task| task.end.is_some()).count(), problems: self.problems }
    }

    fn open(&self) -> impl Iterator<Item = (&String, &Task)> {
        self.tasks.iter().filter(|(_, task)| task.end.is_none())
    }

    fn asked(&self) -> Vec<v1::scheduler::call::reconcile::Task> {
        let ask = |(id, task): (&String, &Task)| v1::scheduler::call::reconcile::Task {
            task_id: v1::TaskId { value: id.clone() },
            agent_id: task.agent.clone(),
        };
        self.open().map(ask).collect()
    }

    async fn on_event(&mut self, event: v1::scheduler::Event, client: &SchedulerClient) {
        for offer in event.offers.into_iter().flat_map(|offers| offers.offers) {
            let more = self.busy.load(Ordering::Relaxed) && self.launched < self.share;
            if !more || self.open().count() >= TASKS_AT_ONCE {
                let filters = v1::Filters { refuse_seconds: Some(1.0) };
                let _ = client.decline(vec![offer.id], Some(filters)).await;
                continue;
            }
            let tasks: Vec<v1::TaskInfo> = (0..3).map(|_| self.new_task(&offer.agent_id)).collect();
            // Whether the call was taken or not, reconciliation tells what became of the tasks.
            let _ = client.launch(vec![offer.id], tasks).await;
        }
        if let Some(update) = event.update {
            self.on_status(&update.status);
            let _ = client.acknowledge(&update.status).await;
        }
    }

    fn on_status(&mut self, status: &v1::TaskStatus) {
        let state = status.state();
        let Some(task) = self.tasks.get_mut(&status.task_id.value) else { return };
        let ends = matches!(
            state,
            TaskState::TaskFinished
                | TaskState::TaskFailed
                | TaskState::TaskKilled
                | TaskState::TaskLost
                | TaskState::TaskError
                | TaskState::TaskDropped
                | TaskState::TaskGone
        );
        if !ends {
            return;
        }
        match task.end {
            None => task.end = Some(state),
            Some(former) if former != state => {
                let id = &status.task_id.value;
                let why = status.message.as_deref().unwrap_or_default();
                // What a master does not know any more it calls lost when asked.
                if status.uuid.is_some() {
                    self.problems.push(format!("{id} ended as {former:?} and then as {state:?} ({why})"));
                }
            }
            Some(_) => {}
        }
    }

    fn new_task(&mut self, agent: &v1::AgentId) -> v1::TaskInfo {
        let id = format!("f{}-t{}", self.number, self.launched);
        self.launched += 1;
        self.tasks.insert(id.clone(), Task { agent: Some(agent.clone()), end: None });
        let trace = self.traces.join(&id);
        v1::TaskInfo {
            name: id.clone(),
            task_id: v1::TaskId { value: id },
            agent_id: agent.clone(),
            resources: vec![scalar("cpus", 0.1), scalar("mem", 32.0)],
            command: Some(v1::CommandInfo {
                value: Some(format!("echo ran >> {}; sleep 0.2", trace.display())),
                ..Default::default()
            }),
            ..Default::default()
        }
    }

    /// A finished task ran once; one that ran did not end as one that never started.
    fn check_traces(&mut self) {
        for (id, task) in &self.tasks {
            let trace = std::fs::read_to_string(self.traces.join(id)).unwrap_or_default();
            let ran = trace.lines().count();
            let wrong = match task.end {
                Some(TaskState::TaskFinished) => ran != 1,
                Some(TaskState::TaskDropped | TaskState::TaskError) => ran != 0,
                Some(_) => ran > 1,
                None => true,
            };
            if wrong {
                self.problems.push(format!("{id} ended as {:?} and ran {ran} times", task.end));
            }
        }
    }
}

fn scalar(name: &str, value: f64) -> v1::Resource {
    v1::Resource {
        name: name.into(),
        r#type: v1::value::Type::Scalar as i32,
        scalar: Some(v1::value::Scalar { value }),
        ..Default::default()
    }
}
