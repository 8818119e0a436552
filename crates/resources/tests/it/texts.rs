//! What is accepted and refused, with the words that clients see; and what operations make of resources.

use proto::v1::{
    self, Offer, Volume,
    offer::operation::{self, Type},
    resource::{
        AllocationInfo, DiskInfo, ReservationInfo, SharedInfo,
        disk_info::{
            Persistence, Source,
            source::{self, Mount, Path},
        },
        reservation_info,
    },
    value,
};
use resources::{Resources, conversion, parse::parse_list, validate};

fn scalar(name: &str, amount: f64) -> v1::Resource {
    let mut resource =
        v1::Resource { name: name.into(), scalar: Some(value::Scalar { value: amount }), ..Default::default() };
    resource.set_type(value::Type::Scalar);
    resource
}

fn reserved(name: &str, amount: f64, roles: &[&str]) -> v1::Resource {
    let mut resource = scalar(name, amount);
    resource.reservations = roles.iter().map(|role| dynamic(role)).collect();
    resource
}

fn dynamic(role: &str) -> ReservationInfo {
    let mut info = ReservationInfo { role: Some(role.into()), principal: Some("p".into()), ..Default::default() };
    info.set_type(reservation_info::Type::Dynamic);
    info
}

fn fixed(role: &str) -> ReservationInfo {
    let mut info = ReservationInfo { role: Some(role.into()), ..Default::default() };
    info.set_type(reservation_info::Type::Static);
    info
}

fn volume(id: &str, amount: f64) -> v1::Resource {
    let mut resource = reserved("disk", amount, &["a"]);
    resource.disk = Some(Box::new(DiskInfo {
        persistence: Some(Persistence { id: id.into(), principal: Some("p".into()) }),
        volume: Some(Volume { mode: v1::volume::Mode::Rw.into(), container_path: "data".into(), ..Default::default() }),
        source: None,
    }));
    resource
}

fn read(protos: &[v1::Resource]) -> Resources {
    Resources::from_protos(protos).expect("valid")
}

