//! `/files/*`: browse, read, download, debug, with Mesos's parameters and shapes. Disks are waited for elsewhere than
//! on the thread that asks.

use std::io::ErrorKind;

use bytes::Bytes;
use observe::files::{Entry, FileError, Files, Listing, Page, Verb, mode_text};
use proto::json::Writer;
use tokio::{io::AsyncReadExt, sync::Semaphore};
use transport::{Request, Response, StatusCode, header, jsonp, refuse, stream};

use crate::Common;

const DOWNLOAD_PIECE_BYTES: usize = 64 << 10;

/// How many requests may wait for disks at one time.
static DISKS: Semaphore = Semaphore::const_new(32);

impl Common {
    pub(crate) async fn answer_files(&self, verb: Verb, request: &Request) -> Response {
        if verb == Verb::Debug {
            return jsonp::json(request, self.debug_json());
        }
        let Some(path) = request.query_value("path").filter(|path| !path.is_empty()) else {
            return refuse::bad_request("Expecting 'path=value' in query.\n");
        };
        let answered = match verb {
            Verb::Browse => self.browse(request, path).await,
            Verb::Read => self.read(request, path).await,
            Verb::Download | Verb::Debug => self.download(path).await,
        };
        answered.unwrap_or_else(|refused| refused)
    }

    /// Does `work` where waiting for a disk holds nobody up. It ends even if who asked for it leaves.
    pub(crate) async fn with_files<R: Send + 'static>(
        &self,
        work: impl FnOnce(&Files) -> Result<R, FileError> + Send + 'static,
    ) -> Result<R, Response> {
        let files = self.files.clone();
        let place = DISKS.acquire().await.map_err(|_| refuse::unavailable("The server is shutting down"))?;
        let work = move || {
            let _place = place;
            work(&files)
        };
        match tokio::task::spawn_blocking(work).await {
            Ok(done) => done.map_err(|error| refusal(&error)),
            Err(error) => Err(refuse::internal(format!("A reading broke off: {error}"))),
        }
    }

    /// Beside Mesos's parameter there are `after` and `limit`, for pages; a `Link` leads to the next one.
    async fn browse(&self, request: &Request, path: String) -> Result<Response, Response> {
        let limit = match request.query_value("limit").map(|text| text.parse::<usize>().map_err(|_| text)) {
            Some(Err(text)) => return Err(no_number("limit", &text)),
            Some(Ok(0)) => return Err(refuse::bad_request("A limit of 0 lists nothing.\n")),
            Some(Ok(limit)) => limit,
            None => Page::default().limit,
        };
        let page = Page { after: request.query_value("after"), limit };
        let of = path.clone();
        let render = move |files: &Files| {
            let Listing { entries, more_after } = list(files, &of, &page)?;
            let mut json = Writer::new();
            json.array(|json| entries.iter().for_each(|entry| json.object(|json| write_entry(json, entry))));
            Ok((json.into_bytes(), more_after))
        };
        let (body, more_after) = self.with_files(render).await?;
        Ok(with_next(jsonp::json(request, body), &path, more_after.as_deref(), limit))
    }

    /// `offset=-1` asks for the size: the answer has it as its offset, and no data.
    async fn read(&self, request: &Request, path: String) -> Result<Response, Response> {
        let number = |name: &str| request.query_value(name).map(|text| text.parse::<i64>().map_err(|_| text));
        let (offset, length) = match (number("offset").unwrap_or(Ok(-1)), number("length").unwrap_or(Ok(-1))) {
            (Ok(offset), Ok(length)) => (offset, length),
            (Err(text), _) => return Err(no_number("offset", &text)),
            (_, Err(text)) => return Err(no_number("length", &text)),
        };
        if offset < -1 {
            return Err(refuse::bad_request(format!("Negative offset provided: {offset}.\n")));
        }
        if length < -1 {
            return Err(refuse::bad_request(format!("Negative length provided: {length}.\n")));
        }
        let wanted = u64::try_from(length).ok();
        let read = move |files: &Files| match u64::try_from(offset) {
            Ok(from) => files.read(&path, from, wanted).map(|(_, data)| (from, data)),
            Err(_) => files.read(&path, 0, Some(0)).map(|(size, _)| (size, Vec::new())),
        };
        let (offset, data) = self.with_files(read).await?;
        let mut json = Writer::new();
        json.object(|json| {
            json.field("data", &*String::from_utf8_lossy(&data));
            json.field("offset", &offset);
        });
        Ok(jsonp::json(request, json.into_bytes()))
    }

    async fn download(&self, path: String) -> Result<Response, Response> {
        let name = path.rsplit('/').next().unwrap_or("file").replace(['"', '\\'], "_");
        let open = move |files: &Files| match files.open(&path) {
            Ok(opened) => Ok(Ok(opened)),
            Err(FileError::NotFound(_)) => Ok(Err(refuse::not_found())),
            Err(FileError::IsDirectory(_)) => Ok(Err(refuse::bad_request("Cannot download a directory.\n"))),
            Err(error) => Err(error),
        };
        let (file, size) = self.with_files(open).await??;
        let (writer, flow) = stream::flow(4);
        tokio::spawn(async move {
            let mut file = tokio::fs::File::from_std(file).take(size);
            loop {
                let mut piece = Vec::with_capacity(DOWNLOAD_PIECE_BYTES);
                let read = (&mut file).take(DOWNLOAD_PIECE_BYTES as u64).read_to_end(&mut piece).await;
                if !matches!(read, Ok(count) if count > 0) || !writer.write(Bytes::from(piece)).await {
                    return;
                }
            }
        });
        Ok(Response::flow("application/octet-stream", flow)
            .header(header::CONTENT_LENGTH, &size.to_string())
            .header(header::CONTENT_DISPOSITION, &format!("attachment; filename={name}")))
    }

    fn debug_json(&self) -> Vec<u8> {
        let mut json = Writer::new();
        json.object(|json| {
            for (path, real) in self.files.attached() {
                json.field(&path, &*real.to_string_lossy());
            }
        });
        json.into_bytes()
    }
}

