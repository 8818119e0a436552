//! A client that writes exactly the bytes it is told to and shows how the answer was framed. One socket, blocking, with
//! deadlines.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::{Shutdown, TcpStream, ToSocketAddrs},
    time::{Duration, Instant},
};

/// Why there is no answer.
#[derive(Debug)]
pub enum Trouble {
    TimedOut,
    Closed,
    Malformed(String),
    Io(io::Error),
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Trouble::TimedOut => f.write_str("nothing came in time"),
            Trouble::Closed => f.write_str("the connection was closed"),
            Trouble::Malformed(what) => write!(f, "malformed answer: {what}"),
            Trouble::Io(error) => write!(f, "{error}"),
        }
    }
}

/// Status line and headers. Header names are as sent.
#[derive(Debug, Clone, Default)]
pub struct Head {
    pub status: u16,
    pub reason: String,
    pub headers: Vec<(String, String)>,
}

impl Head {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    pub fn is_chunked(&self) -> bool {
        self.header("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked"))
    }
}

pub struct Connection {
    socket: TcpStream,
    /// Bytes read and not yet understood.
    buffer: Vec<u8>,
    taken: usize,
}

impl Connection {
    pub fn open(address: &str) -> io::Result<Connection> {
        let resolved = address.to_socket_addrs()?.next().ok_or(ErrorKind::AddrNotAvailable)?;
        let socket = TcpStream::connect_timeout(&resolved, Duration::from_secs(5))?;
        socket.set_nodelay(true)?;
        socket.set_write_timeout(Some(Duration::from_secs(20)))?;
        Ok(Connection { socket, buffer: Vec::new(), taken: 0 })
    }

    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.socket.write_all(bytes)
    }

    /// Tells the other side that nothing more comes.
    pub fn finish(&mut self) -> io::Result<()> {
        self.socket.shutdown(Shutdown::Write)
    }

    pub fn read_head(&mut self, deadline: Instant) -> Result<Head, Trouble> {
        let end = loop {
            if let Some(end) = find(self.rest(), b"\r\n\r\n") {
                break end;
            }
            self.fill(deadline)?;
        };
        let text = String::from_utf8_lossy(self.rest().get(..end).unwrap_or_default()).into_owned();
        self.take(end + 4);
        parse_head(&text)
    }

    /// The whole body of an answer to anything but a HEAD request.
    pub fn read_body(&mut self, head: &Head, deadline: Instant) -> Result<Vec<u8>, Trouble> {
        if head.is_chunked() {
            let mut body = Vec::new();
            while let Some(chunk) = self.next_chunk(deadline)? {
                body.extend_from_slice(&chunk);
            }
            return Ok(body);
        }
        if let Some(length) = head.header("content-length") {
            let length = length.parse().map_err(|_| Trouble::Malformed(format!("Content-Length: {length}")))?;
            return self.exactly(length, deadline);
        }
        if matches!(head.status, 204 | 304) {
            return Ok(Vec::new());
        }
        loop {
            match self.fill(deadline) {
                Ok(()) => {}
                Err(Trouble::Closed) => break,
                Err(other) => return Err(other),
            }
        }
        let length = self.rest().len();
        self.exactly(length, deadline)
    }

    /// The next chunk of a chunked body, `None` after the last.
    pub fn next_chunk(&mut self, deadline: Instant) -> Result<Option<Vec<u8>>, Trouble> {
        let end = loop {
            if let Some(end) = find(self.rest(), b"\r\n") {
                break end;
            }
            self.fill(deadline)?;
        };
        let line = String::from_utf8_lossy(self.rest().get(..end).unwrap_or_default()).into_owned();
        let digits = line.split(';').next().unwrap_or_default().trim();
        let size = usize::from_str_radix(digits, 16).map_err(|_| Trouble::Malformed(format!("chunk size {line:?}")))?;
        // All of the chunk must be here before any of it is taken, so that a deadline in between loses nothing.
        while self.rest().len() < end + 2 + size + 2 {
            self.fill(deadline)?;
        }
        self.take(end + 2);
        let chunk = self.exactly(size, deadline)?;
        if self.exactly(2, deadline)? != b"\r\n" {
            return Err(Trouble::Malformed("a chunk without its CRLF".into()));
        }
        Ok((size > 0).then_some(chunk))
    }

    fn exactly(&mut self, length: usize, deadline: Instant) -> Result<Vec<u8>, Trouble> {
        while self.rest().len() < length {
            self.fill(deadline)?;
        }
        let bytes = self.rest().get(..length).unwrap_or_default().to_vec();
        self.take(length);
        Ok(bytes)
    }

    fn rest(&self) -> &[u8] {
        self.buffer.get(self.taken..).unwrap_or_default()
    }

    fn take(&mut self, count: usize) {
        self.taken += count;
        if self.taken > 1 << 16 || self.taken >= self.buffer.len() {
            self.buffer.drain(..self.taken.min(self.buffer.len()));
            self.taken = 0;
        }
    }

    fn fill(&mut self, deadline: Instant) -> Result<(), Trouble> {
        let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        self.socket.set_read_timeout(Some(left)).map_err(Trouble::Io)?;
        let mut piece = [0; 16 << 10];
        match self.socket.read(&mut piece) {
            Ok(0) => Err(Trouble::Closed),
            Ok(count) => {
                self.buffer.extend_from_slice(piece.get(..count).unwrap_or_default());
                Ok(())
            }
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock | ErrorKind::TimedOut => Err(Trouble::TimedOut),
                ErrorKind::Interrupted => Ok(()),
                ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => Err(Trouble::Closed),
                _ => Err(Trouble::Io(error)),
            },
        }
    }
}

