//! MEMORY USAGE, STATS, DOCTOR, PURGE and MALLOC-STATS.

use crate::core::{Action, Shared};
use crate::ctx::{Ctx, Outcome, parse_int};
use crate::error::CommandError;
use crate::parts::Part;
use keyspace::Access;
use std::sync::atomic::Ordering;
use stdx::{Args, DbIndex};

/// MEMORY USAGE key [SAMPLES count]...: nothing is sampled, so the counts are only checked.
pub(super) fn usage(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let mut words = args.from(3).iter();
    while let Some(word) = words.next() {
        let count = words.next().filter(|_| word.eq_ignore_ascii_case(b"SAMPLES"));
        if parse_int(count.ok_or(CommandError::Syntax)?).ok_or(CommandError::NotInteger)? < 0 {
            return Err(CommandError::Syntax);
        }
    }
    let (db, now, key) = (ctx.db(), ctx.now, ctx.key(args.at(2)));
    match ctx.core.keyspace.find(db, key, now, Access::Peek).map(|entry| entry.memory()) {
        Some(bytes) => ctx.out.int(bytes as i64),
        None => ctx.out.null(),
    }
    Ok(Outcome::Done)
}

/// MEMORY PURGE
pub(super) fn purge(ctx: &mut Ctx<'_>, _: Args<'_>) -> Result<Outcome, CommandError> {
    ctx.core.actions.push(Action::PurgeMemory);
    ctx.out.ok();
    Ok(Outcome::Done)
}

/// MEMORY MALLOC-STATS: the allocator's name is all it tells.
pub(super) fn malloc_stats(ctx: &mut Ctx<'_>, _: Args<'_>) -> Result<Outcome, CommandError> {
    let name = ctx.core.shared.allocator_name();
    let text = format!("allocator: {name}; it keeps no statistics that could be printed\n");
    ctx.out.verbatim("txt", text.as_bytes());
    Ok(Outcome::Done)
}

/// What memory of one core, or of all, is used for, in bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Usage {
    /// Keys, values and tables.
    pub(super) data: u64,
    /// The part of `data` that is tables and bookkeeping.
    pub(super) overhead: u64,
    /// Clients: their state and buffers.
    pub(super) clients: u64,
    /// Keys, values and tables that come from a master beside the data that is served.
    pub(super) incoming: u64,
    /// Databases that hold keys: number, keys, keys with an expiry, sum of their times to live in ms.
    pub(super) dbs: Vec<DbUsage>,
}

/// One database's keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct DbUsage {
    pub(super) keys: u64,
    pub(super) expiring: u64,
    pub(super) ttl_sum_ms: u64,
    pub(super) hashes_with_expiry: u64,
}

impl Usage {
    /// Of this core.
    pub(super) fn of(ctx: &Ctx<'_>) -> Self {
        let (keyspace, clients) = (&ctx.core.keyspace, &ctx.core.clients);
        let db = |db| {
            let db = DbIndex(db);
            let expiring = keyspace.expiring(db) as u64;
            let ttl_sum_ms = keyspace.average_ttl_ms(db, ctx.now).saturating_mul(expiring);
            let hashes_with_expiry = keyspace.hashes_with_expiry(db) as u64;
            DbUsage { keys: keyspace.len(db) as u64, expiring, ttl_sum_ms, hashes_with_expiry }
        };
        Self {
            data: keyspace.used_bytes() as u64,
            overhead: keyspace.overhead_bytes() as u64,
            clients: clients.iter().map(|(_, client)| client.memory() as u64).sum(),
            incoming: ctx.core.incoming.as_ref().map_or(0, |incoming| incoming.used_bytes() as u64),
            dbs: (0..keyspace.databases()).map(db).collect(),
        }
    }

    pub(super) fn write(&self, out: &mut resp::Reply<'_>) {
        let all = [self.data, self.overhead, self.clients, self.incoming];
        all.into_iter().for_each(|bytes| out.int(bytes as i64));
        out.array(self.dbs.len());
        for db in &self.dbs {
            [db.keys, db.expiring, db.ttl_sum_ms, db.hashes_with_expiry]
                .into_iter()
                .for_each(|number| out.int(number as i64));
        }
    }

    /// Adds what another core wrote.
    pub(super) fn add(&mut self, part: &mut Part<'_>) {
        self.data += part.count();
        self.overhead += part.count();
        self.clients += part.count();
        self.incoming += part.count();
        let len = part.array();
        self.dbs.resize(len.max(self.dbs.len()), DbUsage::default());
        for db in &mut self.dbs[..len] {
            db.keys += part.count();
            db.expiring += part.count();
            db.ttl_sum_ms = db.ttl_sum_ms.saturating_add(part.count());
            db.hashes_with_expiry += part.count();
        }
    }

    fn merged(parts: &[&[u8]]) -> Self {
        let mut all = Self::default();
        parts.iter().for_each(|part| all.add(&mut Part::new(part)));
        all
    }

