//! Knows the endpoints that a master and an agent have alike: health, version, flags, metrics, files, the log's level,
//! help. Knows nothing of what either of them does.
//!
//! `Common::answer` serves the legacy endpoints, `Common::answer_call` the operator API; `v1` makes messages of the
//! same answers.
//! `coalesce` is for what is costly to show; `doors` knows which endpoints ask who is there; `serving` reads the flags
//! of their servers; `mesos` knows which flags and variables Mesos's programs have.

mod coalesce;
mod doors;
mod files;
pub mod help;
mod logging;
pub mod mesos;
mod operator;
pub mod serving;
mod v1;

use std::{collections::BTreeMap, sync::Arc};

use observe::{
    files::{Files, Verb},
    metrics::{self, Snapshot},
    system::System,
};
use proto::json::Writer;
use transport::{Request, Response, jsonp, libprocess::senders::Senders, refuse, route::Table};

pub use coalesce::Coalescer;
pub use doors::{Door, Doors, Locked, Realms};
pub use operator::OperatorCall;

/// The level of the Mesos API that clients are told. They parse it: digits and dots.
pub const API_VERSION: &str = "1.11.0";
/// Our own version.
pub const OWN_VERSION: &str = env!("CARGO_PKG_VERSION");

/// One of the endpoints here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    Health,
    Version,
    Flags,
    Metrics,
    Prometheus,
    SystemStats,
    LoggingToggle,
    Files(Verb),
    /// Whether a message was this process's: `transport::libprocess::senders`.
    Sender,
}

impl Endpoint {
    pub fn door(self) -> Door {
        match self {
            Endpoint::Health | Endpoint::Version | Endpoint::Sender => Door::Open,
            Endpoint::Flags | Endpoint::Metrics | Endpoint::Prometheus | Endpoint::SystemStats | Endpoint::Files(_) => {
                Door::Readonly
            }
            Endpoint::LoggingToggle => Door::Readwrite,
        }
    }

    /// Whether a request asks to change something, and not only to see it.
    pub fn changes(self, request: &Request) -> bool {
        match self {
            Endpoint::LoggingToggle => request.query_value("level").is_some(),
            Endpoint::Health
            | Endpoint::Version
            | Endpoint::Flags
            | Endpoint::Metrics
            | Endpoint::Prometheus
            | Endpoint::SystemStats
            | Endpoint::Sender
            | Endpoint::Files(_) => false,
        }
    }

    pub fn help(self) -> help::Page {
        let (summary, more) = match self {
            Endpoint::Health => ("Says that the server is alive.", "Any method; 200 without a body."),
            Endpoint::Version => (
                "Which API and which version of Meseta this is.",
                "JSON; `version` is the level of Mesos's API, `meseta_version` our own.",
            ),
            Endpoint::Flags => ("The flags this server was started with.", "JSON; secrets are hidden."),
            Endpoint::Metrics => {
                ("All metrics of the moment as JSON.", "`timeout` is read and not needed: nothing here is waited for.")
            }
            Endpoint::Prometheus => ("All metrics of the moment in Prometheus's text format.", ""),
            Endpoint::SystemStats => ("Load, processors and memory of this machine as JSON.", ""),
            Endpoint::LoggingToggle => (
                "Changes for a while how much is logged.",
                "`level`: 0 as the server was started, 1 with debug lines, 2 and more with traces; `duration`, as in \
                 10mins: for how long. Without both it says the present level. Browsers need POST.",
            ),
            Endpoint::Files(Verb::Browse) => (
                "Lists a directory of the log or of sandboxes as JSON.",
                "`path`: which; a file lists as nothing. At most 100,000 entries by name; with more of them a `Link` \
                 leads to the next page, which `after` (a name) and `limit` (a count) choose.",
            ),
            Endpoint::Files(Verb::Read) => (
                "Reads a piece of a file as JSON.",
                "`path`: which; `offset`: from where, -1 asks for the size; `length`: how many bytes, at most 65,536.",
            ),
            Endpoint::Files(Verb::Download) => ("Sends a whole file.", "`path`: which."),
            Endpoint::Files(Verb::Debug) => ("Which directories can be browsed, and where they are.", "JSON."),
            Endpoint::Sender => (
                "Says whether a message was sent by this process.",
                "Other masters and agents ask. `key`: what the message carries as `Meseta-Sender-Key`; `at`: an address \
                 of who asks, once for each. JSON; `mine`.",
            ),
        };
        help::Page { summary, more, door: self.door() }
    }
}

