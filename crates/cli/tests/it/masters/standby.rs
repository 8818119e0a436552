//! What a master that does not lead answers.

use testkit::{
    Cluster,
    processes::{free_port, wait_for},
    services::{Kind, Service},
};

use super::{KINDS, PATIENCE, document, done, meseta, wait_standing_by};

/// Sends everybody to the leader, with path and query, whatever they wanted.
#[test]
fn a_standby_redirects_what_only_the_leader_answers() {
    let Some(masters) = Cluster::on_store(Kind::ZooKeeper, 2) else { return };
    let (leader, standby) = (masters.leader(), 1 - masters.leader());
    wait_standing_by(&masters, standby);
    for (method, path) in [
        ("GET", "/state"),
        ("GET", "/master/state?jsonp=f"),
        ("GET", "/master/slaves?slave_id=x&y=%2F"),
        ("GET", "/frameworks"),
        ("GET", "/tasks?limit=1"),
        ("GET", "/roles"),
        ("GET", "/state-summary"),
        ("GET", "/master/weights"),
        ("GET", "/quota"),
        ("GET", "/maintenance/status"),
        ("POST", "/api/v1"),
        ("POST", "/master/api/v1/scheduler"),
        ("POST", "/teardown"),
        ("POST", "/machine/down"),
        ("POST", "/reserve"),
    ] {
        let answer = masters.ask(standby, method, path).unwrap();
        assert_eq!(answer.status, 307, "{method} {path}: {answer:?}");
        let there = format!("//{}{path}", masters.address(leader));
        assert_eq!(answer.header("location"), Some(there.as_str()), "{method} {path}");
        assert_eq!(answer.body, "");
    }
    // Whoever asks where the leader is hears it from each, and nobody follows himself in a circle.
    let there = format!("//{}", masters.address(leader));
    for i in [leader, standby] {
        for path in ["/redirect", "/master/redirect"] {
            let answer = masters.get(i, path);
            assert_eq!((answer.status, answer.header("location")), (307, Some(there.as_str())), "{path}");
        }
        for path in ["/redirect/", "/master/redirect/master/redirect", "/redirect/state"] {
            assert_eq!(masters.get(i, path).status, 404, "{path}");
        }
    }
    // What is about itself a standby answers itself.
    for path in ["/health", "/version", "/flags", "/metrics/snapshot", "/metrics", "/files/debug", "/standing"] {
        assert_eq!(masters.get(standby, path).status, 200, "{path}");
    }
    let elected = |i: usize| masters.get(i, "/metrics/snapshot").json()["master/elected"].as_f64();
    assert_eq!((elected(leader), elected(standby)), (Some(1.0), Some(0.0)));
    // Commands go where they are sent.
    let status = document(&masters.address(standby), &["status", "--json"]);
    assert_eq!(status["master"]["address"], masters.address(leader));
}

#[test]
fn a_standby_shows_its_copy_of_the_registry_and_who_leads() {
    for kind in KINDS {
        let Some(mut masters) = Cluster::on_store(kind, 2) else { continue };
        let (leader, standby) = (masters.leader(), 1 - masters.leader());
        wait_standing_by(&masters, standby);
        masters.add_agent();
        let there = masters.address(leader);
        done(&there, &["weights", "set", "batch=2.5"]);
        let registry = |i: usize| masters.get(i, "/registrar(1)/registry").json();
        let copied = wait_for(PATIENCE, || {
            let (ours, copy) = (registry(leader), registry(standby));
            let complete = ours["weights"].is_array() && ours["slaves"]["slaves"].is_array();
            (complete && ours == copy).then_some(ours)
        });
        let registry = copied.unwrap_or_else(|| panic!("no copy:\n{}", masters.logs()));
        // As Mesos writes it.
        assert_eq!(registry["master"]["info"]["port"], masters.masters[leader].at.port(), "{registry:#}");
        assert_eq!(registry["weights"][0]["info"]["role"], "batch");
        assert_eq!(registry["weights"][0]["info"]["weight"], 2.5);
        let agent = &registry["slaves"]["slaves"][0]["info"];
        assert!(agent["id"]["value"].is_string() && agent["resources"][0]["scalar"]["value"] == 2.0, "{registry:#}");
        assert_eq!(masters.get(standby, "/registrar(1)/registry?jsonp=f").body.get(..2), Some("f("));

        let (ours, theirs) = (masters.get(leader, "/standing").json(), masters.get(standby, "/standing").json());
        assert_eq!((&ours["leading"], &theirs["leading"]), (&true.into(), &false.into()), "{theirs:#}");
        for field in ["leader", "epoch", "store"] {
            assert_eq!(ours[field], theirs[field], "{field}");
        }
        assert_eq!(ours["leader"]["address"], masters.address(leader));
        assert_eq!(ours["standbys"][0]["address"], masters.address(standby));
        assert!(ours["since"].is_number() && ours["epoch"].as_u64() >= Some(1), "{ours:#}");
        assert!(theirs["replica"]["silence_secs"].is_number(), "{theirs:#}");
        let fetched = |i: usize| masters.get(i, "/metrics/snapshot").json()["registrar/state_fetch_ms"].as_f64();
        assert!(fetched(leader).is_some_and(|millis| millis > 0.0) && fetched(standby).is_none());
    }
}

