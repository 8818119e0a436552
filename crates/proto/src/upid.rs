//! The address of a libprocess actor: `slave(1)@127.0.0.1:5051`.

use std::{fmt, net::IpAddr, str::FromStr, sync::Arc};

/// Who a libprocess message is from or for. Cheap to copy, as every message carries one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Upid {
    /// The actor within its process: `master`, `slave(1)`, `slave-observer(7)`.
    pub id: Arc<str>,
    /// An IP address; libprocess knows no host names. An IPv6 address stands without its brackets.
    pub host: Arc<str>,
    pub port: u16,
}

impl Upid {
    pub fn new(id: impl Into<Arc<str>>, host: impl Into<Arc<str>>, port: u16) -> Self {
        Upid { id: id.into(), host: host.into(), port }
    }

    /// The peer's socket, as `host:port`.
    pub fn address(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

impl fmt::Display for Upid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.id, self.address())
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not the address of an actor (id@ip:port)")]
pub struct UpidError(String);

impl FromStr for Upid {
    type Err = UpidError;

    fn from_str(text: &str) -> Result<Self, UpidError> {
        let parse = || {
            let (id, address) = text.split_once('@')?;
            let (host, port) = address.rsplit_once(':')?;
            let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
            host.parse::<IpAddr>().ok()?;
            let port = port.bytes().all(|byte| byte.is_ascii_digit()).then(|| port.parse().ok())??;
            (!id.is_empty()).then(|| Upid::new(id, host, port))
        };
        parse().ok_or_else(|| UpidError(text.to_owned()))
    }
}
