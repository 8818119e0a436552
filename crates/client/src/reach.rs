//! Finding the server that answers: the one that leads where masters meet, or the masters one after the other, their
//! redirects to the leading one, and the one that answered last first.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use coordination::Detector;
use proto::content::ContentType;
use transport::{
    HeaderMap, Method, StatusCode,
    client::{Call, Client, ClientConfig, ClientError, Opened, Records, Reply},
    header::{self, HeaderName},
};

use crate::{Error, Masters};

const MAX_REDIRECTS: usize = 4;
/// How long a session with ZooKeeper or etcd lasts without news, and how long to wait for a leader there.
const SESSION: Duration = Duration::from_secs(10);
const AGAIN: Duration = Duration::from_millis(50);

/// A name and secret for basic authentication. `Debug` does not show the secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential {
    pub principal: String,
    pub secret: String,
}

impl Credential {
    /// Reads Mesos's JSON, `{"principal": "…", "secret": "…"}`, or both in a line. Errors repeat nothing of the text.
    pub fn parse(text: &str) -> Result<Credential, String> {
        let one = transport::auth::credentials::parse_one(text).map_err(|error| error.to_string())?;
        let secret =
            String::from_utf8(one.secret.into_vec()).map_err(|_| "the secret is not text in UTF-8".to_owned())?;
        Ok(Credential { principal: one.principal.to_string(), secret })
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential").field("principal", &self.principal).finish_non_exhaustive()
    }
}

/// How to talk to a server.
#[derive(Clone, Debug)]
pub struct Options {
    pub content_type: ContentType,
    pub credential: Option<Credential>,
    pub http: ClientConfig,
}

impl Default for Options {
    fn default() -> Options {
        Options { content_type: ContentType::Protobuf, credential: None, http: ClientConfig::default() }
    }
}

/// One request to one server: its answer, or the reply that is none. Boxed, so that callers' futures can be spawned.
type Attempt<T> =
    for<'a> fn(&'a Client, Call) -> Pin<Box<dyn Future<Output = Result<Result<T, Reply>, ClientError>> + Send + 'a>>;

/// The way to one logical server. Clones share what they learn.
#[derive(Clone)]
pub(crate) struct Reach {
    http: Client,
    servers: Masters,
    content_type: ContentType,
    authorization: Option<String>,
    last: Arc<Mutex<Option<String>>>,
    /// Started by the first call, if masters are found where they meet.
    detector: Arc<tokio::sync::Mutex<Option<Detector>>>,
    /// How long to ask again while nobody leads.
    patience: Duration,
}

/// Without the header that proves who we are.
impl fmt::Debug for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reach").field("servers", &self.servers).field("last", &self.last()).finish_non_exhaustive()
    }
}

impl Reach {
    pub fn new(servers: Masters, options: Options) -> Reach {
        let authorization = options.credential.map(|credential| {
            let pair = format!("{}:{}", credential.principal, credential.secret);
            format!("Basic {}", BASE64_STANDARD.encode(pair))
        });
        Reach {
            http: Client::new(options.http),
            servers,
            content_type: options.content_type,
            authorization,
            last: Arc::default(),
            detector: Arc::default(),
            patience: Duration::ZERO,
        }
    }

    /// Asks again while masters that meet somewhere change the lead: one is known there before it serves.
    pub fn across_elections(self) -> Reach {
        let patience = self.servers.place().map_or(Duration::ZERO, |_| SESSION);
        Reach { patience, ..self }
    }

    pub fn content_type(&self) -> ContentType {
        self.content_type
    }

    /// The server that answered last.
    pub fn last(&self) -> Option<String> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Posts a body of a v1 API; the answer is a success.
    pub async fn post(&self, path: &str, body: Bytes, more: &[(HeaderName, &str)]) -> Result<Reply, Error> {
        self.whole(Method::POST, path, body, more).await
    }

    pub async fn get(&self, path: &str) -> Result<Reply, Error> {
        self.whole(Method::GET, path, Bytes::new(), &[]).await
    }

