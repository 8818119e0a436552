//! What the master answers to requests: which endpoint a path means, and what the endpoints share. Each endpoint is in
//! a file below; libprocess messages from agents come in here too.

mod leading;
mod maintenance;
mod operator;
mod quota;
#[cfg(test)]
mod realms;
mod resources;
mod scheduler;
mod teardown;
mod weights;

use std::sync::{Arc, atomic::AtomicBool};

use bytes::Bytes;
use endpoints::{Coalescer, Common, Door, Doors, help};
use master_core::{Actor, Event, Reply, State};
use observe::metrics::Snapshot;
use proto::{
    content::ContentType,
    driver::FromDriver,
    json,
    link::ToMaster,
    v1::master::{Call, call},
};
use stdx::{RequestId, WallTime, clock::Clock};
use transport::{
    Handler, Message, Request, Response, StatusCode,
    auth::{Principal, authenticator::PeerAuthenticator},
    jsonp, refuse,
    route::Table,
};

use self::resources::Change;
use crate::{
    reads::{
        legacy,
        metrics::{self, Around},
        v1,
    },
    seat::Seat,
    traffic::Inbox,
};

/// Serves every endpoint of a master.
pub struct Endpoints {
    inbox: Inbox,
    common: Common,
    about: About,
    seat: Seat,
    reads: Coalescer<Read, Option<Bytes>>,
    /// Set once this master leads; a leader that stops leading ends.
    leads: AtomicBool,
    table: Table<Endpoint>,
    doors: Doors,
    peers: PeerAuthenticator,
}

/// A read that costs something, so that equal ones share one rendering.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Read {
    Legacy(legacy::Document, legacy::Query),
    Operator(call::Type, ContentType),
    Quota,
    Weights,
    Schedule,
    MaintenanceStatus,
}

/// What there is to say about this process.
#[derive(Clone, Debug)]
pub struct About {
    /// `host:port` where others reach this master.
    pub address: String,
    /// The loop's clock.
    pub clock: Clock,
    pub started: WallTime,
}

/// Each thing that can be asked of a master.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Endpoint {
    Scheduler,
    Operator,
    Redirect,
    Registry,
    Standing,
    HandOver,
    Teardown,
    Quota,
    Weights,
    MaintenanceSchedule,
    MaintenanceStatus,
    Machines { down: bool },
    Resources(Change),
    Legacy(legacy::Document),
    Common(endpoints::Endpoint),
}

impl Endpoint {
    fn door(self) -> Door {
        match self {
            Endpoint::Scheduler => Door::Clients,
            Endpoint::Operator
            | Endpoint::HandOver
            | Endpoint::Teardown
            | Endpoint::Quota
            | Endpoint::Weights
            | Endpoint::MaintenanceSchedule
            | Endpoint::Machines { .. }
            | Endpoint::Resources(_) => Door::Readwrite,
            Endpoint::Redirect => Door::Open,
            Endpoint::Legacy(_) | Endpoint::MaintenanceStatus | Endpoint::Registry | Endpoint::Standing => {
                Door::Readonly
            }
            Endpoint::Common(endpoint) => endpoint.door(),
        }
    }
}

