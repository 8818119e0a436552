//! The files of a task: which agent has them, under which path, and how to read them through that agent's API.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use bytes::Bytes;
use client::{AgentClient, Error, Options};
use proto::v1;

/// Bytes asked for at once; an agent may give fewer.
const PIECE_BYTES: u64 = 256 << 10;
const NOT_FOUND: u16 = 404;
const WORK_DIR_FLAG: &str = "work_dir";
const LATEST_RUN: &str = "latest";

/// Whose files.
#[derive(Clone, Debug)]
pub struct Place {
    /// `host:port` of the agent.
    pub address: String,
    pub agent_id: String,
    pub framework_id: String,
    pub executor_id: String,
    /// The newest run of the executor, if the container is not known.
    pub container: Option<v1::ContainerId>,
}

impl Place {
    /// Below the agent's work directory, as Mesos lays sandboxes out.
    fn path(&self) -> String {
        let Place { agent_id, framework_id, executor_id, .. } = self;
        let run = self.container.as_ref().map_or_else(|| LATEST_RUN.to_owned(), run_path);
        format!("slaves/{agent_id}/frameworks/{framework_id}/executors/{executor_id}/runs/{run}")
    }
}

fn run_path(container: &v1::ContainerId) -> String {
    match &container.parent {
        None => container.value.clone(),
        Some(parent) => format!("{}/containers/{}", run_path(parent), container.value),
    }
}

/// The executor of a task: a command task's has the task's name.
pub fn executor_of(task_id: &str, executor_id: Option<&v1::ExecutorId>) -> String {
    executor_id.map(|id| id.value.as_str()).filter(|id| !id.is_empty()).unwrap_or(task_id).to_owned()
}

/// The container that an update tells of.
pub fn container_of(status: &v1::TaskStatus) -> Option<v1::ContainerId> {
    status.container_status.as_ref()?.container_id.clone()
}

/// The sandboxes of a cluster. What is learned of an agent is kept.
#[derive(Debug, Default)]
pub struct Sandboxes {
    options: Options,
    agents: Mutex<BTreeMap<String, AgentFiles>>,
}

impl Sandboxes {
    /// `options` say who asks.
    pub fn new(options: Options) -> Sandboxes {
        Sandboxes { options, agents: Mutex::default() }
    }

    pub async fn open(&self, place: &Place) -> Result<Sandbox, Error> {
        let known = self.agents.lock().unwrap_or_else(PoisonError::into_inner).get(&place.address).cloned();
        let files = match known {
            Some(files) => files,
            None => {
                let files = AgentFiles::open(&place.address, self.options.clone()).await?;
                let mut agents = self.agents.lock().unwrap_or_else(PoisonError::into_inner);
                agents.insert(place.address.clone(), files.clone());
                files
            }
        };
        Ok(files.sandbox(place))
    }
}

/// The files of one agent.
#[derive(Clone, Debug)]
pub struct AgentFiles {
    client: AgentClient,
    work_dir: String,
}

impl AgentFiles {
    /// Asks the agent where it keeps sandboxes.
    pub async fn open(address: &str, options: Options) -> Result<AgentFiles, Error> {
        let client = AgentClient::with_options(address, options)?;
        let flags = client.get_flags().await?.flags;
        let work_dir = flags.into_iter().find(|flag| flag.name == WORK_DIR_FLAG).and_then(|flag| flag.value);
        let work_dir = work_dir.unwrap_or_default().trim_end_matches('/').to_owned();
        Ok(AgentFiles { client, work_dir })
    }

    pub fn sandbox(&self, place: &Place) -> Sandbox {
        Sandbox { client: self.client.clone(), directory: format!("{}/{}", self.work_dir, place.path()) }
    }

    /// The names in a directory below the agent's work directory, the newest first; none if there is no such directory.
    pub async fn list(&self, directory: &str) -> Result<Vec<String>, Error> {
        let mut found = match self.client.list_files(&format!("{}/{directory}", self.work_dir)).await {
            Ok(list) => list.file_infos,
            Err(Error::Refused { status, .. }) if status.as_u16() == NOT_FOUND => Vec::new(),
            Err(error) => return Err(error),
        };
        found.sort_by_key(|file| std::cmp::Reverse(file.mtime.as_ref().map_or(0, |time| time.nanoseconds)));
        let name = |file: v1::FileInfo| file.path.rsplit('/').next().map(str::to_owned);
        Ok(found.into_iter().filter_map(name).collect())
    }
}

/// One task's directory.
#[derive(Clone, Debug)]
pub struct Sandbox {
    client: AgentClient,
    directory: String,
}

/// A piece of a file.
#[derive(Clone, Debug, Default)]
pub struct Piece {
    /// Of the whole file.
    pub size: u64,
    pub data: Bytes,
}

impl Sandbox {
    pub fn path_of(&self, file: &str) -> String {
        format!("{}/{file}", self.directory)
    }

    /// Reads from `offset`; `None` if there is no such file (yet).
    pub async fn read(&self, file: &str, offset: u64) -> Result<Option<Piece>, Error> {
        self.read_piece(file, offset, PIECE_BYTES).await
    }

    /// The size of a file, if it is there.
    pub async fn size(&self, file: &str) -> Result<Option<u64>, Error> {
        Ok(self.read_piece(file, 0, 0).await?.map(|piece| piece.size))
    }

    async fn read_piece(&self, file: &str, offset: u64, length: u64) -> Result<Option<Piece>, Error> {
        match self.client.read_file(&self.path_of(file), offset, Some(length)).await {
            Ok(read) => Ok(Some(Piece { size: read.size, data: read.data })),
            Err(Error::Refused { status, .. }) if status.as_u16() == NOT_FOUND => Ok(None),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sandboxes_of_commands_and_of_containers_in_pods() {
        let id = |value: &str, parent: Option<v1::ContainerId>| v1::ContainerId {
            value: value.to_owned(),
            parent: parent.map(Box::new),
        };
        let mut place = Place {
            address: "h:5051".to_owned(),
            agent_id: "A".to_owned(),
            framework_id: "F".to_owned(),
            executor_id: "E".to_owned(),
            container: None,
        };
        assert_eq!(place.path(), "slaves/A/frameworks/F/executors/E/runs/latest");
        place.container = Some(id("c", None));
        assert_eq!(place.path(), "slaves/A/frameworks/F/executors/E/runs/c");
        place.container = Some(id("d", Some(id("c", None))));
        assert_eq!(place.path(), "slaves/A/frameworks/F/executors/E/runs/c/containers/d");
    }
}
