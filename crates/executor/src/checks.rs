//! When a task's health check and check run, and what their results mean. Pure; `probe` runs them.

use std::time::Duration;

use proto::v1::{self, check_info, check_status_info, health_check, network_info};
use stdx::Tick;

use crate::{environment, redirect};

/// The health check may kill the task; the check only reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Which {
    Health,
    Check,
}

/// What one check looks at.
#[derive(Clone, Debug, PartialEq)]
pub enum Target {
    Command(v1::CommandInfo),
    Http { port: u16, path: String, https: bool, v6: bool },
    Tcp { port: u16, v6: bool },
}

/// What one check saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProbeResult {
    /// A wait(2) word.
    Command(i32),
    Http(u16),
    Tcp(bool),
    TimedOut,
    /// The check could not be made.
    Failed(String),
}

/// What a result asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Send an update with the present state.
    Report { reason: v1::task_status::Reason, message: Option<String> },
    /// Report, then kill the task.
    Kill { reason: v1::task_status::Reason, message: Option<String> },
}

/// The checks of one task.
#[derive(Debug, Default)]
pub struct Checks {
    health: Option<Health>,
    check: Option<Check>,
}

#[derive(Debug)]
struct Health {
    target: Target,
    pace: Pace,
    max_failures: u32,
    grace: Duration,
    grace_until: Option<Tick>,
    failures: u32,
    initial: bool,
    healthy: Option<bool>,
}

#[derive(Debug)]
struct Check {
    target: Target,
    pace: Pace,
    status: v1::CheckStatusInfo,
}

#[derive(Debug)]
struct Pace {
    delay: Duration,
    interval: Duration,
    timeout: Option<Duration>,
    due: Option<Tick>,
    running: bool,
}

impl Checks {
    /// The checks a task asks for. One without a target it could look at is left out.
    pub fn new(task: &v1::TaskInfo) -> Checks {
        Checks {
            health: task.health_check.as_deref().and_then(|info| Health::new(info, task)),
            check: task.check.as_deref().and_then(|info| Check::new(info, task)),
        }
    }

    /// The task runs: the delays begin.
    pub fn start(&mut self, now: Tick) {
        if let Some(health) = &mut self.health {
            health.grace_until = Some(now + health.grace);
            health.pace.due = Some(now + health.pace.delay);
        }
        if let Some(check) = &mut self.check {
            check.pace.due = Some(now + check.pace.delay);
        }
    }

    /// No check runs any more; what was seen last stays known.
    pub fn stop(&mut self) {
        for pace in self.paces() {
            pace.due = None;
            pace.running = false;
        }
    }

    /// Drops the checks under way, and starts none before `resume`.
    pub fn pause(&mut self) {
        self.stop();
    }

    /// Goes on after `pause`, at once.
    pub fn resume(&mut self, now: Tick) {
        for pace in self.paces() {
            if !pace.running {
                pace.due = Some(pace.due.unwrap_or(now));
            }
        }
    }

    /// Takes the checks that are to run now.
    pub fn take_due(&mut self, now: Tick) -> Vec<(Which, Target, Option<Duration>)> {
        let mut due = Vec::new();
        if let Some(health) = &mut self.health
            && health.pace.take_due(now)
        {
            due.push((Which::Health, health.target.clone(), health.pace.timeout));
        }
        if let Some(check) = &mut self.check
            && check.pace.take_due(now)
        {
            due.push((Which::Check, check.target.clone(), check.pace.timeout));
        }
        due
    }

    pub fn next_deadline(&self) -> Option<Tick> {
        let health = self.health.as_ref().and_then(|health| health.pace.due);
        let check = self.check.as_ref().and_then(|check| check.pace.due);
        health.into_iter().chain(check).min()
    }

    /// Takes a result in. One that nobody waits for any more says nothing.
    pub fn on_result(&mut self, now: Tick, which: Which, result: &ProbeResult) -> Option<Verdict> {
        match which {
            Which::Health => self.health.as_mut()?.on_result(now, result),
            Which::Check => self.check.as_mut()?.on_result(now, result),
        }
    }

    /// The last known health, for every update that follows.
    pub fn healthy(&self) -> Option<bool> {
        self.health.as_ref()?.healthy
    }

