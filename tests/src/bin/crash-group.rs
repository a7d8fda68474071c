//! `crash-group`: kills, cuts and exchanges the members of groups under writers, and looks whether anything is lost. See `--help`.
#![forbid(unsafe_code)]

use std::process::ExitCode;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use clap::{Arg, ArgAction, Command, value_parser};
use lacewing_tests::crash::group::{Options, Report, run};

fn main() -> ExitCode {
    let arguments = command().get_matches();
    let clock = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |since| since.as_millis() as u64);
    let options = Options {
        seed: arguments.get_one("seed").copied().unwrap_or_else(clock),
        rounds: *arguments.get_one("rounds").expect("it has a default"),
        mixed: arguments.get_flag("mixed"),
    };
    println!("seed {}, {} rounds", options.seed, options.rounds);
    let began = Instant::now();
    let mut told = 0;
    let ended = run(&options, |report| {
        let seconds = began.elapsed().as_secs();
        if seconds >= told + TELL_EACH_S {
            told = seconds;
            println!("{}", shown(report, seconds));
        }
    });
    match ended {
        Ok(report) => {
            println!("{}", shown(&report, began.elapsed().as_secs()));
            println!("nothing was lost that was promised, nothing half, and all were the same");
            ExitCode::SUCCESS
        }
        Err(failure) => {
            eprintln!("seed {}, {failure}", options.seed);
            ExitCode::FAILURE
        }
    }
}

fn shown(report: &Report, seconds: u64) -> String {
    let Report { rounds, calls, reads, disturbances, ends, failovers, promotions, put_back } = report;
    format!(
        "{seconds} s: {rounds} rounds, {calls} calls answered, {reads} reads, {disturbances} disturbances, {ends} ends of masters, \
         {failovers} failovers, {promotions} promotions, {put_back} put back"
    )
}

fn command() -> Command {
    let number = |name: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name("N").value_parser(value_parser!(u64)).help(help)
    };
    Command::new("crash-group")
        .about("Runs groups of real servers under writers, does to them and their links what happens to groups, and compares what they have with what was acknowledged, and with each other.")
        .after_help("The server is built from the sources, or the one that LACEWING_SERVER names.")
        .arg(number("rounds", "How often a group is compared").default_value("50"))
        .arg(number("seed", "What is drawn is drawn from it [default: the clock]"))
        .arg(
            Arg::new("mixed")
                .long("mixed")
                .action(ArgAction::SetTrue)
                .help("One member of each group is a redis-server, anywhere in it"),
        )
}

/// A line so often, in seconds.
const TELL_EACH_S: u64 = 10;