impl Endpoint {
    fn help(self) -> help::Page {
        use legacy::Document;
        const LEADER: &str = "A master that does not lead sends to the one that does (307).";
        let (summary, more) = match self {
            Endpoint::Scheduler => (
                "Calls of schedulers.",
                "POST a `scheduler::Call` as JSON or protobuf. SUBSCRIBE answers with a stream of events, the others with \
                 202; see docs/v0.md for drivers.",
            ),
            Endpoint::Operator => (
                "Calls of operators.",
                "POST a `master::Call` as JSON or protobuf; the answer is in the one that `Accept` names.",
            ),
            Endpoint::Redirect => ("Sends to the leading master.", "307, or 503 while there is none."),
            Endpoint::Registry => ("The registry as JSON.", "A standby shows its copy."),
            Endpoint::Standing => ("Who leads since when, and who stands by.", "JSON; not in Mesos."),
            Endpoint::HandOver => ("Has this master hand over and end.", "POST; 202. Not in Mesos."),
            Endpoint::Teardown => ("Ends a framework and its tasks.", "POST a form with `frameworkId`."),
            Endpoint::Quota => {
                ("Quotas of roles.", "GET lists them, POST sets one, DELETE on the path of a role removes it.")
            }
            Endpoint::Weights => ("Weights of roles.", "GET lists them, PUT changes some."),
            Endpoint::MaintenanceSchedule => ("The schedule of maintenance.", "GET shows it, POST replaces it."),
            Endpoint::MaintenanceStatus => ("Which machines drain or are down.", "JSON."),
            Endpoint::Machines { down: true } => ("Takes machines down that are scheduled for it.", "POST a list."),
            Endpoint::Machines { down: false } => ("Brings machines up again.", "POST a list."),
            Endpoint::Resources(Change::Reserve) => {
                ("Reserves resources of an agent.", "POST a form with `slaveId` and `resources`; 202.")
            }
            Endpoint::Resources(Change::Unreserve) => {
                ("Gives reservations of an agent up.", "POST a form with `slaveId` and `resources`; 202.")
            }
            Endpoint::Resources(Change::Create) => {
                ("Creates persistent volumes on an agent.", "POST a form with `slaveId` and `volumes`; 202.")
            }
            Endpoint::Resources(Change::Destroy) => {
                ("Destroys persistent volumes of an agent.", "POST a form with `slaveId` and `volumes`; 202.")
            }
            Endpoint::Legacy(Document::State) => ("Everything the master knows.", LEADER),
            Endpoint::Legacy(Document::StateSummary) => ("Agents and frameworks with counts of tasks.", LEADER),
            Endpoint::Legacy(Document::Slaves) => ("Agents.", LEADER),
            Endpoint::Legacy(Document::Frameworks) => ("Frameworks, their tasks and offers.", LEADER),
            Endpoint::Legacy(Document::Tasks) => (
                "Tasks, page by page.",
                "`limit`, `offset` and `order` (asc or des) choose the page; `framework_id` and `task_id` which.",
            ),
            Endpoint::Legacy(Document::Roles) => ("Roles with their weights, quotas and resources.", LEADER),
            Endpoint::Common(endpoint) => return endpoint.help(),
        };
        help::Page { summary, more, door: self.door() }
    }
}

fn table() -> Table<Endpoint> {
    use legacy::Document;
    let table = Table::new("master")
        .at("api/v1/scheduler", Endpoint::Scheduler)
        .at("api/v1", Endpoint::Operator)
        .at("redirect", Endpoint::Redirect)
        .of("registrar(1)", "registry", Endpoint::Registry)
        .at("standing", Endpoint::Standing)
        .at("hand-over", Endpoint::HandOver)
        .at("teardown", Endpoint::Teardown)
        .at("quota", Endpoint::Quota)
        .at("weights", Endpoint::Weights)
        .at("maintenance/schedule", Endpoint::MaintenanceSchedule)
        .at("maintenance/status", Endpoint::MaintenanceStatus)
        .at("machine/down", Endpoint::Machines { down: true })
        .at("machine/up", Endpoint::Machines { down: false })
        .at("reserve", Endpoint::Resources(Change::Reserve))
        .at("unreserve", Endpoint::Resources(Change::Unreserve))
        .at("create-volumes", Endpoint::Resources(Change::Create))
        .at("destroy-volumes", Endpoint::Resources(Change::Destroy))
        .at("state", Endpoint::Legacy(Document::State))
        .at("state-summary", Endpoint::Legacy(Document::StateSummary))
        .at("slaves", Endpoint::Legacy(Document::Slaves))
        .at("frameworks", Endpoint::Legacy(Document::Frameworks))
        .at("tasks", Endpoint::Legacy(Document::Tasks))
        .at("roles", Endpoint::Legacy(Document::Roles));
    endpoints::routes(table, Endpoint::Common)
}

