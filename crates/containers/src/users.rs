//! The ids of users, remembered for a short while: a lookup may cost more than a launch.

use crate::{mutex::lock, record::UserIds};
use std::{
    collections::BTreeMap,
    sync::Mutex,
    time::{Duration, Instant},
};

const REMEMBERED: Duration = Duration::from_secs(10);
const MOST: usize = 1024;

#[derive(Debug, Default)]
pub struct Users {
    known: Mutex<BTreeMap<String, (Instant, UserIds)>>,
}

impl Users {
    pub fn find(&self, name: &str) -> Result<UserIds, String> {
        let mut known = lock(&self.known);
        if let Some((at, ids)) = known.get(name)
            && at.elapsed() < REMEMBERED
        {
            return Ok(ids.clone());
        }
        let stdx::users::Ids { uid, gid, groups } = stdx::users::find(name)?;
        let ids = UserIds { uid, gid, groups };
        if known.len() >= MOST {
            known.clear();
        }
        known.insert(name.to_owned(), (Instant::now(), ids.clone()));
        Ok(ids)
    }
}
