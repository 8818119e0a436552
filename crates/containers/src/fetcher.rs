//! Bringing URIs into a sandbox: paths, `file://`, `http://` and `https://`; then unpacking (`archive`) or making
//! executable. Blocks, so it runs on a thread of its own. Ownership of the result is the caller's business.

mod archive;
mod download;

pub use download::Client;

use crate::{FetcherConfig, Uri};
use std::{
    fs::{self, File, OpenOptions, Permissions},
    io::{self, Read, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Component, Path, PathBuf},
};

#[derive(Debug)]
pub struct Failure {
    pub uri: String,
    pub why: String,
}

/// Fetches one URI after the other into `sandbox`; stops at the first failure, or when `cancelled`. Whoever cancels also
/// cancels the client, which may be waiting for a server.
pub fn fetch_all(
    config: &FetcherConfig,
    client: &Client,
    uris: &[Uri],
    sandbox: &Path,
    cancelled: &dyn Fn() -> bool,
) -> Result<(), Failure> {
    for uri in uris {
        Fetch { config, client, uri, sandbox, cancelled }
            .run()
            .map_err(|why| Failure { uri: uri.value.clone(), why })?;
    }
    Ok(())
}

struct Fetch<'a> {
    config: &'a FetcherConfig,
    client: &'a Client,
    uri: &'a Uri,
    sandbox: &'a Path,
    cancelled: &'a dyn Fn() -> bool,
}

impl Fetch<'_> {
    fn run(&self) -> Result<(), String> {
        let value = self.uri.value.trim();
        let name = self.target_name(value)?;
        let target = self.sandbox.join(&name);
        if let Some(parent) = name.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            make_inside(self.sandbox, parent).map_err(|error| format!("cannot make a directory for it: {error}"))?;
        }

        match scheme_of(value) {
            Some(("file", path)) => self.copy(&local_path(path)?, &target)?,
            None if value.starts_with('/') => self.copy(Path::new(value), &target)?,
            None => match &self.config.frameworks_home {
                Some(home) => self.copy(&home.join(value), &target)?,
                None => return Err("a relative path needs the agent's flag --frameworks_home".to_owned()),
            },
            Some(("http" | "https", _)) => self.download(value, &target)?,
            Some((other, _)) => {
                return Err(format!("the scheme '{other}' is not supported; use a path, file://, http:// or https://"));
            }
        }

        if self.uri.executable {
            let mode = fs::metadata(&target).map_err(|error| error.to_string())?.permissions().mode();
            fs::set_permissions(&target, Permissions::from_mode(mode | 0o111))
                .map_err(|error| format!("cannot make it executable: {error}"))?;
        } else if self.uri.extract
            && let Some(kind) = archive::Kind::of(&name)
        {
            archive::unpack(kind, &target, self.sandbox, self.config.max_bytes, self.cancelled)
                .map_err(|why| format!("cannot unpack it: {why}"))?;
        }
        Ok(())
    }

    /// Where in the sandbox it goes.
    fn target_name(&self, value: &str) -> Result<PathBuf, String> {
        if let Some(name) = self.uri.output_file.as_deref().filter(|name| !name.is_empty()) {
            let path = Path::new(name);
            return if path.components().all(|part| matches!(part, Component::Normal(_))) {
                Ok(path.to_owned())
            } else {
                Err(format!("the output file '{name}' does not stay inside the sandbox"))
            };
        }
        let path = match scheme_of(value) {
            Some(("file", path)) => path,
            Some((_, rest)) => {
                let path = rest.split(['?', '#']).next().unwrap_or("");
                path.split_once('/').map_or("", |(_, path)| path)
            }
            None => value,
        };
        match path.trim_end_matches('/').rsplit('/').next() {
            Some(name) if !matches!(name, "" | "." | "..") && !name.contains('\0') => Ok(PathBuf::from(name)),
            _ => Err("it names no file; give an output_file".to_owned()),
        }
    }

    fn copy(&self, from: &Path, to: &Path) -> Result<(), String> {
        let metadata = fs::metadata(from).map_err(|error| format!("cannot read '{}': {error}", from.display()))?;
        if !metadata.is_file() {
            return Err(format!("'{}' is not a regular file", from.display()));
        }
        let mut source = File::open(from).map_err(|error| format!("cannot read '{}': {error}", from.display()))?;
        let mut target = create(to, metadata.permissions().mode() & 0o755).map_err(|error| error.to_string())?;
        self.pour(&mut source, &mut target)
    }

    fn download(&self, url: &str, to: &Path) -> Result<(), String> {
        let mut body = self.client.open(url)?;
        let mut target = create(to, 0o644).map_err(|error| error.to_string())?;
        self.pour(&mut body, &mut target)
    }

    fn pour(&self, from: &mut dyn Read, to: &mut dyn Write) -> Result<(), String> {
        let mut buffer = vec![0; 256 << 10];
        let mut total = 0u64;
        loop {
            if (self.cancelled)() {
                return Err("the container was destroyed".to_owned());
            }
            let length = match from.read(&mut buffer) {
                Ok(0) => return to.flush().map_err(|error| format!("cannot write it: {error}")),
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(self.client.explain(&error)),
            };
            total += length as u64;
            if total > self.config.max_bytes {
                return Err(format!("it is larger than the {} bytes allowed", self.config.max_bytes));
            }
            let piece = buffer.get(..length).unwrap_or_default();
            to.write_all(piece).map_err(|error| format!("cannot write it: {error}"))?;
        }
    }
}

