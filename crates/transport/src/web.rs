//! What web pages may have a browser ask of us. A browser sends what any page it shows asks for, from inside the
//! network and to this machine itself, so a server that knows its clients by their address alone needs to tell pages of
//! its own from others:
//!
//! - A `Host` that is no name of this server is a name of somebody else's that was made to lead here (DNS rebinding).
//! - What may change something is refused when `Origin`, `Sec-Fetch-Site` or `Referer` name another site.
//! - A document as a script (`?jsonp=`) can be read by whatever page includes it, so it is for pages of this server.
//!
//! Clients that are no browsers send none of these headers but `Host`, and libprocess leaves that one empty.

use std::{collections::BTreeSet, net::IpAddr, str::FromStr};

use hyper::{
    HeaderMap, Method, Uri,
    header::{ACCEPT_LANGUAGE, HOST, HeaderName, ORIGIN, REFERER, USER_AGENT},
};

use crate::{refuse, response::Response};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
pub(crate) const CONTENT_TYPE_OPTIONS: HeaderName = HeaderName::from_static("x-content-type-options");
pub(crate) const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// Whom a server takes for a page of its own. The default knows addresses and `localhost` only.
#[derive(Clone, Debug, Default)]
pub struct WebPolicy {
    /// Lower-case names beside addresses and `localhost`. One that begins with a dot means all names below it.
    hosts: BTreeSet<String>,
    any_host: bool,
    /// Lower-case origins, `https://ui.example.com`, whose pages may call as our own do.
    origins: BTreeSet<String>,
    any_origin: bool,
    cross_site_jsonp: bool,
}

/// A name or origin that cannot be one, in words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    #[error("'{0}' is not a host name; give names without a port, .example.com for all below one, or * for any")]
    Host(String),
    #[error("'{0}' is not an origin; give scheme and host, as in https://ui.example.com, or * for any")]
    Origin(String),
}

impl WebPolicy {
    /// Adds names of this server, separated by commas.
    pub fn allow_hosts(mut self, list: &str) -> Result<WebPolicy, PolicyError> {
        for name in list.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
            match name {
                "*" => self.any_host = true,
                _ if name.chars().all(is_name) && name != "." => drop(self.hosts.insert(normal(name))),
                _ => return Err(PolicyError::Host(name.to_owned())),
            }
        }
        Ok(self)
    }

    /// Adds origins of other pages that may call, separated by commas.
    pub fn allow_origins(mut self, list: &str) -> Result<WebPolicy, PolicyError> {
        for origin in list.split(',').map(str::trim).filter(|origin| !origin.is_empty()) {
            let sound = |origin: &str| authority_of(origin).is_some_and(|host| !host.is_empty() && !host.contains('/'));
            match origin {
                "*" => self.any_origin = true,
                _ if sound(origin) => drop(self.origins.insert(origin.to_ascii_lowercase())),
                _ => return Err(PolicyError::Origin(origin.to_owned())),
            }
        }
        Ok(self)
    }

    /// Lets pages of any site include documents as scripts.
    pub fn open_jsonp(mut self, open: bool) -> WebPolicy {
        self.cross_site_jsonp = open;
        self
    }

    /// The answer to a request that a foreign page may have made.
    pub(crate) fn check(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<(), Response> {
        let host = self.check_host(uri, headers)?;
        let changes = !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS);
        if changes && let Some(site) = self.foreign_site(&host, headers) {
            return Err(refuse::forbidden(format!(
                "This request comes from a web page of another site ({site}). If that page may call this server, add \
                 its origin with --allowed_origins"
            )));
        }
        if !self.cross_site_jsonp
            && wants_script(uri)
            && (self.foreign_site(&host, headers).is_some() || is_browser_that_hides(headers))
        {
            return Err(refuse::forbidden(
                "A web page of another site may not read this as a script; --cross_site_jsonp would let it",
            ));
        }
        Ok(())
    }

    /// Whether a document that was asked for as a script is for pages of this server only.
    pub(crate) fn keeps_script(&self, uri: &Uri) -> bool {
        !self.cross_site_jsonp && wants_script(uri)
    }

    /// The authority that the request is for, if it is a name of ours or none at all.
    fn check_host(&self, uri: &Uri, headers: &HeaderMap) -> Result<String, Response> {
        let mut last = String::new();
        let given = headers.get_all(HOST).iter().map(|value| value.to_str().unwrap_or("\u{fffd}"));
        for authority in given.chain(uri.authority().map(|authority| authority.as_str())) {
            if !self.is_ours(authority) {
                let shown: String = authority.chars().take(253).collect();
                return Err(refuse::forbidden(format!(
                    "'{shown}' is not a name of this server. Use its address, or add the name with --allowed_hosts"
                )));
            }
            last = authority.to_ascii_lowercase();
        }
        Ok(last)
    }

    fn is_ours(&self, authority: &str) -> bool {
        let authority = authority.trim();
        if self.any_host || authority.is_empty() {
            return true;
        }
        let Some(host) = host_of(authority) else { return false };
        let name = normal(host);
        let below = || self.hosts.iter().any(|known| known.starts_with('.') && name.ends_with(known.as_str()));
        is_address(host) || name == "localhost" || self.hosts.contains(&name) || below()
    }

    /// The site that a request comes from, if a browser says that it is not ours.
    fn foreign_site(&self, host: &str, headers: &HeaderMap) -> Option<String> {
        if let Some(origin) = headers.get_all(ORIGIN).iter().next_back() {
            let origin = origin.to_str().unwrap_or("null").to_ascii_lowercase();
            let allowed = self.any_origin || self.origins.contains(&origin);
            let same = authority_of(&origin).is_some_and(|from| same_authority(from, host));
            return (!allowed && !same).then_some(origin);
        }
        let site = headers.get(SEC_FETCH_SITE).map(|site| site.to_str().unwrap_or("cross-site"));
        match site {
            Some("same-origin" | "none") => None,
            Some(site) => (!self.any_origin).then(|| site.chars().take(32).collect()),
            None => {
                let referer = headers.get(REFERER)?.to_str().unwrap_or_default().to_ascii_lowercase();
                let (scheme, rest) = referer.split_once("://").unwrap_or(("", &referer));
                let from = rest.split(['/', '?', '#']).next().unwrap_or_default();
                let origin = format!("{scheme}://{from}");
                let allowed = self.any_origin || self.origins.contains(&origin) || same_authority(from, host);
                (!allowed).then_some(origin)
            }
        }
    }
}

