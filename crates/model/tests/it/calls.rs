//! Calls that lack what their type demands, and calls that are whole.

use bytes::Bytes;
use model::parse::{agent_call, executor_call, operator_call, registration, scheduler_call, scheduler_principal};
use proto::{
    internal::{RegisterSlaveMessage, ReregisterSlaveMessage},
    v1::{
        self, CheckStatusInfo, ContainerId, FrameworkId, TaskState, agent, executor, master, scheduler, task_status,
        value,
    },
};

fn uuid() -> Bytes {
    Bytes::from_static(&[1, 2, 3, 4, 5, 6, 0x47, 8, 9, 10, 11, 12, 13, 14, 15, 16])
}

fn missing(field: &str) -> Result<(), String> {
    Err(format!("Expecting '{field}' to be present"))
}

#[test]
fn every_scheduler_call_names_its_content() {
    use scheduler::call::Type;
    let mut call = scheduler::Call::default();
    assert_eq!(scheduler_call(&call), missing("type"));
    call.r#type = Some(99);
    assert_eq!(scheduler_call(&call), missing("type"));
    call.set_type(Type::Accept);
    assert_eq!(scheduler_call(&call), missing("framework_id"));
    call.framework_id = Some(FrameworkId { value: "f".into() });

    let demands = [
        (Type::Subscribe, "subscribe"),
        (Type::Accept, "accept"),
        (Type::Decline, "decline"),
        (Type::AcceptInverseOffers, "accept_inverse_offers"),
        (Type::DeclineInverseOffers, "decline_inverse_offers"),
        (Type::Kill, "kill"),
        (Type::Shutdown, "shutdown"),
        (Type::Acknowledge, "acknowledge"),
        (Type::AcknowledgeOperationStatus, "acknowledge_operation_status"),
        (Type::Reconcile, "reconcile"),
        (Type::ReconcileOperations, "reconcile_operations"),
        (Type::Message, "message"),
        (Type::Request, "request"),
        (Type::UpdateFramework, "update_framework"),
    ];
    for (kind, field) in demands {
        call.set_type(kind);
        assert_eq!(scheduler_call(&call), missing(field), "{kind:?}");
    }
    for kind in [Type::Unknown, Type::Teardown, Type::Revive, Type::Suppress] {
        call.set_type(kind);
        assert_eq!(scheduler_call(&call), Ok(()), "{kind:?}");
    }

    call.set_type(Type::Acknowledge);
    call.acknowledge = Some(scheduler::call::Acknowledge::default());
    assert_eq!(scheduler_call(&call), Err("Not a valid UUID".into()));
    call.acknowledge = Some(scheduler::call::Acknowledge { uuid: uuid(), ..Default::default() });
    assert_eq!(scheduler_call(&call), Ok(()));

    call.set_type(Type::AcknowledgeOperationStatus);
    let acknowledge = scheduler::call::AcknowledgeOperationStatus { uuid: uuid(), ..Default::default() };
    call.acknowledge_operation_status = Some(Box::new(acknowledge));
    assert_eq!(scheduler_call(&call), missing("agent_id"));

    call.set_type(Type::UpdateFramework);
    call.update_framework = Some(Box::new(scheduler::call::UpdateFramework::default()));
    let differs = "'framework_id' differs from 'update_framework.framework_info.id'";
    assert_eq!(scheduler_call(&call), Err(differs.into()));
}

#[test]
fn a_subscriber_names_itself_once() {
    use scheduler::call::{Subscribe, Type};
    let mut call = scheduler::Call::default();
    call.set_type(Type::Subscribe);
    let mut subscribe = Subscribe::default();
    call.subscribe = Some(Box::new(subscribe.clone()));
    assert_eq!(scheduler_call(&call), Ok(()));
    call.framework_id = Some(FrameworkId { value: "f".into() });
    let differs = "'framework_id' differs from 'subscribe.framework_info.id'";
    assert_eq!(scheduler_call(&call), Err(differs.into()));
    subscribe.framework_info.id = call.framework_id.clone();
    subscribe.framework_info.principal = Some("b".into());
    call.subscribe = Some(Box::new(subscribe));
    assert_eq!(scheduler_call(&call), Ok(()));
    assert_eq!(scheduler_principal(&call, None), Ok(()));
    assert_eq!(scheduler_principal(&call, Some("b")), Ok(()));
    assert_eq!(
        scheduler_principal(&call, Some("a")),
        Err("Authenticated principal 'a' does not match principal 'b' set in `FrameworkInfo`".into())
    );
}