/// A scheme and what follows `://`; the scheme in lower case is compared as written, as Mesos does.
fn scheme_of(value: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = value.split_once("://")?;
    (!scheme.is_empty() && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte)))
        .then_some((scheme, rest))
}

/// `file://` may name this host.
fn local_path(rest: &str) -> Result<PathBuf, String> {
    let path = rest.strip_prefix("localhost").unwrap_or(rest);
    if path.starts_with('/') { Ok(path.into()) } else { Err("a file:// URI needs an absolute path".to_owned()) }
}

/// Writes anew; a link in the way is replaced, not followed.
fn create(path: &Path, mode: u32) -> io::Result<File> {
    if let Err(error) = fs::remove_file(path)
        && error.kind() != io::ErrorKind::NotFound
    {
        return Err(error);
    }
    OpenOptions::new().write(true).create_new(true).mode(mode).open(path)
}

/// Makes `relative` below `root`, one plain directory after the other: a link among them is an error.
fn make_inside(root: &Path, relative: &Path) -> io::Result<PathBuf> {
    let mut path = root.to_owned();
    for part in relative.components() {
        let Component::Normal(part) = part else { return Err(io::ErrorKind::InvalidInput.into()) };
        path.push(part);
        match fs::symlink_metadata(&path) {
            Ok(metadata) if metadata.is_dir() => {}
            Ok(_) => return Err(io::Error::other(format!("'{}' is in the way", path.display()))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => fs::create_dir(&path)?,
            Err(error) => return Err(error),
        }
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{io::BufRead, net::TcpListener, sync::atomic::AtomicBool, thread};

    fn fetch(uris: &[Uri], sandbox: &Path) -> Result<(), Failure> {
        fetch_with(&FetcherConfig::default(), uris, sandbox, &|| false)
    }

    fn fetch_with(
        config: &FetcherConfig,
        uris: &[Uri],
        sandbox: &Path,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<(), Failure> {
        fetch_all(config, &Client::new(config.stall_timeout), uris, sandbox, cancelled)
    }

    fn uri(value: impl Into<String>) -> Uri {
        Uri { value: value.into(), extract: true, ..Uri::default() }
    }

    /// Answers one connection after the other with what `answer` makes of the request's first line.
    fn serve(
        answer: impl Fn(&str) -> Vec<u8> + Send + 'static,
        connections: usize,
    ) -> (String, thread::JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = thread::spawn(move || {
            for _ in 0..connections {
                let (mut stream, _) = listener.accept().unwrap();
                let mut lines = io::BufReader::new(stream.try_clone().unwrap()).lines();
                let first = lines.next().unwrap().unwrap();
                while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
                let _ = stream.write_all(&answer(&first));
            }
        });
        (format!("http://{address}"), server)
    }

    fn ok(body: &[u8]) -> Vec<u8> {
        let mut out =
            format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len()).into_bytes();
        out.extend_from_slice(body);
        out
    }

    #[test]
    fn paths_and_file_uris_are_copied() {
        let (source, sandbox) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let file = source.path().join("tool.sh");
        fs::write(&file, "content").unwrap();
        let plain = uri(file.to_str().unwrap());
        let named =
            Uri { executable: true, output_file: Some("bin/tool".into()), ..uri(format!("file://{}", file.display())) };
        fetch(&[plain, named], sandbox.path()).unwrap();
        assert_eq!(fs::read(sandbox.path().join("tool.sh")).unwrap(), b"content");
        let mode = fs::metadata(sandbox.path().join("bin/tool")).unwrap().permissions().mode();
        assert_eq!(mode & 0o111, 0o111);
    }

    #[test]
    fn http_is_followed_through_redirects_and_errors_name_the_status() {
        let sandbox = tempfile::tempdir().unwrap();
        let answer = |first: &str| match first.split(' ').nth(1) {
            Some("/moved") => {
                b"HTTP/1.1 302 Found\r\nLocation: /there\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_vec()
            }
            Some("/there") | Some("/dir/x.txt?token=1") => ok(b"hello"),
            _ => b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_vec(),
        };
        let (base, server) = serve(answer, 4);
        fetch(&[uri(format!("{base}/moved")), uri(format!("{base}/dir/x.txt?token=1"))], sandbox.path()).unwrap();
        assert_eq!(fs::read(sandbox.path().join("moved")).unwrap(), b"hello");
        assert_eq!(fs::read(sandbox.path().join("x.txt")).unwrap(), b"hello");
        let failure = fetch(&[uri(format!("{base}/absent"))], sandbox.path()).unwrap_err();
        assert!(failure.uri.ends_with("/absent") && failure.why.contains("404"), "{failure:?}");
        server.join().unwrap();
    }

    #[test]
    fn a_download_is_bounded_and_can_be_cancelled() {
        let sandbox = tempfile::tempdir().unwrap();
        let (base, server) = serve(|_| ok(&[7; 4096]), 2);
        let small = FetcherConfig { max_bytes: 100, ..FetcherConfig::default() };
        let failure = fetch_with(&small, &[uri(format!("{base}/big"))], sandbox.path(), &|| false).unwrap_err();
        assert!(failure.why.contains("larger than the 100 bytes"), "{failure:?}");
        let stop = AtomicBool::new(true);
        let cancelled = || stop.load(std::sync::atomic::Ordering::Relaxed);
        let failure = fetch_with(&FetcherConfig::default(), &[uri(format!("{base}/big"))], sandbox.path(), &cancelled);
        assert!(failure.unwrap_err().why.contains("destroyed"));
        server.join().unwrap();
    }

    #[test]
    fn a_server_that_falls_silent_is_given_up() {
        let sandbox = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/x", listener.local_addr().unwrap());
        let config = FetcherConfig { stall_timeout: std::time::Duration::from_millis(200), ..FetcherConfig::default() };
        let failure = fetch_with(&config, &[uri(url)], sandbox.path(), &|| false).unwrap_err();
        assert!(failure.why.contains("no byte"), "{failure:?}");
    }

    #[test]
    fn what_cannot_be_fetched_is_refused_with_the_reason() {
        let sandbox = tempfile::tempdir().unwrap();
        let why = |uri: Uri| fetch(&[uri], sandbox.path()).unwrap_err().why;
        assert!(why(uri("hdfs://x/y")).contains("'hdfs' is not supported"));
        assert!(why(uri("relative/path")).contains("--frameworks_home"));
        assert!(why(uri("/nonexistent/file")).contains("/nonexistent/file"));
        assert!(why(uri("http://host/")).contains("names no file"));
        assert!(why(uri("/etc")).contains("not a regular file"));
        for outside in ["../x", "/etc/x", "a/../../x"] {
            let uri = Uri { output_file: Some(outside.into()), ..uri("/etc/hostname") };
            assert!(why(uri).contains("inside the sandbox"), "{outside}");
        }
    }

    #[test]
    fn a_link_in_the_sandbox_is_not_written_through() {
        let (sandbox, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let victim = elsewhere.path().join("victim");
        fs::write(&victim, "safe").unwrap();
        std::os::unix::fs::symlink(&victim, sandbox.path().join("hostname")).unwrap();
        std::os::unix::fs::symlink(elsewhere.path(), sandbox.path().join("dir")).unwrap();
        let source = elsewhere.path().join("source");
        fs::write(&source, "evil").unwrap();
        let source = source.to_str().unwrap();
        fetch(&[Uri { output_file: Some("hostname".into()), ..uri(source) }], sandbox.path()).unwrap();
        assert_eq!(fs::read(&victim).unwrap(), b"safe");
        assert!(fetch(&[Uri { output_file: Some("dir/victim".into()), ..uri(source) }], sandbox.path()).is_err());
        assert_eq!(fs::read(&victim).unwrap(), b"safe");
    }
}