/// Whether a browser made the request, as far as it says so: for what a GET may change, where nothing else tells pages
/// apart.
pub fn is_from_browser(headers: &HeaderMap) -> bool {
    [ORIGIN, REFERER, SEC_FETCH_SITE, ACCEPT_LANGUAGE].iter().any(|name| headers.contains_key(name))
        || headers.get(USER_AGENT).is_some_and(|agent| agent.as_bytes().starts_with(b"Mozilla/"))
}

/// A browser that says neither where its page is nor whether it is ours.
fn is_browser_that_hides(headers: &HeaderMap) -> bool {
    is_from_browser(headers) && ![ORIGIN, REFERER, SEC_FETCH_SITE].iter().any(|name| headers.contains_key(name))
}

fn wants_script(uri: &Uri) -> bool {
    let Some(query) = uri.query() else { return false };
    query.split(['&', ';']).any(|pair| {
        let name = pair.split('=').next().unwrap_or_default();
        crate::request::percent_decode(name) == "jsonp"
    })
}

/// `host:port` of `scheme://host:port`.
fn authority_of(origin: &str) -> Option<&str> {
    origin.split_once("://").map(|(_, authority)| authority)
}

/// The default port of either scheme may be left out: what stands in front of us may have another one than we.
fn same_authority(one: &str, other: &str) -> bool {
    let bare = |text: &str| normal(text.strip_suffix(":80").or(text.strip_suffix(":443")).unwrap_or(text));
    !one.is_empty() && bare(one) == bare(other)
}

/// The host of `host:port`, an IPv6 address without its brackets; `None` for what no browser sends.
fn host_of(authority: &str) -> Option<&str> {
    let is_port = |port: &str| port.is_empty() || port.parse::<u16>().is_ok();
    if let Some(rest) = authority.strip_prefix('[') {
        let (host, port) = rest.split_once(']')?;
        return (port.is_empty() || port.strip_prefix(':').is_some_and(is_port)).then_some(host);
    }
    match authority.split_once(':') {
        Some((host, port)) => is_port(port).then_some(host),
        None => Some(authority),
    }
}

fn is_address(host: &str) -> bool {
    // A zone may follow the address of a link.
    let bare = host.split_once('%').map_or(host, |(address, _)| address);
    IpAddr::from_str(bare).is_ok()
}

