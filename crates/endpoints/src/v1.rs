//! The same answers as messages of the v1 API.

use observe::{files::Entry, metrics::Snapshot};
use proto::v1::{FileInfo, Flag, Metric, TimeInfo, VersionInfo};

use crate::{API_VERSION, BUILD_DATE, Common};

impl Common {
    pub(crate) fn version(&self) -> VersionInfo {
        VersionInfo {
            version: API_VERSION.into(),
            build_date: Some(BUILD_DATE.into()),
            build_time: Some(0.0),
            build_user: Some(String::new()),
            ..Default::default()
        }
    }

    pub(crate) fn flags(&self) -> Vec<Flag> {
        self.flags.iter().map(|(name, value)| Flag { name: name.clone(), value: Some(value.clone()) }).collect()
    }

    /// Every metric; `add` puts the server's own numbers in.
    pub(crate) async fn metrics(&self, add: impl AsyncFnOnce(&mut Snapshot)) -> Vec<Metric> {
        let mut snapshot = self.metrics.snapshot();
        add(&mut snapshot).await;
        snapshot.flat().into_iter().map(|(name, value)| Metric { name, value: Some(value) }).collect()
    }
}

pub(crate) fn file_info(entry: Entry) -> FileInfo {
    FileInfo {
        path: entry.path,
        nlink: Some(i32::try_from(entry.nlink).unwrap_or(i32::MAX)),
        size: Some(entry.size),
        mtime: Some(TimeInfo { nanoseconds: (entry.mtime as i64).saturating_mul(1_000_000_000) }),
        mode: Some(entry.mode),
        uid: Some(entry.uid),
        gid: Some(entry.gid),
    }
}
