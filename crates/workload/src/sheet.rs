//! CSV with a header: finds columns by name and says exactly where something is wrong.

use std::{str::FromStr, time::Duration};

use csv::{ReaderBuilder, StringRecord, Trim};
use resources::{Name, Quantities, Quantity};

/// Where in a file something is wrong, what, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {wrong}; {right}")]
pub struct SheetError {
    /// Such as `trace.csv, line 3, column cpus`.
    pub place: String,
    pub wrong: String,
    pub right: String,
}

impl SheetError {
    pub(crate) fn new(place: impl Into<String>, wrong: impl Into<String>, right: impl Into<String>) -> SheetError {
        SheetError { place: place.into(), wrong: wrong.into(), right: right.into() }
    }
}

pub(crate) struct Sheet<'a> {
    file: &'a str,
    columns: Vec<String>,
    rows: Vec<(u64, StringRecord)>,
}

/// One line of a sheet.
#[derive(Clone, Copy)]
pub(crate) struct Row<'a> {
    sheet: &'a Sheet<'a>,
    line: u64,
    cells: &'a StringRecord,
}

impl<'a> Sheet<'a> {
    /// Lines that begin with `#` are comments. All `needed` columns must be there and none that is not `known`.
    pub fn read(file: &'a str, text: &str, needed: &[&str], known: &[&str]) -> Result<Sheet<'a>, SheetError> {
        let mut reader =
            ReaderBuilder::new().comment(Some(b'#')).trim(Trim::All).flexible(true).from_reader(text.as_bytes());
        let wants = format!("the first line names the columns: {} and, where wanted, {}", needed.join(","), {
            let more: Vec<&str> = known.iter().copied().filter(|name| !needed.contains(name)).collect();
            more.join(",")
        });
        let header = reader.headers().map_err(|error| SheetError::new(file, error.to_string(), wants.clone()))?;
        let columns: Vec<String> = header.iter().map(|name| name.trim_start_matches('\u{feff}').to_owned()).collect();
        let first = format!("{file}, line {}", header.position().map_or(1, csv::Position::line));
        for name in needed {
            if !columns.iter().any(|column| column == name) {
                return Err(SheetError::new(first, format!("there is no column {name}"), wants));
            }
        }
        for (at, column) in columns.iter().enumerate() {
            if !known.contains(&column.as_str()) {
                return Err(SheetError::new(first, format!("nobody knows the column '{column}'"), wants));
            }
            if columns.iter().take(at).any(|other| other == column) {
                return Err(SheetError::new(first, format!("two columns are called {column}"), "one of each"));
            }
        }
        let mut rows = Vec::new();
        for record in reader.records() {
            let record = record.map_err(|error| {
                let line = error.position().map_or(0, csv::Position::line);
                SheetError::new(format!("{file}, line {line}"), error.to_string(), "text in UTF-8 with commas between")
            })?;
            let line = record.position().map_or(0, csv::Position::line);
            if record.len() != columns.len() {
                return Err(SheetError::new(
                    format!("{file}, line {line}"),
                    format!("{} fields", record.len()),
                    format!("the header has {}", columns.len()),
                ));
            }
            rows.push((line, record));
        }
        Ok(Sheet { file, columns, rows })
    }

    pub fn rows(&'a self) -> impl Iterator<Item = Row<'a>> {
        self.rows.iter().map(|(line, cells)| Row { sheet: self, line: *line, cells })
    }
}

impl<'a> Row<'a> {
    /// The text of a column; `None` where there is none.
    pub fn text(&self, column: &str) -> Option<&'a str> {
        let at = self.sheet.columns.iter().position(|name| name == column)?;
        self.cells.get(at).filter(|text| !text.is_empty())
    }

    pub fn error(&self, column: &str, wrong: impl Into<String>, right: impl Into<String>) -> SheetError {
        SheetError::new(format!("{}, line {}, column {column}", self.sheet.file, self.line), wrong, right)
    }

    /// A number that `fits`, or the column's default.
    pub fn number<T: FromStr + PartialOrd>(
        &self,
        column: &str,
        default: Option<T>,
        fits: impl Fn(&T) -> bool,
        right: &str,
    ) -> Result<T, SheetError> {
        match (self.text(column), default) {
            (None, Some(default)) => Ok(default),
            (None, None) => Err(self.error(column, "it is empty", right)),
            (Some(text), _) => match text.parse() {
                Ok(number) if fits(&number) => Ok(number),
                Ok(_) => Err(self.error(column, format!("{text} is out of range"), right)),
                Err(_) => Err(self.error(column, format!("'{text}' is no such number"), right)),
            },
        }
    }

    pub fn seconds(&self, column: &str, least: f64, right: &str) -> Result<Duration, SheetError> {
        let secs =
            self.number(column, None, |secs: &f64| secs.is_finite() && (least..=SECS_MAX).contains(secs), right)?;
        Ok(Duration::from_secs_f64(secs))
    }

    /// The amounts in the columns cpus, mem, disk and gpus.
    pub fn amounts(&self) -> Result<Quantities, SheetError> {
        let mut amounts = Quantities::default();
        for (column, right) in AMOUNTS {
            let fits = |amount: &f64| amount.is_finite() && (0.0..=AMOUNT_MAX).contains(amount);
            let amount = self.number(column, Some(0.0), fits, right)?;
            amounts.add_one(&Name::from(column), Quantity::from_f64(amount));
        }
        Ok(amounts)
    }
}

const SECS_MAX: f64 = 1e9;
const AMOUNT_MAX: f64 = 1e12;
const AMOUNTS: [(&str, &str); 4] = [
    ("cpus", "a number of CPUs such as 0.5"),
    ("mem", "MiB of memory such as 512"),
    ("disk", "MiB of disk such as 1024"),
    ("gpus", "a number of GPUs such as 1"),
];
