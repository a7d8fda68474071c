//! Counters of one core, and of each command on it.

use crate::errors::ErrorCounts;
use crate::histogram::Histogram;
use crate::rate::Rate;

/// What one core counts. The hot path touches [`Stats::record`] and the plain counters only.
#[derive(Clone, Debug, Default)]
pub struct Stats {
    /// Commands that ran (total_commands_processed).
    pub commands_processed: u64,
    /// Connections accepted (total_connections_received).
    pub connections: u64,
    /// Connections refused because of maxclients (rejected_connections).
    pub rejected_connections: u64,
    /// Bytes read from clients.
    pub net_in: u64,
    /// Bytes written to clients.
    pub net_out: u64,
    /// Reads from client sockets (total_reads_processed).
    pub reads: u64,
    /// Writes to client sockets (total_writes_processed).
    pub writes: u64,
    /// Clients cut because their output buffer passed its limit.
    pub output_limit_disconnections: u64,
    /// Clients cut because their query buffer passed its limit.
    pub query_limit_disconnections: u64,
    /// The largest query buffer seen of late, in bytes (client_recent_max_input_buffer).
    pub recent_query_bytes_max: usize,
    /// The largest output buffer seen of late, in bytes (client_recent_max_output_buffer).
    pub recent_output_bytes_max: usize,
    /// Clients cut because all of them together passed maxmemory-clients (evicted_clients).
    pub evicted_clients: u64,
    /// How long the expire cycle ran, in ns (expire_cycle_cpu_milliseconds).
    pub expire_cycle_nanos: u64,
    /// The share of expired keys among those that the expire cycle looks at, of late, 0 to 1 (expired_stale_perc).
    pub stale_share: f64,
    /// For how long memory was over maxmemory after all evicting, in ns, without the present time
    /// (total_eviction_exceeded_time).
    pub eviction_exceeded_nanos: u64,
    /// latency-tracking is off: no histograms grow.
    pub latency_off: bool,
    /// Error replies by code.
    pub errors: ErrorCounts,
    commands: Vec<CommandStats>,
    rates: Rates,
}

/// What is counted about one command.
#[derive(Clone, Debug, Default)]
pub struct CommandStats {
    /// How often it ran.
    pub calls: u64,
    /// How long it ran in all, in ns.
    pub nanos: u64,
    /// How often it was refused before it ran (arity, auth, memory).
    pub rejected: u64,
    /// How often it ran and answered an error.
    pub failed: u64,
    /// How long it ran each time; there once it ran.
    pub latency: Option<Histogram>,
}

#[derive(Clone, Debug, Default)]
struct Rates {
    ops: Rate,
    net_in: Rate,
    net_out: Rate,
}

impl Stats {
    /// Counts one run of the command with this index in the table. Allocates the first time only.
    #[inline]
    pub fn record(&mut self, index: u16, nanos: u64) {
        self.commands_processed += 1;
        let off = self.latency_off;
        let stats = self.command_mut(index);
        stats.calls += 1;
        stats.nanos += nanos;
        if off {
            return;
        }
        match &mut stats.latency {
            Some(histogram) => histogram.record(nanos),
            None => first_latency(&mut stats.latency, nanos),
        }
    }

    /// Counts one run whose time was not taken.
    #[inline]
    pub fn record_untimed(&mut self, index: u16) {
        self.commands_processed += 1;
        self.command_mut(index).calls += 1;
    }

    /// Counts an error that a run of the command answered; `text` as sent, without the leading `-`.
    #[cold]
    pub fn failed(&mut self, index: u16, text: impl AsRef<[u8]>) {
        self.command_mut(index).failed += 1;
        self.errors.record(text);
    }

    /// Counts a run of the command that answered an error which has been counted: that of a command that it ran.
    #[cold]
    pub fn failed_of_another(&mut self, index: u16) {
        self.command_mut(index).failed += 1;
    }

    /// Counts a command refused before it ran; `text` as sent, without the leading `-`.
    #[cold]
    pub fn rejected(&mut self, index: u16, text: impl AsRef<[u8]>) {
        self.command_mut(index).rejected += 1;
        self.errors.record(text);
    }

    /// Counts an error of no command: an unknown one, or a protocol error.
    #[cold]
    pub fn refused(&mut self, text: impl AsRef<[u8]>) {
        self.errors.record(text);
    }

