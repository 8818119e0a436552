//! Bringing URIs into a sandbox: paths, `file://`, `http://` and `https://`; then unpacking (`archive`) or making
//! executable. Each container's fetch has a thread of its own, which has the rights of the container's user while it
//! opens files of the host (`source`) and writes (`place`), and nobody else waits for it. What several containers want
//! is downloaded once (`cache`).

mod archive;
mod budget;
mod cache;
mod download;
mod place;
mod source;

use crate::{FetcherConfig, SetupError, Uri, record::UserIds};
use budget::{Bound, Budget};
use cache::{Cache, Cached, Key};
use download::{Client, Download};
use kernel::{credentials, tree_use::free_bytes};
use place::Place;
use std::{
    fs::{File, Permissions},
    io::{self, Read, Write},
    os::{
        fd::OwnedFd,
        unix::fs::{MetadataExt, PermissionsExt},
    },
    path::{Component, Path, PathBuf},
    sync::Arc,
    thread,
    time::Duration,
};
use tokio::{sync::oneshot, time::timeout};

/// What a thread that fetches needs besides its decoders, which are on the heap.
const STACK_BYTES: usize = 512 << 10;
const DOWNLOAD_MODE: u32 = 0o644;
/// How long a fetch that was cancelled is waited for; the file system that it hangs in may never answer.
const CANCEL_PATIENCE: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub struct Failure {
    pub uri: String,
    pub why: String,
}

/// Everything that is fetched for one container.
pub struct Order {
    pub uris: Vec<Uri>,
    /// Whose rights count; `None` for the agent's own.
    pub user: Option<UserIds>,
    /// Belongs to the user already.
    pub sandbox: OwnedFd,
    /// The most bytes that may come into the sandbox, if the container's disk is limited.
    pub bytes_max: Option<u64>,
}

#[derive(Debug)]
pub struct Fetcher {
    config: Arc<FetcherConfig>,
    cache: Option<Arc<Cache>>,
}

impl Fetcher {
    /// Empties the cache of an earlier agent.
    pub fn new(config: &FetcherConfig) -> Result<Fetcher, SetupError> {
        let cache = match &config.cache_dir {
            None => None,
            Some(directory) => Some(Cache::open(directory, config.cache_bytes).map_err(|source| SetupError::Io {
                what: format!("use '{}' as the fetcher's cache", directory.display()),
                source,
            })?),
        };
        Ok(Fetcher { config: Arc::new(config.clone()), cache: cache.map(Arc::new) })
    }

    /// The bytes that the cache may hold and those it holds.
    pub fn cache_bytes(&self) -> (u64, u64) {
        self.cache.as_ref().map_or((0, 0), |cache| (cache.capacity(), cache.used()))
    }

    /// Fetches one URI after the other; stops at the first failure, and as soon as `cancelled` says so, which is asked
    /// again when `cancel` resolves.
    pub async fn run(
        &self,
        order: Order,
        cancelled: impl Fn() -> bool + Send + 'static,
        cancel: impl Future<Output = ()>,
    ) -> io::Result<Result<(), Failure>> {
        let client = Client::new(self.config.stall_timeout);
        let canceller = client.clone();
        let (config, cache) = (self.config.clone(), self.cache.clone());
        let (sender, mut fetched) = oneshot::channel();
        let job = move || {
            let _ = sender.send(fetch(&config, cache.as_ref(), &client, &order, &cancelled));
        };
        thread::Builder::new().name("fetch".to_owned()).stack_size(STACK_BYTES).spawn(job)?;
        let broke_off = |_| io::Error::other("the fetch broke off");
        tokio::select! {
            fetched = &mut fetched => fetched.map_err(broke_off),
            () = cancel => {
                canceller.cancel();
                match timeout(CANCEL_PATIENCE, fetched).await {
                    Ok(fetched) => fetched.map_err(broke_off),
                    Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "the fetch does not end")),
                }
            }
        }
    }
}

/// The whole work of one thread.
fn fetch(
    config: &FetcherConfig,
    cache: Option<&Arc<Cache>>,
    client: &Client,
    order: &Order,
    cancelled: &dyn Fn() -> bool,
) -> Result<(), Failure> {
    let failed = |uri: &Uri| {
        let uri = uri.value.clone();
        move |why| Failure { uri, why }
    };
    // The cache is the agent's: what comes out of it is opened before the agent's rights are given up.
    let cached: Vec<Option<File>> = order
        .uris
        .iter()
        .map(|uri| match cache.filter(|_| uri.cache) {
            Some(cache) => from_cache(config, cache, order, uri, cancelled).map_err(failed(uri)),
            None => Ok(None),
        })
        .collect::<Result<_, _>>()?;
    let Some(first) = order.uris.first() else { return Ok(()) };
    let place = order.sandbox.try_clone().map(Place::new).map_err(|error| error.to_string()).map_err(failed(first))?;
    let budget = Budget::new(bound(config, order), cancelled);
    let all = || {
        for (uri, cached) in order.uris.iter().zip(cached) {
            Fetch { config, client, uri, place: &place, budget: &budget }.run(cached).map_err(failed(uri))?;
        }
        Ok(())
    };
    with_rights_of(order.user.as_ref(), all).map_err(failed(first))?
}

