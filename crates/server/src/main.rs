//! The lacewing server: boot, one core's loop, connections, links to other cores.

mod accept;
mod action;
mod boot;
mod clock;
mod connection;
mod cron;
mod dispatch;
mod hop;
mod loan;
mod log;
mod lookahead;
mod mail;
mod memory;
mod node;
mod notify;
mod output;
mod process;
mod settings;
mod stop;
mod transaction;
mod watch;
mod window;

use reactor::StartError;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    if let Err(error) = reactor::signals::block() {
        return failed(&error.into());
    }
    let startup = match config::load(std::env::args_os().skip(1)) {
        Ok(config::Invocation::Serve(startup)) => startup,
        Ok(config::Invocation::Print(text)) => {
            print!("{text}");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("lacewing: {error}");
            return ExitCode::from(EXIT_CONFIG);
        }
    };
    let config::Startup { config, file } = *startup;
    if let Err(error) = log::start(config.loglevel, config.logfile.as_deref()) {
        eprintln!("lacewing: cannot open the log file: {error}");
        return ExitCode::from(EXIT_CANNOT_CREATE);
    }
    tracing::info!(version = env!("CARGO_PKG_VERSION"), pid = std::process::id(), "lacewing starts");
    for note in config.notes() {
        tracing::warn!("{note}");
    }
    match boot::run(config, file) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error),
    }
}

/// One line, and the exit code that goes with it.
fn failed(error: &anyhow::Error) -> ExitCode {
    eprintln!("lacewing: {error:#}");
    let code =
        error.downcast_ref::<StartError>().map_or(i32::from(EXIT_CANNOT_CREATE), StartError::exit_code);
    ExitCode::from(code as u8)
}

/// The configuration is wrong (sysexits.h EX_CONFIG).
const EXIT_CONFIG: u8 = 78;
/// A file or directory cannot be made or entered (EX_CANTCREAT).
const EXIT_CANNOT_CREATE: u8 = 73;
