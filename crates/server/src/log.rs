//! The log: one line per event, to standard output or to `logfile`, from the level that is in force.

use config::LogLevel;
use std::fs::OpenOptions;
use std::io;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use tracing::Level;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::fmt::layer;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

static LEVEL: AtomicU8 = AtomicU8::new(2);

/// Starts logging. Errors: the file cannot be opened.
pub(crate) fn start(level: LogLevel, file: Option<&str>) -> io::Result<()> {
    set_level(level);
    let filter = filter_fn(|event| rank(*event.level()) <= LEVEL.load(Relaxed));
    let registry = tracing_subscriber::registry();
    match file {
        Some(path) => {
            let file = OpenOptions::new().create(true).append(true).open(path)?;
            registry
                .with(layer().with_ansi(false).with_target(false).with_writer(file).with_filter(filter))
                .init();
        }
        None => {
            let ansi = io::IsTerminal::is_terminal(&io::stdout());
            registry.with(layer().with_ansi(ansi).with_target(false).with_filter(filter)).init();
        }
    }
    Ok(())
}

/// From now on only events of `level` and graver ones are written.
pub(crate) fn set_level(level: LogLevel) {
    LEVEL.store(
        match level {
            LogLevel::Nothing => 0,
            LogLevel::Warning => 2,
            LogLevel::Notice => 3,
            LogLevel::Verbose => 4,
            LogLevel::Debug => 5,
        },
        Relaxed,
    );
}

fn rank(level: Level) -> u8 {
    match level {
        Level::ERROR => 1,
        Level::WARN => 2,
        Level::INFO => 3,
        Level::DEBUG => 4,
        Level::TRACE => 5,
    }
}
