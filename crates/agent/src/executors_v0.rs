//! Executors that speak libprocess, as those built on libmesos do: their messages become calls of the executor API, and
//! its events become messages to them. To the core such an executor is one more stream; here is whose address it is.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use agent_core::{Caller, ConnectionId, Event, Reply};
use proto::{
    internal,
    link::{FromExecutor, LinkError, ToExecutor},
    upid::Upid,
    v1::{
        self, TaskState,
        executor::{self, Call, call, event},
        task_status::Source,
    },
};
use stdx::Rng;
use transport::{Message, Node};

use crate::{
    access::Access,
    runtime::{ACTOR, Inbox},
};

/// All of them. Cheap to clone.
#[derive(Clone)]
pub struct ExecutorsV0 {
    inner: Arc<Inner>,
}

struct Inner {
    node: Node,
    inbox: Inbox,
    access: Arc<Access>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    by_conn: HashMap<ConnectionId, Driver>,
    by_address: HashMap<Upid, ConnectionId>,
}

/// The driver inside one executor.
struct Driver {
    address: Upid,
    framework: v1::FrameworkId,
    executor: v1::ExecutorId,
    /// It was there before we restarted.
    returns: bool,
    /// What it was told when it came, once it was.
    welcome: Option<Arc<event::Subscribed>>,
}

/// What one event is to a driver.
enum Telling {
    Say(ToExecutor),
    Nothing,
    /// Tasks that no driver can run.
    Refuse(Vec<v1::TaskInfo>),
}

impl ExecutorsV0 {
    pub fn new(node: Node, inbox: Inbox, access: Arc<Access>) -> ExecutorsV0 {
        ExecutorsV0 { inner: Arc::new(Inner { node, inbox, access, known: Mutex::default() }) }
    }

