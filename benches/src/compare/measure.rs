//! One scenario on one server, once.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::metrics::{self, Metrics};
use super::procfs::{CpuMeter, Spent, resident_bytes};
use super::scenario::{PIPELINE, Scenario, Sent, Work};
use super::server::{Instance, ServerSpec};
use super::types::{Dataset, Unit};
use crate::load::connection::Client;
use crate::load::keys::Distribution;
use crate::load::listeners::Listeners;
use crate::load::stats::{Second, Summary, us};
use crate::load::{Load, Observer, Until, run};
use crate::machine::raise_descriptor_limit;

/// How large and how long.
#[derive(Clone, Debug, PartialEq)]
pub struct Sizes {
    /// CPUs for servers; a server on several cores takes more from `load_cpus` when these are not enough.
    pub server_cpus: Vec<usize>,
    /// CPUs for the load, a thread on each.
    pub load_cpus: Vec<usize>,
    /// Seconds of one measurement.
    pub seconds: f64,
    /// Connections of throughput scenarios and of the growing table.
    pub connections: usize,
    /// Keys of throughput scenarios.
    pub keys: u64,
    /// Keys of the memory scenario.
    pub memory_keys: u64,
    /// Connections of the idle scenario.
    pub idle_connections: usize,
    /// Keys at the end of the growing.
    pub growth_keys: u64,
    /// New keys per second.
    pub growth_rate: f64,
    /// Datasets of types have this share of their size.
    pub dataset_share: f64,
}

impl Sizes {
    /// The sizes of the published figures.
    pub fn full(server_cpus: Vec<usize>, load_cpus: Vec<usize>) -> Self {
        Self {
            server_cpus,
            load_cpus,
            seconds: 3.0,
            connections: 50,
            keys: 100_000,
            memory_keys: 3_000_000,
            idle_connections: 1000,
            growth_keys: 20_000_000,
            growth_rate: 50_000.0,
            dataset_share: 1.0,
        }
    }

    /// Small and short: to see that everything works, not for figures to publish.
    pub fn quick(self) -> Self {
        Self { seconds: 1.0, memory_keys: 300_000, growth_keys: 200_000, dataset_share: 0.1, ..self }
    }

    /// `count`, as of a dataset of the full size, in the size that this is.
    pub fn scaled(&self, count: u64) -> u64 {
        ((count as f64 * self.dataset_share).round() as u64).max(1)
    }

    fn cpus(&self, cores: usize) -> Vec<usize> {
        let mut cpus = Vec::new();
        for cpu in self.server_cpus.iter().chain(&self.load_cpus) {
            if cpus.len() < cores && !cpus.contains(cpu) {
                cpus.push(*cpu);
            }
        }
        cpus
    }

    fn load(&self, instance: &Instance) -> Load {
        Load {
            threads: self.load_cpus.len(),
            connections: self.connections.max(self.load_cpus.len()),
            keys: self.keys,
            cpus: self.load_cpus.clone(),
            ..Load::new(instance.target().clone())
        }
    }
}

/// What a round gives.
#[derive(Clone, Debug)]
pub struct Round {
    /// The figures.
    pub metrics: Metrics,
    /// The server's own version.
    pub version: String,
}

/// Starts `spec`, runs `scenario` on it, and ends it. Errors: anything that makes the figures worthless, error replies
/// included.
pub fn measure(spec: &ServerSpec, scenario: &Scenario, sizes: &Sizes) -> Result<Round> {
    let cpus = sizes.cpus(spec.cores(scenario.cores));
    if cpus.len() < spec.cores(scenario.cores) {
        bail!("{} cores are wanted, and there are cpus {cpus:?}", scenario.cores);
    }
    let instance = Instance::start(&spec.logging(scenario.log), &cpus)?;
    let metrics = match scenario.work {
        Work::Throughput { mix, pipeline, connections } => {
            throughput(&instance, sizes, mix, pipeline, connections)
        }
        Work::Command { data, commands, keys, requests, sent } => {
            command(&instance, sizes, data, commands, (keys, requests, sent))
        }
        Work::Publish { subscribers, publishers, pipeline } => {
            publish(&instance, sizes, subscribers, publishers, pipeline)
        }
        Work::Memory => memory(&instance, sizes),
        Work::DatasetMemory { data, unit } => dataset_memory(&instance, sizes, data, unit),
        Work::Idle => idle(&instance, sizes),
        Work::Growth => growth(&instance, sizes),
    }?;
    Ok(Round { metrics, version: instance.version() })
}

