//! A libprocess process of the test's own: it says what it is told to, and keeps what it hears.

use std::{net::Ipv4Addr, path::PathBuf, sync::Arc, time::Duration};

use proto::{
    Message, Upid, internal,
    scheduler_v0::{CALL_NAME, CallV0, encode_v0},
    v1::{
        self, TaskState,
        offer::{Operation, operation},
        scheduler::{Call, call},
    },
    wire,
};
use testkit::{Cluster, Options, processes};
use tokio::sync::mpsc;
use transport::{Handler, Limits, Node, Request, Response, Running, Server, libprocess::NodeConfig, refuse};

const PATIENCE: Duration = Duration::from_secs(30);

pub struct Peer {
    /// The actor that speaks.
    pub upid: Upid,
    node: Node,
    heard: mpsc::UnboundedReceiver<transport::Message>,
    _server: Running,
}

struct Ear(mpsc::UnboundedSender<transport::Message>);

impl Handler for Ear {
    async fn handle(&self, _: Request) -> Response {
        refuse::not_found()
    }

    async fn deliver(&self, message: transport::Message) -> bool {
        self.0.send(message).is_ok()
    }
}

impl Peer {
    pub async fn new(actor: &str) -> Peer {
        Peer::at(actor, Ipv4Addr::LOCALHOST).await
    }

    /// One that says it is at another machine than it sends from (an address that only documentation uses). It hears
    /// nothing.
    pub async fn elsewhere(actor: &str) -> Peer {
        Peer::at(actor, Ipv4Addr::new(192, 0, 2, 1)).await
    }

    async fn at(actor: &str, address: Ipv4Addr) -> Peer {
        let server = Server::bind((Ipv4Addr::LOCALHOST, 0), Limits::default()).await.unwrap();
        let port = server.local_addr().unwrap().port();
        let (node, _exits) = Node::new(NodeConfig::new((address, port).into()));
        let (sender, heard) = mpsc::unbounded_channel();
        Peer { upid: node.upid(actor), node, heard, _server: server.serve(Arc::new(Ear(sender))) }
    }

    pub fn say<M: Message>(&self, to: &Upid, message: &M) {
        self.node.send(&self.upid.id, to, M::full_name(), &wire::encode(message));
    }

    /// The next message of this type, whatever else comes before it.
    pub async fn hear<M: Message>(&mut self) -> (Upid, M) {
        let wanted = async {
            loop {
                let message = self.heard.recv().await.unwrap();
                if message.name == M::full_name() {
                    assert_eq!(*message.to, *self.upid.id);
                    return (message.from, wire::decode(&message.body).unwrap());
                }
            }
        };
        let heard = tokio::time::timeout(PATIENCE, wanted).await;
        heard.unwrap_or_else(|_| panic!("no {} came to {}", M::full_name(), self.upid))
    }

    /// Which of two messages comes first: false for the former.
    pub async fn hear_either<A: Message, B: Message>(&mut self) -> bool {
        loop {
            let message = self.heard.recv().await.unwrap();
            if message.name == A::full_name() || message.name == B::full_name() {
                return message.name == B::full_name();
            }
        }
    }

    /// Says one call of the scheduler API, as drivers since Mesos 0.23 do.
    pub fn call(
        &self,
        master: &Upid,
        kind: call::Type,
        framework: Option<&v1::FrameworkId>,
        fill: impl FnOnce(&mut Call),
    ) {
        self.call_with(master, false, kind, framework, fill);
    }

