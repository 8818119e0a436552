//! `meseta quota list | set | remove`.

use std::{collections::BTreeMap, process::ExitCode};

use proto::v1::{master::call, quota::QuotaConfig, value::Scalar};
use serde::Serialize;

use super::{amounts, change, print_amounts, warn_of_unknown};
use crate::{
    connect::Connect,
    output::{Column, Format, table},
};

#[derive(clap::Subcommand, Debug)]
pub enum Verb {
    /// Every role's guarantee and limit.
    List {
        #[command(flatten)]
        connect: Connect,
        #[command(flatten)]
        format: Format,
    },
    /// Sets the guarantee and the limit of a role, in place of those it has. What is left out is not promised, or not
    /// bounded.
    Set {
        #[command(flatten)]
        connect: Connect,
        #[command(flatten)]
        format: Format,
        role: String,
        /// What the role can always get, as in cpus:4;mem:1024.
        #[arg(long, value_name = "AMOUNTS", default_value = "")]
        guarantee: String,
        /// What the role can have at most.
        #[arg(long, value_name = "AMOUNTS", default_value = "")]
        limit: String,
        /// Even if the cluster is too small for all guarantees, or the role holds more than the limit.
        #[arg(long)]
        force: bool,
    },
    /// Takes a role's quota away.
    Remove {
        #[command(flatten)]
        connect: Connect,
        #[command(flatten)]
        format: Format,
        role: String,
    },
}

#[derive(Serialize)]
struct Quotas {
    quotas: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    role: String,
    guarantees: BTreeMap<String, f64>,
    limits: BTreeMap<String, f64>,
}

const NEXT: &str =
    "`meseta quota list` shows what is promised, `meseta agents` what there is; --force sets it all the same";

pub async fn quota(verb: Verb) -> Result<ExitCode, String> {
    match verb {
        Verb::List { connect, format } => {
            let status = connect.client()?.get_quota().await.map_err(|error| connect.explain(&error))?.status;
            show(format, &status.configs)?;
        }
        Verb::Set { connect, format, role, guarantee, limit, force } => {
            let (guarantees, limits) = (amounts(&guarantee)?, amounts(&limit)?);
            if guarantees.is_empty() && limits.is_empty() {
                return Err(format!(
                    "nothing is set: give --guarantee, --limit or both; `meseta quota remove {role}` takes a quota away"
                ));
            }
            warn_of_unknown(&connect, guarantees.keys().chain(limits.keys())).await;
            let config = QuotaConfig { role, guarantees, limits };
            let update = call::UpdateQuota { force: Some(force), quota_configs: vec![config.clone()] };
            change(&connect, if force { "" } else { NEXT }, async |client| client.update_quota(update).await).await?;
            show(format, &[config])?;
        }
        Verb::Remove { connect, format, role } => {
            let config = QuotaConfig { role: role.clone(), ..Default::default() };
            let next = "`meseta quota list` shows the roles that have one";
            change(&connect, next, async |client| client.remove_quota(call::RemoveQuota { role }).await).await?;
            show(format, &[config])?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn show(format: Format, configs: &[QuotaConfig]) -> Result<(), String> {
    let plain = |scalars: &BTreeMap<String, Scalar>| {
        scalars.iter().map(|(name, scalar)| (name.clone(), scalar.value)).collect::<BTreeMap<_, _>>()
    };
    let row = |config: &QuotaConfig| Row {
        role: config.role.clone(),
        guarantees: plain(&config.guarantees),
        limits: plain(&config.limits),
    };
    format.print(&Quotas { quotas: configs.iter().map(row).collect() }, |_| {
        let rows = configs
            .iter()
            .map(|config| vec![config.role.clone(), print_amounts(&config.guarantees), print_amounts(&config.limits)]);
        table(&[Column::Text("ROLE"), Column::Text("GUARANTEE"), Column::Text("LIMIT")], rows)
    })
}
