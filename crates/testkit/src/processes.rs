//! Real processes: where the binary is, how much a process uses, and how everything below a directory is ended.

use std::{
    fs,
    net::TcpListener,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

/// The `meseta` binary: `MESETA_BIN`, or the one beside the running program, in its target directory.
pub fn meseta() -> PathBuf {
    if let Some(path) = std::env::var_os("MESETA_BIN") {
        return path.into();
    }
    let here = std::env::current_exe().expect("the path of this program");
    let found = here.ancestors().skip(1).map(|folder| folder.join("meseta")).find(|path| path.is_file());
    found.expect("no meseta binary here; run `cargo build -p meseta`, or set MESETA_BIN")
}

/// A port of loopback that was free a moment ago. Given once only, and from below those that the kernel gives to
/// connections, so that nobody else takes it before it is used.
pub fn free_port() -> u16 {
    const FIRST: u32 = 10_240;
    const COUNT: u32 = 20_000;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let begin = std::process::id().wrapping_mul(97);
    (0..COUNT)
        .map(|_| FIRST + begin.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % COUNT)
        .find_map(|port| {
            let port = u16::try_from(port).ok()?;
            TcpListener::bind(("127.0.0.1", port)).ok().map(|_| port)
        })
        .expect("a free port")
}

/// What `command` starts ends, by SIGKILL, when the thread that started it does: also when a test fails half-way.
pub fn ends_with_its_thread(command: &mut Command) -> &mut Command {
    // SAFETY: prctl is async-signal-safe.
    unsafe {
        command.pre_exec(|| {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            Ok(())
        })
    }
}

pub fn is_root() -> bool {
    // SAFETY: geteuid has no preconditions.
    unsafe { libc::geteuid() == 0 }
}

/// Waits until `condition` gives a value, looking every 5 ms; `None` after `patience`.
pub fn wait_for<T>(patience: Duration, mut condition: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + patience;
    loop {
        if let Some(value) = condition() {
            return Some(value);
        }
        if Instant::now() > end {
            return None;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Resident memory of a process in bytes.
pub fn rss_bytes(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib * 1024)
}

/// CPU time of a process and of its children that it has waited for.
pub fn cpu_time(pid: u32) -> Option<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
    let ticks: u64 = fields.get(11..15)?.iter().map(|field| field.parse::<u64>().unwrap_or(0)).sum();
    // SAFETY: sysconf has no preconditions.
    let per_second = unsafe { libc::sysconf(libc::_SC_CLK_TCK) }.max(1) as u64;
    Some(Duration::from_millis(ticks * 1000 / per_second))
}

/// The processes whose environment names a path below `directory`.
pub fn processes_of(directory: &Path) -> Vec<i32> {
    let mark = directory.as_os_str().as_encoded_bytes();
    let pids = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let own = std::process::id() as i32;
    let names_it = |pid: &i32| {
        fs::read(format!("/proc/{pid}/environ"))
            .is_ok_and(|environ| environ.windows(mark.len()).any(|window| window == mark))
    };
    pids.filter(|pid| *pid != own).filter(names_it).collect()
}

/// Ends every process that belongs to `directory`, however it was started.
pub fn end_all(directory: &Path) {
    let gone = wait_for(Duration::from_secs(10), || {
        let left = processes_of(directory);
        for pid in &left {
            // SAFETY: kill has no memory effects; a pid that is gone gives an error we can pass over.
            unsafe { libc::kill(*pid, libc::SIGKILL) };
        }
        left.is_empty().then_some(())
    });
    let why = || format!("processes of {} do not end: {:?}", directory.display(), processes_of(directory));
    // A test that fails for another reason still has other things to remove.
    match gone {
        None if std::thread::panicking() => eprintln!("{}", why()),
        gone => assert!(gone.is_some(), "{}", why()),
    }
}
