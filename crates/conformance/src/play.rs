//! Runs a script against a cluster and tells what happened, in lines that do not change from run to run. The event
//! streams it holds open are in `play/stream.rs`, reading and writing bodies in `play/body.rs`.

mod body;
mod stream;

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::{Context, anyhow};
use regex::Regex;
use serde_json::Value;

use crate::{
    compare::Told,
    http::{Connection, Head, Trouble},
    neutral::Neutral,
    render,
    script::{Action, Coding, Options, Request, Script, Server, Statement},
};
use stream::Stream;

/// The cluster to talk to.
#[derive(Clone, Debug)]
pub struct Target {
    /// `host:port`
    pub master: String,
    pub agent: String,
    /// How long an answer or an event is waited for.
    pub patience: Duration,
    /// How long an event that must not come is waited for.
    pub settle: Duration,
}

pub fn play(script: &Script, target: &Target) -> Vec<Told> {
    let run =
        format!("run-{}-{:?}", std::process::id(), std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH));
    let run: String = run.chars().filter(|c| c.is_ascii_digit()).collect();
    let mut neutral = Neutral::default();
    neutral.learn("run", &run);
    let mut player = Player {
        target,
        values: BTreeMap::from([("run".to_owned(), run)]),
        neutral,
        streams: BTreeMap::new(),
        lines: Vec::new(),
        reference: Regex::new(r"\$([a-zA-Z_][a-zA-Z_0-9]*)").expect("a pattern of ours"),
    };
    let tell = |step: &crate::script::Step| {
        step.statements.iter().for_each(|statement| player.run(statement));
        Told { title: step.title.clone(), lines: std::mem::take(&mut player.lines) }
    };
    script.steps.iter().map(tell).filter(|told| !told.lines.is_empty()).collect()
}

/// The address of a master's first agent.
pub fn agent_of(master: &str) -> anyhow::Result<String> {
    let document = document_at(master, "/slaves")?;
    let pid = render::find(&document, "slaves[0].pid").and_then(Value::as_str).context("the master has no agent")?;
    Ok(pid.split_once('@').map_or(pid, |(_, address)| address).to_owned())
}

pub fn is_meseta(master: &str) -> anyhow::Result<bool> {
    Ok(document_at(master, "/version")?.get("meseta_version").is_some())
}

fn document_at(address: &str, path: &str) -> anyhow::Result<Value> {
    let deadline = Instant::now() + Duration::from_secs(10);
    let ask = || {
        let mut connection = Connection::open(address).map_err(Trouble::Io)?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n");
        connection.send(request.as_bytes()).map_err(Trouble::Io)?;
        let head = connection.read_head(deadline)?;
        connection.read_body(&head, deadline)
    };
    let body = ask().map_err(|trouble| anyhow!("{address}: {trouble}"))?;
    serde_json::from_slice(&body).with_context(|| format!("{address}{path} is no document"))
}

struct Player<'t> {
    target: &'t Target,
    /// `let`s and captures.
    values: BTreeMap<String, String>,
    neutral: Neutral,
    streams: BTreeMap<String, Stream>,
    lines: Vec<String>,
    reference: Regex,
}

/// An answer with its body, decoded as far as its type allows.
struct Answer {
    head: Head,
    body: body::Decoded,
}

