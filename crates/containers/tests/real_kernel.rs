//! Containers on the real kernel: as root with namespaces and cgroups, and as an ordinary user with what is left. What
//! cannot be tested on this machine is skipped with the reason. This program is also the launcher of its containers
//! (`launch`), an agent that can be killed (`agent`), and itself under another user (`unprivileged`).

#![allow(clippy::unwrap_used)]

use containers::{
    Class, Command, Config, ContainerId, Containers, ExecutorKind, IpcMode, Isolation, LaunchError, LaunchSpec,
    LauncherKind, LimitationReason, Limits, OpError, Output, Program, Rlimit, State, Termination, Uri, launcher,
};
use std::{
    fs,
    future::Future,
    io::{Read, Write},
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    pin::Pin,
    process::{self, ExitCode, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

type Outcome = Pin<Box<dyn Future<Output = Result<(), Skip>>>>;
struct Skip(&'static str);
type Test = (&'static str, Needs, fn() -> Outcome);

#[derive(Clone, Copy, PartialEq)]
enum Needs {
    Root,
    Nothing,
}

macro_rules! tests {
    ($($needs:ident $name:ident,)*) => {
        const TESTS: &[Test] = &[$((stringify!($name), Needs::$needs, || Box::pin($name()))),*];
    };
}

tests! {
    Nothing exit_codes_come_back_as_wait_words,
    Nothing programs_are_scheduled_as_usual,
    Nothing output_is_kept_short_while_a_container_runs_and_after_the_agent_came_back,
    Nothing a_program_that_cannot_run_says_why,
    Nothing signals_reach_the_program_and_its_children,
    Nothing detached_processes_die_with_their_container,
    Nothing detached_processes_die_when_the_program_ends,
    Nothing output_can_come_through_pipes,
    Nothing an_executor_runs_inside_the_first_process,
    Nothing nested_containers_live_and_die_with_their_parent,
    Nothing a_debug_container_sees_what_its_parent_sees,
    Nothing a_dropped_handle_leaves_containers_to_the_next,
    Nothing an_agent_killed_and_started_again_finds_its_containers,
    Nothing what_is_fetched_is_there_when_the_program_starts,
    Nothing a_container_can_be_destroyed_while_it_is_fetching,
    Nothing usage_is_told,
    Nothing who_takes_more_disk_than_it_was_given_is_ended_if_that_is_wanted,
    Nothing what_is_asked_for_and_not_enforced_is_told_also_after_a_restart,
    Nothing what_containers_are_forked_from_is_replaced,
    Nothing ids_are_taken_once,
    Nothing without_any_isolation_the_tree_still_dies,
    Root the_program_gets_user_directory_environment_and_limits,
    Root namespaces_are_its_own,
    Root a_container_can_do_what_the_table_says,
    Root capabilities_are_given_within_the_agents_bounds,
    Root shared_memory_is_its_own_and_counted,
    Root processes_are_limited,
    Root processors_are_limited,
    Root ipc_modes_are_kept_apart,
    Root running_out_of_memory_is_the_reason_of_the_end,
    Root memory_taken_by_a_child_ends_the_whole_container,
    Root memory_that_nested_containers_share_ends_all_of_them,
    Root limits_are_written_and_hard_memory_only_rises,
    Root nested_containers_can_have_their_own_limits,
    Root a_container_without_a_pid_namespace_is_held_by_its_cgroup,
    Root cgroups_v2_hold_processes_too,
    Root many_launches_leave_nothing_behind,
    Root all_this_works_for_an_ordinary_user,
}

const CGROUPS_ROOT: &str = "MESETA_TEST_CGROUPS_ROOT";

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    match args.next().as_deref() {
        Some("launch") => launcher::main(executor),
        Some("agent") => agent(Path::new(&args.next().unwrap_or_default())),
        Some("unprivileged") => run(&[], Needs::Nothing),
        Some("--list") => {
            TESTS.iter().for_each(|(name, _, _)| println!("{name}: test"));
            ExitCode::SUCCESS
        }
        first => {
            let filters: Vec<String> = first.map(str::to_owned).into_iter().chain(args).collect();
            let filters: Vec<String> = filters.into_iter().filter(|arg| !arg.starts_with('-')).collect();
            run(&filters, Needs::Root)
        }
    }
}

fn run(filters: &[String], most: Needs) -> ExitCode {
    // SAFETY: no other thread runs yet.
    unsafe { std::env::set_var(CGROUPS_ROOT, format!("meseta-test-{}", process::id())) };
    sweep();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let wanted = |name: &str| filters.is_empty() || filters.iter().any(|filter| name.contains(filter.as_str()));
    let (mut passed, mut skipped) = (0, 0);
    for (name, needs, test) in TESTS.iter().filter(|(name, _, _)| wanted(name)) {
        if *needs == Needs::Root && (most != Needs::Root || !is_root()) {
            if most == Needs::Root {
                println!("test {name} ... skipped: needs root");
                skipped += 1;
            }
            continue;
        }
        let started = Instant::now();
        match std::panic::catch_unwind(|| runtime.block_on(test())) {
            Ok(Ok(())) => {
                println!("test {name} ... ok ({} ms)", started.elapsed().as_millis());
                passed += 1;
            }
            Ok(Err(Skip(why))) => {
                println!("test {name} ... skipped: {why}");
                skipped += 1;
            }
            Err(_) => {
                println!("test {name} ... FAILED");
                println!("test result: FAILED. {passed} passed; 1 failed; {skipped} ignored");
                end_launchers();
                remove_cgroups();
                return ExitCode::FAILURE;
            }
        }
    }
    let left = [remove_cgroups(), own_directories()].concat();
    if !left.is_empty() {
        println!("test result: FAILED. The tests have left {left:?}");
        return ExitCode::FAILURE;
    }
    println!("test result: ok. {passed} passed; 0 failed; {skipped} ignored");
    ExitCode::SUCCESS
}

/// Removes the cgroups of this run, as soon as the last processes have left them. Answers what cannot be removed.
fn remove_cgroups() -> Vec<PathBuf> {
    fn remove(path: &Path) {
        let below = fs::read_dir(path).into_iter().flatten().flatten();
        below.filter(|entry| entry.path().is_dir()).for_each(|entry| remove(&entry.path()));
        let _ = fs::remove_dir(path);
    }
    let all = cgroups_at(&["cpu", "memory", "pids", "freezer", "unified", ""]);
    for _ in 0..500 {
        all.iter().for_each(|path| remove(path));
        if all.iter().all(|path| !path.exists()) {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    all.into_iter().filter(|path| path.exists()).collect()
}

/// Removes the directories of runs that were killed.
fn sweep() {
    for entry in fs::read_dir(std::env::temp_dir()).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let pid = name.strip_prefix("meseta-containers-").and_then(|rest| rest.split('-').next());
        if pid.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// What tests of this run have left in the directory for temporary files.
fn own_directories() -> Vec<PathBuf> {
    let own = format!("meseta-containers-{}-", process::id());
    let all = fs::read_dir(std::env::temp_dir()).into_iter().flatten().flatten().map(|entry| entry.path());
    all.filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&own))).collect()
}

/// After a failure: the containers of this very program, and of the agents it started.
fn end_launchers() {
    let own = fs::read_link("/proc/self/exe").unwrap();
    for pid in running("launch") {
        if fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe == own) {
            // SAFETY: takes numbers only.
            unsafe { libc::kill(pid as i32, libc::SIGKILL) };
        }
    }
}

/// What this program does as a built-in executor: `TEST` says it.
fn executor(kind: ExecutorKind) -> u8 {
    match std::env::var("TEST").as_deref() {
        Ok("orphan") => {
            let mut child =
                process::Command::new("/bin/sh").args(["-c", "(sleep 0.05; exit 9) & exit 3"]).spawn().unwrap();
            let own = child.wait().unwrap().code().unwrap();
            let mut orphans = 0;
            while orphans == 0 {
                launcher::reap_children(|_, status| orphans += u8::from(status == 9 << 8));
                std::thread::sleep(Duration::from_millis(5));
            }
            println!("kind {kind:?} child {own} orphans {orphans} pid {}", process::id());
            42
        }
        Ok("panic") => panic!("on purpose"),
        _ => 0,
    }
}

/// An agent whose containers are to outlive it.
fn agent(runtime_dir: &Path) -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        let world = World::at(runtime_dir.to_owned());
        for (name, script) in [
            ("stays", "echo up; while :; do sleep 0.05; done"),
            ("ends", "echo up; while ! test -e go; do sleep 0.02; done; exit 3"),
            ("killed", "echo up; while ! test -e go; do sleep 0.02; done; kill -9 $$"),
        ] {
            let id = world.launch(name, script).await;
            world.said(&id, "up").await;
        }
        println!("launched");
        std::io::stdout().flush().unwrap();
        std::future::pending::<()>().await;
    });
    ExitCode::SUCCESS
}

