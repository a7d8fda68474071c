//! `replicating`: what a replica costs its master, and how long it takes to become one. See `--help`.
#![forbid(unsafe_code)]

use anyhow::{Context, Result, anyhow, bail, ensure};
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use lacewing_benches::compare::procfs::{CpuMeter, resident_bytes};
use lacewing_benches::compare::scenario::Log;
use lacewing_benches::compare::server::{Instance, ServerSpec, info_field};
use lacewing_benches::load::connection::{Client, Target};
use lacewing_benches::load::stats::{Summary, us};
use lacewing_benches::load::{Load, Until, run};
use lacewing_benches::machine::{describe, pin_thread, usable_cpus};
use lacewing_benches::table;
use rustix::process::{Pid, Signal, kill_process};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

fn main() -> Result<()> {
    let arguments = command().get_matches();
    let servers = table::servers(&arguments, ServerSpec::defaults)?;
    let cpus = usable_cpus()?;
    ensure!(cpus.len() >= 2, "one CPU is for the master, and one for the rest");
    let both = if arguments.get_flag("spread") { " and the other" } else { "" };
    println!("{}; master on CPU {}{both}, replica and load on CPU {}\n", describe(), cpus[0], cpus[1]);
    table::head(&[
        "master and replica",
        "full sync s",
        "SET P16 alone us",
        "with a replica us",
        "p99.9 us before",
        "beside busy threads",
        "in full syncs",
        "ratio",
        "syncs",
        "stalled: extra MiB",
        "p99.9 us",
        "ratio",
    ]);
    let log = if arguments.get_flag("log") { Log::Everysec } else { Log::Off };
    for _ in 0..table::rounds(&arguments) {
        for server in &servers {
            match measure(&server.logging(log), &cpus, &arguments) {
                Ok(row) => println!("| {} | {row} |", server.name),
                Err(error) => println!("| {} | failed: {error:#} |", server.name),
            }
        }
    }
    Ok(())
}

/// A row of the table.
fn measure(server: &ServerSpec, cpus: &[usize], arguments: &ArgMatches) -> Result<String> {
    let seconds = arguments.get_one("seconds").copied().unwrap_or(SECONDS);
    let of_master = if arguments.get_flag("spread") { &cpus[..2] } else { &cpus[..1] };
    let master = Instance::start_spread(server, of_master)?;
    // It has no wish to wait for more replicas.
    let _ = Client::connect(master.target())?.call(&["CONFIG", "SET", "repl-diskless-sync-delay", "0"]);
    let mut load = Load::new(master.target().clone());
    load.keys = arguments.get_one("keys").copied().unwrap_or(KEYS);
    load.cpus = vec![cpus[1]];
    // What it measures is the master, not its own wait for a CPU that it shares with the replica.
    load.goes_first = true;
    load.until = Until::Seconds(seconds);
    run(&load.fill(), &mut ())?;
    let sets = Load { mix: "set".to_owned(), pipeline: 16, ..load.clone() };
    let alone = cpu_per_op(&master, &sets)?;

    let replica = Instance::start(server, &cpus[1..2])?;
    let mut followers = Client::connect(replica.target())?;
    let full = sync(&mut followers, master.target())?;
    let with_replica = cpu_per_op(&master, &sets)?;
    follow_up(&master, &mut followers)?;

    load.rate = Some(run(&load, &mut ())?.rate() / 2.0);
    load.pipeline = IN_FLIGHT_MAX;
    no_one(&mut followers)?;
    let before = run(&load, &mut ())?;
    let beside = while_busy(&load, &cpus[..2])?;
    let (during, syncs) = while_syncing(&load, &mut followers, master.target())?;
    follow_up(&master, &mut followers)?;
    let resident = resident_bytes(master.pid())?;
    load.until = Until::Seconds(arguments.get_one("stall").copied().unwrap_or(seconds));
    let (stalled, peak) = while_stalled(&load, &master, &replica)?;
    let p999 = |summary: &Summary| us(summary.latencies.percentile(99.9));
    Ok(format!(
        "{:.2} | {:.2} | {:.2} | {:.0} | {:.0} | {:.0} | {:.2} | {syncs} | {} | {:.0} | {:.2}",
        full.as_secs_f64(),
        alone,
        with_replica,
        p999(&before),
        p999(&beside),
        p999(&during),
        p999(&during) / p999(&before),
        peak.saturating_sub(resident) >> 20,
        p999(&stalled),
        p999(&stalled) / p999(&before),
    ))
}

/// The master's CPU for each command, in microseconds.
fn cpu_per_op(master: &Instance, load: &Load) -> Result<f64> {
    let mut meter = CpuMeter::new(master.pid());
    let before = meter.sample()?;
    let summary = run(load, &mut ())?;
    ensure!(summary.error_texts.is_empty(), "an error: {:?}", summary.error_texts);
    let spent = meter.sample()? - before;
    Ok(spent.running as f64 / 1000.0 / summary.ops() as f64)
}

