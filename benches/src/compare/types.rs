//! The scenarios of the data types: a dataset that is made first, then one command over it, or the memory that it
//! takes. Small values are many, 100,000 unless a scenario says otherwise; a "big" one is a single key.

use super::scenario::{Bound, Goal, Log, Scenario, Sent, TYPES, Work, cpu};

/// What is in the server before the measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dataset {
    /// In words, for the report.
    pub about: &'static str,
    /// The command that makes it, up to what is repeated; a template as of `lacewing-bench --command`.
    pub head: &'static str,
    /// What is repeated; `__i__` stands for the repetition's number in two digits.
    pub each: &'static str,
    /// How often `each` is in one command; at most 100.
    pub times: u64,
    /// How many numbers `__key__` goes through, in order, again and again.
    pub keys: u64,
    /// How many commands.
    pub commands: u64,
}

impl Dataset {
    /// The whole template.
    pub fn template(&self) -> String {
        let each = |i| format!(" {}", self.each.replace("__i__", &format!("{i:02}")));
        (0..self.times).fold(self.head.to_owned(), |template, i| template + &each(i))
    }

    /// Whether every number is a key of its own, and not a member of the one key.
    pub fn is_many_keys(&self) -> bool {
        self.head.contains("__key__")
    }
}

/// What one share of the memory is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// A key.
    Key,
    /// A member of the one key.
    Member,
}

/// A value of `times` elements for each of `keys` keys, one command each.
pub(super) const fn small(
    about: &'static str,
    head: &'static str,
    each: &'static str,
    times: u64,
    keys: u64,
) -> Dataset {
    Dataset { about, head, each, times, keys, commands: keys }
}

/// One value of `members` elements, ten by each command.
const fn big(about: &'static str, head: &'static str, each: &'static str, members: u64) -> Dataset {
    Dataset { about, head, each, times: 10, keys: members, commands: members / 10 }
}

const HASHES: Dataset = small(
    "100,000 hashes of 10 fields, values of 12 B",
    "HSET __key__",
    "field:__i__ __text:12__",
    10,
    100_000,
);
const BIG_HASH: Dataset =
    big("one hash of 1 million fields of 16 B, values of 12 B", "HSET big", "__key__ __text:12__", 1_000_000);
const SETS: Dataset = small("100,000 sets of 20 members of 9 B", "SADD __key__", "member:__i__", 20, 100_000);
const INT_SETS: Dataset = small("100,000 sets of 20 integers", "SADD __key__", "1000__i__", 20, 100_000);
const BIG_SET: Dataset = big("one set of 1 million members of 16 B", "SADD big", "__key__", 1_000_000);
const ZSETS: Dataset = small(
    "100,000 sorted sets of 20 members of 9 B, scores 0 to 99",
    "ZADD __key__",
    "__rand:100__ member:__i__",
    20,
    100_000,
);
const BIG_ZSET: Dataset = big(
    "one sorted set of 1 million members of 16 B, scores below 1 million",
    "ZADD big",
    "__rand:1000000__ __key__",
    1_000_000,
);
const LISTS_TO_PUSH: Dataset =
    small("1,000 lists of 100 elements of 32 B at first", "RPUSH __key__", "__text:32__", 100, 1_000);
const LISTS_TO_POP: Dataset = Dataset {
    commands: 50_000,
    ..small(
        "1,000 lists of 5,000 elements of 32 B at first, 4 million pops",
        "RPUSH __key__",
        "__text:32__",
        100,
        1_000,
    )
};
const LISTS_SMALL: Dataset =
    small("100,000 lists of about 40 elements of 12 B", "RPUSH __key__", "__text:12__", 40, 100_000);
const LISTS_OF_100: Dataset =
    small("10,000 lists of 100 elements of 32 B", "RPUSH __key__", "__text:32__", 100, 10_000);
