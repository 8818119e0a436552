//! Drivers and their master.

use std::time::{Duration, Instant};

use proto::{
    internal,
    v1::{self, TaskState, scheduler::call},
};
use testkit::Options;

use super::peer::{Peer, cluster, framework, launch, master, task};

#[tokio::test]
async fn a_driver_subscribes_launches_kills_fails_over_and_ends() {
    let cluster = cluster(Options::default());
    let (master, mut driver) = (master(&cluster), Peer::new("scheduler-1").await);
    driver.subscribe(&master, framework("by hand"), false);
    let (from, registered) = driver.hear::<internal::FrameworkRegisteredMessage>().await;
    assert_eq!((&from, u32::from(master.port)), (&master, registered.master_info.port));
    let id = registered.framework_id;

    let (_, offers) = driver.hear::<internal::ResourceOffersMessage>().await;
    assert_eq!(offers.pids, [format!("slave(1)@{}", cluster.agent_address(0))]);
    let offer = &offers.offers[0];
    assert!(offer.allocation_info.is_none(), "a framework of one role gets offers in the old form");
    driver.call(&master, call::Type::Accept, Some(&id), |call| {
        call.accept =
            Some(launch(offer, vec![task("quick", offer, "true", None), task("long", offer, "sleep 1000", None)]));
    });
    driver.update(&master, "quick", TaskState::TaskFinished).await;
    driver.call(&master, call::Type::Reconcile, Some(&id), |call| call.reconcile = Some(call::Reconcile::default()));
    let known = driver.update(&master, "long", TaskState::TaskRunning).await;
    assert_eq!(known.agent_id.as_ref(), Some(&offer.agent_id));

    // Another takes over by force only, and the first hears of it.
    let (again, mut other) =
        (v1::FrameworkInfo { id: Some(id.clone()), ..framework("by hand") }, Peer::new("s2").await);
    other.subscribe(&master, again.clone(), false);
    assert_eq!(other.hear::<internal::FrameworkErrorMessage>().await.1.message, "Framework failed over");
    other.subscribe(&master, again.clone(), true);
    assert_eq!(other.hear::<internal::FrameworkRegisteredMessage>().await.1.framework_id, id);
    assert_eq!(driver.hear::<internal::FrameworkErrorMessage>().await.1.message, "Framework failed over");

    // Its process ends, and a third comes in its place in time.
    drop(other);
    let mut third = Peer::new("s3").await;
    third.subscribe(&master, again, true);
    third.hear::<internal::FrameworkRegisteredMessage>().await;
    third.call(&master, call::Type::Kill, Some(&id), |call| {
        let task_id = v1::TaskId { value: "long".into() };
        call.kill = Some(call::Kill { task_id, agent_id: None, kill_policy: None });
    });
    third.update(&master, "long", TaskState::TaskKilled).await;
    third.call(&master, call::Type::Teardown, Some(&id), |_| {});
    third.subscribe(&master, v1::FrameworkInfo { id: Some(id), ..framework("by hand") }, true);
    assert_eq!(third.hear::<internal::FrameworkErrorMessage>().await.1.message, "Framework has been removed");
}

/// Whoever speaks for another machine is heard only if the master was told not to look.
#[tokio::test]
async fn senders_are_where_they_say_unless_nobody_is_to_look() {
    let flag = || vec!["--no-require_peer_address_ip_match".to_owned()];
    let trusting = cluster(Options { master_flags: flag(), agent_flags: flag(), ..Options::default() });
    let driver = Peer::elsewhere("scheduler-1").await;
    driver.subscribe(&master(&trusting), framework("from elsewhere"), false);
    // It cannot be reached where it says it is, so it is no framework for long.
    let end = Instant::now() + Duration::from_secs(30);
    while !trusting.get(0, "/frameworks").body.contains("from elsewhere") {
        assert!(Instant::now() < end, "it is not heard");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }

    let looking = cluster(Options::default());
    let (master, driver) = (master(&looking), Peer::elsewhere("scheduler-1").await);
    driver.subscribe(&master, framework("from elsewhere"), false);
    let mut honest = Peer::new("scheduler-2").await;
    honest.subscribe(&master, framework("from here"), false);
    honest.hear::<internal::FrameworkRegisteredMessage>().await;
    honest.hear::<internal::ResourceOffersMessage>().await;
    let frameworks = looking.get(0, "/frameworks").body;
    assert!(frameworks.contains("from here") && !frameworks.contains("from elsewhere"), "{frameworks}");
}

#[tokio::test]
async fn a_driver_of_before_the_calls_is_understood() {
    let cluster = cluster(Options::default());
    let (master, mut driver) = (master(&cluster), Peer::new("scheduler(1)").await);
    driver.say(&master, &internal::RegisterFrameworkMessage { framework: framework("old") });
    let id = driver.hear::<internal::FrameworkRegisteredMessage>().await.1.framework_id;
    let offer = driver.hear::<internal::ResourceOffersMessage>().await.1.offers.remove(0);

    // A launch of nothing declines.
    let mut launch = internal::LaunchTasksMessage {
        framework_id: id.clone(),
        tasks: Vec::new(),
        filters: v1::Filters { refuse_seconds: Some(1000.0) },
        offer_ids: vec![offer.id],
    };
    driver.say(&master, &launch);
    driver.say(&master, &internal::ReviveOffersMessage { framework_id: id.clone(), roles: Vec::new() });
    let offer = driver.hear::<internal::ResourceOffersMessage>().await.1.offers.remove(0);
    launch.tasks = vec![task("t", &offer, "sleep 1000", None)];
    launch.offer_ids = vec![offer.id.clone()];
    driver.say(&master, &launch);
    driver.update(&master, "t", TaskState::TaskRunning).await;

    let task_id = v1::TaskId { value: "t".into() };
    let mut status = v1::TaskStatus { task_id: task_id.clone(), ..Default::default() };
    status.set_state(TaskState::TaskRunning);
    let reconcile =
        internal::ReconcileTasksMessage { framework_id: id.clone(), statuses: vec![status], framework: None };
    driver.say(&master, &reconcile);
    let known = driver.update(&master, "t", TaskState::TaskRunning).await;
    assert_eq!(known.reason(), v1::task_status::Reason::Reconciliation);
    driver.say(&master, &internal::KillTaskMessage { framework_id: id.clone(), task_id, kill_policy: None });
    driver.update(&master, "t", TaskState::TaskKilled).await;

    // An aborted driver is not forgotten.
    driver.say(&master, &internal::DeactivateFrameworkMessage { framework_id: id.clone() });
    let info = v1::FrameworkInfo { id: Some(id.clone()), ..framework("old") };
    driver.say(&master, &internal::ReregisterFrameworkMessage { framework: info, failover: false });
    assert_eq!(driver.hear::<internal::FrameworkReregisteredMessage>().await.1.framework_id, id);
    driver.hear::<internal::ResourceOffersMessage>().await;
    driver.say(&master, &internal::UnregisterFrameworkMessage { framework_id: id });
}
