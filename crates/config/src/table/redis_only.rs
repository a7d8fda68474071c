//! Parameters of Redis for what this version does not have, or does in another way.
//!
//! `fixed` rows promise something, so only "off" is accepted. `inert` rows are in many configurations and promise
//! nothing that matters here, so they are accepted, kept and printed.

use super::{INT_MAX, LONG_MAX, MEMORY_MAX};
use crate::AppendFsync;
use crate::Param;
use crate::Shape::{Bool, Choice, Int, Memory, OomScores, Text};
use crate::master;
use crate::param::{Field, Special, choice, fixed, flag, inert, memory, number, plain, special, text};
use crate::{ReplDisklessLoad, Schedule, Secret, Shape, SnapshotCompression, Value};

/// Redis has it for files of its own.
const OWN_FILES: &str = "Lacewing's files are its own";
const ALWAYS_LAZY: &str = "data that was replaced is always freed between commands";
const MASTER_EVICTS: &str = "a replica evicts nothing by itself";
const DISK_IS_WAITED_FOR: &str = "a replica whose log takes no records waits for its disk and then goes on";
const FAILURE_ENDS_LINK: &str =
    "a write of the master that fails ends the link, and the replica asks for everything";
const ALWAYS_SANE: &str = "payloads are always checked";
/// A parameter of replication that Redis does not have either, or no more.
pub(super) const NO_SUCH: &str = "no parameter of replication has this name";

/// A copy for replicas is a snapshot, as any other.
const BY_FILE: &str = "a full copy for replicas always goes through a file";

/// Snapshots cannot be written without.
const ALWAYS_CHECKED: &str = "snapshots always end with a checksum";

