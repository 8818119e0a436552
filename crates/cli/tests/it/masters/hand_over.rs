//! A leader leaves in order: what was stored is there under the next one, which does not wait for a session to expire.

use std::time::{Duration, Instant};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use testkit::{Cluster, processes::wait_for};

use super::{KINDS, PATIENCE, document, done, wait_standing_by};

/// The sessions of these masters; whoever waits for one to expire needs at least this long.
const SESSION: Duration = Duration::from_secs(2);

/// Asks the leader, who has this number.
type Ask = fn(&Cluster, usize);

#[test]
fn a_leader_hands_over_by_request_by_command_and_by_signal() {
    for kind in KINDS {
        let Some(mut masters) = Cluster::on_store(kind, 2) else { continue };
        masters.add_agent();
        let ways: [(&str, Ask); 3] = [
            ("POST /hand-over", |masters, leader| {
                assert_eq!(masters.ask(leader, "GET", "/hand-over").unwrap().status, 405);
                assert_eq!(masters.ask(leader, "POST", "/hand-over").unwrap().status, 202);
            }),
            ("meseta master --handover", |masters, leader| {
                let port = format!("--port={}", masters.masters[leader].at.port());
                let text = done("nobody:1", &["master", "--handover", &port]);
                assert_eq!(text, format!("{} hands over and ends\n", masters.address(leader)));
            }),
            ("SIGTERM", |masters, leader| {
                kill(Pid::from_raw(masters.masters[leader].pid().unwrap() as i32), Signal::SIGTERM).unwrap();
            }),
        ];
        let mut epoch = 0;
        for (n, (way, ask)) in ways.into_iter().enumerate() {
            let leader = masters.leader();
            let next = 1 - leader;
            wait_standing_by(&masters, next);
            let role = format!("role{n}={}", n + 1);
            done(&masters.address(leader), &["weights", "set", &role]);
            let begun = Instant::now();
            ask(&masters, leader);
            let served =
                wait_for(PATIENCE, || masters.ask(next, "GET", "/state").filter(|answer| answer.status == 200));
            let took = begun.elapsed();
            assert!(served.is_some(), "{way}: nobody took over:\n{}", masters.logs());
            println!("{kind:?}, {way}: the next one answered after {took:?}");
            let status = masters.ended(leader);
            assert!(status.success(), "{way}: {status}");

            let standing = masters.get(next, "/standing").json();
            let reign = standing["epoch"].as_u64().unwrap();
            assert!(reign > epoch, "{way}: epoch {reign} after {epoch}");
            epoch = reign;
            let weights = document(&masters.address(next), &["weights", "list", "--json"]);
            assert_eq!(weights["weights"].as_array().map(Vec::len), Some(n + 1), "{way}: {weights}");
            let agents = wait_for(PATIENCE, || {
                let agents = document(&masters.address(next), &["agents", "--json"]);
                (agents["agents"][0]["state"] == "active").then_some(agents)
            });
            assert!(agents.is_some(), "{way}: the agent does not follow:\n{}", masters.logs());
            masters.start_master(leader);
        }
    }
}

#[test]
fn a_standby_that_is_asked_to_hand_over_leaves_and_the_leader_stays() {
    for kind in KINDS {
        let Some(mut masters) = Cluster::on_store(kind, 2) else { continue };
        let (leader, standby) = (masters.leader(), 1 - masters.leader());
        wait_standing_by(&masters, standby);
        let epoch = masters.get(leader, "/standing").json()["epoch"].clone();
        assert_eq!(masters.ask(standby, "POST", "/hand-over").unwrap().status, 202);
        assert!(masters.ended(standby).success());
        let gone = wait_for(PATIENCE, || {
            let standing = masters.get(leader, "/standing").json();
            (standing["standbys"].as_array()?.is_empty()).then_some(standing)
        });
        let standing = gone.unwrap_or_else(|| panic!("it is still named:\n{}", masters.logs()));
        assert_eq!((&standing["epoch"], &standing["leading"]), (&epoch, &true.into()));
        // Nobody is left to take over: the one that comes later finds all of it, and waits for no session.
        done(&masters.address(leader), &["weights", "set", "a=2"]);
        let begun = Instant::now();
        assert_eq!(masters.ask(leader, "POST", "/hand-over").unwrap().status, 202);
        assert!(masters.ended(leader).success());
        masters.start_master(standby);
        assert_eq!(masters.leader(), standby);
        println!(
            "{kind:?}: the later one led {:?} after the former one was asked (session {SESSION:?})",
            begun.elapsed()
        );
        let weights = document(&masters.address(standby), &["weights", "list", "--json"]);
        assert_eq!(weights["weights"][0]["weight"], 2.0);
    }
}
