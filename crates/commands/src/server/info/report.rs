//! What INFO adds up over the cores.

use crate::client::ClientFlags;
use crate::ctx::Ctx;
use crate::parts::Part;
use crate::server::memory::Usage;
use metrics::{ErrorCounts, Histogram};
use resp::Reply;
use std::collections::BTreeMap;

/// One core's numbers, or those of all cores together.
#[derive(Debug, Default)]
pub(super) struct Report {
    sums: Sums,
    maxima: [u64; 4],
    pub(super) usage: Usage,
    pub(super) errors: ErrorCounts,
    /// By index in the command table.
    pub(super) commands: BTreeMap<u16, CommandReport>,
}

/// What was counted about one command.
#[derive(Debug, Default)]
pub(super) struct CommandReport {
    pub(super) calls: u64,
    pub(super) nanos: u64,
    pub(super) rejected: u64,
    pub(super) failed: u64,
    pub(super) latency: Histogram,
}

/// A number that is added up; as an index into the report.
#[derive(Clone, Copy, Debug)]
pub(super) enum Sum {
    Clients,
    BlockedClients,
    WaitingWithTimeout,
    BlockingKeys,
    BlockingKeysOnNokey,
    WatchingClients,
    WatchedKeys,
    CommandsProcessed,
    Connections,
    RejectedConnections,
    NetIn,
    NetOut,
    Reads,
    Writes,
    OutputLimitDisconnections,
    QueryLimitDisconnections,
    OpsPerSecond,
    NetInPerSecond,
    NetOutPerSecond,
    Hits,
    Misses,
    Expired,
    ExpiredFields,
    Evicted,
    Dirty,
    Lazyfreed,
    LazyfreePending,
    ExpiredTimeCapReached,
    EvictedClients,
    ExpireCycleNanos,
    StaleMillionths,
    InterpreterBytes,
    TrackingClients,
    TrackedKeys,
    TrackedItems,
    LogWrittenBytes,
    LogUnsyncedBytes,
    LogKeptBytes,
    LogSyncs,
    LogDelayedSyncs,
}

const SUMS: usize = Sum::LogDelayedSyncs as usize + 1;

#[derive(Debug)]
struct Sums([u64; SUMS]);

impl Default for Sums {
    fn default() -> Self {
        Self([0; SUMS])
    }
}

impl Report {
    /// Of this core; `per_command` says whether the commands' numbers are wanted too.
    pub(super) fn of(ctx: &Ctx<'_>, per_command: bool) -> Self {
        let stats = &ctx.core.stats;
        let commands = stats.commands().filter(|_| per_command).map(|(index, command)| {
            let report = CommandReport {
                calls: command.calls,
                nanos: command.nanos,
                rejected: command.rejected,
                failed: command.failed,
                latency: command.latency.clone().unwrap_or_default(),
            };
            (index, report)
        });
        let over_limit_nanos = ctx.core.over_limit_since.map_or(0, |since| (ctx.core.nanos)() - since);
        Self {
            sums: Sums(sums_of(ctx)),
            maxima: [
                stats.recent_query_bytes_max as u64,
                stats.recent_output_bytes_max as u64,
                stats.eviction_exceeded_nanos + over_limit_nanos,
                over_limit_nanos,
            ],
            usage: Usage::of(ctx),
            errors: stats.errors.clone(),
            commands: commands.collect(),
        }
    }

    /// One of the numbers that are added up.
    pub(super) fn sum(&self, number: Sum) -> u64 {
        self.sums.0[number as usize]
    }

    /// The largest query buffer and the largest output buffer seen of late.
    pub(super) fn buffers_max(&self) -> [u64; 2] {
        [self.maxima[0], self.maxima[1]]
    }

    /// For how long memory was over its limit, in ns: in all, and this time.
    pub(super) fn over_limit_nanos(&self) -> [u64; 2] {
        [self.maxima[2], self.maxima[3]]
    }

