//! docs/compatibility.md: every command of Redis 7.2, and what Lacewing does about it. Printed from the command table
//! and the two lists below; `BLESS=1 cargo test -p commands` writes it anew.

use std::collections::BTreeMap;
use std::path::Path;

/// Every command of Redis 7.2 with its group.
const REDIS: &str = include_str!("redis-7.2-commands.txt");

/// Where a command that is there differs from Redis, and why.
const DIFFERENCES: &[(&str, &str)] = &[
    ("bgrewriteaof", "takes a snapshot; then what the log has of the time before it is removed"),
    ("bgsave", "forks no process; `CANCEL`, as in Valkey, gives up the one under way or scheduled"),
    (
        "client|list",
        "`argv-mem`, `oll` and `omem` are 0; `tot-mem` and `multi-mem` count Lacewing's own structures; `watch`, the last \
         field, is how many keys the client watches; flag `d` tells of watched keys of the client's own core",
    ),
    (
        "client|reply",
        "after `OFF` the connection ends with QUIT, and with what is no protocol; redis-server keeps it, and reads no more of it",
    ),
    (
        "config|rewrite",
        "the file is written by the server after the command; the reply tells whether it could be",
    ),
    ("config|set", "applies on every core; parameters of parts that are not there yet can only be off"),
    (
        "debug",
        "what clients' tests use: `DIGEST`, `DIGEST-VALUE`, `ERROR`, `LOG`, `OBJECT`, `PAUSE-CRON`, `POPULATE`, `PROTOCOL`, `RELOAD` \
         (without `NOSAVE`), `SET-ACTIVE-EXPIRE`, `SET-DISABLE-DENY-SCRIPTS` (of DEBUG itself), `SLEEP`; `QUICKLIST-PACKED-THRESHOLD` and `REPLYBUFFER` are \
         accepted, without effect; `OBJECT` tells no address; what looks at the inside of Redis is missing",
    ),
    (
        "dump",
        "of the oldest version that has words for the value: Redis 7.0 reads all but hashes with fields that expire and streams with a \
         consumer that has read nothing, or looked in vain since (7.2 writes all streams so that 7.0 cannot read them)",
    ),
    ("geosearch", "which of several places at exactly the same distance `COUNT` keeps is told by neither"),
    (
        "info",
        "numbers are summed over the cores; fields of parts that are not there yet are 0, those of Redis's allocator are missing; adds `lacewing_version` and \
         `cores`; `used_memory` counts keys, values, tables and clients, not the program itself nor the 512 KiB that \
         each database in use takes however few its keys are",
    ),
    ("latency|doctor", "in its own words"),
    ("latency|graph", "drawn in its own way"),
    ("latency|histogram", "bounds are 1 us, 2 us, 4 us... from buckets at most 25 % wide"),
    ("lolwut", "another picture"),
    ("memory|doctor", "in its own words"),
    ("memory|malloc-stats", "the allocator's name only"),
    ("memory|stats", "`db.N` tells counts of keys, not bytes of hash tables; no `allocator.*` fields"),
    ("memory|usage", "nothing is estimated from samples, so `SAMPLES` has no effect"),
    ("module|list", "always empty: there are no modules"),
    (
        "monitor",
        "a monitor is held to the output limit of the class `pubsub`; commands of different cores are shown nearly in their \
         order; the queue of an EXEC that fails on WATCH is shown if it was sent to another core",
    ),
    (
        "pfadd",
        "a damaged sparse value that ends within an opcode: Redis reads one byte past it, Lacewing a zero",
    ),
    (
        "pfselftest",
        "100,000 elements instead of ten million: the core goes on after milliseconds, not seconds",
    ),
    ("replicaof", "the old data stays, and is served, until that of the master is there whole and verified"),
    (
        "save",
        "other clients are served meanwhile; two that come at once are answered by one snapshot that began after both; \
         `SAVE RDB` also writes all data to one file, `dbfilename`, for redis-server",
    ),
    (
        "scan",
        "cursors are numbers of 64 bits without a meaning to clients, as documented; their values differ",
    ),
    ("script|debug", "there is no debugger: only `NO` is taken"),
    ("shutdown", "while a log is written only `SAVE` saves; writes wait meanwhile, reads go on"),
    ("slowlog|get", "the entries of all cores, numbered in one order"),
    (
        "srandmember",
        "a negative count draws at most 100,000,000 members: the reply is in memory before it is sent",
    ),
    (
        "sort",
        "a sorted set keeps its encoding; elements whose weights are equal stay in their order, with `LIMIT` too; with \
         several cores, keys that patterns name are locked as if the command wrote to them",
    ),
    ("slaveof", "as REPLICAOF"),
    ("sort_ro", "as SORT"),
    ("sscan", "cursors have no meaning to clients, as documented; their values differ"),
    (
        "xinfo|consumers",
        "snapshots keep when consumers were seen; of what the log tells since, `idle` and `inactive` count from the start of the server, as \
         in a Redis that has read its append-only file",
    ),
    (
        "xreadgroup",
        "replicas and logs are also told of consumers, of entries \
         that were read again and of how many a group has read, which Redis keeps to itself",
    ),
    (
        "zrandmember",
        "a negative count draws at most 100,000,000 members: the reply is in memory before it is sent",
    ),
    ("zscan", "cursors have no meaning to clients, as documented; their values differ"),
];

