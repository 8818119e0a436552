//! etcd's v3 API as JSON over HTTP: requests, answers, and which server answers them. Keys and values travel in base64,
//! 64-bit numbers as text.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use base64::{Engine, prelude::BASE64_STANDARD};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use transport::{
    StatusCode,
    client::{Call, Client, ClientConfig, ClientError, Lines, Reply, tls::Tls},
    header,
};

use super::SpaceError;
use crate::url::{Kind, Login, Place};

/// How many keys one request reads.
const PAGE: i64 = 2_000;
const ANSWER_BYTES_MAX: usize = 256 << 20;

pub struct Gateway {
    client: Client,
    hosts: Vec<String>,
    /// The server that answered last.
    current: AtomicUsize,
    login: Option<Login>,
    token: Mutex<Option<String>>,
    /// Why the last connection was not made.
    failure: Mutex<String>,
}

#[derive(Serialize, Default, Clone)]
pub struct RangeRequest {
    key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    range_end: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    revision: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sort_order: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sort_target: Option<&'static str>,
}

impl RangeRequest {
    pub fn one(key: &str) -> RangeRequest {
        RangeRequest { key: encode(key.as_bytes()), ..Default::default() }
    }

    pub fn prefix(prefix: &str) -> RangeRequest {
        RangeRequest { range_end: Some(encode(&end_of(prefix))), ..RangeRequest::one(prefix) }
    }

    pub fn oldest_first(self) -> RangeRequest {
        RangeRequest { sort_order: Some("ASCEND"), sort_target: Some("CREATE"), ..self }
    }
}

#[derive(Serialize, Default)]
pub struct TxnRequest {
    pub compare: Vec<Compare>,
    success: Vec<Operation>,
}

#[derive(Serialize)]
pub struct Compare {
    result: &'static str,
    target: &'static str,
    key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    create_revision: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mod_revision: Option<String>,
}

impl Compare {
    /// The key was made by that revision; 0 if there is none.
    pub fn created(key: &str, revision: i64) -> Compare {
        let (key, create_revision) = (encode(key.as_bytes()), Some(revision.to_string()));
        Compare { result: "EQUAL", target: "CREATE", key, create_revision, mod_revision: None }
    }

    /// The key was last changed by that revision.
    pub fn changed(key: &str, revision: i64) -> Compare {
        let (key, mod_revision) = (encode(key.as_bytes()), Some(revision.to_string()));
        Compare { result: "EQUAL", target: "MOD", key, create_revision: None, mod_revision }
    }
}

#[derive(Serialize)]
enum Operation {
    #[serde(rename = "request_put")]
    Put {
        key: String,
        value: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        lease: Option<String>,
    },
    #[serde(rename = "request_delete_range")]
    Delete { key: String },
}

impl TxnRequest {
    pub fn put(&mut self, key: &str, value: &[u8], lease: Option<i64>) {
        let lease = lease.map(|id| id.to_string());
        self.success.push(Operation::Put { key: encode(key.as_bytes()), value: encode(value), lease });
    }

    pub fn delete(&mut self, key: &str) {
        self.success.push(Operation::Delete { key: encode(key.as_bytes()) });
    }
}

/// A key with its value.
pub struct KeyValue {
    pub key: Vec<u8>,
    pub value: Vec<u8>,
    pub create_revision: i64,
    pub mod_revision: i64,
}

/// What a range holds, and at which revision.
pub struct Found {
    pub pairs: Vec<KeyValue>,
    pub revision: i64,
    more: bool,
}

pub struct Done {
    pub succeeded: bool,
    pub revision: i64,
}

/// One change of a key; no value if it was deleted.
pub struct Change {
    pub key: Vec<u8>,
    pub value: Option<Vec<u8>>,
    pub revision: i64,
}

