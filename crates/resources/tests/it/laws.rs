//! The laws of the algebra, over generated resources of every kind.

use proptest::{collection::vec, option, prelude::*, sample::select, test_runner::RngSeed};
use proto::v1::{
    self,
    resource::{
        AllocationInfo, DiskInfo, ReservationInfo, RevocableInfo, SharedInfo,
        disk_info::{
            Persistence, Source,
            source::{self, Mount, Path},
        },
        reservation_info,
    },
    value,
};
use resources::{Name, Quantities, Quantity, Range, Ranges, Resources, Set, Value};
use std::collections::BTreeSet;

fn reservation(dynamic: bool, role: &str, principal: Option<&str>, labels: &[(&str, &str)]) -> ReservationInfo {
    let labels: Vec<_> = labels.iter().map(|(k, v)| v1::Label { key: (*k).into(), value: Some((*v).into()) }).collect();
    let mut info = ReservationInfo {
        role: Some(role.into()),
        principal: principal.map(Into::into),
        labels: (!labels.is_empty()).then_some(v1::Labels { labels }),
        ..Default::default()
    };
    info.set_type(if dynamic { reservation_info::Type::Dynamic } else { reservation_info::Type::Static });
    info
}

fn stacks() -> impl Strategy<Value = Vec<ReservationInfo>> {
    prop_oneof![
        4 => Just(vec![]),
        1 => Just(vec![reservation(false, "a", None, &[])]),
        1 => Just(vec![reservation(true, "a", Some("p"), &[])]),
        1 => Just(vec![reservation(true, "a", Some("p"), &[("x", "1"), ("y", "2")])]),
        1 => Just(vec![reservation(true, "a", Some("p"), &[("y", "2"), ("x", "1")])]),
        1 => Just(vec![reservation(false, "a", None, &[]), reservation(true, "a/b", None, &[])]),
    ]
}

