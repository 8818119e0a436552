//! Binary: required fields, the names of libprocess, and v0's own call.

use proptest::prelude::*;
use proto::{DecodeError, Message, Upid, content, internal, link, recordio, scheduler_v0, v1, wire};

fn missing<M: Message>(bytes: &[u8]) -> Option<String> {
    match wire::decode::<M>(bytes) {
        Err(DecodeError::MissingFields(paths)) => Some(paths),
        _ => None,
    }
}

#[test]
fn required_fields_have_paths() {
    assert_eq!(missing::<v1::TaskId>(&[]).as_deref(), Some("value"));
    // accept.operations[1].launch.task_infos[0] without anything.
    let launch = [0x08, 1, 0x12, 2, 0x0a, 0];
    let operations = [&[0x12, 0][..], &[0x12, launch.len() as u8], &launch].concat();
    let call = [&[0x22, operations.len() as u8][..], &operations].concat();
    let task = "accept.operations[1].launch.task_infos[0]";
    assert_eq!(missing::<v1::scheduler::Call>(&call), Some(format!("{task}.name, {task}.task_id, {task}.agent_id")));
    // A map's value is there even when its entry does not say so.
    let config = [0x0a, 1, b'r', 0x1a, 3, 0x0a, 1, b'c'];
    assert_eq!(missing::<v1::quota::QuotaConfig>(&config).as_deref(), Some("limits[0].value.value"));
}

/// Own fields first, then nested ones by their numbers, as C++ lists them.
#[test]
fn required_fields_in_order() {
    let kill = [0x32, 2, 0x0a, 0];
    let subscribe = [0x1a, 2, 0x0a, 0];
    assert_eq!(
        missing::<v1::scheduler::Call>(&[kill, subscribe].concat()).as_deref(),
        Some("subscribe.framework_info.user, subscribe.framework_info.name, kill.task_id.value")
    );
}

/// An enum's number that we do not know is as good as none.
#[test]
fn unknown_enum_values_count_as_unset() -> Result<(), DecodeError> {
    assert_eq!(missing::<v1::Attribute>(&[0x0a, 1, b'a', 0x10, 77]).as_deref(), Some("type"));
    assert_eq!(missing::<v1::Attribute>(&[0x0a, 1, b'a', 0x10, 0, 0x10, 77]).as_deref(), Some("type"));
    assert_eq!(missing::<v1::Attribute>(&[0x0a, 1, b'a', 0x10, 77, 0x10, 0]), None);
    let call: v1::scheduler::Call = wire::decode(&[0x10, 77])?;
    assert_eq!(proto::json::to_string(&call), "{}");
    Ok(())
}

/// Two parts of one message make it whole.
#[test]
fn messages_in_parts() -> Result<(), DecodeError> {
    let framework = |field: &[u8]| [&[0x1a, 2 + field.len() as u8, 0x0a, field.len() as u8][..], field].concat();
    let (user, name) = (framework(&[0x0a, 1, b'u']), framework(&[0x12, 1, b'n']));
    assert!(missing::<v1::scheduler::Call>(&user).is_some());
    let call: v1::scheduler::Call = wire::decode(&[user, name].concat())?;
    assert_eq!(call.subscribe.map(|subscribe| subscribe.framework_info.name).as_deref(), Some("n"));
    Ok(())
}