impl Gateway {
    pub fn new(place: &Place, patience: Duration) -> Result<Gateway, SpaceError> {
        let tls = match place.kind {
            Kind::Etcd { tls: true } => Some(Tls::new(&place.tls).map_err(|why| {
                SpaceError::Denied(format!(
                    "TLS to {place}: {why}; name the files in the URL (?ca=FILE&cert=FILE&key=FILE) or by \
                     --etcd_ca_file, --etcd_cert_file and --etcd_key_file"
                ))
            })?),
            _ => None,
        };
        let config = ClientConfig {
            connect_timeout: patience / 4,
            answer_timeout: patience / 2,
            answer: ANSWER_BYTES_MAX,
            tls,
            ..ClientConfig::default()
        };
        Ok(Gateway {
            client: Client::new(config),
            hosts: place.hosts.clone(),
            current: AtomicUsize::new(0),
            login: place.login.clone(),
            token: Mutex::default(),
            failure: Mutex::default(),
        })
    }

    /// Gets a token if there is a login, and sees whether anybody answers.
    pub async fn log_in(&self) -> Result<(), SpaceError> {
        if let Some(login) = &self.login {
            #[derive(Serialize)]
            struct Request<'a> {
                name: &'a str,
                password: &'a str,
            }
            #[derive(Deserialize)]
            struct Answer {
                token: String,
            }
            let request = Request { name: &login.user, password: &login.secret };
            let answer: Answer = self.ask("/v3/auth/authenticate", &request).await?;
            *self.token.lock().unwrap_or_else(PoisonError::into_inner) = Some(answer.token);
        }
        self.range(&RangeRequest::one("meseta")).await.map(drop)
    }

    pub async fn range(&self, request: &RangeRequest) -> Result<Found, SpaceError> {
        #[derive(Deserialize)]
        struct Answer {
            header: Header,
            #[serde(default)]
            kvs: Vec<Pair>,
            #[serde(default)]
            more: bool,
        }
        let answer: Answer = self.ask("/v3/kv/range", request).await?;
        let pairs = answer.kvs.into_iter().map(KeyValue::try_from).collect::<Result<_, _>>()?;
        Ok(Found { pairs, revision: number(&answer.header.revision), more: answer.more })
    }

    /// Everything below a prefix as of one revision, page by page.
    pub async fn range_all(&self, prefix: &str) -> Result<(Vec<KeyValue>, i64), SpaceError> {
        let mut request = RangeRequest { limit: Some(PAGE.to_string()), ..RangeRequest::prefix(prefix) };
        let mut pairs: Vec<KeyValue> = Vec::new();
        loop {
            let found = self.range(&request).await?;
            request.revision.get_or_insert_with(|| found.revision.to_string());
            pairs.extend(found.pairs);
            match pairs.last() {
                Some(last) if found.more => {
                    let mut next = last.key.clone();
                    next.push(0);
                    request.key = encode(&next);
                }
                _ => return Ok((pairs, request.revision.as_deref().map(number).unwrap_or_default())),
            }
        }
    }

    pub async fn transact(&self, request: &TxnRequest) -> Result<Done, SpaceError> {
        #[derive(Deserialize)]
        struct Answer {
            header: Header,
            #[serde(default)]
            succeeded: bool,
        }
        let answer: Answer = self.ask("/v3/kv/txn", request).await?;
        Ok(Done { succeeded: answer.succeeded, revision: number(&answer.header.revision) })
    }

    pub async fn grant_lease(&self, seconds: u64) -> Result<i64, SpaceError> {
        #[derive(Serialize)]
        struct Request {
            #[serde(rename = "TTL")]
            ttl: String,
        }
        let answer: LeaseAnswer = self.ask("/v3/lease/grant", &Request { ttl: seconds.to_string() }).await?;
        match number(&answer.id) {
            0 => Err(SpaceError::Failed(format!("etcd gives no lease: {}", answer.error))),
            id => Ok(id),
        }
    }

    /// Whether the lease is still there.
    pub async fn keep_lease(&self, id: i64) -> Result<bool, SpaceError> {
        #[derive(Deserialize)]
        struct Answer {
            result: LeaseAnswer,
        }
        let answer: Answer = self.ask("/v3/lease/keepalive", &LeaseRequest { id: id.to_string() }).await?;
        Ok(number(&answer.result.ttl) > 0)
    }

    pub async fn revoke_lease(&self, id: i64) -> Result<(), SpaceError> {
        let _: serde_json::Value = self.ask("/v3/lease/revoke", &LeaseRequest { id: id.to_string() }).await?;
        Ok(())
    }

    /// Every change below a prefix from a revision on.
    pub async fn watch(&self, prefix: &str, from: i64) -> Result<Watch, SpaceError> {
        #[derive(Serialize)]
        struct Create {
            key: String,
            range_end: String,
            start_revision: String,
        }
        #[derive(Serialize)]
        struct Request {
            create_request: Create,
        }
        let create_request = Create {
            key: encode(prefix.as_bytes()),
            range_end: encode(&end_of(prefix)),
            start_revision: from.to_string(),
        };
        let body = to_body(&Request { create_request });
        for call in self.calls("/v3/watch", body) {
            match self.client.open_lines(call).await {
                Ok(Ok(lines)) => return Ok(Watch { lines }),
                Ok(Err(reply)) => return Err(self.refusal(&reply)),
                Err(ClientError::Connect { source, .. }) => self.on_failure(&source),
                Err(error) => {
                    self.turn_to_next();
                    return Err(SpaceError::Unsure(with_causes(&error)));
                }
            }
        }
        Err(self.unreachable())
    }

    /// Sends a request to the server that answered last, or to the next ones while nobody takes it.
    async fn ask<A: DeserializeOwned>(&self, path: &str, request: &impl Serialize) -> Result<A, SpaceError> {
        for call in self.calls(path, to_body(request)) {
            let authority = call.authority.clone();
            let reply = match self.client.send(call).await {
                Ok(reply) => reply,
                Err(ClientError::Connect { source, .. }) => {
                    self.on_failure(&source);
                    continue;
                }
                Err(error) => {
                    self.turn_to_next();
                    return Err(SpaceError::Unsure(with_causes(&error)));
                }
            };
            if !reply.status.is_success() {
                return Err(self.refusal(&reply));
            }
            return serde_json::from_slice(&reply.body).map_err(|error| {
                SpaceError::Failed(format!(
                    "{authority} does not answer as etcd's gateway does: {error}; check the URL"
                ))
            });
        }
        Err(self.unreachable())
    }

    fn calls(&self, path: &str, body: Vec<u8>) -> impl Iterator<Item = Call> {
        let token = self.token.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let first = self.current.load(Ordering::Relaxed);
        let hosts = self.hosts.iter().cycle().skip(first % self.hosts.len().max(1)).take(self.hosts.len());
        hosts.map(move |host| {
            let call = Call::post(host.clone(), path, "application/json", body.clone());
            match &token {
                Some(token) => call.header(header::AUTHORIZATION, token),
                None => call,
            }
        })
    }

    fn turn_to_next(&self) {
        self.current.fetch_add(1, Ordering::Relaxed);
    }

    fn on_failure(&self, error: &std::io::Error) {
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = error.to_string();
        self.turn_to_next();
    }

    fn unreachable(&self) -> SpaceError {
        SpaceError::Unreachable(format!(
            "no etcd server answers at {} ({}); check that most of them run, and the hosts and ports in the URL",
            self.hosts.join(","),
            self.failure.lock().unwrap_or_else(PoisonError::into_inner)
        ))
    }

    fn refusal(&self, reply: &Reply) -> SpaceError {
        #[derive(Deserialize, Default)]
        #[serde(default)]
        struct Problem {
            error: String,
            message: String,
            code: i32,
        }
        const OUT_OF_TIME: i32 = 4;
        const FORBIDDEN: i32 = 7;
        const UNAVAILABLE: i32 = 14;
        const UNKNOWN_CALLER: i32 = 16;
        let Ok(problem) = serde_json::from_slice::<Problem>(&reply.body) else {
            return SpaceError::Failed(format!(
                "{} instead of an answer of etcd's gateway; check the URL",
                reply.status
            ));
        };
        let text = if problem.message.is_empty() { problem.error } else { problem.message };
        let about_login = ["user name is empty", "authentication failed", "invalid auth token", "permission denied"];
        if matches!(problem.code, FORBIDDEN | UNKNOWN_CALLER) || about_login.iter().any(|part| text.contains(part)) {
            return SpaceError::Denied(format!(
                "etcd does not let us ({text}); check the user and password in the URL (http://user:password@…)"
            ));
        }
        let waiting = matches!(reply.status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT);
        if waiting || matches!(problem.code, OUT_OF_TIME | UNAVAILABLE) || text.contains("timed out") {
            self.turn_to_next();
            return SpaceError::Unsure(text);
        }
        SpaceError::Failed(format!("etcd: {text}"))
    }
}

