//! The scenarios of what makes one database of all keys, although they lie on several cores.

use super::scenario::{Goal, Log, Scenario, Sent, TOGETHER, Work, cpu};
use super::types::{Dataset, small};

const COUNTERS: Dataset =
    small("100,000 strings of 32 B, a counter beside each", "SET {__key__}a", "__text:32__", 1, 100_000);

/// A transaction of four commands, all on one shard.
const MULTI_OF_4: &[&str] = &[
    "MULTI",
    "SET {__key__}a __text:32__",
    "GET {__same__}a",
    "INCR {__same__}b",
    "EXPIRE {__same__}b 1000",
    "EXEC",
];

const fn multi(name: &'static str, title: &'static str, blocks: u32) -> Scenario {
    let work = Work::Command {
        data: &COUNTERS,
        commands: MULTI_OF_4,
        keys: COUNTERS.keys,
        requests: None,
        sent: Sent::InTurn(blocks),
    };
    Scenario { name, group: TOGETHER, title, cores: 1, log: Log::Off, work, goals: CPU }
}

/// A short script that reads.
const EVAL_GET: &[&str] = &["EVAL \"return redis.call('GET', KEYS[1])\" 1 {__key__}a"];

/// A short script that writes, calculates and writes again.
const EVAL_INCR: &[&str] = &["EVAL \"local n = redis.call('INCRBY', KEYS[1], ARGV[1]) \
    if n % 10 == 0 then redis.call('EXPIRE', KEYS[1], 1000) end return n\" 1 {__key__}b 3"];

const fn script(name: &'static str, title: &'static str, commands: &'static [&'static str]) -> Scenario {
    let work =
        Work::Command { data: &COUNTERS, commands, keys: COUNTERS.keys, requests: None, sent: Sent::Drawn };
    Scenario { name, group: TOGETHER, title, cores: 1, log: Log::Off, work, goals: CPU }
}

/// In the order of the tables. A figure is for one command, of which a transaction has six.
pub const SCENARIOS: &[Scenario] = &[
    multi("multi-p1", "MULTI of 4", 1),
    multi("multi-p16", "MULTI of 4, P16", 16),
    script("eval-get-p16", "EVAL of a GET, P16", EVAL_GET),
    script("eval-incr-p16", "EVAL of INCRBY and EXPIRE, P16", EVAL_INCR),
];

const CPU: &[Goal] = &[cpu(0.60)];
