//! Tests: which realm guards each path, and that a master with authentication answers nobody whom it does not know.

use std::collections::BTreeMap;

use super::*;

/// Each path with its endpoint, as the table has it.
fn paths() -> Vec<(String, Endpoint)> {
    let path = |actor: &str, name: &str| format!("/{actor}/{name}").trim_end_matches('/').to_owned();
    table().all().map(|(actor, name, endpoint)| (path(actor, name), *endpoint)).collect()
}

/// Each path with the realm that guards it. One that changes anything, by whichever method, is not open.
#[test]
fn every_path_has_the_realm_that_it_has_in_mesos() {
    let open = ["/master/health", "/master/redirect", "/meseta/sender", "/version"];
    let clients = ["/master/api/v1/scheduler"];
    let readwrite = [
        "/logging/toggle",
        "/master/api/v1",
        "/master/create-volumes",
        "/master/destroy-volumes",
        "/master/hand-over",
        "/master/machine/down",
        "/master/machine/up",
        "/master/maintenance/schedule",
        "/master/quota",
        "/master/reserve",
        "/master/teardown",
        "/master/unreserve",
        "/master/weights",
    ];
    let table = table();
    let doors: BTreeMap<String, Door> = paths().into_iter().map(|(path, endpoint)| (path, endpoint.door())).collect();
    for (path, door) in &doors {
        let expected = match path.as_str() {
            path if open.contains(&path) => Door::Open,
            path if clients.contains(&path) => Door::Clients,
            path if readwrite.contains(&path) => Door::Readwrite,
            _ => Door::Readonly,
        };
        assert_eq!(*door, expected, "{path}");
    }
    for path in clients.iter().chain(&readwrite) {
        assert!(doors.contains_key(*path), "{path} is no path");
        // Whatever follows the path, and with or without the actor's name, the guard is the same.
        for way in [format!("{path}/x"), path.replace("/master", ""), format!("{path}/")] {
            let found = table.find(&way).map(|found| found.endpoint.door());
            assert_eq!(found, doors.get(*path).copied(), "{way}");
        }
    }
    // What is behind a path that is not guarded as one that changes something never reaches the core.
    let reads = |door: Door| matches!(door, Door::Open | Door::Readonly);
    for (path, endpoint) in paths().into_iter().filter(|(_, endpoint)| reads(endpoint.door())) {
        let is_read = matches!(
            endpoint,
            Endpoint::Redirect
                | Endpoint::Registry
                | Endpoint::Standing
                | Endpoint::MaintenanceStatus
                | Endpoint::Legacy(_)
                | Endpoint::Common(_)
        );
        assert!(is_read, "{path}");
    }
}

/// Asks a running master, along every path and by every method.
#[tokio::test(flavor = "multi_thread")]
async fn without_credentials_only_what_must_be_open_answers() {
    let directory = tempfile::tempdir().expect("a directory");
    let credentials = directory.path().join("credentials");
    #[allow(clippy::disallowed_methods, reason = "a file of the test's own")]
    std::fs::write(&credentials, r#"{"credentials":[{"principal":"p","secret":"s"}]}"#).expect("a file");
    let args = [
        "--registry=in_memory".to_owned(),
        "--port=0".into(),
        "--hostname=localhost".into(),
        format!("--credentials={}", credentials.display()),
        "--authenticate_http_readonly".into(),
        "--authenticate_http_readwrite".into(),
        "--authenticate_http_frameworks".into(),
    ];
    let values = stdx::flags::parse(&crate::flags::TABLE, "MESOS_", args, []).expect("flags");
    let running = crate::start(values, None).await.expect("a master");
    let address = running.address.to_string();
    let walk = move || {
        let open = |path: &str| {
            matches!(path.trim_start_matches("/master"), "/health" | "/meseta/sender" | "/redirect" | "/version")
        };
        let (table, mut asked) = (table(), 0);
        for (path, _) in paths() {
            for way in [path.clone(), path.replace("/master/", "/"), format!("{path}/x")] {
                for method in ["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS"] {
                    let answer = testkit::http::ask(&address, method, &way).expect("an answer");
                    asked += 1;
                    if table.find(&way).is_none() {
                        assert_eq!(answer.status, 404, "{method} {way}: {answer:?}");
                        continue;
                    }
                    let guarded = answer.status == 401 && answer.header("WWW-Authenticate").is_some();
                    assert_eq!(guarded, !open(path.as_str()), "{method} {way}: {answer:?}");
                }
            }
        }
        asked
    };
    let asked = tokio::task::spawn_blocking(walk).await.expect("every answer");
    assert!(asked > 400, "{asked}");
}
