//! HTTP/1.1 as a client, without waiting: a parser of responses (pure), and a connection that sends requests and reads
//! responses whenever its socket is ready. What requests mean is `link`'s and `probe`'s.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    os::{
        fd::{AsRawFd, OwnedFd, RawFd},
        unix::net::UnixStream,
    },
};

use crate::settings::Endpoint;

const MAX_HEAD: usize = 16 * 1024;
const MAX_HEADERS: usize = 64;
const MAX_CHUNK_LINE: usize = 1024;
const READ_SIZE: usize = 4096;

/// Why a peer's bytes are no HTTP response.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HttpError {
    #[error("malformed response: {0}")]
    Malformed(&'static str),
    #[error("the response ended early")]
    Truncated,
}

/// A piece of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    Head { status: u16 },
    Data(&'a [u8]),
    End,
}

/// Cuts a stream of bytes into responses. `next` is given what is not consumed yet and says how much it used.
#[derive(Clone, Debug, Default)]
pub struct Reader {
    state: State,
    close: bool,
    location: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Head,
    Sized(u64),
    ChunkSize,
    Chunk(u64),
    ChunkEnd,
    Trailer,
    UntilClose,
}

impl Reader {
    /// True between two responses.
    pub fn is_idle(&self) -> bool {
        self.state == State::Head
    }

    /// True if the last response was the connection's last.
    pub fn must_close(&self) -> bool {
        self.close
    }

    /// Where the last response redirects to.
    pub fn location(&self) -> Option<&str> {
        self.location.as_deref()
    }

    /// The next piece, with the bytes it took, or `None` until there is more input.
    pub fn next<'a>(&mut self, input: &'a [u8], eof: bool) -> Result<Option<(Piece<'a>, usize)>, HttpError> {
        let mut used = 0;
        loop {
            let rest = input.get(used..).unwrap_or_default();
            match self.state {
                State::Head => {
                    let Some((status, length)) = self.read_head(rest)? else { break };
                    used += length;
                    if status < 200 {
                        self.state = State::Head;
                        continue;
                    }
                    return Ok(Some((Piece::Head { status }, used)));
                }
                State::Sized(0) => return Ok(Some((self.end(), used))),
                State::Sized(left) | State::Chunk(left) => {
                    let take = usize::try_from(left).unwrap_or(usize::MAX).min(rest.len());
                    if take == 0 {
                        break;
                    }
                    let left = left - take as u64;
                    self.state = match self.state {
                        State::Chunk(_) if left == 0 => State::ChunkEnd,
                        State::Chunk(_) => State::Chunk(left),
                        _ => State::Sized(left),
                    };
                    return Ok(Some((Piece::Data(rest.get(..take).unwrap_or_default()), used + take)));
                }
                State::ChunkSize => match httparse::parse_chunk_size(rest) {
                    Ok(httparse::Status::Complete((length, size))) => {
                        used += length;
                        self.state = if size == 0 { State::Trailer } else { State::Chunk(size) };
                    }
                    Ok(httparse::Status::Partial) if rest.len() < MAX_CHUNK_LINE => break,
                    Ok(httparse::Status::Partial) | Err(_) => return Err(HttpError::Malformed("chunk size")),
                },
                State::ChunkEnd => match rest {
                    [b'\r', b'\n', ..] => {
                        used += 2;
                        self.state = State::ChunkSize;
                    }
                    [] | [b'\r'] => break,
                    _ => return Err(HttpError::Malformed("chunk end")),
                },
                State::Trailer => match rest.iter().position(|&byte| byte == b'\n') {
                    Some(position) => {
                        used += position + 1;
                        if matches!(rest.get(..position), Some(b"" | b"\r")) {
                            return Ok(Some((self.end(), used)));
                        }
                    }
                    None if rest.len() < MAX_HEAD => break,
                    None => return Err(HttpError::Malformed("trailer")),
                },
                State::UntilClose if !rest.is_empty() => return Ok(Some((Piece::Data(rest), input.len()))),
                State::UntilClose if eof => return Ok(Some((self.end(), used))),
                State::UntilClose => break,
            }
        }
        match eof && !(self.is_idle() && input.len() == used) {
            true => Err(HttpError::Truncated),
            // Whole lines of chunk framing may be used up without yielding a piece.
            false if used > 0 => Ok(Some((Piece::Data(&[]), used))),
            false => Ok(None),
        }
    }

    fn end(&mut self) -> Piece<'static> {
        self.state = State::Head;
        Piece::End
    }

    fn read_head(&mut self, input: &[u8]) -> Result<Option<(u16, usize)>, HttpError> {
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut response = httparse::Response::new(&mut headers);
        let length = match response.parse(input) {
            Ok(httparse::Status::Complete(length)) if length <= MAX_HEAD => length,
            Ok(httparse::Status::Partial) if input.len() < MAX_HEAD => return Ok(None),
            _ => return Err(HttpError::Malformed("head")),
        };
        let status = response.code.ok_or(HttpError::Malformed("no status"))?;
        let (mut size, mut chunked) = (None, false);
        self.close = response.version == Some(0);
        self.location = None;
        for header in response.headers.iter() {
            let value = std::str::from_utf8(header.value).unwrap_or_default().trim();
            if header.name.eq_ignore_ascii_case("content-length") {
                let parsed = value.parse::<u64>().map_err(|_| HttpError::Malformed("content length"))?;
                if size.is_some_and(|size| size != parsed) {
                    return Err(HttpError::Malformed("two content lengths"));
                }
                size = Some(parsed);
            } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
                chunked = value.eq_ignore_ascii_case("chunked");
            } else if header.name.eq_ignore_ascii_case("location") {
                self.location = Some(value.to_owned());
            } else if header.name.eq_ignore_ascii_case("connection") {
                self.close |= value.eq_ignore_ascii_case("close");
            }
        }
        self.state = match (status, chunked, size) {
            (204 | 304, ..) => State::Sized(0),
            (_, true, _) => State::ChunkSize,
            (_, false, Some(size)) => State::Sized(size),
            (_, false, None) => {
                self.close = true;
                State::UntilClose
            }
        };
        Ok(Some((status, length)))
    }
}

