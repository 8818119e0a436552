//! From flags to who must prove what: we to the master, and whoever asks us on HTTP.

use agent_core::{Event, Proof};
use endpoints::{Doors, Locked, Realms};
use stdx::flags::Values;
use transport::{
    Node,
    auth::{
        authenticatee::{Authenticatee, Outcome},
        credentials::{self, Credential},
        jwt::Key,
    },
};

use crate::traffic::Inbox;

pub const REALMS: Realms =
    Realms { readonly: "mesos-agent-readonly", readwrite: "mesos-agent-readwrite", clients: "mesos-agent-executor" };

/// What we show the master, if it wants to see anything.
pub fn credential(values: &Values) -> Result<Option<Credential>, String> {
    let kind = values.text("authenticatee").unwrap_or("crammd5");
    if kind != "crammd5" {
        return Err(format!("--authenticatee: '{kind}' is not crammd5, the only one there is"));
    }
    let Some(path) = values.text("credential") else { return Ok(None) };
    credentials::read_one(path).map(Some).map_err(|e| format!("--credential: {path}: {e}"))
}

/// Who may ask us what.
pub fn doors(values: &Values) -> Result<Doors, String> {
    let kinds = values.text("http_authenticators").unwrap_or("basic");
    if let Some(other) = kinds.split(',').map(str::trim).find(|kind| !matches!(*kind, "basic" | "jwt")) {
        return Err(format!("--http_authenticators: '{other}' is neither basic nor jwt, all that there is"));
    }
    let readonly = values.switch("authenticate_http_readonly");
    // Who locks what is read locks what is changed.
    let readwrite = readonly || values.switch("authenticate_http_readwrite");
    let locked = Locked { readonly, readwrite, clients: values.switch("authenticate_http_executors") };
    let known = match values.text("http_credentials") {
        Some(path) => credentials::read_all(path).map_err(|e| format!("--http_credentials: {path}: {e}"))?,
        None if readwrite => {
            let flag = if readonly { "authenticate_http_readonly" } else { "authenticate_http_readwrite" };
            return Err(format!("--{flag} needs --http_credentials, a file of those who may come in"));
        }
        None => Vec::new(),
    };
    Ok(Doors::new(REALMS, known, locked))
}

/// What signs the tokens of executors.
pub fn executor_key(values: &Values) -> Result<Option<Key>, String> {
    match values.text("jwt_secret_key") {
        Some(path) => Key::read(path).map(Some).map_err(|e| format!("--jwt_secret_key: {path}: {e}")),
        None if values.switch("authenticate_http_executors") => {
            Err("--authenticate_http_executors needs --jwt_secret_key, a file with a random secret".to_owned())
        }
        None => Ok(None),
    }
}

/// Proves who we are when the core wants it, and tells it how that went.
pub fn authenticatee(credential: Credential, node: Node, inbox: Inbox) -> Authenticatee {
    let tell = move |master, outcome| {
        let proof = match outcome {
            Outcome::Proved => Proof::Taken,
            Outcome::Refused => Proof::Refused,
            Outcome::Error(why) => Proof::Failed(why),
        };
        // A core that does not hear of it tries again.
        inbox.offer(Event::Authenticated { master, proof });
    };
    Authenticatee::new(credential, node, Box::new(tell))
}
