//! The scenarios, with the goals that Lacewing has for each.

use super::together;
use super::types::{self, Dataset, Unit};

/// What is done to a server, and what of it is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// A closed loop over keys that are all there: CPU per operation, throughput, latencies.
    Throughput {
        /// As `lacewing-bench --mix`.
        mix: &'static str,
        /// Commands per batch.
        pipeline: u32,
        /// How many connections, where it is not as many as usual.
        connections: Option<usize>,
    },
    /// Many keys: memory per key.
    Memory,
    /// Connections that say nothing: CPU per second.
    Idle,
    /// New keys by an open loop, from none to many: the worst pauses.
    Growth,
    /// A closed loop of commands over a dataset.
    Command {
        /// What there is before.
        data: &'static Dataset,
        /// The commands, each as often as the others; templates as of `lacewing-bench --command`.
        commands: &'static [&'static str],
        /// How many numbers `__key__` is drawn from.
        keys: u64,
        /// How many commands are sent, where the dataset does not last for any number of them.
        requests: Option<u64>,
        /// How they are sent.
        sent: Sent,
    },
    /// Messages of 32 bytes to the subscribers of one channel: CPU per message that a subscriber gets.
    Publish {
        /// How many subscribers.
        subscribers: usize,
        /// How many connections publish.
        publishers: usize,
        /// Messages per batch of each.
        pipeline: u32,
    },
    /// A dataset: memory per key or member.
    DatasetMemory {
        /// Which.
        data: &'static Dataset,
        /// Its memory is divided by the number of these.
        unit: Unit,
    },
}

/// How commands are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// Drawn one by one, in batches of [`PIPELINE`].
    Drawn,
    /// All of them one after the other, so often in a batch.
    InTurn(u32),
}

impl Work {
    /// Whether it gives CPU per operation, throughput and latencies of a closed loop.
    pub fn is_closed_loop(&self) -> bool {
        matches!(self, Self::Throughput { .. } | Self::Command { .. } | Self::Publish { .. })
    }
}

/// How a server keeps its log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Log {
    /// There is none.
    #[default]
    Off,
    /// It is brought to the disk every second.
    Everysec,
    /// It is brought to the disk before anything is answered.
    Always,
}

impl Log {
    /// For `{appendonly}` and `{appendfsync}`.
    pub fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Off => ("no", "everysec"),
            Self::Everysec => ("yes", "everysec"),
            Self::Always => ("yes", "always"),
        }
    }
}

/// What a figure must be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bound {
    /// At most this many times the baseline's figure.
    RatioAtMost(f64),
    /// At least this many times the baseline's figure.
    RatioAtLeast(f64),
    /// At most this.
    AtMost(f64),
}

/// A goal: a metric and its bound.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Goal {
    /// The metric's name, one of [`super::metrics`].
    pub metric: &'static str,
    /// What it must be.
    pub bound: Bound,
}

/// A scenario.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scenario {
    /// For `--scenario`.
    pub name: &'static str,
    /// For `--scenario` too: [`STRINGS`], [`MANY`], [`TYPES`], [`TOGETHER`], [`PUBSUB`] or [`LOG`].
    pub group: &'static str,
    /// For tables and charts.
    pub title: &'static str,
    /// Cores of servers that can use more than one.
    pub cores: usize,
    /// How servers keep their log, where their command line says `{appendonly}` and `{appendfsync}`.
    pub log: Log,
    /// What is done.
    pub work: Work,
    /// What Lacewing is to reach.
    pub goals: &'static [Goal],
}

const fn throughput(
    name: &'static str,
    title: &'static str,
    mix: &'static str,
    pipeline: u32,
    goals: &'static [Goal],
) -> Scenario {
    let work = Work::Throughput { mix, pipeline, connections: None };
    Scenario { name, group: STRINGS, title, cores: 1, log: Log::Off, work, goals }
}

/// Commands over keys of both of two cores.
const fn many(
    name: &'static str,
    title: &'static str,
    mix: &'static str,
    pipeline: u32,
    goals: &'static [Goal],
) -> Scenario {
    Scenario { cores: 2, group: MANY, ..throughput(name, title, mix, pipeline, goals) }
}