/// The changes of a watch, some at a time.
pub struct Watch {
    lines: Lines,
}

impl Watch {
    /// The next changes. An error when there are no more, or some were lost. Safe to drop and call again.
    pub async fn next(&mut self) -> Result<Vec<Change>, SpaceError> {
        #[derive(Deserialize)]
        struct Line {
            result: Option<Answer>,
        }
        #[derive(Deserialize)]
        struct Answer {
            #[serde(default)]
            canceled: bool,
            #[serde(default)]
            events: Vec<Event>,
        }
        #[derive(Deserialize)]
        struct Event {
            #[serde(default)]
            r#type: String,
            kv: Pair,
        }
        let lost = |why: &str| SpaceError::Unsure(format!("a watch ended: {why}"));
        loop {
            let line = self.lines.next().await.map_err(|e| lost(&e.to_string()))?;
            let line = line.ok_or_else(|| lost("the server closed it"))?;
            let line: Line = serde_json::from_slice(&line).map_err(|e| lost(&e.to_string()))?;
            let answer = line.result.ok_or_else(|| lost("the server reports an error"))?;
            if answer.canceled {
                return Err(lost("the server cancelled it"));
            }
            if answer.events.is_empty() {
                continue;
            }
            let change = |event: Event| {
                let deleted = event.r#type == "DELETE";
                let pair = KeyValue::try_from(event.kv)?;
                let value = (!deleted).then_some(pair.value);
                Ok(Change { key: pair.key, value, revision: pair.mod_revision })
            };
            return answer.events.into_iter().map(change).collect();
        }
    }
}