#[test]
fn an_executor_s_update_is_whole_and_its_own() {
    use executor::call::{Type, Update};
    let mut call = executor::Call::default();
    call.executor_id.value = "e".into();
    call.framework_id.value = "f".into();
    assert_eq!(executor_call(&call), missing("type"));
    for (kind, field) in [(Type::Subscribe, "subscribe"), (Type::Update, "update"), (Type::Message, "message")] {
        call.set_type(kind);
        assert_eq!(executor_call(&call), missing(field));
    }
    call.set_type(Type::Heartbeat);
    assert_eq!(executor_call(&call), Ok(()));

    call.set_type(Type::Update);
    let mut status = v1::TaskStatus::default();
    status.set_state(TaskState::TaskRunning);
    let mut judge = |status: &v1::TaskStatus| {
        call.update = Some(Update { status: status.clone() });
        executor_call(&call)
    };
    assert_eq!(judge(&status), missing("uuid"));
    status.uuid = Some(Bytes::from_static(b"short"));
    assert_eq!(judge(&status), Err("Not a valid UUID".into()));
    status.uuid = Some(uuid());
    status.executor_id = Some(v1::ExecutorId { value: "other".into() });
    let other = "ExecutorID in Call: e does not match ExecutorID in TaskStatus: other";
    assert_eq!(judge(&status), Err(other.into()));
    status.executor_id = None;
    let source = "Received Call from executor e of framework f with invalid source, expecting 'SOURCE_EXECUTOR'";
    assert_eq!(judge(&status), Err(source.into()));
    status.set_source(task_status::Source::Executor);
    assert_eq!(judge(&status), Ok(()));
    status.check_status = Some(CheckStatusInfo::default());
    assert_eq!(judge(&status), Err("CheckStatusInfo must specify 'type'".into()));
    status.check_status = None;
    status.set_state(TaskState::TaskStaging);
    let staging = "Received TASK_STAGING from executor e of framework f which is not allowed";
    assert_eq!(judge(&status), Err(staging.into()));
    status.state = 77;
    assert!(judge(&status).is_err());
}

#[test]
fn every_operator_call_names_its_content() {
    use master::call::Type;
    let mut call = master::Call::default();
    assert_eq!(operator_call(&call), missing("type"));
    let demands = [
        (Type::GetMetrics, "get_metrics"),
        (Type::SetLoggingLevel, "set_logging_level"),
        (Type::ListFiles, "list_files"),
        (Type::ReadFile, "read_file"),
        (Type::UpdateWeights, "update_weights"),
        (Type::ReserveResources, "reserve_resources"),
        (Type::UnreserveResources, "unreserve_resources"),
        (Type::CreateVolumes, "create_volumes"),
        (Type::DestroyVolumes, "destroy_volumes"),
        (Type::GrowVolume, "grow_volume"),
        (Type::ShrinkVolume, "shrink_volume"),
        (Type::UpdateMaintenanceSchedule, "update_maintenance_schedule"),
        (Type::StartMaintenance, "start_maintenance"),
        (Type::StopMaintenance, "stop_maintenance"),
        (Type::DrainAgent, "drain_agent"),
        (Type::DeactivateAgent, "deactivate_agent"),
        (Type::ReactivateAgent, "reactivate_agent"),
        (Type::UpdateQuota, "update_quota"),
        (Type::SetQuota, "set_quota"),
        (Type::RemoveQuota, "remove_quota"),
        (Type::Teardown, "teardown"),
        (Type::MarkAgentGone, "mark_agent_gone"),
    ];
    for number in 0..64 {
        let Ok(kind) = Type::try_from(number) else { continue };
        call.set_type(kind);
        let demanded = demands.iter().find(|(demanding, _)| *demanding == kind);
        assert_eq!(operator_call(&call), demanded.map_or(Ok(()), |(_, field)| missing(field)), "{kind:?}");
    }
    call.set_type(Type::GrowVolume);
    call.grow_volume = Some(master::call::GrowVolume::default());
    let on_agent = "Expecting 'agent_id' to be present; only agent default resources are supported right now";
    assert_eq!(operator_call(&call), Err(on_agent.into()));
    call.set_type(Type::ReserveResources);
    let nameless = v1::Resource { scalar: Some(value::Scalar { value: 1.0 }), ..Default::default() };
    call.reserve_resources = Some(master::call::ReserveResources { resources: vec![nameless], ..Default::default() });
    assert_eq!(operator_call(&call), Err("Resource ':1' is invalid: Empty resource name".into()));
}

