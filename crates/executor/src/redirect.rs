//! Where an HTTP check goes on when a server answers with a redirect. Pure.

use std::net::{IpAddr, SocketAddr};

/// As many as curl follows.
pub const HOPS_MAX: u32 = 50;

/// One request of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    pub address: SocketAddr,
    /// What goes into the `Host` header.
    pub host: String,
    /// With the query.
    pub path: String,
}

/// What follows a redirect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hop {
    Http(Url),
    /// Something that needs TLS or the name of a host, which is left to curl.
    Curl(String),
}

impl Url {
    pub fn new(address: SocketAddr, path: String) -> Url {
        Url { address, host: address.to_string(), path }
    }

    /// Where `location`, in an answer to this request, leads.
    pub fn follow(&self, location: &str) -> Result<Hop, String> {
        let location = location.split('#').next().unwrap_or_default();
        let scheme = location.split_once(':').map(|(scheme, _)| scheme);
        let scheme = scheme.filter(|scheme| !scheme.is_empty() && scheme.bytes().all(|b| b.is_ascii_alphanumeric()));
        match scheme.map(str::to_ascii_lowercase).as_deref() {
            Some("http") => {
                let rest = location.get("http:".len()..).and_then(|rest| rest.strip_prefix("//"));
                self.elsewhere(rest.ok_or_else(|| format!("it is redirected to '{location}', which is no URL"))?)
            }
            Some("https") => Ok(Hop::Curl(clean(location))),
            Some(other) => Err(format!("it is redirected to a URL of the scheme '{other}', which is not followed")),
            None => match location.strip_prefix("//") {
                Some(rest) => self.elsewhere(rest),
                None => Ok(Hop::Http(Url { path: self.resolve(location), ..self.clone() })),
            },
        }
    }

    /// `rest` is what follows the slashes of an `http` URL.
    fn elsewhere(&self, rest: &str) -> Result<Hop, String> {
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        match self.address_of(authority) {
            Some(address) => {
                let (host, path) = (clean(authority), rooted(path));
                Ok(Hop::Http(Url { address, host, path }))
            }
            None => Ok(Hop::Curl(clean(&format!("http://{rest}")))),
        }
    }

    /// The address, where it need not be looked up.
    fn address_of(&self, authority: &str) -> Option<SocketAddr> {
        if let Ok(address) = authority.parse() {
            return Some(address);
        }
        let bare = authority.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(authority);
        if let Ok(ip) = bare.parse::<IpAddr>() {
            return Some(SocketAddr::new(ip, 80));
        }
        let (name, port) = match authority.split_once(':') {
            Some((name, port)) => (name, port.parse().ok()?),
            None => (authority, 80),
        };
        name.eq_ignore_ascii_case("localhost").then(|| SocketAddr::new(self.address.ip(), port))
    }

    /// The path that `location`, one without a host, stands for.
    fn resolve(&self, location: &str) -> String {
        let (base, _) = self.path.split_once('?').unwrap_or((&self.path, ""));
        match location {
            "" => self.path.clone(),
            rooted if rooted.starts_with('/') => clean(rooted),
            query if query.starts_with('?') => clean(&format!("{base}{query}")),
            beside => {
                let directory = base.rfind('/').and_then(|slash| base.get(..=slash)).unwrap_or("/");
                clean(&format!("{directory}{beside}"))
            }
        }
    }
}

/// A request path: it begins with a slash and holds nothing that could end the request line.
pub fn rooted(path: &str) -> String {
    let path = clean(path);
    if path.starts_with('/') { path } else { format!("/{path}") }
}

fn clean(text: &str) -> String {
    text.chars().filter(|c| !c.is_control() && *c != ' ').collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(path: &str) -> Url {
        Url::new("127.0.0.1:8080".parse().expect("an address"), path.to_owned())
    }

    fn http(host: &str, address: &str, path: &str) -> Result<Hop, String> {
        Ok(Hop::Http(Url { address: address.parse().expect("an address"), host: host.into(), path: path.into() }))
    }

    #[test]
    fn locations_lead_where_curl_would_go() {
        let here = "127.0.0.1:8080";
        let cases = [
            ("/login", http(here, here, "/login")),
            ("next?x=1", http(here, here, "/a/next?x=1")),
            ("?y=2", http(here, here, "/a/b?y=2")),
            ("/x#part", http(here, here, "/x")),
            ("//127.0.0.1:9/x", http("127.0.0.1:9", "127.0.0.1:9", "/x")),
            ("http://127.0.0.1:9", http("127.0.0.1:9", "127.0.0.1:9", "/")),
            ("HTTP://10.0.0.1/x", http("10.0.0.1", "10.0.0.1:80", "/x")),
            ("http://[::1]:81?q", http("[::1]:81", "[::1]:81", "/?q")),
            ("http://localhost:82/x", http("localhost:82", "127.0.0.1:82", "/x")),
            ("http://example.com/x", Ok(Hop::Curl("http://example.com/x".into()))),
            ("https://127.0.0.1/x", Ok(Hop::Curl("https://127.0.0.1/x".into()))),
        ];
        for (location, wanted) in cases {
            assert_eq!(from("/a/b?c").follow(location), wanted, "{location}");
        }
    }

    #[test]
    fn files_are_not_followed_and_lines_not_broken() {
        assert!(from("/").follow("file:///etc/passwd").is_err());
        assert!(from("/").follow("gopher://x").is_err());
        assert_eq!(from("/").follow("/a\r\nX: y"), http("127.0.0.1:8080", "127.0.0.1:8080", "/aX:y"));
        assert_eq!(rooted("a b\r\nX: y"), "/abX:y");
    }
}
