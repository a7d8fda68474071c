//! `pauses`: how long other clients wait while one makes the server do something large. See `--help`.
#![forbid(unsafe_code)]

use anyhow::{Context, Result, bail};
use clap::{Arg, ArgAction, ArgMatches, Command};
use lacewing_benches::compare::server::ServerSpec;
use lacewing_benches::machine::{describe, parse_cpus, pin_thread, usable_cpus};
use lacewing_benches::pauses::scenario::{ALL, Scenario};
use lacewing_benches::pauses::{Measured, control, measure};
use lacewing_benches::table;
use std::time::{Duration, Instant};
use stdx::glob;

fn main() -> Result<()> {
    let arguments = command().get_matches();
    let servers = table::servers(&arguments, ServerSpec::defaults)?;
    let (server_cpus, load_cpu) = cpus(&arguments)?;
    pin_thread(&[load_cpu])?;
    println!("{}; server on {server_cpus:?}, load on {load_cpu}\n", describe());
    table::head(&[
        "",
        "server",
        "took ms",
        "server's CPU ms",
        "starved ms",
        "longest wait ms",
        "its own",
        "above 2 ms",
        "longest gap",
        "peak MiB",
        "end MiB",
        "settled ms",
    ]);
    for scenario in chosen(&arguments)? {
        for _ in 0..table::rounds(&arguments) {
            for server in &servers {
                let begin = Instant::now();
                match measure(server, &server_cpus[..server.cores(server_cpus.len())], scenario) {
                    Ok(measured) => println!("| {} | {} | {}", scenario.name, server.name, line(&measured)),
                    Err(error) => println!("| {} | {} | failed: {error:#}", scenario.name, server.name),
                }
                if arguments.get_flag("control") {
                    let took = begin.elapsed();
                    println!("| {} | nobody | {}", scenario.name, alone(server_cpus[0], load_cpu, took)?);
                }
            }
        }
    }
    Ok(())
}

fn line(measured: &Measured) -> String {
    let ms = |us: u64| us as f64 / 1000.0;
    format!(
        "{:.0} | {:.0} | {:.0} | {:.1} | {:.1} | {} | {:.1} | {} | {} | {:.0} |",
        ms(measured.took_us),
        ms(measured.cpu_us),
        ms(measured.starved_us),
        ms(measured.longest_us),
        ms(measured.longest_net_us),
        measured.long,
        ms(measured.gap_us),
        measured.peak_mib,
        measured.end_mib,
        ms(measured.settled_us),
    )
}

/// The same columns, as far as they are there, when nothing runs but what reads the clock.
fn alone(server_cpu: usize, load_cpu: usize, took: Duration) -> Result<String> {
    let gaps = control::spin(server_cpu, load_cpu, took)?;
    let (took_ms, longest_ms) = (took.as_millis(), gaps.longest.as_secs_f64() * 1000.0);
    Ok(format!("{took_ms} | | | {longest_ms:.1} | {longest_ms:.1} | {} | | | | |", gaps.long))
}

fn cpus(arguments: &ArgMatches) -> Result<(Vec<usize>, usize)> {
    let usable = usable_cpus()?;
    let list = |id: &str| arguments.get_one::<String>(id).map(|text| parse_cpus(text)).transpose();
    let server = list("server-cpus")?.unwrap_or_else(|| usable[..1].to_vec());
    let load = list("load-cpu")?.unwrap_or_else(|| usable[usable.len() - 1..].to_vec());
    Ok((server, *load.first().context("no CPU for the load")?))
}

fn chosen(arguments: &ArgMatches) -> Result<Vec<&'static Scenario>> {
    let patterns: Vec<&String> =
        arguments.get_many("scenario").map_or_else(Vec::new, |patterns| patterns.collect());
    let is_wanted = |scenario: &&Scenario| {
        patterns.is_empty()
            || patterns
                .iter()
                .any(|pattern| glob::matches(pattern.as_bytes(), scenario.name.as_bytes(), false))
    };
    let chosen: Vec<_> = ALL.iter().filter(is_wanted).collect();
    if chosen.is_empty() {
        let names: Vec<_> = ALL.iter().map(|scenario| scenario.name).collect();
        bail!("there are only {}", names.join(", "));
    }
    Ok(chosen)
}

fn command() -> Command {
    Command::new("pauses")
        .about("How long other clients wait while one makes the server do something large")
        .args(table::arguments())
        .arg(
            Arg::new("scenario")
                .long("scenario")
                .value_name("PATTERN")
                .action(ArgAction::Append)
                .help("What to measure, as a glob; default: everything"),
        )
        .arg(Arg::new("control").long("control").action(ArgAction::SetTrue).help(
            "After each measurement, for as long: nothing but two threads that read the clock on these CPUs, and their gaps",
        ))
        .arg(Arg::new("server-cpus").long("server-cpus").help("CPUs of the servers; default: the first"))
        .arg(Arg::new("load-cpu").long("load-cpu").help("CPU of the load; default: the last"))
}