pub(super) const PERSISTENCE: &[Param] = &[
    plain(
        "appendonly",
        flag!(appendonly),
        "yes",
        "Writes every change to the log in the data directory, so that it is there after a crash; see appendfsync. \
         Switched on while the server runs, the log begins with a snapshot, and counts when that is whole; what is \
         written while it is off is kept by snapshots alone.",
    ),
    plain(
        "log-segment-size",
        memory!(log_segment_bytes, 4096, 1 << 40),
        "64mb",
        "Size of one file of the log. Files are removed whole, when a snapshot has made them needless.",
    )
    .at_start(),
    special(
        "save",
        Special {
            form: "seconds changes ...",
            set: |config, words| config.save.set(words),
            get: |config| config.save.to_string(),
            lines: |config| config.save.lines(),
        },
        "3600 1 300 100 60 10000",
        "Takes a snapshot when so many keys were changed since the last one, and that is longer ago than so many \
         seconds: after an hour, if only one was changed, but after a minute if 10000 were. Empty takes none by itself. A \
         snapshot also lets go what the log has of the time before it.",
    ),
    special(
        "snapshot-schedule",
        Special {
            form: "minute hour day-of-month month day-of-week",
            set: |config, words| Schedule::parse(words).map(|schedule| config.snapshot_schedule = schedule),
            get: |config| config.snapshot_schedule.to_string(),
            lines: |config| vec![stdx::words::quote_if_needed(&config.snapshot_schedule.to_string())],
        },
        "\"\"",
        "Takes a snapshot at these minutes, as cron has them ('30 3 * * *', '*/15 * * * 1-5'), in UTC, whether or not \
         anything was changed. Empty takes none by the clock.",
    ),
    plain(
        "snapshot-keep",
        number!(snapshot_keep, 1, INT_MAX),
        "2",
        "So many snapshots are kept, and the log from the oldest of them on; older ones are removed when a new one is \
         whole. With more than one there is one to go back to if the newest cannot be read.",
    ),
    plain(
        "snapshot-compression",
        choice!(snapshot_compression, SnapshotCompression),
        "zstd",
        "Compresses each file of a snapshot as a whole ('zstd'), or not ('no'). Uncompressed, redis-server reads it as \
         it is; compressed, after zstd -d.",
    ),
    plain(
        "dbfilename",
        text!(dbfilename),
        "dump.rdb",
        "Name of the file in the data directory that SAVE RDB writes for redis-server; it ends with .rdb. It is a copy: the \
         server's own snapshots are in 'snapshots', and nothing of it is read at start.",
    )
    .protected(),
    inert("appendfilename", Text, "appendonly.aof", OWN_FILES, "Name of the log's file.").at_start(),
    inert("appenddirname", Text, "appendonlydir", OWN_FILES, "Directory of the log.").at_start(),
    plain(
        "appendfsync",
        choice!(appendfsync, AppendFsync),
        "everysec",
        "When the log is brought to the disk. 'everysec': a killed process loses nothing, a loss of power at most 1.1 \
         seconds, the same on all shards. 'always': before anything is answered that depends on it; nothing is lost. \
         'no': when the kernel wants to.",
    ),
    plain(
        "stop-writes-on-bgsave-error",
        flag!(stop_writes_on_bgsave_error),
        "yes",
        "Refuses writes after a snapshot has failed, until one succeeds, where 'save' has snapshots taken.",
    ),
    plain(
        "key-load-delay",
        number!(key_load_delay_us, 0, INT_MAX),
        "0",
        "Makes loading slower by so much for each key, to try out what depends on it.",
    )
    .unit("microseconds")
    .hidden(),
    plain(
        "rdbcompression",
        flag!(rdbcompression),
        "yes",
        "Compresses long strings in what DUMP writes, and in snapshots that are not compressed as a whole (LZF).",
    ),
    inert("rdbchecksum", Bool, "yes", ALWAYS_CHECKED, "Ends snapshots with a checksum.").at_start(),
    inert("rdb-del-sync-files", Bool, "no", OWN_FILES, "Deletes snapshots made for replicas."),
    plain(
        "rdb-save-incremental-fsync",
        flag!(rdb_save_incremental_fsync),
        "yes",
        "Syncs a snapshot's files every 32 MB, so that the disk is not busy for long at the end.",
    ),
    inert(
        "sanitize-dump-payload",
        Choice(&["no", "yes", "clients"]),
        "no",
        ALWAYS_SANE,
        "Checks payloads of RESTORE.",
    ),
    inert(
        "no-appendfsync-on-rewrite",
        Bool,
        "no",
        OWN_FILES,
        "Does not flush the log while it is rewritten.",
    ),
    plain(
        "auto-aof-rewrite-percentage",
        number!(auto_aof_rewrite_percentage, 0, INT_MAX),
        "100",
        "A snapshot takes the log's place by itself when the log has grown by so much of the snapshot that it continues, \
         both uncompressed. 0 leaves that to BGREWRITEAOF and to other snapshots.",
    ),
    plain(
        "auto-aof-rewrite-min-size",
        memory!(auto_aof_rewrite_min_bytes, 0, MEMORY_MAX),
        "64mb",
        "So large the log has to be, with the snapshot that it continues, for that.",
    ),
    plain(
        "aof-load-truncated",
        flag!(aof_load_truncated),
        "yes",
        "Starts with a log that ends within a record, as a crash may leave it: what was promised to be on the disk is \
         before that in any case. 'no' refuses to start then.",
    ),
    inert("aof-use-rdb-preamble", Bool, "yes", OWN_FILES, "Begins a rewritten log with a snapshot."),
    inert("aof-timestamp-enabled", Bool, "no", OWN_FILES, "Writes times into the log."),
    inert(
        "aof-rewrite-incremental-fsync",
        Bool,
        "yes",
        OWN_FILES,
        "Flushes a rewritten log piece by piece.",
    ),
    inert("aof-disable-auto-gc", Bool, "no", OWN_FILES, "Keeps old files of the log."),
];

