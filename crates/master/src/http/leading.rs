//! Which master leads, for requests that only a leader may answer; what a standby shows of its copy of the registry;
//! and handing over.

use std::sync::atomic::Ordering;

use coordination::announce;
use master_core::state::Phase;
use proto::v1;
use serde_json::json;
use transport::{Method, Request, Response, StatusCode, jsonp, refuse};

use super::{Endpoints, ending};

impl Endpoints {
    /// Sends everybody to the leader while that is another master; 503 as long as nobody is known to lead.
    pub(super) async fn check_leading(&self, request: &Request) -> Result<(), Response> {
        let unavailable = |why: &'static str| Err(Response::text(StatusCode::SERVICE_UNAVAILABLE, why));
        if !self.seat.may_act() {
            return unavailable("This master leads no more");
        }
        if self.leads.load(Ordering::Relaxed) {
            return Ok(());
        }
        if let Some(leader) = self.seat.other_leader() {
            let path_and_query = request.uri.path_and_query().map_or("/", |path| path.as_str());
            return Err(Response::redirect(&shown_address(&leader), path_and_query));
        }
        let Some(state) = self.view().await else { return Err(ending()) };
        match state.phase {
            Phase::Leading { .. } => {
                self.leads.store(true, Ordering::Relaxed);
                Ok(())
            }
            Phase::Recovering => unavailable("Master has not finished recovery"),
            Phase::Standby | Phase::Deposed => unavailable("No leader elected"),
        }
    }

    /// Where the leader is, without a scheme. Paths below do not exist, so that no client follows itself in a circle.
    pub(super) fn redirect(&self, path: &str, rest: &str) -> Response {
        if !rest.is_empty() || path.ends_with('/') {
            return refuse::not_found();
        }
        let standing = self.seat.standing.borrow();
        match &standing.leader {
            Some(leader) if leader.id != self.seat.id() => Response::redirect(&shown_address(leader), ""),
            Some(_) => Response::redirect(&self.about.address, ""),
            None => Response::text(StatusCode::SERVICE_UNAVAILABLE, "No leader elected"),
        }
    }

    /// The registry in Mesos's shape: the leader's own, or a standby's copy.
    pub(super) async fn registry(&self, request: &Request) -> Response {
        let copy = self.seat.standing.borrow().replica.clone();
        // A standby that was elected just now has no copy any more.
        let of_copy = copy.and_then(|copy| tokio::task::block_in_place(|| copy.registry()));
        let registry = match of_copy {
            Some(registry) => registry.map_err(|e| e.to_string()),
            None => match self.view().await {
                Some(state) => Ok(registry::Registry::clone(&state.registry)),
                None => return ending(),
            },
        };
        match registry {
            Ok(registry) => jsonp::json(request, registry.to_json()),
            Err(why) => Response::text(StatusCode::SERVICE_UNAVAILABLE, why),
        }
    }

    /// Who leads since when, and who could: no endpoint of Mesos.
    pub(super) fn standing(&self) -> Response {
        let standing = self.seat.standing.borrow();
        let master = |info: &v1::MasterInfo| json!({ "id": info.id, "hostname": info.hostname, "address": announce::address(info) });
        let (epoch, since) = standing.reign();
        let body = json!({
            "id": self.seat.id(),
            "leading": standing.leading && self.seat.may_act(),
            "leader": standing.leader.as_deref().map(master),
            "epoch": epoch,
            "since": since.map(|since| since.0 as f64 / 1e9),
            "elections": standing.elections,
            "standbys": standing.standbys.iter().map(master).collect::<Vec<_>>(),
            "store": self.seat.store(),
            "replica": standing.replica.as_ref().map(|replica| {
                json!({ "commit": replica.commit(), "silence_secs": replica.silence().as_secs_f64() })
            }),
        });
        Response::json(body.to_string())
    }

    /// Asks this process to hand over and end, as SIGTERM does.
    pub(super) fn hand_over(&self, request: &Request) -> Response {
        if request.method != Method::POST {
            return refuse::method_not_allowed(&["POST"], &request.method);
        }
        tracing::info!("asked to hand over");
        self.seat.ask_to_hand_over();
        Response::accepted()
    }
}

/// `host:port` as a master shows itself to people.
fn shown_address(info: &v1::MasterInfo) -> String {
    match &info.hostname {
        Some(hostname) if !hostname.is_empty() => format!("{hostname}:{}", info.port),
        _ => announce::address(info),
    }
}
