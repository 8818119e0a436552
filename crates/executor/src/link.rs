//! The executor's link to its agent: one connection for the event stream, one for updates, and coming back after the
//! agent was away. What events mean is the machines'.

use std::{io, time::Duration};

use bytes::Bytes;
use proto::{
    recordio,
    v1::{self, executor},
};
use stdx::{Rng, Tick};

use crate::{
    http::{Connection, Piece},
    outbox::Outbox,
    settings::Settings,
};

/// How long updates wait after their connection broke while the stream stands.
const RESEND_DELAY: Duration = Duration::from_millis(100);
const FIRST_BACKOFF: Duration = Duration::from_millis(50);
const MAX_COMPLAINT: usize = 1024;

/// What the link reports.
#[derive(Debug)]
pub enum News {
    Event(Box<executor::Event>),
    /// The stream broke; the link is trying to come back.
    Lost,
    /// There is no way back.
    Over(String),
}

/// The link.
pub struct Link<'a> {
    settings: &'a Settings,
    head: RequestHead,
    stream: Stream,
    records: recordio::Decoder,
    calls: Option<Connection>,
    waiting: u32,
    resend_at: Option<Tick>,
    retry: Retry,
}

enum Stream {
    Down,
    /// SUBSCRIBE is sent; its answer has this status so far, and this much of a body that is no stream.
    Asking {
        connection: Connection,
        refusal: Option<(u16, Vec<u8>)>,
    },
    Open(Connection),
}