pub(super) const REPLICATION: &[Param] = &[
    special(
        "replicaof",
        Special {
            form: "host port",
            set: |config, words| master::parse(words).map(|master| config.replicaof = master),
            get: |config| master::print(config.replicaof.as_ref()),
            lines: |config| {
                vec![config.replicaof.as_ref().map_or_else(|| "\"\"".into(), |master| master.to_string())]
            },
        },
        "\"\"",
        "Whom this server follows: it loads its own data first, keeps and serves that, and replaces it when its master's has \
         come whole and was verified. Empty, or 'no one', follows nobody. The command REPLICAOF changes it while the \
         server runs, and CONFIG REWRITE keeps that.",
    )
    .alias("slaveof")
    .at_start(),
    plain(
        "masterauth",
        (
            Shape::Text,
            Field {
                get: |config| Value::Text(config.masterauth.reveal().into()),
                set: |config, value| config.masterauth = Secret::new(value.text()),
            },
        ),
        "\"\"",
        "The password that the master wants. Keep the file that has it unreadable for others.",
    )
    .secret(),
    plain(
        "masteruser",
        text!(masteruser),
        "\"\"",
        "The user whose password masterauth is; empty is the default user.",
    ),
    plain(
        "min-replicas-to-write",
        number!(min_replicas_to_write, 0, INT_MAX),
        "0",
        "Refuses writes (-NOREPLICAS) while fewer replicas than this are near enough: see min-replicas-max-lag. 0 asks for \
         none. What was written before they went is not taken back, so this bounds what a failover loses and does no more.",
    )
    .alias("min-slaves-to-write"),
    plain(
        "min-replicas-max-lag",
        number!(min_replicas_max_lag_s, 0, INT_MAX),
        "10",
        "A replica counts for min-replicas-to-write if it has acknowledged something within so long. 0 asks for no replicas.",
    )
    .unit("seconds")
    .alias("min-slaves-max-lag"),
    plain(
        "replica-read-only",
        flag!(replica_read_only),
        "yes",
        "Refuses the writes of clients (-READONLY) while this server follows a master. What is written to a replica all the \
         same is lost with the next full sync, and its master never knows of it.",
    )
    .alias("slave-read-only"),
    plain(
        "replica-serve-stale-data",
        flag!(replica_serve_stale_data),
        "yes",
        "Serves the data that there is while the master is away or a full sync is under way. 'no' refuses whatever is \
         about data then (-MASTERDOWN).",
    )
    .alias("slave-serve-stale-data"),
    plain(
        "replica-accept-less",
        flag!(replica_accept_less),
        "no",
        "Takes the data of a master that has less than this replica: none at all, an older state of the same history, or, after it \
         was started again, less than half of the keys. Such a master has most likely lost its data, so a replica keeps its own, and says so in INFO, until an operator \
         sets this.",
    ),
    plain(
        "replica-priority",
        number!(replica_priority, 0, INT_MAX),
        "100",
        "Rank of a replica in a failover: lower is preferred, 0 is never made a master.",
    )
    .alias("slave-priority"),
    inert("replica-lazy-flush", Bool, "no", ALWAYS_LAZY, "Frees a replica's old data between commands.")
        .alias("slave-lazy-flush"),
    inert("replica-ignore-maxmemory", Bool, "yes", MASTER_EVICTS, "Leaves eviction to the master.")
        .alias("slave-ignore-maxmemory"),
    plain(
        "repl-backlog-size",
        memory!(repl_backlog_bytes, 1, MEMORY_MAX),
        "1mb",
        "So much of what was written is kept for replicas that lost their link, which then go on where they were. It grows for \
         replicas that are slow, to the hard bound of client-output-buffer-limit replica, and shrinks again.",
    ),
    plain(
        "repl-backlog-ttl",
        number!(repl_backlog_ttl_s, 0, INT_MAX),
        "3600",
        "So long after the last replica has gone that is still kept. Then nothing is kept for replicas any more, and the next one \
         begins with all data. 0 keeps it for ever.",
    )
    .unit("seconds"),
    plain(
        "repl-timeout",
        number!(repl_timeout_s, 1, INT_MAX),
        "60",
        "A link between master and replica is given up when nothing was heard for so long; a replica then connects anew.",
    )
    .unit("seconds"),
    plain(
        "repl-ping-replica-period",
        number!(repl_ping_replica_period_s, 1, INT_MAX),
        "10",
        "Replicas hear from this server at least so often.",
    )
    .unit("seconds")
    .alias("repl-ping-slave-period"),
    plain(
        "repl-flows",
        flag!(repl_flows),
        "yes",
        "Replicates with other Lacewings by flows: each shard's log over a connection of its own, where the master writes a log. \
         'no', on either side, has them use one stream, as with Redis, in which the writes of all shards have one order.",
    ),
    plain(
        "repl-disable-tcp-nodelay",
        flag!(repl_disable_tcp_nodelay),
        "no",
        "Sends between master and replica in fewer, later packets.",
    ),
    inert("repl-diskless-sync", Bool, "yes", BY_FILE, "Sends a full copy without a file in between."),
    inert(
        "repl-diskless-sync-delay",
        Int(0, INT_MAX),
        "5",
        BY_FILE,
        "Seconds to wait for more replicas to join.",
    ),
    inert(
        "repl-diskless-sync-max-replicas",
        Int(0, INT_MAX),
        "0",
        BY_FILE,
        "Replicas with which such a copy starts at once.",
    ),
    plain(
        "repl-diskless-load",
        choice!(repl_diskless_load, ReplDisklessLoad),
        "disabled",
        "Whether a replica loads a full copy while it comes. 'disabled': the copy is kept on the disk and verified, and then \
         loaded in the place of the old data; commands hear -LOADING for as long as that takes. 'swapdb': it is loaded \
         into memory beside the old data, which is served all the while, and takes its place in one step when all of it has \
         come and was verified; there is to be memory for both. Where data is kept on the disk (appendonly, save, \
         snapshot-schedule) the copy is written there as well while it comes, so that a crash finds the old data or the new; \
         where none is, nothing is written. 'on-empty-db': as 'swapdb' while the server has no keys, else as 'disabled'. \
         Old data is never dropped before the new is whole, so there is no 'flush-before-load'.",
    ),
    plain(
        "replica-announce-ip",
        text!(replica_announce_ip),
        "\"\"",
        "The address at which a replica is reached, for its master to tell others; empty is the one that it is seen from.",
    )
    .alias("slave-announce-ip"),
    plain(
        "replica-announce-port",
        number!(replica_announce_port, 0, 65535),
        "0",
        "The port at which a replica is reached, for its master to tell others; 0 is 'port'.",
    )
    .alias("slave-announce-port"),
    plain(
        "replica-announced",
        flag!(replica_announced),
        "yes",
        "Shows this replica to sentinels, which read it in INFO.",
    ),
    inert(
        "replica-ignore-disk-write-errors",
        Bool,
        "no",
        DISK_IS_WAITED_FOR,
        "Lets a replica go on that cannot write to its disk.",
    ),
    inert(
        "propagation-error-behavior",
        Choice(&["ignore", "panic", "panic-on-replicas"]),
        "ignore",
        FAILURE_ENDS_LINK,
        "What a replica does with a write that fails there.",
    ),
];