// ---------------------------------------------------------------------------------------------------------------------

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|metadata| metadata.uid() == 0)
}

fn id(name: &str) -> ContainerId {
    ContainerId::root(name).unwrap()
}

fn shell(script: &str) -> Command {
    Command { env: vec![("PATH".into(), "/usr/bin:/bin".into())], ..Command::new(Program::Shell(script.into())) }
}

fn exited(code: i32) -> Option<i32> {
    Some(code << 8)
}

fn name(prefix: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("{prefix}-{}-{}", process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A length of sleep no other process uses: finds processes by what they run.
fn odd_seconds() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("8{}.{}", process::id(), 1000 + NEXT.fetch_add(1, Ordering::Relaxed))
}

fn running(text: &str) -> Vec<u32> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let command = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        if command.split(|byte| *byte == 0).any(|argument| argument == text.as_bytes()) {
            found.push(pid);
        }
    }
    found
}

async fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
}

struct World {
    containers: Containers,
    complaints: Vec<String>,
    dir: PathBuf,
    remove: bool,
}

impl Drop for World {
    fn drop(&mut self) {
        if self.remove {
            end_all(&self.containers);
            remove_directory(&self.dir);
        }
    }
}

/// Ends what a test leaves running, or had to leave because it failed.
fn end_all(containers: &Containers) {
    let first_processes = containers.list().into_iter().filter(|status| !matches!(status.state, State::Terminated(_)));
    for pid in first_processes.filter_map(|status| status.pid) {
        // SAFETY: takes numbers only.
        unsafe { libc::kill(pid as i32, libc::SIGKILL) };
    }
}

/// Whatever is on its way out may still make files in it.
fn remove_directory(dir: &Path) {
    for _ in 0..200 {
        match fs::remove_dir_all(dir) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                std::thread::sleep(Duration::from_millis(10));
            }
            _ => return,
        }
    }
}

/// Removes a directory of a test when that ends, however it does.
struct Directory(PathBuf);

impl Drop for Directory {
    fn drop(&mut self) {
        remove_directory(&self.0);
    }
}

/// Each run of this program has its own, with the agents it starts.
fn cgroups_root() -> String {
    std::env::var(CGROUPS_ROOT).unwrap_or_default()
}

/// All there may be: below a controller of v1, or v2.
fn cgroups_at(controllers: &[&str]) -> Vec<PathBuf> {
    let hierarchy = Path::new("/sys/fs/cgroup");
    controllers.iter().map(|controller| hierarchy.join(controller).join(cgroups_root())).collect()
}

fn config(dir: &Path) -> Config {
    let mut config = Config::new(dir.join("run"));
    config.executable.args = vec!["real_kernel".into(), "launch".into()];
    config.cgroups_root = cgroups_root();
    config
}

fn fresh_dir() -> PathBuf {
    let dir = std::env::temp_dir().join(name("meseta-containers"));
    fs::create_dir_all(&dir).unwrap();
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).unwrap();
    dir
}

impl World {
    fn new() -> World {
        World::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut Config)) -> World {
        let dir = fresh_dir();
        let mut config = config(&dir);
        change(&mut config);
        let (containers, complaints) = Containers::new(config).unwrap();
        World { containers, complaints, dir, remove: true }
    }

    fn at(dir: PathBuf) -> World {
        let (containers, complaints) = Containers::new(config(&dir)).unwrap();
        World { containers, complaints, dir, remove: false }
    }

    fn sandbox(&self, id: &ContainerId) -> PathBuf {
        self.dir.join("work").join(id.path().join("/containers/"))
    }

    fn spec(&self, id: &ContainerId, command: Command) -> LaunchSpec {
        LaunchSpec::new(id.clone(), command, self.sandbox(id))
    }

    async fn launch(&self, name: &str, script: &str) -> ContainerId {
        self.launch_result(name, script).await.unwrap()
    }

    async fn launch_result(&self, name: &str, script: &str) -> Result<ContainerId, LaunchError> {
        let id = id(name);
        self.containers.launch(self.spec(&id, shell(script))).await?;
        Ok(id)
    }

    async fn run(&self, script: &str) -> (Termination, String) {
        let id = self.launch(&name("c"), script).await;
        let termination = self.containers.wait(&id).await.unwrap();
        let output = self.output(&id);
        self.containers.remove(&id).await.unwrap();
        (termination, output)
    }

    fn output(&self, id: &ContainerId) -> String {
        fs::read_to_string(self.sandbox(id).join("stdout")).unwrap_or_default()
    }

    fn errors(&self, id: &ContainerId) -> String {
        fs::read_to_string(self.sandbox(id).join("stderr")).unwrap_or_default()
    }

    async fn said(&self, id: &ContainerId, text: &str) {
        until(&format!("'{text}' from {id}"), || self.output(id).contains(text).then_some(())).await;
    }

    async fn end(&self, id: &ContainerId) -> Termination {
        let termination = self.containers.destroy(id).await.unwrap();
        self.containers.remove(id).await.unwrap();
        termination
    }
}

// ---------------------------------------------------------------------------------------------------------------------

async fn output_is_kept_short_while_a_container_runs_and_after_the_agent_came_back() -> Result<(), Skip> {
    let rotation = containers::Rotation { bytes_max: 64 << 10, files: 2 };
    let mut world = World::with(|config| config.stdout = Some(rotation));
    let id = world.launch(&name("loud"), "while :; do seq 20000; sleep 0.05; done").await;
    let sandbox = world.sandbox(&id);
    let size = |name: &str| fs::metadata(sandbox.join(name)).map_or(0, |metadata| metadata.len());
    until("two pieces", || (size("stdout.2") > 0).then_some(())).await;
    world.containers = World::with(|_| {}).containers.clone();
    let config = Config { stdout: Some(rotation), ..config(&world.dir) };
    world.containers = Containers::new(config).unwrap().0;
    world.containers.recover().await.unwrap();
    // Just now it may be on its way to be the older piece.
    let _ = fs::remove_file(sandbox.join("stdout.1"));
    until("another piece", || (size("stdout.1") > 0).then_some(())).await;
    assert!(size("stdout.1") <= 64 << 10 && !sandbox.join("stdout.3").exists());
    // Whoever owns the sandbox owns what was cut off.
    let owner = until("its owner", || fs::metadata(sandbox.join("stdout.1")).ok().map(|metadata| metadata.uid())).await;
    assert_eq!(owner, fs::metadata(&sandbox).unwrap().uid());
    world.end(&id).await;
    Ok(())
}

async fn exit_codes_come_back_as_wait_words() -> Result<(), Skip> {
    let world = World::new();
    assert_eq!(
        world.run("echo hello; exit 0").await,
        (Termination { status: exited(0), ..Default::default() }, "hello\n".into())
    );
    for code in [1, 7, 124, 125, 126, 130, 137, 255] {
        assert_eq!(world.run(&format!("exit {code}")).await.0.status, exited(code), "{code}");
    }
    for signal in [15, 9, 6] {
        let status = world.run(&format!("ulimit -c 0; kill -{signal} $$")).await.0.status;
        assert_eq!(status.map(|word| word & 0x7f), Some(signal));
    }
    Ok(())
}