#[test]
fn each_rule_of_a_resource() {
    let mut cases: Vec<(v1::Resource, &str)> = Vec::new();
    let mut case = |resource: v1::Resource, change: &dyn Fn(&mut v1::Resource), text: &'static str| {
        let mut resource = resource;
        change(&mut resource);
        cases.push((resource, text));
    };
    case(scalar("", 1.0), &|_| {}, "Empty resource name");
    case(scalar("cpus", 1.0), &|r| r.r#type = 9, "Invalid resource type");
    case(scalar("cpus", 1.0), &|r| r.scalar = None, "Invalid scalar resource");
    case(scalar("cpus", 1.0), &|r| r.set = Some(value::Set::default()), "Invalid scalar resource");
    case(scalar("cpus", -1.0), &|_| {}, "Invalid scalar resource: value <= 0");
    case(scalar("cpus", 0.0001), &|_| {}, "Invalid scalar resource: value <= 0");
    case(scalar("cpus", f64::NAN), &|_| {}, "Invalid scalar resource: value <= 0");
    case(scalar("cpus", f64::INFINITY), &|_| {}, "Invalid scalar resource: value <= 0");
    case(scalar("cpus", 1.0), &|r| r.set_type(value::Type::Ranges), "Invalid ranges resource");
    case(scalar("cpus", 1.0), &|r| r.set_type(value::Type::Set), "Invalid set resource");
    case(scalar("cpus", 1.0), &|r| r.set_type(value::Type::Text), "Unsupported resource type");
    let ranges = |r: &mut v1::Resource, pairs: &[(u64, u64)]| {
        r.scalar = None;
        r.set_type(value::Type::Ranges);
        let range = pairs.iter().map(|(begin, end)| value::Range { begin: *begin, end: *end }).collect();
        r.ranges = Some(value::Ranges { range });
    };
    case(scalar("ports", 1.0), &|r| ranges(r, &[(3, 2)]), "Invalid ranges resource: begin > end");
    case(scalar("ports", 1.0), &|r| ranges(r, &[(5, 9), (1, 5)]), "Invalid ranges resource: overlapping ranges");
    let set = |r: &mut v1::Resource| {
        r.scalar = None;
        r.set_type(value::Type::Set);
        r.set = Some(value::Set { item: vec!["a".into(), "a".into()] });
    };
    case(scalar("zones", 1.0), &set, "Invalid set resource: duplicated elements");
    let disk = Some(DiskInfo::default());
    case(scalar("cpus", 1.0), &|r| r.disk = disk.clone().map(Box::new), "DiskInfo should not be set for cpus resource");
    let from = |r: &mut v1::Resource, change: &dyn Fn(&mut Source)| {
        let mut source = Source::default();
        change(&mut source);
        r.disk = Some(Box::new(DiskInfo { source: Some(source), ..Default::default() }));
    };
    case(
        scalar("disk", 1.0),
        &|r| {
            from(r, &|s| {
                s.set_type(source::Type::Raw);
                s.mount = Some(Mount::default());
            });
        },
        "Mount should not be set for RAW disk source",
    );
    case(
        scalar("disk", 1.0),
        &|r| {
            from(r, &|s| {
                s.set_type(source::Type::Block);
                s.path = Some(Path::default());
            });
        },
        "Path should not be set for BLOCK disk source",
    );
    case(
        scalar("disk", 1.0),
        &|r| from(r, &|s| s.set_type(source::Type::Unknown)),
        "Unsupported 'DiskInfo.Source.Type' in 'UNKNOWN'",
    );
    case(scalar("cpus", 1.0), &|r| r.role = Some("/a".into()), "Role '/a' cannot start with a slash");
    case(
        scalar("cpus", 1.0),
        &|r| r.reservation = Some(Box::new(ReservationInfo::default())),
        "Invalid reservation: role \"*\" cannot be dynamically reserved",
    );
    case(
        scalar("cpus", 1.0),
        &|r| r.reservation = Some(Box::new(dynamic("a"))),
        "'Resource.ReservationInfo.type' must not be set for the 'Resource.reservation' field",
    );
    case(
        scalar("cpus", 1.0),
        &|r| r.reservation = Some(Box::new(ReservationInfo { role: Some("a".into()), ..Default::default() })),
        "'Resource.ReservationInfo.role' must not be set for the 'Resource.reservation' field",
    );
    case(
        scalar("cpus", 1.0),
        &|r| r.reservations = vec![ReservationInfo { role: Some("a".into()), ..Default::default() }],
        "Invalid reservation: 'Resource.ReservationInfo.type' field must be set.",
    );
    case(
        scalar("cpus", 1.0),
        &|r| r.reservations = vec![ReservationInfo { role: None, ..dynamic("a") }],
        "Invalid reservation: 'Resource.ReservationInfo.role' field must be set.",
    );
    case(reserved("cpus", 1.0, &["*"]), &|_| {}, "Invalid reservation: role \"*\" cannot be reserved");
    case(
        reserved("cpus", 1.0, &["a b"]),
        &|_| {},
        "Role component 'a b' is invalid because it contains backspace or whitespace",
    );
    case(
        reserved("cpus", 1.0, &["a", "b"]),
        &|_| {},
        "Invalid refined reservation: role 'b' is not a refinement of 'a'",
    );
    case(
        reserved("cpus", 1.0, &["a"]),
        &|r| r.reservations.push(fixed("a/b")),
        "Invalid refined reservation: A refined reservation cannot be STATIC",
    );
    case(
        reserved("cpus", 1.0, &["a"]),
        &|r| r.role = Some("b".into()),
        "Invalid resource format: 'Resource.role' field with 'b' does not match the role 'a' in 'Resource.reservations'",
    );
    case(
        scalar("cpus", 1.0),
        &|r| {
            r.reservations = vec![fixed("a")];
            r.reservation = Some(Box::new(ReservationInfo::default()));
        },
        "Invalid resource format: 'Resource.reservation' must not be set if the single reservation in \
         'Resource.reservations' is STATIC",
    );
    case(
        reserved("cpus", 1.0, &["a"]),
        &|r| r.role = Some("a".into()),
        "Invalid resource format: 'Resource.role' and 'Resource.reservation' must either be both set or both not set if \
         the single reservation in 'Resource.reservations' is DYNAMIC",
    );
    case(
        reserved("cpus", 1.0, &["a"]),
        &|r| {
            r.role = Some("a".into());
            r.reservation = Some(Box::new(ReservationInfo { principal: Some("q".into()), ..Default::default() }));
        },
        "Invalid resource format: 'Resource.reservation.principal' field with 'q' does not match the principal 'p' in \
         'Resource.reservations'",
    );
    case(
        reserved("cpus", 1.0, &["a", "a/b"]),
        &|r| r.role = Some("a/b".into()),
        "Invalid resource format: 'Resource.role' must not be set if there is more than one reservation in \
         'Resource.reservations'",
    );
    case(scalar("cpus", 1.0), &|r| r.shared = Some(SharedInfo::default()), "Resource cpus cannot be shared");
    case(scalar("disk", 1.0), &|r| r.shared = Some(SharedInfo::default()), "Only persistent volumes can be shared");

    for (resource, text) in cases {
        assert_eq!(validate::check(&resource), Err(text.to_owned()));
    }
    let wrapped = Resources::from_protos(&[scalar("cpus", -1.0)]).map_err(|error| error.to_string());
    assert_eq!(wrapped, Err("Resource 'cpus:-1' is invalid: Invalid scalar resource: value <= 0".into()));
    assert!(read(&[scalar("cpus", 0.0)]).is_empty());
}

