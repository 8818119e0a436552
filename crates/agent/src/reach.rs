//! Says in the log why no master has taken this agent: which address was tried, what happened, and what can be done.
//! The core only tries again; it knows no sockets.

use std::{
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

use agent_core::{Phase, State};
use tokio::net::TcpStream;

use crate::traffic::Inbox;

/// How long a master may take before the first word.
const FIRST_LOOK: Duration = Duration::from_secs(2);
const NEXT_LOOKS: Duration = Duration::from_secs(5);
const CONNECT_TIMEOUT: Duration = Duration::from_millis(800);
/// The same is not said again before.
const SAME_AGAIN: Duration = Duration::from_secs(60);

/// Looks after the agent at `own` for as long as its loop runs. `place` is where its master is looked for.
pub fn watch(inbox: Inbox, own: SocketAddr, place: String) {
    tokio::spawn(async move {
        let mut told: Option<(String, Instant)> = None;
        let mut pause = FIRST_LOOK;
        loop {
            tokio::time::sleep(pause).await;
            pause = NEXT_LOOKS;
            let Some(state) = inbox.view().await else { return };
            if state.phase != Phase::Disconnected {
                told = None;
                continue;
            }
            let why = explain(&state, own, &place).await;
            if told.as_ref().is_some_and(|(before, when)| *before == why && when.elapsed() < SAME_AGAIN) {
                continue;
            }
            tracing::warn!("{why}");
            told = Some((why, Instant::now()));
        }
    });
}

async fn explain(state: &State, own: SocketAddr, place: &str) -> String {
    let Some(master) = &state.master else {
        return format!("no master leads at {place}; waiting for one");
    };
    let address = master.address();
    let Ok(target) = address.parse::<SocketAddr>() else {
        return format!("the master's address is {address}, which is none");
    };
    let error = match tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(target)).await {
        Ok(Ok(_)) => None,
        Ok(Err(error)) => Some(error.to_string()),
        Err(_) => Some("no answer".to_owned()),
    };
    sentence(own, target, error.as_deref())
}

/// `error` is what happened to a connection to the master, if it did not come about.
fn sentence(own: SocketAddr, master: SocketAddr, error: Option<&str>) -> String {
    if let Some(error) = error {
        return format!(
            "cannot reach the master at {master}: {error}; is it running, and does it listen on that address (its --ip, \
             127.0.0.1 by default)? Trying again"
        );
    }
    if own.ip().is_loopback() && !master.ip().is_loopback() {
        return format!(
            "the master at {master} cannot reach this agent, which listens on {own} only; start it with --ip and an \
             address of this machine that the master can reach"
        );
    }
    format!(
        "the master at {master} has not taken this agent yet; it must be able to connect to {own} (--ip, --advertise_ip), \
         and its log tells if it refuses"
    )
}

/// The address of this machine from which packets to `target` go out. Sends nothing.
pub fn address_towards(target: SocketAddr) -> Option<IpAddr> {
    let any: SocketAddr = if target.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0u16; 8], 0).into() };
    let socket = std::net::UdpSocket::bind(any).ok()?;
    socket.connect(target).ok()?;
    socket.local_addr().ok().map(|address| address.ip()).filter(|ip| !ip.is_unspecified())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn each_reason_names_the_address_and_what_to_do() {
        let (here, there) = (at("127.0.0.1:5051"), at("10.0.0.1:5050"));
        for (own, master, error, words) in [
            (here, there, Some("Connection refused"), &["10.0.0.1:5050", "Connection refused", "--ip"][..]),
            (here, there, None, &["10.0.0.1:5050", "127.0.0.1:5051", "--ip"]),
            (at("10.0.0.2:5051"), there, None, &["10.0.0.2:5051", "--advertise_ip", "log"]),
            (here, at("127.0.0.1:5050"), None, &["127.0.0.1:5050", "log"]),
        ] {
            let text = sentence(own, master, error);
            assert!(words.iter().all(|word| text.contains(word)), "{text}");
        }
    }

    #[test]
    fn the_way_to_loopback_begins_at_loopback() {
        assert_eq!(address_towards(at("127.0.0.1:9")), Some([127, 0, 0, 1].into()));
    }

    #[tokio::test]
    async fn nobody_listening_is_a_refused_connection() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port");
        let master = Some(proto::upid::Upid::new("master", free.ip().to_string(), free.port()));
        let text = explain(&State { master, ..State::default() }, at("127.0.0.1:1"), "").await;
        assert!(text.contains(&free.to_string()) && text.contains("refused"), "{text}");
        let text = explain(&State::default(), at("127.0.0.1:1"), "zk://a:2181/mesos").await;
        assert!(text.contains("zk://a:2181/mesos"), "{text}");
    }
}
