//! What a launch costs at least on this machine, next to what it costs here. The floor: one process made in four new
//! namespaces and a new cgroup, executing `sh -c true`, awaited, the cgroup removed. Then this crate: launch, wait,
//! remove, with its own namespaces, `/proc`, cgroups, sandbox and record. One line each: name, value, unit. Run it with
//! `--release`, as root, on an idle machine; arguments set the number of launches and choose one measurement.

use containers::{
    Command, Config, ContainerId, Containers, ExecutorKind, Isolation, LaunchSpec, LauncherKind, Limits, Program,
    launcher,
};
use std::{
    ffi::c_void,
    fs, io,
    os::fd::AsRawFd,
    path::{Path, PathBuf},
    process::{self, ExitCode},
    time::{Duration, Instant},
};

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let first = args.next();
    if first.as_deref() == Some("launch") {
        return launcher::main(executor);
    }
    let only = args.next();
    let launches = first.and_then(|count| count.parse().ok()).unwrap_or(500);
    if only.is_none()
        && let Err(error) = floor(launches)
    {
        println!("floor skipped: {error}");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    match runtime {
        Ok(runtime) => runtime.block_on(own(launches, only)),
        Err(error) => println!("own skipped: {error}"),
    }
    ExitCode::SUCCESS
}

/// Stands for the command executor: starts the task and waits for it.
fn executor(_: ExecutorKind) -> u8 {
    let task = process::Command::new("/bin/sh").args(["-c", "true"]).status();
    task.ok().and_then(|status| status.code()).map_or(1, |code| code as u8)
}

struct Meter {
    started: Instant,
    cpu: Duration,
}

impl Meter {
    fn start() -> Meter {
        Meter { started: Instant::now(), cpu: cpu() }
    }

    fn print(&self, name: &str, launches: u32) {
        let wall = self.started.elapsed().as_secs_f64();
        let used = (cpu() - self.cpu).as_secs_f64();
        println!("{name}.per_s {:.0} launches/s", f64::from(launches) / wall);
        println!("{name}.cpu_ms {:.3} ms/launch", used * 1000.0 / f64::from(launches));
    }
}

/// CPU time of this process and of all it has waited for.
fn cpu() -> Duration {
    let of = |who| {
        // SAFETY: it is integers.
        let mut usage = unsafe { std::mem::zeroed::<libc::rusage>() };
        // SAFETY: `usage` is a valid place for the answer.
        unsafe { libc::getrusage(who, &mut usage) };
        let time = |time: libc::timeval| Duration::new(time.tv_sec as u64, time.tv_usec as u32 * 1000);
        time(usage.ru_utime) + time(usage.ru_stime)
    };
    of(libc::RUSAGE_SELF) + of(libc::RUSAGE_CHILDREN)
}

fn cgroup_mount() -> Option<PathBuf> {
    ["/sys/fs/cgroup/unified", "/sys/fs/cgroup", "/sys/fs/cgroup/cpu"]
        .map(Path::new)
        .into_iter()
        .find(|path| path.join("cgroup.procs").exists())
        .map(Path::to_owned)
}

fn floor(launches: u32) -> io::Result<()> {
    let mount = cgroup_mount().ok_or_else(|| io::Error::other("no cgroup mount"))?;
    let namespaces = libc::CLONE_NEWPID | libc::CLONE_NEWNS | libc::CLONE_NEWIPC | libc::CLONE_NEWUTS;
    let mut stack = vec![0u128; 4096];
    for (name, isolated) in [("floor.plain", false), ("floor.isolated", true)] {
        let meter = Meter::start();
        for number in 0..launches {
            let cgroup = mount.join(format!("floor-{}-{number}", process::id()));
            let mut door: libc::c_int = -1;
            let file;
            if isolated {
                fs::create_dir(&cgroup)?;
                file = fs::File::options().write(true).open(cgroup.join("cgroup.procs"))?;
                door = file.as_raw_fd();
            }
            let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD | if isolated { namespaces } else { 0 };
            // SAFETY: the child runs on a stack of its own and ends in exec before this thread goes on.
            let pid = unsafe {
                let top = stack.as_mut_ptr().add(stack.len()).cast::<c_void>();
                libc::clone(floor_child, top, flags, (&raw mut door).cast())
            };
            if pid < 0 {
                return Err(io::Error::last_os_error());
            }
            // SAFETY: no status is asked for.
            unsafe { libc::waitpid(pid, std::ptr::null_mut(), 0) };
            if isolated {
                fs::remove_dir(&cgroup)?;
            }
        }
        meter.print(name, launches);
    }
    Ok(())
}

