//! `meseta weights list | set`.

use std::process::ExitCode;

use proto::v1::{WeightInfo, master::call};
use serde::Serialize;

use super::change;
use crate::{
    connect::Connect,
    output::{Column, Format, table},
};

#[derive(clap::Subcommand, Debug)]
pub enum Verb {
    /// Every weight that was set; all other roles weigh 1.
    List {
        #[command(flatten)]
        connect: Connect,
        #[command(flatten)]
        format: Format,
    },
    /// Sets the weights of roles. A role of weight 2 gets twice the share of one of weight 1.
    Set {
        #[command(flatten)]
        connect: Connect,
        #[command(flatten)]
        format: Format,
        /// As in ads=2.
        #[arg(value_name = "ROLE=WEIGHT", required = true)]
        weights: Vec<String>,
    },
}

#[derive(Serialize)]
struct Weights {
    weights: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    role: String,
    weight: f64,
}

pub async fn weights(verb: Verb) -> Result<ExitCode, String> {
    match verb {
        Verb::List { connect, format } => {
            let weights = connect.client()?.get_weights().await.map_err(|error| connect.explain(&error))?;
            show(format, &weights.weight_infos)?;
        }
        Verb::Set { connect, format, weights } => {
            let weight_infos: Vec<WeightInfo> = weights.iter().map(|text| read(text)).collect::<Result<_, _>>()?;
            let update = call::UpdateWeights { weight_infos: weight_infos.clone() };
            change(&connect, "", async |client| client.update_weights(update).await).await?;
            show(format, &weight_infos)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn read(text: &str) -> Result<WeightInfo, String> {
    let wrong = || format!("'{text}' is not ROLE=WEIGHT, as in ads=2");
    let (role, weight) = text.rsplit_once('=').ok_or_else(wrong)?;
    let weight: f64 = weight.trim().parse().map_err(|_| wrong())?;
    match weight > 0.0 && weight.is_finite() {
        true => Ok(WeightInfo { weight, role: Some(role.to_owned()) }),
        false => Err(format!("the weight of '{role}' cannot be {weight}; write a number above 0")),
    }
}

fn show(format: Format, infos: &[WeightInfo]) -> Result<(), String> {
    let row = |info: &WeightInfo| Row { role: info.role().to_owned(), weight: info.weight };
    format.print(&Weights { weights: infos.iter().map(row).collect() }, |_| {
        let rows = infos.iter().map(|info| vec![info.role().to_owned(), info.weight.to_string()]);
        table(&[Column::Text("ROLE"), Column::Number("WEIGHT")], rows)
    })
}
