//! Requests to other HTTP servers: whole answers, RecordIO streams, and bodies that are sent while they are made.
//! Connections are kept and used again. Redirects and retries are the caller's business.

mod lines;
mod pool;
mod records;
pub mod tls;

use std::{io, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt, combinators::UnsyncBoxBody};
use hyper::{
    HeaderMap, Method, StatusCode,
    body::Incoming,
    header::{self, HeaderName, HeaderValue},
};

pub use lines::Lines;
pub use records::Records;

use crate::stream::{self, FlowWriter};
use pool::{Pool, Sender};

/// How a client treats its servers.
#[derive(Clone, Debug)]
pub struct ClientConfig {
    pub connect_timeout: Duration,
    /// From sending a request to its whole answer, or to the head of a stream.
    pub answer_timeout: Duration,
    /// Bytes of a whole answer, or of one record of a stream.
    pub answer: usize,
    /// Connections to one server that are kept unused.
    pub kept: usize,
    /// Connections are encrypted, and the servers prove who they are.
    pub tls: Option<tls::Tls>,
}

impl Default for ClientConfig {
    fn default() -> ClientConfig {
        ClientConfig {
            connect_timeout: Duration::from_secs(10),
            answer_timeout: Duration::from_secs(60),
            answer: 256 << 20,
            kept: 8,
            tls: None,
        }
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("cannot connect to {authority}: {source}")]
    Connect { authority: String, source: io::Error },
    #[error("{authority} did not answer in time")]
    Timeout { authority: String },
    #[error("the connection to {authority} broke: {source}")]
    Broken { authority: String, source: hyper::Error },
    #[error("the answer of {authority} is larger than {limit} bytes")]
    TooLarge { authority: String, limit: usize },
    #[error("the event stream of {authority} is malformed: {why}")]
    Malformed { authority: String, why: String },
    #[error("a request to {authority} cannot be written: {why}")]
    Request { authority: String, why: String },
}