/// Prost would leave a value of zero out, and C++ would refuse what is left.
#[test]
fn values_of_maps_are_written() -> Result<(), DecodeError> {
    let quota = v1::quota::QuotaConfig {
        role: "r".to_owned(),
        limits: [("cpus", 0.0), ("mem", 1.0)]
            .map(|(name, value)| (name.to_owned(), v1::value::Scalar { value }))
            .into(),
        ..Default::default()
    };
    let call = v1::master::Call {
        update_quota: Some(v1::master::call::UpdateQuota { quota_configs: vec![quota], ..Default::default() }),
        ..Default::default()
    };
    assert_eq!(wire::decode::<v1::master::Call>(&wire::encode(&call))?, call);
    let text = proto::json::to_string(&call);
    assert!(text.contains(r#""limits":{"cpus":{"value":0.0},"mem":{"value":1.0}}"#), "{text}");
    Ok(())
}

#[test]
fn nesting_is_bounded() {
    let mut id = v1::ContainerId { value: "x".to_owned(), parent: None };
    for _ in 0..200 {
        id = v1::ContainerId { value: "x".to_owned(), parent: Some(Box::new(id)) };
    }
    assert!(matches!(wire::decode::<v1::ContainerId>(&wire::encode(&id)), Err(DecodeError::Binary(_))));
}

/// A list of what is missing is not longer than it helps.
#[test]
fn long_lists_are_cut() {
    let offers = [0x0a, 0].repeat(20_000);
    assert!(missing::<v1::scheduler::event::Offers>(&offers).is_some_and(|paths| paths.len() < 5000));
}

#[test]
fn names_of_libprocess() {
    assert_eq!(internal::RunTaskMessage::full_name(), "mesos.internal.RunTaskMessage");
    assert_eq!(v1::scheduler::Call::full_name(), scheduler_v0::CALL_NAME);
    assert_eq!(v1::scheduler::call::Subscribe::DESCRIPTOR.name(), "Subscribe");
}

#[test]
fn link_messages_by_name() {
    let ping = link::ToAgent::from(internal::PingSlaveMessage { connected: true });
    assert_eq!(ping.name(), "mesos.internal.PingSlaveMessage");
    assert_eq!(link::ToAgent::decode(ping.name(), &ping.encode()), Ok(ping.clone()));
    assert_eq!(
        link::ToMaster::decode(ping.name(), &ping.encode()),
        Err(link::LinkError::Unknown(ping.name().to_owned()))
    );
    let error = link::ToAgent::decode(ping.name(), &[]);
    assert_eq!(
        error.map_err(|error| error.to_string()),
        Err("mesos.internal.PingSlaveMessage: Missing required fields: connected".to_owned())
    );
}

/// v0 numbers SUBSCRIBE's fields differently, and has one more.
#[test]
fn subscribe_in_v0() -> Result<(), DecodeError> {
    let subscribe = v1::scheduler::call::Subscribe {
        framework_info: v1::FrameworkInfo { user: "u".to_owned(), name: "n".to_owned(), ..Default::default() },
        suppressed_roles: vec!["a".to_owned(), "b".to_owned()],
        offer_constraints: Some(Default::default()),
    };
    let call = v1::scheduler::Call {
        r#type: Some(v1::scheduler::call::Type::Subscribe.into()),
        subscribe: Some(Box::new(subscribe)),
        ..Default::default()
    };
    let call = scheduler_v0::CallV0 { call, force: true };
    let bytes = scheduler_v0::encode_v0(&call)?;
    let framework = [0x0a, 6, 0x0a, 1, b'u', 0x12, 1, b'n'];
    let expected = [&[0x10, 1, 0x1a, 18][..], &framework, &[0x1a, 1, b'a', 0x1a, 1, b'b', 0x22, 0, 0x10, 1]].concat();
    assert_eq!(bytes, expected);
    assert_eq!(scheduler_v0::decode_v0(&bytes)?, call);
    Ok(())
}

/// The messages of old drivers mean calls; those of agents are none of theirs.
#[test]
fn old_drivers_say_calls_in_other_words() {
    use proto::driver::FromDriver;
    use v1::scheduler::call::Type;

    fn heard<M: Message>(message: &M) -> FromDriver {
        assert!(FromDriver::is_named(M::full_name()));
        FromDriver::decode(M::full_name(), &wire::encode(message)).unwrap()
    }
    let id = v1::FrameworkId { value: "f".into() };
    let task_id = v1::TaskId { value: "t".into() };
    let kind = |message: FromDriver| match message {
        FromDriver::Call(call) => {
            assert_eq!((call.force, &call.call.framework_id), (false, &Some(id.clone())));
            call.call.r#type()
        }
        other => panic!("no call: {other:?}"),
    };
    let framework_id = id.clone();
    assert_eq!(kind(heard(&internal::UnregisterFrameworkMessage { framework_id })), Type::Teardown);
    let framework_id = id.clone();
    assert_eq!(kind(heard(&internal::ReviveOffersMessage { framework_id, roles: Vec::new() })), Type::Revive);
    let kill = internal::KillTaskMessage { framework_id: id.clone(), task_id, kill_policy: None };
    assert_eq!(kind(heard(&kill)), Type::Kill);
    let decline = internal::LaunchTasksMessage { framework_id: id.clone(), ..Default::default() };
    assert_eq!(kind(heard(&decline)), Type::Accept);

    let info = v1::FrameworkInfo { user: "u".into(), name: "n".into(), ..Default::default() };
    let register = internal::RegisterFrameworkMessage { framework: info.clone() };
    assert_eq!(heard(&register), FromDriver::Register(Box::new(info.clone())));
    let again = internal::ReregisterFrameworkMessage { framework: info.clone(), failover: true };
    assert_eq!(heard(&again), FromDriver::Reregister { info: Box::new(info), failover: true });
    assert_eq!(heard(&internal::DeactivateFrameworkMessage { framework_id: id.clone() }), FromDriver::Deactivate(id));

    for name in ["mesos.internal.RegisterSlaveMessage", "mesos.internal.StatusUpdateMessage", ""] {
        assert!(!FromDriver::is_named(name));
        assert_eq!(FromDriver::decode(name, b""), Err(link::LinkError::Unknown(name.to_owned())));
    }
}

#[test]
fn content_types() {
    let json = content::ContentType::from_mime("Application/JSON; charset=utf-8");
    assert_eq!(json, Some(content::ContentType::Json));
    assert_eq!(content::ContentType::from_mime("text/html"), None);
    let refused = content::ContentType::Protobuf.decode_body::<v1::master::Call>(&[0xff]);
    assert_eq!(refused, Err("Failed to parse body into Call protobuf".to_owned()));
}

#[test]
fn records_are_bounded() {
    let mut decoder = recordio::Decoder::new(10);
    decoder.push(b"2\nab11\n");
    assert_eq!(decoder.next().map(|record| record.as_deref() == Some(b"ab")), Ok(true));
    assert_eq!(decoder.next(), Err(recordio::RecordError::TooLong { size: 11, max: 10 }));
    for header in ["x\n", "-1\n", "\n", "1x\n", "99999999999999999999999", "99999999999999999999\n"] {
        let mut decoder = recordio::Decoder::default();
        decoder.push(header.as_bytes());
        assert!(matches!(decoder.next(), Err(recordio::RecordError::Header(_))), "{header:?}");
    }
}

#[test]
fn broken_addresses() {
    for text in ["", "a", "a@", "@1.2.3.4:5", "a@host:5", "a@1.2.3.4", "a@1.2.3.4:+5", "a@1.2.3.4:70000"] {
        assert!(text.parse::<Upid>().is_err(), "{text}");
    }
    assert_eq!("slave(1)@[::1]:5051".parse(), Ok(Upid::new("slave(1)", "::1", 5051)));
}

proptest! {
    #[test]
    fn addresses_read_back(id in "[a-z]{1,9}(\\([0-9]{1,3}\\))?", host: std::net::IpAddr, port: u16) {
        let upid = Upid::new(id, host.to_string(), port);
        prop_assert_eq!(upid.to_string().parse(), Ok(upid));
    }

    /// However a stream is cut into pieces, the records are the same.
    #[test]
    fn records_in_pieces(records: Vec<Vec<u8>>, size in 1usize..50) {
        let stream: Vec<u8> = records.iter().flat_map(|record| recordio::encode(record)).collect();
        let mut decoder = recordio::Decoder::default();
        let mut read = Vec::new();
        for piece in stream.chunks(size) {
            decoder.push(piece);
            while let Some(record) = decoder.next()? {
                read.push(record.to_vec());
            }
        }
        prop_assert_eq!(read, records);
        prop_assert!(decoder.is_idle());
    }

    /// Whatever is set, both encodings bring it back.
    #[test]
    fn statuses_read_back(
        state in 0i32..14,
        message: Option<String>,
        data: Option<Vec<u8>>,
        timestamp in proptest::option::of(-1e18f64..1e18),
        healthy: Option<bool>,
        labels: Vec<(String, Option<String>)>,
    ) {
        let labels = labels.into_iter().map(|(key, value)| v1::Label { key, value }).collect();
        let status = v1::TaskStatus {
            task_id: v1::TaskId { value: "t".to_owned() },
            state,
            message,
            data: data.map(Into::into),
            timestamp,
            healthy,
            labels: Some(v1::Labels { labels }),
            ..Default::default()
        };
        prop_assert_eq!(&wire::decode::<v1::TaskStatus>(&wire::encode(&status))?, &status);
        prop_assert_eq!(&proto::json::from_slice::<v1::TaskStatus>(&proto::json::to_vec(&status))?, &status);
    }
}