#[test]
fn flags_in_text() {
    let parse = |text: &str| Resources::parse(text, "*").map(|all| all.to_string()).map_err(|error| error.to_string());
    let good = [
        ("cpus:4;mem:1024;ports:[31000-32000]", "cpus:4; mem:1024; ports:[31000-32000]"),
        (" mem : 1 ; cpus ( a ) : 0.5 ;", "cpus(reservations: [(STATIC,a)]):0.5; mem:1"),
        ("cpus:1;cpus:2.5", "cpus:3.5"),
        ("zones:{b, a}", "zones:{a, b}"),
        ("ports:[3-4, 1-2,10-20]", "ports:[1-4, 10-20]"),
        ("cpus:0", "{}"),
        ("", "{}"),
    ];
    for (text, printed) in good {
        assert_eq!(parse(text), Ok(printed.to_owned()), "{text}");
    }
    let bad = [
        ("cpus", "Bad value for resources, missing or extra ':' in cpus"),
        ("cpus:1:2", "Bad value for resources, missing or extra ':' in cpus:1:2"),
        ("cpus(a:1", "Bad value for resources, mismatched parentheses in cpus(a:1"),
        ("cpus:[1-2", "Failed to parse resource cpus value [1-2 error Mismatched brackets"),
        ("cpus:[1-2-3]", "Failed to parse resource cpus value [1-2-3] error Expecting one or more \"ranges\""),
        ("cpus:[1-x]", "Failed to parse resource cpus value [1-x] error Expecting non-negative integers in '1'"),
        ("cpus:1e-310", "Failed to parse resource cpus value 1e-310 error Subnormal values not supported"),
        ("cpus: ", "Failed to parse resource cpus value   error Expecting non-empty string"),
        ("cpus:-1", "Bad type for resource cpus value -1 type TEXT"),
        ("cpus:many", "Bad type for resource cpus value many type TEXT"),
        ("cpus:0.0001", "Invalid scalar resource: value <= 0"),
        ("cpus(/a):1", "Role '/a' cannot start with a slash"),
        ("cpus:1;cpus:{a}", "Resources with the same name ('cpus') but different types are not allowed"),
    ];
    for (text, why) in bad {
        assert_eq!(parse(text), Err(why.to_owned()), "{text}");
    }
    assert_eq!(
        Resources::parse("cpus:1;mem(*):2", "a").map(|all| all.to_string()),
        Ok("cpus(reservations: [(STATIC,a)]):1; mem:2".into())
    );
    let listed = parse_list("gpus:0;cpus:1", "*").expect("valid");
    assert_eq!(listed.iter().map(|r| r.name().to_string()).collect::<Vec<_>>(), ["gpus", "cpus"]);
}