async fn programs_are_scheduled_as_usual() -> Result<(), Skip> {
    /// What the kernel calls SCHED_BATCH and SCHED_OTHER.
    const POLICY: [&str; 2] = ["policy : 3", "policy : 0"];
    let policy = "grep ^policy /proc/self/sched | tr -s ' '";
    if !Path::new("/proc/self/sched").exists() {
        return Err(Skip("this kernel does not tell the policy"));
    }
    let parameters = libc::sched_param { sched_priority: 0 };
    // SAFETY: the kernel reads one valid value.
    let set = |policy| unsafe { libc::sched_setscheduler(0, policy, &raw const parameters) };
    assert_eq!(set(libc::SCHED_BATCH), 0);
    let own = fs::read_to_string("/proc/thread-self/sched").unwrap();
    let world = World::new();
    assert_eq!(set(libc::SCHED_OTHER), 0);
    assert!(own.split_ascii_whitespace().collect::<Vec<_>>().join(" ").contains(POLICY[0]), "{own}");
    let id = world.launch(&name("s"), policy).await;
    world.said(&id, POLICY[1]).await;
    world.end(&id).await;
    Ok(())
}

async fn a_program_that_cannot_run_says_why() -> Result<(), Skip> {
    let world = World::new();
    let id = id(&name("c"));
    let program = Program::Argv { path: "no-such-program".into(), argv: vec!["x".into()] };
    world.containers.launch(world.spec(&id, Command::new(program))).await.unwrap();
    let termination = world.containers.wait(&id).await.unwrap();
    assert_eq!(termination.status, exited(127));
    assert!(termination.message.contains("no-such-program"), "{termination:?}");
    assert!(world.errors(&id).contains("Failed to execute 'no-such-program'"));

    let program = Program::Argv { path: "echo".into(), argv: vec!["echo".into(), "a b".into(), "c".into()] };
    let id = id.path().iter().map(|path| ContainerId::root(&format!("{path}x")).unwrap()).next().unwrap();
    world.containers.launch(world.spec(&id, Command::new(program))).await.unwrap();
    assert_eq!(world.containers.wait(&id).await.unwrap().status, exited(0));
    assert_eq!(world.output(&id), "a b c\n");

    let mut spec = world.spec(&ContainerId::root(&name("c")).unwrap(), shell("true"));
    spec.command.user = Some("no-such-user-here".into());
    let error = world.containers.launch(spec).await.unwrap_err();
    assert!(matches!(&error, LaunchError::User { user, .. } if user == "no-such-user-here"), "{error}");
    Ok(())
}

async fn signals_reach_the_program_and_its_children() -> Result<(), Skip> {
    let world = World::new();
    let script = "sleep 1000 & child=$!; until grep -q sleep /proc/$child/comm; do :; done; \
                  trap 'exit 5' TERM; trap 'echo usr' USR1; echo ready; wait $child; wait $child; echo child $?; \
                  while :; do sleep 0.05; done";
    let id = world.launch(&name("c"), script).await;
    world.said(&id, "ready").await;
    world.containers.signal(&id, libc::SIGUSR1).unwrap();
    world.said(&id, "usr\n").await;
    world.said(&id, "child 138\n").await;
    world.containers.signal(&id, libc::SIGTERM).unwrap();
    assert_eq!(world.containers.wait(&id).await.unwrap().status, exited(5));
    assert!(matches!(world.containers.signal(&id, libc::SIGTERM), Err(OpError::NotRunning(_))));
    Ok(())
}

/// A shell that leaves a daemon in another session, reparented, behind it.
fn daemons(seconds: &str) -> String {
    format!(
        "setsid sh -c 'setsid sleep {seconds} & exec sleep {seconds}' & (setsid sleep {seconds} &) ; sleep {seconds} &"
    )
}

async fn tree_dies_on_destroy(world: &World) {
    let seconds = odd_seconds();
    let id = world.launch(&name("c"), &format!("{} echo ready; wait", daemons(&seconds))).await;
    until("four sleeps", || (running(&seconds).len() >= 4).then_some(())).await;
    let termination = world.containers.destroy(&id).await.unwrap();
    assert_eq!(running(&seconds), [0; 0], "survivors");
    assert!(termination.status.is_some_and(|word| libc::WIFSIGNALED(word)), "{termination:?}");
    world.containers.remove(&id).await.unwrap();
    assert_eq!(world.containers.status(&id), None);
}

async fn tree_dies_with_the_program(world: &World) {
    let seconds = odd_seconds();
    let script = format!("{} while test $(ls) = x; do :; done; sleep 0.2; exit 4", daemons(&seconds));
    let (termination, _) = world.run(&script).await;
    assert_eq!(termination.status, exited(4));
    assert_eq!(running(&seconds), [0; 0], "survivors");
}

async fn detached_processes_die_with_their_container() -> Result<(), Skip> {
    tree_dies_on_destroy(&World::new()).await;
    Ok(())
}

async fn detached_processes_die_when_the_program_ends() -> Result<(), Skip> {
    tree_dies_with_the_program(&World::new()).await;
    Ok(())
}

async fn without_any_isolation_the_tree_still_dies() -> Result<(), Skip> {
    let world = World::with(|config| {
        config.launcher = LauncherKind::Posix;
        config.isolation = Isolation::NONE;
    });
    tree_dies_on_destroy(&world).await;
    tree_dies_with_the_program(&world).await;
    let (termination, output) = world.run("echo $MESETA_CONTAINER_ID; exit 6").await;
    assert_eq!(termination.status, exited(6));
    assert!(output.starts_with("c-"));
    if !is_root() {
        assert!(world.complaints.iter().any(|line| line.contains("survive")), "{:?}", world.complaints);
    }
    Ok(())
}

async fn a_container_without_a_pid_namespace_is_held_by_its_cgroup() -> Result<(), Skip> {
    let world = World::with(|config| config.isolation = Isolation { pid_namespace: false, ..Isolation::ALL });
    tree_dies_on_destroy(&world).await;
    tree_dies_with_the_program(&world).await;
    Ok(())
}

async fn cgroups_v2_hold_processes_too() -> Result<(), Skip> {
    let mounts = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"].map(Path::new);
    let Some(mount) = mounts.into_iter().find(|mount| mount.join("cgroup.controllers").exists()) else {
        return Err(Skip("no cgroups v2 here"));
    };
    let world = World::with(|config| {
        config.isolation = Isolation { pid_namespace: false, ..Isolation::ALL };
        config.cgroups_hierarchy = mount.to_owned();
    });
    let id = world.launch(&name("c"), "grep '^0:' /proc/self/cgroup; sleep 1000").await;
    world.said(&id, &format!("0::/{}/{}/leaf\n", cgroups_root(), id.name())).await;
    world.end(&id).await;
    tree_dies_on_destroy(&world).await;
    tree_dies_with_the_program(&world).await;
    let root = mount.join(cgroups_root());
    assert!(fs::read_dir(&root).unwrap().flatten().all(|entry| !entry.path().is_dir()));
    fs::remove_dir(root).unwrap();
    Ok(())
}

async fn output_can_come_through_pipes() -> Result<(), Skip> {
    let world = World::new();
    let id = id(&name("c"));
    let spec = LaunchSpec { output: Output::Pipes, ..world.spec(&id, shell("echo out; echo err >&2")) };
    let launched = world.containers.launch(spec).await.unwrap();
    world.containers.wait(&id).await.unwrap();
    let read = |fd| {
        let mut text = String::new();
        fs::File::from(fd).read_to_string(&mut text).unwrap();
        text
    };
    assert_eq!(read(launched.stdout.unwrap()), "out\n");
    assert_eq!(read(launched.stderr.unwrap()), "err\n");
    Ok(())
}

async fn an_executor_runs_inside_the_first_process() -> Result<(), Skip> {
    let world = World::new();
    let run = async |test: &str| {
        let id = id(&name("e"));
        let mut command = Command::new(Program::Executor(ExecutorKind::Pod));
        command.env = vec![("TEST".into(), test.into()), ("PATH".into(), "/usr/bin:/bin".into())];
        world.containers.launch(world.spec(&id, command)).await.unwrap();
        let termination = world.containers.wait(&id).await.unwrap();
        (termination.status, world.output(&id))
    };
    let (status, output) = run("orphan").await;
    assert_eq!(status, exited(42));
    assert!(output.starts_with("kind Pod child 3 orphans 1"), "{output}");
    assert_eq!(run("panic").await.0, exited(101));
    Ok(())
}

