//! What the cores and their programs call by number: requests, connections, and what a core waits for. Each is a type
//! of its own, so that none is taken for another, and none stands for "nothing": that is an `Option`'s `None`.

use std::fmt;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident;)*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
            pub struct $name(pub u64);

            impl fmt::Display for $name {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    self.0.fmt(f)
                }
            }
        )*
    };
}

ids! {
    /// One request, until its reply. Given by the program.
    RequestId;
    /// One connection on which events are streamed, or at whose other end somebody waits. Given by the program, before
    /// it is open.
    ConnectionId;
    /// One thing, most often a durable write, whose outcome a core waits for. Given by the core.
    Ticket;
}
