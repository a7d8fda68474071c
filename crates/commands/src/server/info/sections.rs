//! INFO's sections: fields as Redis 7.2 names them, as far as they mean something here. What is always 0 because
//! Lacewing has no such part yet (persistence, replicas) is printed where monitoring tools look for it.

use super::report::{Report, Sum};
use crate::core::{Core, LoadingGauges};
use crate::health::LogTrouble;
use crate::server::memory::{DbUsage, Footprint, percent};
use crate::table;
use pubsub::Kind;
use replication::info::Manner;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::Ordering::{self, Relaxed};
use stdx::UnixMs;

/// What sections are printed from.
pub(super) struct Scene<'a> {
    /// The core at which the caller is connected.
    pub(super) core: &'a Core,
    /// The numbers of all cores.
    pub(super) report: &'a Report,
    pub(super) now: UnixMs,
}

/// One section.
pub(super) struct Section {
    /// Its heading, and in lower case its name.
    pub(super) title: &'static str,
    /// Whether a plain INFO has it.
    pub(super) usual: bool,
    /// Whether it needs the numbers of each command.
    pub(super) per_command: bool,
    pub(super) print: fn(&Scene<'_>, &mut String),
}

/// In the order that INFO prints them.
pub(super) const SECTIONS: &[Section] = &[
    usual("Server", server),
    usual("Clients", clients),
    usual("Memory", memory),
    usual("Persistence", persistence),
    usual("Stats", stats),
    usual("Replication", replication),
    usual("CPU", cpu),
    usual("Modules", |_, _| {}),
    Section { title: "Commandstats", usual: false, per_command: true, print: command_stats },
    usual("Errorstats", error_stats),
    Section { title: "Latencystats", usual: false, per_command: true, print: latency_stats },
    usual("Cluster", |_, text| line(text, "cluster_enabled", 0)),
    usual("Keyspace", keyspace),
];

const fn usual(title: &'static str, print: fn(&Scene<'_>, &mut String)) -> Section {
    Section { title, usual: true, per_command: false, print }
}

pub(super) fn line(text: &mut String, name: &str, value: impl std::fmt::Display) {
    write!(text, "{name}:{value}\r\n").expect("a String takes what is written");
}

/// Fields that do not apply yet.
fn zeros(text: &mut String, names: &[&str]) {
    names.iter().for_each(|name| line(text, name, 0));
}

/// A number of bytes, and again for people.
fn bytes(text: &mut String, name: &str, bytes: u64) {
    line(text, name, bytes);
    line(text, &format!("{name}_human"), human(bytes));
}

fn server(scene: &Scene<'_>, text: &mut String) {
    let (shared, config) = (&scene.core.shared, &scene.core.config);
    let uptime_s = (scene.now.0 - shared.started.0).max(0) / 1000;
    line(text, "redis_version", crate::REDIS_VERSION);
    line(text, "redis_git_sha1", "00000000");
    line(text, "redis_git_dirty", 0);
    line(text, "redis_build_id", 0);
    line(text, "redis_mode", "standalone");
    line(text, "lacewing_version", crate::VERSION);
    line(text, "cores", scene.core.shards);
    line(text, "os", &shared.os);
    line(text, "arch_bits", usize::BITS);
    line(text, "monotonic_clock", "POSIX clock_gettime");
    line(text, "multiplexing_api", "io_uring");
    // Rust's atomics are those of C11; Redis prints this version when another compiler than GCC built it.
    line(text, "atomicvar_api", "c11-builtin");
    line(text, "gcc_version", "0.0.0");
    line(text, "process_id", shared.process_id);
    line(text, "process_supervised", if shared.supervised.is_empty() { "no" } else { shared.supervised });
    line(text, "run_id", &shared.run_id);
    line(text, "tcp_port", shared.port);
    line(text, "server_time_usec", scene.core.clock_us.max(scene.now.0 * 1000));
    line(text, "uptime_in_seconds", uptime_s);
    line(text, "uptime_in_days", uptime_s / 86400);
    line(text, "hz", config.hz);
    line(text, "configured_hz", config.hz);
    line(text, "lru_clock", (scene.now.0 / 1000) & 0xff_ffff);
    line(text, "executable", &shared.executable);
    line(text, "config_file", &shared.config_file);
    line(text, "io_threads_active", 0);
}

