//! CRAM-MD5, step by step, and a cluster that insists on it.

use std::os::unix::fs::PermissionsExt;

use proto::{internal, v1};
use testkit::Options;
use transport::auth::{cram_md5, credentials::Credential};

use super::peer::{Peer, cluster, framework, master};

/// Whether the driver proved to be this principal.
async fn prove(driver: &mut Peer, master: &proto::Upid, credential: &Credential) -> bool {
    driver.say(master, &internal::AuthenticateMessage { pid: driver.upid.to_string() });
    let (from, mechanisms) = driver.hear::<internal::AuthenticationMechanismsMessage>().await;
    assert_eq!(mechanisms.mechanisms, ["CRAM-MD5"]);
    driver.say(&from, &internal::AuthenticationStartMessage { mechanism: "CRAM-MD5".into(), data: None });
    let (_, challenge) = driver.hear::<internal::AuthenticationStepMessage>().await;
    let data = cram_md5::respond(credential, &challenge.data).unwrap().into();
    driver.say(&from, &internal::AuthenticationStepMessage { data });
    tokio::select! {
        _ = tokio::time::sleep(std::time::Duration::from_secs(20)) => panic!("no verdict"),
        failed = verdict(driver) => !failed,
    }
}

/// Whether it failed.
async fn verdict(driver: &mut Peer) -> bool {
    driver.hear_either::<internal::AuthenticationCompletedMessage, internal::AuthenticationFailedMessage>().await
}

#[tokio::test]
async fn drivers_and_agents_that_prove_themselves_come_in_and_nobody_else() {
    let files = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = files.path().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        path.display().to_string()
    };
    let all = r#"{"credentials":[{"principal":"fw","secret":"of the framework"},{"principal":"ag","secret":"x"}]}"#;
    let (all, one) = (write("all", all), write("one", "ag x\n"));
    let cluster = cluster(Options {
        master_flags: vec![
            format!("--credentials={all}"),
            "--authenticate_frameworks".into(),
            "--authenticate_agents".into(),
            "--authenticate_http_readwrite".into(),
            "--authenticate_http_frameworks".into(),
        ],
        agent_flags: vec![format!("--credential=file://{one}")],
        ..Options::default()
    });
    let (master, mut driver) = (master(&cluster), Peer::new("scheduler-1").await);
    let refused = async |driver: &mut Peer, info: v1::FrameworkInfo| {
        driver.subscribe(&master, info, false);
        driver.hear::<internal::FrameworkErrorMessage>().await.1.message
    };
    let why = refused(&mut driver, framework("nobody")).await;
    assert_eq!(why, format!("Framework at {} is not authenticated", driver.upid));
    assert!(!prove(&mut driver, &master, &Credential::new("fw", "of somebody else")).await);
    assert_eq!(refused(&mut driver, framework("nobody")).await, why);

    assert!(prove(&mut driver, &master, &Credential::new("fw", "of the framework")).await);
    let claims = |principal: &str| v1::FrameworkInfo { principal: Some(principal.into()), ..framework("somebody") };
    assert_eq!(
        refused(&mut driver, claims("ag")).await,
        "Framework principal 'ag' does not match authenticated principal 'fw'"
    );
    driver.subscribe(&master, claims("fw"), false);
    driver.hear::<internal::FrameworkRegisteredMessage>().await;
    driver.hear::<internal::ResourceOffersMessage>().await;

    let logs = cluster.logs();
    assert!(!logs.contains("of the framework"), "{logs}");
}
