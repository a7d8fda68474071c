//! What the programs that run rounds share: their arguments, what they print meanwhile, and how they end.

use std::error::Error;
use std::fmt::Display;
use std::process::ExitCode;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use clap::{Arg, ArgMatches, Command, value_parser};

/// A program that runs `usually` so many rounds; `round` says what one is.
pub fn command(
    name: &'static str,
    about: &'static str,
    round: &'static str,
    usually: &'static str,
) -> Command {
    let number = |name: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name("N").value_parser(value_parser!(u64)).help(help)
    };
    Command::new(name)
        .about(about)
        .after_help("The server is built from the sources, or the one that LACEWING_SERVER names.")
        .arg(number("rounds", round).default_value(usually))
        .arg(number("seed", "What is drawn is drawn from it [default: the clock]"))
}

/// What everything is drawn from, and how many rounds there are to be.
pub fn seed_and_rounds(arguments: &ArgMatches) -> (u64, u64) {
    let clock = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |since| since.as_millis() as u64);
    let seed = arguments.get_one("seed").copied().unwrap_or_else(clock);
    (seed, *arguments.get_one("rounds").expect("it has a default"))
}

/// Runs the rounds with `run`, which tells after each what was done so far. `holds` is what is said when nothing was found.
pub fn report<R: Display, E: Error>(
    (seed, rounds): (u64, u64),
    holds: &str,
    run: impl FnOnce(&mut dyn FnMut(&R)) -> Result<R, E>,
) -> ExitCode {
    println!("seed {seed}, {rounds} rounds");
    let began = Instant::now();
    let mut told = 0;
    let ended = run(&mut |report| {
        let seconds = began.elapsed().as_secs();
        if seconds >= told + TELL_EACH_S {
            told = seconds;
            println!("{seconds} s: {report}");
        }
    });
    match ended {
        Ok(report) => {
            println!("{} s: {report}\n{holds}", began.elapsed().as_secs());
            ExitCode::SUCCESS
        }
        Err(failure) => {
            eprintln!("seed {seed}, {failure}");
            ExitCode::FAILURE
        }
    }
}

/// A line so often, in seconds.
const TELL_EACH_S: u64 = 10;