    /// Takes a message that only an executor sends; `false` for others.
    pub async fn deliver(&self, message: &Message) -> bool {
        let from = &message.from;
        match FromExecutor::decode(&message.name, &message.body) {
            Ok(FromExecutor::RegisterExecutor(m)) => {
                let m = *m;
                self.subscribe(message, m.framework_id, m.executor_id, call::Subscribe::default(), false).await;
            }
            Ok(FromExecutor::ReregisterExecutor(m)) => {
                let m = *m;
                let subscribe = call::Subscribe {
                    unacknowledged_updates: m.updates.into_iter().map(to_update).collect(),
                    unacknowledged_tasks: m.tasks,
                };
                self.subscribe(message, m.framework_id, m.executor_id, subscribe, true).await;
            }
            Ok(FromExecutor::StatusUpdate(m)) => {
                let update = Some(to_update(m.update));
                self.call(message, Call { update, r#type: Some(call::Type::Update.into()), ..Call::default() }).await;
            }
            Ok(FromExecutor::ExecutorToFramework(m)) => {
                let said = Some(call::Message { data: m.data });
                self.call(message, Call { message: said, r#type: Some(call::Type::Message.into()), ..Call::default() })
                    .await;
            }
            Err(LinkError::Unknown(_)) => return false,
            Err(error) => self.inner.inbox.deliver(from, &message.name, message.body.len(), Err::<Event, _>(error)),
        }
        true
    }

    async fn subscribe(
        &self,
        message: &Message,
        framework_id: v1::FrameworkId,
        executor_id: v1::ExecutorId,
        subscribe: call::Subscribe,
        returns: bool,
    ) {
        let Inner { node, inbox, access, .. } = &*self.inner;
        let from = &message.from;
        let caller = access.caller_at(&message.caller).await;
        if !self.may_register(&caller, &framework_id, &executor_id).await {
            tracing::warn!(%from, ?caller, "refusing an executor: who calls does not run it");
            return;
        }
        let conn = inbox.next_connection();
        let driver = Driver {
            address: from.clone(),
            framework: framework_id.clone(),
            executor: executor_id.clone(),
            returns,
            welcome: None,
        };
        self.with(|known| {
            known.by_address.insert(from.clone(), conn);
            known.by_conn.insert(conn, driver);
        });
        node.link(from);
        let (framework, executor) = ((&framework_id).into(), (&executor_id).into());
        inbox.put(Event::ExecutorAt { framework, executor, address: from.clone() }).await;
        let call = Call {
            framework_id: framework_id.clone(),
            executor_id: executor_id.clone(),
            r#type: Some(call::Type::Subscribe.into()),
            subscribe: Some(subscribe),
            ..Call::default()
        };
        let reply =
            inbox.call(|req| Event::FromExecutor { req, conn: Some(conn), caller, call: Box::new(call) }, None).await;
        if reply != Some(Reply::Stream) {
            tracing::warn!(%from, ?reply, "refusing an executor; it is told to end");
            self.close(conn);
            let (framework_id, executor_id) = (Some(framework_id), Some(executor_id));
            self.send(from, &internal::ShutdownExecutorMessage { framework_id, executor_id }.into());
        }
    }

    /// Looked at before anything is noted of a newcomer, who could take the place of the executor it claims to be. The
    /// core looks again, at the moment it takes the call.
    async fn may_register(&self, caller: &Caller, framework: &v1::FrameworkId, executor: &v1::ExecutorId) -> bool {
        let container = match caller {
            Caller::Operator => return true,
            Caller::Container(container) => container,
            Caller::Network | Caller::User(_) | Caller::Stranger(_) => return false,
        };
        let view = self.inner.inbox.view().await;
        let (framework, executor) = (framework.into(), executor.into());
        view.is_some_and(|view| {
            view.find_executor(&framework, &executor).is_some_and(|row| row.container == *container)
        })
    }

    /// Passes on a call of an executor that has registered; anybody else's is dropped.
    async fn call(&self, message: &Message, mut call: Call) {
        let from = &message.from;
        let names = self.with(|known| {
            let driver = known.by_conn.get(known.by_address.get(from)?)?;
            Some((driver.framework.clone(), driver.executor.clone()))
        });
        let Some((framework, executor)) = names else {
            tracing::warn!(%from, "dropping a message from an executor that has not registered");
            return;
        };
        (call.framework_id, call.executor_id) = (framework, executor);
        let caller = self.inner.access.caller_at(&message.caller).await;
        let event = |req| Event::FromExecutor { req, conn: None, caller, call: Box::new(call) };
        match self.inner.inbox.call(event, None).await {
            None | Some(Reply::Accepted) => {}
            Some(refusal) => tracing::warn!(%from, ?refusal, "an executor's message is refused"),
        }
    }

    /// Says an event to the driver behind `conn`; `false` if there is none.
    pub fn tell(&self, conn: ConnectionId, event: &executor::Event) -> bool {
        let told = self.with(|known| {
            let driver = known.by_conn.get_mut(&conn)?;
            Some((driver.address.clone(), driver.translate(event)))
        });
        match told {
            None => return false,
            Some((to, Telling::Say(message))) => self.send(&to, &message),
            Some((_, Telling::Nothing)) => {}
            Some((_, Telling::Refuse(tasks))) => self.refuse(conn, tasks),
        }
        true
    }

    /// The core is done with this stream.
    pub fn close(&self, conn: ConnectionId) {
        let last = self.with(|known| {
            let driver = known.by_conn.remove(&conn)?;
            (known.by_address.get(&driver.address) == Some(&conn)).then(|| {
                known.by_address.remove(&driver.address);
                driver.address
            })
        });
        if let Some(address) = last {
            self.inner.node.unlink(&address);
        }
    }

    /// Takes the end of a link to an executor; `false` for other links.
    pub fn exited(&self, peer: &Upid) -> bool {
        let conn = self.with(|known| {
            let conn = known.by_address.remove(peer)?;
            known.by_conn.remove(&conn);
            Some(conn)
        });
        if let Some(conn) = conn {
            self.inner.inbox.closed(conn);
        }
        conn.is_some()
    }

    /// Asks an executor of our former life to come back.
    pub fn reconnect(&self, to: &Upid, agent_id: v1::AgentId) {
        self.send(to, &internal::ReconnectExecutorMessage { agent_id }.into());
    }

    /// A driver knows single tasks only: a group fails as a whole, in the executor's name.
    fn refuse(&self, conn: ConnectionId, tasks: Vec<v1::TaskInfo>) {
        let mut rng = Rng::new(stdx::rng::system_seed());
        let Some((framework_id, executor_id)) =
            self.with(|known| known.by_conn.get(&conn).map(|d| (d.framework.clone(), d.executor.clone())))
        else {
            return;
        };
        for task in tasks {
            let status = v1::TaskStatus {
                task_id: task.task_id,
                state: TaskState::TaskFailed.into(),
                source: Some(Source::Executor.into()),
                message: Some("The executor speaks the v0 API, which has no task groups".to_owned()),
                uuid: Some(rng.uuid().to_vec().into()),
                ..Default::default()
            };
            let call = Call {
                framework_id: framework_id.clone(),
                executor_id: executor_id.clone(),
                r#type: Some(call::Type::Update.into()),
                update: Some(call::Update { status }),
                ..Call::default()
            };
            let req = agent_core::RequestId(self.inner.inbox.next_connection().0);
            // The agent speaks here, for an executor that cannot.
            let caller = Caller::Operator;
            self.inner.inbox.offer(Event::FromExecutor { req, conn: None, caller, call: Box::new(call) });
        }
    }

    fn send(&self, to: &Upid, message: &ToExecutor) {
        self.inner.node.send(ACTOR, to, message.name(), &message.encode());
    }

    fn with<R>(&self, f: impl FnOnce(&mut Known) -> R) -> R {
        f(&mut self.inner.known.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Driver {
    fn translate(&mut self, event: &executor::Event) -> Telling {
        self.message(event).unwrap_or(Telling::Nothing)
    }

    fn message(&mut self, event: &executor::Event) -> Option<Telling> {
        let (framework_id, executor_id) = (self.framework.clone(), self.executor.clone());
        Some(Telling::Say(match event.r#type() {
            event::Type::Subscribed => {
                let welcome: Arc<event::Subscribed> = event.subscribed.clone()?.into();
                self.welcome = Some(Arc::clone(&welcome));
                let agent_info = welcome.agent_info.clone();
                let agent_id = self.agent_id();
                if self.returns {
                    internal::ExecutorReregisteredMessage { agent_id, agent_info }.into()
                } else {
                    internal::ExecutorRegisteredMessage {
                        executor_info: welcome.executor_info.clone(),
                        framework_id,
                        framework_info: welcome.framework_info.clone(),
                        agent_id,
                        agent_info,
                    }
                    .into()
                }
            }
            event::Type::Launch => internal::RunTaskMessage {
                framework_id: Some(framework_id),
                framework: self.welcome.as_ref()?.framework_info.clone(),
                task: event.launch.as_ref()?.task.clone(),
                ..Default::default()
            }
            .into(),
            event::Type::LaunchGroup => {
                return Some(Telling::Refuse(event.launch_group.as_ref()?.task_group.tasks.clone()));
            }
            event::Type::Kill => {
                let event::Kill { task_id, kill_policy } = event.kill.clone()?;
                internal::KillTaskMessage { framework_id, task_id, kill_policy }.into()
            }
            event::Type::Acknowledged => {
                let event::Acknowledged { task_id, uuid } = event.acknowledged.clone()?;
                let agent_id = self.agent_id();
                internal::StatusUpdateAcknowledgementMessage { agent_id, framework_id, task_id, uuid }.into()
            }
            event::Type::Message => {
                let data = event.message.as_ref()?.data.clone();
                let agent_id = self.agent_id();
                internal::FrameworkToExecutorMessage { agent_id, framework_id, executor_id, data }.into()
            }
            event::Type::Shutdown => {
                let (framework_id, executor_id) = (Some(framework_id), Some(executor_id));
                internal::ShutdownExecutorMessage { framework_id, executor_id }.into()
            }
            event::Type::Unknown | event::Type::Error | event::Type::Heartbeat => return None,
        }))
    }

    fn agent_id(&self) -> v1::AgentId {
        self.welcome.as_ref().and_then(|welcome| welcome.agent_info.id.clone()).unwrap_or_default()
    }
}

/// A driver's update in the words of the executor API, where all of it stands in the status.
fn to_update(update: internal::StatusUpdate) -> call::Update {
    let mut status = update.status;
    status.uuid = update.uuid.or(status.uuid);
    status.timestamp = Some(update.timestamp);
    if status.source.is_none() {
        status.source = Some(Source::Executor.into());
    }
    call::Update { status }
}
