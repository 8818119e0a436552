//! A framework's side of the v1 scheduler API: one subscription, and calls beside it. `subscription` adds coming back
//! after the master was away.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use proto::v1::{
    self,
    scheduler::{Call, Event, call, event},
};
use tokio::time::Instant;
use transport::{client::Records, header::HeaderName};

use crate::{Error, Masters, Options, reach::Reach};

const PATH: &str = "/api/v1/scheduler";
const STREAM_ID: HeaderName = HeaderName::from_static("mesos-stream-id");
/// Heartbeats missed before the master counts as gone.
const MISSED_HEARTBEATS: u32 = 5;

/// A framework's calls to the leading master. Clones share the subscription.
#[derive(Clone, Debug)]
pub struct SchedulerClient {
    reach: Reach,
    session: Arc<Mutex<Session>>,
}

/// What the present subscription told.
#[derive(Debug, Default)]
struct Session {
    framework_id: Option<v1::FrameworkId>,
    stream_id: Option<String>,
}

impl SchedulerClient {
    pub fn new(masters: Masters) -> SchedulerClient {
        SchedulerClient::with_options(masters, Options::default())
    }

    pub fn with_options(masters: Masters, options: Options) -> SchedulerClient {
        SchedulerClient { reach: Reach::new(masters, options), session: Arc::default() }
    }

    /// The id of the framework, once a subscription has told it.
    pub fn framework_id(&self) -> Option<v1::FrameworkId> {
        self.session().framework_id.clone()
    }

    /// The id of the present event stream.
    pub fn stream_id(&self) -> Option<String> {
        self.session().stream_id.clone()
    }

    /// The master that answered last, `host:port`.
    pub fn master(&self) -> Option<String> {
        self.reach.last()
    }

    /// Opens the event stream. With an id in `framework_info` (its own, or that of an earlier subscription through this
    /// client) the framework takes its tasks over.
    pub async fn subscribe(&self, mut subscribe: call::Subscribe) -> Result<Events, Error> {
        if subscribe.framework_info.id.is_none() {
            subscribe.framework_info.id = self.framework_id();
        }
        let framework_id = subscribe.framework_info.id.clone();
        let call = Call { framework_id, subscribe: Some(Box::new(subscribe)), ..typed(call::Type::Subscribe) };
        let body = self.reach.content_type().encode(&call);
        let (headers, records) = self.reach.open(PATH, body).await?;
        let stream_id = headers.get(&STREAM_ID).and_then(|id| id.to_str().ok()).map(str::to_owned);
        self.session().stream_id = stream_id;
        Ok(Events { client: self.clone(), records, patience: None, silent_until: None })
    }

    /// Sends any call but SUBSCRIBE; the framework's id is filled in.
    pub async fn call(&self, mut call: Call) -> Result<(), Error> {
        let stream_id = {
            let session = self.session();
            if call.framework_id.is_none() {
                call.framework_id.clone_from(&session.framework_id);
            }
            session.stream_id.clone()
        };
        let stream_id = stream_id.ok_or(Error::NotSubscribed)?;
        let body = self.reach.content_type().encode(&call);
        self.reach.post(PATH, body, &[(STREAM_ID, &stream_id)]).await.map(drop)
    }

    pub async fn accept(
        &self,
        offer_ids: Vec<v1::OfferId>,
        operations: Vec<v1::offer::Operation>,
        filters: Option<v1::Filters>,
    ) -> Result<(), Error> {
        let accept = call::Accept { offer_ids, operations, filters };
        self.call(Call { accept: Some(accept), ..typed(call::Type::Accept) }).await
    }

    /// Launches `tasks` on the agent of these offers.
    pub async fn launch(&self, offer_ids: Vec<v1::OfferId>, tasks: Vec<v1::TaskInfo>) -> Result<(), Error> {
        let operation = v1::offer::Operation {
            r#type: Some(v1::offer::operation::Type::Launch as i32),
            launch: Some(v1::offer::operation::Launch { task_infos: tasks }),
            ..Default::default()
        };
        self.accept(offer_ids, vec![operation], None).await
    }

    /// Launches `tasks` together, as one pod of `executor`, on the agent of these offers.
    pub async fn launch_group(
        &self,
        offer_ids: Vec<v1::OfferId>,
        executor: v1::ExecutorInfo,
        tasks: Vec<v1::TaskInfo>,
    ) -> Result<(), Error> {
        let group = v1::offer::operation::LaunchGroup { executor, task_group: v1::TaskGroupInfo { tasks } };
        let operation = v1::offer::Operation {
            r#type: Some(v1::offer::operation::Type::LaunchGroup as i32),
            launch_group: Some(Box::new(group)),
            ..Default::default()
        };
        self.accept(offer_ids, vec![operation], None).await
    }

    pub async fn decline(&self, offer_ids: Vec<v1::OfferId>, filters: Option<v1::Filters>) -> Result<(), Error> {
        let decline = call::Decline { offer_ids, filters };
        self.call(Call { decline: Some(decline), ..typed(call::Type::Decline) }).await
    }