impl Player<'_> {
    fn run(&mut self, statement: &Statement) {
        if let Action::Let { name, text } = &statement.action {
            let text = self.filled(text);
            self.values.insert(name.clone(), text);
            return;
        }
        self.say(format!("> {}", statement.echo));
        if let Err(trouble) = self.attempt(statement) {
            self.say(format!("trouble: {trouble}"));
        }
    }

    fn attempt(&mut self, statement: &Statement) -> Result<(), Trouble> {
        let options = &statement.options;
        match &statement.action {
            Action::Let { .. } => Ok(()),
            Action::Send(request) => self.send(request, options),
            Action::Subscribe { stream, request } => self.subscribe(stream, request, options),
            Action::Event { stream, kind } => self.event(stream, kind, options),
            Action::Order { stream } => {
                let order = self.stream(stream)?.order();
                self.say(format!("order: {order}"));
                Ok(())
            }
            Action::Quiet { stream, offers } => {
                let (settle, offers) = (self.target.settle, *offers);
                let left = self.stream(stream)?.left(Instant::now() + settle, offers);
                self.say(format!("left: {left}"));
                Ok(())
            }
            Action::Forget { stream, kind } => {
                self.stream(stream)?.forget(kind);
                Ok(())
            }
            Action::Closed { stream } => {
                let deadline = Instant::now() + self.target.patience;
                let end = self.stream(stream)?.end(deadline)?;
                self.say(end);
                Ok(())
            }
            Action::Leave { stream } => {
                self.streams.remove(stream);
                Ok(())
            }
            Action::Pause(duration) => {
                std::thread::sleep(*duration);
                Ok(())
            }
        }
    }

    fn stream(&mut self, name: &str) -> Result<&mut Stream, Trouble> {
        self.streams.get_mut(name).ok_or_else(|| Trouble::Malformed(format!("no stream is called {name}")))
    }

    fn send(&mut self, request: &Request, options: &Options) -> Result<(), Trouble> {
        let end = Instant::now() + self.target.patience;
        let answer = loop {
            let (mut connection, head) = self.exchange(request, options)?;
            let bytes = connection.read_body(&head, Instant::now() + self.target.patience)?;
            let body = body::decode(request.api, &head, bytes);
            let answer = Answer { head, body };
            if self.satisfies(&answer, options) || Instant::now() > end {
                break answer;
            }
            std::thread::sleep(Duration::from_millis(20));
        };
        self.tell_head(&answer.head);
        self.tell_body(&answer.body, options);
        Ok(())
    }

    fn satisfies(&self, answer: &Answer, options: &Options) -> bool {
        if options.until.is_some_and(|status| status != answer.head.status) {
            return false;
        }
        let Some(condition) = &options.until_value else { return true };
        let condition = self.filled(condition);
        let Some(value) = answer.body.value() else { return false };
        let value = render::chosen(value, &self.filled_choice(options));
        if let Some(path) = condition.strip_prefix('!') {
            return render::find(&value, path).is_none();
        }
        let (path, wanted) = condition.split_once('=').map_or((&*condition, None), |(path, value)| (path, Some(value)));
        render::find(&value, path).is_some_and(|found| wanted.is_none_or(|wanted| render::plain(found) == wanted))
    }

    fn subscribe(&mut self, name: &str, request: &Request, options: &Options) -> Result<(), Trouble> {
        let end = Instant::now() + self.target.patience;
        let (mut connection, head) = loop {
            let (connection, head) = self.exchange(request, options)?;
            if options.until.is_none_or(|status| status == head.status) || Instant::now() > end {
                break (connection, head);
            }
            std::thread::sleep(Duration::from_millis(20));
        };
        if let Some(id) = head.header("mesos-stream-id") {
            self.values.insert(format!("{name}_stream"), id.to_owned());
        }
        self.tell_head(&head);
        if head.status == 200 && head.is_chunked() {
            let stream = Stream::new(connection, request.api, &head);
            self.streams.insert(name.to_owned(), stream);
        } else {
            let bytes = connection.read_body(&head, Instant::now() + self.target.patience)?;
            self.tell_body(&body::decode(request.api, &head, bytes), options);
        }
        Ok(())
    }

    fn event(&mut self, stream: &str, kind: &str, options: &Options) -> Result<(), Trouble> {
        let deadline = Instant::now() + self.target.patience;
        let condition = options.wherever.as_ref().map(|(path, value)| (path.clone(), self.filled(value)));
        let stream = self.stream(stream)?;
        let found = stream.find(kind, condition.as_ref(), deadline);
        let complaints = stream.take_complaints();
        self.lines.extend(complaints);
        let event = found?;
        self.take_values(&event, options);
        let lines = render::document(&event, &self.filled_choice(options), &self.neutral);
        self.lines.extend(lines);
        Ok(())
    }

    /// Sends a request on a connection of its own and reads the head of the answer.
    fn exchange(&self, request: &Request, options: &Options) -> Result<(Connection, Head), Trouble> {
        let address = match request.server {
            Server::Master => &self.target.master,
            Server::Agent => &self.target.agent,
        };
        let bytes = self.request_bytes(address, request, options).map_err(Trouble::Malformed)?;
        let mut connection = Connection::open(address).map_err(Trouble::Io)?;
        connection.send(&bytes).map_err(Trouble::Io)?;
        let head = connection.read_head(Instant::now() + self.target.patience)?;
        Ok((connection, head))
    }

    fn request_bytes(&self, address: &str, request: &Request, options: &Options) -> Result<Vec<u8>, String> {
        let body = request.body.as_ref().map(|body| self.filled(body));
        let body = body.map(|text| body::encode(request.api, &text, options.coding)).transpose()?;
        let mut headers = vec![("Host".to_owned(), address.to_owned())];
        if request.api.is_some() {
            let coding = if options.coding == Coding::Protobuf { "application/x-protobuf" } else { "application/json" };
            headers.push(("Content-Type".into(), coding.into()));
            headers.push(("Accept".into(), coding.into()));
        }
        if let Some(stream) = &request.stream {
            headers.push(("Mesos-Stream-Id".into(), self.filled(&format!("${stream}_stream"))));
        }
        let replaced = |name: &str| {
            let given = options.headers.iter().map(|(given, _)| given).chain(&options.without);
            given.into_iter().any(|given| given.eq_ignore_ascii_case(name))
        };
        headers.retain(|(name, _)| !replaced(name));
        headers.extend(options.headers.iter().map(|(name, value)| (name.clone(), self.filled(value))));
        match &body {
            Some(_) if options.chunked => headers.push(("Transfer-Encoding".into(), "chunked".into())),
            Some(body) => headers.push(("Content-Length".into(), body.len().to_string())),
            None => {}
        }
        let mut bytes = format!("{} {} HTTP/1.1\r\n", request.method, self.filled(&request.target)).into_bytes();
        for (name, value) in headers {
            bytes.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
        }
        bytes.extend_from_slice(b"\r\n");
        match body {
            Some(body) if options.chunked => bytes.extend(body::in_chunks(&body)),
            Some(body) => bytes.extend(body),
            None => {}
        }
        Ok(bytes)
    }

    /// The options on what to show, with values in the place of names.
    fn filled_choice(&self, options: &Options) -> Options {
        let only = |(path, field, value): &(String, String, String)| (path.clone(), field.clone(), self.filled(value));
        Options { only: options.only.iter().map(only).collect(), ..options.clone() }
    }

    /// Puts values in the place of `$name`.
    fn filled(&self, text: &str) -> String {
        let value = |found: &regex::Captures<'_>| {
            let name = found.get(1).map_or("", |name| name.as_str());
            self.values.get(name).cloned().unwrap_or_else(|| format!("${name}"))
        };
        self.reference.replace_all(text, value).into_owned()
    }

    fn tell_head(&mut self, head: &Head) {
        self.say(format!("status {} {}", head.status, head.reason));
        let mut headers: Vec<String> = Vec::new();
        for (name, value) in &head.headers {
            let name = name.to_ascii_lowercase();
            match name.as_str() {
                // The latter two are for browsers, on every answer of ours and on none of Mesos's.
                "date" | "x-content-type-options" | "cross-origin-resource-policy" => {}
                "content-length" => headers.push(name),
                _ => headers.push(format!("{name}: {}", self.neutral.text(value))),
            }
        }
        headers.sort();
        self.lines.extend(headers);
    }

    fn tell_body(&mut self, body: &body::Decoded, options: &Options) {
        if let Some(value) = body.value() {
            self.take_values(value, options);
        }
        match body {
            body::Decoded::Document { value, wrapped } => {
                self.lines.extend(wrapped.iter().map(|frame| format!("wrapped as {frame}")));
                let lines = render::document(value, &self.filled_choice(options), &self.neutral);
                self.lines.extend(lines);
            }
            body::Decoded::Text(text) if options.shape || options.hide.iter().any(|path| path == "text") => {
                self.say(if text.is_empty() { "no text".into() } else { "some text".into() });
            }
            body::Decoded::Text(text) => {
                let lines: Vec<String> =
                    self.neutral.text(text).lines().take(20).map(|line| format!("text {line:?}")).collect();
                self.lines.extend(lines);
            }
        }
    }

    fn take_values(&mut self, value: &Value, options: &Options) {
        for (name, path) in &options.takes {
            match render::find(value, path) {
                Some(found) => {
                    let found = render::plain(found);
                    self.neutral.learn(name, &found);
                    self.values.insert(name.clone(), found);
                }
                None => self.lines.push(format!("nothing to take at {path}")),
            }
        }
    }

    fn say(&mut self, line: String) {
        self.lines.push(line);
    }
}