/// Commands that are there to answer an error: by name or, for its subcommands, container; and the reason.
const REFUSED: &[(&str, &str)] = &[
    ("asking", "as Redis does when cluster support is disabled"),
    ("cluster", "as Redis does when cluster support is disabled"),
    ("cluster|help", "as Redis does when cluster support is disabled"),
    ("readonly", "as Redis does when cluster support is disabled"),
    ("readwrite", "as Redis does when cluster support is disabled"),
];

/// What a command that is not there waits for, or why it will not come: by name, container or group, the first match.
const PLANS: &[(&str, Plan)] = &[
    ("module|load", Plan::Never("modules are C libraries that reach into Redis's own structures")),
    ("module|loadex", Plan::Never("modules are C libraries that reach into Redis's own structures")),
    ("module|unload", Plan::Never("modules are C libraries that reach into Redis's own structures")),
    ("sentinel", Plan::Never("a program of its own; Redis's works with Lacewing")),
    ("acl", Plan::Later("access control")),
    ("restore-asking", Plan::Later("cluster")),
    ("migrate", Plan::Later("cluster")),
    ("cluster", Plan::Later("cluster")),
];

enum Plan {
    Later(&'static str),
    Never(&'static str),
}

#[test]
fn the_page_is_what_the_table_prints() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/compatibility.md");
    let expected = page();
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, &expected).expect("the page can be written");
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == expected, "{} is stale: run BLESS=1 cargo test -p commands", path.display());
}

#[test]
fn every_note_is_of_a_command_that_is_there() {
    for (name, _) in DIFFERENCES.iter().chain(REFUSED) {
        assert!(commands::table::by_name(name.as_bytes()).is_some(), "{name}");
    }
}

#[test]
fn redis_has_every_command_that_is_there() {
    let known: Vec<&str> = commands().map(|(name, _)| name).collect();
    for command in commands::table::all() {
        assert!(known.contains(&command.full_name), "{}", command.full_name);
    }
}

fn commands() -> impl Iterator<Item = (&'static str, &'static str)> {
    let lines = REDIS.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.split_once(' ').expect("a name and a group"))
}

fn page() -> String {
    let mut groups: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (name, group) in commands() {
        groups.entry(group).or_default().push(name);
    }
    let there = commands().filter(|(name, group)| state(name, group).0 == "yes").count();
    let mut page = format!(
        "# Compatibility\n\n\
         Every command of Redis 7.2: **yes** when Lacewing has it, with what differs; **error** when it is known only \
         to\nanswer an error; **later** with the part of Lacewing that brings it; **no** with the reason.\n\nOf {} commands and subcommands {there} work.\n\n\
         This page is printed from the command table; `BLESS=1 cargo test -p commands` writes it anew.\n",
        commands().count()
    );
    for (group, names) in groups {
        page.push_str(&format!("\n## {}\n\n| Command | | |\n|---|---|---|\n", title(group)));
        for name in names {
            let shown = name.replace('|', " ").to_ascii_uppercase();
            let (state, why) = state(name, group);
            page.push_str(&format!("| {shown} | {state} | {why} |\n"));
        }
    }
    page
}

fn is_there(name: &str) -> bool {
    commands::table::by_name(name.as_bytes()).is_some()
}

fn state(name: &str, group: &str) -> (&'static str, &'static str) {
    let container = name.split('|').next().expect("a name");
    if is_there(name) {
        let is = |other: &str| other == name || other == container && !name.ends_with("|help");
        if let Some((_, why)) = REFUSED.iter().find(|(other, _)| is(other)) {
            return ("error", why);
        }
        let difference = DIFFERENCES.iter().find(|(other, _)| *other == name);
        return ("yes", difference.map_or("", |(_, difference)| difference));
    }
    let plan = [name, container, group].iter().find_map(|key| PLANS.iter().find(|(other, _)| other == key));
    match plan.unwrap_or_else(|| panic!("{name} is neither there nor planned nor refused")).1 {
        Plan::Later(part) => ("later", part),
        Plan::Never(why) => ("no", why),
    }
}

fn title(group: &str) -> String {
    let mut title = group.replace('_', " ");
    title[..1].make_ascii_uppercase();
    title
}