    async fn whole(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
        more: &[(HeaderName, &str)],
    ) -> Result<Reply, Error> {
        let call = self.call(method, path, body, more);
        let begun = Instant::now();
        loop {
            let outcome = self.find(call.clone(), |http, call| {
                Box::pin(async move {
                    let reply = http.send(call).await?;
                    Ok(match reply.status.is_success() {
                        true => Ok(reply),
                        false => Err(reply),
                    })
                })
            });
            match outcome.await {
                // Nobody has taken it yet.
                Err(Error::NoLeader(_) | Error::Transport(ClientError::Connect { .. }))
                    if begun.elapsed() < self.patience =>
                {
                    tokio::time::sleep(AGAIN).await;
                }
                outcome => return outcome,
            }
        }
    }

    /// Opens a stream of events.
    pub async fn open(&self, path: &str, body: Bytes) -> Result<(HeaderMap, Records), Error> {
        let call = self.call(Method::POST, path, body, &[]);
        self.find(call, |http, call| {
            Box::pin(async move {
                Ok(match http.open(call).await? {
                    Opened::Stream { headers, records } => Ok((headers, records)),
                    Opened::Refused(reply) => Err(reply),
                })
            })
        })
        .await
    }

    /// Tries the servers until one answers in its own name.
    async fn find<T>(&self, call: Call, attempt: Attempt<T>) -> Result<T, Error> {
        let mut failure = Error::NoLeader("there is none to ask".to_owned());
        for mut server in self.servers().await? {
            for _ in 0..MAX_REDIRECTS {
                let call = Call { authority: server.clone(), ..call.clone() };
                let reply = match attempt(&self.http, call).await {
                    Ok(Ok(answer)) => {
                        self.remember(server);
                        return Ok(answer);
                    }
                    Ok(Err(reply)) => reply,
                    // Only a request that was surely not taken may go to another server.
                    Err(error @ ClientError::Connect { .. }) => {
                        failure = error.into();
                        break;
                    }
                    Err(error) => return Err(error.into()),
                };
                match reply.status {
                    StatusCode::TEMPORARY_REDIRECT => match redirect(&reply) {
                        Some(next) => server = next,
                        None => {
                            failure = Error::NoLeader(format!("{server} redirects to nowhere"));
                            break;
                        }
                    },
                    StatusCode::SERVICE_UNAVAILABLE => {
                        failure = Error::NoLeader(format!("{server} says: {}", text(&reply.body)));
                        break;
                    }
                    status => {
                        self.remember(server);
                        return Err(Error::Refused { status, message: text(&reply.body) });
                    }
                }
            }
        }
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = None;
        Err(failure)
    }

    /// Whom to ask, the likeliest first.
    async fn servers(&self) -> Result<Vec<String>, Error> {
        if let Some(place) = self.servers.place() {
            let mut detector = self.detector.lock().await;
            let detector = detector.get_or_insert_with(|| Detector::start(place.clone(), SESSION));
            return detector.wait(SESSION).await.map(|leader| vec![leader]).map_err(Error::NoLeader);
        }
        let last = self.last();
        let others = self.servers.addresses().iter().filter(|server| Some(*server) != last.as_ref()).cloned();
        Ok(last.clone().into_iter().chain(others).collect())
    }

    fn remember(&self, server: String) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(server);
    }

    fn call(&self, method: Method, path: &str, body: Bytes, more: &[(HeaderName, &str)]) -> Call {
        let mut call = match method {
            Method::GET => Call::get("", path),
            _ => Call::post("", path, self.content_type.mime(), body),
        };
        if let Some(authorization) = &self.authorization {
            call = call.header(header::AUTHORIZATION, authorization);
        }
        for (name, value) in more {
            call = call.header(name.clone(), value);
        }
        call
    }
}

/// The server a redirect names: `//host:port/path`, or the same with `http:` in front.
fn redirect(reply: &Reply) -> Option<String> {
    let location = reply.header(header::LOCATION)?;
    let rest = location.strip_prefix("http:").unwrap_or(location).strip_prefix("//")?;
    crate::masters::authority(rest.split('/').next()?).ok()
}

fn text(body: &[u8]) -> String {
    const MOST: usize = 2000;
    String::from_utf8_lossy(body.get(..MOST).unwrap_or(body)).trim().to_owned()
}
