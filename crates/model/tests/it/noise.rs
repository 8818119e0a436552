//! Messages with broken bytes: whatever still decodes is judged without a panic.

use model::parse::{
    agent_call, executor_call, framework, group, operation, operator_call, registration, scheduler_call, task,
};
use model::{AgentCapabilities, parse::check};
use proptest::{collection::vec, prelude::*, test_runner::RngSeed};
use proto::{
    internal::ReregisterSlaveMessage,
    v1::{self, agent, executor, master, offer, scheduler, value},
};

fn config() -> ProptestConfig {
    ProptestConfig { rng_seed: RngSeed::Fixed(1), failure_persistence: None, cases: 2_000, ..Default::default() }
}

fn resource() -> v1::Resource {
    let mut resource = v1::Resource {
        name: "disk".into(),
        scalar: Some(value::Scalar { value: 8.0 }),
        role: Some("a/b".into()),
        reservation: Some(Box::new(v1::resource::ReservationInfo::default())),
        disk: Some(Box::new(v1::resource::DiskInfo {
            persistence: Some(v1::resource::disk_info::Persistence { id: "v".into(), principal: None }),
            volume: Some(v1::Volume { container_path: "x".into(), ..Default::default() }),
            source: Some(v1::resource::disk_info::Source::default()),
        })),
        ..Default::default()
    };
    resource.set_type(value::Type::Scalar);
    resource
}

fn task_info() -> v1::TaskInfo {
    let mut task = v1::TaskInfo {
        resources: vec![resource()],
        command: Some(v1::CommandInfo { value: Some("true".into()), ..Default::default() }),
        container: Some(Box::new(v1::ContainerInfo { volumes: vec![v1::Volume::default()], ..Default::default() })),
        check: Some(Box::new(v1::CheckInfo { r#type: Some(1), ..Default::default() })),
        health_check: Some(Box::new(v1::HealthCheck {
            r#type: Some(2),
            delay_seconds: Some(1.0),
            ..Default::default()
        })),
        ..Default::default()
    };
    task.task_id.value = "task".into();
    task.limits.insert("cpus".into(), value::Scalar { value: 1.0 });
    task
}

/// Overwrites single bytes of an encoded message, and decodes what is left of it.
fn broken<M: proto::Message>(message: &M, noise: &[(usize, u8)]) -> Option<M> {
    let mut bytes = proto::wire::encode(message).to_vec();
    for (at, byte) in noise {
        let length = bytes.len().max(1);
        if let Some(target) = bytes.get_mut(at % length) {
            *target = *byte;
        }
    }
    proto::wire::decode::<M>(&bytes).ok()
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn nothing_that_decodes_makes_a_check_panic(noise in vec((any::<usize>(), any::<u8>()), 0..4)) {
        let mut info = v1::FrameworkInfo { roles: vec!["a".into()], failover_timeout: Some(1.0), ..Default::default() };
        info.id = Some(v1::FrameworkId { value: "f".into() });
        if let Some(info) = broken(&info, &noise) {
            let _ = framework::framework_info(&info);
        }

        let mut launch = offer::Operation::default();
        launch.set_type(offer::operation::Type::LaunchGroup);
        launch.launch_group = Some(Box::new(offer::operation::LaunchGroup {
            executor: v1::ExecutorInfo { resources: vec![resource()], ..Default::default() },
            task_group: v1::TaskGroupInfo { tasks: vec![task_info()] },
        }));
        if let Some(mut operation) = broken(&launch, &noise) {
            let _ = operation::upgrade(&mut operation);
            operation::complete(&mut operation, "a", &v1::FrameworkId::default());
            let _ = resources::conversion::of_operation(&operation);
            if let Some(launch) = &operation.launch_group {
                for task in &launch.task_group.tasks {
                    let _ = task::task_id(task);
                    let _ = group::group_task(task, AgentCapabilities::ALL);
                }
                let _ = group::group_executor(&launch.task_group, &[], &launch.executor, "f", None);
                let _ = group::one_way_of_cgroups(&launch.task_group, &launch.executor, []);
            }
        }
        if let Some(task) = broken(&task_info(), &noise) {
            let _ = task::task_info(&task, AgentCapabilities::ALL);
            let _ = task.health_check.as_deref().map(check::health_check);
        }

        let status = v1::TaskStatus { uuid: Some(vec![0x40; 16].into()), source: Some(2), ..Default::default() };
        let update = executor::Call {
            r#type: Some(2),
            update: Some(executor::call::Update { status }),
            ..Default::default()
        };
        let _ = broken(&update, &noise).map(|call| executor_call(&call));
        let accept = scheduler::Call {
            r#type: Some(3),
            framework_id: info.id.clone(),
            accept: Some(scheduler::call::Accept { operations: vec![launch], ..Default::default() }),
            ..Default::default()
        };
        let _ = broken(&accept, &noise).map(|call| scheduler_call(&call));
        let reserve = master::Call {
            r#type: Some(19),
            reserve_resources: Some(master::call::ReserveResources { resources: vec![resource()], ..Default::default() }),
            ..Default::default()
        };
        let _ = broken(&reserve, &noise).map(|call| operator_call(&call));
        let container = agent::Call {
            r#type: Some(22),
            launch_container: Some(agent::call::LaunchContainer { resources: vec![resource()], ..Default::default() }),
            ..Default::default()
        };
        let _ = broken(&container, &noise).map(|call| agent_call(&call));
        let back = ReregisterSlaveMessage {
            checkpointed_resources: vec![resource()],
            frameworks: vec![info],
            tasks: vec![v1::Task { resources: vec![resource()], ..Default::default() }],
            ..Default::default()
        };
        let _ = broken(&back, &noise).map(|message| registration::reregister(&message));
    }
}
