//! An operator's side: the v1 API of masters and agents, and the older endpoints that answer a GET.

use std::{fmt, marker::PhantomData};

use bytes::Bytes;
use proto::{
    Message,
    meseta::v1::{Explain, Explanations, GroupStatus, RemoveGroup, ResourceGroup, SetGroup},
    v1::{agent, master},
};
use transport::client::Records;

use crate::{Error, Masters, Options, masters::authority_with, reach::Reach};

const PATH: &str = "/api/v1";
const AGENT_PORT: u16 = 5051;

/// One of the two operator APIs.
pub trait Api: fmt::Debug + Clone {
    type Call: Message;
    type Response: Message;
}

/// The master's.
#[derive(Clone, Debug)]
pub struct MasterApi;

/// The agent's.
#[derive(Clone, Debug)]
pub struct AgentApi;

impl Api for MasterApi {
    type Call = master::Call;
    type Response = master::Response;
}

impl Api for AgentApi {
    type Call = agent::Call;
    type Response = agent::Response;
}

/// An operator's calls to one kind of server.
///
/// ```no_run
/// use client::{MasterClient, Masters};
///
/// # async fn run() -> Result<(), client::Error> {
/// let master = MasterClient::new("127.0.0.1:5050".parse::<Masters>()?);
/// for agent in master.get_agents().await?.agents {
///     println!("{}", agent.agent_info.hostname);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct OperatorClient<A: Api> {
    reach: Reach,
    api: PhantomData<A>,
}

/// Calls to the leading master.
pub type MasterClient = OperatorClient<MasterApi>;

/// Calls to one agent.
pub type AgentClient = OperatorClient<AgentApi>;

impl<A: Api> OperatorClient<A> {
    /// Sends any call; the answer is empty where the API says so.
    pub async fn call(&self, call: &A::Call) -> Result<Option<A::Response>, Error> {
        let content_type = self.reach.content_type();
        let reply = self.reach.post(PATH, content_type.encode(call), &[]).await?;
        match reply.body.is_empty() {
            true => Ok(None),
            false => Ok(Some(content_type.decode(&reply.body)?)),
        }
    }

    /// Opens a stream of records: a master's events, a container's output.
    pub async fn open(&self, call: &A::Call) -> Result<Records, Error> {
        let body = self.reach.content_type().encode(call);
        Ok(self.reach.open(PATH, body).await?.1)
    }

    /// The body of an older endpoint: `/state`, `/metrics/snapshot`, `/files/read?path=…`.
    pub async fn get(&self, path_and_query: &str) -> Result<Bytes, Error> {
        Ok(self.reach.get(path_and_query).await?.body)
    }

    /// The server that answered last, `host:port`.
    pub fn server(&self) -> Option<String> {
        self.reach.last()
    }

    async fn ask<T>(&self, call: A::Call, part: impl FnOnce(A::Response) -> Option<T>) -> Result<T, Error>
    where
        T: Default,
    {
        // A response whose part is empty may leave it out.
        Ok(self.call(&call).await?.and_then(part).unwrap_or_default())
    }
}

impl MasterClient {
    pub fn new(masters: Masters) -> MasterClient {
        MasterClient::with_options(masters, Options::default())
    }

    pub fn with_options(masters: Masters, options: Options) -> MasterClient {
        MasterClient { reach: Reach::new(masters, options).across_elections(), api: PhantomData }
    }

    /// The events of the cluster, as `master::Event`s.
    pub async fn subscribe(&self) -> Result<MasterEvents, Error> {
        let records = self.open(&master_call(master::call::Type::Subscribe)).await?;
        Ok(MasterEvents { client: self.clone(), records })
    }

    /// Asks the leader to let the next master lead, and to end. Masters of Apache Mesos do not know this.
    pub async fn hand_over(&self) -> Result<(), Error> {
        self.reach.post("/hand-over", Bytes::new(), &[]).await.map(drop)
    }

