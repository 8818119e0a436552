//! Who asks: what a request proves with its headers, and where nothing has to be proved, where its connection comes
//! from. What the asker may do is the core's to judge (`agent_core`'s `rights`); which endpoints ask for a proof stands
//! with them (`http`).

mod lookups;

use std::{sync::Arc, time::Duration};

use agent_core::Caller;
use containers::{Connection, Containers, Origin};
use endpoints::{Door, Doors};
use transport::{
    HeaderMap, Response,
    auth::jwt::{self, Claims, Key},
    header::AUTHORIZATION,
    refuse,
};

use self::lookups::Lookups;
use crate::{authentication::REALMS, world::translate};

/// How often, and after which pauses, a connection is looked at again whose process may be that of a container that is
/// just being launched.
const LAUNCH_LOOKS: u32 = 50;
const LAUNCH_PAUSE: Duration = Duration::from_millis(20);

/// Knows the doors, the key of executors' tokens, and the machine's processes.
pub struct Access {
    doors: Doors,
    key: Option<Key>,
    machine: Option<Machine>,
}

/// Finds out which process calls.
struct Machine {
    containers: Containers,
    own_uid: u32,
    lookups: Lookups,
}

/// What a request proves by itself.
#[derive(Clone, Debug, PartialEq)]
pub enum Proof {
    /// An operator, by a credential.
    Operator,
    /// An executor, by its token.
    Token(Claims),
    /// A container that calls over our own socket, at a door that is locked for others.
    Container(Caller),
    /// Nothing, and nothing is asked for.
    None,
}

impl Access {
    /// Without `containers` nobody is told apart who shows nothing: everybody may do everything, as in Mesos.
    pub fn new(doors: Doors, key: Option<Key>, containers: Option<Containers>) -> Access {
        let own_uid = nix::unistd::geteuid().as_raw();
        let machine = containers.map(|containers| {
            let looking = containers.clone();
            let look = move |connections: &[Connection]| looking.origins_of_connections(connections);
            Machine { containers, own_uid, lookups: Lookups::new(look) }
        });
        Access { doors, key, machine }
    }

    pub fn is_locked(&self, door: Door) -> bool {
        self.doors.is_locked(door)
    }

    /// What the headers prove at a door that asks for credentials only.
    pub fn check(&self, door: Door, headers: &HeaderMap) -> Result<(), Response> {
        self.doors.check(door, headers).map(drop)
    }

    /// What a request proves at a door that executors come to, too; or the 401.
    pub async fn admit(
        &self,
        door: Door,
        headers: &HeaderMap,
        from: &Arc<transport::Caller>,
    ) -> Result<Proof, Response> {
        if let (Some(key), Some(token)) = (&self.key, jwt::bearer(headers)) {
            let now = u64::try_from(stdx::clock::wall().as_secs_f64() as i64).unwrap_or(0);
            let wrong = |error: jwt::TokenError| refuse::token_wanted(realm(door), Some(&error.to_string()));
            return key.verify(token, now).map(Proof::Token).map_err(wrong);
        }
        if !self.doors.is_locked(door) {
            return Ok(Proof::None);
        }
        match self.doors.check(door, headers) {
            Ok(_) => Ok(Proof::Operator),
            // Whom the kernel names need not show anything.
            Err(_) if from.process.is_some() && !headers.contains_key(AUTHORIZATION) => {
                match self.caller_at(from).await {
                    caller @ Caller::Container(_) => Ok(Proof::Container(caller)),
                    _ => Err(refusal(door)),
                }
            }
            Err(_) if door == Door::Clients => Err(refusal(door)),
            Err(refusal) => Err(refusal),
        }
    }

    /// On whose behalf a request comes that proved this.
    pub async fn caller(&self, proof: &Proof, from: &Arc<transport::Caller>) -> Caller {
        match proof {
            Proof::Operator => Caller::Operator,
            Proof::Container(caller) => caller.clone(),
            Proof::Token(claims) => match claims.get("cid").filter(|cid| !cid.is_empty() && !cid.contains('.')) {
                Some(cid) => Caller::Container(agent_core::ContainerId::root_of(cid)),
                None => Caller::Stranger("the token names no container ('cid')".into()),
            },
            Proof::None => self.caller_at(from).await,
        }
    }

    /// Who is at the other end of a connection, as the kernel tells.
    pub async fn caller_at(&self, from: &Arc<transport::Caller>) -> Caller {
        let Some(machine) = &self.machine else { return Caller::Operator };
        match machine.origin(from).await {
            Origin::Container(id) => Caller::Container(translate::container_id(&id)),
            Origin::Machine { uid } if uid == 0 || uid == machine.own_uid => Caller::Operator,
            Origin::Machine { uid } => Caller::User(uid),
            Origin::Elsewhere => Caller::Network,
            Origin::Unclear(why) => Caller::Stranger(format!("it is unknown who calls: {why}")),
            Origin::Launching => Caller::Stranger("a container is just being launched that may be the caller".into()),
        }
    }
}

impl Machine {
    /// A connection is looked up once; what is unclear is looked up again.
    async fn origin(&self, from: &Arc<transport::Caller>) -> Origin {
        if let Some(known) = from.kept() {
            return known;
        }
        let mut origin = self.look(from).await;
        for _ in 0..LAUNCH_LOOKS {
            if origin != Origin::Launching {
                break;
            }
            tokio::time::sleep(LAUNCH_PAUSE).await;
            origin = self.look(from).await;
        }
        if !matches!(origin, Origin::Launching | Origin::Unclear(_)) {
            from.keep(origin.clone());
        }
        origin
    }

    async fn look(&self, from: &Arc<transport::Caller>) -> Origin {
        if let Some(process) = &from.process {
            return self.containers.origin_of_process(process.pid, process.uid, process.held());
        }
        let Some(local) = from.local else { return Origin::Unclear("its connection has no address") };
        self.lookups.look(Connection { remote: from.remote, local }).await
    }
}

fn refusal(door: Door) -> Response {
    match door {
        Door::Clients => refuse::token_wanted(realm(door), None),
        _ => refuse::unauthorized(realm(door)),
    }
}

fn realm(door: Door) -> &'static str {
    match door {
        Door::Clients => REALMS.clients,
        Door::Readonly => REALMS.readonly,
        Door::Readwrite | Door::Open => REALMS.readwrite,
    }
}
