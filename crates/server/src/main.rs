//! The lacewing server: boot, one core's loop, connections, links to other cores.

mod accept;
mod action;
mod archive;
mod boot;
mod clients;
mod clock;
mod connection;
mod courier;
mod cron;
mod cut;
mod data_dir;
mod descriptors;
mod dispatch;
mod exec;
mod flights;
mod flows;
mod follow;
mod hop;
mod input;
mod journal;
mod load;
mod loan;
mod log;
mod lookahead;
mod mail;
mod master;
mod memory;
mod node;
mod notify;
mod output;
mod process;
mod publish;
mod redis_files;
mod replica;
mod script;
mod settings;
mod snapshot;
mod spread;
mod stop;
mod tools;
mod track;
mod transaction;
mod unpack;
mod wait;
mod watch;
mod watching;
mod window;

use config::ExitCode as Code;
use reactor::StartError;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let startup = match config::load(std::env::args_os().skip(1)) {
        Ok(config::Invocation::Serve(startup)) => startup,
        Ok(config::Invocation::Print(text)) => {
            print!("{text}");
            return ExitCode::SUCCESS;
        }
        Ok(config::Invocation::Tool(tool)) => return ended(tools::run(&tool)),
        Err(error) => {
            eprintln!("lacewing: {error}");
            return ended(Code::Config.code());
        }
    };
    // Before there is a second thread; a tool's are for the kernel to act on.
    if let Err(error) = reactor::signals::block() {
        return failed(&error.into());
    }
    let config::Startup { config, file } = *startup;
    if let Err(error) = log::start(config.loglevel, config.logfile.as_deref()) {
        eprintln!("lacewing: cannot open the log file {}: {error}", config.logfile.unwrap_or_default());
        return ended(Code::CannotCreate.code());
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
    if let Some(start) = error.downcast_ref::<StartError>() {
        // Its text has what the kernel said.
        eprintln!("lacewing: {start}");
        return ended(start.exit_code());
    }
    if let Some(load) = error.downcast_ref::<load::LoadError>() {
        eprintln!("lacewing: {load}");
        return ended(load.exit_code());
    }
    if let Some(unsynced) = error.downcast_ref::<boot::Unsynced>() {
        eprintln!("lacewing: {unsynced}");
        return ended(Code::Unsynced.code());
    }
    if error.is::<boot::Unsaved>() {
        eprintln!("lacewing: {error}");
        return ended(Code::Unsaved.code());
    }
    eprintln!("lacewing: {error:#}");
    ended(Code::CannotCreate.code())
}

fn ended(code: i32) -> ExitCode {
    ExitCode::from(u8::try_from(code).expect("exit codes fit a byte"))
}
