//! `crash`: kills the real server at random moments under writers, and looks whether anything is lost. See `--help`.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::{Arg, ArgMatches, Command};
use lacewing_tests::crash::program::{self, report, seed_and_rounds};
use lacewing_tests::crash::{Damage, Options, run};

fn main() -> ExitCode {
    let options = options(&command().get_matches());
    report((options.seed, options.rounds), "nothing was lost, nothing half, nothing invented", |tell| {
        run(&options, tell)
    })
}

fn options(arguments: &ArgMatches) -> Options {
    let name = arguments.get_one::<String>("damage");
    let damage = name.map(|name| {
        Damage::ALL.into_iter().find(|damage| damage.name() == name).expect("only names are taken")
    });
    let settings = arguments.get_many("settings").into_iter().flatten().cloned().collect();
    let (seed, rounds) = seed_and_rounds(arguments);
    Options { seed, rounds, settings, damage }
}

fn command() -> Command {
    let about = "Kills the real server at random moments under writers, starts it again, and compares what it has with what was acknowledged.";
    program::command("crash", about, "How often the server is ended and started again", "100")
        .arg(
            Arg::new("damage")
                .long("damage")
                .value_parser(Damage::ALL.map(Damage::name))
                .help("Damage the log by hand after each crash, which must be found"),
        )
        .arg(
            Arg::new("settings")
                .last(true)
                .num_args(0..)
                .help("Settings of the server, such as --appendfsync always"),
        )
}
