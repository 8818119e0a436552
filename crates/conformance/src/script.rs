//! Reads the scripts. A script is a text file of titled steps, each a few statements, one a line; the lines indented
//! below a statement are its options, a line indented deeper goes on with the line above. `scripts/README.md` tells the
//! language; what a statement does is in `play`.

use std::time::Duration;

use regex::Regex;

/// One file of steps that run one after another and share their captures.
pub struct Script {
    pub name: String,
    pub steps: Vec<Step>,
}

pub struct Step {
    pub title: String,
    pub statements: Vec<Statement>,
}

/// One statement, with its text for the transcript.
pub struct Statement {
    pub echo: String,
    pub action: Action,
    pub options: Options,
}

pub enum Action {
    /// `let NAME = TEXT`
    Let {
        name: String,
        text: String,
    },
    /// `send`, `call`: a request, and its whole answer.
    Send(Request),
    /// `subscribe`: a request whose answer stays open as an event stream.
    Subscribe {
        stream: String,
        request: Request,
    },
    /// Waits for the next event of a type, and shows it.
    Event {
        stream: String,
        kind: String,
    },
    /// Shows in which order events have come since the stream began or was last asked.
    Order {
        stream: String,
    },
    /// Gives events time to come, then shows the types of those nobody asked for; offers count if asked.
    Quiet {
        stream: String,
        offers: bool,
    },
    /// Forgets the events that have come so far, of one type or (`*`) of all.
    Forget {
        stream: String,
        kind: String,
    },
    /// Waits for the end of the stream.
    Closed {
        stream: String,
    },
    /// Leaves the stream.
    Leave {
        stream: String,
    },
    Pause(Duration),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Server {
    Master,
    Agent,
}

/// Whose messages a body holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Api {
    Scheduler,
    Operator,
    Agent,
    Executor,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Coding {
    /// As written.
    #[default]
    Text,
    /// JSON in the script, protobuf on the wire.
    Protobuf,
    /// Hexadecimal digits in the script.
    Hex,
}

pub struct Request {
    pub server: Server,
    pub api: Option<Api>,
    pub method: String,
    pub target: String,
    /// The stream whose id goes along.
    pub stream: Option<String>,
    pub body: Option<String>,
}

#[derive(Clone, Default)]
pub struct Options {
    pub headers: Vec<(String, String)>,
    pub without: Vec<String>,
    pub coding: Coding,
    pub chunked: bool,
    /// `take NAME = PATH`
    pub takes: Vec<(String, String)>,
    /// Only types of values are compared, and one element stands for each array.
    pub shape: bool,
    /// Only the names at the top are compared.
    pub keys: bool,
    /// `within PATH`: only what is below.
    pub within: Option<String>,
    /// `only PATH FIELD=VALUE`: keeps the elements of an array that have this value.
    pub only: Vec<(String, String, String)>,
    /// Values at these paths (`*` for one part) are not compared.
    pub hide: Vec<String>,
    /// What is at these paths is left out.
    pub skip: Vec<String>,
    /// Of lists at these paths the order is not compared.
    pub unordered: Vec<String>,
    /// `keep PATTERN`, `drop PATTERN`: only lines of the answer that fit all of the one and none of the other.
    pub keep: Vec<Regex>,
    pub drop: Vec<Regex>,
    /// Repeats the request until it answers with this status.
    pub until: Option<u16>,
    /// `where PATH=VALUE`: which event of the type is meant.
    pub wherever: Option<(String, String)>,
    /// Repeats the request until the value at this path is there (`PATH`) or is this one (`PATH=VALUE`).
    pub until_value: Option<String>,
}

pub fn parse(name: &str, text: &str) -> Result<Script, String> {
    let mut steps: Vec<Step> = Vec::new();
    for (number, line) in join_lines(text) {
        let complain = |why: String| format!("{name}:{number}: {why}");
        if let Some(title) = line.strip_prefix("== ") {
            steps.push(Step { title: title.trim().to_owned(), statements: Vec::new() });
            continue;
        }
        if steps.is_empty() {
            steps.push(Step { title: "before all".into(), statements: Vec::new() });
        }
        let statements = &mut steps.last_mut().ok_or_else(|| complain("no step".into()))?.statements;
        match line.strip_prefix("  ") {
            Some(option) => {
                let statement = statements.last_mut().ok_or_else(|| complain("an option of nothing".into()))?;
                parse_option(option, statement).map_err(complain)?;
            }
            None => statements.push(parse_statement(&line).map_err(complain)?),
        }
    }
    steps.retain(|step| !step.statements.is_empty());
    Ok(Script { name: name.to_owned(), steps })
}

/// The lines that mean something, continued ones joined, with their numbers.
fn join_lines(text: &str) -> Vec<(usize, String)> {
    let mut lines: Vec<(usize, String)> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        if line.trim().is_empty() || line.trim_start().starts_with('#') {
            continue;
        }
        match line.strip_prefix("    ").zip(lines.last_mut()) {
            Some((more, (_, last))) => last.push_str(more.trim_start()),
            None => lines.push((number + 1, line.trim_end().to_owned())),
        }
    }
    lines
}

