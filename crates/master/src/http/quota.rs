//! `/quota`, the older way to see, set and remove quotas: GET, POST with a JSON body, DELETE with the role in the path.

use master_core::Reply;
use proto::{
    DecodeError, json,
    v1::{master::call, quota::QuotaRequest},
};
use transport::{Method, Request, Response, refuse};

use super::{Endpoints, Read, answer, ending};

impl Endpoints {
    pub(super) async fn quota(&self, request: &Request, rest: &str, principal: Option<String>) -> Response {
        if let Err(elsewhere) = self.check_leading(request).await {
            return elsewhere;
        }
        match request.method {
            Method::GET => self.document(request, Read::Quota).await,
            Method::POST => self.set_quota(request, principal).await,
            Method::DELETE => self.remove_quota(request, rest, principal).await,
            _ => refuse::method_not_allowed(&["GET", "POST", "DELETE"], &request.method),
        }
    }

    async fn set_quota(&self, request: &Request, principal: Option<String>) -> Response {
        let quota_request = match json::from_slice::<QuotaRequest>(&request.body) {
            Ok(quota_request) => quota_request,
            Err(error) => {
                let doing = if matches!(error, DecodeError::Json(_)) { "parse" } else { "validate" };
                let text = String::from_utf8_lossy(&request.body);
                return refuse::bad_request(format!("Failed to {doing} set quota request JSON '{text}': {error}"));
            }
        };
        let set_quota = Some(call::SetQuota { quota_request });
        let call = super::change_call(call::Type::SetQuota);
        self.change_plainly(proto::v1::master::Call { set_quota, ..call }, principal).await
    }

    async fn remove_quota(&self, request: &Request, rest: &str, principal: Option<String>) -> Response {
        let path = request.path();
        let path = if path.starts_with("/master/") { path.to_owned() } else { format!("/master{path}") };
        let role = rest.trim_start_matches('/');
        if role.is_empty() {
            return refuse::bad_request(format!(
                "Failed to parse remove quota request for path '{path}': expected 3 tokens, found 2 tokens"
            ));
        }
        let remove_quota = Some(call::RemoveQuota { role: role.to_owned() });
        let call = super::change_call(call::Type::RemoveQuota);
        match self.ask(proto::v1::master::Call { remove_quota, ..call }, principal).await {
            Some(Reply::BadRequest(why)) => {
                let why = why.strip_prefix("Failed to remove quota: ").unwrap_or(&why);
                refuse::bad_request(format!("Failed to remove quota for path '{path}': {why}"))
            }
            reply => reply.map_or_else(ending, answer),
        }
    }
}
