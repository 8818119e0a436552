//! `/weights`: GET shows the weights of roles, PUT sets some.

use proto::{
    DecodeError, json,
    v1::{WeightInfo, master::call},
};
use transport::{Method, Request, Response, refuse};

use super::{Endpoints, Read};

impl Endpoints {
    pub(super) async fn weights(&self, request: &Request, principal: Option<String>) -> Response {
        if let Err(elsewhere) = self.check_leading(request).await {
            return elsewhere;
        }
        match request.method {
            Method::GET => self.document(request, Read::Weights).await,
            Method::PUT => self.update_weights(request, principal).await,
            _ => refuse::method_not_allowed(&["GET", "PUT"], &request.method),
        }
    }

    async fn update_weights(&self, request: &Request, principal: Option<String>) -> Response {
        let weight_infos = match json::list_from_slice::<WeightInfo>(&request.body) {
            Ok(weights) => weights,
            Err(error) => {
                let text = String::from_utf8_lossy(&request.body);
                let is_list = request.body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[');
                let why = if is_list && !matches!(error, DecodeError::Json(_)) {
                    format!("Failed to convert weights JSON array to protobuf '{text}': {error}")
                } else {
                    format!("Failed to parse update weights request JSON '{text}': {error}")
                };
                return refuse::bad_request(why);
            }
        };
        let update_weights = Some(call::UpdateWeights { weight_infos });
        let call = super::change_call(call::Type::UpdateWeights);
        self.change_plainly(proto::v1::master::Call { update_weights, ..call }, principal).await
    }
}
