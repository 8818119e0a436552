//! `POST /api/v1`: reads are answered here from a view of what the agent knows; calls on containers, and those that
//! change something, go to the core.

use agent_core::{Event, Reply, State};
use endpoints::FileProblem;
use proto::{
    content::ContentType,
    v1::agent::{Call, Response as Answer, call::Type, response},
};
use transport::{Method, Request, Response, StatusCode, negotiate, refuse};

use super::{
    Endpoints, Read, answer, ending,
    received::{self, AnswerType, Received},
};
use crate::reads::{Usages, v1 as reads};

/// An answer, or the refusal that takes its place.
type Answered = Result<Answer, Response>;

impl Endpoints {
    pub(super) async fn operator(&self, request: &Request) -> Response {
        if request.method != Method::POST {
            return refuse::method_not_allowed(&["POST"], &request.method);
        }
        let Received { call, answer } = match received::read(request) {
            Ok(received) => received,
            Err(refusal) => return refusal,
        };
        let accept = answer.content;
        let answered = match call.r#type() {
            Type::GetHealth | Type::GetFlags | Type::GetVersion | Type::GetLoggingLevel | Type::GetMetrics => {
                self.about_process(&call).await
            }
            Type::ListFiles | Type::ReadFile => {
                self.attach_frameworks().await;
                self.files(&call)
            }
            Type::Unknown => return Response::text(StatusCode::NOT_IMPLEMENTED, "501 Not Implemented."),
            Type::GetState
            | Type::GetFrameworks
            | Type::GetTasks
            | Type::GetExecutors
            | Type::GetOperations
            | Type::GetAgent
            | Type::GetResourceProviders
            | Type::GetContainers => return self.read_state(&call, accept).await,
            _ => return self.change(call, answer).await,
        };
        match answered {
            Ok(answer) => encoded(&answer, accept),
            Err(refusal) => refusal,
        }
    }

    async fn read_state(&self, call: &Call, accept: ContentType) -> Response {
        let body = match call.r#type() {
            Type::GetContainers => {
                let shown = reads::Shown::new(call);
                let render =
                    move |state: &State, usage: &Usages| accept.encode(&reads::containers(state, shown, usage));
                self.read(Read::OperatorContainers(accept, shown), true, render).await
            }
            kind => {
                let render = move |state: &State, _: &Usages| accept.encode(&reads::answer(state, kind));
                self.read(Read::Operator(kind, accept), false, render).await
            }
        };
        match body {
            Some(body) => Response::typed(StatusCode::OK, negotiate::mime(accept), body),
            None => ending(),
        }
    }

    async fn about_process(&self, call: &Call) -> Answered {
        let mut answer = Answer { r#type: Some(response_type(call.r#type()) as i32), ..Default::default() };
        match call.r#type() {
            Type::GetHealth => answer.get_health = Some(response::GetHealth { healthy: true }),
            // Beyond the level of --logging_level nothing is logged that could be asked for.
            Type::GetLoggingLevel => answer.get_logging_level = Some(response::GetLoggingLevel { level: 0 }),
            Type::GetFlags => answer.get_flags = Some(response::GetFlags { flags: self.common.flags() }),
            Type::GetVersion => {
                answer.get_version = Some(response::GetVersion { version_info: self.common.version() });
            }
            _ => {
                let metrics = self.common.metrics(async |snapshot| self.add_metrics(snapshot).await).await;
                answer.get_metrics = Some(response::GetMetrics { metrics });
            }
        }
        Ok(answer)
    }

    fn files(&self, call: &Call) -> Answered {
        let mut answer = Answer { r#type: Some(response_type(call.r#type()) as i32), ..Default::default() };
        if let Some(list) = &call.list_files {
            let file_infos = self.common.list_files(&list.path).map_err(file_refusal)?;
            answer.list_files = Some(response::ListFiles { file_infos });
        } else if let Some(read) = &call.read_file {
            let (size, data) = self.common.read_file(&read.path, read.offset, read.length).map_err(file_refusal)?;
            answer.read_file = Some(response::ReadFile { size, data });
        }
        Ok(answer)
    }

    /// The core may take its time (WAIT_CONTAINER answers when the container ends), so it is told when the caller leaves.
    async fn change(&self, call: Call, answer_type: AnswerType) -> Response {
        let conn = self.inbox.next_id();
        let leaving = Leaving { endpoints: self, conn, armed: true };
        let event = |req| Event::FromOperator { req, conn, principal: None, call: Box::new(call) };
        let reply = self.inbox.call(event, None).await;
        leaving.disarm();
        match reply {
            Some(Reply::Ok(Some(answer))) => encoded(&answer, answer_type.content),
            Some(Reply::Output { container }) => self.session(conn, &container, answer_type),
            reply => reply.map_or_else(ending, answer),
        }
    }
}

/// Tells the core that a caller has left when the request's future is dropped before its reply.
struct Leaving<'a> {
    endpoints: &'a Endpoints,
    conn: u64,
    armed: bool,
}

impl Leaving<'_> {
    fn disarm(mut self) {
        self.armed = false;
    }
}

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        if self.armed {
            self.endpoints.inbox.closed(self.conn);
        }
    }
}

/// Calls and their answers share names and, but for a few, numbers.
fn response_type(call: Type) -> response::Type {
    response::Type::from_str_name(call.as_str_name()).unwrap_or_default()
}

fn encoded(answer: &Answer, accept: ContentType) -> Response {
    Response::typed(StatusCode::OK, negotiate::mime(accept), accept.encode(answer))
}

fn file_refusal(problem: FileProblem) -> Response {
    match problem {
        FileProblem::NotFound => refuse::missing(""),
        FileProblem::Wrong(why) => refuse::bad_request(why),
        FileProblem::Failed(why) => Response::text(StatusCode::INTERNAL_SERVER_ERROR, why),
    }
}
