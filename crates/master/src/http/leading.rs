//! Which master leads, for requests that only a leader may answer. A master with an embedded store is the only one: it
//! leads as soon as it has read its registry.

use std::sync::atomic::Ordering;

use master_core::state::Phase;
use transport::{Request, Response, StatusCode, refuse};

use super::{Endpoints, ending};

impl Endpoints {
    /// Says no while this master does not lead; 503 as long as nobody is known to.
    pub(super) async fn check_leading(&self, _request: &Request) -> Result<(), Response> {
        if self.leads.load(Ordering::Relaxed) {
            return Ok(());
        }
        let Some(state) = self.view().await else { return Err(ending()) };
        let unavailable = |why: &'static str| Err(Response::text(StatusCode::SERVICE_UNAVAILABLE, why));
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
        if rest.is_empty() && !path.ends_with('/') {
            Response::redirect(&self.about.address, "")
        } else {
            refuse::not_found()
        }
    }
}
