//! What the agent answers to requests: which endpoint a path means, and what the endpoints share. Each endpoint is in a
//! file below; libprocess messages from masters come in here too.

mod executor;
mod operator;
mod session;

use std::sync::Arc;

use agent_core::{Event, Reply, State};
use endpoints::Common;
use observe::metrics::Snapshot;
use proto::link::ToAgent;
use transport::{Handler, Message, Request, Response, StatusCode, jsonp, refuse, route::Table};

use crate::{
    reads::{legacy, metrics},
    runtime::{ACTOR, Inbox},
    world::World,
};

/// Serves every endpoint of an agent.
pub struct Endpoints {
    inbox: Inbox,
    common: Common,
    world: World,
    table: Table<Endpoint>,
}

/// Each thing that can be asked of an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Endpoint {
    Executor,
    Operator,
    State,
    Containers,
    Common(endpoints::Endpoint),
}

fn table() -> Table<Endpoint> {
    let table = Table::new(ACTOR)
        .at("api/v1/executor", Endpoint::Executor)
        .at("api/v1", Endpoint::Operator)
        .at("state", Endpoint::State)
        .at("containers", Endpoint::Containers);
    endpoints::routes(table, Endpoint::Common)
}

impl Endpoints {
    pub fn new(inbox: Inbox, common: Common, world: World) -> Arc<Endpoints> {
        Arc::new(Endpoints { inbox, common, world, table: table() })
    }

    async fn view(&self) -> Option<State> {
        self.inbox.view().await
    }

    async fn state(&self, request: &Request) -> Response {
        let Some(state) = self.view().await else { return ending() };
        jsonp::json(request, tokio::task::block_in_place(|| legacy::state(&state, &self.common.flags)))
    }

    async fn containers(&self, request: &Request) -> Response {
        let Some(state) = self.view().await else { return ending() };
        let usage = self.world.usage(&state).await;
        jsonp::json(request, legacy::containers(&state, &usage))
    }

    /// The agent's own numbers, from the core.
    async fn add_metrics(&self, snapshot: &mut Snapshot) {
        if let Some(state) = self.view().await {
            metrics::add(&state, snapshot);
        }
    }
}

impl Handler for Endpoints {
    async fn handle(&self, request: Request) -> Response {
        let Some(found) = self.table.find(request.path()) else { return refuse::not_found() };
        match *found.endpoint {
            Endpoint::Executor => self.executor(&request).await,
            Endpoint::Operator => self.operator(&request).await,
            Endpoint::State => self.state(&request).await,
            Endpoint::Containers => self.containers(&request).await,
            Endpoint::Common(endpoint) => {
                self.common.answer(endpoint, &request, async |snapshot| self.add_metrics(snapshot).await).await
            }
        }
    }

    /// A message that is none of a master's is answered as delivered, as libprocess does, and dropped.
    async fn deliver(&self, message: Message) -> bool {
        if message.to != ACTOR {
            return false;
        }
        match ToAgent::decode(&message.name, &message.body) {
            Ok(decoded) => {
                if !self.inbox.offer(Event::FromMaster { from: message.from, message: decoded }) {
                    tracing::warn!(name = message.name, "too many inputs wait; a master's message is dropped");
                }
            }
            Err(error) => tracing::warn!(from = %message.from, name = message.name, %error, "dropped a message"),
        }
        true
    }
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
