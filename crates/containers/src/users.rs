//! The users of this host, remembered for a short while: a lookup may cost more than a launch.

use std::{
    collections::BTreeMap,
    sync::{Mutex, OnceLock},
    time::{Duration, Instant},
};

use kernel::credentials;

use crate::{mutex::lock, record::UserIds};

const REMEMBERED: Duration = Duration::from_secs(10);
const MOST: usize = 1024;

#[derive(Debug, Default)]
pub struct Users {
    known: Mutex<BTreeMap<String, (Instant, User)>>,
    own: OnceLock<Option<String>>,
}

#[derive(Clone, Debug)]
struct User {
    ids: UserIds,
    home: String,
}

impl Users {
    pub fn find(&self, name: &str) -> Result<UserIds, String> {
        self.look_up(name).map(|user| user.ids)
    }

    /// What programs look for to learn who they are, `USER` and `HOME`, for those who run as `name`, or as this
    /// process. Nothing for a user without a name.
    pub fn environment(&self, name: Option<&str>) -> Vec<(String, String)> {
        let own = || self.own.get_or_init(|| stdx::users::name_of(credentials::own_ids().0)).as_deref();
        let Some(name) = name.or_else(own) else { return Vec::new() };
        let home = self.look_up(name).map(|user| user.home).unwrap_or_default();
        let home = if home.is_empty() { "/".to_owned() } else { home };
        vec![("USER".to_owned(), name.to_owned()), ("HOME".to_owned(), home)]
    }

    fn look_up(&self, name: &str) -> Result<User, String> {
        let mut known = lock(&self.known);
        if let Some((at, user)) = known.get(name)
            && at.elapsed() < REMEMBERED
        {
            return Ok(user.clone());
        }
        let stdx::users::Ids { uid, gid, groups, home } = stdx::users::find(name)?;
        let user = User { ids: UserIds { uid, gid, groups }, home };
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(name.to_owned(), (Instant::now(), user.clone()));
        Ok(user)
    }
}
