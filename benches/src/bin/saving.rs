//! `saving`: what snapshots cost those who are served while they are taken, and how much memory. See `--help`.
#![forbid(unsafe_code)]

use anyhow::{Context, Result, anyhow, ensure};
use clap::{Arg, ArgMatches, Command, value_parser};
use lacewing_benches::compare::procfs::resident_bytes;
use lacewing_benches::compare::server::{Instance, ServerSpec, info_field};
use lacewing_benches::load::connection::Client;
use lacewing_benches::load::stats::{Summary, us};
use lacewing_benches::load::{Load, Until, run};
use lacewing_benches::machine::{describe, usable_cpus};
use lacewing_benches::table;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

fn main() -> Result<()> {
    let arguments = command().get_matches();
    let servers = table::servers(&arguments, ServerSpec::defaults)?;
    let cpus = usable_cpus()?;
    ensure!(cpus.len() >= 2, "one CPU is for the server, and one for the load");
    println!("{}; server on CPU {}, load on CPU {}\n", describe(), cpus[0], cpus[1]);
    table::head(&[
        "server",
        "ops/s",
        "p99.9 us before",
        "while saving",
        "ratio",
        "snapshots",
        "s each",
        "data MiB",
        "extra MiB",
        "extra %",
    ]);
    for _ in 0..table::rounds(&arguments) {
        for server in &servers {
            println!("| {} | {} |", server.name, measure(server, &cpus, &arguments)?);
        }
    }
    Ok(())
}

/// A row of the table.
fn measure(server: &ServerSpec, cpus: &[usize], arguments: &ArgMatches) -> Result<String> {
    let instance = Instance::start(server, &cpus[..1])?;
    let empty = resident_bytes(instance.pid())?;
    let mut load = Load::new(instance.target().clone());
    load.keys = arguments.get_one("keys").copied().unwrap_or(KEYS);
    load.cpus = vec![cpus[1]];
    load.until = Until::Seconds(arguments.get_one("seconds").copied().unwrap_or(SECONDS));
    run(&load.fill(), &mut ())?;
    let rate = run(&load, &mut ())?.rate() / 2.0;
    load.rate = Some(rate);
    load.pipeline = IN_FLIGHT_MAX;
    let before = watch(&instance, &load, Client::connect(instance.target())?, false)?;
    let during = watch(&instance, &load, Client::connect(instance.target())?, true)?;
    let data = before.peak.saturating_sub(empty);
    // A forked child's memory is not the server's.
    let extra = during.peak.saturating_sub(before.peak).max(during.copied);
    let p999 = |watched: &Watched| us(watched.summary.latencies.percentile(99.9));
    Ok(format!(
        "{rate:.0} | {:.0} | {:.0} | {:.2} | {} | {:.2} | {} | {} | {:.1}",
        p999(&before),
        p999(&during),
        p999(&during) / p999(&before),
        during.snapshots,
        during.snapshot_time.as_secs_f64() / f64::from(during.snapshots),
        data >> 20,
        extra >> 20,
        extra as f64 * 100.0 / data as f64,
    ))
}

/// What was seen under load.
struct Watched {
    summary: Summary,
    /// Snapshots that were taken, one right after the other, and how long that took.
    snapshots: u32,
    snapshot_time: Duration,
    /// Bytes that the server says it needed besides, at most.
    copied: u64,
    /// Resident bytes at most.
    peak: u64,
}

/// Puts load on the server, with snapshots being taken all the time, or with none.
fn watch(instance: &Instance, load: &Load, mut client: Client, saves: bool) -> Result<Watched> {
    let is_over = AtomicBool::new(false);
    let pid = instance.pid();
    thread::scope(|scope| {
        let watcher = scope.spawn(|| -> Result<_> {
            let (mut snapshots, mut copied, mut peak) = (0, 0, 0);
            let began = Instant::now();
            loop {
                if saves {
                    client.call(&["BGSAVE"])?;
                    snapshots += 1;
                }
                loop {
                    peak = peak.max(resident_bytes(pid)?);
                    if !saves && is_over.load(Relaxed)
                        || saves && field(&mut client, "rdb_bgsave_in_progress")? == 0
                    {
                        break;
                    }
                    thread::sleep(SAMPLE_EVERY);
                }
                if saves {
                    copied = copied.max(field(&mut client, "rdb_last_cow_size")?);
                }
                // The last one ends a little after the load.
                if is_over.load(Relaxed) {
                    return Ok((snapshots, began.elapsed(), copied, peak));
                }
            }
        });
        let summary = run(load, &mut ());
        is_over.store(true, Relaxed);
        let watched = watcher.join().map_err(|_| anyhow!("the watching thread panicked"))?;
        let (snapshots, snapshot_time, copied, peak) = watched?;
        Ok(Watched { summary: summary?, snapshots, snapshot_time, copied, peak })
    })
}

fn field(client: &mut Client, name: &str) -> Result<u64> {
    let info = client.call(&["INFO", "persistence"])?;
    let value = info_field(&String::from_utf8_lossy(&info), name);
    Ok(value.with_context(|| format!("INFO has no {name}"))?.parse()?)
}

fn command() -> Command {
    let option = |id: &'static str, help: &'static str| Arg::new(id).long(id).help(help);
    Command::new("saving")
        .about("What snapshots cost those who are served while they are taken, and how much memory")
        .after_help(
            "The load is SET and GET, half each, at half the rate that the server can do at pipeline 1, by a fixed \
             schedule; first without snapshots, then with one right after the other.",
        )
        .args(table::arguments())
        .arg(option("keys", "How many keys there are; default: 3000000").value_parser(value_parser!(u64)))
        .arg(option("seconds", "How long each part is; default: 8").value_parser(value_parser!(f64)))
}

const KEYS: u64 = 3_000_000;
const SECONDS: f64 = 8.0;
/// On a connection of the open loop.
const IN_FLIGHT_MAX: u32 = 64;
const SAMPLE_EVERY: Duration = Duration::from_millis(10);