#[derive(Debug)]
enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// One connection. Nothing in it waits: call `on_ready` when `poll(2)` says so.
#[derive(Debug)]
pub struct Connection {
    socket: Socket,
    out: Vec<u8>,
    sent: usize,
    input: Vec<u8>,
    used: usize,
    eof: bool,
    reader: Reader,
}

impl Connection {
    pub fn open(endpoint: &Endpoint) -> io::Result<Connection> {
        let socket = match endpoint {
            Endpoint::Tcp(address) => Socket::Tcp(connect(address)?),
            Endpoint::Unix(path) => {
                let socket = UnixStream::connect(path)?;
                socket.set_nonblocking(true)?;
                Socket::Unix(socket)
            }
        };
        Ok(Connection {
            socket,
            out: Vec::new(),
            sent: 0,
            input: Vec::new(),
            used: 0,
            eof: false,
            reader: Reader::default(),
        })
    }

    pub fn fd(&self) -> RawFd {
        match &self.socket {
            Socket::Tcp(socket) => socket.as_raw_fd(),
            Socket::Unix(socket) => socket.as_raw_fd(),
        }
    }

    /// What to poll for.
    pub fn interest(&self) -> libc::c_short {
        if self.out.is_empty() { libc::POLLIN } else { libc::POLLIN | libc::POLLOUT }
    }

    /// Puts a request into the outgoing buffer; `flush` sends it.
    pub fn queue(&mut self, head: &[u8], body: &[u8]) {
        self.out.extend_from_slice(head);
        self.out.extend_from_slice(body);
    }

    /// Sends what the socket takes.
    pub fn flush(&mut self) -> io::Result<()> {
        while let Some(rest) = self.out.get(self.sent..).filter(|rest| !rest.is_empty()) {
            let result = match &mut self.socket {
                Socket::Tcp(socket) => socket.write(rest),
                Socket::Unix(socket) => socket.write(rest),
            };
            match result {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => self.sent += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // A socket that is still connecting says NotConnected or WouldBlock; poll tells when it can be written.
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::NotConnected) => {
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
        self.out.clear();
        self.sent = 0;
        Ok(())
    }

    /// Reads what is there. False if nothing came and the stream goes on.
    pub fn fill(&mut self) -> io::Result<bool> {
        if self.used > 0 {
            self.input.drain(..self.used);
            self.used = 0;
        }
        let before = self.input.len();
        loop {
            let start = self.input.len();
            self.input.resize(start + READ_SIZE, 0);
            let space = self.input.get_mut(start..).unwrap_or_default();
            let result = match &mut self.socket {
                Socket::Tcp(socket) => socket.read(space),
                Socket::Unix(socket) => socket.read(space),
            };
            self.input.truncate(start + result.as_ref().map_or(0, |&count| count));
            match result {
                Ok(0) => {
                    self.eof = true;
                    return Ok(true);
                }
                // A short read has emptied the socket.
                Ok(count) if count < READ_SIZE => return Ok(true),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(self.input.len() > before),
                Err(error) => return Err(error),
            }
        }
    }

    /// The next piece of what was read.
    pub fn next(&mut self) -> Result<Option<Piece<'_>>, HttpError> {
        let input = self.input.get(self.used..).unwrap_or_default();
        let Some((piece, used)) = self.reader.next(input, self.eof)? else { return Ok(None) };
        self.used += used;
        Ok(Some(piece))
    }

    /// Where the response that was read last redirects to.
    pub fn location(&self) -> Option<&str> {
        self.reader.location()
    }

    /// True if the peer will send nothing more.
    pub fn at_end(&self) -> bool {
        self.eof || (self.reader.is_idle() && self.reader.must_close())
    }
}

/// Starts a connection; the socket becomes writable once it stands.
pub fn connect(address: &SocketAddr) -> io::Result<TcpStream> {
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrStorage, connect, setsockopt, socket, sockopt};