fn container(path: &[&str]) -> ContainerId {
    let mut parent = None;
    for part in path {
        parent = Some(Box::new(ContainerId { value: (*part).into(), parent }));
    }
    parent.map(|id| *id).unwrap_or_default()
}

#[test]
fn every_agent_call_names_its_content() {
    use agent::call::Type;
    let mut call = agent::Call::default();
    assert_eq!(agent_call(&call), missing("type"));
    let demands = [
        (Type::GetMetrics, "get_metrics"),
        (Type::SetLoggingLevel, "set_logging_level"),
        (Type::ListFiles, "list_files"),
        (Type::ReadFile, "read_file"),
        (Type::LaunchNestedContainer, "launch_nested_container"),
        (Type::WaitNestedContainer, "wait_nested_container"),
        (Type::KillNestedContainer, "kill_nested_container"),
        (Type::RemoveNestedContainer, "remove_nested_container"),
        (Type::LaunchNestedContainerSession, "launch_nested_container_session"),
        (Type::AttachContainerInput, "attach_container_input"),
        (Type::AttachContainerOutput, "attach_container_output"),
        (Type::LaunchContainer, "launch_container"),
        (Type::WaitContainer, "wait_container"),
        (Type::KillContainer, "kill_container"),
        (Type::RemoveContainer, "remove_container"),
        (Type::AddResourceProviderConfig, "add_resource_provider_config"),
        (Type::UpdateResourceProviderConfig, "update_resource_provider_config"),
        (Type::RemoveResourceProviderConfig, "remove_resource_provider_config"),
        (Type::MarkResourceProviderGone, "mark_resource_provider_gone"),
    ];
    for number in 0..64 {
        let Ok(kind) = Type::try_from(number) else { continue };
        call.set_type(kind);
        let demanded = demands.iter().find(|(demanding, _)| *demanding == kind);
        assert_eq!(agent_call(&call), demanded.map_or(Ok(()), |(_, field)| missing(field)), "{kind:?}");
    }
}

#[test]
fn containers_are_named_where_they_belong() {
    use agent::call::{Type, WaitContainer, WaitNestedContainer};
    let mut call = agent::Call::default();
    call.set_type(Type::WaitContainer);
    let mut wait = |id| {
        call.wait_container = Some(WaitContainer { container_id: id });
        agent_call(&call)
    };
    assert_eq!(wait(container(&["a"])), Ok(()));
    assert_eq!(wait(container(&["a", "b"])), Ok(()));
    assert_eq!(
        wait(container(&["a", "b.c"])),
        Err("'wait_container.container_id' is invalid: 'ContainerID.value' 'b.c' contains invalid characters".into())
    );
    let mut call = agent::Call::default();
    call.set_type(Type::WaitNestedContainer);
    call.wait_nested_container = Some(WaitNestedContainer { container_id: container(&["a"]) });
    assert_eq!(agent_call(&call), missing("wait_nested_container.container_id.parent"));
}

