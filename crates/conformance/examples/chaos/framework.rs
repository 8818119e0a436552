//! A framework of the Rust SDK that runs small tasks as long as the chaos lasts, and then sees every one of them to its
//! end.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use client::{Credential, Incoming, Masters, Options, SchedulerClient, Subscription};
use proto::v1::{self, framework_info::capability::Type as Capability};

use crate::books::{Books, Report};

pub struct Framework {
    name: String,
    url: String,
    busy: Arc<AtomicBool>,
    /// How many tasks to run at most while the chaos lasts.
    share: u64,
    credential: Option<Credential>,
    books: Books,
}

const RECONCILE: Duration = Duration::from_secs(3);
const TASKS_AT_ONCE: usize = 12;

impl Framework {
    pub fn new(
        name: String,
        url: String,
        books: Books,
        busy: Arc<AtomicBool>,
        share: u64,
        credential: Option<Credential>,
    ) -> Framework {
        Framework { name, url, busy, share, credential, books }
    }

    pub async fn run(mut self) -> Report {
        let Ok(masters) = self.url.parse::<Masters>() else {
            return Report { ended: 0, problems: vec![format!("{} is no place of masters", self.url)] };
        };
        let principal = self.credential.as_ref().map(|credential| credential.principal.clone());
        let client = SchedulerClient::with_options(
            masters,
            Options { credential: self.credential.take(), ..Options::default() },
        );
        let info = v1::FrameworkInfo {
            user: "root".into(),
            name: self.name.clone(),
            failover_timeout: Some(600.0),
            checkpoint: Some(true),
            principal,
            capabilities: vec![v1::framework_info::Capability { r#type: Some(Capability::PartitionAware as i32) }],
            ..Default::default()
        };
        let mut subscription = Subscription::new(client.clone(), info);
        let mut reconcile = tokio::time::interval(RECONCILE);
        while self.busy.load(Ordering::Relaxed) || self.books.open().next().is_some() {
            tokio::select! {
                incoming = subscription.next() => match incoming {
                    Ok(Incoming::Subscribed { .. }) => {
                        let id = client.framework_id().map(|id| id.value);
                        self.books.on_registered(&id.unwrap_or_default());
                        drop(client.reconcile(self.asked()).await);
                    }
                    Ok(Incoming::Event(event)) => self.on_event(*event, &client).await,
                    Ok(Incoming::Lost(_)) => {}
                    Err(error) => {
                        self.books.problems.push(format!("{}: {error}", self.name));
                        break;
                    }
                },
                _ = reconcile.tick() => drop(client.reconcile(self.asked()).await),
            }
        }
        let _ = client.teardown().await;
        self.books.close()
    }

    fn asked(&self) -> Vec<v1::scheduler::call::reconcile::Task> {
        let ask = |(id, agent): (&String, &v1::AgentId)| v1::scheduler::call::reconcile::Task {
            task_id: v1::TaskId { value: id.clone() },
            agent_id: Some(agent.clone()),
        };
        self.books.open().map(ask).collect()
    }

    async fn on_event(&mut self, event: v1::scheduler::Event, client: &SchedulerClient) {
        for offer in event.offers.into_iter().flat_map(|offers| offers.offers) {
            let more = self.busy.load(Ordering::Relaxed) && self.books.launched() < self.share;
            if !more || self.books.open().count() >= TASKS_AT_ONCE {
                let filters = v1::Filters { refuse_seconds: Some(1.0) };
                let _ = client.decline(vec![offer.id], Some(filters)).await;
                continue;
            }
            let tasks: Vec<v1::TaskInfo> = (0..3).map(|_| self.new_task(&offer.agent_id)).collect();
            // Whether the call was taken or not, reconciliation tells what became of the tasks.
            let _ = client.launch(vec![offer.id], tasks).await;
        }
        if let Some(update) = event.update {
            let status = &update.status;
            let why = status.message.as_deref().unwrap_or_default();
            self.books.on_state(&status.task_id.value, status.state(), status.uuid.is_some(), why);
            let _ = client.acknowledge(status).await;
        }
    }

    fn new_task(&mut self, agent: &v1::AgentId) -> v1::TaskInfo {
        let id = format!("{}-t{}", self.name, self.books.launched());
        let command = v1::CommandInfo { value: Some(self.books.command(&id)), ..Default::default() };
        self.books.on_launch(id.clone(), agent.clone());
        v1::TaskInfo {
            name: id.clone(),
            task_id: v1::TaskId { value: id },
            agent_id: agent.clone(),
            resources: vec![scalar("cpus", 0.1), scalar("mem", 32.0)],
            command: Some(command),
            ..Default::default()
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
