//! Where a cluster keeps its masters and its registry, as operators write it: `zk://[user:password@]host:port,…/path`
//! and `http[s]://[user:password@]host:port,…[/path]` or `etcd[s]://…`. A `file://` URL names a file that holds one of
//! these. For TLS, `?ca=FILE&cert=FILE&key=FILE` may follow: whom to trust, and who we are.

use std::fmt;

use stdx::flags::Values;
use transport::client::tls;

/// Which service, at which hosts, below which path.
#[derive(Clone, PartialEq, Eq)]
pub struct Place {
    pub kind: Kind,
    /// `host:port` each, at least one.
    pub hosts: Vec<String>,
    /// Begins with a slash and does not end with one.
    pub path: String,
    pub login: Option<Login>,
    /// Whom to trust and who we are, where connections are encrypted.
    pub tls: tls::Files,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    ZooKeeper,
    Etcd { tls: bool },
}

/// Who we are to the service. Its secret is shown nowhere.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    pub user: String,
    pub secret: String,
}

/// A URL that names no place, and what it should look like.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadUrl(String);

const ZK_PORT: u16 = 2181;
const ETCD_PORT: u16 = 2379;
/// The path of an etcd URL that has none.
const ETCD_PATH: &str = "/mesos";

impl Place {
    /// Whether `text` is meant as the URL of a place, right or wrong, rather than the address of a master.
    pub fn is_meant_by(text: &str) -> bool {
        ["zk://", "etcd://", "etcds://", "file://"].iter().any(|scheme| text.starts_with(scheme))
    }

    /// Reads any of the URLs above.
    pub fn parse(text: &str) -> Result<Place, BadUrl> {
        let text = text.trim();
        if let Some(path) = text.strip_prefix("file://") {
            let content = std::fs::read_to_string(path).map_err(|e| BadUrl(format!("cannot read {path}: {e}")))?;
            if content.trim().starts_with("file://") {
                return Err(BadUrl(format!("{path} names another file; write the zk:// or etcd:// URL into it")));
            }
            return Place::parse(&content);
        }
        let (kind, default_port, rest) = match text.split_once("://") {
            Some(("zk", rest)) => (Kind::ZooKeeper, ZK_PORT, rest),
            Some(("http" | "etcd", rest)) => (Kind::Etcd { tls: false }, ETCD_PORT, rest),
            Some(("https" | "etcds", rest)) => (Kind::Etcd { tls: true }, ETCD_PORT, rest),
            // The text may hold a secret, so it is not repeated.
            _ => {
                return Err(BadUrl(
                    "this is no URL of a store: write zk://host:port,host:port/path or etcd://host:port,host:port/path"
                        .into(),
                ));
            }
        };
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (servers, path) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        let (login, servers) = match servers.rsplit_once('@') {
            Some((login, servers)) => (Some(login_of(login)?), servers),
            None => (None, servers),
        };
        let hosts = servers.split(',').filter(|host| !host.is_empty());
        let hosts = hosts.map(|host| authority(host, default_port)).collect::<Result<Vec<_>, _>>()?;
        if hosts.is_empty() {
            return Err(BadUrl("the URL names no host; write host:port,host:port after the ://".into()));
        }
        Ok(Place { kind, hosts, path: path_of(kind, path)?, login, tls: tls_of(kind, query)? })
    }

    /// Reads the URL in a server's flag. The files for TLS that other flags name count where the URL names none.
    pub fn parse_flag(values: &Values, text: &str) -> Result<Place, BadUrl> {
        let mut place = Place::parse(text)?;
        let shown = place.to_string();
        let slots = [&mut place.tls.ca, &mut place.tls.cert, &mut place.tls.key];
        for (name, slot) in ["etcd_ca_file", "etcd_cert_file", "etcd_key_file"].into_iter().zip(slots) {
            let file = values.path(name);
            if file.is_some() && place.kind != (Kind::Etcd { tls: true }) {
                return Err(BadUrl(format!("--{name} is for TLS, and {shown} is without it; write etcds://")));
            }
            *slot = slot.take().or(file);
        }
        Ok(place)
    }
}

/// How the place reads without its secret.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.kind {
            Kind::ZooKeeper => "zk",
            Kind::Etcd { tls: false } => "etcd",
            Kind::Etcd { tls: true } => "etcds",
        };
        write!(f, "{scheme}://{}{}", self.hosts.join(","), self.path)
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:***", self.user)
    }
}

fn login_of(text: &str) -> Result<Login, BadUrl> {
    match text.split_once(':') {
        Some((user, secret)) if !user.is_empty() => Ok(Login { user: user.to_owned(), secret: secret.to_owned() }),
        _ => Err(BadUrl("what stands before the @ is not user:password".into())),
    }
}

