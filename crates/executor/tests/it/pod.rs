//! The pod executor as a process, against a scripted agent.

use crate::fake::{self, Agent, Executor, Stream, task};
use proto::v1::{
    self,
    TaskState::{TaskFailed, TaskFinished, TaskKilled, TaskRunning, TaskStarting},
    agent::{self, call::Type},
};

fn started() -> (Agent, Executor, Stream) {
    let agent = Agent::start();
    let more = [("MESOS_CHECKPOINT", "1"), ("MESOS_SUBSCRIPTION_BACKOFF_MAX", "20ms")];
    let executor = Executor::start("pod", agent.address, &more);
    let (_, mut stream) = agent.subscribe();
    stream.accept();
    stream.subscribed(v1::FrameworkInfo::default());
    (agent, executor, stream)
}

fn exited(word: i32) -> Vec<u8> {
    let wait = agent::response::WaitContainer { exit_status: Some(word), ..Default::default() };
    let response = agent::Response {
        r#type: Some(agent::response::Type::WaitContainer as i32),
        wait_container: Some(wait),
        ..Default::default()
    };
    proto::wire::encode(&response).to_vec()
}

#[test]
fn a_pod_of_one_is_launched_waited_for_and_told() {
    let (agent, mut executor, mut stream) = started();
    stream.launch_group(vec![task("a", "true")]);
    agent.expect(&mut stream, TaskStarting);
    let (call, answer) = agent.container();
    assert_eq!(call.r#type(), Type::LaunchContainer);
    let launch = call.launch_container.expect("set");
    assert_eq!(launch.container_id.parent.as_ref().map(|parent| parent.value.as_str()), Some("root"));
    answer.give(200, b"");
    let (mut waiting, mut told) = (None, false);
    let link = executor.directory.join("tasks/a");
    // The wait and the update travel on connections of their own.
    while waiting.is_none() || !told {
        match agent.next() {
            fake::Heard::Update(status) => {
                assert_eq!(status.state(), TaskRunning);
                let container = status.container_status.as_ref().and_then(|status| status.container_id.as_ref());
                assert_eq!(container, Some(&launch.container_id));
                stream.acknowledge(&status);
                told = true;
            }
            fake::Heard::Container(call, answer) => {
                assert_eq!(call.wait_container.expect("a wait").container_id, launch.container_id);
                // Who looks for the task's files finds them by its id.
                let leads_to = std::fs::read_link(&link).expect("a link");
                assert!(leads_to.ends_with(format!("containers/{}", launch.container_id.value)), "{leads_to:?}");
                waiting = Some(answer);
            }
            fake::Heard::Subscribe(..) => panic!("the stream stands"),
        }
    }
    waiting.expect("asked").give(200, &exited(0));
    agent.expect(&mut stream, TaskFinished);
    assert_eq!(executor.exit_code(), 0);
    assert_eq!(executor.stderr(), "");
}

#[test]
fn a_refused_launch_fails_the_task() {
    let (agent, mut executor, mut stream) = started();
    stream.launch_group(vec![task("a", "true")]);
    agent.expect(&mut stream, TaskStarting);
    let (_, answer) = agent.container();
    answer.give(400, b"no such image");
    let status = agent.expect(&mut stream, TaskFailed);
    assert_eq!(status.message.as_deref(), Some("The agent answered 400: no such image"));
    assert_eq!(executor.exit_code(), 0);
}

#[test]
fn a_pod_outlives_its_agent_and_is_killed_after_it() {
    let (agent, mut executor, mut stream) = started();
    stream.launch_group(vec![task("a", "sleep 600")]);
    agent.expect(&mut stream, TaskStarting);
    let (_, answer) = agent.container();
    answer.give(200, b"");
    let mut waits = Vec::new();
    while waits.is_empty() {
        match agent.next() {
            fake::Heard::Update(status) => stream.acknowledge(&status),
            fake::Heard::Container(call, answer) => waits.push((call, answer)),
            fake::Heard::Subscribe(..) => panic!("the stream stands"),
        }
    }
    stream.close();
    drop(waits);
    let (agent, mut stream) = loop {
        match agent.next() {
            fake::Heard::Subscribe(subscribe, mut stream) => {
                stream.accept();
                stream.subscribed(v1::FrameworkInfo::default());
                for update in &subscribe.unacknowledged_updates {
                    stream.acknowledge(&update.status);
                }
                break (agent, stream);
            }
            fake::Heard::Update(_) | fake::Heard::Container(..) => {}
        }
    };
    let (call, wait) = agent.container();
    assert_eq!(call.r#type(), Type::WaitContainer);
    stream.kill("a", None);
    let (call, signal) = agent.container();
    assert_eq!(call.kill_container.expect("a signal").signal, Some(15));
    signal.give(200, b"");
    wait.give(200, &exited(15));
    let status = agent.expect(&mut stream, TaskKilled);
    assert_eq!(status.message.as_deref(), Some("Command terminated with signal Terminated"));
    assert_eq!(executor.exit_code(), 0);
}

#[test]
fn a_check_runs_as_a_nested_session_and_its_container_is_removed() {
    let (agent, mut executor, mut stream) = started();
    let mut checked = task("a", "sleep 600");
    checked.check = Some(Box::new(v1::CheckInfo {
        r#type: Some(v1::check_info::Type::Command as i32),
        command: Some(v1::check_info::Command { command: v1::CommandInfo::default() }),
        delay_seconds: Some(0.0),
        interval_seconds: Some(3600.0),
        ..Default::default()
    }));
    stream.launch_group(vec![checked]);
    let mut task_wait = None;
    let mut seen = Vec::new();
    let mut session = None;
    while task_wait.is_none() || seen.len() < 5 || session.is_none() {
        match agent.next() {
            fake::Heard::Update(status) => {
                stream.acknowledge(&status);
                let code = status.check_status.expect("in every update").command.expect("of its kind").exit_code;
                seen.push(format!("{:?} {code:?}", status.state()));
            }
            fake::Heard::Container(call, answer) => match call.r#type() {
                Type::LaunchContainer => answer.give(200, b""),
                Type::LaunchNestedContainerSession => {
                    session = call.launch_nested_container_session.map(|session| session.container_id);
                    answer.give(200, b"output");
                }
                Type::WaitContainer => {
                    let container = call.wait_container.expect("set").container_id;
                    if Some(&container) == session.as_ref() {
                        answer.give(200, &exited(3 << 8));
                        seen.push("wait".into());
                    } else {
                        task_wait = Some(answer);
                    }
                }
                Type::RemoveContainer => {
                    answer.give(200, b"");
                    seen.push("remove".into());
                }
                other => panic!("unexpected {other:?}"),
            },
            fake::Heard::Subscribe(..) => panic!("the stream stands"),
        }
    }
    seen.sort();
    assert_eq!(seen, ["TaskRunning None", "TaskRunning Some(3)", "TaskStarting None", "remove", "wait"]);
    assert!(session.expect("seen").value.starts_with("check-"));
    task_wait.expect("asked").give(200, &exited(0));
    agent.expect(&mut stream, TaskFinished);
    assert_eq!(executor.exit_code(), 0);
}
