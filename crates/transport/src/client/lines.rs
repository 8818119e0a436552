//! An answer that comes line by line, such as a stream of JSON objects.

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Incoming;

use super::{ClientError, pool::Sender};

/// The lines of an answer, one at a time. Dropping it closes the connection.
#[derive(Debug)]
pub struct Lines {
    authority: String,
    body: Incoming,
    buffer: BytesMut,
    /// How much of the buffer is known to have no line's end.
    searched: usize,
    limit: usize,
    /// Keeps the connection for this stream alone.
    _sender: Sender,
}

impl Lines {
    pub(super) fn new(authority: String, body: Incoming, sender: Sender, limit: usize) -> Lines {
        Lines { authority, body, buffer: BytesMut::new(), searched: 0, limit, _sender: sender }
    }

    /// The next line without its end; `None` when the server ended the stream. Safe to drop and call again.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ClientError> {
        loop {
            let fresh = self.buffer.get(self.searched..).unwrap_or_default();
            if let Some(at) = fresh.iter().position(|byte| *byte == b'\n') {
                let mut line = self.buffer.split_to(self.searched + at + 1);
                self.searched = 0;
                line.truncate(line.len() - 1);
                return Ok(Some(line.freeze()));
            }
            self.searched = self.buffer.len();
            if self.searched > self.limit {
                return Err(ClientError::TooLarge { authority: self.authority.clone(), limit: self.limit });
            }
            match self.body.frame().await {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.buffer.extend_from_slice(&data);
                    }
                }
                Some(Err(source)) => {
                    return Err(ClientError::Broken { authority: self.authority.clone(), source });
                }
                None if self.buffer.is_empty() => return Ok(None),
                None => {
                    self.searched = 0;
                    return Ok(Some(self.buffer.split().freeze()));
                }
            }
        }
    }
}
