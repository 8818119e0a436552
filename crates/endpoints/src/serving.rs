//! From the flags that masters and agents have alike to what their servers put up with.

use std::{net::SocketAddr, sync::Arc};

use stdx::flags::Values;
use transport::{Limits, WebPolicy, inbox::Bounds, libprocess::senders::Senders};

/// Descriptors that connections leave to the store, logs, files that are read.
const RESERVE: u64 = 128;

/// How much may wait around the loop: `max_outbox_bytes`, `max_outbox_bytes_total`.
pub fn bounds(values: &Values) -> Bounds {
    let default = Bounds::default();
    let bytes =
        |name: &str, default| values.bytes(name).map_or(default, |bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
    Bounds {
        outbox: bytes("max_outbox_bytes", default.outbox),
        outboxes: bytes("max_outbox_bytes_total", default.outboxes),
        ..default
    }
}

/// What a server's peers may cost, and which web pages may call it: `require_peer_address_ip_match`, `hostname`,
/// `allowed_hosts`, `allowed_origins`, `cross_site_jsonp`.
pub fn limits(values: &Values) -> Result<Limits, String> {
    Ok(Limits {
        match_peer_address: values.switch("require_peer_address_ip_match"),
        web: web_policy(values)?,
        connections: connections(),
        ..Limits::default()
    })
}

/// What tells apart who sends a message and who only says so, for a server that its peers reach at `advertised`.
pub fn senders(advertised: SocketAddr) -> Result<Arc<Senders>, String> {
    let senders = Senders::new(advertised).map_err(|e| format!("cannot read random bytes from /dev/urandom: {e}"))?;
    Ok(Arc::new(senders))
}

/// As many as there can be descriptors for, half of them for connections of our own to the same peers.
fn connections() -> usize {
    let most = Limits::default().connections;
    match kernel::limits::raise_descriptors() {
        Ok(limit) => usize::try_from(limit.saturating_sub(RESERVE) / 2).unwrap_or(usize::MAX).clamp(16, most),
        Err(error) => {
            tracing::warn!(%error, "cannot raise the limit of descriptors");
            most
        }
    }
}

fn web_policy(values: &Values) -> Result<WebPolicy, String> {
    let text = |name: &str| values.text(name).unwrap_or_default();
    let mut policy = WebPolicy::default();
    // A machine may call itself what is no name; then nobody can ask for it by that.
    if let Some(name) = observe::host::own_name()
        && let Ok(named) = policy.clone().allow_hosts(&name)
    {
        policy = named;
    }
    policy
        .allow_hosts(text("hostname"))
        .map_err(|error| format!("--hostname: {error}"))?
        .allow_hosts(text("allowed_hosts"))
        .map_err(|error| format!("--allowed_hosts: {error}"))?
        .allow_origins(text("allowed_origins"))
        .map_err(|error| format!("--allowed_origins: {error}"))
        .map(|policy| policy.open_jsonp(values.switch("cross_site_jsonp")))
}