/// A request.
#[derive(Clone, Debug)]
pub struct Call {
    pub method: Method,
    /// `host:port`.
    pub authority: String,
    pub path_and_query: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Call {
    pub fn new(method: Method, authority: impl Into<String>, path_and_query: impl Into<String>) -> Call {
        Call {
            method,
            authority: authority.into(),
            path_and_query: path_and_query.into(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
        }
    }

    pub fn get(authority: impl Into<String>, path_and_query: impl Into<String>) -> Call {
        Call::new(Method::GET, authority, path_and_query)
    }

    /// A call of a v1 API: its body and the answer are of `content_type`.
    pub fn post(
        authority: impl Into<String>,
        path_and_query: impl Into<String>,
        content_type: &'static str,
        body: impl Into<Bytes>,
    ) -> Call {
        let mut call = Call::new(Method::POST, authority, path_and_query);
        call.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        call.headers.insert(header::ACCEPT, HeaderValue::from_static(content_type));
        call.body = body.into();
        call
    }

    /// Sets a header; a value that no header can hold is left out.
    pub fn header(mut self, name: HeaderName, value: &str) -> Call {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(name, value);
        }
        self
    }
}

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Reply {
    pub fn header(&self, name: impl header::AsHeaderName) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// An answer to a subscription.
#[derive(Debug)]
pub enum Opened {
    /// 200: the events follow.
    Stream { headers: HeaderMap, records: Records },
    /// Anything else.
    Refused(Reply),
}

/// A request whose body is still being made.
#[derive(Debug)]
pub struct Upload {
    pub body: FlowWriter,
    answer: tokio::task::JoinHandle<Result<Reply, ClientError>>,
    authority: String,
}

impl Upload {
    /// Ends the body and waits for the answer.
    pub async fn finish(self) -> Result<Reply, ClientError> {
        let Upload { body, answer, authority } = self;
        drop(body);
        answer.await.unwrap_or(Err(ClientError::Timeout { authority }))
    }
}

pub(crate) type OutBody = UnsyncBoxBody<Bytes, io::Error>;

/// Makes requests. Cheap to clone; clones share their connections.
#[derive(Clone, Debug)]
pub struct Client {
    config: Arc<ClientConfig>,
    pool: Arc<Pool>,
}

impl Default for Client {
    fn default() -> Client {
        Client::new(ClientConfig::default())
    }
}

impl Client {
    pub fn new(config: ClientConfig) -> Client {
        Client { pool: Arc::new(Pool::new(config.kept)), config: Arc::new(config) }
    }

    /// Sends a request and reads the whole answer.
    pub async fn send(&self, call: Call) -> Result<Reply, ClientError> {
        let authority = call.authority.clone();
        let exchange = async {
            let (response, sender) = self.exchange(call).await?;
            let reply = self.read(&authority, response).await?;
            self.pool.put(&authority, sender);
            Ok(reply)
        };
        self.in_time(&authority, exchange).await
    }

    /// Sends a subscription; its events are read by the caller, on a connection of its own. Dropping the records closes
    /// the connection.
    pub async fn open(&self, call: Call) -> Result<Opened, ClientError> {
        let authority = call.authority.clone();
        let exchange = async {
            let (response, sender) = match self.begin(call).await? {
                Ok(begun) => begun,
                Err(reply) => return Ok(Opened::Refused(reply)),
            };
            let (head, body) = response.into_parts();
            let records = Records::new(authority.clone(), body, sender, self.config.answer);
            Ok(Opened::Stream { headers: head.headers, records })
        };
        self.in_time(&authority, exchange).await
    }

    /// Sends a request whose answer is a stream of lines, on a connection of its own.
    pub async fn open_lines(&self, call: Call) -> Result<Result<Lines, Reply>, ClientError> {
        let authority = call.authority.clone();
        let exchange = async {
            let begun = self.begin(call).await?;
            Ok(begun.map(|(response, sender)| {
                Lines::new(authority.clone(), response.into_body(), sender, self.config.answer)
            }))
        };
        self.in_time(&authority, exchange).await
    }

    /// Starts a request whose body (beside `call.body`, which is ignored) is written by the caller, with at most
    /// `capacity` pieces under way.
    pub async fn upload(&self, call: Call, capacity: usize) -> Result<Upload, ClientError> {
        let authority = call.authority.clone();
        let (writer, flow) = stream::flow(capacity);
        let request = request_of(call, flow.boxed_unsync())?;
        let mut sender = self.in_time(&authority, pool::connect(&authority, &self.config)).await?;
        let client = self.clone();
        let answer = tokio::spawn({
            let authority = authority.clone();
            async move {
                let response = sender
                    .send_request(request)
                    .await
                    .map_err(|source| ClientError::Broken { authority: authority.clone(), source })?;
                client.read(&authority, response).await
            }
        });
        Ok(Upload { body: writer, answer, authority })
    }

    /// The head of a long answer and the connection that brings the rest, or the refusal.
    async fn begin(&self, call: Call) -> Result<Result<(hyper::Response<Incoming>, Sender), Reply>, ClientError> {
        let authority = call.authority.clone();
        let (response, sender) = self.exchange(call).await?;
        if response.status() == StatusCode::OK {
            return Ok(Ok((response, sender)));
        }
        let reply = self.read(&authority, response).await?;
        self.pool.put(&authority, sender);
        Ok(Err(reply))
    }

    /// Sends on a kept connection, or on a new one if that has died meanwhile.
    async fn exchange(&self, call: Call) -> Result<(hyper::Response<Incoming>, Sender), ClientError> {
        let authority = call.authority.clone();
        let body = call.body.clone();
        let mut request = request_of(call, full(body))?;
        while let Some(mut sender) = self.pool.take(&authority) {
            match sender.try_send_request(request).await {
                Ok(response) => return Ok((response, sender)),
                Err(mut failed) => match failed.take_message() {
                    Some(unsent) => request = unsent,
                    None => return Err(ClientError::Broken { authority, source: failed.into_error() }),
                },
            }
        }
        let mut sender = pool::connect(&authority, &self.config).await?;
        match sender.send_request(request).await {
            Ok(response) => Ok((response, sender)),
            Err(source) => Err(ClientError::Broken { authority, source }),
        }
    }

    async fn read(&self, authority: &str, response: hyper::Response<Incoming>) -> Result<Reply, ClientError> {
        let limit = self.config.answer;
        let (head, mut incoming) = response.into_parts();
        let mut body = BytesMut::new();
        while let Some(frame) = incoming.frame().await {
            let frame = frame.map_err(|source| ClientError::Broken { authority: authority.to_owned(), source })?;
            let Ok(data) = frame.into_data() else { continue };
            if data.len() > limit - body.len() {
                return Err(ClientError::TooLarge { authority: authority.to_owned(), limit });
            }
            body.extend_from_slice(&data);
        }
        Ok(Reply { status: head.status, headers: head.headers, body: body.freeze() })
    }

    async fn in_time<T>(
        &self,
        authority: &str,
        work: impl Future<Output = Result<T, ClientError>>,
    ) -> Result<T, ClientError> {
        tokio::time::timeout(self.config.answer_timeout, work)
            .await
            .unwrap_or_else(|_| Err(ClientError::Timeout { authority: authority.to_owned() }))
    }
}

fn request_of(call: Call, body: OutBody) -> Result<hyper::Request<OutBody>, ClientError> {
    let unwritable = |why: String| ClientError::Request { authority: call.authority.clone(), why };
    let mut request = hyper::Request::builder()
        .method(call.method)
        .uri(call.path_and_query)
        .body(body)
        .map_err(|error| unwritable(error.to_string()))?;
    *request.headers_mut() = call.headers;
    let host = HeaderValue::from_str(&call.authority).map_err(|error| unwritable(error.to_string()))?;
    request.headers_mut().insert(header::HOST, host);
    Ok(request)
}

fn full(body: Bytes) -> OutBody {
    http_body_util::Full::new(body).map_err(|never| match never {}).boxed_unsync()
}
