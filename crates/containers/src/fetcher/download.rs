//! One HTTP(S) GET whose body can be read. Redirects are followed; trust in TLS peers rests on Mozilla's roots; proxies come
//! from the agent's environment (`HTTPS_PROXY` and the like).

use std::{
    io::{self, Read},
    time::Duration,
};
use ureq::Agent;

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
        Client { agent: config.into(), stall }
    }

    /// Breaks off whatever is under way, now and later.
    pub fn cancel(self) {
        self.agent.shutdown();
    }

    pub fn open(&self, url: &str) -> Result<Box<dyn Read>, String> {
        match self.agent.get(url).call() {
            Ok(response) => Ok(Box::new(response.into_body().into_reader())),
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
