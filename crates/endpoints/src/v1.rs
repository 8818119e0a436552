//! The same answers as messages of the v1 operator API, which masters and agents wrap into their own responses.

use bytes::Bytes;
use observe::{
    files::{Entry, FileError},
    metrics::Snapshot,
};
use proto::v1::{FileInfo, Flag, Metric, TimeInfo, VersionInfo};

use crate::{API_VERSION, BUILD_DATE, Common};

/// Why a file was not listed or read, as the API tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileProblem {
    /// 404 without a body.
    NotFound,
    /// 400
    Wrong(String),
    /// 500
    Failed(String),
}

/// What an error means to a caller.
pub fn file_problem(error: &FileError) -> FileProblem {
    match error {
        FileError::NotFound(_) => FileProblem::NotFound,
        FileError::IsDirectory(_) => FileProblem::Wrong("Cannot read a directory.\n".into()),
        FileError::Io(..) => FileProblem::Failed(error.to_string()),
    }
}

impl Common {
    pub fn version(&self) -> VersionInfo {
        VersionInfo {
            version: API_VERSION.into(),
            build_date: Some(BUILD_DATE.into()),
            build_time: Some(0.0),
            build_user: Some(String::new()),
            ..Default::default()
        }
    }

    pub fn flags(&self) -> Vec<Flag> {
        self.flags.iter().map(|(name, value)| Flag { name: name.clone(), value: Some(value.clone()) }).collect()
    }

    /// Every metric; `add` puts the server's own numbers in.
    pub async fn metrics(&self, add: impl AsyncFnOnce(&mut Snapshot)) -> Vec<Metric> {
        let mut snapshot = self.metrics.snapshot();
        add(&mut snapshot).await;
        snapshot.flat().into_iter().map(|(name, value)| Metric { name, value: Some(value) }).collect()
    }

    pub fn list_files(&self, path: &str) -> Result<Vec<FileInfo>, FileProblem> {
        let entries = self.entries(path).map_err(|e| file_problem(&e))?;
        Ok(entries.into_iter().map(file_info).collect())
    }

    /// The size of the file and some of its bytes.
    pub fn read_file(&self, path: &str, offset: u64, length: Option<u64>) -> Result<(u64, Bytes), FileProblem> {
        let (size, data) = self.files.read(path, offset, length).map_err(|e| file_problem(&e))?;
        Ok((size, data.into()))
    }
}

fn file_info(entry: Entry) -> FileInfo {
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
