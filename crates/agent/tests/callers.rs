//! Who may do what on an agent, tried by real processes: a task of user nobody that goes for its neighbours and for
//! root, over the agent's own socket and over loopback; and every call of an agent that asks for credentials. Needs
//! root, and `curl` for those who call; says so where it cannot run.
#![allow(clippy::unwrap_used)]

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use proto::{internal, v1, wire};
use serde_json::{Value, json};
use testkit::{
    Cluster, Options, http,
    processes::{ends_with_its_thread, is_root, meseta, wait_for},
};
use transport::auth::jwt::Key;

const PATIENCE: Duration = Duration::from_secs(60);

/// Whether the tests can run here; says why not.
fn can_run() -> bool {
    let curl = Command::new("curl").arg("--version").stdout(Stdio::null()).status();
    let can = is_root() && curl.is_ok_and(|status| status.success());
    if !can {
        testkit::skip::skip("it runs tasks as another user, which call with curl: run it as root, with curl installed");
    }
    can
}

/// A cluster of one agent whose directories everybody can pass through, and a task of root as the victim.
struct Scene {
    cluster: Cluster,
    victim: Child,
    framework: String,
    executor: String,
    container: String,
}

impl Scene {
    fn new(agent_flags: &[String]) -> Scene {
        let cluster = Cluster::start(Options { agent_flags: agent_flags.to_vec(), ..Options::default() });
        for path in [cluster.home().to_owned(), cluster.agent_work_dir(0)] {
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        let mut victim = Command::new(meseta());
        victim
            .args(["run", "--master", &cluster.master_address(), "--user", "root", "sleep 1000"])
            .env("MESETA_TEST_HOME", cluster.home())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let victim = ends_with_its_thread(&mut victim).spawn().unwrap();
        let mut scene =
            Scene { cluster, victim, framework: String::new(), executor: String::new(), container: String::new() };
        let running = wait_for(PATIENCE, || scene.victims_state().filter(|(state, ..)| state == "TASK_RUNNING"));
        let (_, framework, executor, container) = running.expect("the victim runs");
        (scene.framework, scene.executor, scene.container) = (framework, executor, container);
        scene
    }

    fn address(&self) -> String {
        self.cluster.agent_address(0)
    }

    fn socket(&self) -> PathBuf {
        self.cluster.agent_work_dir(0).join("run/agent.sock")
    }

    /// The state of the victim's task; framework, executor and container.
    fn victims_state(&self) -> Option<(String, String, String, String)> {
        let answer = self.curl(&["-u", "ops:s3cret", &format!("http://{}/state", self.address())]);
        let state: Value = serde_json::from_str(&answer).ok()?;
        let framework = state["frameworks"].get(0)?;
        let executor = framework["executors"].get(0)?;
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let task = executor["tasks"].get(0)?;
        Some((text(&task["state"])?, text(&framework["id"])?, text(&executor["id"])?, text(&executor["container"])?))
    }

    fn curl(&self, arguments: &[&str]) -> String {
        let output = Command::new("curl").args(["-s", "-m", "20"]).args(arguments).output().unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// The status of a call that this process makes, with these arguments of curl.
    fn ask(&self, path: &str, body: &Value, arguments: &[&str]) -> String {
        let (body, url) = (body.to_string(), format!("http://{}{path}", self.address()));
        let mut all =
            vec!["-o", "/dev/null", "-w", "%{http_code}", "-H", "Content-Type: application/json", "-d", &body];
        all.extend(arguments);
        all.push(&url);
        self.curl(&all)
    }

    /// Runs a script as a task of nobody that is no executor's business, and gives what it wrote.
    fn run_as_nobody(&self, name: &str, script: &str) -> String {
        let launch = json!({"type": "LAUNCH_CONTAINER", "launch_container": {
            "container_id": {"value": name}, "command": {"value": script, "user": "nobody"},
        }});
        assert_eq!(self.ask("/api/v1", &launch, &["-u", "ops:s3cret"]), "200");
        let wait = json!({"type": "WAIT_CONTAINER", "wait_container": {"container_id": {"value": name}}});
        let ended = self.ask("/api/v1", &wait, &["-u", "ops:s3cret"]);
        let sandbox = self.cluster.agent_work_dir(0).join("containers").join(name);
        let read = |file: &str| fs::read_to_string(sandbox.join(file)).unwrap_or_default();
        assert_eq!(ended, "200", "{}", read("stderr"));
        read("stdout")
    }

    /// A file that tasks can read.
    fn write(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.cluster.home().join(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        path
    }

    /// What a hostile neighbour may try, and the answer it must get.
    fn attacks(&self) -> Vec<(&'static str, &'static str, Value, &'static str)> {
        let victim = json!({"value": self.container});
        let inside = |name: &str| json!({"value": name, "parent": {"value": self.container}});
        let own = |name: &str| json!({"value": name, "parent": {"value": "hostile"}});
        let call = |kind: &str, mut content: Value| {
            content["framework_id"] = json!({"value": self.framework});
            content["executor_id"] = json!({"value": self.executor});
            content["type"] = json!(kind);
            content
        };
        let status = json!({"task_id": {"value": self.executor}, "state": "TASK_FINISHED", "source": "SOURCE_EXECUTOR",
            "timestamp": 1.5, "uuid": "AAAAAAAAQACAAAAAAAAAEQ=="});
        let api = "/api/v1";
        let executor = "/api/v1/executor";
        let command = |user: &str| json!({"value": "true", "user": user});
        vec![
            ("subscribe", executor, call("SUBSCRIBE", json!({"subscribe": {}})), "403"),
            ("update", executor, call("UPDATE", json!({"update": {"status": status}})), "403"),
            ("message", executor, call("MESSAGE", json!({"message": {"data": "aGk="}})), "403"),
            ("kill", api, json!({"type": "KILL_CONTAINER", "kill_container": {"container_id": victim}}), "403"),
            ("wait", api, json!({"type": "WAIT_CONTAINER", "wait_container": {"container_id": victim}}), "403"),
            ("remove", api, json!({"type": "REMOVE_CONTAINER", "remove_container": {"container_id": victim}}), "403"),
            (
                "set what is logged",
                api,
                json!({"type": "SET_LOGGING_LEVEL", "set_logging_level":
                    {"level": 3, "duration": {"nanoseconds": 1_000_000_000}}}),
                "403",
            ),
            ("toggle what is logged", "/logging/toggle?level=3&duration=1secs", json!({}), "403"),
            (
                "launch as root",
                api,
                json!({"type": "LAUNCH_CONTAINER", "launch_container":
                    {"container_id": {"value": "rooted"}, "command": command("root")}}),
                "403",
            ),
            (
                "launch as the agent",
                api,
                json!({"type": "LAUNCH_CONTAINER", "launch_container":
                    {"container_id": {"value": "rooted"}, "command": {"value": "true"}}}),
                "403",
            ),
            (
                "launch in the victim",
                api,
                json!({"type": "LAUNCH_NESTED_CONTAINER", "launch_nested_container":
                    {"container_id": inside("x"), "command": {"value": "true"}}}),
                "403",
            ),
            (
                "a session in the victim",
                api,
                json!({"type": "LAUNCH_NESTED_CONTAINER_SESSION", "launch_nested_container_session":
                    {"container_id": inside("x"), "command": {"value": "true"}}}),
                "403",
            ),
            (
                "root inside itself",
                api,
                json!({"type": "LAUNCH_NESTED_CONTAINER", "launch_nested_container":
                    {"container_id": own("x"), "command": command("root")}}),
                "403",
            ),
        ]
    }

    /// The script that tries all attacks with these arguments of curl, one status a line.
    fn script(&self, attacks: &[(&str, &str, Value, &str)], arguments: &str) -> String {
        let mut script = String::new();
        for (name, path, body, _) in attacks {
            let file = self.write(&format!("{}.json", name.replace(' ', "-")), body.to_string().as_bytes());
            script += &format!(
                "curl -s -m 20 -o /dev/null -w '%{{http_code}}\\n' {arguments} -H 'Content-Type: application/json' \
                 -d @{} 'http://{}{path}'\n",
                file.display(),
                self.address()
            );
        }
        script
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        let _ = self.victim.kill();
        let _ = self.victim.wait();
    }
}

fn over(socket: &Path) -> String {
    format!("--unix-socket {}", socket.display())
}

fn isolations() -> [Vec<String>; 2] {
    ["posix/cpu,posix/mem", "all"].map(|isolation| vec![format!("--isolation={isolation}")])
}

#[test]
fn a_task_gets_at_nobody_but_itself() {
    if !can_run() {
        return;
    }
    for flags in isolations() {
        let scene = Scene::new(&flags);
        let attacks = scene.attacks();
        for (way, arguments) in [("socket", over(&scene.socket())), ("loopback", String::new())] {
            let own = json!({"type": "LAUNCH_NESTED_CONTAINER", "launch_nested_container": {
                "container_id": {"value": format!("own-{way}"), "parent": {"value": "hostile"}},
                "command": {"value": "true"},
            }});
            let mut all = attacks.clone();
            all.push(("inside itself", "/api/v1", own, "200"));
            // A child that has lost its parents is the container's all the same.
            let script = scene.script(&all, &arguments);
            let orphan = scene.write("script.sh", script.as_bytes());
            let script = format!(
                "{script}\n(setsid sh {} > orphan; echo >> done) &\nwhile [ ! -e done ]; do sleep 0.1; done; cat orphan",
                orphan.display()
            );
            let name = "hostile";
            let told = scene.run_as_nobody(name, &script);
            let remove = json!({"type": "REMOVE_CONTAINER", "remove_container": {"container_id": {"value": name}}});
            assert_eq!(scene.ask("/api/v1", &remove, &[]), "200");
            let statuses: Vec<&str> = told.lines().collect();
            assert_eq!(statuses.len(), 2 * all.len(), "{way} {flags:?}: {told}");
            for (i, (attack, .., expected)) in all.iter().enumerate() {
                assert_eq!(statuses[i], *expected, "{attack} over {way}, {flags:?}");
                // The name of its own nested container is taken by then, which is no refusal.
                let expected = if *expected == "200" { ["200", "500", "202"] } else { [*expected; 3] };
                assert!(expected.contains(&statuses[all.len() + i]), "{attack} of an orphan over {way}, {flags:?}");
            }
        }
        assert_eq!(scene.victims_state().unwrap().0, "TASK_RUNNING");
    }
}

#[test]
fn a_task_speaks_for_no_master_and_no_v0_executor() {
    if !can_run() {
        return;
    }
    let scene = Scene::new(&[]);
    let framework_id = v1::FrameworkId { value: scene.framework.clone() };
    let executor_id = v1::ExecutorId { value: scene.executor.clone() };
    let shutdown = internal::ShutdownMessage { message: Some("gone".into()) };
    let register = internal::RegisterExecutorMessage { framework_id: framework_id.clone(), executor_id };
    let framework = internal::ShutdownFrameworkMessage { framework_id };
    let messages = [
        ("ShutdownMessage", scene.cluster.master_address(), "master", wire::encode(&shutdown)),
        ("ShutdownMessage", http::knows_nothing(), "master", wire::encode(&shutdown)),
        ("ShutdownFrameworkMessage", scene.cluster.master_address(), "master", wire::encode(&framework)),
        ("RegisterExecutorMessage", "127.0.0.1:1".into(), "executor(1)", wire::encode(&register)),
    ];
    let mut script = String::new();
    for (name, address, actor, body) in &messages {
        let file = scene.write(name, body);
        script += &format!(
            "curl -s -m 20 -H 'Libprocess-From: {actor}@{address}' --data-binary @{} \
             'http://{}/slave(1)/mesos.internal.{name}'\n",
            file.display(),
            scene.address()
        );
    }
    scene.run_as_nobody("hostile", &script);
    let log = || fs::read_to_string(scene.cluster.agents[0].log()).unwrap_or_default();
    for refused in [
        "dropped a message that may not come from the process it names",
        "a container sends what only a master may",
        "Not allowed to speak for executor",
    ] {
        assert!(wait_for(PATIENCE, || log().contains(refused).then_some(())).is_some(), "{refused}:\n{}", log());
    }
    assert_eq!(scene.victims_state().unwrap().0, "TASK_RUNNING");
}

#[test]
fn no_call_is_open_where_credentials_are_asked_for() {
    if !can_run() {
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let secrets = [("credentials", "ops s3cret\n"), ("key", "a random secret of 32 bytes or so")];
    let files = secrets.map(|(name, content)| {
        let path = home.path().join(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path
    });
    let scene = Scene::new(&[
        "--authenticate_http_readonly".into(),
        "--authenticate_http_readwrite".into(),
        "--authenticate_http_executors".into(),
        format!("--http_credentials={}", files[0].display()),
        format!("--jwt_secret_key={}", files[1].display()),
    ]);
    let kinds = (0..200).filter_map(|number| v1::agent::call::Type::try_from(number).ok());
    for kind in kinds {
        let body = json!({"type": kind.as_str_name()});
        assert_eq!(scene.ask("/api/v1", &body, &[]), "401", "{kind:?}");
        assert_eq!(scene.ask("/api/v1", &body, &["-u", "ops:wrong"]), "401", "{kind:?}");
    }
    // At the other endpoints neither a token nor a place counts, only a credential.
    let (attacks, elsewhere): (Vec<_>, Vec<_>) =
        scene.attacks().into_iter().partition(|(_, path, ..)| path.starts_with("/api/v1"));
    for (attack, path, body, _) in &elsewhere {
        assert_eq!(scene.ask(path, body, &[]), "401", "{attack}");
    }
    for (attack, path, body, _) in &attacks {
        assert_eq!(scene.ask(path, body, &[]), "401", "{attack}");
        assert_eq!(scene.ask(path, body, &["-H", "Authorization: Bearer a.b.c"]), "401", "{attack}");
    }
    // A task in its container: over TCP it needs a token, over the socket it is known.
    for (arguments, expected) in [(String::new(), "401"), (over(&scene.socket()), "403")] {
        let told = scene.run_as_nobody(&format!("hostile{expected}"), &scene.script(&attacks, &arguments));
        assert!(told.lines().count() == attacks.len() && told.lines().all(|status| status == expected), "{told}");
    }
    // Tokens: somebody else's, and its own.
    let key = Key::read(files[1].to_str().unwrap()).unwrap();
    let token = |cid: &str, eid: &str| {
        let claims = [("cid", cid), ("eid", eid), ("fid", &scene.framework)];
        let token = key.sign(&claims.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
        format!("Authorization: Bearer {token}")
    };
    let (other, forged) = (token("another-container", "another"), token("another-container", &scene.executor));
    for (attack, path, body, _) in &attacks {
        assert_eq!(scene.ask(path, body, &["-H", &other]), "403", "{attack}");
        assert_eq!(scene.ask(path, body, &["-H", &forged]), "403", "{attack}");
    }
    let own = token(&scene.container, &scene.executor);
    let message = &attacks.iter().find(|(name, ..)| *name == "message").unwrap().2;
    assert_eq!(scene.ask("/api/v1/executor", message, &["-H", &own]), "202");
    let state = json!({"type": "GET_STATE"});
    assert_eq!(scene.ask("/api/v1", &state, &["-H", &own]), "403");
    assert_eq!(scene.ask("/api/v1", &state, &["-u", "ops:s3cret"]), "200");
    assert_eq!(scene.victims_state().unwrap().0, "TASK_RUNNING");
}
