//! Laws of the encoding: what is written is read back, changes of parts add up to the document, and what a newer
//! program wrote is refused by name.

use std::collections::BTreeMap;

use bytes::Bytes;
use model::{AgentId, FrameworkId};
use proptest::{collection::vec, prelude::*};
use proto::{meseta, v1};
use registry::{Change, DecodeError, Operation, Registry, VERSION, apply};
use stdx::WallTime;

fn agent() -> impl Strategy<Value = AgentId> {
    "[a-d]".prop_map(|id| AgentId::from(id.as_str()))
}

fn info() -> impl Strategy<Value = Box<v1::AgentInfo>> {
    (agent(), "[a-z]{1,3}", any::<Option<i32>>()).prop_map(|(id, hostname, port)| {
        Box::new(v1::AgentInfo { hostname, port, id: Some(id.to_proto()), ..Default::default() })
    })
}

fn machine() -> impl Strategy<Value = v1::MachineId> {
    (proptest::option::of("[a-bA-B]"), proptest::option::of("10.0.0.[1-2]"))
        .prop_map(|(hostname, ip)| v1::MachineId { hostname, ip })
}

fn schedule() -> impl Strategy<Value = v1::maintenance::Schedule> {
    let window = (vec(machine(), 0..3), any::<i64>()).prop_map(|(machine_ids, nanoseconds)| {
        let start = v1::TimeInfo { nanoseconds };
        v1::maintenance::Window { machine_ids, unavailability: v1::Unavailability { start, duration: None } }
    });
    vec(window, 0..3).prop_map(|windows| v1::maintenance::Schedule { windows })
}

fn quota() -> impl Strategy<Value = v1::quota::QuotaConfig> {
    ("[a-b](/[a-b])?", proptest::option::of(0.0..9.0)).prop_map(|(role, cpus)| {
        let limits = cpus.map(|value| ("cpus".to_owned(), v1::value::Scalar { value })).into_iter().collect();
        v1::quota::QuotaConfig { role, limits, ..Default::default() }
    })
}

fn weight() -> impl Strategy<Value = v1::WeightInfo> {
    (0.5..4.0, proptest::option::of("[a-b](/[a-b])?")).prop_map(|(weight, role)| v1::WeightInfo { weight, role })
}

fn group() -> impl Strategy<Value = meseta::v1::ResourceGroup> {
    ("[a-b]", proptest::option::of(0.5..4.0), vec("[a-b]", 0..2))
        .prop_map(|(name, weight, roles)| meseta::v1::ResourceGroup { name, weight, roles, ..Default::default() })
}

fn operation() -> impl Strategy<Value = Operation> {
    let time = || any::<i64>().prop_map(WallTime);
    prop_oneof![
        ("[a-c]", any::<bool>()).prop_map(|(id, checkpoint)| {
            let id = Some(v1::FrameworkId { value: id });
            let info = v1::FrameworkInfo { id, checkpoint: Some(checkpoint), ..Default::default() };
            Operation::RecordFramework(Box::new(info))
        }),
        ("[a-c]", time())
            .prop_map(|(id, at)| Operation::RemoveFramework { framework: FrameworkId::from(id.as_str()), at }),
        "[a-b]".prop_map(|id| Operation::RecordMaster(Box::new(v1::MasterInfo { id, ..Default::default() }))),
        info().prop_map(Operation::AdmitAgent),
        info().prop_map(Operation::UpdateAgent),
        (agent(), time()).prop_map(|(agent, since)| Operation::MarkUnreachable { agent, since }),
        info().prop_map(Operation::MarkReachable),
        (agent(), time()).prop_map(|(agent, since)| Operation::MarkGone { agent, since }),
        agent().prop_map(Operation::RemoveAgent),
        (vec(agent(), 0..2), vec(agent(), 0..2)).prop_map(|(unreachable, gone)| Operation::Prune {
            unreachable: unreachable.into_iter().collect(),
            gone: gone.into_iter().collect(),
        }),
        (agent(), proptest::option::of(any::<i64>()), any::<bool>()).prop_map(|(agent, grace, mark_gone)| {
            let max_grace_period = grace.map(|nanoseconds| v1::DurationInfo { nanoseconds });
            Operation::DrainAgent { agent, max_grace_period, mark_gone }
        }),
        agent().prop_map(Operation::MarkDrained),
        agent().prop_map(Operation::DeactivateAgent),
        agent().prop_map(Operation::ReactivateAgent),
        schedule().prop_map(Operation::UpdateSchedule),
        vec(machine(), 0..3).prop_map(Operation::StartMaintenance),
        vec(machine(), 0..3).prop_map(Operation::StopMaintenance),
        vec(quota(), 0..3).prop_map(Operation::UpdateQuota),
        "[a-z]{1,3}".prop_map(Operation::RemoveQuota),
        vec(weight(), 0..3).prop_map(Operation::UpdateWeights),
        group().prop_map(|group| Operation::SetGroup(Box::new(group))),
        "[a-b]".prop_map(Operation::RemoveGroup),
    ]
}