async fn nested_containers_live_and_die_with_their_parent() -> Result<(), Skip> {
    let world = World::new();
    let seconds = odd_seconds();
    let parent = world.launch(&name("p"), &format!("echo parent > /dev/shm/none 2>/dev/null; sleep {seconds}")).await;
    let (one, two) = (parent.child("one").unwrap(), parent.child("two").unwrap());
    world.containers.launch(world.spec(&one, shell("echo pid $$; exit 9"))).await.unwrap();
    let end = world.containers.wait(&one).await.unwrap();
    assert_eq!(end.status, exited(9), "{end:?}");
    world.containers.launch(world.spec(&two, shell(&daemons(&seconds).replace(" &)", " &); wait")))).await.unwrap();
    until("sleeps", || (running(&seconds).len() >= 4).then_some(())).await;

    let listed: Vec<ContainerId> = world.containers.list().into_iter().map(|status| status.id).collect();
    assert_eq!(listed, [parent.clone(), one.clone(), two.clone()]);
    assert!(matches!(world.containers.remove(&parent).await, Err(OpError::Running(_))));

    world.containers.destroy(&parent).await.unwrap();
    assert_eq!(running(&seconds), [0; 0], "survivors");
    assert!(matches!(world.containers.status(&two).unwrap().state, State::Terminated(_)));
    let orphan = world.spec(&parent.child("three").unwrap(), shell("true"));
    assert!(matches!(world.containers.launch(orphan).await, Err(LaunchError::NoParent(_))));
    world.containers.remove(&parent).await.unwrap();
    assert_eq!(world.containers.list(), []);
    assert!(records(&world).iter().all(|size| *size == 0));
    Ok(())
}

/// The sizes of the record files; an empty one is free.
fn records(world: &World) -> Vec<u64> {
    fs::read_dir(world.dir.join("run/containers"))
        .unwrap()
        .map(|entry| entry.unwrap().metadata().unwrap().len())
        .collect()
}

async fn a_debug_container_sees_what_its_parent_sees() -> Result<(), Skip> {
    let world = World::new();
    let parent = world.launch(&name("p"), "echo ready; sleep 1000").await;
    world.said(&parent, "ready").await;
    let child = parent.child("check").unwrap();
    let script = "pwd; cat /proc/1/comm; for ns in mnt ipc uts pid; do readlink /proc/self/ns/$ns; done; exit 3";
    let spec = LaunchSpec { class: Class::Debug, ..world.spec(&child, shell(script)) };
    world.containers.launch(spec).await.unwrap();
    assert_eq!(world.containers.wait(&child).await.unwrap().status, exited(3), "{}", world.errors(&child));
    let seen = world.output(&child);
    let found = world.containers.status(&parent).unwrap();
    let (pid, home) = (found.pid.unwrap(), found.sandbox);
    assert_eq!(seen.lines().next(), home.to_str(), "it is at home where its parent is");
    for namespace in ["mnt", "ipc", "uts", "pid"] {
        let parents = fs::read_link(format!("/proc/{pid}/ns/{namespace}")).unwrap();
        assert!(seen.contains(parents.to_str().unwrap()), "{namespace}: {seen}");
    }
    // One that has daemons of its own takes them along and leaves its parent alone.
    let seconds = odd_seconds();
    let child = parent.child("session").unwrap();
    let spec = LaunchSpec { class: Class::Debug, ..world.spec(&child, shell(&format!("{} wait", daemons(&seconds)))) };
    world.containers.launch(spec).await.unwrap();
    until("four sleeps", || (running(&seconds).len() >= 4).then_some(())).await;
    world.containers.destroy(&child).await.unwrap();
    assert_eq!(running(&seconds), [0; 0], "survivors");
    assert_eq!(world.containers.status(&parent).unwrap().state, State::Running);
    world.end(&parent).await;
    Ok(())
}

async fn a_dropped_handle_leaves_containers_to_the_next() -> Result<(), Skip> {
    let mut world = World::new();
    let stays = world.launch("stays", "echo ready; sleep 1000").await;
    let nested = stays.child("n").unwrap();
    world
        .containers
        .launch(LaunchSpec { tag: "kept".into(), ..world.spec(&nested, shell("echo inside; sleep 1000")) })
        .await
        .unwrap();
    let done = world.launch("done", "exit 8").await;
    world.containers.wait(&done).await.unwrap();
    let ends = world.launch("ends", "echo up; while ! test -e go; do sleep 0.01; done; exit 11").await;
    // What has not begun when its agent goes never begins.
    for (container, word) in [(&stays, "ready"), (&nested, "inside"), (&ends, "up")] {
        world.said(container, word).await;
    }

    world.containers = World::with(|_| {}).containers.clone();
    fs::write(world.sandbox(&ends).join("go"), "").unwrap();
    world.containers = Containers::new(config(&world.dir)).unwrap().0;
    let recovered = world.containers.recover().await.unwrap();
    let ids: Vec<String> = recovered.iter().map(|one| one.id.to_string()).collect();
    assert_eq!(ids, ["done", "ends", "stays", "stays.n"]);
    assert_eq!(recovered[0].termination.as_ref().unwrap().status, exited(8));
    assert_eq!(recovered[3].tag, "kept");
    assert_eq!(world.containers.wait(&ends).await.unwrap().status, exited(11));
    assert!(world.containers.status(&stays).unwrap().pid.is_some());
    // New ones can join.
    let late = stays.child("late").unwrap();
    world.containers.launch(world.spec(&late, shell("exit 2"))).await.unwrap();
    assert_eq!(world.containers.wait(&late).await.unwrap().status, exited(2));
    world.end(&stays).await;
    assert!(world.containers.list().iter().all(|status| !status.id.is_below(&stays)));
    Ok(())
}

async fn an_agent_killed_and_started_again_finds_its_containers() -> Result<(), Skip> {
    let dir = fresh_dir();
    let _removed = Directory(dir.clone());
    let mut agent =
        process::Command::new("/proc/self/exe").arg("agent").arg(&dir).stdout(Stdio::piped()).spawn().unwrap();
    let mut first = [0; 8];
    let read = agent.stdout.take().unwrap().read_exact(&mut first);
    agent.kill().unwrap();
    agent.wait().unwrap();
    read.unwrap();
    assert_eq!(&first, b"launched");

    let mut world = World::at(dir);
    world.remove = true;
    fs::write(world.sandbox(&id("ends")).join("go"), "").unwrap();
    let recovered = world.containers.recover().await.unwrap();
    assert_eq!(recovered.len(), 3, "{recovered:?}");
    assert_eq!(world.containers.wait(&id("ends")).await.unwrap().status, exited(3));
    fs::write(world.sandbox(&id("killed")).join("go"), "").unwrap();
    assert_eq!(world.containers.wait(&id("killed")).await.unwrap().status, Some(9));
    let termination = world.containers.destroy(&id("stays")).await.unwrap();
    assert!(matches!(termination.status, Some(9) | None), "{termination:?}");
    for name in ["ends", "killed", "stays"] {
        world.containers.remove(&id(name)).await.unwrap();
    }
    Ok(())
}

async fn what_is_fetched_is_there_when_the_program_starts() -> Result<(), Skip> {
    let world = World::new();
    let source = world.dir.join("tool");
    fs::write(&source, "#!/bin/sh\necho fetched as $(id -u)\n").unwrap();
    let id = id(&name("c"));
    let mut spec = world.spec(&id, shell("./bin/tool; stat -c %u bin/tool bin ."));
    if is_root() {
        spec.command.user = Some("nobody".into());
    }
    spec.uris = vec![Uri {
        value: format!("file://{}", source.display()),
        executable: true,
        output_file: Some("bin/tool".into()),
        ..Uri::default()
    }];
    world.containers.launch(spec.clone()).await.unwrap();
    assert_eq!(world.containers.wait(&id).await.unwrap().status, exited(0), "{}", world.errors(&id));
    let uid = if is_root() { 65534 } else { fs::metadata("/proc/self").unwrap().uid() };
    assert_eq!(world.output(&id), format!("fetched as {uid}\n{uid}\n{uid}\n{uid}\n"));

    spec.id = ContainerId::root(&name("c")).unwrap();
    spec.uris[0].value = "/nonexistent/thing".into();
    let error = world.containers.launch(spec.clone()).await.unwrap_err();
    assert!(error.to_string().starts_with("failed to fetch '/nonexistent/thing': "), "{error}");
    assert_eq!(world.containers.status(&spec.id), None);
    Ok(())
}