    /// used_memory: all that is counted.
    pub(super) fn total(&self) -> u64 {
        self.data + self.clients + self.incoming
    }

    /// used_memory_overhead: what is neither key nor value.
    pub(super) fn total_overhead(&self) -> u64 {
        self.overhead + self.clients
    }

    /// used_memory_dataset.
    pub(super) fn dataset(&self) -> u64 {
        self.total() - self.total_overhead()
    }

    pub(super) fn keys(&self) -> u64 {
        self.dbs.iter().map(|db| db.keys).sum()
    }
}

/// `part` of `whole` in percent; 0 when there is nothing.
pub(super) fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 * 100.0 / whole as f64 }
}

/// What the process holds beside what is counted, in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Footprint {
    /// Data and clients: `used_memory`.
    pub(super) used: u64,
    /// The most that was used at one time.
    pub(super) peak: u64,
    /// Resident when all cores had started and nothing was stored: it is in `rss` and not in `used`.
    pub(super) startup: u64,
    /// Resident now, as of the last second.
    pub(super) rss: u64,
}

impl Footprint {
    pub(super) fn of(shared: &Shared, usage: &Usage) -> Self {
        let used = usage.total();
        Self {
            used,
            peak: (shared.peak_bytes.load(Ordering::Relaxed) as u64).max(used),
            startup: shared.startup_bytes.load(Ordering::Relaxed) as u64,
            rss: shared.process.rss_bytes.load(Ordering::Relaxed) as u64,
        }
    }

    /// How much more the process holds than it needs for what is stored, as a factor; 0 when nothing was measured.
    pub(super) fn fragmentation(&self) -> f64 {
        match self.startup + self.used {
            0 => 0.0,
            needed => self.rss as f64 / needed as f64,
        }
    }

    /// The same as a difference; negative when part of it was never touched or is swapped out.
    pub(super) fn fragmentation_bytes(&self) -> i64 {
        self.rss as i64 - (self.startup + self.used) as i64
    }
}

/// MEMORY STATS and DOCTOR: one core's part.
pub(super) fn part(ctx: &mut Ctx<'_>, _: Args<'_>) -> Result<Outcome, CommandError> {
    let usage = Usage::of(ctx);
    usage.write(&mut ctx.out);
    Ok(Outcome::Done)
}

/// MEMORY STATS
pub(super) fn stats(ctx: &mut Ctx<'_>, _: Args<'_>, parts: &[&[u8]]) -> Result<(), CommandError> {
    let usage = Usage::merged(parts);
    let footprint = Footprint::of(&ctx.core.shared, &usage);
    let scripts = ctx.core.shared.scripts.gauges();
    let kept = ctx.core.shared.masters.known().kept_bytes();
    let out = &mut ctx.out;
    let used_dbs = usage.dbs.iter().filter(|db| db.keys > 0).count();
    out.map(INTS + used_dbs + DOUBLES);
    let mut int = |name: &str, value: u64| {
        out.bulk(name.as_bytes());
        out.int(value as i64);
    };
    int("peak.allocated", footprint.peak);
    int("total.allocated", footprint.used);
    int("startup.allocated", footprint.startup);
    int("replication.backlog", kept);
    int("clients.slaves", 0);
    int("clients.normal", usage.clients);
    int("cluster.links", 0);
    int("aof.buffer", 0);
    int("lua.caches", scripts.script_bytes as u64);
    int("functions.caches", scripts.library_bytes as u64);
    int("overhead.total", usage.total_overhead());
    int("keys.count", usage.keys());
    int("keys.bytes-per-key", usage.data.checked_div(usage.keys()).unwrap_or(0));
    int("dataset.bytes", usage.dataset());
    out.bulk(b"fragmentation.bytes");
    out.int(footprint.fragmentation_bytes());
    for (index, db) in usage.dbs.iter().enumerate().filter(|(_, db)| db.keys > 0) {
        out.bulk(format!("db.{index}").as_bytes());
        out.map(2);
        out.bulk(b"keys.count");
        out.int(db.keys as i64);
        out.bulk(b"keys.expiring");
        out.int(db.expiring as i64);
    }
    let mut double = |name: &str, value: f64| {
        out.bulk(name.as_bytes());
        out.double(value);
    };
    double("dataset.percentage", percent(usage.dataset(), footprint.used));
    double("peak.percentage", percent(footprint.used, footprint.peak));
    double("fragmentation", footprint.fragmentation());
    Ok(())
}

/// How many plain numbers and how many fractions MEMORY STATS answers.
const INTS: usize = 15;
const DOUBLES: usize = 3;

/// MEMORY DOCTOR
pub(super) fn doctor(ctx: &mut Ctx<'_>, _: Args<'_>, parts: &[&[u8]]) -> Result<(), CommandError> {
    let usage = Usage::merged(parts);
    let footprint = Footprint::of(&ctx.core.shared, &usage);
    let report = diagnosis(&usage, footprint, ctx.core.config.maxmemory);
    ctx.out.verbatim("txt", report.as_bytes());
    Ok(())
}