const LISTS_OF_10000: Dataset = Dataset {
    commands: 10_000,
    ..small("100 lists of 10,000 elements of 32 B", "RPUSH __key__", "__text:32__", 100, 100)
};
const STREAMS: Dataset = Dataset {
    commands: 1_000_000,
    ..small(
        "1,000 streams of about 1,000 entries of two fields",
        "XADD __key__ MAXLEN ~ 1000 *",
        "sensor __text:8__ value __rand:10000__",
        1,
        1_000,
    )
};

const fn command(
    name: &'static str,
    title: &'static str,
    data: &'static Dataset,
    commands: &'static [&'static str],
) -> Scenario {
    let work = Work::Command { data, commands, keys: data.keys, requests: None, sent: Sent::Drawn };
    Scenario { name, group: TYPES, title, cores: 1, log: Log::Off, work, goals: CPU }
}

/// As [`command`], over more numbers than the dataset was made of.
const fn among(keys: u64, scenario: Scenario) -> Scenario {
    let Work::Command { data, commands, requests, sent, .. } = scenario.work else { panic!("no command") };
    Scenario { work: Work::Command { data, commands, keys, requests, sent }, ..scenario }
}

/// As [`command`], until so many commands are answered.
const fn times(requests: u64, scenario: Scenario) -> Scenario {
    let Work::Command { data, commands, keys, sent, .. } = scenario.work else { panic!("no command") };
    Scenario { work: Work::Command { data, commands, keys, requests: Some(requests), sent }, ..scenario }
}

const fn memory(
    name: &'static str,
    title: &'static str,
    data: &'static Dataset,
    unit: Unit,
    goals: &'static [Goal],
) -> Scenario {
    Scenario {
        name,
        group: TYPES,
        title,
        cores: 1,
        log: Log::Off,
        work: Work::DatasetMemory { data, unit },
        goals,
    }
}

/// All of them, in the order of the tables.
pub const SCENARIOS: &[Scenario] = &[
    command("lpush-p16", "LPUSH P16", &LISTS_TO_PUSH, &["LPUSH __key__ __text:32__"]),
    times(4_000_000, command("rpop-p16", "RPOP P16", &LISTS_TO_POP, &["RPOP __key__"])),
    command(
        "lpush-rpop-small-p16",
        "LPUSH and RPOP, small",
        &LISTS_SMALL,
        &["LPUSH __key__ __text:12__", "RPOP __key__"],
    ),
    command("lrange-100-p16", "LRANGE 100 P16", &LISTS_OF_100, &["LRANGE __key__ 0 99"]),
    command(
        "lrange-100-middle-p16",
        "LRANGE 100 P16, middle",
        &LISTS_OF_10000,
        &["LRANGE __key__ 4950 5049"],
    ),
    command("hset-p16", "HSET P16", &HASHES, &["HSET __key__ field:0__rand:10__ __text:12__"]),
    command("hset-big-p16", "HSET P16, big", &BIG_HASH, &["HSET big __key__ __text:12__"]),
    command("hget-p16", "HGET P16", &HASHES, &["HGET __key__ field:0__rand:10__"]),
    command("hget-big-p16", "HGET P16, big", &BIG_HASH, &["HGET big __key__"]),
    command("sadd-p16", "SADD P16", &SETS, &["SADD __key__ member:__rand:40__"]),
    command("sadd-int-p16", "SADD P16, integers", &INT_SETS, &["SADD __key__ 1000__rand:40__"]),
    among(2_000_000, command("sadd-big-p16", "SADD P16, big", &BIG_SET, &["SADD big __key__"])),
    command("zadd-p16", "ZADD P16", &ZSETS, &["ZADD __key__ __rand:100__ member:__rand:40__"]),
    among(
        2_000_000,
        command("zadd-big-p16", "ZADD P16, big", &BIG_ZSET, &["ZADD big __rand:1000000__ __key__"]),
    ),
    command("zrangebyscore-p16", "ZRANGEBYSCORE P16", &ZSETS, &["ZRANGEBYSCORE __key__ 25 75"]),
    command(
        "zrangebyscore-big-p16",
        "ZRANGEBYSCORE P16, big",
        &BIG_ZSET,
        &["ZRANGEBYSCORE big __rand:1000000__ +inf LIMIT 0 10"],
    ),
    command("zrank-p16", "ZRANK P16", &ZSETS, &["ZRANK __key__ member:0__rand:10__"]),
    command("zrank-big-p16", "ZRANK P16, big", &BIG_ZSET, &["ZRANK big __key__"]),
    command(
        "xadd-p16",
        "XADD P16",
        &STREAMS,
        &["XADD __key__ MAXLEN ~ 1000 * sensor __text:8__ value __rand:10000__"],
    ),
    memory("memory-hashes", "Hashes", &MANY_HASHES, Unit::Key, SMALL),
    memory("memory-sets", "Sets", &MANY_SETS, Unit::Key, SMALL),
    memory("memory-int-sets", "Sets of integers", &MANY_INT_SETS, Unit::Key, SMALL),
    memory("memory-zsets", "Sorted sets", &MANY_ZSETS, Unit::Key, SMALL),
    memory("memory-lists", "Lists", &MANY_LISTS, Unit::Key, SMALL),
    memory("memory-streams", "Streams", &MANY_STREAMS, Unit::Key, SMALL),
    memory("memory-zset-big", "A big sorted set", &LARGE_ZSET, Unit::Member, LARGE),
];

