//! How commands print what they found: a table as wide as the terminal, or one JSON document. A pipe that nobody reads is no
//! error.

use std::{
    io::{IsTerminal, Write},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use serde::Serialize;

/// Whether a program or a person reads.
#[derive(clap::Args, Clone, Copy, Debug)]
pub struct Format {
    /// Prints one JSON document, whose fields docs/cli.md lists.
    #[arg(long)]
    pub json: bool,
}

impl Format {
    pub fn print<T: Serialize>(self, value: &T, text: impl FnOnce(&T) -> String) -> Result<(), String> {
        match self.json {
            true => print(&json(value)?),
            false => print(&text(value)),
        }
        Ok(())
    }
}

pub fn json<T: Serialize>(value: &T) -> Result<String, String> {
    serde_json::to_string_pretty(value).map_err(|error| format!("cannot write JSON: {error}"))
}

/// Prints text and ends its last line.
pub fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{}", text.trim_end_matches('\n'));
}

/// Columns with numbers are aligned at their right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column<'a> {
    Text(&'a str),
    Number(&'a str),
}

/// The same for a table that reports show too.
pub fn sheet(table: &charts::Table) -> String {
    let column = |(name, align)| match align {
        charts::Align::Left => Column::Text(name),
        charts::Align::Right => Column::Number(name),
    };
    self::table(&table.columns().map(column).collect::<Vec<_>>(), table.rows().iter().cloned())
}

/// A table without lines or colours. On a terminal it is as wide as that; elsewhere each row is one line.
pub fn table(columns: &[Column], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    let wide = if std::io::stdout().is_terminal() { ContentArrangement::Dynamic } else { ContentArrangement::Disabled };
    table.set_content_arrangement(wide);
    table.set_header(columns.iter().map(|column| match column {
        Column::Text(name) | Column::Number(name) => *name,
    }));
    for row in rows {
        table.add_row(row);
    }
    for (column, kind) in table.column_iter_mut().zip(columns) {
        column.set_padding((0, 2));
        if let Column::Number(_) = kind {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let text = table.to_string();
    text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

/// How long ago a moment was, in seconds since 1970: "12s", "3m", "5h", "2d"; a dash if it is not known.
pub fn age(since: Option<f64>) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    match since {
        Some(since) => short_duration(Duration::from_secs_f64((now - since).clamp(0.0, 1e10))),
        None => "-".to_owned(),
    }
}

fn short_duration(duration: Duration) -> String {
    let secs = duration.as_secs();
    match secs {
        0..=119 => format!("{secs}s"),
        120..=7199 => format!("{}m", secs / 60),
        7200..=172_799 => format!("{}h", secs / 3600),
        _ => format!("{}d", secs / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_have_no_lines_and_no_trailing_blanks() {
        let text = table(
            &[Column::Text("NAME"), Column::Number("CPUS"), Column::Text("X")],
            [vec!["a".into(), "1".into(), "y".into()], vec!["long".into(), "0.25".into(), String::new()]],
        );
        assert_eq!(text, "NAME  CPUS  X\na        1  y\nlong  0.25");
    }

    #[test]
    fn ages_have_one_unit() {
        for (secs, expected) in [(5, "5s"), (119, "119s"), (120, "2m"), (7200, "2h"), (200_000, "2d")] {
            assert_eq!(short_duration(Duration::from_secs(secs)), expected);
        }
        assert_eq!(age(None), "-");
    }
}
