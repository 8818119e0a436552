//! Executors and their agent. The test plays an executor whose command only sleeps.

use std::{collections::BTreeMap, path::Path, time::Duration};

use bytes::Bytes;
use proto::{
    Upid, internal,
    v1::{self, TaskState, scheduler::call, task_status::Source},
};
use testkit::Options;

use super::peer::{Peer, cluster, framework, launch, master, sandbox, task};

/// What the agent put into the executor's environment.
async fn environment(sandbox: &Path) -> BTreeMap<String, String> {
    let done = sandbox.join("environment.done");
    let written = async {
        while !done.exists() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let in_time = tokio::time::timeout(Duration::from_secs(30), written).await;
    assert!(in_time.is_ok(), "no {}", done.display());
    let text = std::fs::read_to_string(sandbox.join("environment")).unwrap();
    text.lines().filter_map(|line| line.split_once('=')).map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
}

fn status(task: &str, state: TaskState, framework: &v1::FrameworkId, uuid: u8) -> internal::StatusUpdate {
    let mut bytes = [uuid; 16];
    (bytes[6], bytes[8]) = (0x40, 0x80);
    let mut status = v1::TaskStatus { task_id: v1::TaskId { value: task.into() }, ..Default::default() };
    status.set_state(state);
    status.set_source(Source::Executor);
    internal::StatusUpdate {
        framework_id: framework.clone(),
        executor_id: Some(v1::ExecutorId { value: "e".into() }),
        agent_id: None,
        status,
        timestamp: 1.0,
        uuid: Some(Bytes::copy_from_slice(&bytes)),
        latest_state: None,
    }
}

#[tokio::test]
async fn an_executor_gets_tasks_speaks_with_its_framework_and_survives_its_agent() {
    let mut cluster =
        cluster(Options { agent_flags: vec!["--executor_reregistration_timeout=15secs".into()], ..Options::default() });
    let (master, mut driver) = (master(&cluster), Peer::new("scheduler-1").await);
    driver.subscribe(&master, framework("with an executor"), false);
    let id = driver.hear::<internal::FrameworkRegisteredMessage>().await.1.framework_id;
    let offers = driver.hear::<internal::ResourceOffersMessage>().await.1;
    let (offer, agent) = (&offers.offers[0], offers.pids[0].parse::<Upid>().unwrap());
    let command = "env > environment; touch environment.done; sleep 1000";
    driver.call(&master, call::Type::Accept, Some(&id), |call| {
        call.accept = Some(launch(offer, vec![task("t", offer, command, Some("e"))]));
    });

    let given = environment(&sandbox(&cluster, &offer.agent_id, &id, "e")).await;
    assert_eq!(given["MESOS_SLAVE_PID"], agent.to_string());
    assert_eq!(given["MESOS_SLAVE_ID"], offer.agent_id.value);
    assert_eq!((&*given["MESOS_FRAMEWORK_ID"], &*given["MESOS_EXECUTOR_ID"]), (&*id.value, "e"));
    assert_eq!((&*given["MESOS_CHECKPOINT"], &*given["LIBPROCESS_PORT"]), ("1", "0"));
    assert!(given.contains_key("MESOS_RECOVERY_TIMEOUT") && given.contains_key("MESOS_DIRECTORY"));

    let mut executor = Peer::new("executor(1)").await;
    let executor_id = v1::ExecutorId { value: "e".into() };
    let register = internal::RegisterExecutorMessage { framework_id: id.clone(), executor_id: executor_id.clone() };
    executor.say(&agent, &register);
    let (from, registered) = executor.hear::<internal::ExecutorRegisteredMessage>().await;
    assert_eq!((&from, &registered.agent_id), (&agent, &offer.agent_id));
    assert_eq!(registered.framework_info.id.as_ref(), Some(&id));
    let run = executor.hear::<internal::RunTaskMessage>().await.1;
    assert_eq!(run.task.task_id.value, "t");

    let update = |state, uuid| internal::StatusUpdateMessage {
        update: status("t", state, &id, uuid),
        pid: Some(executor.upid.to_string()),
    };
    let (running, finished) = (update(TaskState::TaskRunning, 1), update(TaskState::TaskFinished, 2));
    executor.say(&agent, &running);
    let taken = executor.hear::<internal::StatusUpdateAcknowledgementMessage>().await.1;
    assert_eq!(Some(&taken.uuid), running.update.uuid.as_ref());
    let told = driver.update(&master, "t", TaskState::TaskRunning).await;
    assert_eq!(told.source(), Source::Executor);

    // Messages, by way of the master, by a driver's short cut, and back.
    let (agent_id, data) = (offer.agent_id.clone(), Bytes::from_static(b"hello"));
    driver.call(&master, call::Type::Message, Some(&id), |call| {
        let (agent_id, executor_id) = (agent_id.clone(), executor_id.clone());
        call.message = Some(call::Message { agent_id, executor_id, data: data.clone() });
    });
    assert_eq!(executor.hear::<internal::FrameworkToExecutorMessage>().await.1.data, data);
    let direct = internal::FrameworkToExecutorMessage {
        agent_id: agent_id.clone(),
        framework_id: id.clone(),
        executor_id: executor_id.clone(),
        data: Bytes::from_static(b"directly"),
    };
    driver.say(&agent, &direct);
    assert_eq!(executor.hear::<internal::FrameworkToExecutorMessage>().await.1.data, "directly");
    let back = internal::ExecutorToFrameworkMessage {
        agent_id: agent_id.clone(),
        framework_id: id.clone(),
        executor_id: executor_id.clone(),
        data: Bytes::from_static(b"back"),
    };
    executor.say(&agent, &back);
    assert_eq!(driver.hear::<internal::ExecutorToFrameworkMessage>().await.1.data, "back");

    // The agent crashes; the next one asks the executor back, which brings what it could not say meanwhile.
    cluster.agents[0].kill();
    cluster.start_agent(0);
    let (from, reconnect) = executor.hear::<internal::ReconnectExecutorMessage>().await;
    assert_eq!((&from, &reconnect.agent_id), (&agent, &agent_id));
    let reregister = internal::ReregisterExecutorMessage {
        executor_id: executor_id.clone(),
        framework_id: id.clone(),
        tasks: vec![run.task],
        updates: vec![finished.update.clone()],
    };
    executor.say(&agent, &reregister);
    assert_eq!(executor.hear::<internal::ExecutorReregisteredMessage>().await.1.agent_id, agent_id);
    let taken = executor.hear::<internal::StatusUpdateAcknowledgementMessage>().await.1;
    assert_eq!(Some(taken.uuid), finished.update.uuid);
    driver.update(&master, "t", TaskState::TaskFinished).await;

    driver.call(&master, call::Type::Teardown, Some(&id), |_| {});
    executor.hear::<internal::ShutdownExecutorMessage>().await;
}

#[tokio::test]
async fn an_executor_that_nobody_launched_is_told_to_end() {
    let cluster = cluster(Options::default());
    let agent: Upid = format!("slave(1)@{}", cluster.agent_address(0)).parse().unwrap();
    let mut executor = Peer::new("executor(1)").await;
    let (framework_id, executor_id) = (v1::FrameworkId { value: "f".into() }, v1::ExecutorId { value: "e".into() });
    executor.say(&agent, &internal::RegisterExecutorMessage { framework_id, executor_id });
    executor.hear::<internal::ShutdownExecutorMessage>().await;
}
