//! The configuration as the server reads it.

use std::collections::BTreeMap;

use crate::{
    Access, AppendFsync, BindAddress, Cores, KeyspaceEvents, LogLevel, MasterAddress, MaxmemoryPolicy,
    MemoryOrPercent, OnLoadFailure, OutputLimits, Percentiles, Pin, PipelineOrder, ReplDisklessLoad,
    SavePoints, Schedule, Secret, SnapshotCompression, Supervised, Until, Value, table,
};

/// Declares the struct and `blank`, which has every field empty: the defaults come from the table alone.
macro_rules! config {
    ($(#[$meta:meta])* pub struct Config { $($(#[$doc:meta])* $vis:vis $field:ident: $type:ty,)+ }) => {
        $(#[$meta])*
        pub struct Config { $($(#[$doc])* $vis $field: $type,)+ }

        impl Config {
            fn blank() -> Self {
                Self { $($field: Default::default(),)+ }
            }
        }
    };
}

config! {
    /// What was configured: one field per parameter that does something, with its name in the table. Copy what a hot
    /// path needs, or read it in place: every read is a plain load.
    #[derive(Clone, Debug, PartialEq)]
    pub struct Config {
        /// `port`; 0 means no TCP.
        pub port: u16,
        /// `bind`; empty means no TCP.
        pub bind: Vec<BindAddress>,
        /// `unixsocket`.
        pub unixsocket: Option<String>,
        /// `unixsocketperm`; 0 leaves what the umask gives.
        pub unixsocketperm: u32,
        /// `tcp-backlog`.
        pub tcp_backlog: u32,
        /// `timeout`, in seconds; 0 means never.
        pub timeout_s: u32,
        /// `tcp-keepalive`, in seconds; 0 means off.
        pub tcp_keepalive_s: u32,
        /// `protected-mode`.
        pub protected_mode: bool,
        /// `maxclients`.
        pub maxclients: u32,
        /// `client-output-buffer-limit`.
        pub client_output_buffer_limit: OutputLimits,
        /// `client-query-buffer-limit`, in bytes.
        pub client_query_buffer_limit: u64,
        /// `proto-max-bulk-len`, in bytes.
        pub proto_max_bulk_len: u64,
        /// `tracking-table-max-keys`; 0 means no bound.
        pub tracking_table_max_keys: u64,

        /// `cores`.
        pub cores: Cores,
        /// `pin`.
        pub pin: Pin,
        /// `pipeline-order`.
        pub pipeline_order: PipelineOrder,

        /// `databases`.
        pub databases: u16,
        /// `dir`.
        pub dir: String,
        /// `snapshot-dir`: where snapshot sets go; `None` is the data directory.
        pub snapshot_dir: Option<String>,
        /// `log-archive-interval`, in seconds; 0 is never.
        pub log_archive_interval_s: u32,
        /// `import`: the file to load at start; `None` is none.
        pub import: Option<String>,
        /// `on-load-failure`.
        pub on_load_failure: OnLoadFailure,
        /// `recover-until`.
        pub recover_until: Option<Until>,
        /// `snapshot-take-over`.
        pub snapshot_take_over: bool,
        /// `expect-data`.
        pub expect_data: bool,
        /// `appendonly`.
        pub appendonly: bool,
        /// `log-segment-size`, in bytes.
        pub log_segment_bytes: u64,
        /// `auto-aof-rewrite-percentage`; 0 is never.
        pub auto_aof_rewrite_percentage: u32,
        /// `auto-aof-rewrite-min-size`, in bytes.
        pub auto_aof_rewrite_min_bytes: u64,
        /// `aof-load-truncated`.
        pub aof_load_truncated: bool,
        /// `key-load-delay`, in microseconds per key.
        pub key_load_delay_us: u32,
        /// `logfile`; `None` is standard output.
        pub logfile: Option<String>,
        /// `loglevel`.
        pub loglevel: LogLevel,
        /// `supervised`.
        pub supervised: Supervised,
        /// `pidfile`.
        pub pidfile: Option<String>,
        /// `hz`: background work per second, 1 to 500.
        pub hz: u32,

        /// `requirepass`; empty means none.
        pub requirepass: Secret,
        /// `enable-debug-command`.
        pub enable_debug_command: Access,
        /// `enable-protected-configs`.
        pub enable_protected_configs: Access,
        /// `acllog-max-len`.
        pub acllog_max_len: u64,

        /// `maxmemory`, in bytes; 0 means no limit.
        pub maxmemory: u64,
        /// `maxmemory-policy`.
        pub maxmemory_policy: MaxmemoryPolicy,
        /// `maxmemory-samples`.
        pub maxmemory_samples: u32,
        /// `maxmemory-eviction-tenacity`, 0 to 100.
        pub maxmemory_eviction_tenacity: u32,
        /// `maxmemory-clients`.
        pub maxmemory_clients: MemoryOrPercent,
        /// `lfu-log-factor`.
        pub lfu_log_factor: u32,
        /// `lfu-decay-time`, in minutes.
        pub lfu_decay_time_min: u32,
        /// `disable-thp`.
        pub disable_thp: bool,
        /// `lazyfree-lazy-eviction`.
        pub lazyfree_lazy_eviction: bool,
        /// `lazyfree-lazy-expire`.
        pub lazyfree_lazy_expire: bool,
        /// `lazyfree-lazy-server-del`.
        pub lazyfree_lazy_server_del: bool,
        /// `lazyfree-lazy-user-del`.
        pub lazyfree_lazy_user_del: bool,
        /// `lazyfree-lazy-user-flush`.
        pub lazyfree_lazy_user_flush: bool,
        /// `active-expire-effort`, 1 to 10.
        pub active_expire_effort: u32,

        /// `slowlog-log-slower-than`, in microseconds; negative means off.
        pub slowlog_log_slower_than_us: i64,
        /// `slowlog-max-len`.
        pub slowlog_max_len: u64,
        /// `latency-monitor-threshold`, in milliseconds; 0 means off.
        pub latency_monitor_threshold_ms: u64,
        /// `latency-tracking`.
        pub latency_tracking: bool,
        /// `latency-tracking-info-percentiles`.
        pub latency_tracking_info_percentiles: Percentiles,
        /// `notify-keyspace-events`.
        pub notify_keyspace_events: KeyspaceEvents,
        /// `busy-reply-threshold`, in milliseconds; 0 means never.
        pub busy_reply_threshold_ms: u64,
        /// `lua-memory-max`, in bytes.
        pub lua_memory_max: u64,
        /// `lua-instructions-max`; 0 means no limit.
        pub lua_instructions_max: u64,

        /// `hash-max-listpack-entries`.
        pub hash_max_listpack_entries: u64,
        /// `hash-max-listpack-value`, in bytes.
        pub hash_max_listpack_value: u64,
        /// `list-max-listpack-size`: positive is entries, -1 to -5 is 4 to 64 KiB.
        pub list_max_listpack_size: i32,
        /// `list-compress-depth`.
        pub list_compress_depth: u32,
        /// `set-max-intset-entries`.
        pub set_max_intset_entries: u64,
        /// `set-max-listpack-entries`.
        pub set_max_listpack_entries: u64,
        /// `set-max-listpack-value`, in bytes.
        pub set_max_listpack_value: u64,
        /// `zset-max-listpack-entries`.
        pub zset_max_listpack_entries: u64,
        /// `zset-max-listpack-value`, in bytes.
        pub zset_max_listpack_value: u64,
        /// `stream-node-max-bytes`.
        pub stream_node_max_bytes: u64,
        /// `stream-node-max-entries`.
        pub stream_node_max_entries: u64,
        /// `hll-sparse-max-bytes`.
        pub hll_sparse_max_bytes: u64,
        /// `appendfsync`.
        pub appendfsync: AppendFsync,
        /// `save`.
        pub save: SavePoints,
        /// `snapshot-schedule`.
        pub snapshot_schedule: Schedule,
        /// `snapshot-keep`, at least 1.
        pub snapshot_keep: u32,
        /// `snapshot-compression`.
        pub snapshot_compression: SnapshotCompression,
        /// `rdb-save-incremental-fsync`.
        pub rdb_save_incremental_fsync: bool,
        /// `stop-writes-on-bgsave-error`.
        pub stop_writes_on_bgsave_error: bool,
        /// `dbfilename`; `None` is empty.
        pub dbfilename: Option<String>,
        /// `rdbcompression`.
        pub rdbcompression: bool,

        /// `replicaof`: whom this server follows now; `None` is nobody.
        pub replicaof: Option<MasterAddress>,
        /// `masterauth`; empty means none.
        pub masterauth: Secret,
        /// `masteruser`; `None` is the default user.
        pub masteruser: Option<String>,
        /// `replica-read-only`.
        pub replica_read_only: bool,
        /// `replica-serve-stale-data`.
        pub replica_serve_stale_data: bool,
        /// `replica-accept-less`.
        pub replica_accept_less: bool,
        /// `replica-priority`.
        pub replica_priority: u32,
        /// `replica-announce-ip`.
        pub replica_announce_ip: Option<String>,
        /// `replica-announce-port`; 0 is the port.
        pub replica_announce_port: u16,
        /// `replica-announced`.
        pub replica_announced: bool,
        /// `repl-diskless-load`.
        pub repl_diskless_load: ReplDisklessLoad,
        /// `repl-flows`.
        pub repl_flows: bool,
        /// `repl-timeout`, in seconds.
        pub repl_timeout_s: u32,
        /// `shutdown-timeout`, in seconds; 0 is not at all.
        pub shutdown_timeout_s: u32,
        /// `repl-disable-tcp-nodelay`.
        pub repl_disable_tcp_nodelay: bool,
        /// `repl-ping-replica-period`, in seconds.
        pub repl_ping_replica_period_s: u32,
        /// `repl-backlog-size`, in bytes.
        pub repl_backlog_bytes: u64,
        /// `repl-backlog-ttl`, in seconds; 0 is for ever.
        pub repl_backlog_ttl_s: u32,
        /// `min-replicas-to-write`; 0 is off.
        pub min_replicas_to_write: u32,
        /// `min-replicas-max-lag`, in seconds; 0 is off.
        pub min_replicas_max_lag_s: u32,

        /// Values of parameters that do nothing, by name; all of them are here.
        pub(crate) inert: BTreeMap<&'static str, Value>,
    }
}

impl Config {
    /// Whether there is no address and no socket to listen on.
    pub fn listens_nowhere(&self) -> bool {
        (self.port == 0 || self.bind.is_empty()) && self.unixsocket.is_none()
    }

    /// One line for each parameter that was set to something and does nothing, for the log.
    pub fn notes(&self) -> Vec<String> {
        let default = Config::default();
        let ignored = table::params().filter_map(|param| {
            let why = param.inert_because()?;
            let value = param.get(self);
            (value != param.get(&default)).then(|| format!("'{} {value}' has no effect: {why}", param.name))
        });
        ignored.collect()
    }
}

impl Default for Config {
    /// Every parameter as the table has it.
    fn default() -> Self {
        let mut config = Self::blank();
        for param in table::params() {
            let words = stdx::words::texts(param.default).expect("defaults are well quoted");
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            param.set(&mut config, &words).expect("defaults are within bounds");
        }
        config
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_those_of_redis_and_safe() {
        let config = Config::default();
        assert_eq!(config.port, 6379);
        assert_eq!(crate::bind::print(&config.bind), "127.0.0.1 -::1");
        assert!(config.protected_mode);
        assert_eq!(config.databases, 16);
        assert_eq!(config.maxmemory_policy, MaxmemoryPolicy::NoEviction);
        assert_eq!(config.enable_debug_command, Access::No);
        assert_eq!(config.proto_max_bulk_len, 512 << 20);
        assert_eq!(config.cores, Cores::Auto);
        assert!(config.requirepass.is_empty());
        assert!(config.notes().is_empty());
    }

    #[test]
    fn listening_needs_an_address_or_a_socket() {
        let mut config = Config::default();
        assert!(!config.listens_nowhere());
        config.port = 0;
        assert!(config.listens_nowhere());
        config.unixsocket = Some("/run/lacewing.sock".into());
        assert!(!config.listens_nowhere());
    }

    #[test]
    fn a_password_is_not_in_the_debug_print() {
        let config = Config { requirepass: Secret::new("hunter2".into()), ..Config::default() };
        assert!(!format!("{config:?}").contains("hunter2"));
    }

    #[test]
    fn a_parameter_without_effect_is_noted_when_it_was_changed() {
        let mut config = Config::default();
        config.set(&[("dynamic-hz", "no"), ("hz", "20")], crate::Origin::Remote).unwrap();
        let notes = config.notes();
        assert_eq!(notes.len(), 1, "{notes:?}");
        assert!(notes[0].starts_with("'dynamic-hz no' has no effect: "), "{notes:?}");
    }
}