/// The entries of a directory; a file has none.
pub(crate) fn list(files: &Files, path: &str, page: &Page) -> Result<Listing, FileError> {
    match files.list(path, page) {
        Err(FileError::Io(_, error)) if error.kind() == ErrorKind::NotADirectory => Ok(Listing::default()),
        listed => listed,
    }
}

/// Says where the listing goes on, if it does.
pub(crate) fn with_next(response: Response, path: &str, more_after: Option<&str>, limit: usize) -> Response {
    let Some(after) = more_after else { return response };
    let (path, after) = (encoded(path), encoded(after));
    let next = format!("</files/browse?path={path}&after={after}&limit={limit}>; rel=\"next\"");
    response.header(header::LINK, &next)
}

fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~/".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

fn write_entry(json: &mut Writer, entry: &Entry) {
    json.field("gid", entry.gid.as_str());
    json.field("mode", mode_text(entry.mode).as_str());
    json.field("mtime", &entry.mtime);
    json.field("nlink", &entry.nlink);
    json.field("path", entry.path.as_str());
    json.field("size", &entry.size);
    json.field("uid", entry.uid.as_str());
}

fn no_number(name: &str, text: &str) -> Response {
    refuse::bad_request(format!("Failed to parse {name}: Failed to convert '{text}' to number.\n"))
}

/// A path that is not there is 404 without a body.
pub(crate) fn refusal(error: &FileError) -> Response {
    match error {
        FileError::NotFound(_) => refuse::missing(""),
        FileError::IsDirectory(_) => refuse::bad_request("Cannot read a directory.\n"),
        FileError::TooMany(_) => refuse::bad_request(format!("{error}.\n")),
        FileError::Io(..) => Response::text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}.\n")),
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, sync::Arc};

    use transport::{HeaderMap, Method, libprocess::senders::Senders};

    use super::*;

    fn common(home: &tempfile::TempDir) -> Common {
        let files = Files::default();
        files.attach("/a", home.path().to_owned());
        let senders = Senders::new(([127, 0, 0, 1], 5051).into()).unwrap();
        Common { flags: Arc::default(), metrics: Arc::default(), files, senders: Arc::new(senders) }
    }

    async fn ask(common: &Common, verb: Verb, uri: &str) -> Response {
        let request = Request {
            method: Method::GET,
            uri: uri.parse().unwrap(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
            peer: ([127, 0, 0, 1], 1).into(),
            caller: Default::default(),
        };
        common.answer_files(verb, &request).await
    }

    #[tokio::test]
    async fn pages_link_to_the_next() {
        let home = tempfile::tempdir().unwrap();
        for name in ["a b", "c", "d"] {
            fs::write(home.path().join(name), "").unwrap();
        }
        let common = common(&home);
        let first = ask(&common, Verb::Browse, "/files/browse?path=/a&limit=1").await;
        assert_eq!(first.headers["link"], "</files/browse?path=/a&after=a%20b&limit=1>; rel=\"next\"");
        let rest = ask(&common, Verb::Browse, "/files/browse?path=/a&after=a%20b").await;
        assert!(!rest.headers.contains_key("link"));
        let transport::Body::Full(body) = rest.body else { panic!("a whole body") };
        let body = String::from_utf8(body.to_vec()).unwrap();
        assert!(body.contains("/a/c") && body.contains("/a/d") && !body.contains("/a/a b"), "{body}");
        for wrong in ["limit=0", "limit=x", "limit=-1"] {
            let refused = ask(&common, Verb::Browse, &format!("/files/browse?path=/a&{wrong}")).await;
            assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{wrong}");
        }
    }

    /// The agent's runtime has one thread, on which it decides.
    #[tokio::test(flavor = "current_thread")]
    async fn a_listing_leaves_the_thread_free() {
        let home = tempfile::tempdir().unwrap();
        (0..20_000).for_each(|i| fs::write(home.path().join(i.to_string()), "").unwrap());
        let common = common(&home);
        let mut listing = std::pin::pin!(ask(&common, Verb::Browse, "/files/browse?path=/a"));
        let mut turns = 0u64;
        let listed = loop {
            tokio::select! {
                biased;
                listed = &mut listing => break listed,
                () = tokio::task::yield_now() => turns += 1,
            }
        };
        assert_eq!(listed.status, StatusCode::OK);
        assert!(turns > 10, "the thread had {turns} turns meanwhile");
    }
}
