//! `/help`: which endpoints there are and what they do, in Mesos's form; and the same as a page of the documentation.
//! What is said of an endpoint stands where the endpoint is defined.

use std::{collections::BTreeMap, fmt::Write};

use proto::json::Writer;
use transport::{Request, Response, StatusCode, refuse, request::percent_decode, route::Table};

use crate::Door;

/// What is to be said about an endpoint.
#[derive(Clone, Copy, Debug)]
pub struct Page {
    /// One sentence.
    pub summary: &'static str,
    /// Methods, parameters, answers; sentences.
    pub more: &'static str,
    pub door: Door,
}

const MARKDOWN: &str = "text/x-markdown";

/// Answers a request below `/help`; `None` for all other paths.
pub fn answer<T>(table: &Table<T>, page: impl Fn(&T) -> Page, request: &Request) -> Option<Response> {
    let path = percent_decode(request.path());
    let rest = path.strip_prefix("/help").filter(|rest| rest.is_empty() || rest.starts_with('/'))?.trim_matches('/');
    let all = pages(table, page);
    let (actor, name) = rest.split_once('/').map_or((rest, None), |(actor, name)| (actor, Some(name)));
    if rest.is_empty() {
        if request.query_value("format").as_deref() == Some("json") {
            return Some(Response::json(json(&all)));
        }
        return Some(markdown(index("## HELP", all.keys().map(|actor| (*actor, format!("help/{actor}"))))));
    }
    let Some(below) = all.get(actor) else { return Some(refuse::not_found()) };
    let Some(name) = name else {
        let whole = below.keys().map(|name| whole(actor, name)).collect::<Vec<_>>();
        let entries = whole.iter().map(|whole| (whole.as_str(), whole.clone()));
        return Some(markdown(index(&format!("## `/{actor}` ##"), entries)));
    };
    Some(match below.get(name) {
        Some(page) => markdown(text(actor, name, page)),
        None => refuse::bad_request(format!("No help available for '/{actor}/{name}'.\n")),
    })
}

/// A page of the documentation with all endpoints of a server.
pub fn reference<T>(title: &str, table: &Table<T>, page: impl Fn(&T) -> Page) -> String {
    let mut out = format!(
        "# {title}\n\nA path may go on behind an endpoint, and the first part of those that a server calls its own may be \
         left out: `/state` is `/master/state`. A running server says the same at `/help`.\n\n\
         | endpoint | who may ask | what it does |\n|---|---|---|\n"
    );
    for (actor, below) in pages(table, page) {
        for (name, page) in below {
            let who = match page.door {
                Door::Open => "anybody",
                Door::Readonly => "readers",
                Door::Readwrite => "operators",
                Door::Clients => "clients",
            };
            let space = if page.more.is_empty() { "" } else { " " };
            // Writing to a String does not fail.
            let _ = writeln!(out, "| `/{}` | {who} | {}{space}{} |", whole(actor, name), page.summary, page.more);
        }
    }
    out
}

type Pages<'t> = BTreeMap<&'t str, BTreeMap<&'t str, Page>>;

fn pages<'t, T>(table: &'t Table<T>, page: impl Fn(&T) -> Page) -> Pages<'t> {
    let mut all = Pages::new();
    for (actor, name, endpoint) in table.all() {
        all.entry(actor).or_default().insert(name, page(endpoint));
    }
    all
}

fn whole(actor: &str, name: &str) -> String {
    if name.is_empty() { actor.to_owned() } else { format!("{actor}/{name}") }
}

fn index<'a>(title: &str, entries: impl Iterator<Item = (&'a str, String)> + Clone) -> String {
    let mut out = format!("{title}\n");
    for (name, _) in entries.clone() {
        let _ = writeln!(out, "> [/{name}][{name}]");
    }
    for (name, link) in entries {
        let _ = write!(out, "\n[{name}]: {link}");
    }
    out
}

fn text(actor: &str, name: &str, page: &Page) -> String {
    let who = match page.door {
        Door::Open => "Anybody may ask.",
        Door::Readonly => "Needs credentials where the server authenticates those who read.",
        Door::Readwrite => "Needs credentials where the server authenticates those who change something.",
        Door::Clients => "Needs credentials where the server authenticates its clients.",
    };
    let mut out = format!("### USAGE ###\n>        /{}\n\n### TL;DR; ###\n{}\n\n", whole(actor, name), page.summary);
    if !page.more.is_empty() {
        let _ = write!(out, "### DESCRIPTION ###\n{}\n\n", page.more);
    }
    let _ = write!(out, "\n### AUTHENTICATION ###\n{who}\n\n");
    out
}

fn json(all: &Pages<'_>) -> Vec<u8> {
    let mut json = Writer::new();
    json.object(|json| {
        json.key("processes");
        json.array(|json| {
            for (actor, below) in all {
                json.object(|json| {
                    json.field("id", *actor);
                    json.key("endpoints");
                    json.array(|json| {
                        for (name, page) in below {
                            json.object(|json| {
                                json.field("name", format!("/{name}").as_str());
                                json.field("text", text(actor, name, page).as_str());
                            });
                        }
                    });
                });
            }
        });
    });
    json.into_bytes()
}

fn markdown(text: String) -> Response {
    Response::typed(StatusCode::OK, MARKDOWN, text)
}

#[cfg(test)]
mod tests {
    use transport::{HeaderMap, Method};

    use super::*;

    fn ask(path: &str) -> Option<(StatusCode, String)> {
        let table = crate::routes(Table::new("master"), |endpoint| endpoint);
        let request = Request {
            method: Method::GET,
            uri: path.parse().unwrap(),
            headers: HeaderMap::new(),
            body: Default::default(),
            peer: ([127, 0, 0, 1], 1).into(),
            caller: Default::default(),
        };
        let answer = answer(&table, |endpoint| endpoint.help(), &request)?;
        let transport::Body::Full(body) = answer.body else { panic!("a whole body") };
        Some((answer.status, String::from_utf8(body.to_vec()).unwrap()))
    }

    #[test]
    fn help_has_the_form_that_mesos_gives_it() {
        let (status, index) = ask("/help").unwrap();
        assert_eq!(status, StatusCode::OK);
        assert!(
            index.starts_with("## HELP\n> [/files][files]\n> [/logging][logging]\n")
                && index.contains("\n[files]: help/files\n"),
            "{index}"
        );
        let (_, actor) = ask("/help/logging/").unwrap();
        assert_eq!(actor, "## `/logging` ##\n> [/logging/toggle][logging/toggle]\n\n[logging/toggle]: logging/toggle");
        let (_, page) = ask("/help/master/health").unwrap();
        assert!(page.starts_with("### USAGE ###\n>        /master/health\n\n### TL;DR; ###\n"), "{page}");
        assert!(page.ends_with("### AUTHENTICATION ###\nAnybody may ask.\n\n"), "{page}");
        assert_eq!(ask("/help/nope").unwrap().0, StatusCode::NOT_FOUND);
        assert_eq!(
            ask("/help/master/nope").unwrap(),
            (StatusCode::BAD_REQUEST, "No help available for '/master/nope'.\n".into())
        );
        assert!(ask("/help?format=json").unwrap().1.starts_with(
            "{\"processes\":[{\"id\":\"files\",\"endpoints\":[{\"name\":\"/browse\",\"text\":\"### USAGE"
        ));
        assert_eq!(ask("/helpless"), None);
    }
}