fn clients(scene: &Scene<'_>, text: &mut String) {
    let [query, output] = scene.report.buffers_max();
    line(text, "connected_clients", scene.report.sum(Sum::Clients));
    line(text, "cluster_connections", 0);
    line(text, "maxclients", scene.core.config.maxclients);
    line(text, "client_recent_max_input_buffer", query);
    line(text, "client_recent_max_output_buffer", output);
    line(text, "blocked_clients", scene.report.sum(Sum::BlockedClients));
    line(text, "tracking_clients", scene.report.sum(Sum::TrackingClients));
    line(text, "clients_in_timeout_table", scene.report.sum(Sum::WaitingWithTimeout));
    line(text, "total_blocking_keys", scene.report.sum(Sum::BlockingKeys));
    line(text, "total_blocking_keys_on_nokey", scene.report.sum(Sum::BlockingKeysOnNokey));
    line(text, "watching_clients", scene.report.sum(Sum::WatchingClients));
    line(text, "total_watched_keys", scene.report.sum(Sum::WatchedKeys));
}

fn memory(scene: &Scene<'_>, text: &mut String) {
    let (shared, config, usage) = (&scene.core.shared, &scene.core.config, &scene.report.usage);
    let footprint = Footprint::of(shared, usage);
    let Footprint { used, peak, startup, rss } = footprint;
    bytes(text, "used_memory", used);
    bytes(text, "used_memory_rss", rss);
    bytes(text, "used_memory_peak", peak);
    line(text, "used_memory_peak_perc", format_args!("{:.2}%", percent(used, peak)));
    line(text, "used_memory_overhead", usage.total_overhead());
    line(text, "used_memory_startup", startup);
    line(text, "used_memory_dataset", usage.dataset());
    line(text, "used_memory_dataset_perc", format_args!("{:.2}%", percent(usage.dataset(), used)));
    line(text, "allocator_allocated", used);
    line(text, "allocator_resident", rss);
    // Lacewing's own: what comes from a master beside the data that is served.
    line(text, "used_memory_incoming", usage.incoming);
    bytes(text, "total_system_memory", shared.total_system_memory);
    // Functions have no interpreters of their own.
    let (interpreters, scripts) = (scene.report.sum(Sum::InterpreterBytes), shared.scripts.gauges());
    bytes(text, "used_memory_lua", interpreters);
    line(text, "used_memory_vm_eval", interpreters);
    line(text, "used_memory_scripts_eval", scripts.script_bytes);
    line(text, "number_of_cached_scripts", scripts.scripts);
    line(text, "number_of_functions", scripts.functions);
    line(text, "number_of_libraries", scripts.libraries);
    line(text, "used_memory_vm_functions", 0);
    bytes(text, "used_memory_vm_total", interpreters);
    line(text, "used_memory_functions", scripts.library_bytes);
    bytes(text, "used_memory_scripts", (scripts.script_bytes + scripts.library_bytes) as u64);
    bytes(text, "maxmemory", config.maxmemory);
    line(text, "maxmemory_policy", config::Choice::name(config.maxmemory_policy));
    line(text, "mem_fragmentation_ratio", format_args!("{:.2}", footprint.fragmentation()));
    line(text, "mem_fragmentation_bytes", footprint.fragmentation_bytes());
    // What clients take is no reason to evict keys, nor what comes from a master.
    line(text, "mem_not_counted_for_evict", usage.clients + usage.incoming);
    let kept = shared.masters.known().kept_bytes();
    line(text, "mem_replication_backlog", kept);
    line(text, "mem_total_replication_buffers", kept);
    zeros(text, &["mem_clients_slaves"]);
    line(text, "mem_clients_normal", usage.clients);
    zeros(text, &["mem_cluster_links", "mem_aof_buffer"]);
    line(text, "mem_allocator", shared.allocator_name());
    zeros(text, &["active_defrag_running"]);
    line(text, "lazyfree_pending_objects", scene.report.sum(Sum::LazyfreePending));
    line(text, "lazyfreed_objects", scene.report.sum(Sum::Lazyfreed));
}

