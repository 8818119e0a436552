//! `POST /teardown`: ends a framework, as the operator API's TEARDOWN does, with a form instead of a call.

use proto::v1::{
    FrameworkId,
    master::{Call, call},
};
use transport::{Method, Request, Response, refuse};

use super::Endpoints;

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
        let teardown = Some(call::Teardown { framework_id: FrameworkId { value } });
        self.change_plainly(Call { teardown, ..super::change_call(call::Type::Teardown) }, principal).await
    }
}
