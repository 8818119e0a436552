//! The addresses of the masters, or where they meet, as people write them.

use std::{fmt, str::FromStr};

use coordination::Place;

use crate::Error;

/// Where masters listen unless their address says otherwise.
pub const DEFAULT_PORT: u16 = 5050;

/// One or more masters: `host:port`, or several with commas between them, or the ZooKeeper or etcd where they meet:
/// `zk://host:port,…/path`, `etcd://host:port,…/path`, or `file://` and a file that holds such a URL.
///
/// ```
/// use client::Masters;
///
/// let masters: Masters = "one.example:5050,two.example".parse()?;
/// assert_eq!(masters.to_string(), "one.example:5050,two.example:5050");
/// assert!("zk://one.example:2181/mesos".parse::<Masters>().is_ok());
/// # Ok::<(), client::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Masters(At);

#[derive(Clone, Debug, PartialEq, Eq)]
enum At {
    Addresses(Vec<String>),
    Place(Place),
}

impl Masters {
    /// Whether `text` is meant as the URL of where masters meet, right or wrong, rather than as addresses.
    pub fn is_place(text: &str) -> bool {
        Place::is_meant_by(text)
    }

    /// The addresses, if they were given.
    pub fn addresses(&self) -> &[String] {
        match &self.0 {
            At::Addresses(addresses) => addresses,
            At::Place(_) => &[],
        }
    }

    /// Where the masters meet, if that was given.
    pub fn place(&self) -> Option<&Place> {
        match &self.0 {
            At::Addresses(_) => None,
            At::Place(place) => Some(place),
        }
    }
}

impl FromStr for Masters {
    type Err = Error;

    fn from_str(text: &str) -> Result<Masters, Error> {
        if Place::is_meant_by(text) {
            let place = Place::parse(text).map_err(|error| Error::Address(error.to_string()))?;
            return Ok(Masters(At::Place(place)));
        }
        let masters: Vec<String> =
            text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(authority).collect::<Result<_, _>>()?;
        match masters.is_empty() {
            true => Err(Error::Address("the address of a master is empty; write host:port".to_owned())),
            false => Ok(Masters(At::Addresses(masters))),
        }
    }
}

impl fmt::Display for Masters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            At::Addresses(addresses) => f.write_str(&addresses.join(",")),
            At::Place(place) => place.fmt(f),
        }
    }
}

/// `host:port` of an address that may carry `http://`, a slash at its end, or no port.
pub(crate) fn authority(address: &str) -> Result<String, Error> {
    authority_with(address, DEFAULT_PORT)
}

pub(crate) fn authority_with(address: &str, default_port: u16) -> Result<String, Error> {
    // What stands before an @ may be a secret.
    let shown = address.rsplit_once('@').map_or(address.to_owned(), |(_, host)| format!("***@{host}"));
    let wrong = |why: &str| Error::Address(format!("'{shown}' is not an address: {why}; write host:port"));
    let rest = match address.split_once("://") {
        Some(("http", rest)) => rest,
        Some((scheme, _)) => return Err(wrong(&format!("'{scheme}' is not supported"))),
        None => address,
    };
    let rest = rest.trim_end_matches('/');
    let odd = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '/' | '@' | '?' | '#');
    if rest.is_empty() || rest.contains(odd) {
        return Err(wrong("a host is expected"));
    }
    // The colons of a bare IPv6 address are no port: it wears brackets when one follows.
    let (host, port) = match rest.rsplit_once(':') {
        Some((host, port)) if rest.starts_with('[') == host.ends_with(']') => (host, Some(port)),
        _ => (rest, None),
    };
    let in_brackets = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let bare = in_brackets.unwrap_or(host);
    if bare.is_empty() || bare.contains(['[', ']']) || (in_brackets.is_none() && host.contains(':')) {
        return Err(wrong("a host is expected, an IPv6 one in brackets"));
    }
    let port = match port {
        None => default_port,
        Some(port) => port.parse().map_err(|_| wrong("the port is no number below 65536"))?,
    };
    Ok(format!("{host}:{port}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn addresses_in_every_dress() {
        for (text, expected) in [
            ("localhost", "localhost:5050"),
            ("http://10.0.0.1:5051/", "10.0.0.1:5051"),
            (" a:1 , b:2,", "a:1,b:2"),
            ("[::1]:99", "[::1]:99"),
            ("[::1]", "[::1]:5050"),
        ] {
            assert_eq!(text.parse::<Masters>().expect(text).to_string(), expected);
        }
    }

    #[test]
    fn what_is_no_address_is_refused_with_a_hint() {
        for text in ["", ",", "a:b", "a:70000", "https://a", "a/b", "u@a", "::1", ":5050", "a b"] {
            let error = text.parse::<Masters>().expect_err(text).to_string();
            assert!(error.contains("host:port"), "{text}: {error}");
        }
        let error = "http://me:s3cret@a:1".parse::<Masters>().expect_err("a login").to_string();
        assert!(!error.contains("s3cret"), "{error}");
        let error = "zk://a:2181".parse::<Masters>().expect_err("no path").to_string();
        assert!(error.contains("names no path"), "{error}");
    }

    proptest! {
        #[test]
        fn what_is_accepted_reads_back_the_same(text in "\\PC{0,30}") {
            if let Ok(masters) = text.parse::<Masters>() {
                prop_assert_eq!(masters.to_string().parse::<Masters>().expect("printed"), masters);
            }
        }
    }
}