impl<'a> Link<'a> {
    pub fn new(settings: &'a Settings, rng: Rng) -> Link<'a> {
        Link {
            settings,
            head: RequestHead::new(settings, "/api/v1/executor"),
            stream: Stream::Down,
            records: recordio::Decoder::default(),
            calls: None,
            waiting: 0,
            resend_at: None,
            retry: Retry::new(settings.checkpoint, settings.recovery_timeout, settings.backoff_max, rng),
        }
    }

    pub fn is_open(&self) -> bool {
        matches!(self.stream, Stream::Open(_))
    }

    pub fn stream(&self) -> Option<&Connection> {
        match &self.stream {
            Stream::Down => None,
            Stream::Asking { connection, .. } | Stream::Open(connection) => Some(connection),
        }
    }

    pub fn calls(&self) -> Option<&Connection> {
        self.calls.as_ref()
    }

    pub fn next_deadline(&self) -> Option<Tick> {
        let retry = match self.stream {
            Stream::Down => self.retry.next,
            _ => self.retry.give_up,
        };
        [retry, self.resend_at].into_iter().flatten().min()
    }

    /// Does what is due: the next attempt to subscribe, updates that wait to be sent again.
    pub fn on_wake(&mut self, now: Tick, outbox: &Outbox, news: &mut Vec<News>) {
        if self.retry.give_up.is_some_and(|at| at <= now) {
            news.push(News::Over("the agent did not come back in time".to_owned()));
            return;
        }
        if matches!(self.stream, Stream::Down) && self.retry.next.is_some_and(|at| at <= now) {
            self.subscribe(now, outbox, news);
        }
        if self.resend_at.is_some_and(|at| at <= now) {
            self.resend_at = None;
            if self.is_open() {
                for update in outbox.updates() {
                    self.send_update(now, update);
                }
                self.flush(now);
            }
        }
    }

    /// Opens the stream, listing what is not acknowledged.
    pub fn subscribe(&mut self, now: Tick, outbox: &Outbox, news: &mut Vec<News>) {
        let mut call = self.call(executor::call::Type::Subscribe);
        call.subscribe = Some(outbox.subscribe());
        let opened = Connection::open(&self.settings.endpoint).and_then(|mut connection| {
            self.head.queue(&mut connection, &proto::wire::encode(&call));
            connection.flush()?;
            Ok(connection)
        });
        match opened {
            Ok(connection) => self.stream = Stream::Asking { connection, refusal: None },
            Err(error) => self.lose(now, &error.to_string(), news),
        }
    }

    /// Queues an update if the stream is open; otherwise the next SUBSCRIBE carries it.
    pub fn send_update(&mut self, now: Tick, update: &executor::call::Update) {
        if !self.is_open() || self.resend_at.is_some() {
            return;
        }
        let mut call = self.call(executor::call::Type::Update);
        call.update = Some(update.clone());
        let body = proto::wire::encode(&call);
        if self.calls.is_none() {
            match Connection::open(&self.settings.endpoint) {
                Ok(connection) => self.calls = Some(connection),
                Err(_) => return self.drop_calls(now),
            }
        }
        if let Some(connection) = &mut self.calls {
            self.head.queue(connection, &body);
            self.waiting += 1;
        }
    }

    /// Sends what is queued.
    pub fn flush(&mut self, now: Tick) {
        if let Some(connection) = &mut self.calls
            && connection.flush().is_err()
        {
            self.drop_calls(now);
        }
    }

    pub fn on_stream_ready(&mut self, now: Tick, news: &mut Vec<News>) {
        if let Err(error) = self.read_stream(news) {
            self.lose(now, &error, news);
        }
    }

    pub fn on_calls_ready(&mut self, now: Tick) {
        match self.read_calls() {
            Ok(true) => {}
            // Without a request under way the agent may close the connection; the next update opens another.
            Ok(false) if self.waiting == 0 => self.calls = None,
            Ok(false) => self.drop_calls(now),
            Err(error) => {
                eprintln!("executor: an update was not taken: {error}");
                self.drop_calls(now);
            }
        }
    }

    fn call(&self, kind: executor::call::Type) -> executor::Call {
        executor::Call {
            executor_id: v1::ExecutorId { value: self.settings.executor_id.clone() },
            framework_id: v1::FrameworkId { value: self.settings.framework_id.clone() },
            r#type: Some(kind as i32),
            ..Default::default()
        }
    }

    fn read_stream(&mut self, news: &mut Vec<News>) -> Result<(), String> {
        let text = |error: io::Error| error.to_string();
        match &mut self.stream {
            Stream::Down => return Ok(()),
            Stream::Open(connection) => {
                connection.fill().map_err(text)?;
            }
            Stream::Asking { connection, refusal } => {
                connection.flush().and_then(|()| connection.fill()).map_err(text)?;
                match read_answer(connection, refusal)? {
                    Answer::Partial => return Ok(()),
                    Answer::Refused { status, body } => {
                        let why = format!("the agent answered {status} to SUBSCRIBE: {body}");
                        // An agent that is still starting may not know the path, nor yet an executor it had known; one
                        // that wants an executor gone destroys its container.
                        if matches!(status, 500.. | 404) || self.retry.knew_us {
                            return Err(why);
                        }
                        self.stream = Stream::Down;
                        self.retry.next = None;
                        news.push(News::Over(why));
                        return Ok(());
                    }
                    Answer::Open => {
                        self.records = recordio::Decoder::default();
                        if let Stream::Asking { connection, .. } = std::mem::replace(&mut self.stream, Stream::Down) {
                            self.stream = Stream::Open(connection);
                        }
                    }
                }
            }
        }
        let Stream::Open(connection) = &mut self.stream else { return Ok(()) };
        while let Some(piece) = connection.next().map_err(|error| error.to_string())? {
            match piece {
                Piece::Data(data) => self.records.push(data),
                Piece::Head { .. } | Piece::End => return Err("the agent ended the stream".to_owned()),
            }
            while let Some(record) = self.records.next().map_err(|error| error.to_string())? {
                match proto::wire::decode::<executor::Event>(&record) {
                    Ok(event) => {
                        if event.r#type() == executor::event::Type::Subscribed {
                            self.retry.on_success();
                        }
                        news.push(News::Event(Box::new(event)));
                    }
                    Err(error) => eprintln!("executor: ignoring an event of the agent: {error}"),
                }
            }
        }
        match connection.at_end() {
            true => Err("the agent closed the stream".to_owned()),
            false => Ok(()),
        }
    }

    /// Reads answers to updates; false once the connection is at its end.
    fn read_calls(&mut self) -> Result<bool, String> {
        let Some(connection) = &mut self.calls else { return Ok(true) };
        connection.flush().and_then(|()| connection.fill()).map_err(|error| error.to_string())?;
        let mut refused = None;
        while let Some(piece) = connection.next().map_err(|error| error.to_string())? {
            match piece {
                Piece::Head { status: 200..300 } => refused = None,
                Piece::Head { status } => refused = Some(status),
                Piece::Data(data) => {
                    if let Some(status) = refused.filter(|_| !data.is_empty()) {
                        let why = String::from_utf8_lossy(data.get(..MAX_COMPLAINT).unwrap_or(data));
                        eprintln!("executor: the agent answered {status} to an update: {why}");
                    }
                }
                Piece::End => {
                    self.waiting = self.waiting.saturating_sub(1);
                    if let Some(status @ 500..) = refused {
                        return Err(format!("the agent answered {status}"));
                    }
                }
            }
        }
        Ok(!connection.at_end())
    }

    fn drop_calls(&mut self, now: Tick) {
        self.calls = None;
        self.waiting = 0;
        self.resend_at = Some(now + RESEND_DELAY);
    }

