//! The crate against real sockets on the loopback address.

mod sockets {
    mod client;
    mod harness;
    mod libprocess;
    mod server;
    mod stream;
}