/// Names differ neither by case nor by the dot at their end.
fn normal(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(policy: &WebPolicy, method: &Method, path: &str, pairs: &[(&str, &str)]) -> bool {
        let headers: HeaderMap =
            pairs.iter().map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap())).collect();
        policy.check(method, &path.parse().unwrap(), &headers).is_ok()
    }

    #[test]
    fn only_names_of_this_server_are_answered() {
        let plain = WebPolicy::default();
        let named = WebPolicy::default().allow_hosts("master1.example.com, .Mesos.example").unwrap();
        let host = |policy: &WebPolicy, name: &str| ask(policy, &Method::GET, "/state", &[("host", name)]);
        for ours in
            ["", "127.0.0.1", "10.0.0.7:5050", "[::1]:5050", "[fe80::1%25eth0]:1", "localhost:5050", "LOCALHOST."]
        {
            assert!(host(&plain, ours), "{ours}");
        }
        for others in ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:5050", "[x]", "a:b", "1.2.3"] {
            assert!(!host(&plain, others) && !host(&named, others), "{others}");
        }
        for name in ["master1.example.com:5050", "MASTER1.example.com.", "a.mesos.example", "b.a.mesos.example:1"] {
            assert!(!host(&plain, name) && host(&named, name), "{name}");
        }
        assert!(!host(&named, "mesos.example") && !host(&named, "evilmesos.example"));
        assert!(host(&WebPolicy::default().allow_hosts("*").unwrap(), "evil.example"));
        assert!(!ask(&plain, &Method::GET, "http://evil.example/state", &[("host", "127.0.0.1")]));
        assert!(!ask(&plain, &Method::GET, "/state", &[("host", "127.0.0.1"), ("host", "evil.example")]));
        assert!(ask(&plain, &Method::GET, "/state", &[]));
        for wrong in ["a b", "a:5050", "http://a", "."] {
            assert!(WebPolicy::default().allow_hosts(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn foreign_pages_change_nothing() {
        let policy = WebPolicy::default().allow_origins("https://ui.example.com").unwrap();
        let allowed = |method: &Method, pairs: &[(&str, &str)]| {
            let host = [("host", "10.0.0.7:5050")];
            ask(&policy, method, "/teardown", &[&host[..], pairs].concat())
        };
        for foreign in [
            &[("origin", "http://evil.example")][..],
            &[("origin", "null")],
            &[("origin", "http://10.0.0.7:8080")],
            &[("origin", "http://10.0.0.7")],
            &[("origin", "http://evil.example"), ("sec-fetch-site", "same-origin")],
            &[("sec-fetch-site", "cross-site")],
            &[("sec-fetch-site", "same-site")],
            &[("referer", "http://evil.example/10.0.0.7:5050/")],
            &[("referer", "about:client")],
        ] {
            for method in [&Method::POST, &Method::PUT, &Method::DELETE, &Method::PATCH] {
                assert!(!allowed(method, foreign), "{method} {foreign:?}");
            }
            assert!(allowed(&Method::GET, foreign), "{foreign:?}");
        }
        for own in [
            &[][..],
            &[("origin", "http://10.0.0.7:5050")],
            &[("origin", "https://10.0.0.7:5050"), ("sec-fetch-site", "same-origin")],
            &[("origin", "https://UI.example.com"), ("sec-fetch-site", "cross-site")],
            &[("sec-fetch-site", "same-origin")],
            &[("sec-fetch-site", "none")],
            &[("referer", "http://10.0.0.7:5050/ui")],
            &[("referer", "https://ui.example.com/a")],
            &[("user-agent", "libprocess/scheduler-1@10.0.0.9:1")],
            &[("user-agent", "python-requests/2.31")],
        ] {
            assert!(allowed(&Method::POST, own), "{own:?}");
        }
        assert!(ask(&policy, &Method::POST, "/x", &[("host", "10.0.0.7"), ("origin", "http://10.0.0.7:80")]));
        for wrong in ["ui.example.com", "https://", "https://a/b"] {
            assert!(WebPolicy::default().allow_origins(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn scripts_are_for_pages_of_this_server() {
        const FIREFOX: (&str, &str) = ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0)");
        let read = |policy: &WebPolicy, path: &str, pairs: &[(&str, &str)]| {
            let host = [("host", "10.0.0.7:5050")];
            ask(policy, &Method::GET, path, &[&host[..], pairs].concat())
        };
        let (closed, open) = (WebPolicy::default(), WebPolicy::default().open_jsonp(true));
        for foreign in [
            &[FIREFOX][..],
            &[("accept-language", "en")],
            &[FIREFOX, ("referer", "http://evil.example/")],
            &[FIREFOX, ("sec-fetch-site", "cross-site"), ("sec-fetch-dest", "script")],
            &[FIREFOX, ("sec-fetch-site", "same-site")],
        ] {
            for path in ["/state?jsonp=x", "/state?a=b&json%70=x", "/state?jsonp"] {
                assert!(!read(&closed, path, foreign), "{path} {foreign:?}");
                assert!(read(&open, path, foreign), "{path} {foreign:?}");
            }
            assert!(read(&closed, "/state", foreign), "{foreign:?}");
        }
        for own in [
            &[][..],
            &[("user-agent", "curl/8.0")],
            &[FIREFOX, ("referer", "http://10.0.0.7:5050/")],
            &[FIREFOX, ("sec-fetch-site", "same-origin")],
        ] {
            assert!(read(&closed, "/state?jsonp=x", own), "{own:?}");
        }
        assert!(closed.keeps_script(&"/state?jsonp=x".parse().unwrap()));
        assert!(!open.keeps_script(&"/state?jsonp=x".parse().unwrap()));
    }
}
