//! The log: where lines go, how they look, which are written. Lines never carry secrets; that is the duty of who writes
//! them.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    str::FromStr,
    sync::{Arc, OnceLock},
};

use tracing_subscriber::{
    Registry,
    filter::Targets,
    fmt::{self, MakeWriter, writer::BoxMakeWriter},
    layer::{Layer, SubscriberExt},
    reload,
    util::SubscriberInitExt,
};

/// How a line looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    #[default]
    Text,
    Json,
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Format, String> {
        match text {
            "text" => Ok(Format::Text),
            "json" => Ok(Format::Json),
            _ => Err(format!("'{text}' is not a log format: use 'text' or 'json'")),
        }
    }
}

/// What to log, and where.
#[derive(Clone, Debug)]
pub struct LogConfig {
    /// A level (`info`), or levels by module (`info,transport=debug`). Mesos's `INFO`, `WARNING` and `ERROR` do too.
    pub level: String,
    pub format: Format,
    /// Write to `<name>.log` in this directory, made if it is missing, instead of stderr.
    pub dir: Option<PathBuf>,
    /// The program's name.
    pub name: &'static str,
    /// Nothing on stderr.
    pub quiet: bool,
}

impl LogConfig {
    pub fn new(name: &'static str) -> LogConfig {
        LogConfig { level: "info".to_owned(), format: Format::Text, dir: None, name, quiet: false }
    }
}

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    #[error("'{0}' is not a log level: use error, warn, info, debug or trace")]
    Level(String),
    #[error("cannot write the log at {path}: {source}")]
    File { path: PathBuf, source: io::Error },
    #[error("the log is already set up")]
    Twice,
}

/// The running log.
#[derive(Clone, Debug)]
pub struct Log {
    file: Option<PathBuf>,
    /// The level it was started with.
    level: String,
    filter: reload::Handle<Targets, Registry>,
}

impl Log {
    /// The file that lines go to, if they do not go to stderr.
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// Changes which lines are written.
    pub fn set_level(&self, level: &str) -> Result<(), LogError> {
        let targets = parse_level(level)?;
        self.filter.reload(targets).map_err(|_| LogError::Twice)
    }

    /// Writes as much as Mesos's verbosity asks for: 0 is as the log was started, 1 adds debug lines, more add traces.
    /// Of the libraries below us only what they warn of.
    pub fn set_verbosity(&self, verbosity: u32) -> Result<(), LogError> {
        const LIBRARIES: [&str; 6] = ["hyper", "hyper_util", "mio", "rustls", "tokio", "zookeeper_client"];
        let level = match verbosity {
            0 => return self.set_level(&self.level),
            1 => "debug",
            _ => "trace",
        };
        let quiet: String = LIBRARIES.iter().map(|library| format!(",{library}=warn")).collect();
        self.set_level(&format!("{level}{quiet}"))
    }

    /// Which lines are written.
    pub fn level(&self) -> String {
        self.filter.with_current(|targets| targets.to_string()).unwrap_or_default()
    }
}

/// Sets up the log of this process.
pub fn start(config: &LogConfig) -> Result<Log, LogError> {
    let (file, writer, is_terminal) = open(config)?;
    let (filter, handle) = reload::Layer::new(parse_level(&config.level)?);
    // A line that cannot be written (a full disk, a pipe without a reader) is lost; complaining of it would panic.
    let layer = fmt::layer().with_writer(writer).log_internal_errors(false);
    let lines = match config.format {
        Format::Text => layer.with_ansi(is_terminal).boxed(),
        Format::Json => layer.json().flatten_event(true).boxed(),
    };
    tracing_subscriber::registry().with(lines.with_filter(filter)).try_init().map_err(|_| LogError::Twice)?;
    let log = Log { file, level: config.level.clone(), filter: handle };
    let _ = RUNNING.set(log.clone());
    Ok(log)
}

static RUNNING: OnceLock<Log> = OnceLock::new();

/// The log of this process, once it is set up.
pub fn running() -> Option<&'static Log> {
    RUNNING.get()
}

fn open(config: &LogConfig) -> Result<(Option<PathBuf>, BoxMakeWriter, bool), LogError> {
    if let Some(dir) = &config.dir {
        let path = dir.join(format!("{}.log", config.name));
        let file = std::fs::create_dir_all(dir)
            .and_then(|()| OpenOptions::new().create(true).append(true).mode(0o640).open(&path))
            .map_err(|source| LogError::File { path: path.clone(), source })?;
        return Ok((Some(path), BoxMakeWriter::new(Appender(Arc::new(file))), false));
    }
    if config.quiet {
        return Ok((None, BoxMakeWriter::new(io::sink), false));
    }
    Ok((None, BoxMakeWriter::new(io::stderr), io::IsTerminal::is_terminal(&io::stderr())))
}

/// One file that every line is appended to, each with one write.
struct Appender(Arc<File>);

impl<'a> MakeWriter<'a> for Appender {
    type Writer = &'a File;

    fn make_writer(&'a self) -> &'a File {
        &self.0
    }
}

fn parse_level(text: &str) -> Result<Targets, LogError> {
    let lower = text.trim().to_ascii_lowercase();
    let known = match lower.as_str() {
        "warning" => "warn",
        "" => return Err(LogError::Level(text.to_owned())),
        other => other,
    };
    // A bare word that is no level would be taken for a module's name.
    let is_level = |word: &str| tracing::level_filters::LevelFilter::from_str(word).is_ok();
    let sensible = known.split(',').all(|part| part.contains('=') || is_level(part));
    known.parse().ok().filter(|_| sensible).ok_or_else(|| LogError::Level(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_mesoss_and_ours() {
        for good in ["info", "INFO", "WARNING", "error", "info,transport=debug", "off"] {
            assert!(parse_level(good).is_ok(), "{good}");
        }
        for bad in ["", "loud", "info,loud", "x=loud"] {
            assert!(parse_level(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn lines_go_to_the_file_and_the_level_can_change() {
        let dir = tempfile::tempdir().unwrap();
        let config = LogConfig { dir: Some(dir.path().join("logs")), format: Format::Json, ..LogConfig::new("master") };
        let log = start(&config).unwrap();
        tracing::info!(answer = 42, "first");
        tracing::debug!("unseen");
        log.set_level("debug").unwrap();
        tracing::debug!("second");
        let text = std::fs::read_to_string(log.file().unwrap()).unwrap();
        assert!(text.contains("\"message\":\"first\"") && text.contains("\"answer\":42"), "{text}");
        assert!(text.contains("second") && !text.contains("unseen"), "{text}");
        assert_eq!(log.level(), "debug");
        for (verbosity, expected) in [(2, "trace"), (1, "debug"), (0, "info")] {
            running().unwrap().set_verbosity(verbosity).unwrap();
            assert!(log.level().contains(expected), "{}", log.level());
        }
        assert!(matches!(start(&config), Err(LogError::Twice)));
    }
}
