//! What a run says by other ways than its facts: errors in the log, the text of a panic. Each thread has its own.

use std::{cell::RefCell, sync::Once};

use tracing::{
    Level, Metadata, Subscriber,
    field::{Field, Visit},
    level_filters::LevelFilter,
    span,
    subscriber::DefaultGuard,
};

thread_local! {
    static ERRORS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
    static PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Collects this thread's errors and panics for as long as the guard lives.
/// Every line is printed if the run is `loud`.
pub(super) fn collect(loud: bool) -> DefaultGuard {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let former = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let text = info.to_string();
            PANIC.with(|panic| panic.replace(Some(text)));
            if std::env::var_os("RUST_BACKTRACE").is_some() {
                former(info);
            }
        }));
    });
    ERRORS.with(|errors| errors.borrow_mut().clear());
    tracing::subscriber::set_default(Collector { loud })
}

pub(super) fn take_errors() -> Vec<String> {
    ERRORS.with(|errors| if errors.borrow().is_empty() { Vec::new() } else { errors.take() })
}

pub(super) fn take_panic() -> Option<String> {
    PANIC.with(RefCell::take)
}

/// Keeps errors and nothing else.
struct Collector {
    loud: bool,
}

impl Subscriber for Collector {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.loud || *metadata.level() == Level::ERROR
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(if self.loud { LevelFilter::DEBUG } else { LevelFilter::ERROR })
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        let mut text = Text(String::new());
        event.record(&mut text);
        if self.loud {
            println!("             {} {}", event.metadata().level(), text.0);
        }
        if *event.metadata().level() == Level::ERROR {
            ERRORS.with(|errors| errors.borrow_mut().push(text.0));
        }
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        use std::fmt::Write;
        let _ = match field.name() {
            "message" => write!(self.0, "{value:?} "),
            name => write!(self.0, "{name}={value:?} "),
        };
    }
}
