//! One HTTP(S) GET whose body can be read. Redirects are followed, to HTTP(S) only; trust in TLS peers rests on
//! Mozilla's roots; proxies come from the agent's environment (`HTTPS_PROXY` and the like).

use std::{
    io::{self, Read},
    time::Duration,
};
use ureq::{
    Agent,
    http::Uri,
    unversioned::{
        resolver::{ResolvedSocketAddrs, Resolver},
        transport::{DefaultConnector, NextTimeout},
    },
};

/// How many of a host's addresses are tried; the client has room for 16.
const ADDRESSES_MAX: usize = 16;

/// Finds addresses as the rest of the program does.
#[derive(Debug)]
struct HostNames;

impl Resolver for HostNames {
    fn resolve(&self, uri: &Uri, _: &ureq::config::Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let default_port = if uri.scheme_str() == Some("https") { 443 } else { 80 };
        let (Some(host), port) = (uri.host(), uri.port_u16().unwrap_or(default_port)) else {
            return Err(ureq::Error::HostNotFound);
        };
        let found = stdx::hosts::resolve(&format!("{host}:{port}")).map_err(|_| ureq::Error::HostNotFound)?;
        let mut addresses = self.empty();
        found.into_iter().take(ADDRESSES_MAX).for_each(|address| addresses.push(address));
        Ok(addresses)
    }
}

/// What a server sends.
pub struct Download {
    pub body: Box<dyn Read>,
    /// The bytes of the body, if the server says.
    pub length: Option<u64>,
}

/// Downloads for one container; clones are the same client.
#[derive(Clone, Debug)]
pub struct Client {
    agent: Agent,
    stall: Duration,
}

impl Client {
    /// Neither an answer nor any piece of a body may keep us waiting longer than `stall`.
    pub fn new(stall: Duration) -> Client {
        let config = Agent::config_builder()
            .timeout_connect(Some(stall))
            .timeout_send_request(Some(stall))
            .timeout_recv_response(Some(stall))
            .timeout_per_read(Some(stall))
            .max_redirects(10)
            .user_agent(concat!("meseta/", env!("CARGO_PKG_VERSION")))
            .build();
        Client { agent: Agent::with_parts(config, DefaultConnector::default(), HostNames), stall }
    }

    /// Breaks off whatever is under way, now and later.
    pub fn cancel(self) {
        self.agent.shutdown();
    }

    pub fn open(&self, url: &str) -> Result<Download, String> {
        match self.agent.get(url).call() {
            Ok(response) => {
                let body = response.into_body();
                Ok(Download { length: body.content_length(), body: Box::new(body.into_reader()) })
            }
            Err(ureq::Error::StatusCode(code)) => Err(format!("the server answered with status {code}")),
            Err(ureq::Error::Timeout(_)) => Err(self.silent()),
            Err(error) => Err(error.to_string()),
        }
    }

    /// What a failed read of a body means.
    pub fn explain(&self, error: &io::Error) -> String {
        match error.kind() {
            io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => self.silent(),
            _ => format!("cannot read it: {error}"),
        }
    }

    fn silent(&self) -> String {
        format!("the server sent no byte for {} seconds", self.stall.as_secs_f64())
    }
}