    /// As a part that [`Report::merged`] reads.
    pub(super) fn write(&self, out: &mut Reply<'_>) {
        self.sums.0.iter().chain(&self.maxima).for_each(|number| out.int(*number as i64));
        self.usage.write(out);
        out.array(self.errors.iter().len());
        for (code, count) in self.errors.iter() {
            out.bulk(code.as_bytes());
            out.int(count as i64);
        }
        out.array(self.commands.len());
        for (index, command) in &self.commands {
            out.int(i64::from(*index));
            command.write(out);
        }
    }

    /// The sum of all cores' parts.
    pub(super) fn merged(parts: &[&[u8]]) -> Self {
        let mut all = Self::default();
        for part in parts {
            let mut part = Part::new(part);
            all.add(&mut part);
            assert!(part.is_empty(), "a part was read to its end");
        }
        all
    }

    fn add(&mut self, part: &mut Part<'_>) {
        self.sums.0.iter_mut().for_each(|sum| *sum += part.count());
        self.maxima.iter_mut().for_each(|max| *max = (*max).max(part.count()));
        self.usage.add(part);
        for _ in 0..part.array() {
            let code = part.text();
            self.errors.add(code, part.count());
        }
        for _ in 0..part.array() {
            self.commands.entry(part.int() as u16).or_default().add(part);
        }
    }
}

/// This core's numbers, in the order of [`Sum`].
fn sums_of(ctx: &Ctx<'_>) -> [u64; SUMS] {
    let (stats, keys) = (&ctx.core.stats, &ctx.core.keyspace.stats);
    let [ops, net_in, net_out] = stats.rates();
    let is_blocked = |flags: ClientFlags| flags.has(ClientFlags::BLOCKED) || flags.has(ClientFlags::WAITING);
    let tracking = ctx.core.clients.iter().filter(|(_, client)| client.tracking.is_some()).count();
    let blocked = ctx.core.clients.iter().filter(|(_, client)| is_blocked(client.flags)).count();
    let watching = ctx.core.clients.iter().filter(|(_, client)| client.watches() > 0).count();
    [
        ctx.core.clients.len() as u64,
        blocked as u64,
        ctx.core.waiting_with_timeout as u64,
        ctx.core.keyspace.awaited() as u64,
        ctx.core.awaited_on_nokey as u64,
        watching as u64,
        ctx.core.keyspace.watched_keys() as u64,
        stats.commands_processed,
        stats.connections,
        stats.rejected_connections,
        stats.net_in,
        stats.net_out,
        stats.reads,
        stats.writes,
        stats.output_limit_disconnections,
        stats.query_limit_disconnections,
        ops,
        net_in,
        net_out,
        keys.hits,
        keys.misses,
        keys.expired,
        keys.expired_fields,
        keys.evicted,
        keys.dirty,
        keys.lazyfreed,
        ctx.core.keyspace.unreclaimed() as u64,
        keys.expired_time_cap_reached,
        stats.evicted_clients,
        stats.expire_cycle_nanos,
        (stats.stale_share * 1e6) as u64,
        ctx.core.scripts.bytes() as u64,
        tracking as u64,
        ctx.core.tracking.read.len() as u64,
        ctx.core.tracking.read.items(),
        ctx.core.log.written_bytes,
        ctx.core.log.unsynced_bytes,
        ctx.core.log.kept_bytes,
        u64::from(ctx.core.log.is_syncing),
        ctx.core.log.delayed_syncs,
    ]
}

impl CommandReport {
    fn write(&self, out: &mut Reply<'_>) {
        [self.calls, self.nanos, self.rejected, self.failed]
            .into_iter()
            .for_each(|number| out.int(number as i64));
        let filled: Vec<(usize, u64)> = self.latency.filled().collect();
        out.array(filled.len());
        for (bucket, count) in filled {
            out.int(bucket as i64);
            out.int(count as i64);
        }
    }

    fn add(&mut self, part: &mut Part<'_>) {
        self.calls += part.count();
        self.nanos += part.count();
        self.rejected += part.count();
        self.failed += part.count();
        for _ in 0..part.array() {
            self.latency.add(part.int() as usize, part.count());
        }
    }
}
