//! How commands print what they found: a table as wide as the terminal, or one JSON document. Nothing here panics when
//! the reader of a pipe has gone: the command then ends by SIGPIPE, as other commands do.

use std::{
    borrow::Cow,
    io::{self, IsTerminal, Write},
    process::ExitCode,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use nix::sys::signal::{SigHandler, Signal, raise, signal};
use serde::Serialize;

/// Whether a program or a person reads.
#[derive(clap::Args, Clone, Copy, Debug, Default)]
pub struct Format {
    /// Prints one JSON document; `meseta help cli` lists its fields.
    #[arg(long)]
    pub json: bool,
    /// `wide` prints whole ids and more columns, `json` is the same as --json.
    #[arg(short, long, conflicts_with = "json")]
    output: Option<Output>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    Wide,
    Json,
}

impl Format {
    pub fn is_wide(self) -> bool {
        self.output == Some(Output::Wide)
    }

    pub fn is_json(self) -> bool {
        self.json || self.output == Some(Output::Json)
    }

    pub fn print<T: Serialize>(self, value: &T, text: impl FnOnce(&T) -> String) -> Result<(), String> {
        match self.is_json() {
            true => print(&json(value)?),
            false => print(&text(value)),
        }
        Ok(())
    }
}

pub fn json<T: Serialize>(value: &T) -> Result<String, String> {
    serde_json::to_string_pretty(value).map_err(|error| format!("cannot write JSON: {error}"))
}

/// Prints text on stdout and ends its last line.
pub fn print(text: &str) {
    write_out(format!("{}\n", text.trim_end_matches('\n')).as_bytes());
}

/// Writes to stdout. Without a reader the process ends by SIGPIPE; any other failure ends it with an error.
pub fn write_out(bytes: &[u8]) {
    let mut out = io::stdout().lock();
    if let Err(error) = out.write_all(bytes).and_then(|()| out.flush()) {
        if error.kind() == io::ErrorKind::BrokenPipe {
            die_of_broken_pipe();
        }
        complain(&format!("cannot write the output: {error}"));
        std::process::exit(1);
    }
}

/// A line on stderr. A failure to write it changes nothing: the exit code tells the rest.
pub fn complain(text: &str) {
    let _ = tell(text);
}

/// Says why a command failed; the code to exit with.
pub fn fail(why: &str) -> ExitCode {
    complain(why);
    ExitCode::FAILURE
}

/// The same as `complain`, for who wants to know whether anybody reads.
pub fn tell(text: &str) -> io::Result<()> {
    writeln!(io::stderr().lock(), "meseta: {}", printable_lines(text))
}

/// Ends as a program that never handled SIGPIPE does. Sockets need the signal ignored until then.
pub fn die_of_broken_pipe() -> ! {
    // SAFETY: the default action replaces no handler of ours.
    let _ = unsafe { signal(Signal::SIGPIPE, SigHandler::SigDfl) };
    let _ = raise(Signal::SIGPIPE);
    std::process::exit(128 + Signal::SIGPIPE as i32)
}

/// Text of others (names, messages) without what would command the terminal or break a table.
pub fn printable(text: &str) -> Cow<'_, str> {
    match text.chars().any(char::is_control) {
        true => text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect(),
        false => text.into(),
    }
}

/// The same, but lines stay lines.
fn printable_lines(text: &str) -> String {
    text.split('\n').map(printable).collect::<Vec<_>>().join("\n")
}

