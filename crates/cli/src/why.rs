//! `meseta why`: why a framework, or the frameworks of a role, got no offers.

use std::{process::ExitCode, time::Duration};

use proto::{
    meseta::v1::{Explanation, explanation::Reason},
    v1::FrameworkId,
};
use serde::Serialize;

use crate::{
    connect::{self, Connect},
    find,
    output::{Column, Format, table},
    shortage::Quotas,
    tables::{self, Parts},
};

/// Tells why a framework or the frameworks of a role got no offers: of how many agents, for which reason.
///
/// The answer is about this moment: it is worked out from what the allocator knows when it is asked.
#[derive(clap::Args, Debug)]
pub struct WhyArguments {
    /// A framework (its id, a short id, or its name), or a role. All frameworks without it.
    #[arg(value_name = "FRAMEWORK|ROLE")]
    of: Option<String>,
    #[command(flatten)]
    connect: Connect,
    #[command(flatten)]
    format: Format,
}

#[derive(Serialize)]
struct Why {
    explanations: Vec<Row>,
    /// How many more there are.
    left_out: u32,
}

#[derive(Serialize)]
struct Row {
    framework_id: String,
    framework: String,
    role: String,
    group: String,
    role_share: f64,
    framework_share: f64,
    cycle: u64,
    offered_in_cycle: Option<u64>,
    reasons: Vec<ReasonRow>,
    /// The quotas that bind the role, and what is held of them.
    quotas: Vec<String>,
}

#[derive(Serialize)]
struct ReasonRow {
    r#type: &'static str,
    agents: Option<u64>,
    example: Option<String>,
    message: String,
    subject: Option<String>,
    /// Until a filter ends.
    remaining_secs: Option<f64>,
}

pub fn why(arguments: WhyArguments) -> ExitCode {
    connect::run(async {
        let parts = Parts { agents: true, frameworks: true, ..Parts::default() };
        let cluster = tables::fetch(&arguments.connect, parts).await?;
        let (mut framework, mut role) = (None, None);
        if let Some(text) = &arguments.of {
            match find::framework(&cluster, text) {
                Ok(found) => framework = Some(FrameworkId { value: found.id }),
                Err(_) => role = Some(text.clone()),
            }
        }
        let client = arguments.connect.client()?;
        // Who may ask why may not be allowed to see quotas.
        let configs = client.get_quota().await.map(|quota| quota.status.configs).unwrap_or_default();
        let quotas = Quotas::new(configs, &cluster.agents);
        let found = client.explain(framework, role.clone()).await.map_err(|error| match (&error, &role) {
            (client::Error::Refused { status, .. }, Some(text)) if status.as_u16() == 404 => {
                format!(
                    "'{text}' is neither a framework nor a role that a framework is in; `meseta frameworks` lists them"
                )
            }
            _ => arguments.connect.explain(&error),
        })?;
        let name = |id: &str| {
            let infos = cluster.frameworks.frameworks.iter().map(|framework| &framework.framework_info);
            let mut mine = infos.filter(|info| info.id.as_ref().is_some_and(|of| of.value == id));
            mine.next().map_or_else(String::new, |info| info.name.clone())
        };
        let row = |one: &Explanation| Row { quotas: quotas.of(&one.role), ..row(one, name(&one.framework_id.value)) };
        let explanations = found.explanations.iter().map(row).collect();
        arguments.format.print(&Why { explanations, left_out: found.left_out() }, text)?;
        Ok(ExitCode::SUCCESS)
    })
}

fn row(of: &Explanation, framework: String) -> Row {
    let reason = |reason: &Reason| ReasonRow {
        r#type: reason.r#type().as_str_name(),
        agents: reason.agents,
        example: reason.example.as_ref().map(|agent| agent.value.clone()),
        message: reason.message.clone(),
        subject: reason.subject.clone(),
        remaining_secs: reason.remaining_nanoseconds.map(|nanoseconds| nanoseconds as f64 / 1e9),
    };
    Row {
        framework_id: of.framework_id.value.clone(),
        framework,
        role: of.role.clone(),
        group: of.group.clone(),
        role_share: of.role_share(),
        framework_share: of.framework_share(),
        cycle: of.cycle(),
        offered_in_cycle: of.offered_in_cycle,
        reasons: of.reasons.iter().map(reason).collect(),
        quotas: Vec::new(),
    }
}

fn text(why: &Why) -> String {
    if why.explanations.is_empty() {
        return "no framework is subscribed".to_owned();
    }
    let mut parts: Vec<String> = why.explanations.iter().map(one).collect();
    if why.left_out > 0 {
        parts.push(format!("and {} more; name a framework or a role", why.left_out));
    }
    parts.join("\n\n")
}

fn one(row: &Row) -> String {
    let group = if row.group == "default" { String::new() } else { format!(", resource group '{}'", row.group) };
    let last = match row.offered_in_cycle {
        Some(cycle) if cycle == row.cycle => format!("last offered in this cycle ({cycle})"),
        Some(cycle) if cycle + 1 == row.cycle => "last offered a cycle ago".to_owned(),
        Some(cycle) => format!("last offered {} cycles ago", row.cycle.saturating_sub(cycle)),
        None => "never offered anything".to_owned(),
    };
    let mut text = format!(
        "{} ({}) in role '{}'{group}: {last}; shares: role {:.1} %, framework {:.1} %",
        row.framework,
        row.framework_id,
        row.role,
        row.role_share * 100.0,
        row.framework_share * 100.0
    );
    let rows = row.reasons.iter().map(|reason| {
        let until = reason.remaining_secs.map(|secs| {
            let secs = Duration::from_secs_f64(secs.max(0.0)).as_secs_f64();
            format!(" (the first for {secs:.1} s more)")
        });
        let example = reason.example.as_ref().map(|agent| format!("e.g. {agent}")).unwrap_or_default();
        vec![reason.r#type.to_owned(), reason.message.clone() + &until.unwrap_or_default(), example]
    });
    for quota in &row.quotas {
        text += &format!("\n  {quota}");
    }
    text.push('\n');
    text.push_str(&table(
        &[Column::Text("  REASON"), Column::Note("WHAT"), Column::Note("AGENT")],
        rows.map(|mut row| {
            if let Some(first) = row.first_mut() {
                first.insert_str(0, "  ");
            }
            row
        }),
    ));
    text
}