const CPU: &[Goal] = &[cpu(0.65)];
const SMALL: &[Goal] = &[resident(0.85)];
const LARGE: &[Goal] = &[resident(0.60)];

const fn resident(ratio: f64) -> Goal {
    Goal { metric: super::metrics::RESIDENT_PER_KEY, bound: Bound::RatioAtMost(ratio) }
}

const MANY_HASHES: Dataset = small(
    "1 million hashes of 10 fields of 8 B, values of 12 B",
    "HSET __key__",
    "field:__i__ __text:12__",
    10,
    1_000_000,
);
const MANY_SETS: Dataset =
    small("1 million sets of 20 members of 12 B", "SADD __key__", "m__i__:__text:8__", 20, 1_000_000);
const MANY_INT_SETS: Dataset = small(
    "1 million sets of 20 integers of 8 digits",
    "SADD __key__",
    "1__i____rand:100000__",
    20,
    1_000_000,
);
const MANY_ZSETS: Dataset = small(
    "1 million sorted sets of 20 members of 12 B, scores below 100,000",
    "ZADD __key__",
    "__rand:100000__ m__i__:__text:8__",
    20,
    1_000_000,
);
const MANY_LISTS: Dataset =
    small("1 million lists of 20 elements of 12 B", "RPUSH __key__", "__text:12__", 20, 1_000_000);
const MANY_STREAMS: Dataset = Dataset {
    commands: 10_000_000,
    ..small(
        "100,000 streams of 100 entries of two fields",
        "XADD __key__ *",
        "sensor __text:8__ value __rand:10000__",
        1,
        100_000,
    )
};
const LARGE_ZSET: Dataset = big(
    "one sorted set of 5 million members of 16 B, scores below 1 million",
    "ZADD big",
    "__rand:1000000__ __key__",
    5_000_000,
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_number_what_they_repeat() {
        let data = small("", "SADD __key__", "1__i____rand:10__", 3, 5);
        assert_eq!(data.template(), "SADD __key__ 100__rand:10__ 101__rand:10__ 102__rand:10__");
        assert!(data.is_many_keys());
        assert!(!BIG_SET.is_many_keys());
    }

    #[test]
    fn many_keys_are_each_made_equally_often() {
        for scenario in SCENARIOS {
            let (Work::Command { data, .. } | Work::DatasetMemory { data, .. }) = scenario.work else {
                panic!("{}: no dataset", scenario.name)
            };
            let numbers = if data.is_many_keys() { data.commands } else { data.commands * data.times };
            assert!(numbers.is_multiple_of(data.keys) && data.times <= 100, "{}", scenario.name);
        }
    }
}
