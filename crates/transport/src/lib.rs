//! Knows sockets, HTTP heads and bodies, event streams and libprocess framing. Knows nothing about what a call means:
//! no framework, agent or task appears here.
//!
//! `server` accepts connections and hands `Request`s to a `Handler`; `caller` is who sent them; `route` finds the
//! endpoint of a path; `negotiate` and `refuse` hold the rules and texts that clients depend on; `stream` is the long
//! answer of a subscription; `libprocess` exchanges actor messages with other processes; `client` makes requests; `web`
//! tells pages of other sites from our own.

pub mod auth;
mod caller;
pub mod client;
pub mod gzip;
pub mod inbox;
pub mod jsonp;
pub mod libprocess;
pub mod negotiate;
pub mod refuse;
pub mod request;
pub mod response;
pub mod route;
pub mod server;
pub mod stream;
pub mod web;

pub use caller::{Caller, Process};
pub use hyper::{HeaderMap, Method, StatusCode, Uri, header};
pub use libprocess::{Message, Node};
pub use request::Request;
pub use response::{Body, Response};
pub use server::{Handler, Limits, Running, Server};
pub use stream::{EventStream, Outbox};
pub use web::WebPolicy;