#[test]
fn a_container_is_launched_from_what_is_nobody_s() {
    use agent::call::{LaunchContainer, Type};
    let judge = |path: &[&str], change: &dyn Fn(&mut LaunchContainer)| {
        let mut launch = LaunchContainer { container_id: container(path), ..Default::default() };
        change(&mut launch);
        let mut call = agent::Call::default();
        call.set_type(Type::LaunchContainer);
        call.launch_container = Some(launch);
        agent_call(&call)
    };
    let with = |role: &'static str, name: &'static str, amount: f64| {
        move |launch: &mut LaunchContainer| {
            let mut resource = v1::Resource {
                name: name.into(),
                scalar: Some(value::Scalar { value: amount }),
                role: Some(role.into()),
                ..Default::default()
            };
            resource.set_type(value::Type::Scalar);
            launch.resources.push(resource);
        }
    };
    let sharing = |share: bool| {
        move |launch: &mut LaunchContainer| {
            let linux_info = Some(v1::LinuxInfo { share_cgroups: Some(share), ..Default::default() });
            let mut info = v1::ContainerInfo { linux_info, ..Default::default() };
            info.set_type(v1::container_info::Type::Mesos);
            launch.container = Some(info);
        }
    };
    assert_eq!(judge(&["a"], &with("*", "cpus", 1.0)), Ok(()));
    assert_eq!(judge(&["a"], &with("r", "cpus", 1.0)), Err("'launch_container.resources' must be unreserved".into()));
    assert_eq!(judge(&["a", "b"], &with("r", "cpus", 1.0)), Ok(()));
    assert_eq!(
        judge(&["a"], &with("*", "gpus", 0.5)),
        Err("Invalid GPU resources: The 'gpus' resource must be an unsigned integer".into())
    );
    assert_eq!(
        judge(&["a", "b", "c"], &with("*", "cpus", 1.0)),
        Err("'launch_container' is invalid: containers nested at the second level or greater cannot specify resources"
            .into())
    );
    assert_eq!(judge(&["a", "b"], &sharing(false)), Ok(()));
    assert_eq!(
        judge(&["a", "b", "c"], &sharing(false)),
        Err("'launch_container' is invalid: containers nested at the second level or greater cannot set 'share_cgroups' to \
             'false'"
            .into())
    );
    assert_eq!(
        judge(&["a"], &sharing(true)),
        Err("'launch_container' is invalid: containers without a parent cannot set 'share_cgroups' to 'true'".into())
    );
}

#[test]
fn what_a_returning_agent_tells_hangs_together() {
    let mut message = ReregisterSlaveMessage::default();
    message.agent.id = Some(v1::AgentId { value: "a".into() });
    message.frameworks = vec![v1::FrameworkInfo { id: Some(FrameworkId { value: "f".into() }), ..Default::default() }];
    let mut executor = v1::ExecutorInfo { framework_id: Some(FrameworkId { value: "f".into() }), ..Default::default() };
    executor.executor_id.value = "e".into();
    message.executor_infos = vec![executor];
    let mut task = v1::Task { executor_id: Some(v1::ExecutorId { value: "e".into() }), ..Default::default() };
    task.task_id.value = "t".into();
    task.agent_id.value = "a".into();
    task.framework_id.value = "f".into();
    task.set_state(TaskState::TaskRunning);
    message.tasks = vec![task];
    assert_eq!(registration::reregister(&message), Ok(()));

    type Change = fn(&mut ReregisterSlaveMessage);
    let cases: [(Change, &str); 9] = [
        (|m| m.agent.id = Some(v1::AgentId { value: "a/b".into() }), "'a/b' contains invalid characters"),
        (|m| m.frameworks.push(m.frameworks[0].clone()), "Framework has a duplicate FrameworkID: 'f'"),
        (|m| m.executor_infos[0].framework_id = None, "Executor has an invalid FrameworkID ''"),
        (|m| m.executor_infos.push(m.executor_infos[0].clone()), "Framework 'f' has a duplicate ExecutorID 'e'"),
        (|m| m.tasks[0].task_id.value.clear(), "Task has an invalid TaskID: ID must not be empty"),
        (|m| m.tasks[0].agent_id.value = "b".into(), "Task has an invalid SlaveID 'b'"),
        (|m| m.tasks[0].framework_id.value = "g".into(), "Task has an invalid FrameworkID 'g'"),
        (|m| m.executor_infos.clear(), "Task has an invalid ExecutorID 'e'"),
        (
            |m| m.tasks[0].resources.push(v1::Resource::default()),
            "Task uses invalid resources: Resource ':0' is invalid: Empty resource name",
        ),
    ];
    for (change, why) in cases {
        let mut broken = message.clone();
        change(&mut broken);
        assert_eq!(registration::reregister(&broken), Err(why.into()));
    }
}

#[test]
fn a_new_agent_has_checkpoints_only_if_it_makes_them() {
    let mut message = RegisterSlaveMessage::default();
    assert_eq!(registration::register(&message), Ok(()));
    let mut resource =
        v1::Resource { name: "cpus".into(), scalar: Some(value::Scalar { value: 1.0 }), ..Default::default() };
    resource.set_type(value::Type::Scalar);
    message.checkpointed_resources = vec![resource];
    let why = "Checkpointed resources provided when checkpointing is not enabled";
    assert_eq!(registration::register(&message), Err(why.into()));
    message.agent.checkpoint = Some(true);
    assert_eq!(registration::register(&message), Ok(()));
}
