//! A custom executor's side of the v1 executor API: one subscription to the agent that started it, and updates beside
//! it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use proto::v1::{
    self,
    executor::{Call, Event, call, event},
};
use transport::client::Records;

use crate::{Error, Masters, Options, masters::authority_with, reach::Reach};

const PATH: &str = "/api/v1/executor";
const AGENT_PORT: u16 = 5051;

/// An executor's calls to its agent. Clones share what is not acknowledged yet.
///
/// ```no_run
/// use client::ExecutorClient;
/// use proto::v1::{TaskState, TaskStatus};
///
/// # async fn run() -> Result<(), client::Error> {
/// let executor = ExecutorClient::from_env()?;
/// let mut events = executor.subscribe().await?;
/// while let Ok(event) = events.next().await {
///     let Some(launch) = event.launch else { continue };
///     let task_id = launch.task.task_id;
///     let status = TaskStatus { task_id, state: TaskState::TaskRunning as i32, ..Default::default() };
///     executor.update(status).await?;
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct ExecutorClient {
    reach: Reach,
    framework_id: v1::FrameworkId,
    executor_id: v1::ExecutorId,
    unacknowledged: Arc<Mutex<call::Subscribe>>,
}

impl ExecutorClient {
    /// An executor of the agent at `agent`, `host:port`.
    pub fn new(
        agent: &str,
        framework_id: v1::FrameworkId,
        executor_id: v1::ExecutorId,
        options: Options,
    ) -> Result<ExecutorClient, Error> {
        let agent: Masters = authority_with(agent, AGENT_PORT)?.parse()?;
        Ok(ExecutorClient {
            reach: Reach::new(agent, options),
            framework_id,
            executor_id,
            unacknowledged: Arc::default(),
        })
    }

    /// The executor that the environment describes, as the agent sets it.
    pub fn from_env() -> Result<ExecutorClient, Error> {
        let variable = |name: &str| {
            std::env::var(name).map_err(|_| Error::Address(format!("{name} is not set; the agent starts executors")))
        };
        let framework_id = v1::FrameworkId { value: variable("MESOS_FRAMEWORK_ID")? };
        let executor_id = v1::ExecutorId { value: variable("MESOS_EXECUTOR_ID")? };
        ExecutorClient::new(&variable("MESOS_AGENT_ENDPOINT")?, framework_id, executor_id, Options::default())
    }

    /// Opens the event stream, listing what the agent has not acknowledged.
    pub async fn subscribe(&self) -> Result<ExecutorEvents, Error> {
        let subscribe = self.unacknowledged().clone();
        let call = Call { subscribe: Some(subscribe), ..self.typed(call::Type::Subscribe) };
        let (_, records) = self.reach.open(PATH, self.reach.content_type().encode(&call)).await?;
        Ok(ExecutorEvents { client: self.clone(), records })
    }

    /// Sends an update. Its source, executor, timestamp and uuid are filled in where they are missing; it is remembered
    /// until the agent acknowledges it, and the next subscription lists it.
    pub async fn update(&self, mut status: v1::TaskStatus) -> Result<(), Error> {
        let now = std::time::SystemTime::now().duration_since(std::time::SystemTime::UNIX_EPOCH).unwrap_or_default();
        status.source.get_or_insert(v1::task_status::Source::Executor as i32);
        status.executor_id.get_or_insert_with(|| self.executor_id.clone());
        status.timestamp.get_or_insert(now.as_secs_f64());
        status.uuid.get_or_insert_with(|| Bytes::copy_from_slice(&crate::subscription::seeded_rng().uuid()));
        let update = call::Update { status };
        self.unacknowledged().unacknowledged_updates.push(update.clone());
        self.call(Call { update: Some(update), ..self.typed(call::Type::Update) }).await
    }

    /// Sends `data` to the framework; it may get lost.
    pub async fn message(&self, data: impl Into<Bytes>) -> Result<(), Error> {
        let message = call::Message { data: data.into() };
        self.call(Call { message: Some(message), ..self.typed(call::Type::Message) }).await
    }

    /// Sends any call but SUBSCRIBE.
    pub async fn call(&self, call: Call) -> Result<(), Error> {
        self.reach.post(PATH, self.reach.content_type().encode(&call), &[]).await.map(drop)
    }

    fn typed(&self, kind: call::Type) -> Call {
        Call {
            executor_id: self.executor_id.clone(),
            framework_id: self.framework_id.clone(),
            r#type: Some(kind as i32),
            ..Default::default()
        }
    }

    fn unacknowledged(&self) -> MutexGuard<'_, call::Subscribe> {
        self.unacknowledged.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, event: &Event) {
        let mut open = self.unacknowledged();
        match event.r#type() {
            event::Type::Launch => open.unacknowledged_tasks.extend(event.launch.iter().map(|it| it.task.clone())),
            event::Type::LaunchGroup => {
                let groups = event.launch_group.iter();
                open.unacknowledged_tasks.extend(groups.flat_map(|it| it.task_group.tasks.iter().cloned()));
            }
            event::Type::Acknowledged => {
                let Some(ack) = &event.acknowledged else { return };
                open.unacknowledged_tasks.retain(|task| task.task_id != ack.task_id);
                open.unacknowledged_updates.retain(|update| update.status.uuid.as_ref() != Some(&ack.uuid));
            }
            _ => {}
        }
    }
}

/// The events of one subscription.
#[derive(Debug)]
pub struct ExecutorEvents {
    client: ExecutorClient,
    records: Records,
}

impl ExecutorEvents {
    /// The next event. After an `Err` an executor whose `MESOS_CHECKPOINT` is 1 subscribes again, any other ends. Safe
    /// to drop and call again.
    pub async fn next(&mut self) -> Result<Event, Error> {
        let Some(record) = self.records.next().await? else {
            return Err(Error::Ended("the agent closed it".to_owned()));
        };
        let event: Event = self.client.reach.content_type().decode(&record)?;
        self.client.note(&event);
        Ok(event)
    }
}
