//! The command executor as a process, against a scripted agent.

use std::time::Duration;

use crate::fake::{self, Agent, Executor, task};
use proto::v1::{
    self,
    TaskState::{TaskFailed, TaskFinished, TaskKilled, TaskKilling, TaskRunning, TaskStarting},
};

const CHECKPOINTED: &[(&str, &str)] = &[("MESOS_CHECKPOINT", "1"), ("MESOS_SUBSCRIPTION_BACKOFF_MAX", "20ms")];

fn started(more: &[(&str, &str)], framework: v1::FrameworkInfo) -> (Agent, Executor, fake::Stream) {
    let agent = Agent::start();
    let executor = Executor::start("command", agent.address, more);
    let (subscribe, mut stream) = agent.subscribe();
    assert!(subscribe.unacknowledged_updates.is_empty());
    stream.accept();
    stream.subscribed(framework);
    (agent, executor, stream)
}

#[test]
fn a_task_starts_runs_and_finishes_and_the_executor_leaves() {
    let (agent, mut executor, mut stream) = started(&[], v1::FrameworkInfo::default());
    let mut task = task("t", "echo \"$GREETING $MESOS_EXECUTOR_ID\" > said");
    let variable = |name: &str, value: &str| v1::environment::Variable {
        name: name.into(),
        value: Some(value.into()),
        ..Default::default()
    };
    task.command.as_mut().expect("set").environment =
        Some(v1::Environment { variables: vec![variable("GREETING", "first"), variable("GREETING", "hello")] });
    stream.launch(task);
    let mut uuids = Vec::new();
    for state in [TaskStarting, TaskRunning, TaskFinished] {
        let status = agent.expect(&mut stream, state);
        assert_eq!(status.source(), v1::task_status::Source::Executor);
        assert_eq!(status.executor_id.as_ref().map(|id| id.value.as_str()), Some("executor"));
        assert!(status.timestamp.is_some());
        let uuid = status.uuid.expect("checked");
        assert_eq!((uuid.len(), uuid[6] >> 4, uuid[8] >> 6), (16, 4, 2), "a version 4 UUID");
        assert!(!uuids.contains(&uuid));
        uuids.push(uuid);
        if state == TaskFinished {
            assert_eq!(status.message.as_deref(), Some("Command exited with status 0"));
        }
    }
    assert_eq!(executor.line("said"), "hello executor");
    assert_eq!(executor.exit_code(), 0);
    assert_eq!(executor.stderr(), "");
}

#[test]
fn arguments_are_passed_as_they_are_and_a_failure_tells_its_status() {
    let (agent, mut executor, mut stream) = started(&[], v1::FrameworkInfo::default());
    let mut task = task("t", "sh");
    let command = task.command.as_mut().expect("set");
    command.shell = Some(false);
    command.arguments = ["sh", "-c", "exit $1", "name", "3"].map(str::to_owned).to_vec();
    stream.launch(task);
    for state in [TaskStarting, TaskRunning] {
        agent.expect(&mut stream, state);
    }
    let status = agent.expect(&mut stream, TaskFailed);
    assert_eq!(status.message.as_deref(), Some("Command exited with status 3"));
    assert_eq!(executor.exit_code(), 0);
}

#[test]
fn what_cannot_be_executed_fails_and_says_why() {
    let (agent, mut executor, mut stream) = started(&[], v1::FrameworkInfo::default());
    let mut task = task("t", "/no/such/program");
    task.command.as_mut().expect("set").shell = Some(false);
    stream.launch(task);
    agent.expect(&mut stream, TaskStarting);
    let status = agent.expect(&mut stream, TaskFailed);
    assert_eq!(
        status.message.as_deref(),
        Some("Failed to execute '/no/such/program': No such file or directory (os error 2)")
    );
    assert_eq!(executor.exit_code(), 0);
}

#[test]
fn an_unknown_user_fails_the_task() {
    let (agent, _executor, mut stream) = started(&[], v1::FrameworkInfo::default());
    let mut task = task("t", "true");
    task.command.as_mut().expect("set").user = Some("no-such-user".into());
    stream.launch(task);
    agent.expect(&mut stream, TaskStarting);
    let status = agent.expect(&mut stream, TaskFailed);
    assert_eq!(status.message.as_deref(), Some("Failed to run as user 'no-such-user': no such user on this host"));
}

