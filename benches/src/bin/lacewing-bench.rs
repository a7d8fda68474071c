//! `lacewing-bench`: a load generator for servers that speak RESP. See `--help`.
#![forbid(unsafe_code)]

use std::io::{IsTerminal as _, Write as _, stderr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use lacewing_benches::load::connection::Target;
use lacewing_benches::load::stats::{PERCENTILES, Second, Summary, us};
use lacewing_benches::load::{Load, Observer, Until, run};
use lacewing_benches::machine::parse_cpus;
use serde_json::{Value, json};

fn main() -> ExitCode {
    let arguments = command().get_matches();
    match work(&arguments) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("lacewing-bench: {error:#}");
            ExitCode::from(EXIT_BROKEN)
        }
    }
}

fn work(arguments: &ArgMatches) -> Result<ExitCode> {
    let load = load(arguments)?;
    let quiet = arguments.get_flag("quiet");
    let mut results = json!({});
    let mut faults = 0;
    let mut measure = |name: &str, load: &Load| -> Result<()> {
        let summary = run(load, &mut Progress { shown: stderr().is_terminal() && !quiet })?;
        if !quiet {
            print!("{}", text(name, load, &summary));
        }
        faults += summary.mismatches + if name == "fill" { summary.errors } else { 0 };
        results[name] = summary.to_json();
        Ok(())
    };
    if arguments.get_flag("fill") {
        measure("fill", &load.fill())?;
    }
    let only_fill =
        arguments.get_flag("fill") && !["seconds", "requests"].iter().any(|id| arguments.contains_id(id));
    if !only_fill {
        measure("run", &load)?;
    }
    if let Some(path) = arguments.get_one::<PathBuf>("json") {
        write_json(path, &results)?;
    }
    Ok(if faults == 0 { ExitCode::SUCCESS } else { ExitCode::from(EXIT_WRONG) })
}