/// Adds the endpoints to a server's table.
pub fn routes<T>(table: Table<T>, wrap: impl Fn(Endpoint) -> T) -> Table<T> {
    table
        .at("health", wrap(Endpoint::Health))
        .at("flags", wrap(Endpoint::Flags))
        .of("version", "", wrap(Endpoint::Version))
        .of("metrics", "snapshot", wrap(Endpoint::Metrics))
        .of("metrics", "", wrap(Endpoint::Prometheus))
        .of("system", "stats.json", wrap(Endpoint::SystemStats))
        .of("logging", "toggle", wrap(Endpoint::LoggingToggle))
        .of("files", "browse", wrap(Endpoint::Files(Verb::Browse)))
        .of("files", "read", wrap(Endpoint::Files(Verb::Read)))
        .of("files", "download", wrap(Endpoint::Files(Verb::Download)))
        .of("files", "debug", wrap(Endpoint::Files(Verb::Debug)))
        .of("meseta", "sender", wrap(Endpoint::Sender))
}

/// What the answers are made of.
#[derive(Clone)]
pub struct Common {
    /// With secrets hidden.
    pub flags: Arc<BTreeMap<String, String>>,
    pub metrics: Arc<metrics::Registry>,
    pub files: Files,
    pub senders: Arc<Senders>,
}

impl Common {
    /// Answers a request. `add` puts the server's own numbers into a snapshot of metrics.
    pub async fn answer(
        &self,
        endpoint: Endpoint,
        request: &Request,
        add: impl AsyncFnOnce(&mut Snapshot),
    ) -> Response {
        match endpoint {
            Endpoint::Health => Response::ok(),
            Endpoint::Version => jsonp::json(request, version()),
            Endpoint::Flags => jsonp::json(request, self.flags_json()),
            Endpoint::Metrics => match check_timeout(request) {
                Ok(()) => jsonp::json(request, self.snapshot(add).await.to_json()),
                Err(refusal) => refusal,
            },
            Endpoint::Prometheus => {
                let text = self.snapshot(add).await.to_prometheus();
                Response::typed(transport::StatusCode::OK, metrics::PROMETHEUS_TYPE, text)
            }
            Endpoint::SystemStats => jsonp::json(request, System::read().stats_json()),
            Endpoint::LoggingToggle => logging::toggle(request),
            Endpoint::Files(verb) => self.answer_files(verb, request).await,
            Endpoint::Sender => self.senders.answer(request),
        }
    }

    async fn snapshot(&self, add: impl AsyncFnOnce(&mut Snapshot)) -> Snapshot {
        let mut snapshot = self.metrics.snapshot();
        add(&mut snapshot).await;
        snapshot
    }

    fn flags_json(&self) -> Vec<u8> {
        let mut json = Writer::new();
        json.object(|json| {
            json.object_field("flags", |json| {
                for (name, value) in self.flags.iter() {
                    json.field(name, value.as_str());
                }
            });
        });
        json.into_bytes()
    }
}

/// `?timeout=10secs` bounds how long slow metrics are waited for. Ours are never slow, so it only has to be right.
fn check_timeout(request: &Request) -> Result<(), Response> {
    let Some(text) = request.query_value("timeout") else { return Ok(()) };
    match stdx::units::parse_duration(&text) {
        Ok(_) => Ok(()),
        Err(why) => Err(refuse::bad_request(format!("Invalid timeout '{text}': {why}.\n"))),
    }
}

fn version() -> Vec<u8> {
    let mut json = Writer::new();
    json.object(|json| {
        json.field("build_date", BUILD_DATE);
        json.field("build_time", &0.0);
        json.field("build_user", "");
        commit_fields(json);
        json.field("meseta_version", OWN_VERSION);
        json.field("version", API_VERSION);
    });
    json.into_bytes()
}

/// What state documents say first.
pub fn version_fields(json: &mut Writer) {
    json.field("version", API_VERSION);
    json.field("build_date", BUILD_DATE);
    json.field("build_time", &0.0);
    json.field("build_user", "");
}

/// What documents about a process say of the sources it was built from.
pub fn commit_fields(json: &mut Writer) {
    json.field("git_sha", option_env!("MESETA_GIT_SHA").unwrap_or(NO_COMMIT));
    json.field("git_tag", concat!("v", env!("CARGO_PKG_VERSION")));
}

/// What is built from an archive does not know its commit.
const NO_COMMIT: &str = "0000000000000000000000000000000000000000";

/// Builds are reproducible, so there is no date to tell.
const BUILD_DATE: &str = "1970-01-01 00:00:00";