fn diagnosis(usage: &Usage, footprint: Footprint, limit: u64) -> String {
    let (total, peak) = (footprint.used, footprint.peak);
    if total < SMALL_BYTES {
        return "There is too little in memory to say anything about it.\n".into();
    }
    let mut findings = Vec::new();
    if peak > total / 2 * 3 {
        findings.push(format!(
            "At its peak the memory in use was {:.1} times what it is now; the rest may not have gone back to the \
             system (MEMORY PURGE).",
            peak as f64 / total as f64
        ));
    }
    let factor = footprint.fragmentation();
    if factor > 1.4 && footprint.fragmentation_bytes() > SMALL_BYTES as i64 * 2 {
        findings.push(format!("The process holds {factor:.1} times the memory that is in use."));
    }
    if usage.clients > total / 4 {
        findings.push("More than a quarter of the memory is clients' buffers: look at CLIENT LIST.".into());
    }
    if limit > 0 && total > limit / 10 * 9 {
        findings.push("More than nine tenths of maxmemory are in use.".into());
    }
    if findings.is_empty() {
        return "Nothing is wrong with memory.\n".into();
    }
    findings.iter().map(|finding| format!("- {finding}\n")).collect()
}

/// Below so many bytes in use, ratios mean nothing.
const SMALL_BYTES: u64 = 5 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{World, check};

    #[test]
    fn usage_is_told_of_keys_that_are_there() {
        let mut world = World::new(1);
        world.run("SET k value");
        let reply = world.run("MEMORY USAGE k SAMPLES 0");
        let bytes: u64 = reply.strip_prefix(':').and_then(|bytes| bytes.parse().ok()).expect("an integer");
        assert!((6..200).contains(&bytes), "{bytes}");
        check(&["MEMORY USAGE nokey"], "$-1");
        check(&["MEMORY USAGE k SAMPLES 1 samples 2"], "$-1");
        check(&["MEMORY USAGE k SAMPLES x"], "-ERR value is not an integer or out of range");
        for options in ["SAMPLES", "SAMPLES -1", "FOO 1", "SAMPLES 1 SAMPLES", "SAMPLES 1 FOO 1"] {
            check(&[&format!("MEMORY USAGE k {options}")], "-ERR syntax error");
        }
    }

    #[test]
    fn stats_of_all_cores_add_up() {
        let mut world = World::new(2);
        assert_ne!(world.owner("a"), world.owner("b"));
        for line in ["SET a 1", "SET b 1", "SELECT 3", "SET b 1"] {
            world.run(line);
        }
        let reply = world.run("MEMORY STATS");
        assert!(reply.starts_with("*40 $14 peak.allocated :"), "{reply}");
        assert!(reply.contains("$10 keys.count :3"), "{reply}");
        assert!(reply.contains("$4 db.0 *4 $10 keys.count :2 $13 keys.expiring :0"), "{reply}");
        assert!(reply.contains("$4 db.3 *4 $10 keys.count :1"), "{reply}");
        let fields = reply.split(' ').filter(|word| word.contains('.') && !word.starts_with("db.")).count();
        assert!(fields >= INTS + DOUBLES, "{reply}");
    }

    #[test]
    fn what_an_empty_process_holds_is_not_fragmentation() {
        let check = |used, startup, rss, factor: f64, bytes| {
            let footprint = Footprint { used, peak: used, startup, rss };
            assert_eq!((footprint.fragmentation(), footprint.fragmentation_bytes()), (factor, bytes));
        };
        check(0, 0, 0, 0.0, 0);
        check(0, 20, 20, 1.0, 0);
        check(60, 20, 120, 1.5, 40);
        check(80, 20, 50, 0.5, -50);
    }

    #[test]
    fn the_doctor_names_what_is_wrong() {
        let usage =
            |data: u64, clients: u64| Usage { data: data << 20, clients: clients << 20, ..Usage::default() };
        let report = |usage: Usage, peak: u64, rss: u64, limit: u64| {
            let (used, peak, rss) = (usage.total(), peak << 20, rss << 20);
            diagnosis(&usage, Footprint { used, peak, startup: 0, rss }, limit << 20)
        };
        assert!(report(usage(1, 0), 1, 100, 0).contains("too little"));
        assert_eq!(report(usage(100, 0), 100, 100, 0), "Nothing is wrong with memory.\n");
        assert!(report(usage(100, 0), 200, 100, 0).contains("2.0 times"));
        assert!(report(usage(100, 0), 100, 300, 0).contains("holds 3.0 times"));
        assert!(report(usage(100, 50), 150, 150, 0).contains("buffers"));
        assert!(report(usage(100, 0), 100, 100, 105).contains("maxmemory"));
    }
}