fn persistence(scene: &Scene<'_>, text: &mut String) {
    let loading = &scene.core.shared.loading;
    line(text, "loading", u8::from(loading.is_on()));
    line(text, "async_loading", u8::from(loading.is_beside.load(Relaxed)));
    let desk = scene.core.shared.saves.view();
    super::saves::progress(scene, &desk, text);
    super::saves::snapshots(scene, &desk, text);
    line(text, "rdb_last_load_keys_expired", loading.keys_expired.load(Relaxed));
    line(text, "rdb_last_load_keys_loaded", loading.keys_loaded.load(Relaxed));
    line(text, "aof_enabled", u8::from(scene.core.log.is_on));
    super::saves::rewrites(scene, &desk, text);
    let troubles = scene.core.shared.health.logs();
    line(text, "aof_last_write_status", if troubles.is_empty() { "ok" } else { "err" });
    zeros(text, &["aof_last_cow_size", "module_fork_in_progress", "module_fork_last_cow_size"]);
    if scene.core.log.is_on {
        log(scene, &troubles, text);
    }
    if let Some(archived) = scene.core.shared.archived.view() {
        line(text, "log_archive_status", if archived.failures == 0 { "ok" } else { "err" });
        line(text, "log_archive_last_time", archived.newest.0 / 1000);
        line(text, "log_archive_pending_bytes", archived.owed_bytes);
        line(text, "log_archive_consecutive_failures", archived.failures);
        line(text, "log_archive_last_error", archived.error);
    }
    if loading.is_on() || loading.is_beside.load(Relaxed) {
        load(loading, scene.now, text);
    }
}

/// The log that is written.
fn log(scene: &Scene<'_>, troubles: &BTreeMap<u16, LogTrouble>, text: &mut String) {
    let (sum, gauges) = (|number| scene.report.sum(number), &scene.core.shared.log);
    line(text, "aof_current_size", gauges.current_bytes(sum(Sum::LogWrittenBytes)));
    line(text, "aof_base_size", gauges.base_bytes());
    zeros(text, &["aof_pending_rewrite"]);
    line(text, "aof_buffer_length", sum(Sum::LogKeptBytes));
    line(text, "aof_pending_bio_fsync", sum(Sum::LogSyncs));
    line(text, "aof_delayed_fsync", sum(Sum::LogDelayedSyncs));
    // From here on Lacewing's own.
    line(text, "aof_unsynced_bytes", sum(Sum::LogUnsyncedBytes));
    for (shard, trouble) in troubles {
        line(text, &format!("aof_write_error_shard_{shard}"), &trouble.reason);
    }
}

/// How far a load has come.
fn load(loading: &LoadingGauges, now: UnixMs, text: &mut String) {
    let (started, total) = (loading.started_s.load(Relaxed), loading.total_bytes.load(Relaxed));
    let loaded = loading.loaded_bytes.load(Relaxed);
    let elapsed = u64::try_from(now.0 / 1000 - started).unwrap_or(0);
    let left = u128::from(elapsed) * u128::from(total.saturating_sub(loaded)) / (u128::from(loaded) + 1);
    line(text, "loading_start_time", started);
    line(text, "loading_total_bytes", total);
    line(text, "loading_rdb_used_mem", loading.rdb_used_mem.load(Relaxed));
    line(text, "loading_loaded_bytes", loaded);
    // A master that ends its copy with a mark does not say how long it is.
    let percent = if total == 0 { 0.0 } else { loaded as f64 * 100.0 / total as f64 };
    line(text, "loading_loaded_perc", format_args!("{percent:.2}"));
    // In its first second there is too little to tell from, and Redis says 1.
    line(text, "loading_keys_loaded", loading.keys_loaded.load(Relaxed));
    line(text, "loading_commands_run", loading.commands_run.load(Relaxed));
    line(text, "loading_eta_seconds", if elapsed == 0 { 1 } else { left });
}

