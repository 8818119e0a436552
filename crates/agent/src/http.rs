//! What the agent answers to requests: which endpoint a path means, and what the endpoints share. Each endpoint is in a
//! file below; libprocess messages come in here too.

mod executor;
mod operator;
mod received;
mod session;

use std::{path::PathBuf, sync::Arc};

use agent_core::{Caller, Event, Reply, State};
use bytes::Bytes;
use endpoints::{Coalescer, Common, Door, help};
use observe::metrics::{Kind, Snapshot};
use proto::{
    Message as _,
    content::ContentType,
    internal,
    link::{FromExecutor, LinkError, ToAgent},
    upid::Upid,
    v1::{agent::call, agent_info::Capability},
};
use stdx::WallTime;
use transport::{
    Handler, Message, Request, Response, StatusCode, auth::authenticatee::Authenticatee, jsonp, refuse, route::Table,
};

use crate::{
    access::{Access, Proof},
    fence::Fence,
    reads::{self, Usages, legacy, metrics},
    traffic::{ACTOR, Inbox},
    world::World,
};

/// Serves every endpoint of an agent.
pub struct Endpoints {
    inbox: Inbox,
    common: Common,
    world: World,
    about: Arc<About>,
    reads: Coalescer<Read, Option<Bytes>>,
    table: Table<Endpoint>,
    access: Arc<Access>,
    authenticatee: Option<Authenticatee>,
    fence: Fence,
}

/// A read that costs something, so that equal ones share one rendering.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Read {
    State,
    Containers,
    Statistics,
    Operator(call::Type, ContentType),
    OperatorContainers(ContentType, reads::v1::Shown),
}

/// What there is to say about this process.
#[derive(Clone, Debug)]
pub struct About {
    pub pid: Upid,
    pub capabilities: Vec<Capability>,
    pub started: WallTime,
    /// Where the sandboxes of all agents that ever ran here are.
    pub sandboxes: PathBuf,
    pub isolators: Vec<containers::Enforcement>,
}

/// Each thing that can be asked of an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Endpoint {
    Executor,
    Operator,
    State,
    Containers,
    ContainerizerDebug,
    Statistics,
    Common(endpoints::Endpoint),
}

impl Endpoint {
    fn door(self) -> Door {
        match self {
            Endpoint::Executor => Door::Clients,
            // One door for all of its calls, as in Mesos.
            Endpoint::Operator => Door::Readwrite,
            Endpoint::State | Endpoint::Containers | Endpoint::ContainerizerDebug | Endpoint::Statistics => {
                Door::Readonly
            }
            Endpoint::Common(endpoint) => endpoint.door(),
        }
    }
}

impl Endpoint {
    fn help(self) -> help::Page {
        let (summary, more) = match self {
            Endpoint::Executor => (
                "Calls of executors.",
                "POST an `executor::Call` as JSON or protobuf. SUBSCRIBE answers with a stream of events, the others with \
                 202.",
            ),
            Endpoint::Operator => (
                "Calls of operators, and of executors about their containers.",
                "POST an `agent::Call` as JSON or protobuf; the answer is in the one that `Accept` names.",
            ),
            Endpoint::State => ("Everything the agent knows.", "JSON."),
            Endpoint::Containers => ("Containers of executors, with what they use.", "JSON."),
            Endpoint::ContainerizerDebug => {
                ("Work on containers that hangs.", "JSON; always empty: it is given up in time.")
            }
            Endpoint::Statistics => ("What executors use.", "JSON."),
            Endpoint::Common(endpoint) => return endpoint.help(),
        };
        help::Page { summary, more, door: self.door() }
    }
}

fn table() -> Table<Endpoint> {
    let table = Table::new(ACTOR)
        .at("api/v1/executor", Endpoint::Executor)
        .at("api/v1", Endpoint::Operator)
        .at("state", Endpoint::State)
        .at("containers", Endpoint::Containers)
        .at("containerizer/debug", Endpoint::ContainerizerDebug)
        .at("monitor/statistics", Endpoint::Statistics);
    endpoints::routes(table, Endpoint::Common)
}

impl Endpoints {
    pub fn new(
        inbox: Inbox,
        common: Common,
        world: World,
        about: About,
        access: Arc<Access>,
        authenticatee: Option<Authenticatee>,
        fence: Fence,
    ) -> Arc<Endpoints> {
        let (about, reads, table) = (Arc::new(about), Coalescer::default(), table());
        Arc::new(Endpoints { inbox, common, world, about, reads, table, access, authenticatee, fence })
    }