    /// Acknowledges an update; one without a uuid needs no acknowledgement, and nothing is sent.
    pub async fn acknowledge(&self, status: &v1::TaskStatus) -> Result<(), Error> {
        let (Some(uuid), Some(agent_id)) = (status.uuid.clone(), status.agent_id.clone()) else { return Ok(()) };
        let acknowledge = call::Acknowledge { agent_id, task_id: status.task_id.clone(), uuid };
        self.call(Call { acknowledge: Some(acknowledge), ..typed(call::Type::Acknowledge) }).await
    }

    /// Kills a task; `grace` overrides its own kill policy.
    pub async fn kill(
        &self,
        task_id: v1::TaskId,
        agent_id: Option<v1::AgentId>,
        grace: Option<Duration>,
    ) -> Result<(), Error> {
        let kill_policy = grace.map(|grace| {
            let nanoseconds = i64::try_from(grace.as_nanos()).unwrap_or(i64::MAX);
            v1::KillPolicy { grace_period: Some(v1::DurationInfo { nanoseconds }) }
        });
        let kill = call::Kill { task_id, agent_id, kill_policy };
        self.call(Call { kill: Some(kill), ..typed(call::Type::Kill) }).await
    }

    pub async fn shutdown(&self, executor_id: v1::ExecutorId, agent_id: v1::AgentId) -> Result<(), Error> {
        let shutdown = call::Shutdown { executor_id, agent_id };
        self.call(Call { shutdown: Some(shutdown), ..typed(call::Type::Shutdown) }).await
    }

    /// Asks for the states of these tasks, or of all of them if none is named.
    pub async fn reconcile(&self, tasks: Vec<call::reconcile::Task>) -> Result<(), Error> {
        let reconcile = call::Reconcile { tasks };
        self.call(Call { reconcile: Some(reconcile), ..typed(call::Type::Reconcile) }).await
    }

    /// Sends `data` to an executor; it may get lost.
    pub async fn message(
        &self,
        executor_id: v1::ExecutorId,
        agent_id: v1::AgentId,
        data: impl Into<Bytes>,
    ) -> Result<(), Error> {
        let message = call::Message { agent_id, executor_id, data: data.into() };
        self.call(Call { message: Some(message), ..typed(call::Type::Message) }).await
    }

    /// Asks for offers again, for these roles or for all.
    pub async fn revive(&self, roles: Vec<String>) -> Result<(), Error> {
        self.call(Call { revive: Some(call::Revive { roles }), ..typed(call::Type::Revive) }).await
    }

    /// Asks for no more offers, for these roles or for all.
    pub async fn suppress(&self, roles: Vec<String>) -> Result<(), Error> {
        self.call(Call { suppress: Some(call::Suppress { roles }), ..typed(call::Type::Suppress) }).await
    }

    /// Ends the framework and everything it runs.
    pub async fn teardown(&self) -> Result<(), Error> {
        self.call(typed(call::Type::Teardown)).await
    }

    fn session(&self) -> MutexGuard<'_, Session> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn typed(kind: call::Type) -> Call {
    Call { r#type: Some(kind as i32), ..Default::default() }
}

/// The events of one subscription. Dropping it disconnects the framework.
#[derive(Debug)]
pub struct Events {
    client: SchedulerClient,
    records: Records,
    patience: Option<Duration>,
    /// When the patience with a silent master ends.
    silent_until: Option<Instant>,
}

impl Events {
    /// The next event. An `Err` ends the subscription: `Error::Framework` for good, others until the next subscription.
    /// Safe to drop and call again.
    pub async fn next(&mut self) -> Result<Event, Error> {
        let record = match self.silent_until {
            None => self.records.next().await?,
            Some(until) => match tokio::time::timeout_at(until, self.records.next()).await {
                Ok(record) => record?,
                Err(_) => return Err(Error::Ended("no heartbeat came in time".to_owned())),
            },
        };
        let Some(record) = record else { return Err(Error::Ended("the master closed it".to_owned())) };
        let event: Event = self.client.reach.content_type().decode(&record)?;
        match event.r#type() {
            event::Type::Subscribed => {
                if let Some(subscribed) = &event.subscribed {
                    self.client.session().framework_id = Some(subscribed.framework_id.clone());
                    self.patience = subscribed.heartbeat_interval_seconds.and_then(patience);
                }
            }
            event::Type::Error => {
                let message = event.error.map(|error| error.message).unwrap_or_default();
                return Err(Error::Framework(message));
            }
            _ => {}
        }
        self.silent_until = self.patience.map(|patience| Instant::now() + patience);
        Ok(event)
    }
}

fn patience(heartbeat_seconds: f64) -> Option<Duration> {
    let heartbeat = Duration::try_from_secs_f64(heartbeat_seconds).ok().filter(|heartbeat| !heartbeat.is_zero())?;
    heartbeat.checked_mul(MISSED_HEARTBEATS)
}
