//! Which endpoints ask who is there. Each door is one of Mesos's authentication realms; a door without credentials lets
//! everybody in, nameless.

use transport::{
    HeaderMap, Response,
    auth::{Authenticator, Principal, basic::Basic, credentials::Credential},
};

/// The way to an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// Open to everybody always.
    Open,
    Readonly,
    Readwrite,
    /// For the schedulers of a master, the executors of an agent.
    Clients,
}

/// The names of a server's realms.
#[derive(Clone, Copy, Debug)]
pub struct Realms {
    pub readonly: &'static str,
    pub readwrite: &'static str,
    pub clients: &'static str,
}

/// A server's doors and who has a key to them.
#[derive(Clone, Debug)]
pub struct Doors {
    realms: Realms,
    keys: Basic,
    locked: Locked,
}

/// Which doors are locked.
#[derive(Clone, Copy, Debug, Default)]
pub struct Locked {
    pub readonly: bool,
    pub readwrite: bool,
    pub clients: bool,
}

impl Doors {
    /// Where readers must say who they are, so must those who change something.
    pub fn new(realms: Realms, credentials: Vec<Credential>, locked: Locked) -> Doors {
        let locked = Locked { readwrite: locked.readwrite || locked.readonly, ..locked };
        Doors { realms, keys: Basic::new(credentials), locked }
    }

    pub fn is_locked(&self, door: Door) -> bool {
        match door {
            Door::Open => false,
            Door::Readonly => self.locked.readonly,
            Door::Readwrite => self.locked.readwrite,
            Door::Clients => self.locked.clients,
        }
    }

    /// The name of who sent a request with these headers, or the 401.
    pub fn check(&self, door: Door, headers: &HeaderMap) -> Result<Option<Principal>, Response> {
        let realm = match door {
            _ if !self.is_locked(door) => return Ok(None),
            Door::Open => return Ok(None),
            Door::Readonly => self.realms.readonly,
            Door::Readwrite => self.realms.readwrite,
            Door::Clients => self.realms.clients,
        };
        self.keys.authenticate(realm, headers).map_err(Response::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REALMS: Realms = Realms { readonly: "r", readwrite: "rw", clients: "c" };

    fn open(locked: Locked) -> [bool; 4] {
        let doors = Doors::new(REALMS, vec![Credential::new("alice", "s3cret")], locked);
        [Door::Open, Door::Readonly, Door::Readwrite, Door::Clients]
            .map(|door| doors.check(door, &HeaderMap::new()).is_ok())
    }

    #[test]
    fn who_may_not_read_may_not_write() {
        assert_eq!(open(Locked::default()), [true; 4]);
        assert_eq!(open(Locked { readonly: true, ..Locked::default() }), [true, false, false, true]);
        assert_eq!(open(Locked { readwrite: true, ..Locked::default() }), [true, true, false, true]);
        assert_eq!(open(Locked { clients: true, ..Locked::default() }), [true, true, true, false]);
    }
}