async fn a_container_can_be_destroyed_while_it_is_fetching() -> Result<(), Skip> {
    let world = World::new();
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let id = id(&name("c"));
    let mut spec = world.spec(&id, shell("true"));
    spec.uris = vec![Uri { value: format!("http://{}/x", silent.local_addr().unwrap()), ..Uri::default() }];
    let containers = world.containers.clone();
    let launch = tokio::spawn(async move { containers.launch(spec).await });
    until("the fetch", || (world.containers.status(&id)?.state == State::Fetching).then_some(())).await;
    let (_connection, _) = silent.accept().unwrap();
    world.containers.destroy(&id).await.unwrap();
    assert!(matches!(launch.await.unwrap(), Err(LaunchError::Destroyed)));
    assert_eq!(world.containers.list(), []);
    Ok(())
}

async fn usage_is_told() -> Result<(), Skip> {
    let world = World::new();
    let id = id(&name("c"));
    let mut spec = world.spec(&id, shell("i=0; while test $i -lt 100000; do i=$((i+1)); done; echo ready; sleep 1000"));
    spec.limits = Limits { cpus: Some(0.5), mem: Some(64 << 20), ..Limits::default() };
    world.containers.launch(spec).await.unwrap();
    world.said(&id, "ready").await;
    let usage = world.containers.usage(&id).await.unwrap();
    assert_eq!(usage.cpus_soft_limit, Some(0.5));
    assert_eq!(usage.mem_limit_bytes, Some(64 << 20));
    assert!(usage.cpus_user_time_secs.unwrap() > 0.0, "{usage:?}");
    assert!(usage.mem_rss_bytes.unwrap() > 100_000, "{usage:?}");
    assert!(usage.processes.unwrap() >= 3, "{usage:?}");
    world.end(&id).await;
    assert!(matches!(world.containers.usage(&id).await, Err(OpError::Unknown(_))));
    Ok(())
}

async fn who_takes_more_disk_than_it_was_given_is_ended_if_that_is_wanted() -> Result<(), Skip> {
    let world = World::with(|config| {
        (config.disk_interval, config.enforce_disk) = (Duration::from_millis(20), true);
    });
    let greedy = id(&name("d"));
    // In a nested container; and behind a link that leads out of the sandbox lies more than is allowed.
    fs::write(world.dir.join("outside"), vec![1; 4 << 20]).unwrap();
    let script = format!("ln -s {} link; echo up; sleep 1000", world.dir.display());
    let mut spec = world.spec(&greedy, shell(&script));
    spec.limits.disk = Some(2 << 20);
    world.containers.launch(spec).await.unwrap();
    world.said(&greedy, "up").await;
    let measured = until("a measurement", || {
        let usage = futures_now(world.containers.usage(&greedy))?;
        usage.disk_used_bytes.map(|used| (used, usage.disk_limit_bytes))
    });
    let (used, limit) = measured.await;
    assert!(used < 1 << 20 && limit == Some(2 << 20), "{used}");
    let nested = greedy.child("n").unwrap();
    let write = shell("head -c 3M /dev/zero > much; sleep 1000");
    world.containers.launch(world.spec(&nested, write)).await.unwrap();
    let termination = world.containers.wait(&greedy).await.unwrap();
    let reason = termination.reason.unwrap();
    assert_eq!((reason.reason, reason.bytes), (LimitationReason::Disk, Some(2 << 20)));
    assert!(reason.message.starts_with("Disk usage (") && reason.message.ends_with(") exceeds quota (2MB)"));
    world.containers.remove(&greedy).await.unwrap();

    // Given more in time, it goes on.
    let modest = id(&name("d"));
    let mut spec = world.spec(&modest, shell("while ! test -e go; do sleep 0.02; done; head -c 3M /dev/zero > much"));
    spec.limits.disk = Some(1 << 20);
    let sandbox = spec.sandbox.clone();
    world.containers.launch(spec).await.unwrap();
    world.containers.update(&modest, Limits { disk: Some(100 << 20), ..Limits::default() }).await.unwrap();
    fs::write(sandbox.join("go"), "").unwrap();
    assert_eq!(world.containers.wait(&modest).await.unwrap().status, exited(0));
    Ok(())
}

async fn what_is_asked_for_and_not_enforced_is_told_also_after_a_restart() -> Result<(), Skip> {
    let bare = |config: &mut Config| {
        (config.isolation, config.launcher) = (Isolation::NONE, LauncherKind::Posix);
    };
    let mut world = World::with(bare);
    let id = id(&name("g"));
    let mut spec = world.spec(&id, shell("echo up; sleep 1000"));
    spec.limits = Limits { cpus: Some(0.5), mem: Some(64 << 20), disk: Some(5 << 20), ..Limits::default() };
    spec.hostname = Some("box".into());
    spec.capabilities.bounding = Some(containers::Capabilities::NONE);
    let launched = world.containers.launch(spec).await.unwrap();
    world.said(&id, "up").await;
    let told = |gaps: Vec<containers::Gap>| {
        assert!(gaps.iter().all(|gap| gap.why == "--isolation does not ask for it"), "{gaps:?}");
        let mut told: Vec<_> = gaps.into_iter().map(|gap| format!("{}: {}", gap.isolator, gap.asked)).collect();
        told.sort();
        told
    };
    let wanted = [
        "cgroups/cpu: a share of 0.5 CPUs",
        "cgroups/mem: at most 64 MiB of memory",
        "disk/du: at most 5MB of disk",
        "linux/capabilities: no capabilities",
        "namespaces/uts: the host name 'box'",
    ];
    assert_eq!(told(launched.gaps), wanted);
    let cpu = world.containers.enforcements().into_iter().find(|one| one.name == "cgroups/cpu").unwrap();
    assert_eq!(cpu.enforced, Err("--isolation does not ask for it".into()));

    world.containers = World::with(|_| {}).containers.clone();
    let mut again = config(&world.dir);
    bare(&mut again);
    world.containers = Containers::new(again).unwrap().0;
    world.containers.recover().await.unwrap();
    assert_eq!(told(world.containers.gaps(&id)), wanted);
    world.containers.update(&id, Limits { mem: Some(128 << 20), ..Limits::default() }).await.unwrap();
    assert_eq!(told(world.containers.gaps(&id)), ["cgroups/mem: at most 128 MiB of memory", wanted[3], wanted[4]]);
    world.end(&id).await;
    Ok(())
}

/// What a future that takes little answers, if it is no error.
fn futures_now<T, E>(future: impl Future<Output = Result<T, E>>) -> Option<T> {
    tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(future)).ok()
}

async fn what_containers_are_forked_from_is_replaced() -> Result<(), Skip> {
    let world = World::new();
    // The only child there is before the first launch; others may still be on their way out.
    let own = process::id();
    let is_ours = |pid: &u32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        stat.rsplit(") ").next().is_some_and(|rest| rest.split(' ').nth(1) == Some(&own.to_string()))
    };
    let zygotes = until("the zygote", || {
        let found: Vec<u32> = running("launch").into_iter().filter(is_ours).collect();
        (!found.is_empty()).then_some(found)
    })
    .await;
    for pid in zygotes {
        // SAFETY: takes numbers only.
        unsafe { libc::kill(pid as i32, libc::SIGKILL) };
    }
    let ended = world.launch_result(&name("c"), "exit 3").await;
    let id = match ended {
        Ok(id) => id,
        // It was asked just before it died.
        Err(_) => world.launch(&name("c"), "exit 3").await,
    };
    assert_eq!(world.containers.wait(&id).await.unwrap().status, exited(3));
    Ok(())
}