/// SET by 50 connections, with a log or without.
const fn logged(
    name: &'static str,
    title: &'static str,
    log: Log,
    pipeline: u32,
    goals: &'static [Goal],
) -> Scenario {
    let work = Work::Throughput { mix: "set", pipeline, connections: Some(50) };
    Scenario { log, group: LOG, work, ..throughput(name, title, "set", pipeline, goals) }
}

/// As [`many`], by one connection.
const fn alone(
    name: &'static str,
    title: &'static str,
    mix: &'static str,
    pipeline: u32,
    goals: &'static [Goal],
) -> Scenario {
    let work = Work::Throughput { mix, pipeline, connections: Some(1) };
    Scenario { work, ..many(name, title, mix, pipeline, goals) }
}

/// The group of the scenarios of strings, connections and the table of keys.
pub const STRINGS: &str = "strings";
/// The group of the scenarios of commands over several keys on several cores.
pub const MANY: &str = "many";
/// The group of the scenarios of all other types.
pub const TYPES: &str = "types";
/// The group of the scenarios of what makes one database of the keys: transactions.
pub const TOGETHER: &str = "together";
/// The group of the scenarios of publish and subscribe.
pub const PUBSUB: &str = "pubsub";
/// The group of the scenarios of the log.
pub const LOG: &str = "log";
/// Commands per batch of [`Sent::Drawn`].
pub const PIPELINE: u32 = 16;

/// All of them, in the order of the tables.
pub fn all() -> impl Iterator<Item = &'static Scenario> {
    let some = SCENARIOS.iter().chain(MANY_KEYS).chain(types::SCENARIOS);
    some.chain(together::SCENARIOS).chain(PUBLISHING).chain(LOGGED)
}

const SCENARIOS: &[Scenario] = &[
    throughput("set-p1", "SET P1", "set", 1, &[cpu(0.90)]),
    throughput("get-p1", "GET P1", "get", 1, &[cpu(0.90)]),
    throughput("set-p16", "SET P16", "set", 16, &[cpu(0.60)]),
    throughput("get-p16", "GET P16", "get", 16, &[cpu(0.60)]),
    throughput("set-p32", "SET P32", "set", 32, &[cpu(0.50)]),
    throughput("get-p32", "GET P32", "get", 32, &[cpu(0.50)]),
    throughput("mset-p1", "MSET of 10, P1", "mset:10", 1, &[]),
    throughput("mset-p16", "MSET of 10, P16", "mset:10", 16, &[]),
    Scenario { cores: 2, ..throughput("two-cores-set", "SET P16, 2 cores", "set", 16, TWO_CORES) },
    Scenario { cores: 2, ..throughput("two-cores-get", "GET P16, 2 cores", "get", 16, TWO_CORES) },
    Scenario {
        name: "memory",
        group: STRINGS,
        title: "Memory per key",
        cores: 1,
        log: Log::Off,
        work: Work::Memory,
        goals: &[Goal { metric: super::metrics::RESIDENT_PER_KEY, bound: Bound::AtMost(72.0) }],
    },
    Scenario {
        name: "idle",
        group: STRINGS,
        title: "Idle connections",
        cores: 1,
        log: Log::Off,
        work: Work::Idle,
        goals: &[Goal { metric: super::metrics::IDLE_CPU, bound: Bound::AtMost(1.0) }],
    },
    Scenario {
        name: "growth",
        group: STRINGS,
        title: "A growing table",
        cores: 1,
        log: Log::Off,
        work: Work::Growth,
        goals: &[Goal { metric: super::metrics::P999, bound: Bound::AtMost(2000.0) }],
    },
];

const MANY_KEYS: &[Scenario] = &[
    many("many-mset-p1", "MSET of 10, P1", "mset:10", 1, &[cpu(1.5)]),
    many("many-mset-p16", "MSET of 10, P16", "mset:10", 16, &[cpu(1.0)]),
    many("many-mget-p1", "MGET of 10, P1", "mget:10", 1, &[]),
    many("many-mget-p16", "MGET of 10, P16", "mget:10", 16, &[]),
    many("many-del-p16", "DEL and MSET of 10, P16", "del:10,mset:10", 16, &[]),
    alone("many-alone-p1", "MSET of 10, P1, one connection", "mset:10", 1, &[]),
    alone("many-alone-p16", "MSET of 10, P16, one connection", "mset:10", 16, &[RATE_KEPT]),
];