extern "C" fn floor_child(door: *mut c_void) -> libc::c_int {
    // SAFETY: `floor` hands in a pointer to a number of its own and stands still until the program runs; every array of
    // texts ends with a null pointer.
    unsafe {
        let door = *door.cast::<libc::c_int>();
        if door >= 0 {
            libc::write(door, c"0".as_ptr().cast(), 1);
        }
        let argv = [c"sh".as_ptr(), c"-c".as_ptr(), c"true".as_ptr(), std::ptr::null()];
        let envp = [std::ptr::null()];
        libc::execve(c"/bin/sh".as_ptr(), argv.as_ptr(), envp.as_ptr());
        libc::_exit(127)
    }
}

async fn own(launches: u32, only: Option<String>) {
    let shell = Program::Shell("true".to_owned());
    let executor = Program::Executor(ExecutorKind::Command);
    let namespaces = Isolation { cpu: false, memory: false, ..Isolation::ALL };
    for (name, isolation, program, at_once) in [
        ("own.bare", Isolation::NONE, &shell, 1),
        ("own.namespaces", namespaces, &shell, 1),
        ("own.isolated", Isolation::ALL, &shell, 1),
        ("own.isolated_4_at_once", Isolation::ALL, &shell, 4),
        ("own.executor", Isolation::ALL, &executor, 1),
        ("own.executor_4_at_once", Isolation::ALL, &executor, 4),
    ] {
        if only.as_ref().is_some_and(|only| only != name) {
            continue;
        }
        if let Err(error) = measure(name, isolation, program, at_once, launches).await {
            println!("{name} skipped: {error}");
        }
    }
}

async fn measure(
    name: &str,
    isolation: Isolation,
    program: &Program,
    at_once: u32,
    launches: u32,
) -> Result<(), Box<dyn std::error::Error>> {
    // In memory: some disk file systems spend more on a directory than all the rest costs.
    let base = Some(PathBuf::from("/dev/shm")).filter(|path| path.is_dir()).unwrap_or_else(std::env::temp_dir);
    let dir = base.join(format!("launch-floor-{}", process::id()));
    let mut config = Config::new(dir.join("run"));
    config.cgroups_root = "launch-floor".to_owned();
    config.isolation = isolation;
    if isolation == Isolation::NONE {
        config.launcher = LauncherKind::Posix;
    }
    config.executable.args = vec!["launch_floor".into(), "launch".into()];
    let (containers, complaints) = Containers::new(config)?;
    complaints.iter().for_each(|line| println!("# {name}: {line}"));
    let meter = Meter::start();
    let mut lanes = Vec::new();
    for lane in 0..at_once {
        let (containers, program, work) = (containers.clone(), program.clone(), dir.join("work"));
        lanes.push(tokio::spawn(async move {
            for number in 0..launches / at_once {
                let id = ContainerId::root(&format!("{lane}-{number}")).map_err(|error| error.to_string())?;
                let mut command = Command::new(program.clone());
                command.env = vec![("PATH".to_owned(), "/usr/bin:/bin".to_owned())];
                let mut spec = LaunchSpec::new(id.clone(), command, work.join(id.name()));
                spec.limits = Limits { cpus: Some(0.1), mem: Some(64 << 20), ..Limits::default() };
                containers.launch(spec).await.map_err(|error| error.to_string())?;
                let end = containers.wait(&id).await.map_err(|error| error.to_string())?;
                if end.status != Some(0) {
                    return Err(format!("{end:?}"));
                }
                containers.remove(&id).await.map_err(|error| error.to_string())?;
            }
            Ok::<(), String>(())
        }));
    }
    for lane in lanes {
        lane.await??;
    }
    // What the containers were forked from counts once it has ended.
    drop(containers);
    meter.print(name, launches / at_once * at_once);
    fs::remove_dir_all(&dir)?;
    for controller in ["cpu", "memory", "pids", "freezer", ""] {
        let _ = fs::remove_dir(Path::new("/sys/fs/cgroup").join(controller).join("launch-floor"));
    }
    Ok(())
}
