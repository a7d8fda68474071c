//! `compare`: several servers under the same load, in turns. See `--help`.
#![forbid(unsafe_code)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use lacewing_benches::compare::document::replace_section;
use lacewing_benches::compare::measure::Sizes;
use lacewing_benches::compare::scenario::{Scenario, all, select};
use lacewing_benches::compare::server::ServerSpec;
use lacewing_benches::compare::{Plan, Results, chart, compare, report};
use lacewing_benches::machine::{parse_cpus, usable_cpus};

fn main() -> ExitCode {
    match work(&command().get_matches()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(EXIT_INCOMPLETE),
        Err(error) => {
            eprintln!("compare: {error:#}");
            ExitCode::from(EXIT_FAILED)
        }
    }
}

/// Whether every round gave figures.
fn work(arguments: &ArgMatches) -> Result<bool> {
    if arguments.get_flag("list") {
        all().for_each(|scenario| println!("{:8} {:22} {}", scenario.group, scenario.name, scenario.title));
        return Ok(true);
    }
    let servers = servers(arguments)?;
    let plan = Plan {
        baseline: baseline(arguments, &servers)?,
        servers,
        scenarios: scenarios(arguments)?,
        rounds: arguments.get_one("rounds").copied().unwrap_or(ROUNDS_DEFAULT),
        sizes: sizes(arguments)?,
    };
    // A document that cannot take the results should be known before the minutes that they cost.
    if let Some(path) = arguments.get_one::<PathBuf>("write") {
        replace_section(&read(path)?, section(arguments), "")?;
    }
    let results = compare(plan, |line| eprintln!("{line}"))?;
    write(arguments, &results)?;
    Ok(results.is_complete())
}

fn write(arguments: &ArgMatches, results: &Results) -> Result<()> {
    let path = |id: &str| arguments.get_one::<PathBuf>(id);
    if let Some(path) = path("json") {
        put(path, &(serde_json::to_string_pretty(&report::to_json(results))? + "\n"))?;
    }
    if let Some(path) = path("svg") {
        put(path, &chart::of_results(results).to_svg())?;
    }
    if let Some(document) = path("write") {
        let section = section(arguments);
        let picture = picture_beside(document, section);
        let name = picture.file_name().and_then(|name| name.to_str());
        put(document, &replace_section(&read(document)?, section, &report::markdown(results, name))?)?;
        put(&picture, &chart::of_results(results).to_svg())?;
    }
    let svg = path("svg").and_then(|path| path.to_str());
    print!("{}", report::markdown(results, svg));
    Ok(())
}

/// `docs/name.svg` for `docs/name.md`, `docs/name-section.svg` for a section.
fn picture_beside(document: &Path, section: &str) -> PathBuf {
    let stem = document.file_stem().unwrap_or_default().to_string_lossy();
    let dash = if section.is_empty() { "" } else { "-" };
    document.with_file_name(format!("{stem}{dash}{section}.svg"))
}