async fn ids_are_taken_once() -> Result<(), Skip> {
    let world = World::new();
    let id = world.launch(&name("c"), "sleep 1000").await;
    let again = world.containers.launch(world.spec(&id, shell("true"))).await;
    assert!(matches!(again, Err(LaunchError::Exists(_))));
    let (first, second) = tokio::join!(world.containers.destroy(&id), world.containers.destroy(&id));
    assert_eq!(first.unwrap(), second.unwrap());
    world.containers.remove(&id).await.unwrap();
    // The name is free again, and so is the runtime directory once the handle is gone.
    let id = world.launch(id.name(), "exit 1").await;
    assert_eq!(world.containers.wait(&id).await.unwrap().status, exited(1));
    let second = Containers::new(config(&world.dir));
    assert!(second.unwrap_err().to_string().contains("Another agent uses"));
    Ok(())
}

async fn the_program_gets_user_directory_environment_and_limits() -> Result<(), Skip> {
    let world = World::new();
    let id = id(&name("c"));
    let mut spec = world.spec(&id, shell("id -u; id -g; pwd; echo $A $USER $HOME; ulimit -n; env | wc -l; stat -c '%u %a' . stdout; ls -l /proc/self/fd | grep -c -v -e pipe -e null -e std -e /proc; umask"));
    spec.command.user = Some("nobody".into());
    spec.command.env.push(("A".into(), "x y".into()));
    spec.rlimits = vec![Rlimit { resource: libc::RLIMIT_NOFILE, soft: 77, hard: 78 }];
    world.containers.launch(spec).await.unwrap();
    assert_eq!(world.containers.wait(&id).await.unwrap().status, exited(0), "{}", world.errors(&id));
    let output = world.output(&id);
    let lines: Vec<&str> = output.lines().collect();
    let sandbox = world.sandbox(&id);
    assert_eq!(lines[..5], ["65534", "65534", sandbox.to_str().unwrap(), "x y nobody /nonexistent", "77"]);
    // PATH, A, USER, HOME and what the shell adds.
    assert!(lines[5].trim().parse::<u32>().unwrap() <= 7, "{output}");
    assert_eq!(lines[6..8], ["65534 700", "65534 600"]);
    assert_eq!(lines[8], "1", "descriptors: {output}");
    Ok(())
}

async fn namespaces_are_its_own() -> Result<(), Skip> {
    // With all that root can do, so that it can mount.
    let world = World::with(|config| {
        config.isolation = Isolation { capabilities: false, seccomp: false, ..Isolation::ALL };
    });
    let id = id(&name("c"));
    let script = "for ns in pid mnt ipc uts net user; do readlink /proc/self/ns/$ns; done; echo processes $(ls /proc | grep -c '^[0-9]*$'); hostname; mount -t tmpfs none /mnt && echo mounted; tr '\\0' ' ' < /proc/1/cmdline";
    let spec = LaunchSpec { hostname: Some("box".into()), ..world.spec(&id, shell(script)) };
    world.containers.launch(spec).await.unwrap();
    assert_eq!(world.containers.wait(&id).await.unwrap().status, exited(0), "{}", world.errors(&id));
    let output = world.output(&id);
    for (namespace, own) in
        [("pid", true), ("mnt", true), ("ipc", true), ("uts", true), ("net", false), ("user", false)]
    {
        let hosts = fs::read_link(format!("/proc/self/ns/{namespace}")).unwrap();
        assert_eq!(!output.contains(hosts.to_str().unwrap()), own, "{namespace}");
    }
    assert!(output.contains("box\nmounted\n"), "{output}");
    assert!(output.contains("real_kernel launch"), "{output}");
    let processes = output.lines().find_map(|line| line.strip_prefix("processes ")).unwrap();
    assert!(processes.parse::<u32>().unwrap() <= 6, "{output}");
    assert!(!fs::read_to_string("/proc/self/mounts").unwrap().contains(" /mnt tmpfs"));
    assert_ne!(fs::read_to_string("/proc/sys/kernel/hostname").unwrap().trim(), "box");
    Ok(())
}

/// How each row of docs/isolation.md is tried; a success is a yes. `$OUTSIDE` is a process outside of the container,
/// `$OWN` the path of its cgroup. None of them does harm, should it succeed.
const ATTEMPTS: &[(&str, &str)] = &[
    ("signal a process outside the container", "kill -0 $OUTSIDE"),
    ("mount a file system", "mkdir mounted && mount -t tmpfs none mounted"),
    ("make a device", "mknod null c 1 3"),
    ("set the clock", "date -s @$(date +%s.%N)"),
    (
        "raise its own memory limit",
        "echo 1G > /sys/fs/cgroup/memory/$OWN/memory.limit_in_bytes || echo 1G > /sys/fs/cgroup/$OWN/memory.max",
    ),
    ("leave its cgroup", "echo 0 > /sys/fs/cgroup/memory/tasks || echo 0 > /sys/fs/cgroup/cgroup.procs"),
    ("write below /proc/sys", "cat /proc/sys/vm/swappiness > kept && cat kept > /proc/sys/vm/swappiness"),
    ("write below /sys", "cat /sys/kernel/mm/ksm/pages_to_scan > kept && cat kept > /sys/kernel/mm/ksm/pages_to_scan"),
    ("make a user namespace", "unshare --user true"),
    ("make a mount namespace", "unshare --mount true"),
    ("change the host name", "hostname other"),
    ("raise a hard resource limit", "ulimit -Hn $(($(ulimit -Hn) + 1))"),
    ("take precedence over others (nice -n -5)", "test $(nice -n -5 nice) -lt 0"),
    ("read physical memory", "head -c 1 /dev/mem"),
    ("read kernel memory, keys and timers", "cat /proc/kcore /proc/keys /proc/timer_list | head -c 1 | grep -q ."),
    ("see firmware and power", "ls -A /sys/firmware /sys/devices/virtual/powercap | grep -q '^[a-z]'"),
    ("become root by a set-user-id program", "test $(./set-user-id -u) = 0"),
    ("give a file away (chown)", "touch given && chown 12345 given"),
    ("chroot", "chroot / /bin/true"),
    ("read files of the host that only root can read", "cat secret"),
    ("start programs, make files in its sandbox", "ls > listing"),
    ("use /dev/shm", "ls / > /dev/shm/listing"),
];

async fn a_container_can_do_what_the_table_says() -> Result<(), Skip> {
    let doc = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/isolation.md");
    let doc = fs::read_to_string(doc).unwrap();
    let table = doc.split("<!-- the table that the test reads -->").nth(1).unwrap();
    let rows: Vec<Vec<&str>> = table
        .lines()
        .skip(3)
        .take_while(|line| line.starts_with('|'))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect();
    assert_eq!(
        rows.iter().map(|row| row[0]).collect::<Vec<_>>(),
        ATTEMPTS.iter().map(|(name, _)| *name).collect::<Vec<_>>()
    );

    let world = World::new();
    let outside = process::id();
    for (column, user) in [(1, None), (2, Some("nobody"))] {
        let id = id(&name("t"));
        let mut script =
            format!("exec 2>/dev/null; PATH=$PATH:/usr/sbin:/sbin; OUTSIDE={outside}; OWN={}/{id}\n", cgroups_root());
        for (attempt, how) in ATTEMPTS {
            script += &format!("if ( {how} ) > /dev/null; then echo '{attempt}: yes'; else echo '{attempt}: no'; fi\n");
        }
        let mut spec = world.spec(&id, shell(&script));
        spec.command.user = user.map(str::to_owned);
        spec.limits = Limits { mem: Some(64 << 20), ..Limits::default() };
        fs::create_dir_all(&spec.sandbox).unwrap();
        fs::copy("/usr/bin/id", spec.sandbox.join("set-user-id")).unwrap();
        fs::set_permissions(spec.sandbox.join("set-user-id"), fs::Permissions::from_mode(0o4755)).unwrap();
        fs::write(spec.sandbox.join("secret"), "x").unwrap();
        fs::set_permissions(spec.sandbox.join("secret"), fs::Permissions::from_mode(0o600)).unwrap();
        let sandbox = spec.sandbox.clone();
        world.containers.launch(spec).await.unwrap();
        assert_eq!(world.containers.wait(&id).await.unwrap().status, exited(0));
        let said = fs::read_to_string(sandbox.join("stdout")).unwrap();
        let wanted: Vec<String> = rows.iter().map(|row| format!("{}: {}", row[0], row[column])).collect();
        assert_eq!(said.lines().collect::<Vec<_>>(), wanted, "as {user:?}");
        world.containers.remove(&id).await.unwrap();
    }
    Ok(())
}