fn authority(host: &str, default_port: u16) -> Result<String, BadUrl> {
    let wrong = || BadUrl(format!("'{host}' is not host:port"));
    if host.contains(|c: char| c.is_whitespace() || c.is_control() || matches!(c, '?' | '#' | '/')) {
        return Err(wrong());
    }
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if name.starts_with('[') == name.ends_with(']') => {
            (name, port.parse().map_err(|_| wrong())?)
        }
        _ => (host, default_port),
    };
    let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
    if name.is_empty() || (bare.is_none() && name.contains([':', '[', ']'])) {
        return Err(wrong());
    }
    Ok(format!("{name}:{port}"))
}

fn tls_of(kind: Kind, query: &str) -> Result<tls::Files, BadUrl> {
    let mut files = tls::Files::default();
    for part in query.split('&').filter(|part| !part.is_empty()) {
        let slot = match (kind, part.split_once('=')) {
            (Kind::Etcd { tls: true }, Some(("ca", file))) => (&mut files.ca, file),
            (Kind::Etcd { tls: true }, Some(("cert", file))) => (&mut files.cert, file),
            (Kind::Etcd { tls: true }, Some(("key", file))) => (&mut files.key, file),
            _ => {
                return Err(BadUrl(
                    "after the path of an https:// or etcds:// URL may come ?ca=FILE&cert=FILE&key=FILE, and nothing else".into(),
                ));
            }
        };
        *slot.0 = Some(slot.1.into());
    }
    Ok(files)
}

fn path_of(kind: Kind, path: &str) -> Result<String, BadUrl> {
    let path = path.trim_end_matches('/');
    if path.is_empty() {
        return match kind {
            Kind::Etcd { .. } => Ok(ETCD_PATH.to_owned()),
            Kind::ZooKeeper => Err(BadUrl("the URL names no path; write zk://host:port/path, such as /mesos".into())),
        };
    }
    let odd = |part: &str| part.is_empty() || part == "." || part == ".." || part.contains(char::is_control);
    if path.split('/').skip(1).any(odd) {
        return Err(BadUrl(format!("'{path}' is no path; write /name or /name/name")));
    }
    Ok(path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_in_every_dress() {
        for (text, expected) in [
            ("zk://a:2181/mesos", "zk://a:2181/mesos"),
            ("zk://u:p@a,b:99/x/y/", "zk://a:2181,b:99/x/y"),
            ("zk://[::1]:2181/m", "zk://[::1]:2181/m"),
            ("etcd://a", "etcd://a:2379/mesos"),
            ("https://u:p:q@a:1/z", "etcds://a:1/z"),
            ("http://127.0.0.1:2379,127.0.0.1:2380", "etcd://127.0.0.1:2379,127.0.0.1:2380/mesos"),
        ] {
            assert_eq!(Place::parse(text).unwrap().to_string(), expected);
        }
        let files = Place::parse("https://a/m?ca=/ca.pem&key=/k.pem").unwrap().tls;
        assert_eq!((files.ca, files.cert, files.key), (Some("/ca.pem".into()), None, Some("/k.pem".into())));
        let login = Place::parse("zk://u:p:q@a/m").unwrap().login.unwrap();
        assert_eq!((login.user.as_str(), login.secret.as_str()), ("u", "p:q"));
    }

    #[test]
    fn mistakes_are_told_without_the_secret() {
        for (text, expected) in [
            ("zk://a:2181", "names no path"),
            ("zk:///mesos", "names no host"),
            ("zk://a:x/mesos", "'a:x' is not host:port"),
            ("zk://secret@a/mesos", "user:password"),
            ("zk://a//b", "is no path"),
            ("zk://a/b?ca=/x", "https://"),
            ("https://a/b?cap=/x", "?ca=FILE"),
            ("a:5050", "write zk://"),
            ("file:///nowhere/at/all", "cannot read /nowhere/at/all"),
        ] {
            let why = Place::parse(text).unwrap_err().to_string();
            assert!(why.contains(expected) && !why.contains("secret@"), "{text}: {why}");
        }
        let place = Place::parse("zk://me:hush@a/mesos").unwrap();
        assert!(!format!("{place} {place:?} {:?}", place.login).contains("hush"));
    }

    #[test]
    fn a_file_holds_the_url() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "zk://u:p@a/m\n").unwrap();
        assert_eq!(Place::parse(&format!("file://{}", file.path().display())).unwrap().to_string(), "zk://a:2181/m");
    }
}