fn stats(scene: &Scene<'_>, text: &mut String) {
    let sum = |number| scene.report.sum(number);
    let kbps = |number| format!("{:.2}", scene.report.sum(number) as f64 / 1024.0);
    line(text, "total_connections_received", sum(Sum::Connections));
    line(text, "total_commands_processed", sum(Sum::CommandsProcessed));
    line(text, "instantaneous_ops_per_sec", sum(Sum::OpsPerSecond));
    line(text, "total_net_input_bytes", sum(Sum::NetIn));
    line(text, "total_net_output_bytes", sum(Sum::NetOut));
    zeros(text, &["total_net_repl_input_bytes"]);
    line(text, "total_net_repl_output_bytes", scene.core.shared.masters.sent_bytes.load(Relaxed));
    line(text, "instantaneous_input_kbps", kbps(Sum::NetInPerSecond));
    line(text, "instantaneous_output_kbps", kbps(Sum::NetOutPerSecond));
    line(text, "instantaneous_input_repl_kbps", "0.00");
    line(text, "instantaneous_output_repl_kbps", "0.00");
    line(text, "rejected_connections", sum(Sum::RejectedConnections));
    let masters = &scene.core.shared.masters;
    line(text, "sync_full", masters.full_syncs.load(Relaxed));
    line(text, "sync_partial_ok", masters.partial_syncs.load(Relaxed));
    line(text, "sync_partial_err", masters.partial_refusals.load(Relaxed));
    // As of Redis 7.4: fields of hashes.
    line(text, "expired_subkeys", sum(Sum::ExpiredFields));
    line(text, "expired_keys", sum(Sum::Expired));
    // Each core sees its own keys: the mean of what they see.
    let stale_percent = sum(Sum::StaleMillionths) as f64 / 1e4 / f64::from(scene.core.shards);
    line(text, "expired_stale_perc", format_args!("{stale_percent:.2}"));
    line(text, "expired_time_cap_reached_count", sum(Sum::ExpiredTimeCapReached));
    line(text, "expire_cycle_cpu_milliseconds", sum(Sum::ExpireCycleNanos) / 1_000_000);
    line(text, "evicted_keys", sum(Sum::Evicted));
    line(text, "evicted_clients", sum(Sum::EvictedClients));
    // As of Redis 7.4.
    line(text, "evicted_scripts", scene.core.shared.scripts.gauges().evicted_scripts);
    let [in_all, this_time] = scene.report.over_limit_nanos();
    line(text, "total_eviction_exceeded_time", in_all / 1_000_000);
    line(text, "current_eviction_exceeded_time", this_time / 1_000_000);
    line(text, "keyspace_hits", sum(Sum::Hits));
    line(text, "keyspace_misses", sum(Sum::Misses));
    let pubsub = &scene.core.pubsub;
    line(text, "pubsub_channels", pubsub.names(Kind::Channel));
    line(text, "pubsub_patterns", pubsub.names(Kind::Pattern));
    line(text, "pubsubshard_channels", pubsub.names(Kind::Shard));
    zeros(text, &["latest_fork_usec", "total_forks", "migrate_cached_sockets"]);
    zeros(text, &["slave_expires_tracked_keys", "active_defrag_hits", "active_defrag_misses"]);
    zeros(text, &["active_defrag_key_hits", "active_defrag_key_misses"]);
    zeros(text, &["total_active_defrag_time", "current_active_defrag_time"]);
    line(text, "tracking_total_keys", sum(Sum::TrackedKeys));
    line(text, "tracking_total_items", sum(Sum::TrackedItems));
    line(text, "tracking_total_prefixes", pubsub.names(Kind::Prefix));
    line(text, "unexpected_error_replies", 0);
    line(text, "total_error_replies", scene.report.errors.total());
    line(text, "dump_payload_sanitizations", 0);
    line(text, "total_reads_processed", sum(Sum::Reads));
    line(text, "total_writes_processed", sum(Sum::Writes));
    zeros(text, &["io_threaded_reads_processed", "io_threaded_writes_processed"]);
    zeros(text, &["reply_buffer_shrinks", "reply_buffer_expands"]);
    line(text, "client_query_buffer_limit_disconnections", sum(Sum::QueryLimitDisconnections));
    line(text, "client_output_buffer_limit_disconnections", sum(Sum::OutputLimitDisconnections));
    let refused = scene.report.errors.iter().find(|(code, _)| *code == "WRONGPASS");
    line(text, "acl_access_denied_auth", refused.map_or(0, |(_, count)| count));
    zeros(text, &["acl_access_denied_cmd", "acl_access_denied_key", "acl_access_denied_channel"]);
}

fn replication(scene: &Scene<'_>, text: &mut String) {
    role(scene, text);
    let core = scene.core;
    let now = stdx::UnixMs(core.clock_us / 1000);
    let (run_id, backlog_bytes) = (&core.shared.run_id, core.config.repl_backlog_bytes);
    core.shared.masters.lines(core.shared.replica.position(), run_id, backlog_bytes, now, text);
}