async fn capabilities_are_given_within_the_agents_bounds() -> Result<(), Skip> {
    use containers::{Capabilities, Capability, CapabilityWish, SeccompWish, capabilities};
    let world = World::new();
    let sets = "grep -E '^(CapPrm|CapBnd|CapAmb|NoNewPrivs|Seccomp):' /proc/self/status | tr -d '[:space:]'; echo";
    let ask = async |user: Option<&str>, wish: CapabilityWish| {
        let id = id(&name("c"));
        let mut spec = world.spec(&id, shell(sets));
        spec.command.user = user.map(str::to_owned);
        spec.capabilities = wish;
        let sandbox = spec.sandbox.clone();
        world.containers.launch(spec).await?;
        assert_eq!(world.containers.wait(&id).await.unwrap().status, exited(0));
        world.containers.remove(&id).await.unwrap();
        Ok::<_, LaunchError>(fs::read_to_string(sandbox.join("stdout")).unwrap().trim().to_owned())
    };
    let said = |permitted: Capabilities, ambient: Capabilities| {
        let (permitted, bounding, ambient) = (permitted.0, capabilities::DEFAULT.0, ambient.0);
        format!("CapPrm:{permitted:016x}CapBnd:{bounding:016x}CapAmb:{ambient:016x}NoNewPrivs:1Seccomp:2")
    };
    let (none, raw) = (CapabilityWish::default(), Capabilities::of(&[Capability::NetRaw]));
    let wish = CapabilityWish { effective: Some(raw), bounding: None };
    assert_eq!(ask(None, none).await.unwrap(), said(capabilities::DEFAULT, Capabilities::NONE));
    assert_eq!(ask(Some("nobody"), none).await.unwrap(), said(Capabilities::NONE, Capabilities::NONE));
    assert_eq!(ask(None, wish).await.unwrap(), said(raw, Capabilities::NONE));
    assert_eq!(ask(Some("nobody"), wish).await.unwrap(), said(raw, raw));
    let too_much = CapabilityWish { effective: Some(Capabilities::of(&[Capability::SysAdmin])), bounding: None };
    assert!(matches!(ask(None, too_much).await, Err(LaunchError::Refused { why, .. }) if why.contains("SYS_ADMIN")));

    let mut spec = world.spec(&id(&name("u")), shell("true"));
    spec.seccomp = SeccompWish::Unconfined;
    assert!(matches!(world.containers.launch(spec).await, Err(LaunchError::Refused { .. })));
    Ok(())
}

async fn shared_memory_is_its_own_and_counted() -> Result<(), Skip> {
    let world = World::new();
    let id = id(&name("s"));
    let mark = name("mark");
    let size = "df --output=size,target /dev/shm | tail -1 | tr -s ' '";
    let mut spec = world.spec(&id, shell(&format!("touch /dev/shm/{mark}; {size}; sleep 1000")));
    spec.limits = Limits { mem: Some(48 << 20), ..Limits::default() };
    world.containers.launch(spec).await.unwrap();
    world.said(&id, "49152 /dev/shm").await;
    assert!(!Path::new("/dev/shm").join(&mark).exists());
    world.end(&id).await;

    if memory_cgroup().is_some() {
        // More than there is memory, though the file system would have room.
        let id = ContainerId::root(&name("s")).unwrap();
        let mut spec = world.spec(&id, shell("head -c 60M /dev/zero > /dev/shm/much; exit 0"));
        spec.limits = Limits { mem: Some(40 << 20), ..Limits::default() };
        spec.shm_bytes = Some(1 << 30);
        world.containers.launch(spec).await.unwrap();
        let termination = world.containers.wait(&id).await.unwrap();
        assert_eq!(termination.reason.map(|limitation| limitation.reason), Some(LimitationReason::Memory));
    }
    Ok(())
}

async fn processes_are_limited() -> Result<(), Skip> {
    let world = World::with(|config| config.pids_limit = Some(20));
    if !world.complaints.iter().all(|complaint| !complaint.contains("pids")) {
        return Err(Skip("no pids cgroup here"));
    }
    let id = id(&name("f"));
    // A shell that cannot fork ends, so the container's own must not be the one that tries.
    let script = "(for n in $(seq 60); do sleep 1000 & done) 2> refused; exec sleep 1000";
    let spec = world.spec(&id, shell(script));
    let sandbox = spec.sandbox.clone();
    world.containers.launch(spec).await.unwrap();
    until("the limit", || fs::read_to_string(sandbox.join("refused")).ok().filter(|text| !text.is_empty())).await;
    let usage = world.containers.usage(&id).await.unwrap();
    assert!(usage.processes.is_some_and(|count| count <= 20), "{usage:?}");
    world.end(&id).await;
    Ok(())
}

async fn processors_are_limited() -> Result<(), Skip> {
    let world = World::new();
    if !world.containers.isolation().cpu {
        return Err(Skip("no CPU cgroup here"));
    }
    let id = id(&name("c"));
    let mut spec = world.spec(&id, shell("while :; do :; done"));
    spec.limits = Limits { cpus: Some(0.1), cpu_limit: Some(0.1), ..Limits::default() };
    assert_eq!(world.containers.launch(spec).await.unwrap().gaps, []);
    until("the quota", || futures_now(world.containers.usage(&id))?.cpus_nr_throttled.filter(|times| *times > 2)).await;
    world.end(&id).await;
    Ok(())
}

async fn ipc_modes_are_kept_apart() -> Result<(), Skip> {
    let world = World::new();
    let script = "df -k /dev/shm | tail -1 | awk '{print $2}'; touch /dev/shm/$MARK; readlink /proc/self/ns/ipc";
    let run = async |ipc: IpcMode, mark: &str| {
        let id = id(&name("c"));
        let mut spec = world.spec(&id, shell(script));
        spec.command.env.push(("MARK".into(), mark.into()));
        spec.ipc = ipc;
        spec.shm_bytes = Some(1 << 20);
        world.containers.launch(spec).await.unwrap();
        assert_eq!(world.containers.wait(&id).await.unwrap().status, exited(0), "{}", world.errors(&id));
        let hosts = fs::read_link("/proc/self/ns/ipc").unwrap();
        let output = world.output(&id);
        (output.contains(hosts.to_str().unwrap()), output.starts_with("1024\n"))
    };
    let mark = name("mark");
    assert_eq!(run(IpcMode::Private, &mark).await, (false, true));
    assert!(!Path::new("/dev/shm").join(&mark).exists());
    assert_eq!(run(IpcMode::ShareParent, &mark).await, (true, false));
    assert!(fs::remove_file(Path::new("/dev/shm").join(&mark)).is_ok());
    Ok(())
}

fn memory_cgroup() -> Option<PathBuf> {
    cgroups_at(&["memory", ""])
        .into_iter()
        .find(|path| path.join("memory.limit_in_bytes").exists() || path.join("memory.max").exists())
}

async fn out_of_memory(script: &str) -> Result<Termination, Skip> {
    let world = World::new();
    if memory_cgroup().is_none() {
        return Err(Skip("no memory cgroup here"));
    }
    let id = id(&name("m"));
    let mut spec = world.spec(&id, shell(script));
    spec.limits = Limits { mem: Some(40 << 20), ..Limits::default() };
    world.containers.launch(spec).await.unwrap();
    let termination = world.containers.wait(&id).await.unwrap();
    let reason = termination.reason.clone().unwrap_or_else(|| panic!("{termination:?}"));
    assert_eq!(reason.reason, LimitationReason::Memory);
    assert_eq!(reason.message, "Memory limit exceeded: used 40 MiB of 40 MiB allowed");
    assert!(!memory_cgroup().unwrap().join(id.name()).exists());
    world.containers.remove(&id).await.unwrap();
    Ok(termination)
}