/// Columns with numbers are aligned at their right; notes are cut where the terminal is too narrow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column<'a> {
    Text(&'a str),
    Number(&'a str),
    Note(&'a str),
}

impl Column<'_> {
    fn title(&self) -> &str {
        match self {
            Column::Text(title) | Column::Number(title) | Column::Note(title) => title,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cell {
    text: String,
    alarming: bool,
}

impl Cell {
    /// Red where there are colours.
    pub fn alarming_if(alarming: bool, text: impl Into<String>) -> Cell {
        Cell { alarming, ..Cell::from(text.into()) }
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Cell {
        let text = match printable(&text) {
            Cow::Borrowed(_) => text,
            Cow::Owned(clean) => clean,
        };
        Cell { text, alarming: false }
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Cell {
        text.to_owned().into()
    }
}

/// Where a table appears.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Screen {
    /// In characters; nothing if there is no limit.
    width: Option<usize>,
    colours: bool,
}

impl Screen {
    fn stdout() -> Screen {
        if !io::stdout().is_terminal() {
            return Screen::default();
        }
        let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Screen { width: terminal_width(), colours: !is_set("NO_COLOR") && !dumb }
    }
}

fn terminal_width() -> Option<usize> {
    // SAFETY: all of it is integers.
    let mut size: libc::winsize = unsafe { std::mem::zeroed() };
    // SAFETY: the call writes one `winsize`.
    let failed = unsafe { libc::ioctl(libc::STDOUT_FILENO, libc::TIOCGWINSZ, &raw mut size) } != 0;
    (!failed && size.ws_col > 0).then_some(usize::from(size.ws_col))
}

/// The same for a table that reports show too.
pub fn sheet(table: &charts::Table) -> String {
    let column = |(name, align)| match align {
        charts::Align::Left => Column::Text(name),
        charts::Align::Right => Column::Number(name),
    };
    self::table(&table.columns().map(column).collect::<Vec<_>>(), table.rows().iter().cloned())
}

/// A table without lines. On a terminal notes are cut to its width; elsewhere each row is one whole line.
pub fn table<C: Into<Cell>>(columns: &[Column], rows: impl IntoIterator<Item = Vec<C>>) -> String {
    let rows = rows.into_iter().map(|row| row.into_iter().map(Into::into).collect()).collect();
    lay_out(Screen::stdout(), columns, rows)
}

const GAP: usize = 2;
const NOTE_MIN: usize = 12;

fn lay_out(screen: Screen, columns: &[Column], rows: Vec<Vec<Cell>>) -> String {
    let cells = |row: &Vec<Cell>| row.iter().map(|cell| cell.text.chars().count()).collect::<Vec<_>>();
    let mut widths: Vec<usize> = columns.iter().map(|column| column.title().chars().count()).collect();
    for row in &rows {
        widths.iter_mut().zip(cells(row)).for_each(|(width, cell)| *width = cell.max(*width));
    }
    if let Some(limit) = screen.width {
        let mut excess = (widths.iter().sum::<usize>() + GAP * widths.len().saturating_sub(1)).saturating_sub(limit);
        for (width, column) in widths.iter_mut().zip(columns).rev() {
            if let Column::Note(title) = column {
                let least = title.chars().count().max(NOTE_MIN).min(*width);
                let cut = excess.min(*width - least);
                *width -= cut;
                excess -= cut;
            }
        }
    }
    let heading = columns.iter().map(|column| Cell::from(column.title())).collect();
    let lines = std::iter::once(heading).chain(rows).map(|row: Vec<Cell>| {
        let mut line = String::new();
        for ((cell, column), width) in row.iter().zip(columns).zip(&widths) {
            let text = cut(&cell.text, *width);
            let blanks = " ".repeat(width - text.chars().count());
            let text = match cell.alarming && screen.colours {
                true => format!("\u{1b}[31m{text}\u{1b}[0m"),
                false => text,
            };
            match column {
                Column::Number(_) => line += &(blanks + &text),
                Column::Text(_) | Column::Note(_) => line += &(text + &blanks),
            }
            line += &" ".repeat(GAP);
        }
        line.trim_end().to_owned()
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn cut(text: &str, width: usize) -> String {
    match text.chars().count() <= width {
        true => text.to_owned(),
        false => text.chars().take(width.saturating_sub(1)).chain(['…']).collect(),
    }
}

/// How long ago a moment was, in seconds since 1970: "12s", "3m", "5h", "2d"; a dash if it is not known.
pub fn age(since: Option<f64>) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    match since {
        Some(since) => short_duration(Duration::from_secs_f64((now - since).clamp(0.0, 1e10))),
        None => "-".to_owned(),
    }
}

pub fn short_duration(duration: Duration) -> String {
    let secs = duration.as_secs();
    match secs {
        0..=119 => format!("{secs}s"),
        120..=7199 => format!("{}m", secs / 60),
        7200..=172_799 => format!("{}h", secs / 3600),
        _ => format!("{}d", secs / 86_400),
    }
}

/// Three decimals at most, as Mesos counts.
pub fn number(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// An amount of a resource as people read it: memory and disk, which are counted in MiB, with their unit.
pub fn amount(name: &str, value: f64) -> String {
    if name != "mem" && name != "disk" {
        return number(value);
    }
    if value == 0.0 {
        return "0".to_owned();
    }
    const STEP: f64 = 1024.0;
    let (mut value, mut unit) = (value, "MiB");
    for larger in ["GiB", "TiB", "PiB"] {
        if value < STEP {
            break;
        }
        (value, unit) = (value / STEP, larger);
    }
    let digits = if value < 100.0 && unit != "MiB" { 1 } else { 0 };
    let text = format!("{value:.digits$}");
    format!("{} {unit}", text.strip_suffix(".0").unwrap_or(&text))
}

/// A size in bytes: "812 B", "1.2 MiB".
pub fn bytes(count: u64) -> String {
    match count {
        0..1024 => format!("{count} B"),
        1024..1_048_576 => format!("{} KiB", number((count as f64 / 1024.0 * 10.0).round() / 10.0)),
        _ => amount("mem", count as f64 / 1_048_576.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(rows: &[&[&str]]) -> Vec<Vec<Cell>> {
        rows.iter().map(|row| row.iter().map(|text| Cell::from(*text)).collect()).collect()
    }

    #[test]
    fn tables_have_no_lines_and_no_trailing_blanks() {
        let text = table(
            &[Column::Text("NAME"), Column::Number("CPUS"), Column::Text("X")],
            [vec!["a", "1", "y"], vec!["long", "0.25", ""]],
        );
        assert_eq!(text, "NAME  CPUS  X\na        1  y\nlong  0.25");
    }

    #[test]
    fn a_narrow_terminal_cuts_notes_and_nothing_else() {
        let columns = [Column::Text("ID"), Column::Number("MEM"), Column::Note("MESSAGE")];
        let rows = rows(&[&["web-3fa2b1", "128 MiB", "Command exited with status 3 and much more"]]);
        let narrow = lay_out(Screen { width: Some(40), colours: false }, &columns, rows.clone());
        assert!(narrow.lines().all(|line| line.chars().count() <= 40), "{narrow}");
        assert!(narrow.contains("web-3fa2b1  128 MiB  Command") && narrow.ends_with('…'), "{narrow}");
        let narrowest = lay_out(Screen { width: Some(10), colours: false }, &columns, rows.clone());
        assert!(narrowest.contains("web-3fa2b1  128 MiB  Command exi…"), "{narrowest}");
        assert!(lay_out(Screen::default(), &columns, rows).contains("and much more"));
    }

    #[test]
    fn colours_are_for_terminals_and_only_for_what_alarms() {
        let row = || vec![vec![Cell::alarming_if(true, "failed"), Cell::alarming_if(false, "fine")]];
        let columns = [Column::Text("A"), Column::Text("B")];
        assert!(!lay_out(Screen::default(), &columns, row()).contains('\u{1b}'));
        let text = lay_out(Screen { width: None, colours: true }, &columns, row());
        assert_eq!(text, "A       B\n\u{1b}[31mfailed\u{1b}[0m  fine");
    }

    #[test]
    fn text_of_others_commands_no_terminal() {
        let text = table(&[Column::Text("NAME")], [vec!["a\u{1b}[2Jb\nc\td\u{9b}e"]]);
        assert_eq!(text, "NAME\na [2Jb c d e");
        assert_eq!(printable_lines("one\ntwo\u{7}"), "one\ntwo ");
    }

    #[test]
    fn ages_have_one_unit() {
        for (secs, expected) in [(5, "5s"), (119, "119s"), (120, "2m"), (7200, "2h"), (200_000, "2d")] {
            assert_eq!(short_duration(Duration::from_secs(secs)), expected);
        }
        assert_eq!(age(None), "-");
    }

    #[test]
    fn amounts_have_units_and_no_more_digits_than_they_need() {
        for (value, text) in [(4.0, "4"), (0.5, "0.5"), (1024.125, "1024.125"), (0.0, "0"), (100.0, "100")] {
            assert_eq!(amount("cpus", value), text);
        }
        for (value, text) in [
            (0.0, "0"),
            (128.0, "128 MiB"),
            (1024.0, "1 GiB"),
            (7065.0, "6.9 GiB"),
            (204_800.0, "200 GiB"),
            (1_572_864.0, "1.5 TiB"),
        ] {
            assert_eq!(amount("mem", value), text);
        }
        assert_eq!((bytes(812), bytes(70_000), bytes(2 << 20)), ("812 B".into(), "68.4 KiB".into(), "2 MiB".into()));
    }
}