    pub fn call_with(
        &self,
        master: &Upid,
        force: bool,
        kind: call::Type,
        framework: Option<&v1::FrameworkId>,
        fill: impl FnOnce(&mut Call),
    ) {
        let mut call = Call { r#type: Some(kind.into()), framework_id: framework.cloned(), ..Default::default() };
        fill(&mut call);
        let body = encode_v0(&CallV0 { call, force }).unwrap();
        self.node.send(&self.upid.id, master, CALL_NAME, &body);
    }

    pub fn subscribe(&self, master: &Upid, info: v1::FrameworkInfo, force: bool) {
        let id = info.id.clone();
        self.call_with(master, force, call::Type::Subscribe, id.as_ref(), |call| {
            call.subscribe = Some(Box::new(call::Subscribe { framework_info: info, ..Default::default() }));
        });
    }

    /// The next update of this task in this state; every one that asks for it is acknowledged.
    pub async fn update(&mut self, master: &Upid, task: &str, state: TaskState) -> v1::TaskStatus {
        loop {
            let (from, message) = self.hear::<internal::StatusUpdateMessage>().await;
            assert_eq!(&from, master, "drivers listen to their master only");
            let internal::StatusUpdate { framework_id, agent_id, status, uuid, .. } = message.update;
            if message.pid.is_some() {
                let (agent_id, uuid) = (agent_id.unwrap(), uuid.unwrap());
                assert_eq!(status.uuid.as_ref(), Some(&uuid));
                self.call(master, call::Type::Acknowledge, Some(&framework_id), |call| {
                    let task_id = status.task_id.clone();
                    call.acknowledge = Some(call::Acknowledge { agent_id, task_id, uuid });
                });
            }
            if status.task_id.value == task && status.state() == state {
                return status;
            }
        }
    }
}

pub fn cluster(options: Options) -> Cluster {
    let isolation = if processes::is_root() { "all" } else { "posix/cpu,posix/mem" };
    let mut options = options;
    options.agent_flags.push(format!("--isolation={isolation}"));
    options.master_flags.push("--allocation_interval=20ms".into());
    Cluster::start(options)
}

pub fn master(cluster: &Cluster) -> Upid {
    format!("master@{}", cluster.master_address()).parse().unwrap()
}

pub fn framework(name: &str) -> v1::FrameworkInfo {
    v1::FrameworkInfo {
        user: users_name(),
        name: name.into(),
        failover_timeout: Some(600.0),
        checkpoint: Some(true),
        ..Default::default()
    }
}

/// Who runs this test, and so its tasks.
fn users_name() -> String {
    if processes::is_root() { "root".into() } else { std::env::var("USER").unwrap_or_else(|_| "nobody".into()) }
}

/// A task of a shell command, or of an executor of that command.
pub fn task(id: &str, offer: &v1::Offer, command: &str, executor: Option<&str>) -> v1::TaskInfo {
    let command = v1::CommandInfo { value: Some(command.into()), ..Default::default() };
    let scalar = |name: &str, value: f64| v1::Resource {
        name: name.into(),
        r#type: v1::value::Type::Scalar.into(),
        scalar: Some(v1::value::Scalar { value }),
        ..Default::default()
    };
    let mut task = v1::TaskInfo {
        name: id.into(),
        task_id: v1::TaskId { value: id.into() },
        agent_id: offer.agent_id.clone(),
        resources: vec![scalar("cpus", 0.5), scalar("mem", 64.0)],
        ..Default::default()
    };
    match executor {
        None => task.command = Some(command),
        Some(executor) => {
            task.executor = Some(Box::new(v1::ExecutorInfo {
                executor_id: v1::ExecutorId { value: executor.into() },
                command: Some(command),
                ..Default::default()
            }));
        }
    }
    task
}

pub fn launch(offer: &v1::Offer, tasks: Vec<v1::TaskInfo>) -> call::Accept {
    let launch = Operation {
        r#type: Some(operation::Type::Launch.into()),
        launch: Some(operation::Launch { task_infos: tasks }),
        ..Default::default()
    };
    call::Accept { offer_ids: vec![offer.id.clone()], operations: vec![launch], filters: None }
}

/// Where an executor's files are.
pub fn sandbox(cluster: &Cluster, agent: &v1::AgentId, framework: &v1::FrameworkId, executor: &str) -> PathBuf {
    let below = format!("slaves/{}/frameworks/{}/executors/{executor}/runs/latest", agent.value, framework.value);
    cluster.agent_work_dir(0).join(below)
}
