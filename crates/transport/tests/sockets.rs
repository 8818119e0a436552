//! The crate against real sockets on the loopback address.
#![allow(clippy::unwrap_used)]

mod sockets {
    mod authentication;
    mod client;
    mod harness;
    mod libprocess;
    mod senders;
    mod server;
    mod stream;
}