#[derive(Deserialize)]
struct Header {
    #[serde(default)]
    revision: String,
}

#[derive(Deserialize)]
struct Pair {
    key: String,
    #[serde(default)]
    value: String,
    #[serde(default)]
    create_revision: String,
    #[serde(default)]
    mod_revision: String,
}

impl TryFrom<Pair> for KeyValue {
    type Error = SpaceError;

    fn try_from(pair: Pair) -> Result<KeyValue, SpaceError> {
        let wrong = |e: base64::DecodeError| SpaceError::Failed(format!("etcd sends no base64: {e}"));
        Ok(KeyValue {
            key: BASE64_STANDARD.decode(pair.key).map_err(wrong)?,
            value: BASE64_STANDARD.decode(pair.value).map_err(wrong)?,
            create_revision: number(&pair.create_revision),
            mod_revision: number(&pair.mod_revision),
        })
    }
}

#[derive(Serialize)]
struct LeaseRequest {
    #[serde(rename = "ID")]
    id: String,
}

#[derive(Deserialize)]
struct LeaseAnswer {
    #[serde(rename = "ID", default)]
    id: String,
    #[serde(rename = "TTL", default)]
    ttl: String,
    #[serde(default)]
    error: String,
}

fn to_body(request: &impl Serialize) -> Vec<u8> {
    // Our own structures of text always have a JSON form.
    serde_json::to_vec(request).unwrap_or_default()
}

fn encode(bytes: &[u8]) -> String {
    BASE64_STANDARD.encode(bytes)
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let why = error.to_string();
        if !text.contains(&why) {
            text = format!("{text}: {why}");
        }
        cause = error.source();
    }
    text
}

/// The first key after all that begin with `prefix`.
fn end_of(prefix: &str) -> Vec<u8> {
    let mut end = prefix.as_bytes().to_vec();
    if let Some(last) = end.last_mut() {
        *last = last.saturating_add(1);
    }
    end
}

/// Left out means 0.
fn number(text: &str) -> i64 {
    text.parse().unwrap_or_default()
}