    /// The last known status of the check, empty at first, for every update.
    pub fn check_status(&self) -> Option<&v1::CheckStatusInfo> {
        self.check.as_ref().map(|check| &check.status)
    }

    fn paces(&mut self) -> impl Iterator<Item = &mut Pace> {
        let health = self.health.as_mut().map(|health| &mut health.pace);
        let check = self.check.as_mut().map(|check| &mut check.pace);
        health.into_iter().chain(check)
    }
}

impl Pace {
    fn new(delay: f64, interval: f64, timeout: f64) -> Pace {
        let timeout = seconds(timeout);
        Pace {
            delay: seconds(delay),
            interval: seconds(interval),
            timeout: (!timeout.is_zero()).then_some(timeout),
            due: None,
            running: false,
        }
    }

    fn take_due(&mut self, now: Tick) -> bool {
        let due = self.due.is_some_and(|due| due <= now);
        if due {
            self.due = None;
            self.running = true;
        }
        due
    }

    /// Ends a run and plans the next; false if no run was expected to end.
    fn take_running(&mut self, now: Tick) -> bool {
        let running = std::mem::take(&mut self.running);
        if running {
            self.due = Some(now + self.interval);
        }
        running
    }
}

impl Health {
    fn new(info: &v1::HealthCheck, task: &v1::TaskInfo) -> Option<Health> {
        Some(Health {
            target: health_target(info, task)?,
            pace: Pace::new(info.delay_seconds(), info.interval_seconds(), info.timeout_seconds()),
            max_failures: info.consecutive_failures(),
            grace: seconds(info.grace_period_seconds()),
            grace_until: None,
            failures: 0,
            initial: true,
            healthy: None,
        })
    }

    fn on_result(&mut self, now: Tick, result: &ProbeResult) -> Option<Verdict> {
        if !self.pace.take_running(now) {
            return None;
        }
        let reason = v1::task_status::Reason::TaskHealthCheckStatusUpdated;
        let Some(message) = complaint(result) else {
            let report = self.initial || self.failures > 0;
            self.initial = false;
            self.failures = 0;
            self.healthy = Some(true);
            return report.then_some(Verdict::Report { reason, message: None });
        };
        if self.initial && self.grace_until.is_some_and(|until| now < until) {
            return None;
        }
        self.failures = self.failures.saturating_add(1);
        self.healthy = Some(false);
        let message = Some(message);
        Some(match self.failures >= self.max_failures {
            true => Verdict::Kill { reason, message },
            false => Verdict::Report { reason, message },
        })
    }
}

impl Check {
    fn new(info: &v1::CheckInfo, task: &v1::TaskInfo) -> Option<Check> {
        let (target, kind) = check_target(info, task)?;
        Some(Check {
            target,
            pace: Pace::new(info.delay_seconds(), info.interval_seconds(), info.timeout_seconds()),
            status: empty_status(kind),
        })
    }

    fn on_result(&mut self, now: Tick, result: &ProbeResult) -> Option<Verdict> {
        if !self.pace.take_running(now) {
            return None;
        }
        let mut status = empty_status(self.status.r#type());
        match result {
            ProbeResult::Command(word) => {
                let exit_code = libc::WIFEXITED(*word).then(|| libc::WEXITSTATUS(*word));
                status.command = Some(check_status_info::Command { exit_code });
            }
            ProbeResult::Http(code) => {
                status.http = Some(check_status_info::Http { status_code: Some(u32::from(*code)) });
            }
            ProbeResult::Tcp(succeeded) => {
                status.tcp = Some(check_status_info::Tcp { succeeded: Some(*succeeded) });
            }
            ProbeResult::TimedOut | ProbeResult::Failed(_) => {}
        }
        if status == self.status {
            return None;
        }
        self.status = status;
        Some(Verdict::Report { reason: v1::task_status::Reason::TaskCheckStatusUpdated, message: None })
    }
}

/// What is wrong with a health check's result, if anything is.
fn complaint(result: &ProbeResult) -> Option<String> {
    match result {
        ProbeResult::Command(0) | ProbeResult::Http(200..400) | ProbeResult::Tcp(true) => None,
        ProbeResult::Command(word) => Some(format!("Command {}", crate::step::describe_wait(*word))),
        ProbeResult::Http(code) => Some(format!("Unexpected HTTP response code: {code}")),
        ProbeResult::Tcp(false) => Some("TCP health check failed".to_owned()),
        ProbeResult::TimedOut => Some("Health check timed out".to_owned()),
        ProbeResult::Failed(why) => Some(why.clone()),
    }
}

fn health_target(info: &v1::HealthCheck, task: &v1::TaskInfo) -> Option<Target> {
    use health_check::Type;
    let kind = match info.r#type() {
        Type::Unknown if info.command.is_some() => Type::Command,
        Type::Unknown if info.http.is_some() => Type::Http,
        Type::Unknown if info.tcp.is_some() => Type::Tcp,
        kind => kind,
    };
    match kind {
        Type::Unknown => None,
        Type::Command => info.command.as_ref().map(|command| Target::Command(environment::beside_task(command, task))),
        Type::Http => info.http.as_ref().and_then(|http| {
            Some(Target::Http {
                port: u16::try_from(http.port).ok()?,
                path: redirect::rooted(http.path()),
                https: http.scheme() == "https",
                v6: http.protocol() == network_info::Protocol::IPv6,
            })
        }),
        Type::Tcp => info.tcp.as_ref().and_then(|tcp| {
            Some(Target::Tcp {
                port: u16::try_from(tcp.port).ok()?,
                v6: tcp.protocol() == network_info::Protocol::IPv6,
            })
        }),
    }
}