    let family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let fd: OwnedFd = socket(family, SockType::Stream, flags, None)?;
    setsockopt(&fd, sockopt::TcpNoDelay, &true)?;
    match connect(fd.as_raw_fd(), &SockaddrStorage::from(*address)) {
        Ok(()) | Err(nix::errno::Errno::EINPROGRESS) => Ok(TcpStream::from(fd)),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Default, PartialEq)]
    struct Response {
        status: u16,
        body: Vec<u8>,
        ended: bool,
    }

    /// Feeds `bytes` cut into pieces of the given sizes.
    fn read(bytes: &[u8], sizes: &[usize], close: bool) -> Result<Vec<Response>, HttpError> {
        let (mut reader, mut held, mut responses) = (Reader::default(), Vec::new(), Vec::<Response>::new());
        let mut sizes = sizes.iter().cycle();
        let mut rest = bytes;
        loop {
            let take = sizes.next().map_or(rest.len(), |&size| size.max(1)).min(rest.len());
            held.extend_from_slice(&rest[..take]);
            rest = &rest[take..];
            let eof = close && rest.is_empty();
            while let Some((piece, used)) = reader.next(&held, eof)? {
                match piece {
                    Piece::Head { status } => responses.push(Response { status, ..Default::default() }),
                    Piece::Data(data) => {
                        if let Some(last) = responses.last_mut() {
                            last.body.extend_from_slice(data);
                        }
                    }
                    Piece::End => responses.last_mut().expect("a head came first").ended = true,
                }
                held.drain(..used);
            }
            if rest.is_empty() {
                return Ok(responses);
            }
        }
    }

    const PIPELINED: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n\
        HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\nT: 1\r\n\r\n\
        HTTP/1.1 503 Service Unavailable\r\ncontent-length: 4\r\n\r\nlate";

    fn pipelined() -> Vec<Response> {
        vec![
            Response { status: 202, body: vec![], ended: true },
            Response { status: 200, body: b"abc0123456789".to_vec(), ended: true },
            Response { status: 503, body: b"late".to_vec(), ended: true },
        ]
    }

    #[test]
    fn responses_follow_each_other_on_one_connection() {
        assert_eq!(read(PIPELINED, &[], false), Ok(pipelined()));
    }

    #[test]
    fn a_body_without_a_length_ends_with_the_connection() {
        let response = Response { status: 200, body: b"rest".to_vec(), ended: true };
        assert_eq!(read(b"HTTP/1.0 200 OK\r\n\r\nrest", &[], true), Ok(vec![response]));
    }

    #[test]
    fn a_stream_cut_short_is_an_error() {
        assert_eq!(read(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nrest", &[], true), Err(HttpError::Truncated));
        assert_eq!(read(b"HTTP/1.1 200 OK\r\n", &[], true), Err(HttpError::Truncated));
        assert_eq!(read(b"", &[], true), Ok(vec![]));
    }

    #[test]
    fn nonsense_is_refused() {
        for bad in [
            &b"SSH-2.0-x\r\n\r\n"[..],
            b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc",
        ] {
            assert!(matches!(read(bad, &[], false), Err(HttpError::Malformed(_))), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn cuts_do_not_matter(sizes in prop::collection::vec(1usize..9, 1..20)) {
            prop_assert_eq!(read(PIPELINED, &sizes, false), Ok(pipelined()));
        }

        #[test]
        fn any_bytes_end_in_an_answer(bytes in prop::collection::vec(any::<u8>(), 0..400), at in 0usize..150) {
            let mut mixed = PIPELINED[..at].to_vec();
            mixed.extend_from_slice(&bytes);
            let _ = read(&mixed, &[7], true);
        }
    }
}
