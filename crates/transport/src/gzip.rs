//! Compression of answers: bodies over 1 KiB, when the peer takes gzip and nobody encoded them before.

use std::io::Write;

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use hyper::header;

use crate::response::{Body, Response};

/// Smaller bodies go out as they are.
pub const THRESHOLD: usize = 1024;

/// Bodies from this size on are compressed off the runtime's threads.
const OFF_THREAD: usize = 64 * 1024;

/// Compresses the body of `response` if it is whole and big enough. The caller knows that the peer takes gzip.
pub async fn compress(mut response: Response) -> Response {
    let Body::Full(body) = &response.body else { return response };
    if body.len() <= THRESHOLD || response.headers.contains_key(header::CONTENT_ENCODING) {
        return response;
    }
    let plain = body.clone();
    let packed = if plain.len() < OFF_THREAD {
        pack(&plain)
    } else {
        tokio::task::spawn_blocking(move || pack(&plain)).await.unwrap_or(None)
    };
    if let Some(packed) = packed {
        response.headers.insert(header::CONTENT_ENCODING, header::HeaderValue::from_static("gzip"));
        response.body = Body::Full(packed);
    }
    response
}

fn pack(plain: &[u8]) -> Option<Bytes> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(plain.len() / 4), Compression::new(3));
    encoder.write_all(plain).ok()?;
    encoder.finish().ok().map(Bytes::from)
}