fn parse_head(text: &str) -> Result<Head, Trouble> {
    let mut lines = text.split("\r\n");
    let first = lines.next().unwrap_or_default();
    let mut words = first.splitn(3, ' ');
    let (Some("HTTP/1.1" | "HTTP/1.0"), Some(status)) = (words.next(), words.next()) else {
        return Err(Trouble::Malformed(format!("status line {first:?}")));
    };
    let status = status.parse().map_err(|_| Trouble::Malformed(format!("status line {first:?}")))?;
    let mut head = Head { status, reason: words.next().unwrap_or_default().to_owned(), headers: Vec::new() };
    for line in lines {
        let (name, value) = line.split_once(':').ok_or_else(|| Trouble::Malformed(format!("header {line:?}")))?;
        head.headers.push((name.to_owned(), value.trim().to_owned()));
    }
    Ok(head)
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answering(bytes: &'static [u8]) -> Connection {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let connection = Connection::open(&listener.local_addr().unwrap().to_string()).unwrap();
        listener.accept().unwrap().0.write_all(bytes).unwrap();
        connection
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(5)
    }

    #[test]
    fn bodies_are_read_as_framed() {
        let mut connection = answering(
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab\
              HTTP/1.1 202 Accepted\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nxyz\r\n1\r\n!\r\n0\r\n\r\n\
              HTTP/1.1 404 Not Found\r\n\r\nto the end",
        );
        let head = connection.read_head(soon()).unwrap();
        assert_eq!((head.status, head.reason.as_str()), (200, "OK"));
        assert_eq!(connection.read_body(&head, soon()).unwrap(), b"ab");
        let head = connection.read_head(soon()).unwrap();
        assert!(head.is_chunked());
        assert_eq!(connection.read_body(&head, soon()).unwrap(), b"xyz!");
        let head = connection.read_head(soon()).unwrap();
        assert_eq!(connection.read_body(&head, soon()).unwrap(), b"to the end");
    }

    #[test]
    fn what_is_no_answer_is_trouble() {
        assert!(matches!(answering(b"").read_head(soon()), Err(Trouble::Closed)));
        assert!(matches!(answering(b"SSH-2.0\r\n\r\n").read_head(soon()), Err(Trouble::Malformed(_))));
    }
}