    pub async fn teardown(&self, framework_id: proto::v1::FrameworkId) -> Result<(), Error> {
        let teardown = master::call::Teardown { framework_id };
        let call = master::Call { teardown: Some(teardown), ..master_call(master::call::Type::Teardown) };
        self.call(&call).await.map(drop)
    }
}

/// Calls that change something and answer with nothing: each takes what the call carries.
macro_rules! changes {
    ($($(#[$doc:meta])* $name:ident $kind:ident $content:ident),* $(,)?) => {
        impl MasterClient {
            $(
                $(#[$doc])*
                pub async fn $name(&self, $name: master::call::$content) -> Result<(), Error> {
                    let call = master_call(master::call::Type::$kind);
                    self.call(&master::Call { $name: Some($name), ..call }).await.map(drop)
                }
            )*
        }
    };
}

changes! {
    /// Guarantees and limits of roles, all or none.
    update_quota UpdateQuota UpdateQuota,
    remove_quota RemoveQuota RemoveQuota,
    update_weights UpdateWeights UpdateWeights,
    /// Replaces the whole schedule.
    update_maintenance_schedule UpdateMaintenanceSchedule UpdateMaintenanceSchedule,
    /// Empties an agent: its tasks are ended, and nothing of it is offered.
    drain_agent DrainAgent DrainAgent,
    /// Nothing of the agent is offered; its tasks go on.
    deactivate_agent DeactivateAgent DeactivateAgent,
    /// Back to the offers, after either.
    reactivate_agent ReactivateAgent ReactivateAgent,
    start_maintenance StartMaintenance StartMaintenance,
    stop_maintenance StopMaintenance StopMaintenance,
    reserve_resources ReserveResources ReserveResources,
    unreserve_resources UnreserveResources UnreserveResources,
    create_volumes CreateVolumes CreateVolumes,
    destroy_volumes DestroyVolumes DestroyVolumes,
    grow_volume GrowVolume GrowVolume,
    shrink_volume ShrinkVolume ShrinkVolume,
}

impl AgentClient {
    /// `address` is `host:port`.
    pub fn new(address: &str) -> Result<AgentClient, Error> {
        AgentClient::with_options(address, Options::default())
    }

    pub fn with_options(address: &str, options: Options) -> Result<AgentClient, Error> {
        let agent: Masters = authority_with(address, AGENT_PORT)?.parse()?;
        Ok(AgentClient { reach: Reach::new(agent, options), api: PhantomData })
    }
}

/// The events of a cluster. Dropping it ends them.
#[derive(Debug)]
pub struct MasterEvents {
    client: MasterClient,
    records: Records,
}

impl MasterEvents {
    /// The next event; `None` when the master ended the stream.
    pub async fn next(&mut self) -> Result<Option<master::Event>, Error> {
        match self.records.next().await? {
            Some(record) => Ok(Some(self.client.reach.content_type().decode(&record)?)),
            None => Ok(None),
        }
    }
}

fn master_call(kind: master::call::Type) -> master::Call {
    master::Call { r#type: Some(kind as i32), ..Default::default() }
}

fn agent_call(kind: agent::call::Type) -> agent::Call {
    agent::Call { r#type: Some(kind as i32), ..Default::default() }
}

/// Calls that carry nothing but their type, and whose answer is one part of the response.
macro_rules! questions {
    ($client:ident, $module:ident, $typed:ident: $($name:ident $kind:ident $answer:ident),* $(,)?) => {
        impl $client {
            $(
                pub async fn $name(&self) -> Result<$module::response::$answer, Error> {
                    self.ask($typed($module::call::Type::$kind), |response| response.$name).await
                }
            )*
        }
    };
}

questions!(MasterClient, master, master_call:
    get_health GetHealth GetHealth,
    get_flags GetFlags GetFlags,
    get_version GetVersion GetVersion,
    get_state GetState GetState,
    get_agents GetAgents GetAgents,
    get_frameworks GetFrameworks GetFrameworks,
    get_executors GetExecutors GetExecutors,
    get_operations GetOperations GetOperations,
    get_tasks GetTasks GetTasks,
    get_roles GetRoles GetRoles,
    get_weights GetWeights GetWeights,
    get_master GetMaster GetMaster,
    get_quota GetQuota GetQuota,
    get_maintenance_status GetMaintenanceStatus GetMaintenanceStatus,
    get_maintenance_schedule GetMaintenanceSchedule GetMaintenanceSchedule,
);

questions!(AgentClient, agent, agent_call:
    get_health GetHealth GetHealth,
    get_flags GetFlags GetFlags,
    get_version GetVersion GetVersion,
    get_state GetState GetState,
    get_agent GetAgent GetAgent,
    get_frameworks GetFrameworks GetFrameworks,
    get_executors GetExecutors GetExecutors,
    get_operations GetOperations GetOperations,
    get_tasks GetTasks GetTasks,
);

/// Calls that masters and agents have alike but for their types.
macro_rules! files_and_metrics {
    ($client:ident, $module:ident, $typed:ident) => {
        impl $client {
            pub async fn list_files(&self, path: &str) -> Result<$module::response::ListFiles, Error> {
                let list_files = Some($module::call::ListFiles { path: path.to_owned() });
                let call = $module::Call { list_files, ..$typed($module::call::Type::ListFiles) };
                self.ask(call, |response| response.list_files).await
            }

            /// Reads a file below a virtual path; `length` is bounded by the server.
            pub async fn read_file(
                &self,
                path: &str,
                offset: u64,
                length: Option<u64>,
            ) -> Result<$module::response::ReadFile, Error> {
                let read_file = Some($module::call::ReadFile { path: path.to_owned(), offset, length });
                let call = $module::Call { read_file, ..$typed($module::call::Type::ReadFile) };
                self.ask(call, |response| response.read_file).await
            }

            pub async fn get_metrics(&self) -> Result<$module::response::GetMetrics, Error> {
                let get_metrics = Some($module::call::GetMetrics::default());
                let call = $module::Call { get_metrics, ..$typed($module::call::Type::GetMetrics) };
                self.ask(call, |response| response.get_metrics).await
            }
        }
    };
}

files_and_metrics!(MasterClient, master, master_call);
files_and_metrics!(AgentClient, agent, agent_call);

/// What only Meseta's master answers: its resource groups, and why frameworks get no offers.
impl MasterClient {
    pub async fn get_groups(&self) -> Result<Vec<GroupStatus>, Error> {
        let call = master_call(master::call::Type::GetGroups);
        self.ask(call, |response| response.get_groups.map(|all| all.groups)).await
    }

    /// Adds a group, or puts it in place of the one of its name. `force` sets it even if the cluster is too small for
    /// what groups are guaranteed.
    pub async fn set_group(&self, group: ResourceGroup, force: bool) -> Result<(), Error> {
        let set_group = Some(SetGroup { group, force: Some(force) });
        let call = master::Call { set_group, ..master_call(master::call::Type::SetGroup) };
        self.call(&call).await.map(drop)
    }

    pub async fn remove_group(&self, name: &str) -> Result<(), Error> {
        let remove_group = Some(RemoveGroup { name: name.to_owned() });
        let call = master::Call { remove_group, ..master_call(master::call::Type::RemoveGroup) };
        self.call(&call).await.map(drop)
    }

    /// How frameworks stand in their roles: one framework, or those of one role and the roles below it, or with neither
    /// all.
    pub async fn explain(
        &self,
        framework_id: Option<proto::v1::FrameworkId>,
        role: Option<String>,
    ) -> Result<Explanations, Error> {
        let explain = Some(Explain { framework_id, role });
        let call = master::Call { explain, ..master_call(master::call::Type::Explain) };
        self.ask(call, |response| response.explain).await
    }
}