fn throughput(
    instance: &Instance,
    sizes: &Sizes,
    mix: &str,
    pipeline: u32,
    connections: Option<usize>,
) -> Result<Metrics> {
    let mut load = Load { mix: mix.to_owned(), pipeline, ..sizes.load(instance) };
    metered(instance, &load.fill())?;
    if let Some(connections) = connections {
        (load.connections, load.threads) = (connections, load.threads.min(connections));
    }
    metered(instance, &Load { until: Until::Seconds(sizes.seconds * WARM_UP_SHARE), ..load.clone() })?;
    let (summary, spent) = metered(instance, &Load { until: Until::Seconds(sizes.seconds), ..load })?;
    Ok(latencies(&summary, spent))
}

fn command(
    instance: &Instance,
    sizes: &Sizes,
    data: &Dataset,
    commands: &[&str],
    (keys, requests, sent): (u64, Option<u64>, Sent),
) -> Result<Metrics> {
    fill(instance, sizes, data)?;
    let load = Load {
        mix: String::new(),
        templates: commands.iter().map(|&command| command.to_owned()).collect(),
        in_turn: sent != Sent::Drawn,
        pipeline: match sent {
            Sent::Drawn => PIPELINE,
            Sent::InTurn(times) => times * commands.len() as u32,
        },
        keys: sizes.scaled(keys),
        ..sizes.load(instance)
    };
    try_once(instance, &load)?;
    let until = |share: f64| match requests {
        Some(requests) => Until::Requests((sizes.scaled(requests) as f64 * share) as u64),
        None => Until::Seconds(sizes.seconds * share),
    };
    metered(instance, &Load { until: until(WARM_UP_SHARE), seed: WARM_UP_SEED, ..load.clone() })?;
    let (summary, spent) = metered(instance, &Load { until: until(1.0), ..load })?;
    if summary.nulls * NULLS_ONE_IN > summary.ops() {
        bail!("{} of {} replies were null: this was not the dataset", summary.nulls, summary.ops());
    }
    Ok(latencies(&summary, spent))
}

/// Publishes to subscribers until all have everything; what is counted is messages that a subscriber got.
fn publish(
    instance: &Instance,
    sizes: &Sizes,
    subscribers: usize,
    publishers: usize,
    pipeline: u32,
) -> Result<Metrics> {
    let cpu = sizes.load_cpus.first().copied();
    let listeners = Listeners::open(instance.target(), CHANNEL, subscribers, cpu)?;
    let load = Load {
        mix: String::new(),
        templates: vec![format!("PUBLISH {CHANNEL} __text:{PAYLOAD_BYTES}__")],
        threads: 1,
        connections: publishers,
        pipeline,
        ..sizes.load(instance)
    };
    let mut expected = 0;
    let mut all = |seconds: f64| -> Result<(Summary, Spent, f64)> {
        let mut meter = CpuMeter::new(instance.pid());
        let (start, before) = (Instant::now(), meter.sample()?);
        let (summary, _) = metered(instance, &Load { until: Until::Seconds(seconds), ..load.clone() })?;
        expected += summary.ops() * (subscribers * frame_bytes()) as u64;
        listeners.wait(expected)?;
        Ok((summary, meter.sample()? - before, start.elapsed().as_secs_f64()))
    };
    all(sizes.seconds * WARM_UP_SHARE)?;
    let (summary, spent, seconds) = all(sizes.seconds)?;
    let delivered = (summary.ops() * subscribers as u64) as f64;
    let mut metrics = latencies(&summary, spent);
    metrics.insert(metrics::CPU, spent.running as f64 / 1e3 / delivered);
    metrics.insert(metrics::RATE, delivered / seconds);
    Ok(metrics)
}

/// A message as a subscriber gets it.
fn frame_bytes() -> usize {
    let bulk = |len: usize| format!("${len}\r\n").len() + len + 2;
    "*3\r\n".len() + bulk("message".len()) + bulk(CHANNEL.len()) + bulk(PAYLOAD_BYTES)
}

/// Makes the dataset.
fn fill(instance: &Instance, sizes: &Sizes, data: &Dataset) -> Result<()> {
    let load = Load {
        mix: String::new(),
        templates: vec![data.template()],
        keys: sizes.scaled(data.keys),
        until: Until::Requests(sizes.scaled(data.commands)),
        ..sizes.load(instance).fill()
    };
    try_once(instance, &load)?;
    metered(instance, &load).map(drop)
}

fn memory(instance: &Instance, sizes: &Sizes) -> Result<Metrics> {
    let keys = sizes.memory_keys;
    grown(instance, sizes, keys, keys, || {
        metered(instance, &Load { keys, ..sizes.load(instance) }.fill()).map(drop)
    })
}

