//! The tree of roles: levels, weights, roles that are leaf and branch at once, and reservations nobody uses.

use allocator::{AllocatorConfig, SorterKind};

use crate::cluster::{Cluster, resources};

/// Uses everything that comes, agent by agent, and tells who got it.
fn in_turn(c: &mut Cluster, agents: usize) -> String {
    let mut turns = Vec::new();
    for n in 0..agents {
        let id = format!("s{n}");
        c.agent(&id, "cpus:1;mem:32");
        let grants = c.grants();
        assert_eq!(grants.len(), 1);
        c.accept(&grants[0], "cpus:1;mem:32", None);
        turns.push(grants[0].role.to_string());
    }
    turns.join(" ")
}

#[test]
fn siblings_share_what_their_parent_has() {
    let mut c = Cluster::eager();
    for (id, role) in [("f1", "a/x"), ("f2", "a/y"), ("f3", "b")] {
        c.framework(id, &[role]);
    }
    // a and b take turns, and what a gets goes to x and y in turns.
    assert_eq!(in_turn(&mut c, 8), "a/x b a/y b a/x b a/y b");
}

#[test]
fn weights_hold_on_every_level() {
    let mut c = Cluster::eager();
    c.allocator.set_weight("a", 3.0);
    c.allocator.set_weight("a/x", 2.0);
    for (id, role) in [("f1", "a/x"), ("f2", "a/y"), ("f3", "b")] {
        c.framework(id, &[role]);
    }
    let turns = in_turn(&mut c, 36);
    let count = |role: &str| turns.split(' ').filter(|turn| *turn == role).count();
    assert_eq!((count("a/x"), count("a/y"), count("b")), (18, 9, 9));
}

#[test]
fn a_role_with_roles_below_it_stands_among_them() {
    let mut c = Cluster::eager();
    // However heavy a is among its siblings, its own frameworks weigh 1 among its children.
    c.allocator.set_weight("a", 5.0);
    for (id, role) in [("f1", "a"), ("f2", "a/x"), ("f3", "a/y")] {
        c.framework(id, &[role]);
    }
    let turns = in_turn(&mut c, 9);
    let count = |role: &str| turns.split(' ').filter(|turn| *turn == role).count();
    assert_eq!((count("a"), count("a/x"), count("a/y")), (3, 3, 3));
}

#[test]
fn very_deep_roles_are_roles_like_others() {
    let mut c = Cluster::eager();
    let deep = vec!["r"; 100_000].join("/");
    c.framework("f1", &[&deep]);
    for n in 0..40 {
        c.framework(&format!("other{n}"), &["b"]);
    }
    c.agent("s1", "cpus:1;mem:32");
    c.agent("s2", "cpus:1;mem:32");
    assert_eq!(c.grants().len(), 2);
}

#[test]
fn an_idle_reservation_counts_for_its_role_unless_mesos_is_asked_for() {
    for (counts, expected) in [(true, "f2/b"), (false, "f1/a")] {
        let mut c = Cluster::new(AllocatorConfig {
            idle_reservations_count: counts,
            coalesce: std::time::Duration::ZERO,
            ..Default::default()
        });
        let reserved = resources::Reservation::new_static("a");
        c.agent_with(
            "s1",
            resources("cpus:4;mem:64").push_reservation_for(reserved),
            crate::cluster::agent_profile("s1"),
        );
        c.framework("f2", &["b"]);
        c.framework("f0", &["a"]);
        c.allocator.suppress(c.now, &"f0".into(), &[]);
        assert_eq!(c.granted(), [""; 0], "nobody may have what is reserved to a");
        c.framework("f1", &["a"]);
        c.allocator.suppress(c.now, &"f1".into(), &[]);
        c.agent("s2", "cpus:1;mem:32");
        c.allocator.deactivate_agent(c.now, &"s1".into());
        c.allocator.revive(c.now, &"f1".into(), &[]);
        let granted = c.granted();
        assert!(granted.len() == 1 && granted[0].starts_with(expected), "{granted:?}");
    }
}

#[test]
fn random_sorters_draw_by_weight_on_each_level() {
    let config = AllocatorConfig {
        role_sorter: SorterKind::Random,
        framework_sorter: SorterKind::Random,
        coalesce: std::time::Duration::ZERO,
        ..Default::default()
    };
    let mut c = Cluster::new(config);
    c.allocator.set_weight("a", 3.0);
    for (id, role) in [("f1", "a/x"), ("f2", "a/y"), ("f3", "b")] {
        c.framework(id, &[role]);
    }
    let turns = in_turn(&mut c, 4_000);
    let count = |role: &str| turns.split(' ').filter(|turn| *turn == role).count();
    assert!((1_400..1_600).contains(&count("a/x")), "{}", count("a/x"));
    assert!((900..1_100).contains(&count("b")), "{}", count("b"));
}

trait PushReservation {
    fn push_reservation_for(&self, reservation: resources::Reservation) -> resources::Resources;
}

impl PushReservation for resources::Resources {
    fn push_reservation_for(&self, reservation: resources::Reservation) -> resources::Resources {
        resources::Resources::parse(&self.to_string(), &reservation.role).unwrap()
    }
}