/// The tightest of what limits a fetch. A task must not fill the disk of the machine before it has begun.
fn bound(config: &FetcherConfig, order: &Order) -> Bound {
    let allowed = Bound { bytes: config.bytes_max, why: "that --fetcher_max_size allows" };
    let given = order.bytes_max.map(|bytes| Bound { bytes, why: "of disk that the task was given" });
    let free = free_bytes(&order.sandbox).ok().map(|bytes| Bound { bytes, why: "that are free on the disk" });
    [given, free].into_iter().flatten().fold(allowed, |least, next| if next.bytes < least.bytes { next } else { least })
}

fn with_rights_of<T>(user: Option<&UserIds>, job: impl FnOnce() -> T) -> Result<T, String> {
    let Some(user) = user else { return Ok(job()) };
    credentials::with_rights_of(user.uid, user.gid, &user.groups, job)
        .map_err(|error| format!("cannot take on the rights of user {}: {error}", user.uid))
}

/// What `uri` brings, from the cache, where it may have to be brought first; `None` if the cache has no room for it.
fn from_cache(
    config: &FetcherConfig,
    cache: &Arc<Cache>,
    order: &Order,
    uri: &Uri,
    cancelled: &dyn Fn() -> bool,
) -> Result<Option<File>, String> {
    let source = Source::of(config, uri.value.trim())?;
    let uid = order.user.as_ref().map_or_else(|| credentials::own_ids().0, |user| user.uid);
    let key = Key { uid, uri: uri.value.trim().to_owned() };
    let (user, stall) = (order.user.clone(), config.stall_timeout);
    // Others wait for this download, too: it is not given up with the container that asked first.
    let fill = move |file: &mut cache::Filling| {
        let client = Client::new(stall);
        let mut from = with_rights_of(user.as_ref(), || source.open(&client))??;
        if let Some(length) = from.length {
            file.expect(length)?;
        }
        file.fill(&mut *from.body, &|error| client.explain(error))
    };
    match cache.get(key, fill, cancelled)? {
        Cached::File(file) => Ok(Some(file)),
        Cached::NoRoom => Ok(None),
    }
}

/// Where the bytes of a URI come from.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Source {
    Local(PathBuf),
    Http(String),
}

impl Source {
    fn of(config: &FetcherConfig, value: &str) -> Result<Source, String> {
        match scheme_of(value) {
            Some(("file", path)) => Ok(Source::Local(local_path(path)?)),
            None if value.starts_with('/') => Ok(Source::Local(value.into())),
            None => match &config.frameworks_home {
                Some(home) => Ok(Source::Local(home.join(value))),
                None => Err("a relative path needs the agent's flag --frameworks_home".to_owned()),
            },
            Some(("http" | "https", _)) => Ok(Source::Http(value.to_owned())),
            Some((other, _)) => {
                Err(format!("the scheme '{other}' is not supported; use a path, file://, http:// or https://"))
            }
        }
    }

    fn open(&self, client: &Client) -> Result<Opened, String> {
        match self {
            Source::Http(url) => {
                let Download { body, length } = client.open(url)?;
                Ok(Opened { body, length, mode: DOWNLOAD_MODE })
            }
            Source::Local(path) => {
                let file = source::open(path)?;
                let metadata = file.metadata().map_err(|error| error.to_string())?;
                let (length, mode) = (Some(metadata.len()), metadata.mode() & 0o755);
                Ok(Opened { body: Box::new(file), length, mode })
            }
        }
    }
}

struct Opened {
    body: Box<dyn Read>,
    /// If it is known beforehand.
    length: Option<u64>,
    mode: u32,
}

/// One URI on its way into the sandbox.
struct Fetch<'a> {
    config: &'a FetcherConfig,
    client: &'a Client,
    uri: &'a Uri,
    place: &'a Place,
    budget: &'a Budget<'a>,
}