fn dataset_memory(instance: &Instance, sizes: &Sizes, data: &Dataset, unit: Unit) -> Result<Metrics> {
    let keys = if data.is_many_keys() { sizes.scaled(data.keys) } else { 1 };
    let units = match unit {
        Unit::Key => keys,
        Unit::Member => sizes.scaled(data.keys),
    };
    grown(instance, sizes, keys, units, || fill(instance, sizes, data))
}

/// How much memory `fill` takes that makes `keys` keys, for each of `units`.
fn grown(
    instance: &Instance,
    sizes: &Sizes,
    keys: u64,
    units: u64,
    fill: impl FnOnce() -> Result<()>,
) -> Result<Metrics> {
    // What connections and buffers take is not the keys'.
    let load = sizes.load(instance);
    let warm_up = Load { mix: "ping".to_owned(), until: Until::Requests(WARM_UP_PINGS), ..load.fill() };
    metered(instance, &warm_up)?;
    let used = || instance.info("used_memory").and_then(|bytes| bytes.parse::<f64>().ok());
    let (resident_before, used_before) = (settled_resident(instance)?, used());
    fill()?;
    let found = Client::connect(instance.target())?.call(&["DBSIZE"])?;
    if found != format!(":{keys}\r\n").into_bytes() {
        bail!("{keys} keys were set and the server has {}", String::from_utf8_lossy(&found).trim());
    }
    let per_unit = |bytes: f64| bytes / units as f64;
    let mut metrics = Metrics::new();
    metrics.insert(metrics::RESIDENT_PER_KEY, per_unit(settled_resident(instance)? - resident_before));
    if let (Some(before), Some(after)) = (used_before, used()) {
        metrics.insert(metrics::USED_PER_KEY, per_unit(after - before));
    }
    Ok(metrics)
}

/// Resident memory once it stands still: servers tidy up after a fill.
fn settled_resident(instance: &Instance) -> Result<f64> {
    let mut last = resident_bytes(instance.pid())?;
    for _ in 0..SETTLE_LOOKS_MAX {
        thread::sleep(SETTLE_STEP);
        let now = resident_bytes(instance.pid())?;
        if now.abs_diff(last) <= last / 1000 {
            return Ok(now as f64);
        }
        last = now;
    }
    bail!("the server's memory does not come to rest")
}

fn idle(instance: &Instance, sizes: &Sizes) -> Result<Metrics> {
    raise_descriptor_limit(sizes.idle_connections as u64 + 64)?;
    let mut clients = Vec::new();
    for _ in 0..sizes.idle_connections {
        let mut client = Client::connect(instance.target())?;
        client.call(&["PING"])?;
        clients.push(client);
    }
    let mut meter = CpuMeter::new(instance.pid());
    // The measurement is of a time in which nothing happens.
    thread::sleep(Duration::from_secs(1));
    let (start, before) = (Instant::now(), meter.sample()?);
    thread::sleep(Duration::from_secs_f64(sizes.seconds * IDLE_LONGER));
    let (seconds, spent) = (start.elapsed().as_secs_f64(), meter.sample()? - before);
    clients[0].call(&["PING"]).context("a connection did not outlive the idle time")?;
    Ok(Metrics::from([(metrics::IDLE_CPU, spent.running as f64 / 1e6 / seconds)]))
}

fn growth(instance: &Instance, sizes: &Sizes) -> Result<Metrics> {
    let growing = Load {
        mix: "set".to_owned(),
        keys: sizes.growth_keys,
        distribution: Distribution::Sequential,
        rate: Some(sizes.growth_rate),
        pipeline: GROWTH_PIPELINE,
        until: Until::Requests(sizes.growth_keys),
        ..sizes.load(instance)
    };
    let (summary, spent) = metered(instance, &growing)?;
    let steady_seconds = (sizes.seconds * STEADY_LONGER).min(summary.seconds);
    let steady =
        Load { distribution: Distribution::Uniform, until: Until::Seconds(steady_seconds), ..growing };
    let (steady, _) = metered(instance, &steady)?;
    let mut metrics = latencies(&summary, spent);
    let worst = summary.series.iter().max_by_key(|point| point.max).map_or(0, |point| point.second);
    let slow = |summary: &Summary| summary.series.iter().filter(|point| point.max > PAUSE_NS).count() as f64;
    metrics.extend([
        (metrics::MAX_AT_KEYS, ((worst as f64 + 0.5) * sizes.growth_rate).min(sizes.growth_keys as f64)),
        (metrics::STEADY_P999, us(steady.latencies.percentile(99.9))),
        (metrics::STEADY_MAX, us(steady.latencies.max())),
        (metrics::SLOW_SECONDS, slow(&summary)),
        (metrics::STEADY_SLOW_SECONDS, slow(&steady) * summary.seconds / steady.seconds),
        (metrics::UNSENT, (summary.unsent + steady.unsent) as f64),
    ]);
    Ok(metrics)
}

