//! The file of `--whitelist`: read at the start and every few seconds after, told to the core when it changed. What
//! being on the list means is the allocator's business.

use std::{collections::BTreeSet, io, path::PathBuf, time::Duration};

use master_core::Event;

use crate::traffic::Inbox;

/// As often as a master of Mesos reads it.
const INTERVAL: Duration = Duration::from_secs(5);

/// A file of hostnames, and what it said last.
#[derive(Debug)]
pub struct Whitelist {
    path: PathBuf,
    last: BTreeSet<String>,
    /// Whether it could not be read when it was last tried.
    failed: bool,
}

impl Whitelist {
    /// What the flag asks for, with the list as it is now; nothing if all agents are offered. A list that cannot be
    /// read from the beginning would be a mistake that offers everything, or nothing.
    pub fn open(setting: Option<&str>) -> Result<Option<(Whitelist, BTreeSet<String>)>, String> {
        let Some(setting) = setting.filter(|setting| *setting != "*") else { return Ok(None) };
        let path = PathBuf::from(setting.strip_prefix("file://").unwrap_or(setting));
        let text = std::fs::read_to_string(&path).map_err(|why| format!("--whitelist: {}: {why}", path.display()))?;
        let last = hostnames(&text);
        Ok(Some((Whitelist { path, last: last.clone(), failed: false }, last)))
    }

    /// Tells the loop of changes, for as long as there is one.
    pub async fn watch(mut self, inbox: Inbox) {
        loop {
            tokio::time::sleep(INTERVAL).await;
            let text = tokio::fs::read_to_string(&self.path).await;
            if let Some(hostnames) = self.changed(text) {
                tracing::info!(path = %self.path.display(), agents = hostnames.len(), "the whitelist changed");
                inbox.put(Event::Whitelist { hostnames: Some(hostnames) }).await;
            }
        }
    }

    /// The list, if it is another one now.
    fn changed(&mut self, text: io::Result<String>) -> Option<BTreeSet<String>> {
        let failed = text.is_err();
        if let Err(why) = &text
            && !self.failed
        {
            tracing::warn!(path = %self.path.display(), %why, "the whitelist cannot be read; the last one holds");
        }
        self.failed = failed;
        let list = hostnames(&text.ok()?);
        (list != self.last).then(|| {
            self.last = list.clone();
            list
        })
    }
}

fn hostnames(text: &str) -> BTreeSet<String> {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_read_and_changes_are_told_once() {
        let file = tempfile::NamedTempFile::new().unwrap_or_else(|why| panic!("{why}"));
        let path = file.path().display().to_string();
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
        std::fs::write(file.path(), "a\n\n  b.example \r\n").unwrap_or_else(|why| panic!("{why}"));
        for setting in [path.clone(), format!("file://{path}")] {
            let (mut whitelist, first) = Whitelist::open(Some(&setting)).ok().flatten().unwrap_or_else(|| panic!());
            assert_eq!(first, names(&["a", "b.example"]));
            assert_eq!(whitelist.changed(Ok("b.example\na".into())), None);
            assert_eq!(whitelist.changed(Ok("a".into())), Some(names(&["a"])));
            assert_eq!(whitelist.changed(Err(io::Error::other("away"))), None);
            assert_eq!(whitelist.changed(Ok("a\n".into())), None);
            assert_eq!(whitelist.changed(Ok(String::new())), Some(names(&[])), "an empty list offers nothing");
        }
    }

    #[test]
    fn a_star_is_no_list_and_a_file_that_is_not_there_is_refused() {
        assert!(Whitelist::open(None).is_ok_and(|none| none.is_none()));
        assert!(Whitelist::open(Some("*")).is_ok_and(|none| none.is_none()));
        let error = Whitelist::open(Some("/no/such/list")).err().unwrap_or_default();
        assert!(error.starts_with("--whitelist: /no/such/list: "), "{error}");
    }
}
