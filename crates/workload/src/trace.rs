//! A trace: jobs, each a number of equal tasks that arrive at one moment. docs/what-if.md describes its CSV format.

use std::{sync::Arc, time::Duration};

use resources::{Quantities, role};

use crate::sheet::{Sheet, SheetError};

/// Equal tasks that arrive together.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    /// Since the beginning of the trace.
    pub arrival: Duration,
    /// How long each task runs once it is started.
    pub duration: Duration,
    pub count: u32,
    /// What each task wants.
    pub demand: Quantities,
    pub role: Arc<str>,
    pub framework: Arc<str>,
}

/// Jobs in the order of their arrival.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Trace {
    pub jobs: Vec<Job>,
}

const NEEDED: [&str; 4] = ["arrival", "duration", "cpus", "mem"];
const KNOWN: [&str; 9] = ["arrival", "duration", "count", "cpus", "mem", "disk", "gpus", "role", "framework"];
const COUNT_MAX: u32 = 10_000_000;

impl Trace {
    pub fn new(mut jobs: Vec<Job>) -> Trace {
        jobs.sort_by_key(|job| job.arrival);
        Trace { jobs }
    }

    /// Reads the CSV of a trace; `file` is its name, for errors.
    pub fn parse(file: &str, text: &str) -> Result<Trace, SheetError> {
        let sheet = Sheet::read(file, text, &NEEDED, &KNOWN)?;
        let mut jobs = Vec::new();
        for row in sheet.rows() {
            let count =
                row.number("count", Some(1), |count| (1..=COUNT_MAX).contains(count), "1 to 10,000,000 tasks")?;
            let demand = row.amounts()?;
            if demand.is_empty() {
                return Err(row.error("cpus", "the task wants nothing at all", "at least some cpus or mem"));
            }
            let role = row.text("role").unwrap_or("*");
            role::check(role)
                .map_err(|error| row.error("role", error.to_string(), "a role such as web or ads/reports"))?;
            jobs.push(Job {
                arrival: row.seconds("arrival", 0.0, "seconds since the trace began, such as 12.5")?,
                duration: row.seconds("duration", 0.001, "seconds that a task runs, 0.001 at least")?,
                count,
                demand,
                role: role.into(),
                framework: row.text("framework").unwrap_or("trace").into(),
            });
        }
        if jobs.is_empty() {
            return Err(SheetError::new(file, "it holds no jobs", "a line for each job after the header"));
        }
        Ok(Trace::new(jobs))
    }

    /// The same as CSV.
    pub fn csv(&self) -> String {
        let mut text = format!("{}\n", KNOWN.join(","));
        for job in &self.jobs {
            let amount = |name| job.demand.named(name);
            let quoted = |name: &str| match name.contains([',', '"', '\n']) {
                true => format!("\"{}\"", name.replace('"', "\"\"")),
                false => name.to_owned(),
            };
            text += &format!(
                "{},{},{},{},{},{},{},{},{}\n",
                job.arrival.as_secs_f64(),
                job.duration.as_secs_f64(),
                job.count,
                amount("cpus"),
                amount("mem"),
                amount("disk"),
                amount("gpus"),
                quoted(&job.role),
                quoted(&job.framework),
            );
        }
        text
    }

    pub fn tasks(&self) -> u64 {
        self.jobs.iter().map(|job| u64::from(job.count)).sum()
    }

    /// When the last job arrives.
    pub fn end(&self) -> Duration {
        self.jobs.last().map(|job| job.arrival).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        Trace::parse("t.csv", text).expect_err("it is wrong").to_string()
    }

    #[test]
    fn columns_stand_in_any_order_and_defaults_fill_the_rest() {
        let text = "# made by hand\nmem,cpus,duration,arrival,role\n512,0.5,30,10,web\n\n64,0.1,1,2.5,\n";
        let trace = Trace::parse("t.csv", text).expect("a trace");
        let [first, second] = trace.jobs.as_slice() else { panic!("{trace:?}") };
        assert_eq!((first.arrival, &*first.role, first.count), (Duration::from_millis(2500), "*", 1));
        assert_eq!((&*second.role, &*second.framework), ("web", "trace"));
        assert_eq!(second.demand.named("mem").as_f64(), 512.0);
    }

    #[test]
    fn what_is_written_reads_the_same() {
        let text = "arrival,duration,count,cpus,mem,disk,gpus,role,framework\n0,30.25,3,0.5,512,0,1,web,\"a, b\"\n";
        let trace = Trace::parse("t.csv", text).expect("a trace");
        assert_eq!(trace.csv(), text);
    }

    #[test]
    fn errors_name_the_line_the_column_and_what_would_be_right() {
        let head = "arrival,duration,cpus,mem\n";
        for (text, expected) in [
            ("arrival,cpus,mem\n", "t.csv, line 1: there is no column duration"),
            ("arrival,duration,cpus,mem,color\n", "nobody knows the column 'color'"),
            ("arrival,duration,cpus,mem,mem\n", "two columns are called mem"),
            ("", "t.csv, line 1: there is no column arrival"),
            (head, "t.csv: it holds no jobs"),
            (
                &format!("{head}0,1,x,1\n"),
                "t.csv, line 2, column cpus: 'x' is no such number; a number of CPUs such as 0.5",
            ),
            (
                &format!("{head}0,1,1,1\n0,0,1,1\n"),
                "t.csv, line 3, column duration: 0 is out of range; seconds that a task runs",
            ),
            (&format!("{head}-1,1,1,1\n"), "column arrival: -1 is out of range"),
            (&format!("{head}nan,1,1,1\n"), "column arrival: nan is out of range"),
            (&format!("{head}0,1,0,0\n"), "the task wants nothing at all"),
            (&format!("{head}0,1,1\n"), "t.csv, line 2: 3 fields; the header has 4"),
            ("arrival,duration,cpus,mem,role\n0,1,1,1,a//b\n", "line 2, column role:"),
            ("arrival,duration,cpus,mem,count\n0,1,1,1,0\n", "column count: 0 is out of range; 1 to"),
        ] {
            let error = error(text);
            assert!(error.contains(expected), "{error:?} does not say {expected:?}");
        }
    }
}