const OWN_REACTORS: &str = "every core reads, runs and answers its own connections; see cores";
const GROWS_SMOOTHLY: &str = "tables grow and shrink in small steps by themselves";
const OTHER_ALLOCATOR: &str = "the allocator is not jemalloc";
/// Redis's words where it was built with another allocator, too.
const NO_DEFRAG: &str = "Active defragmentation cannot be enabled: it requires a Redis server compiled with a modified \
    Jemalloc like the one shipped by default with the Redis source distribution";
const CPU_LISTS: &str = "use pin";
const ANY_SOURCE: &str = "connections to a master come from whatever address the kernel takes";
const NO_MARKS: &str = "sockets are not marked: match on the port or on the systemd unit";
const NO_SYSLOG: &str = "the log goes to standard output or to logfile; systemd keeps it in its journal";
const ORDERLY: &str = "both signals end the server in order; a second one hurries it";
const BYTEWISE: &str = "SORT with ALPHA compares bytes";
const LEFT_TO_SYSTEM: &str = "systemd or the container sets this";
const NO_TITLE: &str = "the process keeps the title that it was started with";
const NO_LOGO: &str = "there is no logo";
const NO_ACL: &str = "ACL users are not part of this version";
const NO_CRASH_LOG: &str = "a panic logs its own backtrace";