    fn lose(&mut self, now: Tick, why: &str, news: &mut Vec<News>) {
        self.stream = Stream::Down;
        self.calls = None;
        self.waiting = 0;
        self.resend_at = None;
        if self.retry.on_failure(now) {
            news.push(News::Lost);
        } else {
            news.push(News::Over(why.to_owned()));
        }
    }
}

enum Answer {
    Partial,
    Open,
    Refused { status: u16, body: String },
}

fn read_answer(connection: &mut Connection, refusal: &mut Option<(u16, Vec<u8>)>) -> Result<Answer, String> {
    loop {
        let ended = match connection.next().map_err(|error| error.to_string())? {
            Some(Piece::Head { status: 200 }) => return Ok(Answer::Open),
            Some(Piece::Head { status }) => {
                *refusal = Some((status, Vec::new()));
                false
            }
            Some(Piece::Data(data)) => {
                if let Some((_, body)) = refusal {
                    body.extend(data.iter().take(MAX_COMPLAINT.saturating_sub(body.len())));
                }
                false
            }
            Some(Piece::End) => true,
            None => {
                if !connection.at_end() {
                    return Ok(Answer::Partial);
                }
                true
            }
        };
        if ended {
            return match refusal.take() {
                Some((status, body)) => {
                    Ok(Answer::Refused { status, body: String::from_utf8_lossy(&body).into_owned() })
                }
                None => Err("the agent closed the connection".to_owned()),
            };
        }
    }
}

/// The head of every request to one path, up to the value of `Content-Length`.
pub struct RequestHead {
    text: Vec<u8>,
}

impl RequestHead {
    pub fn new(settings: &Settings, path: &str) -> RequestHead {
        let authorization = match &settings.token {
            Some(token) => format!("Authorization: Bearer {token}\r\n"),
            None => String::new(),
        };
        let text = format!(
            "POST {path} HTTP/1.1\r\nHost: {}\r\n{authorization}Accept: application/x-protobuf\r\n\
             Content-Type: application/x-protobuf\r\nContent-Length: ",
            settings.host
        );
        RequestHead { text: text.into_bytes() }
    }

    pub fn queue(&self, connection: &mut Connection, body: &Bytes) {
        connection.queue(&self.text, format!("{}\r\n\r\n", body.len()).as_bytes());
        connection.queue(body, b"");
    }
}

/// When to try again, and until when. Pure but for its seeded generator.
struct Retry {
    checkpoint: bool,
    recovery_timeout: Duration,
    backoff_max: Duration,
    backoff: Duration,
    next: Option<Tick>,
    give_up: Option<Tick>,
    /// The agent accepted a subscription before.
    knew_us: bool,
    rng: Rng,
}

impl Retry {
    fn new(checkpoint: bool, recovery_timeout: Duration, backoff_max: Duration, rng: Rng) -> Retry {
        let backoff = FIRST_BACKOFF;
        Retry { checkpoint, recovery_timeout, backoff_max, backoff, next: None, give_up: None, knew_us: false, rng }
    }

    /// Plans the next attempt; false if there is to be none.
    fn on_failure(&mut self, now: Tick) -> bool {
        if !self.checkpoint {
            self.next = None;
            return false;
        }
        let give_up = *self.give_up.get_or_insert(now + self.recovery_timeout);
        let most = self.backoff.min(self.backoff_max);
        self.next = Some((now + most.mul_f64(0.5 + 0.5 * self.rng.unit())).min(give_up));
        // An agent that restarts waits about as long as the longest back-off: half of it leaves room for one more
        // attempt.
        self.backoff = (self.backoff * 2).min(self.backoff_max / 2).max(FIRST_BACKOFF);
        true
    }

    fn on_success(&mut self) {
        self.backoff = FIRST_BACKOFF;
        self.next = None;
        self.give_up = None;
        self.knew_us = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn retry(checkpoint: bool) -> Retry {
        Retry::new(checkpoint, Duration::from_secs(900), Duration::from_secs(2), Rng::new(1))
    }

    #[test]
    fn without_checkpoints_there_is_no_second_try() {
        assert!(!retry(false).on_failure(Tick(0)));
    }

    #[test]
    fn attempts_come_within_the_longest_backoff_until_the_recovery_timeout() {
        let mut retry = retry(true);
        let (mut now, mut attempts) = (Tick(5), 0);
        while retry.give_up.is_none_or(|at| now < at) {
            assert!(retry.on_failure(now));
            let next = retry.next.expect("planned");
            assert!(next > now && next <= now + Duration::from_secs(2));
            now = next;
            attempts += 1;
        }
        assert_eq!(retry.give_up, Some(Tick(5) + Duration::from_secs(900)));
        assert!(attempts > 800, "{attempts}");
        retry.on_success();
        assert_eq!((retry.give_up, retry.next), (None, None));
    }
}
