//! Many agents in one process, that do nothing but find the leading master, register as an agent does (its jitter and
//! back-off, its messages), and answer pings.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use coordination::{Detected, Detector, Place, announce};
use proto::{
    internal,
    link::{ToAgent, ToMaster},
    upid::Upid,
    v1,
};
use stdx::Rng;
use tokio::sync::watch;
use transport::{Handler, Limits, Message, Node, Request, Response, Server, StatusCode, libprocess::NodeConfig};

const SESSION: Duration = Duration::from_secs(10);
/// The agents' `--registration_backoff_factor`, and its limit.
const BACKOFF: Duration = Duration::from_secs(1);
const BACKOFF_MAX: Duration = Duration::from_secs(60);

struct Fleet {
    node: Node,
    agents: Vec<Mutex<Light>>,
}

#[derive(Default)]
struct Light {
    id: Option<v1::AgentId>,
    registered_with: Option<Upid>,
}

/// Runs until the process is ended.
pub async fn run(url: &str, count: usize) -> Result<(), Box<dyn std::error::Error>> {
    let server = Server::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), Limits::default()).await?;
    let (node, mut exits) = Node::new(NodeConfig::new(server.local_addr()?));
    tokio::spawn(async move { while exits.next().await.is_some() {} });
    let agents = (0..count).map(|_| Mutex::default()).collect();
    let fleet = Arc::new(Fleet { node, agents });
    let _running = server.serve(Arc::clone(&fleet));

    let mut detector = Detector::start(Place::parse(url)?, SESSION);
    let (lead, leader) = watch::channel(None);
    for n in 0..count {
        tokio::spawn(Arc::clone(&fleet).live(n, leader.clone()));
    }
    loop {
        let found = match &*detector.leader.borrow_and_update() {
            Detected::Leader(Some(info)) => format!("master@{}", announce::address(info)).parse().ok(),
            _ => None,
        };
        lead.send_if_modified(|known: &mut Option<Upid>| {
            let new = found.is_some() && *known != found;
            if new {
                *known = found;
            }
            new
        });
        detector.leader.changed().await?;
    }
}

impl Fleet {
    async fn live(self: Arc<Fleet>, n: usize, mut leader: watch::Receiver<Option<Upid>>) {
        let mut rng = Rng::new(n as u64 + 1);
        loop {
            let master = leader.borrow_and_update().clone();
            let registering = async {
                let Some(master) = master else { return std::future::pending().await };
                let mut backoff = BACKOFF;
                loop {
                    tokio::time::sleep(backoff.mul_f64(rng.unit())).await;
                    if self.light(n).registered_with.as_ref() == Some(&master) {
                        return std::future::pending().await;
                    }
                    self.tell(n, &master, &self.registration(n));
                    backoff = (backoff * 2).min(BACKOFF_MAX);
                }
            };
            tokio::select! {
                () = registering => {}
                changed = leader.changed() => if changed.is_err() { return },
            }
        }
    }

    fn light(&self, n: usize) -> std::sync::MutexGuard<'_, Light> {
        self.agents[n].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, n: usize, to: &Upid, message: &ToMaster) {
        self.node.send(&format!("slave({n})"), to, message.name(), &message.encode());
    }

    fn registration(&self, n: usize) -> ToMaster {
        let id = self.light(n).id.clone();
        let scalar = |name: &str, value: f64| v1::Resource {
            name: name.into(),
            r#type: v1::value::Type::Scalar as i32,
            scalar: Some(v1::value::Scalar { value }),
            ..Default::default()
        };
        let agent = v1::AgentInfo {
            id: id.clone(),
            hostname: format!("light-{n}"),
            port: Some(5051),
            resources: vec![scalar("cpus", 16.0), scalar("mem", 65_536.0)],
            ..Default::default()
        };
        let version = Some("1.11.0".to_owned());
        let agent_capabilities = capabilities();
        match id {
            None => internal::RegisterSlaveMessage { agent, version, agent_capabilities, ..Default::default() }.into(),
            Some(_) => {
                internal::ReregisterSlaveMessage { agent, version, agent_capabilities, ..Default::default() }.into()
            }
        }
    }

    fn on_accepted(&self, n: usize, from: Upid, id: v1::AgentId) {
        let update = internal::UpdateSlaveMessage { agent_id: id.clone(), ..Default::default() };
        self.tell(n, &from, &update.into());
        *self.light(n) = Light { id: Some(id), registered_with: Some(from) };
    }
}

fn capabilities() -> Vec<v1::agent_info::Capability> {
    use v1::agent_info::capability::Type::{HierarchicalRole, MultiRole, ReservationRefinement, ResourceProvider};
    let kinds = [MultiRole, HierarchicalRole, ReservationRefinement, ResourceProvider];
    kinds.map(|kind| v1::agent_info::Capability { r#type: Some(kind as i32) }).into()
}

impl Handler for Fleet {
    async fn handle(&self, _: Request) -> Response {
        Response::text(StatusCode::NOT_FOUND, "")
    }

    async fn deliver(&self, message: Message) -> bool {
        let number = message.to.strip_prefix("slave(").and_then(|rest| rest.strip_suffix(')')?.parse().ok());
        let Some(n) = number.filter(|n| *n < self.agents.len()) else { return false };
        match ToAgent::decode(&message.name, &message.body) {
            Ok(ToAgent::PingSlave(_)) => self.tell(n, &message.from, &internal::PongSlaveMessage {}.into()),
            Ok(ToAgent::SlaveRegistered(registered)) => self.on_accepted(n, message.from, registered.agent_id),
            Ok(ToAgent::SlaveReregistered(registered)) => self.on_accepted(n, message.from, registered.agent_id),
            Ok(_) => {}
            Err(_) => return false,
        }
        true
    }
}