pub(super) const MACHINERY: &[Param] = &[
    inert("io-threads", Int(1, 128), "1", OWN_REACTORS, "Threads that read and write for the main thread.")
        .at_start(),
    inert("io-threads-do-reads", Bool, "no", OWN_REACTORS, "Lets those threads read, too.").at_start(),
    inert("activerehashing", Bool, "yes", GROWS_SMOOTHLY, "Moves keys to a larger table in idle time."),
    inert("dynamic-hz", Bool, "yes", "hz is taken as it is", "Raises hz when there are many clients."),
    fixed(
        "activedefrag",
        &["no"],
        "no",
        NO_DEFRAG,
        "Only 'no': values are not moved; the allocator gives free memory back by itself.",
    ),
    inert(
        "active-defrag-ignore-bytes",
        Memory(1, MEMORY_MAX),
        "100mb",
        OTHER_ALLOCATOR,
        "Waste at which that starts.",
    ),
    inert(
        "active-defrag-threshold-lower",
        Int(0, 1000),
        "10",
        OTHER_ALLOCATOR,
        "Percentage at which that starts.",
    ),
    inert(
        "active-defrag-threshold-upper",
        Int(0, 1000),
        "100",
        OTHER_ALLOCATOR,
        "Percentage at which it works hardest.",
    ),
    inert("active-defrag-cycle-min", Int(1, 99), "1", OTHER_ALLOCATOR, "Least share of CPU for it."),
    inert("active-defrag-cycle-max", Int(1, 99), "25", OTHER_ALLOCATOR, "Largest share of CPU for it."),
    inert(
        "active-defrag-max-scan-fields",
        Int(1, LONG_MAX),
        "1000",
        OTHER_ALLOCATOR,
        "Size up to which it takes a value whole.",
    ),
    inert("jemalloc-bg-thread", Bool, "yes", OTHER_ALLOCATOR, "Lets the allocator purge in a thread."),
    inert(
        "oom-score-adj",
        Choice(&["no", "yes", "relative", "absolute"]),
        "no",
        LEFT_TO_SYSTEM,
        "Tells the kernel whom to kill first.",
    ),
    inert(
        "oom-score-adj-values",
        OomScores,
        "0 200 800",
        LEFT_TO_SYSTEM,
        "The scores for that, for a master, a replica and a child.",
    ),
    cpu_list("server_cpulist"),
    cpu_list("bio_cpulist"),
    cpu_list("aof_rewrite_cpulist"),
    cpu_list("bgsave_cpulist"),
    fixed(
        "bind-source-addr",
        &[""],
        "\"\"",
        ANY_SOURCE,
        "Only empty: connections to a master come from whatever address the kernel takes.",
    ),
    fixed(
        "socket-mark-id",
        &["0"],
        "0",
        NO_MARKS,
        "Only 0: sockets are not marked for the kernel's filters.",
    )
    .at_start(),
    inert("syslog-ident", Text, "redis", NO_SYSLOG, "Name in the system's log.").at_start(),
    inert(
        "syslog-facility",
        Choice(&["user", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7"]),
        "local0",
        NO_SYSLOG,
        "Facility in the system's log.",
    )
    .at_start(),
    fixed(
        "shutdown-on-sigint",
        &["default"],
        "default",
        ORDERLY,
        "Only 'default': ends the server in order.",
    ),
    fixed(
        "shutdown-on-sigterm",
        &["default"],
        "default",
        ORDERLY,
        "Only 'default': ends the server in order.",
    ),
    fixed(
        "locale-collate",
        &["", "C", "POSIX"],
        "\"\"",
        BYTEWISE,
        "Only empty, 'C' or 'POSIX': SORT with ALPHA compares bytes.",
    ),
    inert("set-proc-title", Bool, "yes", NO_TITLE, "Changes the title that ps shows.").at_start(),
    inert(
        "proc-title-template",
        Text,
        "\"{title} {listen-addr} {server-mode}\"",
        NO_TITLE,
        "The title that ps shows.",
    ),
    inert("always-show-logo", Bool, "no", NO_LOGO, "Shows a logo in the log at start.").at_start(),
    inert("crash-log-enabled", Bool, "yes", NO_CRASH_LOG, "Writes a report when the server crashes."),
    inert("crash-memcheck-enabled", Bool, "yes", NO_CRASH_LOG, "Tests the memory when the server crashes."),
    inert(
        "ignore-warnings",
        Text,
        "\"\"",
        "there are no such warnings",
        "Kernel faults to start in spite of.",
    ),
    plain(
        "shutdown-timeout",
        number!(shutdown_timeout_s, 0, INT_MAX),
        "10",
        "Before the server ends, replicas that lack something get it for so long, while writes wait; 0: they are not waited for.",
    )
    .unit("seconds"),
    inert(
        "acl-pubsub-default",
        Choice(&["allchannels", "resetchannels"]),
        "resetchannels",
        NO_ACL,
        "Channels that a new user may use.",
    ),
];

const fn cpu_list(name: &'static str) -> Param {
    fixed(name, &[""], "\"\"", CPU_LISTS, "Only empty: 'pin' says which CPUs the cores run on.").at_start()
}