#[test]
fn flags_in_json() {
    let json = r#"[
        {"name": "cpus", "type": "SCALAR", "scalar": {"value": 2}},
        {"name": "disk", "type": "SCALAR", "scalar": {"value": 100}, "role": "*",
         "disk": {"source": {"type": "PATH", "path": {"root": "/mnt"}}}},
        {"name": "mem", "type": "SCALAR", "scalar": {"value": 64},
         "reservations": [{"type": "STATIC", "role": "b"}]}
    ]"#;
    assert_eq!(
        Resources::parse(json, "a").map(|all| all.to_string()),
        Ok("cpus(reservations: [(STATIC,a)]):2; mem(reservations: [(STATIC,b)]):64; disk[PATH:/mnt]:100".into())
    );
    let refused = |json: &str| Resources::parse(json, "*").map_err(|error| error.to_string()).expect_err("refused");
    let with = |more: &str| format!(r#"[{{"name":"disk","type":"SCALAR","scalar":{{"value":1}},{more}}}]"#);
    assert_eq!(
        refused(&with(r#""role":"a","disk":{"persistence":{"id":"v"}}"#)),
        "Persistent volumes cannot be specified at the command line"
    );
    assert_eq!(
        refused(&with(r#""revocable":{}"#)),
        "Revocable resources cannot be specified at the command line; do not include a 'revocable' key in the resources JSON"
    );
    assert_eq!(
        refused(&with(r#""role":"a","reservation":{"principal":"p"}"#)),
        "Dynamic reservations cannot be specified at the command line; do not include a reservation with DYNAMIC type in \
         the resources JSON"
    );
    assert!(refused(r#"[{"name": "cpus"}]"#).starts_with("Some JSON resources were not formatted properly: "));
}

#[test]
fn printing() {
    let mut cpus = reserved("cpus", 1.5, &["a", "a/b"]);
    cpus.allocation_info = Some(AllocationInfo { role: Some("a/b".into()) });
    let mut shared = volume("v1", 10.0);
    shared.shared = Some(SharedInfo::default());
    let mut mount = scalar("disk", 7.0);
    mount.disk = Some(Box::new(DiskInfo {
        source: Some(Source {
            r#type: source::Type::Mount.into(),
            mount: Some(Mount { root: Some("/m".into()) }),
            ..Default::default()
        }),
        ..Default::default()
    }));
    mount.revocable = Some(v1::resource::RevocableInfo::default());
    assert_eq!(
        read(&[shared, cpus, mount]).to_string(),
        "cpus(allocated: a/b)(reservations: [(DYNAMIC,a,p),(DYNAMIC,a/b,p)]):1.5; disk[MOUNT:/m]{REV}:7; \
         disk(reservations: [(DYNAMIC,a,p)])[v1:data]<SHARED>:10<1>"
    );
}

fn operation(kind: Type, fill: impl FnOnce(&mut v1::offer::Operation)) -> v1::offer::Operation {
    let mut operation = v1::offer::Operation::default();
    operation.set_type(kind);
    fill(&mut operation);
    operation
}

#[test]
fn operations_convert_and_convert_back() {
    let offer = Offer { resources: vec![scalar("cpus", 4.0), scalar("disk", 100.0)], ..Default::default() };
    let total = read(&offer.resources);

    let resources = vec![reserved("cpus", 1.0, &["a"]), reserved("disk", 60.0, &["a"])];
    let reserve = operation(Type::Reserve, |o| {
        o.reserve = Some(operation::Reserve { resources: resources.clone(), ..Default::default() });
    });
    let after_reserve = conversion::apply(&total, &reserve).expect("there is enough");
    assert_eq!(after_reserve.reserved_to("a"), read(&resources));
    assert_eq!(after_reserve.quantities(), total.quantities());

    let create = operation(Type::Create, |o| o.create = Some(operation::Create { volumes: vec![volume("v", 50.0)] }));
    let after_create = conversion::apply(&after_reserve, &create).expect("reserved disk is there");
    assert_eq!(after_create.persistent_volumes(), read(&[volume("v", 50.0)]));

    let grow = operation(Type::GrowVolume, |o| {
        o.grow_volume = Some(Box::new(operation::GrowVolume {
            volume: volume("v", 50.0),
            addition: reserved("disk", 10.0, &["a"]),
        }));
    });
    let grown = conversion::apply(&after_create, &grow).expect("there is room");
    assert_eq!(grown.persistent_volumes(), read(&[volume("v", 60.0)]));

    let shrink = operation(Type::ShrinkVolume, |o| {
        o.shrink_volume = Some(Box::new(operation::ShrinkVolume {
            volume: volume("v", 60.0),
            subtract: value::Scalar { value: 10.0 },
        }));
    });
    assert_eq!(conversion::apply(&grown, &shrink), Ok(after_create.clone()));

    let destroy =
        operation(Type::Destroy, |o| o.destroy = Some(operation::Destroy { volumes: vec![volume("v", 50.0)] }));
    assert_eq!(conversion::apply(&after_create, &destroy), Ok(after_reserve.clone()));
    assert!(conversion::apply(&after_reserve, &destroy).is_err());

    let unreserve =
        operation(Type::Unreserve, |o| o.unreserve = Some(operation::Unreserve { resources: resources.clone() }));
    assert_eq!(conversion::apply(&after_reserve, &unreserve), Ok(total.clone()));
    let why = conversion::apply(&total, &unreserve).map_err(|error| error.to_string());
    assert_eq!(why, Err("cpus:4; disk:100 does not contain cpus(reservations: [(DYNAMIC,a,p)]):1".into()),);
    assert_eq!(conversion::apply_checkpointed(&total, &after_create.checkpointed()), Ok(after_create));
}

#[test]
fn a_reservation_moves_to_another_role_when_its_source_is_told() {
    let (old, new) = (reserved("cpus", 2.0, &["a"]), reserved("cpus", 2.0, &["b"]));
    let reserve = operation(Type::Reserve, |o| {
        o.reserve = Some(operation::Reserve { source: vec![old.clone()], resources: vec![new.clone()] });
    });
    assert_eq!(conversion::apply(&read(&[old]), &reserve), Ok(read(&[new])));
}

#[test]
fn a_shared_volume_outlives_a_destroy_while_copies_are_in_use() {
    let mut shared = volume("v", 10.0);
    shared.shared = Some(SharedInfo::default());
    let destroy = operation(Type::Destroy, |o| o.destroy = Some(operation::Destroy { volumes: vec![shared.clone()] }));
    let one = read(&[shared]);
    assert!(conversion::apply(&one, &destroy).is_ok_and(|left| left == read(&[reserved("disk", 10.0, &["a"])])));
    let why = conversion::apply(&(&one + &one), &destroy).map_err(|error| error.to_string());
    assert!(why.is_err_and(|why| why.ends_with("cannot be removed due to additional shared copies")));
}

#[test]
fn launches_and_disks_of_providers_convert_nothing() {
    for kind in [Type::Launch, Type::LaunchGroup, Type::CreateDisk, Type::DestroyDisk] {
        let why = conversion::of_operation(&operation(kind, |_| {})).map_err(|error| error.to_string());
        assert_eq!(why, Err("Operation not supported".into()));
    }
    assert!(conversion::of_operation(&operation(Type::Reserve, |_| {})).is_err());
    let pointless = operation(Type::ShrinkVolume, |o| {
        o.shrink_volume = Some(Box::new(operation::ShrinkVolume {
            volume: volume("v", 5.0),
            subtract: value::Scalar { value: 5.0 },
        }));
    });
    assert!(conversion::of_operation(&pointless).is_err());
}