    /// What a request proves, where that is enough for its endpoint.
    async fn prove(&self, endpoint: Endpoint, request: &Request) -> Result<Proof, Response> {
        match endpoint {
            Endpoint::Executor | Endpoint::Operator => {
                self.access.admit(endpoint.door(), &request.headers, &request.caller).await
            }
            _ => {
                let door = endpoint.door();
                self.access.check(door, &request.headers)?;
                Ok(if self.access.is_locked(door) { Proof::Operator } else { Proof::None })
            }
        }
    }

    async fn view(&self) -> Option<State> {
        self.inbox.view().await
    }

    /// What `render` makes of a view that is taken from now on, and of what containers use if it asks for that.
    async fn read<B: Into<Bytes>>(
        &self,
        key: Read,
        with_usage: bool,
        render: impl Fn(&State, &Usages) -> B + Clone + Send + 'static,
    ) -> Option<Bytes> {
        let (inbox, world) = (self.inbox.clone(), self.world.clone());
        let render = move || {
            let (inbox, world, render) = (inbox.clone(), world.clone(), render.clone());
            async move {
                let state = inbox.view().await?;
                let usage = if with_usage { world.usage(&state).await } else { Usages::default() };
                let rendered = tokio::task::spawn_blocking(move || render(&state, &usage).into()).await;
                rendered.inspect_err(|error| tracing::error!(%error, "a reading broke off")).ok()
            }
        };
        self.reads.get(key, render).await?
    }

    async fn state(&self) -> Option<Bytes> {
        let (about, flags) = (Arc::clone(&self.about), Arc::clone(&self.common.flags));
        let render = move |state: &State, _: &Usages| {
            let About { pid, capabilities, started, isolators, sandboxes: _ } = &*about;
            legacy::state(state, legacy::Process { started: *started, pid, capabilities, isolators, flags: &flags })
        };
        self.read(Read::State, false, render).await
    }

    /// Makes sandboxes readable under `/frameworks`, which does not name the agent; that needs the agent's id.
    async fn attach_frameworks(&self) {
        const PATH: &str = "/frameworks";
        if self.common.files.attached().contains_key(PATH) {
            return;
        }
        if let Some(id) = self.view().await.and_then(|state| state.agent_id) {
            self.common.files.attach(PATH, self.about.sandboxes.join(id.as_str()).join("frameworks"));
        }
    }

    /// The agent's own numbers, from the core.
    async fn add_metrics(&self, snapshot: &mut Snapshot) {
        if let Some(state) = self.view().await {
            metrics::add(&state, self.about.started, snapshot);
            self.world.add_metrics(snapshot);
            snapshot.put_own("inbox/dropped_messages", Kind::Counter, self.inbox.waiting().dropped as f64);
        }
    }
}