const RATE_KEPT: Goal = Goal { metric: super::metrics::RATE, bound: Bound::RatioAtLeast(1.0) };

const fn publish(
    name: &'static str,
    title: &'static str,
    publishers: usize,
    pipeline: u32,
    goals: &'static [Goal],
) -> Scenario {
    let work = Work::Publish { subscribers: 1_000, publishers, pipeline };
    Scenario { name, group: PUBSUB, title, cores: 1, log: Log::Off, work, goals }
}

const PUBLISHING: &[Scenario] = &[
    publish("publish-p1", "PUBLISH to 1,000, P1", 1, 1, &[cpu(0.70)]),
    publish("publish-p16", "PUBLISH to 1,000, P16", 1, 16, &[cpu(0.70)]),
    publish("publish-50", "PUBLISH to 1,000, 50 publishers", 50, 1, &[cpu(0.70)]),
];

/// The first and the second of them are to be compared with each other: the log is to cost at most a quarter.
const LOGGED: &[Scenario] = &[
    logged("log-off-p16", "SET P16, no log", Log::Off, 16, &[]),
    logged("log-everysec-p16", "SET P16, everysec", Log::Everysec, 16, &[cpu(1.0)]),
    logged("log-everysec-p1", "SET P1, everysec", Log::Everysec, 1, &[cpu(1.0)]),
    logged("log-always-p1", "SET P1, always", Log::Always, 1, &[RATE_ALWAYS]),
    logged("log-always-p16", "SET P16, always", Log::Always, 16, &[]),
];

const RATE_ALWAYS: Goal = Goal { metric: super::metrics::RATE, bound: Bound::RatioAtLeast(1.3) };

/// Against the baseline on its one thread.
const TWO_CORES: &[Goal] = &[cpu(1.0), RATE_KEPT];

pub(super) const fn cpu(ratio: f64) -> Goal {
    Goal { metric: super::metrics::CPU, bound: Bound::RatioAtMost(ratio) }
}

/// The scenarios that one of `filters` names: names of scenarios or groups, or beginnings of scenarios' names with a `*`
/// at the end. Without filters, the group [`STRINGS`].
pub fn select(filters: &[String]) -> Vec<Scenario> {
    let default = [STRINGS.to_owned()];
    let filters = if filters.is_empty() { &default } else { filters };
    let named = |scenario: &&Scenario| {
        filters.iter().any(|filter| match filter.strip_suffix('*') {
            Some(start) => scenario.name.starts_with(start),
            None => scenario.name == filter || scenario.group == filter,
        })
    };
    all().filter(named).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_differ() {
        let groups = [STRINGS, MANY, TYPES, TOGETHER, PUBSUB, LOG];
        let mut names: Vec<_> = all().map(|scenario| scenario.name).chain(groups).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all().count() + groups.len());
    }

    #[test]
    fn filters_name_scenarios_or_their_beginnings() {
        let check = |filters: &[&str], expected: &[&str]| {
            let filters: Vec<String> = filters.iter().map(|&filter| filter.to_owned()).collect();
            let names: Vec<_> = select(&filters).iter().map(|scenario| scenario.name).collect();
            assert_eq!(names, expected, "{filters:?}");
        };
        check(&["set-p1"], &["set-p1"]);
        check(&["idle", "mset*"], &["mset-p1", "mset-p16", "idle"]);
        check(&["p1"], &[]);
        check(&["hget*"], &["hget-p16", "hget-big-p16"]);
        assert_eq!(select(&[]).len(), SCENARIOS.len());
        assert_eq!(select(&["types".to_owned()]).len(), types::SCENARIOS.len());
        assert_eq!(select(&["many".to_owned()]).len(), MANY_KEYS.len());
        assert_eq!(select(&["*".to_owned()]).len(), all().count());
    }
}
