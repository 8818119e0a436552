//! Whether a message comes from the machine that its sender names, as far as addresses tell. Who says it listens on
//! loopback and comes from another machine cannot be answered at all: what is meant for it would go to a process of
//! this machine. Others may stand behind a proxy, which somebody has to say.

use std::net::{IpAddr, UdpSocket};

use super::Message;

/// Why a message is to be dropped. If `matches`, its sender has to be where it says.
pub(crate) fn why_not(message: &Message, matches: bool) -> Option<String> {
    let named = message.from.host.parse().ok().map(|named: IpAddr| named.to_canonical());
    let remote = message.caller.remote.ip().to_canonical();
    if message.caller.process.is_some() || named == Some(remote) {
        return None;
    }
    let is_here = is_of_this_machine(remote);
    if named.is_some_and(|named| named.is_loopback()) && !is_here {
        return Some(format!(
            "it comes from {remote}, where a loopback address cannot be reached from here; start its sender with an address \
             that this machine can reach (an agent with --ip or --advertise_ip, a driver with LIBPROCESS_IP)"
        ));
    }
    // A machine has several addresses.
    let is_same = is_here && named.is_some_and(is_of_this_machine);
    (matches && !is_same).then(|| {
        format!(
            "it comes from {remote}; if a proxy or address translation stands between, take such messages with \
             --no-require_peer_address_ip_match"
        )
    })
}

/// Only an address of its own can be bound to.
fn is_of_this_machine(ip: IpAddr) -> bool {
    ip.is_loopback() || !ip.is_unspecified() && UdpSocket::bind((ip, 0)).is_ok()
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Instant};

    use proto::upid::Upid;

    use super::*;
    use crate::Caller;

    fn message(from: &str, remote: &str) -> Message {
        Message {
            from: Upid::new("slave(1)", from, 5051),
            to: "master".into(),
            name: "mesos.internal.RegisterSlaveMessage".into(),
            body: Default::default(),
            connected: Instant::now(),
            key: None,
            caller: Arc::new(Caller::over_tcp((remote.parse::<IpAddr>().unwrap(), 40_000).into(), None)),
        }
    }

    #[test]
    fn a_loopback_address_is_believed_to_this_machine_only() {
        for (from, remote) in [
            ("127.0.0.1", "127.0.0.1"),
            ("127.0.0.1", "::ffff:127.0.0.1"),
            ("127.0.1.1", "::1"),
            ("192.0.2.7", "192.0.2.9"),
        ] {
            assert_eq!(why_not(&message(from, remote), false), None, "{from} from {remote}");
        }
        // Addresses for documentation are nobody's.
        for from in ["127.0.0.1", "127.0.1.1", "::1"] {
            for matches in [false, true] {
                let why = why_not(&message(from, "192.0.2.9"), matches).unwrap();
                assert!(why.contains("192.0.2.9") && why.contains("--ip"), "{why}");
            }
        }
    }

    #[test]
    fn a_sender_is_where_it_says_if_somebody_wants_it_so() {
        for (from, remote) in
            [("192.0.2.1", "192.0.2.1"), ("192.0.2.1", "::ffff:192.0.2.1"), ("127.0.0.1", "127.0.0.2")]
        {
            assert_eq!(why_not(&message(from, remote), true), None, "{from} from {remote}");
        }
        for (from, remote) in
            [("192.0.2.1", "127.0.0.1"), ("192.0.2.1", "192.0.2.2"), ("0.0.0.0", "127.0.0.1"), ("x", "::1")]
        {
            let why = why_not(&message(from, remote), true).unwrap();
            assert!(why.contains(remote) && why.contains("--no-require_peer_address_ip_match"), "{why}");
        }
    }
}