/// Which section of the document the results are.
fn section(arguments: &ArgMatches) -> &str {
    arguments.get_one::<String>("section").map_or("", String::as_str)
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

fn put(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// The servers given, which must be there; or those of the default set that are there.
fn servers(arguments: &ArgMatches) -> Result<Vec<ServerSpec>> {
    if let Some(given) = arguments.get_many::<String>("server") {
        let servers = given.map(|text| text.parse()).collect::<Result<Vec<ServerSpec>>>()?;
        if let Some(missing) = servers.iter().find(|spec| !spec.is_installed()) {
            bail!("{}: there is no {}", missing.name, missing.program());
        }
        return Ok(servers);
    }
    let (there, missing): (Vec<_>, Vec<_>) =
        ServerSpec::defaults()?.into_iter().partition(ServerSpec::is_installed);
    for spec in missing {
        eprintln!("skipped {}: there is no {}", spec.name, spec.program());
    }
    Ok(there)
}

/// The server named, or `redis`, or the first.
fn baseline(arguments: &ArgMatches, servers: &[ServerSpec]) -> Result<usize> {
    let named = |name: &str| servers.iter().position(|spec| spec.name == name);
    match arguments.get_one::<String>("baseline") {
        Some(name) => named(name).with_context(|| format!("no server is called '{name}'")),
        None => Ok(named(BASELINE_DEFAULT).unwrap_or(0)),
    }
}

fn scenarios(arguments: &ArgMatches) -> Result<Vec<Scenario>> {
    let filters: Vec<String> = arguments.get_many("scenario").unwrap_or_default().cloned().collect();
    let selected = select(&filters);
    if selected.is_empty() {
        bail!("no scenario is called {}: see --list", filters.join(" or "));
    }
    Ok(selected)
}

fn sizes(arguments: &ArgMatches) -> Result<Sizes> {
    let cpus = |id: &str| arguments.get_one::<String>(id).map(|text| parse_cpus(text)).transpose();
    let usable = usable_cpus()?;
    let server = cpus("server-cpus")?.unwrap_or_else(|| vec![usable[0]]);
    let others: Vec<usize> = usable.iter().copied().filter(|cpu| !server.contains(cpu)).collect();
    let load = cpus("load-cpus")?.unwrap_or(if others.is_empty() { usable } else { others });
    if load.iter().any(|cpu| server.contains(cpu)) {
        eprintln!("the load runs on the servers' CPUs: expect figures with more noise, and less throughput");
    }
    let mut sizes = Sizes::full(server, load);
    if arguments.get_flag("quick") {
        sizes = sizes.quick();
    }
    sizes.seconds = arguments.get_one("seconds").copied().unwrap_or(sizes.seconds);
    sizes.memory_keys = arguments.get_one("memory-keys").copied().unwrap_or(sizes.memory_keys);
    sizes.growth_keys = arguments.get_one("growth-keys").copied().unwrap_or(sizes.growth_keys);
    sizes.growth_rate = arguments.get_one("growth-rate").copied().unwrap_or(sizes.growth_rate);
    sizes.dataset_share = arguments.get_one("dataset-share").copied().unwrap_or(sizes.dataset_share);
    if !(sizes.dataset_share > 0.0 && sizes.dataset_share <= 1.0) {
        bail!("the share of datasets must be above 0, at most 1");
    }
    if !(sizes.seconds > 0.0 && sizes.growth_rate > 0.0 && sizes.memory_keys > 0 && sizes.growth_keys > 0) {
        bail!("times, rates and counts must be above 0");
    }
    Ok(sizes)
}

fn command() -> Command {
    let option = |id: &'static str, value: &'static str, help: &'static str| {
        Arg::new(id).long(id).value_name(value).help(help)
    };
    let path = |id, help| option(id, "FILE", help).value_parser(value_parser!(PathBuf));
    let many = |id, value, help| option(id, value, help).action(ArgAction::Append);
    let flag =
        |id: &'static str, help: &'static str| Arg::new(id).long(id).action(ArgAction::SetTrue).help(help);
    Command::new("compare")
        .about("Runs the same load on several servers in turns and compares CPU per operation, throughput, latency and memory.")
        .after_help(AFTER_HELP)
        .arg(many("server", "NAME=COMMAND", "A server; {port}, {dir} and {cores} are filled in [lacewing and redis]"))
        .arg(option("baseline", "NAME", "The server that ratios are to [redis, or the first]"))
        .arg(many("scenario", "NAME", "This scenario, or those of this group, or with a * at the end those that begin so [strings]"))
        .arg(flag("list", "Print the scenarios and end"))
        .arg(option("rounds", "N", "Rounds of each server [3]").value_parser(value_parser!(usize)))
        .arg(option("seconds", "S", "Length of one measurement [3]").value_parser(value_parser!(f64)))
        .arg(flag("quick", "Small and short: to see that it works, not for figures to publish"))
        .arg(option("server-cpus", "LIST", "CPUs for servers [the first]"))
        .arg(option("load-cpus", "LIST", "CPUs for the load [all others]"))
        .arg(option("memory-keys", "N", "Keys of the memory scenario [3000000]").value_parser(value_parser!(u64)))
        .arg(option("growth-keys", "N", "Keys of the growth scenario [20000000]").value_parser(value_parser!(u64)))
        .arg(option("growth-rate", "N", "Its new keys per second [50000]").value_parser(value_parser!(f64)))
        .arg(option("dataset-share", "X", "Datasets of types have this share of their size [1]").value_parser(value_parser!(f64)))
        .arg(path("json", "Write all figures as JSON"))
        .arg(path("svg", "Write the chart"))
        .arg(path("write", "Put the results into this document between its section's markers, and the chart beside it"))
        .arg(option("section", "NAME", "The section whose markers <!-- compare:NAME:begin --> are [without a name]"))
}

const AFTER_HELP: &str = "\
Exit code: 0 everything was measured, 1 some rounds failed (the report says which), 2 nothing could be run.";
const BASELINE_DEFAULT: &str = "redis";
const ROUNDS_DEFAULT: usize = 3;
const EXIT_INCOMPLETE: u8 = 1;
const EXIT_FAILED: u8 = 2;