async fn running_out_of_memory_is_the_reason_of_the_end() -> Result<(), Skip> {
    out_of_memory("exec tail /dev/zero").await?;
    Ok(())
}

async fn memory_taken_by_a_child_ends_the_whole_container() -> Result<(), Skip> {
    // Early, before memory is watched; and late.
    out_of_memory("tail /dev/zero; sleep 1000").await?;
    out_of_memory("sleep 0.4; tail /dev/zero; sleep 1000").await?;
    // The program itself ends as if nothing had been.
    out_of_memory("tail /dev/zero; exit 0").await?;
    Ok(())
}

async fn memory_that_nested_containers_share_ends_all_of_them() -> Result<(), Skip> {
    let world = World::new();
    if memory_cgroup().is_none() {
        return Err(Skip("no memory cgroup here"));
    }
    let parent = id(&name("p"));
    let mut spec = world.spec(&parent, shell("sleep 1000"));
    spec.limits = Limits { mem: Some(40 << 20), ..Limits::default() };
    world.containers.launch(spec).await.unwrap();
    assert_eq!(world.containers.find_limitation(&parent), None);
    let nested = parent.child("greedy").unwrap();
    world.containers.launch(world.spec(&nested, shell("tail /dev/zero; exit 0"))).await.unwrap();
    for id in [&nested, &parent] {
        let termination = world.containers.wait(id).await.unwrap();
        assert_eq!(termination.reason.map(|limitation| limitation.reason), Some(LimitationReason::Memory), "{id}");
    }
    world.containers.remove(&parent).await.unwrap();
    Ok(())
}

async fn limits_are_written_and_hard_memory_only_rises() -> Result<(), Skip> {
    let world = World::new();
    let Some(root) = memory_cgroup() else { return Err(Skip("no memory cgroup here")) };
    let id = id(&name("c"));
    let mut spec = world.spec(&id, shell("sleep 1000"));
    spec.limits = Limits {
        cpus: Some(0.5),
        cpu_limit: Some(0.25),
        mem: Some(48 << 20),
        mem_limit: Some(96 << 20),
        ..Limits::default()
    };
    world.containers.launch(spec).await.unwrap();
    let hard = || {
        let read = |name: &str| fs::read_to_string(root.join(id.name()).join(name)).ok();
        read("memory.limit_in_bytes").or_else(|| read("memory.max")).unwrap().trim().parse::<u64>().unwrap()
    };
    assert_eq!(hard(), 96 << 20);
    let update = async |bytes: u64| {
        world.containers.update(&id, Limits { cpus: Some(1.0), mem: Some(bytes), ..Limits::default() }).await.unwrap();
    };
    update(64 << 20).await;
    assert_eq!(hard(), 96 << 20);
    update(128 << 20).await;
    assert_eq!(hard(), 128 << 20);
    let cpu = cgroups_at(&["cpu"]).remove(0).join(id.name());
    if cpu.exists() {
        let read = |name: &str| fs::read_to_string(cpu.join(name)).unwrap().trim().to_owned();
        assert_eq!((read("cpu.shares"), read("cpu.cfs_quota_us")), ("1024".into(), "25000".into()));
        let pid = world.containers.status(&id).unwrap().pid.unwrap();
        until("the process in its cgroup", || {
            read("cgroup.procs").lines().any(|line| line == pid.to_string()).then_some(())
        })
        .await;
    }
    assert_eq!(world.containers.status(&id).unwrap().limits.mem, Some(128 << 20));
    world.end(&id).await;
    Ok(())
}

async fn nested_containers_can_have_their_own_limits() -> Result<(), Skip> {
    let world = World::new();
    let Some(root) = memory_cgroup() else { return Err(Skip("no memory cgroup here")) };
    let parent = id(&name("p"));
    let mut spec = world.spec(&parent, shell("sleep 1000"));
    spec.limits = Limits { cpus: Some(1.0), mem: Some(256 << 20), ..Limits::default() };
    world.containers.launch(spec).await.unwrap();

    let nested = parent.child("greedy").unwrap();
    let mut spec = world.spec(&nested, shell("tail /dev/zero"));
    spec.share_cgroups = false;
    spec.limits = Limits { cpus: Some(0.1), mem: Some(40 << 20), ..Limits::default() };
    world.containers.launch(spec).await.unwrap();
    let termination = world.containers.wait(&nested).await.unwrap();
    assert!(termination.reason.is_some(), "{termination:?}");
    assert_eq!(world.containers.status(&parent).unwrap().state, State::Running);

    let shares = parent.child("modest").unwrap();
    world.containers.launch(world.spec(&shares, shell("cat /proc/self/cgroup; sleep 1000"))).await.unwrap();
    world.said(&shares, &format!("/{}/{}\n", cgroups_root(), parent.name())).await;
    world.end(&parent).await;
    assert!(!root.join(parent.name()).exists());
    Ok(())
}

async fn many_launches_leave_nothing_behind() -> Result<(), Skip> {
    let world = World::new();
    let count_cgroups = || {
        let mut all = Vec::new();
        for path in cgroups_at(&["cpu", "memory", "pids", "freezer", "unified", ""]) {
            let entries = fs::read_dir(path).into_iter().flatten().flatten();
            all.extend(entries.map(|entry| entry.path()).filter(|path| path.is_dir()));
        }
        all
    };
    let descriptors = || fs::read_dir("/proc/self/fd").unwrap().count();
    let children = || {
        let own = process::id().to_string();
        fs::read_dir("/proc")
            .unwrap()
            .flatten()
            .filter_map(|entry| fs::read_to_string(entry.path().join("stat")).ok())
            .filter(|stat| stat.rsplit(") ").next().is_some_and(|rest| rest.split(' ').nth(1) == Some(&own)))
            .count()
    };
    let mounts = || fs::read_to_string("/proc/self/mountinfo").unwrap().lines().count();
    let round = async |number: u32| {
        let scripts = ["true", "exit 3", "sleep 1000 & true", "kill -9 $$"];
        let ids = scripts.map(|script| (id(&name("many")), script));
        for (id, script) in &ids {
            let mut spec = world.spec(id, shell(script));
            spec.limits = Limits { cpus: Some(0.1), mem: Some(32 << 20), ..Limits::default() };
            world.containers.launch(spec).await.unwrap();
        }
        for (id, _) in &ids {
            if number.is_multiple_of(5) {
                world.end(id).await;
            } else {
                world.containers.wait(id).await.unwrap();
                world.containers.remove(id).await.unwrap();
            }
        }
    };
    round(1).await;
    let descriptors_before = descriptors();
    let before = (count_cgroups(), children(), mounts());
    for number in 0..50 {
        round(number).await;
    }
    assert_eq!((count_cgroups(), children(), mounts()), before);
    // What the test before this one had open may have gone meanwhile, and the last containers' may still be going.
    until("as many descriptors as before", || (descriptors() <= descriptors_before).then_some(())).await;
    assert!(records(&world).len() <= 4 && records(&world).iter().all(|size| *size == 0), "{:?}", records(&world));
    assert_eq!(world.containers.list(), []);
    Ok(())
}

async fn all_this_works_for_an_ordinary_user() -> Result<(), Skip> {
    // The build directory may be closed to others.
    let dir = fresh_dir();
    let _removed = Directory(dir.clone());
    let program = dir.join("real_kernel");
    fs::copy("/proc/self/exe", &program).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let arguments = ["--reuid=65534", "--regid=65534", "--clear-groups"];
    let output =
        process::Command::new("setpriv").args(arguments).arg(&program).arg("unprivileged").current_dir("/").output();
    let Ok(output) = output else { return Err(Skip("no setpriv on this machine")) };
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    text.lines()
        .filter(|line| line.starts_with("test ") && line.contains("..."))
        .for_each(|line| println!("    {line}"));
    Ok(())
}
