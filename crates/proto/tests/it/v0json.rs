//! The pieces of the legacy documents, made from what the same master said in protobuf at the same moment.

use proto::{json::Writer, recordio, v0json, v1, wire};
use std::{error::Error, fs, path::PathBuf};

type Outcome = Result<(), Box<dyn Error>>;

fn vector(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("testdata/vectors").join(name)
}

fn master_state() -> Result<v1::master::response::GetState, Box<dyn Error>> {
    let response: v1::master::Response = wire::decode(&fs::read(vector("master_GET_STATE.pb"))?)?;
    Ok(response.get_state.ok_or("no state")?)
}

fn written<T: ?Sized>(write: impl FnOnce(&mut Writer, &T), value: &T) -> String {
    let mut writer = Writer::v0();
    write(&mut writer, value);
    writer.into_string()
}

#[track_caller]
fn assert_part(document: &str, part: &str) {
    assert!(document.contains(part), "not in the document: {part}");
}

#[test]
fn tasks() -> Outcome {
    let tasks = master_state()?.get_tasks.ok_or("no tasks")?;
    for name in ["legacy_master_state.json", "legacy_master_tasks.json", "legacy_master_frameworks.json"] {
        let document = fs::read_to_string(vector(name))?;
        for task in tasks.tasks.iter().chain(&tasks.completed_tasks) {
            assert_part(&document, &written(v0json::task, task));
        }
    }
    assert!(tasks.tasks.len() > 1 && tasks.completed_tasks.len() > 1);
    Ok(())
}

#[test]
fn executors() -> Outcome {
    let document = fs::read_to_string(vector("legacy_master_state.json"))?;
    let executors = master_state()?.get_executors.ok_or("no executors")?.executors;
    assert!(!executors.is_empty());
    for executor in executors {
        let part = written(
            |writer, info| {
                writer.object(|writer| {
                    v0json::executor_fields(writer, info);
                    writer.field("slave_id", &executor.agent_id.value);
                });
            },
            &executor.executor_info,
        );
        assert_part(&document, &part);
    }
    Ok(())
}

#[test]
fn frameworks() -> Outcome {
    let document = fs::read_to_string(vector("legacy_master_state.json"))?;
    for framework in master_state()?.get_frameworks.ok_or("no frameworks")?.frameworks {
        let info = &framework.framework_info;
        let part = written(v0json::framework_capabilities, info);
        assert_part(&document, &format!(r#""capabilities":{part},"hostname":"{}","#, info.hostname()));
        let part = written(|writer, info| writer.object(|writer| v0json::role_fields(writer, info)), info);
        assert_part(&document, &part[1..part.len() - 1]);
        for offer in &framework.offers {
            assert_part(&document, &written(v0json::offer, offer));
        }
        let part = written(v0json::resources, &framework.allocated_resources[..]);
        assert_part(&document, &format!(r#""used_resources":{part}"#));
    }
    Ok(())
}

#[test]
fn agents() -> Outcome {
    let document = fs::read_to_string(vector("legacy_master_slaves.json"))?;
    for agent in master_state()?.get_agents.ok_or("no agents")?.agents {
        let part = written(
            |writer, agent: &v1::master::response::get_agents::Agent| {
                writer.object(|writer| {
                    writer.field("id", agent.agent_info.id.as_ref().map_or("", |id| &id.value));
                    v0json::agent_info_fields(writer, &agent.agent_info);
                    writer.optional_field("pid", agent.pid.as_ref());
                });
            },
            &agent,
        );
        assert_part(&document, &part[..part.len() - 1]);
        let part = written(v0json::resources, &agent.total_resources[..]);
        assert_part(&document, &format!(r#""resources":{part}"#));
        let part = written(v0json::agent_capabilities, &agent.capabilities[..]);
        assert_part(&document, &format!(r#""capabilities":{part}"#));
    }
    Ok(())
}

#[test]
fn tasks_of_the_agent() -> Outcome {
    let response: v1::agent::Response = wire::decode(&fs::read(vector("agent_GET_TASKS.pb"))?)?;
    let tasks = response.get_tasks.ok_or("no tasks")?;
    let document = fs::read_to_string(vector("legacy_agent_state.json"))?;
    for task in tasks.launched_tasks.iter().chain(&tasks.completed_tasks) {
        assert_part(&document, &written(v0json::task, task));
    }
    Ok(())
}

/// v0 names where a message is written whole, and what the vectors have no case of.
#[test]
fn v0_names_and_corners() -> Outcome {
    let mut decoder = recordio::Decoder::default();
    decoder.push(&fs::read(vector("scheduler_events.pb.recordio"))?);
    let mut status = None;
    while let Some(record) = decoder.next()? {
        let event: v1::scheduler::Event = wire::decode(&record)?;
        status = event.update.map(|update| update.status).or(status);
    }
    let status = status.ok_or("no update")?;
    let text = written(|writer, status| writer.value(status), &status);
    assert!(text.contains(r#""slave_id":{"#) || text.contains("SOURCE_MASTER"), "{text}");
    let status = v1::TaskStatus {
        source: Some(v1::task_status::Source::Agent.into()),
        reason: Some(v1::task_status::Reason::AgentRemoved.into()),
        ..status
    };
    let text = written(|writer, status| writer.value(status), &status);
    assert_part(&text, r#""source":"SOURCE_SLAVE""#);
    assert_part(&text, r#""reason":"REASON_SLAVE_REMOVED""#);

    let range = |begin, end| v1::value::Range { begin, end };
    let ports = |ranges: Vec<v1::value::Range>| v1::Resource {
        name: "ports".to_owned(),
        ranges: Some(v1::value::Ranges { range: ranges }),
        ..Default::default()
    };
    let spare = v1::Resource {
        name: "cpus".to_owned(),
        scalar: Some(v1::value::Scalar { value: 0.1 }),
        revocable: Some(Default::default()),
        ..Default::default()
    };
    let set = v1::Resource {
        name: "zones".to_owned(),
        set: Some(v1::value::Set { item: vec!["b".to_owned(), "a".to_owned()] }),
        ..Default::default()
    };
    let resources = [ports(vec![range(5, 6), range(1, 2)]), ports(vec![range(3, 3)]), spare.clone(), spare, set];
    assert_eq!(
        written(v0json::resources, &resources[..]),
        r#"{"disk":0.0,"mem":0.0,"gpus":0.0,"cpus":0.0,"cpus_revocable":0.2,"ports":"[1-3, 5-6]","zones":"{a, b}"}"#
    );
    let command = v1::CommandInfo {
        shell: Some(false),
        value: Some("/bin/sleep".to_owned()),
        arguments: vec!["sleep".to_owned()],
        uris: vec![v1::command_info::Uri { value: "x".to_owned(), executable: Some(true), ..Default::default() }],
        ..Default::default()
    };
    assert_eq!(
        written(v0json::command, &command),
        r#"{"shell":false,"value":"/bin/sleep","argv":["sleep"],"uris":[{"value":"x","executable":true}]}"#
    );
    Ok(())
}
