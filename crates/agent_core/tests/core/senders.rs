//! Who may say what: every message that an agent hears, from everybody who has no business to say it.

use crate::{
    build,
    world::{World, config},
};
use agent_core::{ConnectionId, Effect, Event, RequestId};
use proto::{internal, link::ToAgent, upid::Upid, v1};

const DRIVER: &str = "scheduler-1@10.0.0.7:7000";

/// A registered agent that runs a task of a v0 driver's framework, whose first update nobody has acknowledged.
fn agent() -> World {
    let mut world = World::new(config(), 3);
    world.restart();
    world.step(Event::MasterDetected { master: Some(build::upid("10.0.0.1")) });
    let registered = internal::SlaveRegisteredMessage { agent_id: build::agent_id("S1"), connection: None };
    say(&mut world, &build::upid("10.0.0.1"), registered);
    let run = internal::RunTaskMessage {
        pid: Some(DRIVER.into()),
        ..build::run_command(build::framework("f", false, false), "t", "S1")
    };
    say(&mut world, &build::upid("10.0.0.1"), run);
    world
}

fn say(world: &mut World, from: &Upid, message: impl Into<ToAgent>) -> Vec<Effect> {
    let effects = world.step(Event::FromMaster { from: from.clone(), message: message.into() });
    world.settle(|_, _| {});
    effects
}

/// As far as tests must know all: messages about something name what is here.
fn every_message() -> Vec<ToAgent> {
    let mut messages = ToAgent::each();
    for message in &mut messages {
        match message {
            ToAgent::FrameworkToExecutor(message) => {
                message.framework_id = build::framework_id("f");
                message.executor_id = build::executor_id("t");
            }
            ToAgent::StatusUpdateAcknowledgement(message) => {
                **message = build::acknowledgement("f", "t", "S1", build::uuid(1));
            }
            ToAgent::KillTask(message) => {
                message.framework_id = build::framework_id("f");
                message.task_id = build::task_id("t");
            }
            ToAgent::ShutdownExecutor(message) => {
                message.framework_id = Some(build::framework_id("f"));
                message.executor_id = Some(build::executor_id("t"));
            }
            ToAgent::ShutdownFramework(message) => message.framework_id = build::framework_id("f"),
            ToAgent::UpdateFramework(message) => {
                message.framework_id = build::framework_id("f");
                message.pid = Some("scheduler-1@10.0.0.66:6".into());
            }
            ToAgent::SlaveRegistered(message) => message.agent_id = build::agent_id("S2"),
            ToAgent::SlaveReregistered(message) => message.agent_id = build::agent_id("S2"),
            ToAgent::RunTask(message) => **message = build::run_command(build::framework("g", true, false), "x", "S1"),
            ToAgent::RunTaskGroup(message) => {
                message.framework = build::framework("g", true, false);
                message.executor = build::executor("x", v1::executor_info::Type::Default);
                message.task_group.tasks = vec![build::task("x", "S1")];
            }
            ToAgent::PingSlave(_)
            | ToAgent::CheckpointResources(_)
            | ToAgent::ApplyOperation(_)
            | ToAgent::ReconcileOperations(_)
            | ToAgent::AcknowledgeOperationStatus(_)
            | ToAgent::DrainSlave(_)
            | ToAgent::Shutdown(_) => {}
        }
    }
    messages
}

/// What an outsider sees of it.
fn shown(world: &World) -> String {
    format!("{:?} {:?}", world.agent.view(), world.exited)
}

#[test]
fn only_the_leading_master_is_obeyed() {
    let strangers = [
        Upid::new("master", "10.0.0.9", 5050),
        Upid::new("master", "10.0.0.1", 5051),
        Upid::new("evil", "10.0.0.1", 5050),
        Upid::new("scheduler-2", "10.0.0.7", 7000),
        Upid::new("scheduler-1", "10.0.0.8", 7000),
        Upid::new("slave(1)", "127.0.0.1", 5051),
    ];
    let mut world = agent();
    let before = shown(&world);
    for from in strangers {
        for message in every_message() {
            let name = message.name();
            // The observer of an agent is an actor of the master's, whatever its name.
            if matches!(message, ToAgent::PingSlave(_)) && from.address() == "10.0.0.1:5050" {
                continue;
            }
            let effects = say(&mut world, &from, message);
            assert_eq!((effects, shown(&world)), (Vec::new(), before.clone()), "{name} from {from}");
        }
    }
}

#[test]
fn what_a_driver_may_say_itself_is_heard_from_that_driver() {
    let direct = |message: &ToAgent| {
        matches!(message, ToAgent::FrameworkToExecutor(_) | ToAgent::StatusUpdateAcknowledgement(_))
    };
    let driver: Upid = DRIVER.parse().unwrap();
    let heard = |world: &World| world.agent.view().metrics;
    for message in every_message() {
        let mut world = agent();
        let (before, figures) = (shown(&world), heard(&world));
        let name = message.name();
        if direct(&message) {
            let counted = matches!(message, ToAgent::FrameworkToExecutor(_));
            say(&mut world, &driver, message);
            assert_eq!(heard(&world) != figures, counted, "{name}: an executor that does not listen is counted");
        } else {
            let effects = say(&mut world, &driver, message);
            assert_eq!((effects, shown(&world)), (Vec::new(), before), "{name}");
        }
    }
    // An acknowledgement of its own ends the update; the same from anybody else was seen above to do nothing.
    let mut world = agent();
    let call = v1::executor::Call {
        subscribe: Some(Default::default()),
        ..build::executor_call("f", "t", v1::executor::call::Type::Subscribe)
    };
    world.step(Event::FromExecutor {
        req: RequestId(1),
        conn: Some(ConnectionId(1)),
        caller: agent_core::Caller::Operator,
        call: Box::new(call),
    });
    let status = build::status("t", v1::TaskState::TaskFinished, build::uuid(1));
    let call = v1::executor::Call {
        update: Some(v1::executor::call::Update { status }),
        ..build::executor_call("f", "t", v1::executor::call::Type::Update)
    };
    world.step(Event::FromExecutor {
        req: RequestId(2),
        conn: Some(ConnectionId(1)),
        caller: agent_core::Caller::Operator,
        call: Box::new(call),
    });
    let open = |world: &World| world.agent.view().executors().map(|row| row.tasks.len()).sum::<usize>();
    let acknowledgement = || build::acknowledgement("f", "t", "S1", build::uuid(1));
    say(&mut world, &Upid::new("scheduler-2", "10.0.0.7", 7000), acknowledgement());
    assert_eq!(open(&world), 1);
    say(&mut world, &driver, acknowledgement());
    assert_eq!(open(&world), 0);
}