fn disks() -> impl Strategy<Value = (Option<DiskInfo>, bool)> {
    let from = |kind: source::Type| Source { r#type: kind.into(), ..Default::default() };
    let root = |text: &str| Some(text.to_owned());
    let path = Source { path: Some(Path { root: root("/p") }), ..from(source::Type::Path) };
    let mount = Source { mount: Some(Mount { root: root("/m") }), ..from(source::Type::Mount) };
    let raw = Source { id: Some("i".into()), vendor: Some("v".into()), ..from(source::Type::Raw) };
    let pool = Source { profile: Some("fast".into()), ..from(source::Type::Raw) };
    let sources = select(vec![None, Some(path), Some(mount), Some(raw), Some(pool), Some(from(source::Type::Block))]);
    let persistence = select(vec![None, Some("v1"), Some("v2")]);
    (sources, persistence, any::<bool>()).prop_map(|(source, id, shared)| {
        let persistence = id.map(|id| Persistence { id: id.into(), principal: None });
        let shared = shared && persistence.is_some();
        let disk =
            (source.is_some() || persistence.is_some()).then_some(DiskInfo { persistence, volume: None, source });
        (disk, shared)
    })
}

fn scalars() -> impl Strategy<Value = v1::Resource> {
    let names = select(vec!["cpus", "mem", "gpus", "disk", "disk", "disk", "widgets"]);
    (names, 1i64..5, disks()).prop_map(|(name, amount, (disk, shared))| {
        let mut resource = v1::Resource {
            name: name.into(),
            scalar: Some(value::Scalar { value: amount as f64 / 8.0 }),
            ..Default::default()
        };
        resource.set_type(value::Type::Scalar);
        if name == "disk" {
            resource.disk = disk.map(Box::new);
            resource.shared = shared.then(SharedInfo::default);
        }
        resource
    })
}

fn ranges() -> impl Strategy<Value = v1::Resource> {
    vec((0u64..40, 0u64..6), 1..4).prop_map(|pairs| {
        let ranges = Ranges::new(pairs.into_iter().map(|(begin, length)| (begin, begin + length)));
        let range = ranges.iter().map(|r| value::Range { begin: r.begin, end: r.end }).collect();
        let mut resource =
            v1::Resource { name: "ports".into(), ranges: Some(value::Ranges { range }), ..Default::default() };
        resource.set_type(value::Type::Ranges);
        resource
    })
}

fn sets() -> impl Strategy<Value = v1::Resource> {
    proptest::collection::btree_set(select(vec!["a", "b", "c", "d"]), 1..4).prop_map(|items| {
        let item = items.into_iter().map(str::to_owned).collect();
        let mut resource = v1::Resource { name: "zones".into(), set: Some(value::Set { item }), ..Default::default() };
        resource.set_type(value::Type::Set);
        resource
    })
}

fn dressed(bare: impl Strategy<Value = v1::Resource>) -> impl Strategy<Value = v1::Resource> {
    let roles = option::weighted(0.3, select(vec!["a", "a/b"]));
    (bare, stacks(), roles, prop::bool::weighted(0.2), prop::bool::weighted(0.1)).prop_map(
        |(mut resource, reservations, role, revocable, provided)| {
            resource.reservations = reservations;
            resource.allocation_info = role.map(|role| AllocationInfo { role: Some(role.into()) });
            resource.revocable = revocable.then(RevocableInfo::default);
            resource.provider_id = provided.then(|| v1::ResourceProviderId { value: "rp".into() });
            resource
        },
    )
}

fn protos() -> impl Strategy<Value = Vec<v1::Resource>> {
    vec(
        prop_oneof![3 => dressed(scalars()).boxed(), 1 => dressed(ranges()).boxed(), 1 => dressed(sets()).boxed()],
        0..8,
    )
}

fn read(protos: &[v1::Resource]) -> Resources {
    Resources::from_protos(protos).expect("generated resources are valid")
}

fn any_resources() -> impl Strategy<Value = Resources> {
    protos().prop_map(|protos| read(&protos))
}

fn only_scalars() -> impl Strategy<Value = Resources> {
    vec(dressed(scalars()), 0..8).prop_map(|protos| read(&protos))
}

/// Nothing but names, amounts and static roles: what the text syntax can say.
fn plain() -> impl Strategy<Value = Resources> {
    let bare = prop_oneof![
        scalars()
            .prop_map(|mut resource| {
                resource.disk = None;
                resource.shared = None;
                resource
            })
            .boxed(),
        ranges().boxed(),
        sets().boxed()
    ];
    vec(bare, 0..6).prop_map(|protos| read(&protos))
}

/// The same cases on every run; a failure prints its smallest case.
fn config() -> ProptestConfig {
    ProptestConfig { rng_seed: RngSeed::Fixed(1), failure_persistence: None, cases: 400, ..Default::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn addition_commutes(a in any_resources(), b in any_resources()) {
        prop_assert_eq!(&a + &b, &b + &a);
    }

    #[test]
    fn addition_associates(a in any_resources(), b in any_resources(), c in any_resources()) {
        prop_assert_eq!((&a + &b) + &c, &a + &(&b + &c));
    }

    #[test]
    fn nothing_is_neutral(a in any_resources()) {
        let nothing = Resources::default();
        prop_assert_eq!(&a + &nothing, a.clone());
        prop_assert_eq!(&nothing + &a, a.clone());
        prop_assert_eq!(&a - &nothing, a.clone());
        prop_assert!((&a - &a).is_empty());
        prop_assert!(a.contains(&nothing) && a.contains(&a));
    }

    #[test]
    fn what_was_added_can_be_taken_again(a in only_scalars(), b in only_scalars()) {
        prop_assert_eq!((&a + &b) - &b, a);
    }

    #[test]
    fn a_sum_contains_its_parts(a in any_resources(), b in any_resources()) {
        let sum = &a + &b;
        prop_assert!(sum.contains(&a) && sum.contains(&b));
    }

    #[test]
    fn taking_and_giving_back_changes_nothing(a in any_resources(), b in any_resources()) {
        prop_assert_eq!(a.subtract(&b).is_some(), a.contains(&b));
        if let Some(rest) = a.subtract(&b) {
            prop_assert_eq!(rest + &b, a);
        }
    }

    #[test]
    fn subtraction_never_leaves_less_than_nothing(a in any_resources(), b in any_resources()) {
        let rest = &a - &b;
        prop_assert!(rest.iter().all(|row| !row.is_empty()));
        prop_assert!(a.contains(&rest));
    }

    #[test]
    fn containment_is_an_order(a in any_resources(), b in any_resources(), c in any_resources()) {
        let (ab, abc) = (&a + &b, &a + &b + &c);
        prop_assert!(abc.contains(&ab) && ab.contains(&a) && abc.contains(&a));
        if a.contains(&b) && b.contains(&a) {
            prop_assert_eq!(a, b);
        }
    }

    #[test]
    fn the_order_of_arrival_does_not_matter(protos in protos().prop_shuffle()) {
        let backwards: Vec<_> = protos.iter().rev().cloned().collect();
        let mut one_by_one = Resources::default();
        for proto in &protos {
            one_by_one += read(std::slice::from_ref(proto));
        }
        prop_assert_eq!(read(&protos), read(&backwards));
        prop_assert_eq!(read(&protos), one_by_one);
        // Labels keep the order in which they were given.
        if protos.iter().all(|proto| proto.reservations.iter().all(|reservation| reservation.labels.is_none())) {
            prop_assert_eq!(read(&protos).to_string(), read(&backwards).to_string());
        }
    }

    #[test]
    fn quantities_add_up(a in only_scalars(), b in only_scalars()) {
        // Copies of a shared volume count once.
        let (a, b) = (a.non_shared(), b.non_shared());
        prop_assert_eq!((&a + &b).quantities(), a.quantities() + &b.quantities());
        prop_assert!((&a + &b).contains_quantities(&a.quantities()));
        prop_assert_eq!(a.quantities(), a.scalar_quantities());
    }

    #[test]
    fn the_new_format_and_that_of_the_endpoints_tell_all(a in any_resources()) {
        let single_copies = a.non_shared();
        prop_assert_eq!(read(&single_copies.to_protos()), single_copies.clone());
        prop_assert_eq!(read(&single_copies.to_protos_endpoint()), single_copies);
        prop_assert_eq!(read(&a.shared().to_protos()).len(), a.shared().len());
    }

    #[test]
    fn the_old_format_tells_all_but_refinement(a in any_resources()) {
        let a = a.non_shared();
        match a.to_protos_pre_refinement() {
            Ok(old) => {
                prop_assert!(old.iter().all(|r| r.reservations.is_empty() && r.role.is_some()));
                prop_assert_eq!(read(&old), a);
            }
            Err(error) => {
                prop_assert!(a.has_refined_reservations());
                prop_assert_eq!(error.to_string(), "Cannot downgrade resources containing refined reservations");
            }
        }
    }

    #[test]
    fn protos_survive_the_binary_format(a in any_resources()) {
        for proto in a.to_protos() {
            let bytes = proto::wire::encode(&proto);
            prop_assert_eq!(proto::wire::decode::<v1::Resource>(&bytes).expect("just encoded"), proto);
        }
    }

    #[test]
    fn plain_resources_print_as_they_are_parsed(a in plain()) {
        let text = if a.is_empty() { String::new() } else { a.to_string() };
        prop_assert_eq!(Resources::parse(&text, "*").expect("printed resources parse"), a.clone());
        let reserved = Resources::parse(&text, "a").expect("printed resources parse");
        prop_assert_eq!(reserved.to_unreserved(), a.clone());
        prop_assert_eq!(reserved.reserved_to("a"), reserved);
    }

    #[test]
    fn json_says_everything(a in any_resources()) {
        let a = a.non_shared();
        let texts: Vec<String> = a.to_protos().iter().map(proto::json::to_string).collect();
        let parsed = resources::parse::parse_list(&format!("[{}]", texts.join(",")), "*").expect("printed JSON parses");
        prop_assert_eq!(parsed.into_iter().collect::<Resources>(), a);
    }

    #[test]
    fn allocating_is_undone_by_unallocating(a in any_resources()) {
        let bare = a.unallocate();
        let allocated = bare.allocate("r");
        prop_assert!(allocated.iter().all(|row| row.allocation_role() == Some("r")));
        prop_assert_eq!(allocated.unallocate(), bare);
        prop_assert_eq!(a.allocations().into_values().sum::<Resources>() + a.unallocated(), a);
    }

    #[test]
    fn selections_part_the_whole(a in any_resources()) {
        prop_assert_eq!(a.revocable() + a.non_revocable(), a.clone());
        prop_assert_eq!(a.shared() + a.non_shared(), a.clone());
        prop_assert_eq!(a.unreserved() + a.reserved(), a.clone());
        prop_assert_eq!(a.reservations().into_values().sum::<Resources>(), a.reserved());
        prop_assert!(a.allocatable_to("a/b").contains(&a.allocatable_to("a")));
        prop_assert!(a.allocatable_to("a").contains(&a.allocatable_to("z")));
    }

    #[test]
    fn a_pushed_reservation_pops_off(a in any_resources()) {
        let inner = resources::Reservation::new_dynamic("a/b/c", None);
        let pushed = a.push_reservation(&inner).expect("a refinement of every role used here");
        prop_assert!(pushed.iter().all(|row| row.is_reserved_to("a/b/c")));
        prop_assert_eq!(pushed.pop_reservation().expect("all of it is reserved"), a);
    }

    #[test]
    fn long_lists_add_up_like_short_ones(
        a in vec(dressed(scalars()), 60..90), b in vec(dressed(scalars()), 60..90),
    ) {
        let mut one_by_one = read(&a);
        for proto in &b {
            one_by_one += read(std::slice::from_ref(proto));
        }
        prop_assert_eq!(read(&a) + read(&b), one_by_one);
    }

    #[test]
    fn shrinking_fits(a in any_resources(), cpus in 0i64..900, disk in 0i64..900) {
        let target: Quantities =
            [(Name::Cpus, Quantity(cpus)), (Name::Disk, Quantity(disk))].into_iter().collect();
        let shrunk = a.shrink_to(&target);
        prop_assert!(target.contains(&shrunk.quantities()));
        for row in shrunk.iter() {
            let whole = a.iter().any(|mine| mine == row);
            prop_assert!(whole || !row.is_exclusive());
        }
        prop_assert!(a.non_shared().contains(&shrunk.non_shared()));
    }

    #[test]
    fn ranges_behave_like_sets_of_numbers(
        a in vec((0u64..60, 0u64..9), 0..6), b in vec((0u64..60, 0u64..9), 0..6),
    ) {
        let numbers = |pairs: &[(u64, u64)]| -> BTreeSet<u64> {
            pairs.iter().flat_map(|(begin, length)| *begin..=*begin + *length).collect()
        };
        let ranges = |pairs: &[(u64, u64)]| Ranges::new(pairs.iter().map(|(begin, length)| (*begin, begin + length)));
        let listed = |ranges: &Ranges| -> BTreeSet<u64> { ranges.iter().flat_map(|Range { begin, end }| begin..=end).collect() };
        let (x, y, m, n) = (ranges(&a), ranges(&b), numbers(&a), numbers(&b));
        prop_assert_eq!(listed(&x), m.clone());
        prop_assert_eq!(x.count(), m.len() as u64);
        prop_assert_eq!(listed(&x.union(&y)), &m | &n);
        prop_assert_eq!(listed(&x.difference(&y)), &m - &n);
        prop_assert_eq!(x.contains(&y), m.is_superset(&n));
        prop_assert_eq!(x == y, m == n);
        for joined in [x.union(&y), x.difference(&y)] {
            prop_assert!(joined.as_slice().windows(2).all(|w| w[0].end + 1 < w[1].begin));
        }
    }

    #[test]
    fn sets_behave_like_sets(a in vec("[a-d]", 0..5), b in vec("[a-d]", 0..5)) {
        let of = |items: &[String]| Set::new(items.iter().map(String::as_str));
        let (m, n): (BTreeSet<_>, BTreeSet<_>) = (a.iter().cloned().collect(), b.iter().cloned().collect());
        let listed = |set: &Set| -> BTreeSet<String> { set.iter().map(str::to_owned).collect() };
        prop_assert_eq!(listed(&of(&a).union(&of(&b))), &m | &n);
        prop_assert_eq!(listed(&of(&a).difference(&of(&b))), &m - &n);
        prop_assert_eq!(of(&a).contains(&of(&b)), m.is_superset(&n));
    }

    #[test]
    fn fixed_point_survives_floating_point(thousandths in -1_000_000_000_000_000i64..1_000_000_000_000_000) {
        let quantity = Quantity(thousandths);
        prop_assert_eq!(Quantity::from_f64(quantity.as_f64()), quantity);
        prop_assert_eq!(quantity.to_string().parse::<f64>().map(Quantity::from_f64), Ok(quantity));
    }

    #[test]
    fn floating_point_is_off_by_half_a_thousandth_at_most(value in -1e9f64..1e9) {
        prop_assert!((Quantity::from_f64(value).as_f64() - value).abs() <= 0.000_500_1);
    }

    #[test]
    fn no_text_makes_the_parsers_panic(text in ".{0,60}", shaped in "[a-z(){}\\[\\]:;,0-9.\\- ]{0,40}") {
        for text in [text, shaped] {
            let _ = Resources::parse(&text, "*");
            let _ = resources::attributes::parse(&text);
            let _ = resources::role::check(&text);
        }
    }
}

#[test]
fn copies_of_a_shared_volume_are_counted() {
    let mut proto = v1::Resource {
        name: "disk".into(),
        scalar: Some(value::Scalar { value: 64.0 }),
        reservations: vec![reservation(true, "a", None, &[])],
        disk: Some(Box::new(DiskInfo {
            persistence: Some(Persistence { id: "v".into(), principal: None }),
            ..Default::default()
        })),
        shared: Some(SharedInfo::default()),
        ..Default::default()
    };
    proto.set_type(value::Type::Scalar);
    let one = read(&[proto]);
    let three = &one + &one + &one;
    assert_eq!(three.len(), 1);
    assert_eq!(three.iter().map(|row| row.copies()).collect::<Vec<_>>(), [3]);
    assert!(three.contains(&one) && !one.contains(&three));
    assert_ne!(three, one);
    assert_eq!(three.quantities(), one.quantities());
    assert_eq!(&three - &one, &one + &one);
    assert!((&one - &three).is_empty());
    assert_eq!(three.to_protos().len(), 1);
}

#[test]
fn exclusive_disks_never_melt() {
    let mut proto = v1::Resource {
        name: "disk".into(),
        scalar: Some(value::Scalar { value: 64.0 }),
        disk: Some(Box::new(DiskInfo {
            source: Some(Source {
                r#type: source::Type::Mount.into(),
                mount: Some(Mount { root: Some("/m".into()) }),
                ..Default::default()
            }),
            ..Default::default()
        })),
        ..Default::default()
    };
    proto.set_type(value::Type::Scalar);
    let mount = read(&[proto.clone()]);
    let mut part = proto.clone();
    part.scalar = Some(value::Scalar { value: 32.0 });
    let part = read(&[part]);
    let two = &mount + &mount;
    assert_eq!(two.len(), 2);
    assert!(two.contains(&(&mount + &mount)) && !mount.contains(&two));
    assert!(!mount.contains(&part));
    assert_eq!(&mount - &part, mount);
    assert!(matches!(two.iter().next().map(|row| row.value().clone()), Some(Value::Scalar(Quantity(64000)))));
}
