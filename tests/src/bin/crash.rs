//! `crash`: kills the real server at random moments under writers, and looks whether anything is lost. See `--help`.
#![forbid(unsafe_code)]

use std::process::ExitCode;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use clap::{Arg, ArgMatches, Command, value_parser};
use lacewing_tests::crash::{Damage, Options, Report, run};

fn main() -> ExitCode {
    let arguments = command().get_matches();
    let options = options(&arguments);
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
            println!("nothing was lost, nothing half, nothing invented");
            ExitCode::SUCCESS
        }
        Err(failure) => {
            eprintln!("seed {}, {failure}", options.seed);
            ExitCode::FAILURE
        }
    }
}

fn shown(report: &Report, seconds: u64) -> String {
    let Report { rounds, calls, early_kills, orderly, refused, found } = report;
    let mut text = format!(
        "{seconds} s: {rounds} rounds, {calls} calls answered, {orderly} orderly ends, {early_kills} kills before it served"
    );
    if refused + found > 0 {
        text += &format!("; damage: {refused} refused, {found} found");
    }
    text
}

fn options(arguments: &ArgMatches) -> Options {
    let clock = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |since| since.as_millis() as u64);
    let name = arguments.get_one::<String>("damage");
    let damage = name.map(|name| {
        Damage::ALL.into_iter().find(|damage| damage.name() == name).expect("only names are taken")
    });
    Options {
        seed: arguments.get_one("seed").copied().unwrap_or_else(clock),
        rounds: *arguments.get_one("rounds").expect("it has a default"),
        settings: arguments.get_many("settings").into_iter().flatten().cloned().collect(),
        damage,
    }
}

fn command() -> Command {
    let number = |name: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name("N").value_parser(value_parser!(u64)).help(help)
    };
    Command::new("crash")
        .about("Kills the real server at random moments under writers, starts it again, and compares what it has with what was acknowledged.")
        .after_help("The server is built from the sources, or the one that LACEWING_SERVER names.")
        .arg(number("rounds", "How often the server is ended and started again").default_value("100"))
        .arg(number("seed", "What is drawn is drawn from it [default: the clock]"))
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

/// A line so often, in seconds.
const TELL_EACH_S: u64 = 5;
