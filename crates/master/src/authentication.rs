//! From flags to who must prove what: drivers and agents over libprocess, everybody else on HTTP.

use endpoints::{Doors, Locked, Realms};
use master_core::Event;
use stdx::flags::Values;
use transport::{
    Node,
    auth::{
        authenticator::{OnProgress, PeerAuthenticator, Progress},
        credentials::{self, Credential},
    },
};

use crate::traffic::Inbox;

const REALMS: Realms = Realms {
    readonly: "mesos-master-readonly",
    readwrite: "mesos-master-readwrite",
    clients: "mesos-master-scheduler",
};

/// The flags, understood.
#[derive(Debug)]
pub struct Authentication {
    credentials: Option<Vec<Credential>>,
    locked: Locked,
    timeout: std::time::Duration,
}

impl Authentication {
    pub fn new(values: &Values) -> Result<Authentication, String> {
        for (flag, only) in [
            ("authenticators", "crammd5"),
            ("http_authenticators", "basic"),
            ("http_framework_authenticators", "basic"),
        ] {
            let given = values.text(flag).unwrap_or(only);
            if given != only {
                return Err(format!("--{flag}: '{given}' is not {only}, the only one there is"));
            }
        }
        let credentials = match values.text("credentials") {
            Some(path) => Some(credentials::read_all(path).map_err(|e| format!("--credentials: {path}: {e}"))?),
            None => None,
        };
        for flag in [
            "authenticate_frameworks",
            "authenticate_agents",
            "authenticate_http_readonly",
            "authenticate_http_readwrite",
            "authenticate_http_frameworks",
        ] {
            if values.switch(flag) && credentials.is_none() {
                return Err(format!("--{flag} needs --credentials, a file of those who may come in"));
            }
        }
        let locked = Locked {
            readonly: values.switch("authenticate_http_readonly"),
            readwrite: values.switch("authenticate_http_readwrite"),
            clients: values.switch("authenticate_http_frameworks"),
        };
        if locked.readwrite && !locked.clients {
            tracing::warn!(
                "--authenticate_http_readwrite does not guard the scheduler API: whoever reaches this master can run \
                 tasks; --authenticate_http_frameworks guards it"
            );
        }
        Ok(Authentication { credentials, locked, timeout: values.needed_duration("authentication_v0_timeout")? })
    }

    pub fn doors(&self) -> Doors {
        Doors::new(REALMS, self.credentials.clone().unwrap_or_default(), self.locked)
    }

    /// Hears drivers and agents out, and tells the core.
    pub fn of_peers(self, hostname: String, node: Node, inbox: Inbox) -> PeerAuthenticator {
        PeerAuthenticator::new(self.credentials, self.timeout, hostname, node, teller(inbox))
    }
}

fn teller(inbox: Inbox) -> OnProgress {
    Box::new(move |progress| {
        inbox.offer(match progress {
            Progress::Begun(peer) => Event::Authenticating { peer },
            Progress::Proved(peer, principal) => Event::Authenticated { peer, principal: Some(principal.to_string()) },
            Progress::Failed(peer) => Event::Authenticated { peer, principal: None },
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::TABLE;

    fn read(args: &[&str]) -> Result<Authentication, String> {
        let values = stdx::flags::parse(&TABLE, "MESOS_", args.iter().map(|a| (*a).to_owned()), [])?;
        Authentication::new(&values)
    }

    #[test]
    fn without_credentials_nothing_can_be_asked_for() {
        assert!(read(&[]).is_ok());
        for flag in
            ["authenticate", "authenticate_slaves", "authenticate_http_readonly", "authenticate_http_frameworks"]
        {
            let error = read(&[&format!("--{flag}")]).unwrap_err();
            assert!(error.contains("needs --credentials"), "{error}");
        }
        assert!(read(&["--authenticators=gssapi"]).unwrap_err().contains("'gssapi' is not crammd5"));
        assert!(read(&["--credentials=/nowhere/at/all"]).unwrap_err().contains("/nowhere/at/all"));
    }
}