impl Endpoints {
    pub fn new(
        inbox: Inbox,
        common: Common,
        about: About,
        seat: Seat,
        doors: Doors,
        peers: PeerAuthenticator,
    ) -> Arc<Endpoints> {
        let (reads, leads) = (Coalescer::default(), AtomicBool::new(false));
        Arc::new(Endpoints { inbox, common, about, seat, reads, leads, table: table(), doors, peers })
    }

    /// A document of the legacy API: any method, JSON, wrapped for JSONP if asked.
    async fn legacy(&self, document: legacy::Document, request: &Request) -> Response {
        if let Err(elsewhere) = self.check_leading(request).await {
            return elsewhere;
        }
        let query = legacy::Query::new(request);
        let (flags, started) = (Arc::clone(&self.common.flags), self.about.started);
        let render = {
            let query = query.clone();
            move |state: &State| legacy::render(document, state, &query, legacy::Process { started, flags: &flags })
        };
        match self.read(Read::Legacy(document, query), render).await {
            Some(body) => jsonp::json(request, body),
            None => ending(),
        }
    }

    /// A small document that a message of the operator API describes too.
    async fn document(&self, request: &Request, read: Read) -> Response {
        let render = {
            let read = read.clone();
            move |state: &State| match read {
                Read::Quota => json::to_vec(&v1::quota_status(state)),
                Read::Weights => legacy::weights(state),
                Read::Schedule => json::to_vec(&v1::schedule(state)),
                Read::MaintenanceStatus => json::to_vec(&v1::maintenance_status(state)),
                Read::Legacy(..) | Read::Operator(..) => Vec::new(),
            }
        };
        match self.read(read, render).await {
            Some(body) => jsonp::json(request, body),
            None => ending(),
        }
    }

    async fn ask(&self, call: Call, principal: Option<String>) -> Option<Reply> {
        let event = |req: RequestId| Event::FromOperator { req, principal, call: Box::new(call) };
        self.inbox.call(event, None).await
    }

    /// Has the core make a change, for the endpoints whose answer is a status and, if it is a refusal, a text.
    async fn change_plainly(&self, call: Call, principal: Option<String>) -> Response {
        self.ask(call, principal).await.map_or_else(ending, answer)
    }

    /// What `render` makes of a view that is taken from now on.
    async fn read<B: Into<Bytes>>(
        &self,
        key: Read,
        render: impl Fn(&State) -> B + Clone + Send + 'static,
    ) -> Option<Bytes> {
        let inbox = self.inbox.clone();
        let render = move || {
            let (inbox, render) = (inbox.clone(), render.clone());
            async move {
                let view = inbox.view().await?;
                Some(tokio::task::block_in_place(|| render(&view)).into())
            }
        };
        self.reads.get(key, render).await?
    }

    /// The master's own numbers, from the core.
    async fn add_metrics(&self, snapshot: &mut Snapshot) {
        let per_framework = self.common.flags.get("publish_per_framework_metrics").is_none_or(|value| value == "true");
        if let (Some(state), Some(allocation)) = (self.inbox.view().await, self.inbox.figures().await) {
            let now = self.about.clock.now();
            let (shared_reads, waiting) = (self.reads.shared(), self.inbox.waiting());
            metrics::add(&state, &allocation, Around { now, shared_reads, waiting, per_framework }, snapshot);
        }
    }

    async fn view(&self) -> Option<State> {
        self.inbox.view().await
    }
}

