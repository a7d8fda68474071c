//! `crash-group`: kills, cuts and exchanges the members of groups under writers, and looks whether anything is lost. See `--help`.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::{Arg, ArgAction, Command};
use lacewing_tests::crash::group::{Options, run};
use lacewing_tests::crash::program::{self, report, seed_and_rounds};

fn main() -> ExitCode {
    let arguments = command().get_matches();
    let (seed, rounds) = seed_and_rounds(&arguments);
    let options = Options { seed, rounds, mixed: arguments.get_flag("mixed") };
    let holds = "nothing was lost that was promised, nothing half, and all were the same";
    report((seed, rounds), holds, |tell| run(&options, tell))
}

fn command() -> Command {
    let about = "Runs groups of real servers under writers, does to them and their links what happens to groups, and compares what they have with what was acknowledged, and with each other.";
    program::command("crash-group", about, "How often a group is compared", "50").arg(
        Arg::new("mixed")
            .long("mixed")
            .action(ArgAction::SetTrue)
            .help("One member of each group is a redis-server, anywhere in it"),
    )
}