fn parse_statement(line: &str) -> Result<Statement, String> {
    let (verb, rest) = word(line);
    let mut echo = line.to_owned();
    let action = match verb {
        "let" => {
            let (name, text) = rest.split_once('=').ok_or("let NAME = TEXT")?;
            Action::Let { name: name.trim().to_owned(), text: text.trim().to_owned() }
        }
        "send" => {
            let (server, rest) = word(rest);
            let (method, target) = word(rest);
            Action::Send(Request {
                server: server_named(server)?,
                api: None,
                method: method.to_owned(),
                target: target.to_owned(),
                stream: None,
                body: None,
            })
        }
        "call" => {
            let (request, brief) = parse_call(rest)?;
            echo = format!("call {brief}");
            Action::Send(request)
        }
        "subscribe" => {
            let (stream, rest) = word(rest);
            let (request, brief) = parse_call(rest)?;
            echo = format!("subscribe {stream} {brief}");
            Action::Subscribe { stream: stream.to_owned(), request }
        }
        "pause" => Action::Pause(Duration::from_millis(rest.parse().map_err(|_| "pause MILLISECONDS")?)),
        _ => {
            let (stream, kind) = word(rest);
            let (stream, kind) = (stream.to_owned(), kind.to_owned());
            match verb {
                "event" => Action::Event { stream, kind },
                "order" => Action::Order { stream },
                "quiet" => Action::Quiet { stream, offers: kind == "offers" },
                "forget" => Action::Forget { stream, kind },
                "closed" => Action::Closed { stream },
                "leave" => Action::Leave { stream },
                _ => return Err(format!("no statement is called {verb:?}")),
            }
        }
    };
    Ok(Statement { echo, action, options: Options::default() })
}

/// `API STREAM JSON`; the stream is `-` where there is none.
fn parse_call(text: &str) -> Result<(Request, String), String> {
    let (api, rest) = word(text);
    let (stream, body) = word(rest);
    let (api, server, target) = match api {
        "scheduler" => (Api::Scheduler, Server::Master, "/api/v1/scheduler"),
        "operator" => (Api::Operator, Server::Master, "/api/v1"),
        "agent" => (Api::Agent, Server::Agent, "/api/v1"),
        "executor" => (Api::Executor, Server::Agent, "/api/v1/executor"),
        _ => return Err(format!("no API is called {api:?}")),
    };
    let kind = body.split_once("\"type\":\"").and_then(|(_, rest)| rest.split('"').next()).unwrap_or_default();
    let brief = format!("{} {stream} {kind}", word(text).0).trim_end().to_owned();
    let stream = Some(stream.to_owned()).filter(|stream| stream != "-");
    let body = (!body.is_empty()).then(|| body.to_owned());
    let request = Request { server, api: Some(api), method: "POST".into(), target: target.to_owned(), stream, body };
    Ok((request, brief))
}

