//! Who is asking. On HTTP a program picks an `Authenticator` and asks it once per request with the realm of the
//! endpoint; `basic` is HTTP Basic over a list of credentials; `jwt` is for the
//! tokens of executors. Over libprocess, peers prove themselves in a conversation:
//! `authenticator` is its server, `authenticatee` its client, `cram_md5` the proof. `credentials` reads the files that
//! secrets come in. What a principal may do is decided elsewhere.

pub mod authenticatee;
pub mod authenticator;
pub mod basic;
pub mod cram_md5;
pub mod credentials;
pub mod jwt;

use std::sync::Arc;

use hyper::HeaderMap;

use crate::{refuse, response::Response};

/// An authenticated name.
pub type Principal = Arc<str>;

/// The request proves nobody. `into` makes it the 401 with the challenge.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no valid credentials for {realm}")]
pub struct Unauthenticated {
    pub realm: &'static str,
}

impl From<Unauthenticated> for Response {
    fn from(refused: Unauthenticated) -> Response {
        refuse::unauthorized(refused.realm)
    }
}

/// Says who sent a request.
pub trait Authenticator: Send + Sync + 'static {
    /// The sender's name, or `None` where anybody may ask.
    fn authenticate(&self, realm: &'static str, headers: &HeaderMap) -> Result<Option<Principal>, Unauthenticated>;
}

/// Anybody may ask, and nobody has a name.
#[derive(Clone, Copy, Debug, Default)]
pub struct Anonymous;

impl Authenticator for Anonymous {
    fn authenticate(&self, _: &'static str, _: &HeaderMap) -> Result<Option<Principal>, Unauthenticated> {
        Ok(None)
    }
}