impl Handler for Endpoints {
    async fn handle(&self, request: Request) -> Response {
        if let Some(help) = help::answer(&self.table, |endpoint| endpoint.help(), &request) {
            return help;
        }
        let Some(found) = self.table.find(request.path()) else { return refuse::not_found() };
        let endpoint = *found.endpoint;
        let proof = match self.prove(endpoint, &request).await {
            Ok(proof) => proof,
            Err(refusal) => return refusal,
        };
        match endpoint {
            Endpoint::Executor => self.executor(&request, &proof).await,
            Endpoint::Operator => self.operator(&request, &proof).await,
            Endpoint::State => json(&request, self.state().await),
            Endpoint::Containers => json(&request, self.read(Read::Containers, true, legacy::containers).await),
            // Operations that hang would stand here; ours are given up in time.
            Endpoint::ContainerizerDebug => json(&request, Some(Bytes::from_static(br#"{"pending":[]}"#))),
            Endpoint::Statistics => json(&request, self.read(Read::Statistics, true, legacy::statistics).await),
            Endpoint::Common(endpoint) => {
                if endpoint.changes(&request)
                    && let Err(refusal) = self.check_operator(&proof, &request).await
                {
                    return refusal;
                }
                if matches!(endpoint, endpoints::Endpoint::Files(_)) {
                    self.attach_frameworks().await;
                }
                let add = async |snapshot: &mut Snapshot| {
                    self.add_metrics(snapshot).await;
                    if endpoint == endpoints::Endpoint::Prometheus
                        && let Some(state) = self.view().await
                    {
                        metrics::add_containers(&state, &self.world.usage(&state).await, snapshot);
                    }
                };
                self.common.answer(endpoint, &request, add).await
            }
        }
    }

    /// Whom an executor's messages come from `access` finds out.
    fn needs_sender(&self, message: &Message) -> bool {
        is_masters_alone(&message.name)
    }

    /// A message that is neither a master's nor an executor's is answered as delivered, as libprocess does, and
    /// dropped.
    async fn deliver(&self, message: Message) -> bool {
        if self.authenticatee.as_ref().is_some_and(|authenticatee| authenticatee.deliver(&message)) {
            return true;
        }
        if message.to != ACTOR {
            return false;
        }
        if self.fence.shuts_out(&message.from, message.connected) {
            tracing::warn!(from = %message.from, message.name, "ignoring a message of a process that is no more");
            return true;
        }
        match FromExecutor::decode(&message.name, &message.body) {
            Err(LinkError::Unknown(_)) => {}
            decoded => {
                let caller = self.access.caller_at(&message.caller).await;
                let from = message.from.clone();
                let event = decoded.map(|message| Event::FromDriver { from, caller, message });
                self.inbox.deliver(&message.from, &message.name, message.body.len(), event);
                return true;
            }
        }
        let decoded = ToAgent::decode(&message.name, &message.body);
        if decoded.is_ok()
            && is_masters_alone(&message.name)
            && let Caller::Container(container) = self.access.caller_at(&message.caller).await
        {
            tracing::warn!(from = %message.from, %container, message.name, "a container sends what only a master may; dropping it");
            return true;
        }
        let event = decoded.map(|decoded| Event::FromMaster { from: message.from.clone(), message: decoded });
        self.inbox.deliver(&message.from, &message.name, message.body.len(), event);
        true
    }
}

/// Whether only masters send messages of this name to an agent. Two of them a framework's driver sends as well, which
/// may run in a container.
fn is_masters_alone(name: &str) -> bool {
    let drivers =
        [internal::FrameworkToExecutorMessage::full_name(), internal::StatusUpdateAcknowledgementMessage::full_name()];
    ToAgent::is_named(name) && !drivers.contains(&name)
}

fn json(request: &Request, body: Option<Bytes>) -> Response {
    body.map_or_else(ending, |body| jsonp::json(request, body))
}

/// The HTTP answer to what the core said, where no stream and no body is meant.
fn answer(reply: Reply) -> Response {
    match reply {
        Reply::Accepted => Response::accepted(),
        Reply::Ok(_) | Reply::Stream | Reply::Output { .. } => Response::ok(),
        Reply::BadRequest(why) => refuse::bad_request(why),
        Reply::Forbidden(why) => refuse::forbidden(why),
        Reply::NotFound(why) => refuse::missing(why),
        Reply::Conflict(why) => refuse::conflict(why),
        Reply::Internal(why) => Response::text(StatusCode::INTERNAL_SERVER_ERROR, why),
        Reply::NotImplemented(why) => Response::text(StatusCode::NOT_IMPLEMENTED, why),
        Reply::Unavailable(why) => Response::text(StatusCode::SERVICE_UNAVAILABLE, why),
    }
}

/// 503: this process is about to end.
fn ending() -> Response {
    Response::text(StatusCode::SERVICE_UNAVAILABLE, "The agent is shutting down")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics_are_where_tools_look_for_them() {
        for path in ["/monitor/statistics", "/slave(1)/monitor/statistics", "/slave%281%29/monitor/statistics"] {
            assert_eq!(table().find(path).map(|found| *found.endpoint), Some(Endpoint::Statistics), "{path}");
        }
        // What Mesos 1.11 lists at /help of its agents.
        for path in ["api/v1", "api/v1/executor", "containerizer/debug", "containers", "flags", "health", "state"] {
            assert!(table().find(&format!("/slave(1)/{path}")).is_some(), "{path}");
        }
    }

    #[test]
    fn the_page_of_endpoints_is_current() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/endpoints-agent.md");
        let page = help::reference("Endpoints of an agent", &table(), |endpoint| endpoint.help());
        if std::env::var_os("MESETA_BLESS").is_some() {
            std::fs::write(path, &page).unwrap();
        }
        let kept = std::fs::read_to_string(path).unwrap_or_default();
        assert!(kept == page, "write it anew: MESETA_BLESS=1 cargo test -p agent the_page_of_endpoints");
    }
}
