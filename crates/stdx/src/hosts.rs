//! Host names and their addresses, through `getent`: the system's own modules (DNS, mDNS, systemd, …) cannot be loaded
//! into a statically linked program.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    process::{Command, Stdio},
};

/// The addresses of `host:port`, in the system's order of preference; at least one. Blocks while the system asks
/// around, unless the host is an address or `localhost`.
pub fn resolve(authority: &str) -> io::Result<Vec<SocketAddr>> {
    if let Ok(address) = authority.parse::<SocketAddr>() {
        return Ok(vec![address]);
    }
    let wrong = || io::Error::new(io::ErrorKind::InvalidInput, format!("'{authority}' is not host:port"));
    let (host, port) = authority.rsplit_once(':').ok_or_else(wrong)?;
    let port: u16 = port.parse().map_err(|_| wrong())?;
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let found = addresses(host)?;
    Ok(found.into_iter().map(|ip| SocketAddr::new(ip, port)).collect())
}

/// Whether `resolve` answers without asking anybody.
pub fn is_immediate(authority: &str) -> bool {
    authority.parse::<SocketAddr>().is_ok() || authority.starts_with("localhost:")
}

fn addresses(host: &str) -> io::Result<Vec<IpAddr>> {
    if let Ok(ip) = host.parse() {
        return Ok(vec![ip]);
    }
    if host == "localhost" {
        return Ok(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
    }
    let unknown = || io::Error::new(io::ErrorKind::NotFound, format!("the host '{host}' is unknown"));
    let harmless = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_');
    if host.is_empty() || host.starts_with('-') || !host.chars().all(harmless) {
        return Err(unknown());
    }
    let output = Command::new("getent").args(["ahosts", host]).stdin(Stdio::null()).stderr(Stdio::null()).output()?;
    let found = parse_ahosts(&String::from_utf8_lossy(&output.stdout));
    if found.is_empty() { Err(unknown()) } else { Ok(found) }
}

/// The addresses in lines such as `192.0.2.1  STREAM name`, each once.
fn parse_ahosts(lines: &str) -> Vec<IpAddr> {
    let mut found = Vec::new();
    for ip in lines.lines().filter_map(|line| line.split_whitespace().next()?.parse().ok()) {
        if !found.contains(&ip) {
            found.push(ip);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_localhost_need_nobody() {
        for (text, first) in
            [("127.0.0.1:80", "127.0.0.1:80"), ("[::1]:80", "[::1]:80"), ("localhost:1", "127.0.0.1:1")]
        {
            assert!(is_immediate(text));
            assert_eq!(resolve(text).unwrap()[0].to_string(), first);
        }
    }

    #[test]
    fn what_is_no_host_and_port_is_refused_by_name() {
        for text in ["", "host", "host:", "host:99999", "-x:1", "a b:1", ":1"] {
            assert!(resolve(text).is_err(), "{text}");
        }
        assert!(resolve("no-such-host.invalid:1").unwrap_err().to_string().contains("no-such-host.invalid"));
    }

    #[test]
    fn answers_are_read_once_each() {
        let lines = "192.0.2.1  STREAM a.example\n192.0.2.1  DGRAM\n2001:db8::1 STREAM\nbroken\n";
        assert_eq!(parse_ahosts(lines), ["192.0.2.1".parse::<IpAddr>().unwrap(), "2001:db8::1".parse().unwrap()]);
    }
}