    /// The counters of all commands that were seen, with their indices.
    pub fn commands(&self) -> impl Iterator<Item = (u16, &CommandStats)> {
        let seen = |stats: &CommandStats| stats.calls + stats.rejected + stats.failed > 0;
        self.commands
            .iter()
            .enumerate()
            .filter(move |(_, stats)| seen(stats))
            .map(|(index, stats)| (index as u16, stats))
    }

    /// Samples the rates; to be called every [`crate::rate::SAMPLE_INTERVAL_MS`].
    pub fn sample(&mut self, now_ms: i64) {
        self.rates.ops.sample(self.commands_processed, now_ms);
        self.rates.net_in.sample(self.net_in, now_ms);
        self.rates.net_out.sample(self.net_out, now_ms);
    }

    /// Commands, bytes in and bytes out per second, over the last moments.
    pub fn rates(&self) -> [u64; 3] {
        [self.rates.ops.per_second(), self.rates.net_in.per_second(), self.rates.net_out.per_second()]
    }

    /// Notes what a call of the expire cycle found and how long it took. As in Redis, a call weighs one in twenty.
    pub fn expire_cycle_ran(&mut self, looked: usize, removed: usize, nanos: u64) {
        let share = if looked == 0 { 0.0 } else { removed as f64 / looked as f64 };
        self.stale_share = share * 0.05 + self.stale_share * 0.95;
        self.expire_cycle_nanos += nanos;
    }

    /// CONFIG RESETSTAT: everything back to nothing.
    pub fn reset(&mut self) {
        *self = Self { latency_off: self.latency_off, ..Self::default() };
    }

    #[inline]
    fn command_mut(&mut self, index: u16) -> &mut CommandStats {
        if index as usize >= self.commands.len() {
            self.grow(index);
        }
        &mut self.commands[index as usize]
    }

    #[cold]
    fn grow(&mut self, index: u16) {
        self.commands.resize_with(index as usize + 1, CommandStats::default);
    }
}

#[cold]
fn first_latency(latency: &mut Option<Histogram>, nanos: u64) {
    latency.insert(Histogram::default()).record(nanos);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_errors_and_refusals_count_apart() {
        let mut stats = Stats::default();
        stats.record(7, 1500);
        stats.record(7, 500);
        stats.failed(7, "WRONGTYPE no");
        stats.rejected(3, "ERR wrong number of arguments");
        stats.record_untimed(0);
        let seen: Vec<_> = stats
            .commands()
            .map(|(index, command)| (index, command.calls, command.nanos, command.failed, command.rejected))
            .collect();
        assert_eq!(seen, [(0, 1, 0, 0, 0), (3, 0, 0, 0, 1), (7, 2, 2000, 1, 0)]);
        assert_eq!(stats.commands_processed, 3);
        assert_eq!(stats.errors.total(), 2);
        stats.reset();
        assert_eq!(stats.commands().count(), 0);
    }

    #[test]
    fn histograms_stand_still_while_latency_is_not_tracked() {
        let mut stats = Stats::default();
        let timed = |stats: &Stats| {
            stats
                .commands()
                .next()
                .map(|(_, command)| (command.calls, command.latency.as_ref().map_or(0, Histogram::total)))
        };
        stats.latency_off = true;
        stats.record(7, 1500);
        assert_eq!(timed(&stats), Some((1, 0)));
        stats.latency_off = false;
        stats.record(7, 1500);
        assert_eq!(timed(&stats), Some((2, 1)));
        stats.latency_off = true;
        stats.record(7, 1500);
        assert_eq!(timed(&stats), Some((3, 1)));
        stats.reset();
        assert!(stats.latency_off, "a setting outlives RESETSTAT");
    }

    #[test]
    fn the_stale_share_follows_what_the_cycle_finds() {
        let mut stats = Stats::default();
        (0..200).for_each(|_| stats.expire_cycle_ran(20, 10, 1000));
        assert!((0.49..0.51).contains(&stats.stale_share), "{}", stats.stale_share);
        (0..200).for_each(|_| stats.expire_cycle_ran(0, 0, 0));
        assert!(stats.stale_share < 0.01 && stats.expire_cycle_nanos == 200_000);
    }
}