fn parse_option(line: &str, statement: &mut Statement) -> Result<(), String> {
    let options = &mut statement.options;
    let (verb, rest) = word(line);
    if let Some(header) = verb.strip_suffix(':') {
        options.headers.push((header.to_owned(), rest.to_owned()));
        return Ok(());
    }
    match verb {
        "without" => options.without.push(rest.to_owned()),
        "chunked" => options.chunked = true,
        "shape" => options.shape = true,
        "keys" => options.keys = true,
        "as" if rest == "protobuf" => options.coding = Coding::Protobuf,
        "as" if rest == "hex" => options.coding = Coding::Hex,
        "within" => options.within = Some(rest.to_owned()),
        "hide" => options.hide.extend(rest.split_whitespace().map(str::to_owned)),
        "skip" => options.skip.extend(rest.split_whitespace().map(str::to_owned)),
        "unordered" => options.unordered.extend(rest.split_whitespace().map(str::to_owned)),
        "where" => {
            let (path, value) = rest.split_once('=').ok_or("where PATH=VALUE")?;
            options.wherever = Some((path.to_owned(), value.to_owned()));
        }
        "until" if rest.parse::<u16>().is_ok() => options.until = rest.parse().ok(),
        "until" => options.until_value = Some(rest.to_owned()),
        "keep" => options.keep.push(Regex::new(rest).map_err(|error| error.to_string())?),
        "drop" => options.drop.push(Regex::new(rest).map_err(|error| error.to_string())?),
        "take" => {
            let (name, path) = rest.split_once('=').ok_or("take NAME = PATH")?;
            options.takes.push((name.trim().to_owned(), path.trim().to_owned()));
        }
        "only" => {
            let (path, condition) = word(rest);
            let (field, value) = condition.split_once('=').ok_or("only PATH FIELD=VALUE")?;
            options.only.push((path.to_owned(), field.to_owned(), value.to_owned()));
        }
        "body" => match &mut statement.action {
            Action::Send(request) | Action::Subscribe { request, .. } => request.body = Some(rest.to_owned()),
            _ => return Err("a body of no request".into()),
        },
        _ => return Err(format!("no option is called {verb:?}")),
    }
    Ok(())
}

fn server_named(name: &str) -> Result<Server, String> {
    match name {
        "master" => Ok(Server::Master),
        "agent" => Ok(Server::Agent),
        _ => Err(format!("no server is called {name:?}")),
    }
}

/// The first word, and what follows it.
fn word(text: &str) -> (&str, &str) {
    let text = text.trim();
    text.split_once(' ').map_or((text, ""), |(first, rest)| (first, rest.trim_start()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_read() {
        let text = "# about\nlet who = \"root\"\n\n== one\ncall scheduler A {\"type\":\"KILL\",\n    \"x\":1}\n  Accept: text/html\n  take id = a.b\nevent A UPDATE\n  hide update.message\n";
        let script = parse("s", text).unwrap();
        assert_eq!(script.steps.len(), 2);
        let [call, event] = script.steps[1].statements.as_slice() else { panic!() };
        assert_eq!(call.echo, "call scheduler A KILL");
        let Action::Send(request) = &call.action else { panic!() };
        assert_eq!(request.body.as_deref(), Some("{\"type\":\"KILL\",\"x\":1}"));
        assert_eq!(call.options.headers, [("Accept".to_owned(), "text/html".to_owned())]);
        assert_eq!(call.options.takes, [("id".to_owned(), "a.b".to_owned())]);
        assert_eq!(event.options.hide, ["update.message"]);
    }

    #[test]
    fn mistakes_are_told_with_their_line() {
        assert_eq!(parse("s", "== a\nfly\n").err().unwrap(), "s:2: no statement is called \"fly\"");
        assert!(parse("s", "== a\nsend moon GET /\n").err().unwrap().contains("moon"));
    }
}
