//! `meseta maintenance status | schedule | cancel | start | stop`. The API replaces a schedule as a whole; these
//! commands read it, change a part and write it back.

use std::{
    process::ExitCode,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use proto::v1::{
    DurationInfo, MachineId, TimeInfo, Unavailability,
    allocator::inverse_offer_status::Status,
    maintenance::{ClusterStatus, Schedule, Window},
    master::call,
};
use serde::Serialize;

use super::{change, time};
use crate::{
    connect::Connect,
    output::{Column, Format, table},
};

#[derive(clap::Subcommand, Debug)]
pub enum Verb {
    /// Machines that drain or are down, from when on, and what frameworks say to it.
    Status {
        #[command(flatten)]
        connect: Connect,
        #[command(flatten)]
        format: Format,
    },
    /// Plans to take machines away. Their offers say so from now on, and frameworks are asked to leave.
    Schedule {
        #[command(flatten)]
        target: Target,
        /// When, from now, as in 30mins.
        #[arg(long, default_value = "0secs", value_name = "DURATION")]
        after: String,
        /// For how long; without it for good.
        #[arg(long, value_name = "DURATION")]
        duration: Option<String>,
    },
    /// Takes machines out of the schedule again.
    Cancel {
        #[command(flatten)]
        target: Target,
    },
    /// The machines are down: their agents are shut out, and their tasks are lost.
    Start {
        #[command(flatten)]
        target: Target,
    },
    /// The machines are back: agents may register again.
    Stop {
        #[command(flatten)]
        target: Target,
    },
}

#[derive(clap::Args, Debug)]
pub struct Target {
    #[command(flatten)]
    connect: Connect,
    #[command(flatten)]
    format: Format,
    /// Hostname and address, as agents tell them: node7,10.0.0.7 (either part may be empty).
    #[arg(value_name = "HOST,IP", required = true)]
    machines: Vec<String>,
}

#[derive(Serialize)]
struct Machines {
    machines: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    hostname: String,
    ip: String,
    /// "draining" or "down".
    mode: &'static str,
    /// Seconds since 1970.
    start: Option<f64>,
    duration_secs: Option<f64>,
    accepted: Vec<String>,
    declined: Vec<String>,
}

const NEXT: &str =
    "`meseta maintenance status` shows the machines in the schedule; `meseta agents` how agents call theirs";

pub async fn maintenance(verb: Verb) -> Result<ExitCode, String> {
    let (connect, format) = match verb {
        Verb::Status { connect, format } => (connect, format),
        Verb::Schedule { target, after, duration } => {
            let ids = target.ids()?;
            let start = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default() + time(&after)?;
            let duration = duration.map(|text| time(&text)).transpose()?;
            let unavailability = Unavailability {
                start: TimeInfo { nanoseconds: nanoseconds(start) },
                duration: duration.map(|duration| DurationInfo { nanoseconds: nanoseconds(duration) }),
            };
            let mut schedule = without(&target.connect, &ids).await?;
            schedule.windows.push(Window { machine_ids: ids, unavailability });
            put(&target.connect, schedule).await?;
            (target.connect, target.format)
        }
        Verb::Cancel { target } => {
            let schedule = without(&target.connect, &target.ids()?).await?;
            put(&target.connect, schedule).await?;
            (target.connect, target.format)
        }
        Verb::Start { target } => {
            let start = call::StartMaintenance { machines: target.ids()? };
            change(&target.connect, NEXT, async |client| client.start_maintenance(start).await).await?;
            (target.connect, target.format)
        }
        Verb::Stop { target } => {
            let stop = call::StopMaintenance { machines: target.ids()? };
            change(&target.connect, NEXT, async |client| client.stop_maintenance(stop).await).await?;
            (target.connect, target.format)
        }
    };
    show(&connect, format).await?;
    Ok(ExitCode::SUCCESS)
}

impl Target {
    fn ids(&self) -> Result<Vec<MachineId>, String> {
        let read = |text: &String| {
            let (host, ip) = text
                .split_once(',')
                .ok_or_else(|| format!("'{text}' is not HOST,IP, as in node7,10.0.0.7 (either part may be empty)"))?;
            let part = |text: &str| (!text.is_empty()).then(|| text.to_owned());
            Ok(MachineId { hostname: part(host), ip: part(ip) })
        };
        self.machines.iter().map(read).collect()
    }
}

/// The present schedule without some machines.
async fn without(connect: &Connect, ids: &[MachineId]) -> Result<Schedule, String> {
    let answer = connect.client()?.get_maintenance_schedule().await.map_err(|error| connect.explain(&error))?;
    let mut schedule = answer.schedule;
    let is_meant = |id: &MachineId| {
        ids.iter().any(|other| other.hostname().eq_ignore_ascii_case(id.hostname()) && other.ip() == id.ip())
    };
    for window in &mut schedule.windows {
        window.machine_ids.retain(|id| !is_meant(id));
    }
    schedule.windows.retain(|window| !window.machine_ids.is_empty());
    Ok(schedule)
}

async fn put(connect: &Connect, schedule: Schedule) -> Result<(), String> {
    let update = call::UpdateMaintenanceSchedule { schedule };
    let next = "`meseta maintenance stop HOST,IP` brings a machine up that is down";
    change(connect, next, async |client| client.update_maintenance_schedule(update).await).await
}

async fn show(connect: &Connect, format: Format) -> Result<(), String> {
    let client = connect.client()?;
    let status = client.get_maintenance_status().await.map_err(|error| connect.explain(&error))?.status;
    let schedule = client.get_maintenance_schedule().await.map_err(|error| connect.explain(&error))?.schedule;
    format.print(&Machines { machines: rows(&status, &schedule) }, |machines| {
        let rows = machines.machines.iter().map(|row| {
            let answers = format!("{} accepted, {} declined", row.accepted.len(), row.declined.len());
            vec![row.hostname.clone(), row.ip.clone(), row.mode.to_owned(), from_now(row.start), answers]
        });
        let columns = ["HOSTNAME", "IP", "MODE", "FROM", "FRAMEWORKS"].map(Column::Text);
        table(&columns, rows)
    })
}

fn rows(status: &ClusterStatus, schedule: &Schedule) -> Vec<Row> {
    let planned = |id: &MachineId| {
        schedule.windows.iter().find(|window| window.machine_ids.contains(id)).map(|window| &window.unavailability)
    };
    let row = |id: &MachineId, mode: &'static str| Row {
        hostname: id.hostname().to_owned(),
        ip: id.ip().to_owned(),
        mode,
        start: planned(id).map(|plan| plan.start.nanoseconds as f64 / 1e9),
        duration_secs: planned(id).and_then(|plan| plan.duration.as_ref()).map(|d| d.nanoseconds as f64 / 1e9),
        accepted: Vec::new(),
        declined: Vec::new(),
    };
    let mut rows = Vec::new();
    for machine in &status.draining_machines {
        let said = |wanted: Status| {
            let answers = machine.statuses.iter().filter(|answer| answer.status() == wanted);
            answers.map(|answer| answer.framework_id.value.clone()).collect()
        };
        let plain = row(&machine.id, "draining");
        rows.push(Row { accepted: said(Status::Accept), declined: said(Status::Decline), ..plain });
    }
    rows.extend(status.down_machines.iter().map(|id| row(id, "down")));
    rows
}

fn from_now(start: Option<f64>) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    match start {
        None => "-".to_owned(),
        Some(start) if start <= now => "now".to_owned(),
        Some(start) => format!("in {}s", (start - now).round()),
    }
}

fn nanoseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}
