//! `restart`: how long servers are away when they start again on their data. See `--help`.
#![forbid(unsafe_code)]

use anyhow::{Context, Result};
use clap::{Arg, ArgMatches, Command, value_parser};
use lacewing_benches::compare::server::ServerSpec;
use lacewing_benches::machine::{describe, parse_cpus, usable_cpus};
use lacewing_benches::restart::{Data, Measured, measure};
use lacewing_benches::table;

fn main() -> Result<()> {
    let arguments = command().get_matches();
    let cpus = match arguments.get_one::<String>("cpus") {
        Some(text) => parse_cpus(text)?,
        None => usable_cpus()?,
    };
    let (keys, sets) = (count(&arguments, "keys", KEYS), count(&arguments, "sets", SETS));
    println!("{}; servers on {cpus:?}\n", describe());
    table::head(&["data", "server", "keys", "MB", "SAVE s", "start s", "CPU s"]);
    for (name, data, defaults) in [
        ("log", Data::Log { sets, keys }, LOG_DEFAULTS),
        ("snapshot", Data::Snapshot { keys }, SNAPSHOT_DEFAULTS),
    ] {
        if arguments.get_one::<String>("only").is_some_and(|only| only != name) {
            continue;
        }
        let servers = table::servers(&arguments, || both(defaults))?;
        for _ in 0..table::rounds(&arguments) {
            for server in &servers {
                match measure(server, &cpus[..server.cores(cpus.len())], data) {
                    Ok(measured) => println!("| {name} | {} | {}", server.name, line(&measured)),
                    Err(error) => println!("| {name} | {} | failed: {error:#}", server.name),
                }
            }
        }
    }
    Ok(())
}

fn line(measured: &Measured) -> String {
    let save = measured.save.map_or_else(String::new, |save| format!("{:.2}", save.as_secs_f64()));
    format!(
        "{} | {:.1} | {save} | {:.2} | {:.2} |",
        measured.keys,
        measured.bytes as f64 / 1e6,
        measured.start.as_secs_f64(),
        measured.start_cpu.as_secs_f64(),
    )
}

/// Lacewing from this program's directory and redis-server, with `options` each.
fn both(options: [&str; 2]) -> Result<Vec<ServerSpec>> {
    let this = std::env::current_exe().context("cannot find this program's directory")?;
    let lacewing = this.with_file_name("lacewing");
    let lacewing = shlex::try_quote(lacewing.to_str().context("a path that is not UTF-8")?)?.into_owned();
    let [ours, redis] = options;
    let all = [
        format!("lacewing={lacewing} --port {{port}} --cores {{cores}} --dir {{dir}} {ours}"),
        format!("redis=redis-server --port {{port}} --dir {{dir}} {redis}"),
    ];
    all.iter().map(|text| text.parse()).collect()
}

fn count(arguments: &ArgMatches, id: &str, default: u64) -> u64 {
    arguments.get_one(id).copied().unwrap_or(default)
}

fn command() -> Command {
    let number = |id: &'static str, help: &'static str| {
        Arg::new(id).long(id).value_name("COUNT").value_parser(value_parser!(u64)).help(help)
    };
    Command::new("restart")
        .about("How long servers are away when they start again on their data")
        .args(table::arguments())
        .arg(Arg::new("only").long("only").value_parser(["log", "snapshot"]).help("Only this; default: both"))
        .arg(number("keys", "Different keys; default: 3 million"))
        .arg(number("sets", "SETs in the log; default: 10 million"))
        .arg(Arg::new("cpus").long("cpus").help("CPUs of the servers; default: all. The load has all"))
}

const KEYS: u64 = 3_000_000;
const SETS: u64 = 10_000_000;
/// With a log and nothing else; for Lacewing, and for Redis.
const LOG_DEFAULTS: [&str; 2] =
    ["--appendonly yes --save ''", "--appendonly yes --save '' --auto-aof-rewrite-percentage 0"];
/// With what SAVE writes and nothing else.
const SNAPSHOT_DEFAULTS: [&str; 2] = ["--appendonly no --save ''", "--appendonly no --save ''"];