/// A master that cannot reach its store leads nothing, and knows nobody who does.
#[test]
fn without_a_leader_there_is_503() {
    let Some(mut masters) = Cluster::on_store(Kind::Etcd, 2) else { return };
    let leader = masters.leader();
    masters.service.as_mut().expect("a store").kill_server(0);
    // The leader's lease runs out: it ends rather than answer for what it no longer leads.
    assert!(!masters.ended(leader).success());
    masters.start_master(leader);
    for (method, path) in [("GET", "/state"), ("POST", "/api/v1"), ("POST", "/api/v1/scheduler"), ("GET", "/redirect")]
    {
        let answer = masters.ask(leader, method, path).unwrap();
        assert_eq!((answer.status, answer.body.as_str()), (503, "No leader elected"), "{method} {path}");
    }
    assert_eq!(masters.get(leader, "/health").status, 200);
    let standing = masters.get(leader, "/standing").json();
    assert!(standing["leader"].is_null() && standing["leading"] == false, "{standing:#}");
    masters.service.as_mut().expect("a store").start_server(0);
    let leader = masters.leader();
    assert_eq!(masters.get(leader, "/state").status, 200);
}

#[test]
fn commands_find_the_leader_in_the_store() {
    for kind in KINDS {
        let Some(masters) = Cluster::on_store(kind, 2) else { continue };
        let (leader, standby) = (masters.leader(), 1 - masters.leader());
        wait_standing_by(&masters, standby);
        let url = masters.url();
        let status = document(&url, &["status", "--json"]);
        assert_eq!(status["master"]["address"], masters.address(leader), "{status:#}");
        assert_eq!(status["masters"]["standbys"][0]["address"], masters.address(standby), "{status:#}");
        assert!(status["masters"]["epoch"].as_u64() >= Some(1), "{status:#}");
        let text = done("nobody:1", &["status", "--master", &url]);
        assert!(text.contains(&masters.address(leader)) && text.contains(&masters.address(standby)), "{text}");
        done(&url, &["weights", "set", "web=3"]);
        assert_eq!(document(&url, &["weights", "list", "--json"])["weights"][0]["weight"], 3.0);
    }
}

/// Where no master is, and where no store is. Both wait a while for one to come.
#[test]
fn commands_say_that_nobody_leads_or_nothing_is_there() {
    let Some(service) = Service::start(Kind::Etcd, 1) else { return };
    let (nobody, nowhere) = (service.url("/elsewhere"), format!("zk://127.0.0.1:{}/mesos", free_port()));
    std::thread::scope(|scope| {
        let waiting = [&nobody, &nowhere].map(|place| scope.spawn(|| meseta(place, &["status"])));
        let told = waiting.map(|waiting| {
            let output = waiting.join().unwrap();
            assert_eq!(output.status.code(), Some(1));
            String::from_utf8_lossy(&output.stderr).into_owned()
        });
        assert!(told[0].contains("no master is there"), "{}", told[0]);
        assert!(told[1].contains(&nowhere) && told[1].contains("hosts and ports in the URL"), "{}", told[1]);
    });
}
