//! Mesos's JSON, as a real master was seen to take, refuse and print it.

use proto::{ContentType, DecodeError, json, v1};

/// The master's answer to `text` on its operator API, if it is refused for its form.
fn refusal(text: &[u8]) -> Option<String> {
    ContentType::Json.decode_body::<v1::master::Call>(text).err()
}

#[test]
fn broken_texts() {
    for (text, near) in [
        ("", ""),
        ("{", ""),
        (r#"{"type":"GET_HEALTH",}"#, "}"),
        (r#"{"type":"GET_HEALTH" "a":1}"#, r#""a":1}"#),
        ("{type:1}", "type:1}"),
        (r#"{"a":+1}"#, "+1}"),
        (r#"{"a":.5}"#, ".5}"),
        (r#"{"a":1e}"#, "}"),
        (r#"{"a":1-2}"#, "}"),
        (r#"{"a":--1}"#, "}"),
        (r#"{"a":0x10}"#, "x10}"),
        (r#"{"a":"\x"}"#, "\"}"),
        (r#"{"a":"\u00"}"#, "\"}"),
        (r#"{"a":"\ud800"}"#, "\"}"),
        (r#"{"a":"\uD83Dx"}"#, "x\"}"),
        (r#"{"a":"\uDE00"}"#, "\"}"),
        ("{\"a\":\"x\ty\"}", "y\"}"),
        (r#"{"a":nul}"#, "}"),
        (r#"{"a":nan}"#, "an}"),
        (r#"{"a":Infinity}"#, "Infinity}"),
        (r#"{"a":[1 2]}"#, "2]}"),
        (r#"{"a":[1,]}"#, "]}"),
        (r#"{"a" 1}"#, "1}"),
    ] {
        let expected = format!("Failed to parse body into JSON: syntax error at line 1 near: {near}");
        assert_eq!(refusal(text.as_bytes()), Some(expected), "{text}");
    }
    for (text, why) in [
        ("{\n\"a\":\n x}", "syntax error at line 3 near: x}"),
        (r#"{"a":1e999}"#, "Value out of range"),
        ("{} x", "Parsed JSON included non-whitespace trailing characters:  x"),
    ] {
        assert_eq!(refusal(text.as_bytes()), Some(format!("Failed to parse body into JSON: {why}")), "{text}");
    }
}

#[test]
fn values_that_do_not_fit() {
    for (text, why) in [
        ("[]", "Expecting a JSON object"),
        ("null", "Expecting a JSON object"),
        (r#"{"type":1}"#, "Not expecting a JSON number for field 'type'"),
        (r#"{"type":["GET_HEALTH"]}"#, "Not expecting a JSON array for field 'type'"),
        (r#"{"type":{}}"#, "Not expecting a JSON object for field 'type'"),
        (r#"{"type":true}"#, "Not expecting a JSON boolean for field 'type'"),
        (r#"{"get_metrics":"x"}"#, "Not expecting a JSON string for field 'get_metrics'"),
        (
            r#"{"get_metrics":{"timeout":{"nanoseconds":"x"}}}"#,
            "Failed to parse 'x' as a JSON number for field 'nanoseconds': syntax error at line 1 near: x",
        ),
        (
            r#"{"get_metrics":{"timeout":{"nanoseconds":"{}"}}}"#,
            "Failed to parse '{}' as a JSON number for field 'nanoseconds': Unexpected JSON type parsed",
        ),
        (r#"{"get_metrics":{"timeout":{}}}"#, "Missing required fields: get_metrics.timeout.nanoseconds"),
        (r#"{"set_logging_level":{}}"#, "Missing required fields: set_logging_level.level, set_logging_level.duration"),
        (
            r#"{"update_weights":{"weight_infos":[{},{"role":"a"}]}}"#,
            "Missing required fields: update_weights.weight_infos[0].weight, update_weights.weight_infos[1].weight",
        ),
        (
            r#"{"update_weights":{"weight_infos":[{"weight":"NaN"}]}}"#,
            "Failed to parse 'NaN' as a JSON number for field 'weight': syntax error at line 1 near: NaN",
        ),
        (r#"{"update_weights":{"weight_infos":[1]}}"#, "Not expecting a JSON number for field 'weight_infos'"),
        (
            r#"{"update_quota":{"quota_configs":[{"role":"q","limits":{"cpus":{}}}]}}"#,
            "Missing required fields: update_quota.quota_configs[0].limits[0].value.value",
        ),
        (
            r#"{"update_quota":{"quota_configs":[{"role":"q","limits":{"cpus":3}}]}}"#,
            "Not expecting a JSON number for field 'value'",
        ),
        (
            r#"{"drain_agent":{"agent_id":{"value":"x"},"mark_gone":"yes"}}"#,
            "Failed to parse 'yes' as a JSON boolean for field 'mark_gone': syntax error at line 1 near: yes",
        ),
        (
            r#"{"drain_agent":{"agent_id":{"value":"x"},"mark_gone":"truex"}}"#,
            "Failed to parse 'truex' as a JSON boolean for field 'mark_gone': \
             Parsed JSON included non-whitespace trailing characters: x",
        ),
        (
            r#"{"drain_agent":{"agent_id":{"value":"x"},"mark_gone":"1"}}"#,
            "Failed to parse '1' as a JSON boolean for field 'mark_gone': Unexpected JSON type parsed",
        ),
    ] {
        let expected = format!("Failed to convert JSON into Call protobuf: {why}");
        assert_eq!(refusal(text.as_bytes()), Some(expected), "{text}");
    }
    let call = br#"{"message":{"data":"!!!!"}}"#;
    let expected = "Failed to base64 decode bytes field 'data': Invalid character '!'".to_owned();
    assert_eq!(json::from_slice::<v1::scheduler::Call>(call), Err(DecodeError::Field(expected)));
}

/// A broken text counts before a value that does not fit, wherever it breaks.
#[test]
fn syntax_comes_first() {
    let refusal = refusal(br#"{"type":1,"a":]}"#);
    assert_eq!(refusal.as_deref(), Some("Failed to parse body into JSON: syntax error at line 1 near: ]}"));
}

/// However often a name comes again, reading takes no longer than the text is.
#[test]
fn names_that_come_again() -> Result<(), DecodeError> {
    let again = r#""type":"GET_VERSION","list_files":{"path":"p"},"#.repeat(100_000);
    let call: v1::master::Call = json::from_slice(format!(r#"{{{again}"type":"GET_HEALTH"}}"#).as_bytes())?;
    assert_eq!(json::to_string(&call), r#"{"type":"GET_HEALTH","list_files":{"path":"p"}}"#);
    Ok(())
}

#[test]
fn nesting_is_bounded() {
    let nested = |depth: usize| format!(r#"{{"x":{}{}}}"#, "[".repeat(depth), "]".repeat(depth));
    assert_eq!(refusal(nested(199).as_bytes()), None);
    assert!(refusal(nested(200).as_bytes()).is_some());
    assert!(refusal("[".repeat(1_000_000).as_bytes()).is_some());
}

/// What Mesos takes although it is not quite what it asks for.
#[test]
fn lenient_input() -> Result<(), DecodeError> {
    for (text, rendered) in [
        (r#"{"type":"FOO"}"#, "{}"),
        (r#"{"type":null}"#, "{}"),
        (r#"{"unknown":{"a":[1,"\ud83d\ude00",{}]}, "type" : "GET_HEALTH" }"#, r#"{"type":"GET_HEALTH"}"#),
        (r#"{"type":"GET_HEALTH","type":"GET_VERSION"}"#, r#"{"type":"GET_VERSION"}"#),
        (r#"{"type":"GET_HEALTH","type":null}"#, "{}"),
        ("{} \r\n\t", "{}"),
        (r#"{"get_metrics":{"timeout":{"nanoseconds":"12"}}}"#, r#"{"get_metrics":{"timeout":{"nanoseconds":12}}}"#),
        (r#"{"get_metrics":{"timeout":{"nanoseconds":1.9}}}"#, r#"{"get_metrics":{"timeout":{"nanoseconds":1}}}"#),
        (
            r#"{"set_logging_level":{"level":-1,"duration":{"nanoseconds":-1}}}"#,
            r#"{"set_logging_level":{"level":4294967295,"duration":{"nanoseconds":-1}}}"#,
        ),
        (
            r#"{"read_file":{"path":"p","offset":18446744073709551615}}"#,
            r#"{"read_file":{"path":"p","offset":18446744073709551615}}"#,
        ),
        (
            r#"{"update_weights":{"weight_infos":{"weight":"2.25","role":"a"}}}"#,
            r#"{"update_weights":{"weight_infos":[{"weight":2.25,"role":"a"}]}}"#,
        ),
        (
            r#"{"update_weights":{"weight_infos":[null,[{"weight":"Infinity"}],{"weight":"-Infinity"}]}}"#,
            r#"{"update_weights":{"weight_infos":[{"weight":"Infinity"},{"weight":"-Infinity"}]}}"#,
        ),
        (
            r#"{"drain_agent":{"agent_id":{"value":"x"},"max_grace_period":{"seconds":"10"},"mark_gone":" true "}}"#,
            r#"{"drain_agent":{"agent_id":{"value":"x"},"max_grace_period":{"seconds":10},"mark_gone":true}}"#,
        ),
        (
            r#"{"update_quota":{"quota_configs":[{"role":"q","limits":[{"cpus":{"value":1}},{"mem":{"value":2}}]}]}}"#,
            r#"{"update_quota":{"quota_configs":[{"role":"q","limits":{"cpus":{"value":1.0},"mem":{"value":2.0}}}]}}"#,
        ),
    ] {
        assert_eq!(json::to_string(&json::from_slice::<v1::master::Call>(text.as_bytes())?), rendered, "{text}");
    }
    Ok(())
}

#[test]
fn base64_as_lenient_as_mesos() -> Result<(), DecodeError> {
    for (data, decoded) in [
        ("aGk=", &b"hi"[..]),
        ("aGk", b"hi"),
        ("aG k=", b"hi"),
        ("aGk==", b"hi"),
        ("aGk=x", b"hi"),
        ("a", b""),
        ("", b""),
    ] {
        let text = format!(r#"{{"data":"{data}"}}"#);
        assert_eq!(json::from_slice::<v1::executor::call::Message>(text.as_bytes())?.data, decoded, "{data}");
    }
    Ok(())
}

/// Explicit defaults are written, except of deprecated fields; declaration order; strings escaped as Mesos does.
#[test]
fn output() -> Result<(), DecodeError> {
    let framework: v1::FrameworkInfo = json::from_slice(
        "{\"name\":\"\\u0001\\u001f\\u007f\\\"\\\\/\\n\u{e9}\u{1f600}\",\"role\":\"r\",\"user\":\"\"}".as_bytes(),
    )?;
    assert_eq!(
        json::to_string(&framework),
        "{\"user\":\"\",\"name\":\"\\u0001\\u001F\u{7f}\\\"\\\\/\\n\u{e9}\u{1f600}\",\
         \"failover_timeout\":0.0,\"checkpoint\":false,\"role\":\"r\"}"
    );
    assert_eq!(json::to_value(&framework)["failover_timeout"], 0.0);
    let check = v1::HealthCheck::default();
    assert_eq!(
        json::to_string(&check),
        "{\"delay_seconds\":15.0,\"interval_seconds\":10.0,\"timeout_seconds\":20.0,\"consecutive_failures\":3,\
         \"grace_period_seconds\":10.0}"
    );
    Ok(())
}

/// v0's `AgentInfo.checkpoint` shows where Mesos writes v0's message, and nowhere else.
#[test]
fn fields_of_v0() {
    let info = v1::AgentInfo { hostname: "h".to_owned(), checkpoint: Some(true), ..Default::default() };
    assert_eq!(json::to_string(&info), r#"{"hostname":"h","port":5051}"#);
    let agent = v1::master::response::get_agents::Agent { agent_info: info.clone(), ..Default::default() };
    assert!(json::to_string(&agent).contains(r#""port":5051,"checkpoint":true"#));
    let mut writer = json::Writer::v0();
    writer.value(&info);
    assert!(writer.into_string().contains(r#""checkpoint":true"#));
}

#[test]
fn an_array_of_messages_is_read_as_one() {
    let read = |text: &str| proto::json::list_from_slice::<proto::v1::WeightInfo>(text.as_bytes());
    let weights = read(r#" [{"role":"a","weight":2}, {"weight":0.5,"role":"b"}] "#).unwrap();
    assert_eq!(weights.iter().map(|w| (w.role(), w.weight)).collect::<Vec<_>>(), [("a", 2.0), ("b", 0.5)]);
    assert_eq!(read("[]").unwrap(), []);
    for (text, why) in [
        ("", "syntax error at line 1 near: "),
        ("{}", "Unexpected JSON type parsed"),
        ("[1]", "Expecting a JSON object"),
        (r#"[{"role":"a"}]"#, "Missing required fields: weight"),
    ] {
        assert_eq!(read(text).unwrap_err().to_string(), why, "{text}");
    }
}