impl Handler for Endpoints {
    async fn handle(&self, request: Request) -> Response {
        if let Some(help) = help::answer(&self.table, |endpoint| endpoint.help(), &request) {
            return help;
        }
        let Some(found) = self.table.find(request.path()) else { return refuse::not_found() };
        let principal = match self.doors.check(found.endpoint.door(), &request.headers) {
            Ok(principal) => principal.map(|principal: Principal| principal.to_string()),
            Err(refusal) => return refusal,
        };
        match *found.endpoint {
            Endpoint::Scheduler => self.scheduler(&request, principal).await,
            Endpoint::Operator => self.operator(&request, principal).await,
            Endpoint::Redirect => self.redirect(request.path(), &found.rest),
            Endpoint::Registry => self.registry(&request).await,
            Endpoint::Standing => self.standing(),
            Endpoint::HandOver => self.hand_over(&request),
            Endpoint::Teardown => self.teardown(&request, principal).await,
            Endpoint::Quota => self.quota(&request, &found.rest, principal).await,
            Endpoint::Weights => self.weights(&request, principal).await,
            Endpoint::MaintenanceSchedule => self.maintenance_schedule(&request, principal).await,
            Endpoint::MaintenanceStatus => self.maintenance_status(&request).await,
            Endpoint::Machines { down } => self.machines(&request, down, principal).await,
            Endpoint::Resources(change) => self.change_resources(&request, change, principal).await,
            Endpoint::Legacy(document) => self.legacy(document, &request).await,
            Endpoint::Common(endpoint) => {
                self.common.answer(endpoint, &request, async |snapshot| self.add_metrics(snapshot).await).await
            }
        }
    }

    /// A driver gives no keys, and which of them are no drivers is not to be seen before they have registered.
    fn needs_sender(&self, message: &Message) -> bool {
        ToMaster::is_named(&message.name)
    }

    /// A message that is none of an agent's or a driver's is answered as delivered, as libprocess does, and dropped.
    async fn deliver(&self, message: Message) -> bool {
        if self.peers.deliver(&message) {
            return true;
        }
        let Some(to) = Actor::find(&message.to) else { return false };
        let from = message.from;
        let event = if FromDriver::is_named(&message.name) {
            FromDriver::decode(&message.name, &message.body)
                .map(|message| Event::FromDriver { from: from.clone(), message })
        } else {
            ToMaster::decode(&message.name, &message.body).map(|message| Event::FromAgent {
                from: from.clone(),
                to,
                message,
            })
        };
        self.inbox.deliver(&from, &message.name, message.body.len(), event);
        true
    }
}

/// A call of the operator API, still without its content.
fn change_call(kind: call::Type) -> Call {
    Call { r#type: Some(kind.into()), ..Default::default() }
}

/// The HTTP answer to what the core said to a scheduler's call.
fn answer(reply: Reply) -> Response {
    match reply {
        Reply::Accepted => Response::accepted(),
        Reply::Ok(_) | Reply::Stream { .. } => Response::ok(),
        Reply::BadRequest(why) => refuse::bad_request(why),
        Reply::Forbidden(why) => refuse::forbidden(why),
        Reply::NotFound(why) => refuse::missing(why),
        Reply::Conflict(why) => refuse::conflict(why),
        Reply::Unavailable(why) => Response::text(StatusCode::SERVICE_UNAVAILABLE, why),
        Reply::NotImplemented(why) => Response::text(StatusCode::NOT_IMPLEMENTED, why),
    }
}

/// 503: this process is about to end.
fn ending() -> Response {
    Response::text(StatusCode::SERVICE_UNAVAILABLE, "The master is shutting down")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_of_endpoints_is_current() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/endpoints-master.md");
        let page = help::reference("Endpoints of a master", &table(), |endpoint| endpoint.help());
        if std::env::var_os("MESETA_BLESS").is_some() {
            std::fs::write(path, &page).unwrap();
        }
        let kept = std::fs::read_to_string(path).unwrap_or_default();
        assert!(kept == page, "write it anew: MESETA_BLESS=1 cargo test -p master the_page_of_endpoints");
    }
}