#[test]
fn a_kill_ends_the_whole_tree_and_says_killing_when_asked_to() {
    use v1::framework_info::{Capability, capability::Type};
    let capability = Capability { r#type: Some(Type::TaskKillingState as i32) };
    let framework = v1::FrameworkInfo { capabilities: vec![capability], ..Default::default() };
    let (agent, mut executor, mut stream) = started(&[], framework);
    // The grandchild leaves the session, and its parent; it must still be found.
    stream.launch(task("t", "setsid sh -c 'trap \"\" TERM; echo $$ > below; exec sleep 600' & exec sleep 600"));
    for state in [TaskStarting, TaskRunning] {
        agent.expect(&mut stream, state);
    }
    let below = executor.line("below");
    stream.kill("t", None);
    agent.expect(&mut stream, TaskKilling);
    let status = agent.expect(&mut stream, TaskKilled);
    assert_eq!(status.message.as_deref(), Some("Command terminated with signal Terminated"));
    assert_eq!(executor.exit_code(), 0);
    assert!(!is_alive(&below), "{below} outlives the executor");
}

#[test]
fn a_second_kill_may_shorten_the_grace_and_a_clean_exit_is_still_a_kill() {
    let (agent, mut executor, mut stream) = started(&[], v1::FrameworkInfo::default());
    stream.launch(task("t", "trap '' TERM; echo up > up; while true; do sleep 0.01; done"));
    for state in [TaskStarting, TaskRunning] {
        agent.expect(&mut stream, state);
    }
    executor.line("up");
    stream.kill("t", Some(Duration::from_secs(600)));
    stream.kill("other", Some(Duration::ZERO));
    stream.kill("t", Some(Duration::ZERO));
    let status = agent.expect(&mut stream, TaskKilled);
    assert_eq!(status.message.as_deref(), Some("Command terminated with signal Killed"));
    assert_eq!(executor.exit_code(), 0);
}

#[test]
fn a_task_over_its_time_fails() {
    let (agent, mut executor, mut stream) = started(&[], v1::FrameworkInfo::default());
    let mut task = task("t", "sleep 600");
    task.max_completion_time = Some(v1::DurationInfo { nanoseconds: 1_000_000 });
    stream.launch(task);
    for state in [TaskStarting, TaskRunning] {
        agent.expect(&mut stream, state);
    }
    let status = agent.expect(&mut stream, TaskFailed);
    assert_eq!(status.reason(), v1::task_status::Reason::MaxCompletionTimeReached);
    assert_eq!(executor.exit_code(), 0);
}

#[test]
fn a_shutdown_without_a_task_ends_the_executor_and_with_one_kills_it() {
    let (_agent, mut executor, mut stream) = started(&[], v1::FrameworkInfo::default());
    stream.shutdown();
    assert_eq!(executor.exit_code(), 0);

    let (agent, mut executor, mut stream) = started(&[], v1::FrameworkInfo::default());
    stream.launch(task("t", "exec sleep 600"));
    for state in [TaskStarting, TaskRunning] {
        agent.expect(&mut stream, state);
    }
    stream.shutdown();
    agent.expect(&mut stream, TaskKilled);
    assert_eq!(executor.exit_code(), 0);
}

#[test]
fn after_a_restart_of_the_agent_the_same_updates_come_again() {
    let (agent, mut executor, mut stream) = started(CHECKPOINTED, v1::FrameworkInfo::default());
    stream.launch(task("t", "until [ -e go ]; do sleep 0.01; done"));
    let starting = agent.update();
    let running = agent.update();
    stream.acknowledge(&starting);
    stream.close();
    let (subscribe, stream) = agent.subscribe();
    let updates: Vec<_> = subscribe.unacknowledged_updates.into_iter().map(|update| update.status).collect();
    assert_eq!(updates, [running]);
    assert!(subscribe.unacknowledged_tasks.is_empty());
    // It comes back after refusals of an agent that is still recovering, too.
    stream.refuse(503);
    agent.subscribe().1.refuse(400);
    std::fs::write(executor.directory.join("go"), "").expect("writable");
    let (subscribe, mut stream) = loop {
        let (subscribe, stream) = agent.subscribe();
        if subscribe.unacknowledged_updates.len() == 2 {
            break (subscribe, stream);
        }
        stream.refuse(503);
    };
    stream.accept();
    stream.subscribed(v1::FrameworkInfo::default());
    for update in &subscribe.unacknowledged_updates {
        stream.acknowledge(&update.status);
    }
    assert_eq!(subscribe.unacknowledged_updates[1].status.state(), TaskFinished);
    assert_eq!(executor.exit_code(), 0);
}

#[test]
fn as_the_first_process_of_its_namespace_it_reaps_and_kills_everything() {
    let unshare = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"];
    if !nix::unistd::geteuid().is_root() || !can_run(&[&unshare[..], &["true"]].concat()) {
        return testkit::skip("needs root, and namespaces that `unshare` can make");
    }
    let agent = Agent::start();
    let mut executor = Executor::start_under(&unshare, "command", agent.address, &[]);
    let (_, mut stream) = agent.subscribe();
    stream.accept();
    stream.subscribed(v1::FrameworkInfo::default());
    // The orphans of the subshell are the executor's to reap; the last one ignores the polite signal.
    let script = "(sleep 0 & sleep 0 & setsid sh -c 'trap \"\" TERM; sleep 600' &); \
                  until [ $(ls -d /proc/[0-9]* | wc -l) -lt 7 ]; do :; done; echo $$ $PPID > up; exec sleep 600";
    stream.launch(task("t", script));
    for state in [TaskStarting, TaskRunning] {
        agent.expect(&mut stream, state);
    }
    assert_eq!(executor.line("up").split(' ').nth(1), Some("1"));
    stream.kill("t", None);
    agent.expect(&mut stream, TaskKilled);
    assert_eq!(executor.exit_code(), 0);
}

fn can_run(command: &[&str]) -> bool {
    let status =
        std::process::Command::new(command[0]).args(&command[1..]).stderr(std::process::Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

#[test]
fn a_command_with_another_user_runs_as_that_user() {
    if !nix::unistd::geteuid().is_root() {
        return testkit::skip("needs root");
    }
    let Ok(Some(nobody)) = nix::unistd::User::from_name("nobody") else {
        return testkit::skip("needs a user `nobody`");
    };
    let (agent, mut executor, mut stream) = started(&[], v1::FrameworkInfo::default());
    let mut task = task("t", &format!("test \"$(id -u) $(id -g)\" = \"{} {}\"", nobody.uid, nobody.gid));
    task.command.as_mut().expect("set").user = Some("nobody".into());
    stream.launch(task);
    for state in [TaskStarting, TaskRunning, TaskFinished] {
        agent.expect(&mut stream, state);
    }
    assert_eq!(executor.exit_code(), 0);
}

#[test]
fn a_script_without_an_interpreter_line_is_the_shells() {
    let (agent, mut executor, mut stream) = started(&[], v1::FrameworkInfo::default());
    let script = executor.directory.join("script");
    std::fs::write(&script, "exit $1\n").expect("writable");
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("ours");
    let mut task = task("t", "./script");
    let command = task.command.as_mut().expect("set");
    command.shell = Some(false);
    command.arguments = ["script", "5"].map(str::to_owned).to_vec();
    stream.launch(task);
    for state in [TaskStarting, TaskRunning] {
        agent.expect(&mut stream, state);
    }
    let status = agent.expect(&mut stream, TaskFailed);
    assert_eq!(status.message.as_deref(), Some("Command exited with status 5"));
    assert_eq!(executor.exit_code(), 0);
}

#[test]
fn checks_of_every_kind_look_at_the_task() {
    use v1::{check_info, health_check};
    let web = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = u32::from(web.local_addr().expect("bound").port());
    std::thread::spawn(move || {
        for mut socket in web.incoming().flatten() {
            let mut request = [0; 1024];
            // A TCP check says nothing and leaves.
            let Ok(count @ 1..) = std::io::Read::read(&mut socket, &mut request) else { continue };
            let found = request[..count].starts_with(b"GET /ready HTTP/1.1\r\n");
            let answer = if found { "HTTP/1.1 204 No Content\r\n\r\n" } else { "HTTP/1.1 404 Not Found\r\n\r\n" };
            let _ = std::io::Write::write_all(&mut socket, answer.as_bytes());
        }
    });
    let at_once = v1::HealthCheck { delay_seconds: Some(0.0), interval_seconds: Some(3600.0), ..Default::default() };
    let command = |script: &str| v1::CommandInfo { value: Some(script.into()), ..Default::default() };
    let http = |path: &str| health_check::HttpCheckInfo { port, path: Some(path.into()), ..Default::default() };
    let strict = |check: v1::HealthCheck| v1::HealthCheck { grace_period_seconds: Some(0.0), ..check };
    let health_checks = [
        (true, v1::HealthCheck { command: Some(command("test -d .")), ..at_once.clone() }),
        (true, v1::HealthCheck { http: Some(http("/ready")), ..at_once.clone() }),
        (
            true,
            v1::HealthCheck { tcp: Some(health_check::TcpCheckInfo { port, ..Default::default() }), ..at_once.clone() },
        ),
        (false, strict(v1::HealthCheck { http: Some(http("elsewhere")), ..at_once.clone() })),
        (
            false,
            strict(v1::HealthCheck {
                command: Some(command("sleep 600")),
                timeout_seconds: Some(0.01),
                ..at_once.clone()
            }),
        ),
    ];
    for (healthy, check) in health_checks {
        let (agent, mut executor, mut stream) = started(&[], v1::FrameworkInfo::default());
        let mut task = task("t", "exec sleep 600");
        task.health_check = Some(Box::new(check));
        stream.launch(task);
        for state in [TaskStarting, TaskRunning] {
            assert_eq!(agent.expect(&mut stream, state).healthy, None);
        }
        let status = agent.expect(&mut stream, TaskRunning);
        assert_eq!(status.healthy, Some(healthy), "{status:?}");
        stream.kill("t", None);
        assert_eq!(agent.expect(&mut stream, TaskKilled).healthy, Some(healthy));
        assert_eq!(executor.exit_code(), 0);
    }
    let (agent, _executor, mut stream) = started(&[], v1::FrameworkInfo::default());
    let mut task = task("t", "exec sleep 600");
    task.check = Some(Box::new(v1::CheckInfo {
        r#type: Some(check_info::Type::Http as i32),
        http: Some(check_info::Http { port, path: None }),
        delay_seconds: Some(0.0),
        ..Default::default()
    }));
    stream.launch(task);
    for state in [TaskStarting, TaskRunning] {
        agent.expect(&mut stream, state);
    }
    let status = agent.expect(&mut stream, TaskRunning);
    assert_eq!(status.reason(), v1::task_status::Reason::TaskCheckStatusUpdated);
    assert_eq!(status.check_status.and_then(|check| check.http).and_then(|http| http.status_code), Some(404));
}

/// Serves each path with a status and, for a redirect, where to: `{here}` is the server itself.
fn serve(answers: &'static [(&'static str, u16, &'static str)]) -> u16 {
    let web = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = web.local_addr().expect("bound").port();
    std::thread::spawn(move || {
        for mut socket in web.incoming().flatten() {
            let mut request = [0; 1024];
            let Ok(count @ 1..) = std::io::Read::read(&mut socket, &mut request) else { continue };
            let request = String::from_utf8_lossy(&request[..count]).into_owned();
            let path = request.split(' ').nth(1).unwrap_or_default();
            let found = answers.iter().find(|(of, ..)| *of == path);
            let (_, status, location) = found.unwrap_or(&("", 404, ""));
            let location = match location.replace("{here}", &format!("127.0.0.1:{port}")) {
                none if none.is_empty() => none,
                to => format!("Location: {to}\r\n"),
            };
            let answer = format!("HTTP/1.1 {status} Some\r\n{location}Content-Length: 0\r\nConnection: close\r\n\r\n");
            let _ = std::io::Write::write_all(&mut socket, answer.as_bytes());
        }
    });
    port
}

#[test]
fn http_checks_follow_redirects_to_the_last_answer() {
    use v1::{check_info, health_check};
    let port = serve(&[
        ("/up", 302, "/ok"),
        ("/down", 302, "http://{here}/broken"),
        ("/around", 301, "/around"),
        ("/file", 302, "file:///etc/passwd"),
        ("/ok", 200, ""),
        ("/broken", 503, ""),
    ]);
    let health =
        [("/up", true, None), ("/down", false, Some("503")), ("/around", false, Some("more than 50 redirects"))];
    let more = [("/file", false, Some("scheme 'file'"))];
    for (path, healthy, why) in health.into_iter().chain(more) {
        let (agent, _executor, mut stream) = started(&[], v1::FrameworkInfo::default());
        let mut task = task("t", "exec sleep 600");
        let http = health_check::HttpCheckInfo { port: port.into(), path: Some(path.into()), ..Default::default() };
        task.health_check = Some(Box::new(v1::HealthCheck {
            http: Some(http),
            delay_seconds: Some(0.0),
            interval_seconds: Some(3600.0),
            grace_period_seconds: Some(0.0),
            ..Default::default()
        }));
        stream.launch(task);
        for state in [TaskStarting, TaskRunning] {
            agent.expect(&mut stream, state);
        }
        let status = agent.expect(&mut stream, TaskRunning);
        assert_eq!(status.healthy, Some(healthy), "{path}: {status:?}");
        assert!(why.is_none_or(|why| status.message().contains(why)), "{path}: {status:?}");
    }
    let (agent, _executor, mut stream) = started(&[], v1::FrameworkInfo::default());
    let mut task = task("t", "exec sleep 600");
    task.check = Some(Box::new(v1::CheckInfo {
        r#type: Some(check_info::Type::Http as i32),
        http: Some(check_info::Http { port: port.into(), path: Some("/down".into()) }),
        delay_seconds: Some(0.0),
        ..Default::default()
    }));
    stream.launch(task);
    for state in [TaskStarting, TaskRunning] {
        agent.expect(&mut stream, state);
    }
    let status = agent.expect(&mut stream, TaskRunning);
    assert_eq!(status.check_status.and_then(|check| check.http).and_then(|http| http.status_code), Some(503));
}

#[test]
fn a_redirect_to_a_host_with_a_name_is_followed_by_curl() {
    if !can_run(&["curl", "--version"]) {
        testkit::skip("needs curl (apt-get install curl)");
        return;
    }
    let port = serve(&[("/named", 302, "http://ip6-localhost.invalid/")]);
    let (agent, _executor, mut stream) = started(&[], v1::FrameworkInfo::default());
    let mut task = task("t", "exec sleep 600");
    task.health_check = Some(Box::new(v1::HealthCheck {
        http: Some(v1::health_check::HttpCheckInfo {
            port: port.into(),
            path: Some("/named".into()),
            ..Default::default()
        }),
        delay_seconds: Some(0.0),
        interval_seconds: Some(3600.0),
        grace_period_seconds: Some(0.0),
        ..Default::default()
    }));
    stream.launch(task);
    for state in [TaskStarting, TaskRunning] {
        agent.expect(&mut stream, state);
    }
    let status = agent.expect(&mut stream, TaskRunning);
    assert!(status.message().contains("curl exited with status 6"), "{status:?}");
}

fn secret(name: &str, secret: v1::Secret) -> v1::environment::Variable {
    v1::environment::Variable {
        name: name.into(),
        r#type: Some(v1::environment::variable::Type::Secret as i32),
        secret: Some(secret),
        ..Default::default()
    }
}

fn variable(name: &str, value: &str) -> v1::environment::Variable {
    v1::environment::Variable { name: name.into(), value: Some(value.into()), ..Default::default() }
}

#[test]
fn a_secret_is_set_and_one_by_reference_fails_the_task_by_name() {
    use v1::secret::{Reference, Type, Value};
    let (agent, executor, mut stream) = started(&[], v1::FrameworkInfo::default());
    let mut known = task("t", "echo \"$TOKEN\" > said");
    let value = v1::Secret {
        r#type: Some(Type::Value as i32),
        value: Some(Value { data: "s3cret".into() }),
        ..Default::default()
    };
    known.command.as_mut().expect("set").environment =
        Some(v1::Environment { variables: vec![secret("TOKEN", value)] });
    stream.launch(known);
    for state in [TaskStarting, TaskRunning, TaskFinished] {
        agent.expect(&mut stream, state);
    }
    assert_eq!(executor.line("said"), "s3cret");
    assert_eq!(executor.stderr(), "");

    let (agent, _executor, mut stream) = started(&[], v1::FrameworkInfo::default());
    let mut referred = task("t", "true");
    let reference = v1::Secret {
        r#type: Some(Type::Reference as i32),
        reference: Some(Reference { name: "vault/key".into(), ..Default::default() }),
        ..Default::default()
    };
    referred.command.as_mut().expect("set").environment =
        Some(v1::Environment { variables: vec![secret("TOKEN", reference)] });
    stream.launch(referred);
    agent.expect(&mut stream, TaskStarting);
    let status = agent.expect(&mut stream, TaskFailed);
    assert!(status.message().contains("'TOKEN'") && status.message().contains("'vault/key'"), "{status:?}");
}

#[test]
fn a_command_check_finds_the_tasks_environment_and_directory() {
    let (agent, executor, mut stream) = started(&[], v1::FrameworkInfo::default());
    let mut checked = task("t", "exec sleep 600");
    checked.command.as_mut().expect("set").environment =
        Some(v1::Environment { variables: vec![variable("COLOR", "blue"), variable("SIZE", "small")] });
    checked.health_check = Some(Box::new(v1::HealthCheck {
        command: Some(v1::CommandInfo {
            value: Some("echo \"$COLOR $SIZE $PWD\" > seen; test -f seen".into()),
            environment: Some(v1::Environment { variables: vec![variable("SIZE", "large")] }),
            ..Default::default()
        }),
        delay_seconds: Some(0.0),
        interval_seconds: Some(3600.0),
        ..Default::default()
    }));
    stream.launch(checked);
    for state in [TaskStarting, TaskRunning] {
        agent.expect(&mut stream, state);
    }
    assert_eq!(agent.expect(&mut stream, TaskRunning).healthy, Some(true));
    let directory = executor.directory.canonicalize().expect("there");
    assert_eq!(executor.line("seen"), format!("blue large {}", directory.display()));
}

#[test]
fn an_idle_executor_is_small() {
    let (agent, executor, mut stream) = started(&[], v1::FrameworkInfo::default());
    stream.launch(task("t", "exec sleep 600"));
    for state in [TaskStarting, TaskRunning] {
        agent.expect(&mut stream, state);
    }
    let status = std::fs::read_to_string(format!("/proc/{}/status", executor.id())).expect("it runs");
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("told");
    let kibibytes: u64 = resident.trim().trim_end_matches(" kB").parse().expect("a number");
    assert!(kibibytes <= 4096, "{kibibytes} KiB");
}

#[test]
fn without_checkpoints_the_executor_ends_with_its_agent_and_takes_the_task_along() {
    let (agent, mut executor, mut stream) = started(&[], v1::FrameworkInfo::default());
    stream.launch(task("t", "echo $$ > self; exec sleep 600"));
    for state in [TaskStarting, TaskRunning] {
        agent.expect(&mut stream, state);
    }
    let pid = executor.line("self");
    stream.close();
    assert_eq!(executor.exit_code(), 1);
    assert!(!is_alive(&pid));
}

#[test]
fn an_agent_that_does_not_come_back_is_given_up() {
    let more = [CHECKPOINTED, &[("MESOS_RECOVERY_TIMEOUT", "50ms")]].concat();
    let agent = Agent::start();
    let mut executor = Executor::start("command", agent.address, &more);
    let (_, stream) = agent.subscribe();
    drop(stream);
    assert_eq!(executor.exit_code(), 1);
}

#[test]
fn malformed_answers_end_in_a_clear_error_and_no_crash() {
    for answer in [
        &b"SSH-2.0-OpenSSH\r\n\r\n"[..],
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnope\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nabc\n123",
        b"HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\n99999999999999999999999999999\n",
        b"HTTP/1.1 403 Forbidden\r\nContent-Length: 4\r\n\r\nnope",
        b"",
    ] {
        let agent = Agent::start();
        let mut executor = Executor::start("command", agent.address, &[]);
        let (_, mut stream) = agent.subscribe();
        stream.raw(answer);
        drop(stream);
        assert_eq!(executor.exit_code(), 1, "{answer:?}");
        assert!(executor.stderr().starts_with("executor: "), "{}", executor.stderr());
    }
}

#[test]
fn events_that_make_no_sense_are_ignored() {
    let (agent, mut executor, mut stream) = started(&[], v1::FrameworkInfo::default());
    for record in [&b"\xff\xff\xff"[..], b"", b"\x08\x63", b"\x08\x02", b"\x08\x04", b"\x08\x05"] {
        stream.record(record);
    }
    stream.launch(task("t", "true"));
    for state in [TaskStarting, TaskRunning, TaskFinished] {
        agent.expect(&mut stream, state);
    }
    assert_eq!(executor.exit_code(), 0);
}

fn is_alive(pid: &str) -> bool {
    match std::fs::read_to_string(format!("/proc/{pid}/stat")) {
        Ok(stat) => !stat.contains(") Z "),
        Err(_) => false,
    }
}