fn check_target(info: &v1::CheckInfo, task: &v1::TaskInfo) -> Option<(Target, check_info::Type)> {
    use check_info::Type;
    let kind = match info.r#type() {
        Type::Unknown if info.command.is_some() => Type::Command,
        Type::Unknown if info.http.is_some() => Type::Http,
        Type::Unknown if info.tcp.is_some() => Type::Tcp,
        kind => kind,
    };
    let target = match kind {
        Type::Unknown => None,
        Type::Command => {
            let command = info.command.as_ref();
            command.map(|command| Target::Command(environment::beside_task(&command.command, task)))
        }
        Type::Http => info.http.as_ref().and_then(|http| {
            let port = u16::try_from(http.port).ok()?;
            Some(Target::Http { port, path: redirect::rooted(http.path()), https: false, v6: false })
        }),
        Type::Tcp => {
            info.tcp.as_ref().and_then(|tcp| Some(Target::Tcp { port: u16::try_from(tcp.port).ok()?, v6: false }))
        }
    };
    Some((target?, kind))
}

fn empty_status(kind: check_info::Type) -> v1::CheckStatusInfo {
    use check_info::Type;
    let mut status = v1::CheckStatusInfo { r#type: Some(kind as i32), ..Default::default() };
    match kind {
        Type::Unknown => {}
        Type::Command => status.command = Some(check_status_info::Command::default()),
        Type::Http => status.http = Some(check_status_info::Http::default()),
        Type::Tcp => status.tcp = Some(check_status_info::Tcp::default()),
    }
    status
}

/// Seconds of a check, bounded to a century so that no sum overflows.
fn seconds(value: f64) -> Duration {
    const CENTURY: f64 = 100.0 * 365.25 * 86_400.0;
    if value.is_nan() { Duration::ZERO } else { Duration::from_secs_f64(value.clamp(0.0, CENTURY)) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: u64) -> Tick {
        Tick(seconds * 1_000_000_000)
    }

    fn task(health: Option<v1::HealthCheck>, check: Option<v1::CheckInfo>) -> v1::TaskInfo {
        v1::TaskInfo { health_check: health.map(Box::new), check: check.map(Box::new), ..Default::default() }
    }

    fn tcp_health() -> v1::HealthCheck {
        v1::HealthCheck {
            r#type: Some(health_check::Type::Tcp as i32),
            tcp: Some(health_check::TcpCheckInfo { port: 80, ..Default::default() }),
            delay_seconds: Some(0.0),
            ..Default::default()
        }
    }

    fn run(checks: &mut Checks, now: Tick, which: Which, result: ProbeResult) -> Option<Verdict> {
        let due = checks.take_due(now);
        assert!(due.iter().any(|(w, ..)| *w == which), "{which:?} is not due");
        checks.on_result(now, which, &result)
    }

    #[test]
    fn defaults_are_those_of_mesos() {
        let mut info = tcp_health();
        info.delay_seconds = None;
        let mut checks = Checks::new(&task(Some(info), None));
        checks.start(at(0));
        assert_eq!(checks.next_deadline(), Some(at(15)));
        let due = checks.take_due(at(15));
        assert_eq!(due, [(Which::Health, Target::Tcp { port: 80, v6: false }, Some(Duration::from_secs(20)))]);
        assert_eq!(checks.next_deadline(), None);
        checks.on_result(at(16), Which::Health, &ProbeResult::Tcp(true));
        assert_eq!(checks.next_deadline(), Some(at(26)));
    }

    #[test]
    fn failures_in_the_grace_are_forgiven_until_the_first_success() {
        let mut checks = Checks::new(&task(Some(tcp_health()), None));
        checks.start(at(0));
        assert_eq!(run(&mut checks, at(0), Which::Health, ProbeResult::Tcp(false)), None);
        assert_eq!(checks.healthy(), None);
        assert!(matches!(
            run(&mut checks, at(10), Which::Health, ProbeResult::Tcp(false)),
            Some(Verdict::Report { .. })
        ));
        assert_eq!(checks.healthy(), Some(false));
    }

    #[test]
    fn success_ends_the_grace_and_every_failure_is_reported_and_the_third_kills() {
        let mut checks = Checks::new(&task(Some(tcp_health()), None));
        checks.start(at(0));
        assert!(run(&mut checks, at(0), Which::Health, ProbeResult::Tcp(true)).is_some());
        assert_eq!(run(&mut checks, at(10), Which::Health, ProbeResult::Tcp(true)), None);
        for n in 2..4 {
            let verdict = run(&mut checks, at(n * 10), Which::Health, ProbeResult::Tcp(false));
            assert!(matches!(verdict, Some(Verdict::Report { .. })));
        }
        let verdict = run(&mut checks, at(40), Which::Health, ProbeResult::TimedOut);
        assert!(matches!(verdict, Some(Verdict::Kill { .. })));
    }

    #[test]
    fn a_check_is_empty_at_first_and_reports_only_changes() {
        let info = v1::CheckInfo {
            http: Some(check_info::Http { port: 8080, path: Some("ok".into()) }),
            delay_seconds: Some(0.0),
            ..Default::default()
        };
        let mut checks = Checks::new(&task(None, Some(info)));
        let empty = checks.check_status().cloned().expect("a check");
        assert_eq!(empty.http, Some(check_status_info::Http { status_code: None }));
        checks.start(at(0));
        assert_eq!(run(&mut checks, at(0), Which::Check, ProbeResult::TimedOut), None);
        assert!(run(&mut checks, at(10), Which::Check, ProbeResult::Http(500)).is_some());
        assert_eq!(run(&mut checks, at(20), Which::Check, ProbeResult::Http(500)), None);
        assert!(run(&mut checks, at(30), Which::Check, ProbeResult::TimedOut).is_some());
        assert_eq!(checks.check_status(), Some(&empty));
    }

    #[test]
    fn results_after_the_stop_say_nothing() {
        let mut checks = Checks::new(&task(Some(tcp_health()), None));
        checks.start(at(0));
        checks.take_due(at(0));
        checks.stop();
        assert_eq!(checks.on_result(at(60), Which::Health, &ProbeResult::Tcp(false)), None);
        assert_eq!(checks.next_deadline(), None);
    }

    proptest! {
        #[test]
        fn any_seconds_are_a_duration(value in any::<f64>()) {
            prop_assert!(Tick(0) + seconds(value) >= Tick(0));
        }

        #[test]
        fn a_kill_needs_as_many_failures_in_a_row_as_asked(results in prop::collection::vec(any::<bool>(), 1..40),
                                                           max in 1u32..5) {
            let mut info = tcp_health();
            info.consecutive_failures = Some(max);
            info.grace_period_seconds = Some(0.0);
            let mut checks = Checks::new(&task(Some(info), None));
            checks.start(at(0));
            let mut row = 0;
            for (n, &good) in results.iter().enumerate() {
                let verdict = run(&mut checks, at(10 * n as u64), Which::Health, ProbeResult::Tcp(good));
                row = if good { 0 } else { row + 1 };
                prop_assert_eq!(matches!(verdict, Some(Verdict::Kill { .. })), row >= max);
                prop_assert_eq!(checks.healthy(), Some(good));
            }
        }
    }
}
