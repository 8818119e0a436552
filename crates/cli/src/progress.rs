//! What a person sees while work goes on: a bar on a terminal, plain lines elsewhere, nothing but errors with
//! `--quiet`. All of it on stderr, for stdout is the tasks'.

use std::{
    io::{self, IsTerminal},
    sync::Arc,
    time::Duration,
};

use indicatif::{ProgressBar, ProgressStyle};
use tokio::sync::Notify;

use crate::output::tell;

const REDRAW: Duration = Duration::from_millis(120);

/// Clones share the bar.
#[derive(Clone, Debug)]
pub struct Progress {
    bar: Option<ProgressBar>,
    quiet: bool,
    broken: Arc<Notify>,
}

/// How far a set of tasks is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub total: usize,
    pub waiting: usize,
    pub running: usize,
    pub finished: usize,
    pub failed: usize,
}

impl Counts {
    pub fn ended(&self) -> usize {
        self.finished + self.failed
    }

    /// "3 of 8 done, 4 running, 1 waiting".
    pub fn describe(&self) -> String {
        let mut text = format!("{} of {} done", self.ended(), self.total);
        for (count, word) in [(self.running, "running"), (self.waiting, "waiting"), (self.failed, "failed")] {
            if count > 0 {
                text += &format!(", {count} {word}");
            }
        }
        text
    }
}

impl Progress {
    /// A bar for `total` tasks if stderr is a terminal; a spinner if there is one task only.
    pub fn new(quiet: bool, total: usize) -> Progress {
        if quiet || !io::stderr().is_terminal() {
            return Progress { bar: None, quiet, broken: Arc::default() };
        }
        let bar = match total {
            0 | 1 => ProgressBar::new_spinner(),
            _ => ProgressBar::new(total as u64),
        };
        let template = match total {
            0 | 1 => "{spinner} {msg} {elapsed}",
            _ => "[{bar:30}] {msg} {elapsed}",
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.enable_steady_tick(REDRAW);
        Progress { bar: Some(bar), quiet, broken: Arc::default() }
    }

    /// A line of its own.
    pub fn note(&self, text: &str) {
        if !self.quiet {
            self.warn(text);
        }
    }

    /// A line that `--quiet` does not silence.
    pub fn warn(&self, text: &str) {
        if self.around(|| tell(text)).is_err_and(|error| error.kind() == io::ErrorKind::BrokenPipe) {
            self.broken.notify_one();
        }
    }

    /// Waits until nobody reads stderr any more.
    pub async fn broken(&self) {
        self.broken.notified().await;
    }

    /// A line where there is no bar to show it.
    pub fn plain(&self, text: &str) {
        if self.bar.is_none() {
            self.note(text);
        }
    }

    pub fn show(&self, text: impl Into<String>, done: usize) {
        if let Some(bar) = &self.bar {
            bar.set_message(text.into());
            bar.set_position(done as u64);
        }
    }

    /// Takes the bar away for good.
    pub fn clear(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    /// Does something to the terminal while the bar is away.
    pub fn around<T>(&self, act: impl FnOnce() -> T) -> T {
        match &self.bar {
            Some(bar) if !bar.is_finished() => bar.suspend(act),
            _ => act(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_told_without_what_is_zero() {
        let counts = Counts { total: 8, waiting: 0, running: 3, finished: 4, failed: 1 };
        assert_eq!(counts.describe(), "5 of 8 done, 3 running, 1 failed");
        assert_eq!(Counts { total: 1, finished: 1, ..Counts::default() }.describe(), "1 of 1 done");
    }
}
