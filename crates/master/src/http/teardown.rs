//! `POST /teardown`: ends a framework, as the operator API's TEARDOWN does, with a form instead of a call.

use master_core::{Event, Reply};
use proto::v1::{FrameworkId, master};
use transport::{Method, Request, Response, refuse};

use super::{Endpoints, answer, ending};

impl Endpoints {
    pub(super) async fn teardown(&self, request: &Request, principal: Option<String>) -> Response {
        if let Err(elsewhere) = self.check_leading(request).await {
            return elsewhere;
        }
        if request.method != Method::POST {
            return refuse::method_not_allowed(&["POST"], &request.method);
        }
        let Some(value) = request.form_value("frameworkId") else {
            return refuse::bad_request("Missing 'frameworkId' query parameter in the request body");
        };
        let call = Box::new(master::Call {
            r#type: Some(master::call::Type::Teardown as i32),
            teardown: Some(master::call::Teardown { framework_id: FrameworkId { value } }),
            ..Default::default()
        });
        let event = |req| Event::FromOperator { req, principal, call };
        match self.inbox.call(event, None).await {
            Some(Reply::Ok(_) | Reply::Accepted) => Response::ok(),
            reply => reply.map_or_else(ending, answer),
        }
    }
}