impl Fetch<'_> {
    fn run(&self, cached: Option<File>) -> Result<(), String> {
        let value = self.uri.value.trim();
        let name = self.target_name(value)?;
        let kind = archive::Kind::of(&name).filter(|_| self.uri.extract && !self.uri.executable);
        let unpack = |kind, file| {
            archive::unpack(kind, &name, file, self.place, self.budget)
                .map_err(|why| format!("cannot unpack it: {why}"))
        };
        if let Some(mut file) = cached {
            return match kind {
                // It is unpacked from where it lies.
                Some(kind) => unpack(kind, file),
                None => self.write(&name, DOWNLOAD_MODE, &mut file),
            };
        }

        let mut from = Source::of(self.config, value)?.open(self.client)?;
        self.write(&name, from.mode, &mut *from.body)?;
        if let Some(kind) = kind {
            let file = self.place.open(&name).map_err(|error| error.to_string())?;
            unpack(kind, file)?;
        }
        Ok(())
    }

    fn write(&self, name: &Path, mode: u32, from: &mut dyn Read) -> Result<(), String> {
        let cannot = |error: io::Error| format!("cannot write it: {error}");
        let mut file = self.place.create(name, mode).map_err(cannot)?;
        self.budget.copy(from, &mut file, &|error| self.client.explain(error))?;
        file.flush().map_err(cannot)?;
        if self.uri.executable {
            let mode = file.metadata().map_err(cannot)?.mode();
            file.set_permissions(Permissions::from_mode(mode & 0o777 | 0o111))
                .map_err(|error| format!("cannot make it executable: {error}"))?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        fs,
        io::BufRead,
        net::TcpListener,
        sync::atomic::{AtomicBool, AtomicU32, Ordering},
    };

    fn fetch(uris: &[Uri], sandbox: &Path) -> Result<(), Failure> {
        fetch_with(FetcherConfig::default(), uris, sandbox, || false)
    }

    fn fetch_with(
        config: FetcherConfig,
        uris: &[Uri],
        sandbox: &Path,
        cancelled: impl Fn() -> bool + Send + 'static,
    ) -> Result<(), Failure> {
        run(&Fetcher::new(&config).unwrap(), uris, None, sandbox, cancelled)
    }

    fn run(
        fetcher: &Fetcher,
        uris: &[Uri],
        user: Option<UserIds>,
        sandbox: &Path,
        cancelled: impl Fn() -> bool + Send + 'static,
    ) -> Result<(), Failure> {
        let sandbox = kernel::files::open_directory(sandbox).unwrap();
        let order = Order { uris: uris.to_vec(), user, sandbox, bytes_max: None };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(fetcher.run(order, cancelled, std::future::pending())).unwrap()
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

    /// Each fetch has a thread of its own: none waits for others to end.
    #[test]
    fn slow_downloads_keep_nobody_waiting() {
        const SLOW: usize = 64;
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let slow = uri(format!("http://{}/never", silent.local_addr().unwrap()));
        let config = FetcherConfig { stall_timeout: Duration::from_secs(2), ..FetcherConfig::default() };
        let fetcher = Fetcher::new(&config).unwrap();
        let (quick, source) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let sandboxes: Vec<_> = (0..SLOW).map(|_| tempfile::tempdir().unwrap()).collect();
        let file = source.path().join("file");
        fs::write(&file, "content").unwrap();
        let is_over = Arc::new(AtomicBool::new(false));
        thread::scope(|scope| {
            let all: Vec<_> = sandboxes
                .iter()
                .map(|sandbox| {
                    let (fetcher, slow, is_over) = (&fetcher, std::slice::from_ref(&slow), is_over.clone());
                    scope.spawn(move || {
                        run(fetcher, slow, None, sandbox.path(), move || is_over.load(Ordering::Relaxed))
                    })
                })
                .collect();
            // As many connections as are taken here are under way, and nothing comes over any of them.
            let _under_way: Vec<_> = (0..SLOW).map(|_| silent.accept().unwrap()).collect();
            run(&fetcher, &[uri(file.to_str().unwrap())], None, quick.path(), || false).unwrap();
            assert!(all.iter().all(|one| !one.is_finished()));
            is_over.store(true, Ordering::Relaxed);
            assert!(all.into_iter().all(|one| one.join().unwrap().is_err()), "each is cancelled");
        });
        assert_eq!(fs::read(quick.path().join("file")).unwrap(), b"content");
    }

    #[test]
    fn a_download_is_bounded_and_can_be_cancelled() {
        let sandbox = tempfile::tempdir().unwrap();
        let (base, server) = serve(|_| ok(&[7; 4096]), 2);
        let small = FetcherConfig { bytes_max: 100, ..FetcherConfig::default() };
        let failure = fetch_with(small, &[uri(format!("{base}/big"))], sandbox.path(), || false).unwrap_err();
        assert!(failure.why.contains("larger than the 100 bytes"), "{failure:?}");
        let failure = fetch_with(FetcherConfig::default(), &[uri(format!("{base}/big"))], sandbox.path(), || true);
        assert!(failure.unwrap_err().why.contains("destroyed"));
        server.join().unwrap();
    }

    #[test]
    fn a_fetch_brings_no_more_than_the_task_was_given_and_there_is_room_for() {
        let sandbox = tempfile::tempdir().unwrap();
        let directory = || kernel::files::open_directory(sandbox.path()).unwrap();
        let order = |bytes_max| Order { uris: Vec::new(), user: None, sandbox: directory(), bytes_max };
        let config = FetcherConfig { bytes_max: 1000, ..FetcherConfig::default() };
        assert_eq!(bound(&config, &order(Some(10))), Bound { bytes: 10, why: "of disk that the task was given" });
        assert_eq!(bound(&config, &order(Some(2000))).why, "that --fetcher_max_size allows");
        let endless = FetcherConfig { bytes_max: u64::MAX, ..config };
        assert_eq!(bound(&endless, &order(None)).why, "that are free on the disk");
        assert_eq!(bound(&endless, &order(Some(10))).bytes, 10);
        let said = Budget::new(bound(&endless, &order(Some(10))), &|| false).too_large("what is fetched is");
        assert_eq!(said, "what is fetched is larger than the 10 bytes of disk that the task was given");
    }

    #[test]
    fn a_server_that_falls_silent_is_given_up() {
        let sandbox = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/x", listener.local_addr().unwrap());
        let config = FetcherConfig { stall_timeout: std::time::Duration::from_millis(200), ..FetcherConfig::default() };
        let failure = fetch_with(config, &[uri(url)], sandbox.path(), || false).unwrap_err();
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

    #[test]
    fn redirects_lead_to_servers_only() {
        let sandbox = tempfile::tempdir().unwrap();
        let answer = |_: &str| {
            b"HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                .to_vec()
        };
        let (base, server) = serve(answer, 1);
        let failure = fetch(&[uri(format!("{base}/x"))], sandbox.path()).unwrap_err();
        assert!(!sandbox.path().join("x").exists(), "{failure:?}");
        server.join().unwrap();
    }

    #[test]
    fn a_user_gets_only_what_it_may_read_and_owns_what_it_gets() {
        if !credentials::is_root() {
            testkit::skip("needs root");
            return;
        }
        let (sandbox, home) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::set_permissions(home.path(), Permissions::from_mode(0o755)).unwrap();
        std::os::unix::fs::chown(sandbox.path(), Some(65534), Some(65534)).unwrap();
        fs::write(home.path().join("open"), "x").unwrap();
        fs::write(home.path().join("closed"), "x").unwrap();
        fs::set_permissions(home.path().join("closed"), Permissions::from_mode(0o600)).unwrap();
        let config = FetcherConfig {
            frameworks_home: Some(home.path().to_owned()),
            cache_dir: Some(home.path().join("cache")),
            ..FetcherConfig::default()
        };
        let fetcher = Fetcher::new(&config).unwrap();
        let nobody = || Some(UserIds { uid: 65534, gid: 65534, groups: vec![65534] });
        for cache in [false, true] {
            for value in ["/etc/shadow", "file:///etc/shadow", "closed"] {
                let uri = Uri { cache, ..uri(value) };
                let failure = run(&fetcher, &[uri], nobody(), sandbox.path(), || false).unwrap_err();
                assert!(failure.why.contains("Permission denied"), "{failure:?}");
            }
            let uri = Uri { cache, output_file: Some("in/it".into()), ..uri("open") };
            run(&fetcher, &[uri], nobody(), sandbox.path(), || false).unwrap();
            for name in ["in", "in/it"] {
                assert_eq!(fs::metadata(sandbox.path().join(name)).unwrap().uid(), 65534, "{name}");
            }
        }
        let kept = fs::metadata(home.path().join("cache")).unwrap();
        assert_eq!((kept.uid(), kept.mode() & 0o777), (0, 0o700));
    }

    /// Answers every request with `body`, and counts them.
    fn count(body: &'static [u8], connections: usize) -> (String, Arc<AtomicU32>) {
        let asked = Arc::new(AtomicU32::new(0));
        let counted = asked.clone();
        let answer = move |_: &str| {
            counted.fetch_add(1, Ordering::Relaxed);
            ok(body)
        };
        (serve(answer, connections).0, asked)
    }

    fn caching(directory: &Path, bytes: u64) -> Fetcher {
        let config =
            FetcherConfig { cache_dir: Some(directory.to_owned()), cache_bytes: bytes, ..FetcherConfig::default() };
        Fetcher::new(&config).unwrap()
    }

    #[test]
    fn what_many_want_at_once_is_downloaded_once() {
        let (home, asked) = (tempfile::tempdir().unwrap(), count(b"hello", 100));
        let (base, asked) = asked;
        let fetcher = caching(home.path(), 1000);
        let wanted = Uri { cache: true, ..uri(format!("{base}/x")) };
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let sandbox = tempfile::tempdir().unwrap();
                    run(&fetcher, std::slice::from_ref(&wanted), None, sandbox.path(), || false).unwrap();
                    assert_eq!(fs::read(sandbox.path().join("x")).unwrap(), b"hello");
                });
            }
        });
        assert_eq!(asked.load(Ordering::Relaxed), 1);
        assert_eq!(fetcher.cache_bytes(), (1000, 5));
        let sandbox = tempfile::tempdir().unwrap();
        run(&fetcher, &[Uri { cache: false, ..wanted }], None, sandbox.path(), || false).unwrap();
        assert_eq!(asked.load(Ordering::Relaxed), 2, "who does not ask for the cache does without");
    }

    #[test]
    fn the_cache_gives_up_what_was_used_longest_ago_and_does_without_what_is_too_large() {
        let home = tempfile::tempdir().unwrap();
        let (base, asked) = count(&[7; 40], 100);
        let fetcher = caching(home.path(), 100);
        let get = |name: &str| {
            let sandbox = tempfile::tempdir().unwrap();
            let wanted = Uri { cache: true, ..uri(format!("{base}/{name}")) };
            run(&fetcher, &[wanted], None, sandbox.path(), || false).unwrap();
            assert_eq!(fs::read(sandbox.path().join(name)).unwrap(), [7; 40]);
            asked.load(Ordering::Relaxed)
        };
        assert_eq!([get("a"), get("b"), get("a"), get("c"), get("a"), get("b")], [1, 2, 2, 3, 3, 4]);
        assert_eq!(fetcher.cache_bytes().1, 80);
        let small = tempfile::tempdir().unwrap();
        let fetcher = caching(small.path(), 10);
        let sandbox = tempfile::tempdir().unwrap();
        let wanted = Uri { cache: true, ..uri(format!("{base}/large")) };
        run(&fetcher, &[wanted], None, sandbox.path(), || false).unwrap();
        assert_eq!(fs::read(sandbox.path().join("large")).unwrap(), [7; 40]);
        assert_eq!(fetcher.cache_bytes().1, 0);
    }

    #[test]
    fn a_download_that_fails_leaves_nothing_in_the_cache_and_an_old_cache_is_emptied() {
        let home = tempfile::tempdir().unwrap();
        let (base, _server) = serve(|_| b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_vec(), 1);
        let fetcher = caching(home.path(), 1000);
        let sandbox = tempfile::tempdir().unwrap();
        let wanted = Uri { cache: true, ..uri(format!("{base}/x")) };
        let failure = run(&fetcher, &[wanted], None, sandbox.path(), || false).unwrap_err();
        assert!(failure.why.contains("404"), "{failure:?}");
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1, "only the lock");
        fs::write(home.path().join("fetched-1"), "old").unwrap();
        fs::write(home.path().join("other"), "of somebody else").unwrap();
        let busy = FetcherConfig { cache_dir: Some(home.path().to_owned()), ..FetcherConfig::default() };
        assert!(Fetcher::new(&busy).unwrap_err().to_string().contains("another agent"));
        drop(fetcher);
        let _fetcher = caching(home.path(), 1000);
        assert!(!home.path().join("fetched-1").exists() && home.path().join("other").exists());
    }

    #[test]
    fn a_cached_archive_is_unpacked_from_the_cache() {
        let (home, sandbox) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut tar = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(5);
        header.set_mode(0o644);
        tar.append_data(&mut header, "d/file", &b"hello"[..]).unwrap();
        fs::write(home.path().join("a.tar"), tar.into_inner().unwrap()).unwrap();
        let fetcher = caching(&home.path().join("cache"), 1 << 20);
        let wanted = Uri { cache: true, ..uri(home.path().join("a.tar").to_str().unwrap()) };
        run(&fetcher, &[wanted], None, sandbox.path(), || false).unwrap();
        assert_eq!(fs::read(sandbox.path().join("d/file")).unwrap(), b"hello");
        assert!(!sandbox.path().join("a.tar").exists());
    }
}
