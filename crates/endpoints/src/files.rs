//! `/files/*`: browse, read, download, debug, with Mesos's parameters and shapes.

use std::io::ErrorKind;

use bytes::Bytes;
use observe::files::{Entry, FileError, Verb, mode_text};
use proto::json::Writer;
use tokio::io::AsyncReadExt;
use transport::{Request, Response, StatusCode, header, jsonp, refuse, stream};

use crate::Common;

const DOWNLOAD_PIECE_BYTES: usize = 64 << 10;

impl Common {
    pub(crate) async fn answer_files(&self, verb: Verb, request: &Request) -> Response {
        if verb == Verb::Debug {
            return jsonp::json(request, self.debug_json());
        }
        let Some(path) = request.query_value("path").filter(|path| !path.is_empty()) else {
            return refuse::bad_request("Expecting 'path=value' in query.\n");
        };
        match verb {
            Verb::Browse => self.browse(request, &path),
            Verb::Read => self.read(request, &path),
            Verb::Download | Verb::Debug => self.download(&path),
        }
    }

    fn browse(&self, request: &Request, path: &str) -> Response {
        match self.entries(path) {
            Ok(entries) => {
                let mut json = Writer::new();
                json.array(|json| entries.iter().for_each(|entry| json.object(|json| write_entry(json, entry))));
                jsonp::json(request, json.into_bytes())
            }
            Err(error) => refusal(&error),
        }
    }

    /// The entries of a directory; a file has none.
    pub(crate) fn entries(&self, path: &str) -> Result<Vec<Entry>, FileError> {
        match self.files.list(path) {
            Err(FileError::Io(_, error)) if error.kind() == ErrorKind::NotADirectory => Ok(Vec::new()),
            listed => listed,
        }
    }

    /// `offset=-1` asks for the size: the answer has it as its offset, and no data.
    fn read(&self, request: &Request, path: &str) -> Response {
        let number = |name: &str| request.query_value(name).map(|text| text.parse::<i64>().map_err(|_| text));
        let (offset, length) = match (number("offset").unwrap_or(Ok(-1)), number("length").unwrap_or(Ok(-1))) {
            (Ok(offset), Ok(length)) => (offset, length),
            (Err(text), _) => return no_number("offset", &text),
            (_, Err(text)) => return no_number("length", &text),
        };
        if offset < -1 {
            return refuse::bad_request(format!("Negative offset provided: {offset}.\n"));
        }
        if length < -1 {
            return refuse::bad_request(format!("Negative length provided: {length}.\n"));
        }
        let wanted = u64::try_from(length).ok();
        let read = match u64::try_from(offset) {
            Ok(from) => self.files.read(path, from, wanted).map(|(_, data)| (from, data)),
            Err(_) => self.files.read(path, 0, Some(0)).map(|(size, _)| (size, Vec::new())),
        };
        match read {
            Ok((offset, data)) => {
                let mut json = Writer::new();
                json.object(|json| {
                    json.field("data", &*String::from_utf8_lossy(&data));
                    json.field("offset", &offset);
                });
                jsonp::json(request, json.into_bytes())
            }
            Err(error) => refusal(&error),
        }
    }

    fn download(&self, path: &str) -> Response {
        let (file, size) = match self.files.open(path) {
            Ok(opened) => opened,
            Err(FileError::NotFound(_)) => return refuse::not_found(),
            Err(FileError::IsDirectory(_)) => return refuse::bad_request("Cannot download a directory.\n"),
            Err(error) => return refusal(&error),
        };
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
        let name = path.rsplit('/').next().unwrap_or("file").replace(['"', '\\'], "_");
        Response::flow("application/octet-stream", flow)
            .header(header::CONTENT_LENGTH, &size.to_string())
            .header(header::CONTENT_DISPOSITION, &format!("attachment; filename={name}"))
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
        FileError::Io(..) => Response::text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}.\n")),
    }
}
