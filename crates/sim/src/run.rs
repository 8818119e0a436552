//! One run through its phases: warm up, faults, no faults any more and all must heal, rest, last checks.

mod watch;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

use stdx::Tick;

use crate::{
    checks::{Checks, guarantees, healing, views},
    observation::Fact,
    scenario::{Scenario, secs},
    world::World,
};

/// How a run failed, and the exit code that says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Somebody panicked.
    Crash,
    /// The cluster did not heal.
    Liveness,
    /// A law was broken.
    Correctness,
}

impl Kind {
    pub fn exit_code(self) -> u8 {
        match self {
            Kind::Crash => 127,
            Kind::Liveness => 128,
            Kind::Correctness => 129,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub kind: Kind,
    /// The checker that found it.
    pub check: String,
    pub why: String,
    /// When, in virtual time.
    pub at: Duration,
}

/// What a run came to.
#[derive(Clone, Debug)]
pub struct Report {
    pub hash: u64,
    pub steps: u64,
    /// How long the world was simulated for.
    pub virtual_time: Duration,
    pub failure: Option<Failure>,
}

/// How closely a run is watched.
#[derive(Clone, Copy, Debug)]
pub struct Watch {
    /// Steps between two looks at the cores' own laws; facts are always checked.
    pub every: u32,
    /// Print what happens.
    pub loud: bool,
}

impl Default for Watch {
    fn default() -> Watch {
        Watch { every: 97, loud: false }
    }
}

const POLL: Duration = Duration::from_secs(5);
/// How long frameworks go on working after all is well, so that nobody's hunger is missed.
const WORK: Duration = Duration::from_secs(90);

/// Runs a scenario to its end or its first failure.
pub fn run(scenario: &Scenario, watch: Watch) -> Report {
    let _logs = watch::collect(watch.loud);
    stdx::bug::switch(scenario.bug.as_deref());
    let mut course = Course::new(scenario, watch);
    let outcome = catch_unwind(AssertUnwindSafe(|| course.go()));
    let failure = match outcome {
        Ok(outcome) => outcome.err(),
        Err(_) => {
            let why = watch::take_panic().unwrap_or_else(|| "somebody panicked".to_owned());
            Some(Failure { kind: Kind::Crash, check: "panic".into(), why, at: course.elapsed() })
        }
    };
    Report { hash: course.world.hash(), steps: course.world.steps(), virtual_time: course.elapsed(), failure }
}

struct Course {
    world: World,
    checks: Checks,
}

impl Course {
    fn new(scenario: &Scenario, watch: Watch) -> Course {
        let world = World::new(scenario.clone(), Some(watch.every), watch.loud);
        let checks = Checks::all(&world);
        Course { world, checks }
    }

    fn elapsed(&self) -> Duration {
        self.world.now().since(Tick::ZERO)
    }

    fn go(&mut self) -> Result<(), Failure> {
        let scenario = self.world.scenario.clone();
        self.pass(secs(scenario.warm_up_secs))?;
        self.world.begin_faults();
        self.world.begin_operations();
        self.pass(secs(scenario.fault_secs))?;
        self.world.end_faults();
        self.world.end_operations();
        let deadline = self.world.now() + secs(scenario.heal_secs);
        self.until(deadline, "healing", healing::find_wound)?;
        self.world.at_work = true;
        let promises = !scenario.groups.is_empty() || !scenario.quotas.is_empty();
        let work = if promises { guarantees::PATIENCE + Duration::from_secs(30) } else { WORK };
        self.pass(work)?;
        self.world.rest();
        let deadline = deadline + work;
        self.until(deadline, "healing", healing::find_wound)?;
        self.until(deadline, "views", views::find_difference)?;
        self.settle(deadline)?;
        self.checks.at_rest(&self.world).map_err(|broken| self.failure(Kind::Correctness, broken.check, broken.why))
    }

    /// Views may agree while an agent still waits to send an update once more.
    fn settle(&mut self, deadline: Tick) -> Result<(), Failure> {
        while let Some(broken) = self.checks.owed() {
            if self.world.now() >= deadline {
                return Err(self.failure(Kind::Correctness, broken.check, broken.why));
            }
            self.pass(POLL)?;
        }
        Ok(())
    }

    /// Lets time pass until nothing is wrong any more.
    fn until(&mut self, deadline: Tick, check: &str, wrong: fn(&World) -> Option<String>) -> Result<(), Failure> {
        while let Some(why) = wrong(&self.world) {
            if self.world.now() >= deadline {
                return Err(self.failure(Kind::Liveness, check, why));
            }
            self.pass(POLL)?;
        }
        Ok(())
    }

    fn failure(&self, kind: Kind, check: &str, why: String) -> Failure {
        Failure { kind, check: check.to_owned(), why, at: self.elapsed() }
    }

    fn pass(&mut self, time: Duration) -> Result<(), Failure> {
        let end = self.world.now() + time;
        let mut last = Tick::ZERO;
        let mut same = 0u32;
        while self.world.step(end) {
            same = if self.world.now() == last { same + 1 } else { 0 };
            last = self.world.now();
            if same > 1_000_000 {
                return Err(self.failure(Kind::Liveness, "time", "time stands still".to_owned()));
            }
            self.check()?;
        }
        self.check()
    }

    fn check(&mut self) -> Result<(), Failure> {
        for line in watch::take_errors() {
            self.world.facts.push(Fact::Error(line));
        }
        if self.world.facts.is_empty() {
            return Ok(());
        }
        let mut facts = std::mem::take(&mut self.world.facts);
        let now = Fact::At(self.world.now());
        let told = std::iter::once(&now).chain(&facts).try_for_each(|fact| self.checks.note(fact));
        facts.clear();
        self.world.facts = facts;
        told.map_err(|broken| self.failure(Kind::Correctness, broken.check, broken.why))
    }
}
