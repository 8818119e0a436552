//! Whether whoever sends a message can be reached where it says it is. An agent or a driver that listens on loopback
//! and comes from another machine cannot: what is meant for it would go to a process of this machine.

use std::{
    net::{IpAddr, UdpSocket},
    time::Duration,
};

use stdx::seldom::Seldom;
use transport::Message;

/// An agent tries again every few seconds.
static TOLD: Seldom = Seldom::new(Duration::from_secs(30));

/// Whether to go on with a message; one from nowhere is told of in the log.
pub(super) fn is_answerable(message: &Message) -> bool {
    let Some(why) = why_not(message) else { return true };
    if let Some(others) = TOLD.due() {
        tracing::error!(others, "{why}");
    }
    false
}

fn why_not(message: &Message) -> Option<String> {
    let named: IpAddr = message.from.host.parse().ok()?;
    let remote = message.caller.remote.ip().to_canonical();
    if !named.is_loopback() || message.caller.process.is_some() || is_of_this_machine(remote) {
        return None;
    }
    Some(format!(
        "dropping {} from {}: it comes from {remote}, where this master cannot reach a loopback address; start its sender \
         with an address that this machine can reach (an agent with --ip or --advertise_ip, a driver with LIBPROCESS_IP)",
        message.name, message.from
    ))
}

/// Only an address of its own can be bound to.
fn is_of_this_machine(ip: IpAddr) -> bool {
    ip.is_loopback() || UdpSocket::bind((ip, 0)).is_ok()
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Instant};

    use proto::Upid;
    use transport::Caller;

    use super::*;

    fn message(from: &str, remote: &str) -> Message {
        Message {
            from: Upid::new("slave(1)", from, 5051),
            to: "master".into(),
            name: "mesos.internal.RegisterSlaveMessage".into(),
            body: Default::default(),
            connected: Instant::now(),
            caller: Arc::new(Caller::over_tcp((remote.parse::<IpAddr>().expect("an address"), 40_000).into(), None)),
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
            assert_eq!(why_not(&message(from, remote)), None, "{from} from {remote}");
        }
        // Addresses for documentation are nobody's.
        for from in ["127.0.0.1", "127.0.1.1", "::1"] {
            let why = why_not(&message(from, "192.0.2.9")).expect("it cannot be reached");
            assert!(why.contains(from) && why.contains("192.0.2.9") && why.contains("--ip"), "{why}");
            assert!(!is_answerable(&message(from, "192.0.2.9")));
        }
    }
}