proptest! {
    #[test]
    fn operations_round_trip(operation in operation()) {
        prop_assert_eq!(Operation::decode(&operation.encode()).unwrap(), operation);
    }

    #[test]
    fn a_store_of_parts_holds_the_document(operations in vec(operation(), 0..60)) {
        let mut document = Registry::default();
        let mut store: BTreeMap<String, Bytes> = BTreeMap::new();
        for operation in &operations {
            let before = document.clone();
            let Ok(mutation) = apply(&mut document, operation) else {
                prop_assert_eq!(&document, &before);
                continue;
            };
            prop_assert!(mutation.mutated() || document == before);
            for Change { key, value } in document.changes(&mutation) {
                match value {
                    Some(value) => store.insert(key.to_string(), value),
                    None => store.remove(&key.to_string()),
                };
            }
        }
        let whole: BTreeMap<String, Bytes> = document.entries().map(|(key, value)| (key.to_string(), value)).collect();
        prop_assert_eq!(&store, &whole);
        prop_assert_eq!(&Registry::from_entries(store.iter().rev().map(|(k, v)| (&k[..], &v[..]))).unwrap(), &document);
        prop_assert_eq!(&Registry::decode(&document.encode()).unwrap(), &document);
    }

    #[test]
    fn damaged_bytes_are_refused_or_read_but_never_panic(
        bytes in vec(any::<u8>(), 0..60), letter in 0..3usize, version in 0..=VERSION,
    ) {
        let mut sealed = vec![b"DEO"[letter], version];
        sealed.extend(bytes);
        let _ = Registry::decode(&sealed);
        let _ = Registry::from_entries([("master", &sealed[..])]);
        let _ = Operation::decode(&sealed);
    }
}

fn sample() -> Registry {
    let mut registry = Registry::default();
    let id = Some(v1::AgentId { value: "a".to_owned() });
    let info = v1::AgentInfo { hostname: "host".to_owned(), id, ..Default::default() };
    apply(&mut registry, &Operation::AdmitAgent(Box::new(info))).unwrap();
    let framework = v1::FrameworkInfo { id: Some(v1::FrameworkId { value: "f".to_owned() }), ..Default::default() };
    apply(&mut registry, &Operation::RecordFramework(Box::new(framework))).unwrap();
    registry
}

#[test]
fn any_bit_of_a_part_that_flips_and_any_cut_is_refused() {
    for (key, value) in sample().entries() {
        let name = key.to_string();
        let read = |value: &[u8]| Registry::from_entries([(&name[..], value)]);
        assert!(read(&value).is_ok());
        for bit in 0..value.len() * 8 {
            let mut damaged = value.to_vec();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(read(&damaged).is_err(), "{name}, bit {bit}");
        }
        for length in 0..value.len() {
            assert!(read(&value[..length]).is_err(), "{name}, cut at {length}");
        }
        let error = Registry::from_entries([("agents/other", &value[..])]).unwrap_err().to_string();
        assert!(error.contains("agents/other") && error.contains("sum"), "{error}");
    }
}

#[test]
fn parts_from_before_there_were_sums_are_read() {
    let registry = sample();
    let former: Vec<(String, Vec<u8>)> =
        registry.entries().map(|(key, value)| (key.to_string(), [&[value[0], 1], &value[6..]].concat())).collect();
    assert!(former.iter().all(|(_, value)| !registry::has_sum(value)));
    let read = Registry::from_entries(former.iter().map(|(name, value)| (&name[..], &value[..])));
    assert_eq!(read.unwrap(), registry);
}

#[test]
fn a_newer_format_is_refused_by_name() {
    let mut bytes = Registry::default().encode().to_vec();
    bytes[1] = VERSION + 1;
    let error = Registry::decode(&bytes).unwrap_err();
    assert_eq!(error, DecodeError::Newer { found: VERSION + 1 });
    assert!(error.to_string().contains("run a newer one"), "{error}");
}

#[test]
fn one_kind_of_value_is_not_read_as_another() {
    let document = Registry::default().encode();
    assert!(matches!(
        Operation::decode(&document),
        Err(DecodeError::Foreign { expected: "operation", found: Some('D') })
    ));
    assert!(matches!(Registry::decode(b""), Err(DecodeError::Foreign { expected: "document", found: None })));
}

#[test]
fn keys_are_one_slash_and_plain_ascii() {
    let mut registry = Registry::default();
    let weights = vec![v1::WeightInfo { weight: 2.0, role: Some("a/b c%é".to_owned()) }];
    apply(&mut registry, &Operation::UpdateWeights(weights)).unwrap();
    let keys: Vec<String> = registry.keys().map(|k| k.to_string()).collect();
    assert_eq!(keys, ["weights/a%2Fb%20c%25%C3%A9"]);
}