/// Whom the server follows, and how far it is with that.
fn role(scene: &Scene<'_>, text: &mut String) {
    let Scene { core, .. } = scene;
    let now_ms = (core.nanos)() / 1_000_000;
    let Some((facts, _)) = core.shared.replica.facts(now_ms) else {
        return line(text, "role", "master");
    };
    let config = &core.config;
    let manner = Manner {
        priority: config.replica_priority,
        is_read_only: config.replica_read_only,
        is_announced: config.replica_announced,
    };
    replication::info::role(&facts, manner, now_ms, text);
    // The link stands, and what comes is not applied before the disk takes it.
    if let Some(trouble) = core.shared.health.logs().values().next() {
        line(text, "master_link_held_by", replication::info::as_value(&trouble.reason));
    }
}

fn cpu(scene: &Scene<'_>, text: &mut String) {
    let process = &scene.core.shared.process;
    let seconds = |micros: u64| format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000);
    line(text, "used_cpu_sys", seconds(process.cpu_system_us.load(Ordering::Relaxed)));
    line(text, "used_cpu_user", seconds(process.cpu_user_us.load(Ordering::Relaxed)));
    line(text, "used_cpu_sys_children", seconds(0));
    line(text, "used_cpu_user_children", seconds(0));
    let [system, user] = [&process.core_system_us, &process.core_user_us];
    line(text, "used_cpu_sys_main_thread", seconds(system.load(Ordering::Relaxed)));
    line(text, "used_cpu_user_main_thread", seconds(user.load(Ordering::Relaxed)));
}

fn command_stats(scene: &Scene<'_>, text: &mut String) {
    for (index, command) in &scene.report.commands {
        // A hidden one is not told of.
        let Some(name) = table::all().get(*index as usize).map(|command| command.full_name) else { continue };
        let micros = command.nanos / 1000;
        let per_call = command.nanos as f64 / 1000.0 / command.calls.max(1) as f64;
        let numbers = format_args!(
            "calls={},usec={micros},usec_per_call={per_call:.2},rejected_calls={},failed_calls={}",
            command.calls, command.rejected, command.failed
        );
        line(text, &format!("cmdstat_{name}"), numbers);
    }
}

fn error_stats(scene: &Scene<'_>, text: &mut String) {
    for (code, count) in scene.report.errors.iter() {
        line(text, &format!("errorstat_{code}"), format_args!("count={count}"));
    }
}

fn latency_stats(scene: &Scene<'_>, text: &mut String) {
    if !scene.core.config.latency_tracking {
        return;
    }
    let percentiles = scene.core.config.latency_tracking_info_percentiles.as_slice();
    for (index, command) in scene.report.commands.iter().filter(|(_, command)| command.latency.total() > 0) {
        let one = |percent: &f64| {
            let nanos = command.latency.percentile(*percent);
            format!("p{percent}={}.{:03}", nanos / 1000, nanos % 1000)
        };
        let Some(name) = table::all().get(*index as usize).map(|command| command.full_name) else { continue };
        let numbers: Vec<String> = percentiles.iter().map(one).collect();
        line(text, &format!("latency_percentiles_usec_{name}"), numbers.join(","));
    }
}

fn keyspace(scene: &Scene<'_>, text: &mut String) {
    for (index, db) in scene.report.usage.dbs.iter().enumerate().filter(|(_, db)| db.keys > 0) {
        let average_ms = db.ttl_sum_ms.checked_div(db.expiring).unwrap_or(0);
        let DbUsage { keys, expiring, hashes_with_expiry, .. } = db;
        let numbers = format_args!(
            "keys={keys},expires={expiring},avg_ttl={average_ms},subexpiry={hashes_with_expiry}"
        );
        line(text, &format!("db{index}"), numbers);
    }
}

/// Bytes with two decimals and a unit: `1.50K`.
fn human(bytes: u64) -> String {
    let power = bytes.checked_ilog2().unwrap_or(0) as usize / 10;
    match power {
        0 => format!("{bytes}B"),
        _ => format!("{:.2}{}", bytes as f64 / (1u64 << (10 * power.min(5))) as f64, UNITS[power.min(5) - 1]),
    }
}

const UNITS: [&str; 5] = ["K", "M", "G", "T", "P"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_for_people() {
        let check = |bytes, expected: &str| assert_eq!(human(bytes), expected);
        check(0, "0B");
        check(1023, "1023B");
        check(940_968, "918.91K");
        check(12_079_104, "11.52M");
        check(u64::MAX, "16384.00P");
    }
}