/// Has it follow, and waits until it does. Returns how long that took.
fn sync(replica: &mut Client, master: &Target) -> Result<Duration> {
    let Target::Tcp(host, port) = master else { bail!("a master without a port") };
    let began = Instant::now();
    replica.call(&["REPLICAOF", host, &port.to_string()])?;
    while info(replica, "master_link_status")? != "up" {
        ensure!(
            began.elapsed() < SYNC_WAIT,
            "it does not follow: {}",
            info(replica, "master_link_last_error")?
        );
        thread::sleep(SAMPLE_EVERY);
    }
    Ok(began.elapsed())
}

fn no_one(replica: &mut Client) -> Result<()> {
    replica.call(&["REPLICAOF", "NO", "ONE"]).map(drop)
}

/// Waits until the replica has all that the master has written.
fn follow_up(master: &Instance, replica: &mut Client) -> Result<()> {
    let began = Instant::now();
    let mut client = Client::connect(master.target())?;
    loop {
        let (there, here) = (info(&mut client, "master_repl_offset")?, info(replica, "slave_repl_offset")?);
        if there == here {
            return Ok(());
        }
        ensure!(began.elapsed() < SYNC_WAIT, "the replica is at {here}, and the master at {there}");
        thread::sleep(SAMPLE_EVERY);
    }
}

/// Puts load on the master beside threads that do nothing but use up each CPU, as others do while there is a full sync.
fn while_busy(load: &Load, cpus: &[usize]) -> Result<Summary> {
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        for &cpu in cpus {
            let is_over = &is_over;
            scope.spawn(move || {
                let _ = pin_thread(&[cpu]);
                while !is_over.load(Relaxed) {
                    std::hint::spin_loop();
                }
            });
        }
        let summary = run(load, &mut ());
        is_over.store(true, Relaxed);
        summary
    })
}

/// Puts load on the master while its replica takes everything anew, again and again.
fn while_syncing(load: &Load, replica: &mut Client, master: &Target) -> Result<(Summary, u32)> {
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let syncing = scope.spawn(|| -> Result<u32> {
            let mut syncs = 0;
            while !is_over.load(Relaxed) {
                no_one(replica)?;
                sync(replica, master)?;
                syncs += 1;
            }
            Ok(syncs)
        });
        let summary = run(load, &mut ());
        is_over.store(true, Relaxed);
        let syncs = syncing.join().map_err(|_| anyhow!("the syncing thread panicked"))??;
        Ok((summary?, syncs))
    })
}

/// Puts writes on the master while its replica reads nothing. Returns the master's largest resident memory too.
fn while_stalled(load: &Load, master: &Instance, replica: &Instance) -> Result<(Summary, u64)> {
    let pid = Pid::from_raw(i32::try_from(replica.pid())?).context("no process id")?;
    let writes = Load { mix: "set".to_owned(), ..load.clone() };
    let is_over = AtomicBool::new(false);
    kill_process(pid, Signal::STOP)?;
    let seen = thread::scope(|scope| {
        let watcher = scope.spawn(|| -> Result<u64> {
            let mut peak = 0;
            while !is_over.load(Relaxed) {
                peak = peak.max(resident_bytes(master.pid())?);
                thread::sleep(SAMPLE_EVERY);
            }
            Ok(peak)
        });
        let summary = run(&writes, &mut ());
        is_over.store(true, Relaxed);
        let peak = watcher.join().map_err(|_| anyhow!("the watching thread panicked"))??;
        Ok((summary?, peak))
    });
    kill_process(pid, Signal::CONT)?;
    seen
}

/// A field of INFO replication; empty if it is not there.
fn info(client: &mut Client, name: &str) -> Result<String> {
    let info = client.call(&["INFO", "replication"])?;
    Ok(info_field(&String::from_utf8_lossy(&info), name).unwrap_or_default())
}

fn command() -> Command {
    let option = |id: &'static str, help: &'static str| Arg::new(id).long(id).help(help);
    Command::new("replicating")
        .about("What a replica costs its master, and how long it takes to become one")
        .after_help(
            "Both are the same server. A full sync lasts from REPLICAOF until the link is up. CPU is the master's, for a SET \
             at pipeline 16. Latencies are those of GET and SET, half each, at half the rate that the master can do at \
             pipeline 1, by a fixed schedule: without a replica, the same beside a thread on each CPU that only spins, while one takes everything again and again, and, SET alone, \
             with one that is stopped and reads nothing.",
        )
        .args(table::arguments())
        .arg(option("keys", "How many keys there are; default: 3000000").value_parser(value_parser!(u64)))
        .arg(option("seconds", "How long each part is; default: 8").value_parser(value_parser!(f64)))
        .arg(option("spread", "The master may use both CPUs, so that what it has others do (threads, a child) has one; its core keeps to the first if it can be pinned").action(ArgAction::SetTrue))
        .arg(option("log", "Both keep a log, appendfsync everysec: Lacewing then replicates by flows; else neither does").action(ArgAction::SetTrue))
        .arg(option("stall", "How long the replica is stopped; default: as long as each part").value_parser(value_parser!(f64)))
}

const KEYS: u64 = 3_000_000;
const SECONDS: f64 = 8.0;
/// On a connection of the open loop.
const IN_FLIGHT_MAX: u32 = 64;
const SAMPLE_EVERY: Duration = Duration::from_millis(5);
/// A sync may take so long.
const SYNC_WAIT: Duration = Duration::from_secs(120);
