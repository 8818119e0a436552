//! `/maintenance/schedule`, `/maintenance/status`, `/machine/down`, `/machine/up`: what operators plan for machines, in
//! JSON.

use proto::{
    DecodeError, json,
    v1::{
        MachineId,
        maintenance::Schedule,
        master::{Call, call},
    },
};
use transport::{Method, Request, Response, refuse};

use super::{Endpoints, Read};

impl Endpoints {
    pub(super) async fn maintenance_schedule(&self, request: &Request, principal: Option<String>) -> Response {
        if let Err(elsewhere) = self.check_leading(request).await {
            return elsewhere;
        }
        match request.method {
            Method::GET => return self.document(request, Read::Schedule).await,
            Method::POST => {}
            _ => return refuse::method_not_allowed(&["GET", "POST"], &request.method),
        }
        let schedule = match json::from_slice::<Schedule>(&request.body) {
            Ok(schedule) => schedule,
            Err(DecodeError::Field(_)) if !is_object(&request.body) => {
                return refuse::bad_request("Unexpected JSON type parsed");
            }
            Err(error) => return refuse::bad_request(error.to_string()),
        };
        let update_maintenance_schedule = Some(call::UpdateMaintenanceSchedule { schedule });
        let call = super::change_call(call::Type::UpdateMaintenanceSchedule);
        self.change_plainly(Call { update_maintenance_schedule, ..call }, principal).await
    }

    pub(super) async fn maintenance_status(&self, request: &Request) -> Response {
        if let Err(elsewhere) = self.check_leading(request).await {
            return elsewhere;
        }
        if request.method != Method::GET {
            return refuse::method_not_allowed(&["GET"], &request.method);
        }
        self.document(request, Read::MaintenanceStatus).await
    }

    pub(super) async fn machines(&self, request: &Request, down: bool, principal: Option<String>) -> Response {
        if let Err(elsewhere) = self.check_leading(request).await {
            return elsewhere;
        }
        if request.method != Method::POST {
            return refuse::method_not_allowed(&["POST"], &request.method);
        }
        let machines = match json::list_from_slice::<MachineId>(&request.body) {
            Ok(machines) => machines,
            Err(error) => return refuse::bad_request(error.to_string()),
        };
        let call = if down {
            let start_maintenance = Some(call::StartMaintenance { machines });
            Call { start_maintenance, ..super::change_call(call::Type::StartMaintenance) }
        } else {
            let stop_maintenance = Some(call::StopMaintenance { machines });
            Call { stop_maintenance, ..super::change_call(call::Type::StopMaintenance) }
        };
        self.change_plainly(call, principal).await
    }
}

fn is_object(body: &[u8]) -> bool {
    body.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{')
}