fn write_json(path: &Path, results: &Value) -> Result<()> {
    let text = serde_json::to_string_pretty(results)? + "\n";
    if path == Path::new("-") {
        print!("{text}");
        return Ok(());
    }
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

fn load(arguments: &ArgMatches) -> Result<Load> {
    let one = |id: &str| arguments.get_one::<String>(id).map(String::as_str);
    let target = match arguments.get_one::<PathBuf>("unix") {
        Some(path) => Target::Unix(path.clone()),
        None => Target::Tcp(
            one("host").unwrap_or_default().to_owned(),
            arguments.get_one::<u16>("port").copied().unwrap_or_default(),
        ),
    };
    let mut load = Load::new(target);
    load.handshake.resp3 = one("resp") == Some("3");
    load.handshake.auth = one("auth").map(|password| {
        let (user, password) = password.split_once(':').unwrap_or(("", password));
        (user.to_owned(), password.to_owned())
    });
    let set = |id: &str, field: &mut usize| {
        if let Some(number) = arguments.get_one::<usize>(id) {
            *field = *number;
        }
    };
    set("threads", &mut load.threads);
    set("connections", &mut load.connections);
    set("key-size", &mut load.key_size);
    load.pipeline = arguments.get_one("pipeline").copied().unwrap_or(load.pipeline);
    load.keys = arguments.get_one("keys").copied().unwrap_or(load.keys);
    load.seed = arguments.get_one("seed").copied().unwrap_or(load.seed);
    load.rate = arguments.get_one("rate").copied();
    load.until = match (arguments.get_one::<u64>("requests"), arguments.get_one::<f64>("seconds")) {
        (Some(requests), _) => Until::Requests(*requests),
        (None, Some(seconds)) => Until::Seconds(*seconds),
        (None, None) => load.until,
    };
    if let Some(text) = one("distribution") {
        load.distribution = text.parse()?;
    }
    if let Some(text) = one("value-size") {
        load.value_size = text.parse()?;
    }
    if let Some(text) = one("key-prefix") {
        load.key_prefix = text.to_owned();
    }
    load.templates = arguments.get_many("command").unwrap_or_default().cloned().collect();
    match one("mix") {
        Some(mix) => load.mix = mix.to_owned(),
        None if !load.templates.is_empty() => load.mix = String::new(),
        None => {}
    }
    load.verify = arguments.get_flag("verify");
    if load.verify && !load.templates.is_empty() {
        bail!("--verify knows what --mix reads, not what --command reads: use one of them");
    }
    load.cpus = one("cpu").map(parse_cpus).transpose()?.unwrap_or_default();
    Ok(load)
}

/// The line on a terminal that says how it goes.
struct Progress {
    shown: bool,
}

impl Observer for Progress {
    fn second(&mut self, second: &Second) {
        if self.shown {
            let latencies = &second.latencies;
            eprint!(
                "\r\x1b[K{:>4} s  {:>9} ops/s  p50 {:.0} us  p99 {:.0} us  max {:.0} us  errors {}",
                second.index + 1,
                latencies.count(),
                us(latencies.percentile(50.0)),
                us(latencies.percentile(99.0)),
                us(latencies.max()),
                second.errors,
            );
            // A progress line that cannot be shown is no reason to stop.
            let _ = stderr().flush();
        }
    }

    fn finished(&mut self) -> Result<()> {
        if self.shown {
            eprint!("\r\x1b[K");
        }
        Ok(())
    }
}

fn text(name: &str, load: &Load, summary: &Summary) -> String {
    let mut text = format!(
        "{name}: {} replies in {:.2} s, {:.0} ops/s, {} connections, pipeline {}, generator {:.0} % busy\n",
        summary.ops(),
        summary.seconds,
        summary.rate(),
        load.connections,
        load.pipeline,
        summary.generator_busy * 100.0,
    );
    text += "  latency us:";
    for (name, percentile) in PERCENTILES {
        text += &format!(" {name} {:.1} ", us(summary.latencies.percentile(percentile)));
    }
    text += &format!(" max {:.1}\n", us(summary.latencies.max()));
    if let Some(worst) = summary.series.iter().max_by_key(|point| point.max) {
        text += &format!(
            "  worst second: {}, p99.9 {:.1} us, max {:.1} us\n",
            worst.second,
            us(worst.p999),
            us(worst.max)
        );
    }
    text += &format!("  errors {}, nulls {}, unsent {}\n", summary.errors, summary.nulls, summary.unsent);
    for error in &summary.error_texts {
        text += &format!("  error: {error}\n");
    }
    if load.verify {
        text += &format!("  wrong values {}\n", summary.mismatches);
    }
    for mismatch in &summary.mismatch_texts {
        text += &format!("  wrong value: {mismatch}\n");
    }
    if summary.unsent > 0 {
        text += "  the rate was not reached: arrivals were due that could not be sent\n";
    }
    text
}

fn command() -> Command {
    let option = |id: &'static str, value: &'static str, help: &'static str| {
        Arg::new(id).long(id).value_name(value).help(help)
    };
    let flag =
        |id: &'static str, help: &'static str| Arg::new(id).long(id).action(ArgAction::SetTrue).help(help);
    Command::new("lacewing-bench")
        .about("Puts load on a server that speaks RESP, and measures what its clients see.")
        .after_help(AFTER_HELP)
        .arg(option("host", "HOST", "Where the server is").default_value("127.0.0.1"))
        .arg(option("port", "PORT", "Its port").default_value("6379").value_parser(value_parser!(u16)))
        .arg(option("unix", "PATH", "Its unix socket, instead").value_parser(value_parser!(PathBuf)))
        .arg(option("auth", "[USER:]PASSWORD", "Authenticate every connection"))
        .arg(option("resp", "2|3", "Protocol version").value_parser(["2", "3"]).default_value("2"))
        .arg(option("threads", "N", "Threads of the generator [1]").value_parser(value_parser!(usize)))
        .arg(option("connections", "N", "Connections in all [50]").value_parser(value_parser!(usize)))
        .arg(option("pipeline", "N", "Commands per batch; with --rate: most in flight per connection [1]").value_parser(value_parser!(u32)))
        .arg(option("rate", "N", "Open loop: N commands per second by a fixed schedule, latency from the time they were due").value_parser(value_parser!(f64)))
        .arg(option("seconds", "S", "How long [5]").value_parser(value_parser!(f64)).conflicts_with("requests"))
        .arg(option("requests", "N", "How many commands, instead").value_parser(value_parser!(u64)))
        .arg(flag("fill", "First set every key once, in order; ends there unless --seconds or --requests is given"))
        .arg(option("keys", "N", "How many keys there are [100000]").value_parser(value_parser!(u64)))
        .arg(option("distribution", "D", "uniform, zipf[:THETA] or sequential [uniform]"))
        .arg(option("key-prefix", "TEXT", "What key names begin with [key:]"))
        .arg(option("key-size", "BYTES", "Length of key names [16]").value_parser(value_parser!(usize)))
        .arg(option("value-size", "SIZES", "Length of values: 32, 16-64 or 16,64,1024 [32]"))
        .arg(option("mix", "MIX", "Weighted commands: set=1,get=9; also ping, incr, del[:KEYS], setex[:SECONDS], mset[:KEYS], mget[:KEYS] [set,get]"))
        .arg(option("command", "TEMPLATE", "Any command, with __key__, __value__, __counter__, __rand__, __rand:N__ (a number below N), __text:N__ (N letters); may be given more than once").action(ArgAction::Append))
        .arg(flag("verify", "Write values that carry their key and check what is read"))
        .arg(option("cpu", "LIST", "CPUs for the generator's threads, one each"))
        .arg(option("seed", "N", "Seed of all random choices [1]").value_parser(value_parser!(u64)))
        .arg(option("json", "FILE", "Write the results as JSON; - is standard output").value_parser(value_parser!(PathBuf)))
        .arg(flag("quiet", "No text, no progress line"))
}

const AFTER_HELP: &str = "\
Exit code: 0 done (error replies are counted and shown), 1 wrong values were read or the fill met errors, 2 the \
connection broke or the options are wrong.";
const EXIT_WRONG: u8 = 1;
const EXIT_BROKEN: u8 = 2;
