//! From a path to an endpoint, as libprocess does it: the path's first part names an actor, and below it trailing parts
//! are dropped until an endpoint matches. A first part that names no actor means the default actor.

use std::{borrow::Cow, collections::BTreeMap};

use crate::request::percent_decode;

/// The endpoints of one server.
#[derive(Clone, Debug)]
pub struct Table<T> {
    actors: BTreeMap<String, BTreeMap<String, T>>,
    default_actor: String,
    index: Option<T>,
}

/// An endpoint that was found, and what followed it.
#[derive(Debug, PartialEq, Eq)]
pub struct Found<'t, 'p, T> {
    pub endpoint: &'t T,
    /// The decoded path parts behind the endpoint, with their leading slash; empty if there are none.
    pub rest: Cow<'p, str>,
}

impl<T> Table<T> {
    /// A table whose paths without an actor's name belong to `default_actor` (`master`, `slave(1)`).
    pub fn new(default_actor: &str) -> Table<T> {
        let actors = BTreeMap::from([(default_actor.to_owned(), BTreeMap::new())]);
        Table { actors, default_actor: default_actor.to_owned(), index: None }
    }

    /// An endpoint of the default actor, reachable with and without the actor's name: `api/v1/scheduler`.
    pub fn at(self, name: &str, endpoint: T) -> Table<T> {
        let actor = self.default_actor.clone();
        self.of(&actor, name, endpoint)
    }

    /// An endpoint of another actor, `of("metrics", "snapshot", ..)`; an empty name is the actor itself (`/version`).
    pub fn of(mut self, actor: &str, name: &str, endpoint: T) -> Table<T> {
        self.actors.entry(actor.to_owned()).or_default().insert(name.trim_matches('/').to_owned(), endpoint);
        self
    }

    /// The endpoint of the path `/`, and of nothing else.
    pub fn index(mut self, endpoint: T) -> Table<T> {
        self.index = Some(endpoint);
        self
    }

    /// Every endpoint with its actor and its name below it; the index is none of them.
    pub fn all(&self) -> impl Iterator<Item = (&str, &str, &T)> {
        self.actors.iter().flat_map(|(actor, names)| {
            names.iter().map(move |(name, endpoint)| (actor.as_str(), name.as_str(), endpoint))
        })
    }

    /// The endpoint of a percent-encoded path.
    pub fn find<'p>(&self, path: &'p str) -> Option<Found<'_, 'p, T>> {
        let path = percent_decode(path);
        if path == "/" {
            return self.index.as_ref().map(|endpoint| Found { endpoint, rest: Cow::Borrowed("") });
        }
        let whole = path.strip_prefix('/')?;
        let (first, below) = whole.split_once('/').unwrap_or((whole, ""));
        let (names, all) = match self.actors.get(first) {
            Some(names) => (names, below),
            None if first.is_empty() => return None,
            None => (self.actors.get(&self.default_actor)?, whole),
        };
        let mut name = all.trim_end_matches('/');
        loop {
            // The actor itself has nothing below.
            if let Some(endpoint) = names.get(name).filter(|_| !name.is_empty() || all.is_empty()) {
                let rest = all.get(name.len()..).unwrap_or_default().trim_end_matches('/').to_owned();
                return Some(Found { endpoint, rest: Cow::Owned(rest) });
            }
            if name.is_empty() {
                return None;
            }
            name = name.rfind('/').map_or("", |cut| name.get(..cut).unwrap_or_default()).trim_end_matches('/');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table<&'static str> {
        Table::new("master")
            .at("state", "state")
            .at("slaves", "slaves")
            .at("tasks", "tasks")
            .at("api/v1", "operator")
            .at("api/v1/scheduler", "scheduler")
            .of("metrics", "snapshot", "metrics")
            .of("version", "", "version")
            .index("index")
    }

    fn find(path: &str) -> Option<&'static str> {
        table().find(path).map(|found| *found.endpoint)
    }

    #[test]
    fn trailing_parts_are_dropped_until_something_matches() {
        for (path, endpoint) in [
            ("/api/v1/operator", Some("operator")),
            ("/api/v1/scheduler", Some("scheduler")),
            ("/master/api/v1/scheduler/", Some("scheduler")),
            ("/master/state/foo/bar", Some("state")),
            ("/slaves/8b59-S0", Some("slaves")),
            ("/tasks/", Some("tasks")),
            ("/state", Some("state")),
            ("/metrics/snapshot/x", Some("metrics")),
            ("/version", Some("version")),
            ("/version/", Some("version")),
            ("/version/x", None),
            ("/", Some("index")),
            ("/nope", None),
            ("/master", None),
            ("/master/", None),
            ("/metrics", None),
            ("/api", None),
            ("//version", None),
            ("/ver%zzsion", None),
            ("*", None),
            ("", None),
            ("/../version", None),
        ] {
            assert_eq!(find(path), endpoint, "{path}");
        }
    }

    #[test]
    fn the_rest_is_told() {
        let table = table();
        assert_eq!(table.find("/slaves/S0/x/").unwrap().rest, "/S0/x");
        assert_eq!(table.find("/slaves").unwrap().rest, "");
    }

    #[test]
    fn an_encoded_actor_is_the_actor() {
        let table = Table::new("slave(1)").at("state", 1);
        assert!(table.find("/slave%281%29/state").is_some());
        assert!(table.find("/slave(1)/state").is_some());
        assert!(table.find("/state").is_some());
    }
}
