//! Meseta answers every script as a real Apache Mesos did when it was recorded, but for what is listed as deliberate.

use std::{sync::Mutex, time::Duration};

use conformance::{
    compare::Told,
    play::Target,
    script::Script,
    suite::{self, Suite},
};
use stdx::users;
use testkit::{Cluster, Options};

/// Clusters at work at one time.
const CLUSTERS: usize = 3;

/// Scripts from 90 on come last, each with a cluster of its own.
fn spoils_its_cluster(script: &Script) -> bool {
    script.name.starts_with('9')
}

/// Scripts from 30 to 39 ask who is offered what of three agents, and leave quotas and weights behind.
fn asks_who_gets_what(script: &Script) -> bool {
    script.name.starts_with('3')
}

/// Files belong to whoever runs the agent, which was root when a real Mesos was recorded.
fn as_of_root(mut told: Vec<Told>) -> Vec<Told> {
    // SAFETY: these have no preconditions.
    let (uid, gid) = unsafe { (libc::geteuid(), libc::getegid()) };
    let groups = std::fs::read_to_string("/etc/group").unwrap_or_default();
    let user = users::name_of(uid).unwrap_or_else(|| uid.to_string());
    let group = users::name_with(&groups, gid).unwrap_or_else(|| gid.to_string());
    for line in told.iter_mut().flat_map(|step| &mut step.lines) {
        for (field, own) in [("uid", &user), ("gid", &group)] {
            *line = line.replace(&format!("{field} = \"{own}\""), &format!("{field} = \"root\""));
        }
    }
    told
}

#[test]
fn meseta_answers_as_a_real_mesos_does() {
    let suite = Suite::default();
    let mut waiting = suite.scripts("").expect("the scripts");
    waiting.reverse();
    let waiting = Mutex::new(waiting);
    let deliberate = Mutex::new(suite.deliberate().expect("the deliberate differences"));
    let outcomes = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..CLUSTERS {
            scope.spawn(|| {
                let mut cluster = Cluster::start(Options::conformance());
                while let Some(script) = { waiting.lock().unwrap().pop() } {
                    let mut own = None;
                    if asks_who_gets_what(&script) {
                        own = Some(Cluster::start(Options::allocation()));
                    } else if spoils_its_cluster(&script) {
                        cluster = Cluster::start(Options::conformance());
                    }
                    let cluster = own.as_ref().unwrap_or(&cluster);
                    let target = Target {
                        master: cluster.master_address(),
                        agent: cluster.agent_address(0),
                        patience: Duration::from_secs(10),
                        settle: Duration::from_millis(150),
                    };
                    let told = as_of_root(conformance::play::play(&script, &target));
                    let outcome = suite.compare(&script, &told, &mut deliberate.lock().unwrap());
                    outcomes.lock().unwrap().push(outcome.expect("a recording"));
                }
            });
        }
    });
    let mut outcomes = outcomes.into_inner().unwrap();
    outcomes.sort_by(|a, b| a.name.cmp(&b.name));
    let report = suite::report(&outcomes);
    println!("{report}");
    assert!(outcomes.iter().all(|outcome| outcome.differing.is_empty()), "\n{report}");
    let unused = deliberate.into_inner().unwrap().unused();
    assert!(unused.is_empty(), "deliberate.txt explains what is no difference any more:\n{}", unused.join("\n"));
}
