//! The reader's end of an event stream.

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use proto::recordio::Decoder;

use super::{ClientError, pool::Sender};

/// The records of an answer, one at a time. Dropping it closes the connection.
#[derive(Debug)]
pub struct Records {
    authority: String,
    body: Incoming,
    decoder: Decoder,
    /// Keeps the connection for this stream alone.
    _sender: Sender,
}

impl Records {
    pub(super) fn new(authority: String, body: Incoming, sender: Sender, limit: usize) -> Records {
        Records { authority, body, decoder: Decoder::new(limit), _sender: sender }
    }

    /// The next record; `None` when the server ended the stream. Safe to drop and call again.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ClientError> {
        loop {
            let malformed = |why: String| ClientError::Malformed { authority: self.authority.clone(), why };
            if let Some(record) = self.decoder.next().map_err(|error| malformed(error.to_string()))? {
                return Ok(Some(record));
            }
            match self.body.frame().await {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.decoder.push(&data);
                    }
                }
                Some(Err(source)) => {
                    return Err(ClientError::Broken { authority: self.authority.clone(), source });
                }
                None if self.decoder.is_idle() => return Ok(None),
                None => return Err(malformed("it ends within a record".to_owned())),
            }
        }
    }
}