fn latencies(summary: &Summary, spent: Spent) -> Metrics {
    Metrics::from([
        (metrics::CPU, spent.running as f64 / 1e3 / summary.ops().max(1) as f64),
        (metrics::SERVER_WAIT, spent.waiting as f64 / 1e9 / summary.seconds),
        (metrics::RATE, summary.rate()),
        (metrics::P50, us(summary.latencies.percentile(50.0))),
        (metrics::P99, us(summary.latencies.percentile(99.0))),
        (metrics::P999, us(summary.latencies.percentile(99.9))),
        (metrics::MAX, us(summary.latencies.max())),
        (metrics::GENERATOR_BUSY, summary.generator_busy),
    ])
}

/// Errors when the server does not take the commands of `load`. Sends a few, to the same keys: what they add to a
/// dataset does not show.
fn try_once(instance: &Instance, load: &Load) -> Result<()> {
    let once = Load {
        threads: 1,
        connections: 1,
        pipeline: 1,
        until: Until::Requests(2 * load.templates.len() as u64),
        target: instance.target().clone(),
        ..load.clone()
    };
    let summary = run(&once, &mut ())?;
    match summary.error_texts.first() {
        // An unknown command's text goes on with its arguments.
        Some(text) => bail!(
            "skipped, the server does not take it: {}",
            text.split_once(", with args").map_or(text.as_str(), |(error, _)| error)
        ),
        None => Ok(()),
    }
}

/// Runs `load` and returns what the server's threads spent beside the summary: from all connections open to the
/// last reply.
fn metered(instance: &Instance, load: &Load) -> Result<(Summary, Spent)> {
    let mut meter =
        Metered { meter: CpuMeter::new(instance.pid()), before: Spent::default(), after: Spent::default() };
    let summary = run(load, &mut meter)?;
    if summary.errors > 0 {
        bail!(
            "{} error replies to '{}': {}",
            summary.errors,
            load.commands(),
            summary.error_texts.join("; ")
        );
    }
    if summary.ops() == 0 {
        bail!("no replies to '{}'", load.commands());
    }
    Ok((summary, meter.after - meter.before))
}

struct Metered {
    meter: CpuMeter,
    before: Spent,
    after: Spent,
}

impl Observer for Metered {
    fn started(&mut self) -> Result<()> {
        self.before = self.meter.sample()?;
        Ok(())
    }

    fn second(&mut self, _second: &Second) {
        // Keeps what threads had run before they end; a server that is gone shows when the run ends.
        let _ = self.meter.sample();
    }

    fn finished(&mut self) -> Result<()> {
        self.after = self.meter.sample()?;
        Ok(())
    }
}

/// Where messages are published.
const CHANNEL: &str = "news";
/// How long they are.
const PAYLOAD_BYTES: usize = 32;
/// A throughput scenario runs this share of its time before it is measured.
const WARM_UP_SHARE: f64 = 0.2;
/// The warm-up draws other numbers than what is measured.
const WARM_UP_SEED: u64 = 1_000;
/// More than one null among so many replies, and the commands did not meet the dataset.
const NULLS_ONE_IN: u64 = 1_000;
/// Commands before memory is measured.
const WARM_UP_PINGS: u64 = 50_000;
/// Between two looks at a server's memory.
const SETTLE_STEP: Duration = Duration::from_millis(200);
/// Looks at a server's memory until it must stand still: 10 seconds.
const SETTLE_LOOKS_MAX: usize = 50;
/// The idle time is this many times the time of a measurement.
const IDLE_LONGER: f64 = 2.0;
/// The steady part after the growing is this many times the time of a measurement.
const STEADY_LONGER: f64 = 10.0;
/// Commands in flight per connection while the table grows.
const GROWTH_PIPELINE: u32 = 16;
/// A latency above this counts as a pause.
const PAUSE_NS: u64 = 2_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_take_their_cpus_first_and_the_loads_when_they_need_more() {
        let sizes = Sizes::full(vec![0], vec![1, 2]);
        assert_eq!(sizes.cpus(1), [0]);
        assert_eq!(sizes.cpus(2), [0, 1]);
        assert_eq!(Sizes::full(vec![0], vec![0]).cpus(2), [0]);
    }
}
