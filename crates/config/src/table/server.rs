//! How the process runs, on which cores, and who may do what.

use super::{INT_MAX, LONG_MAX};
use crate::param::{choice, fixed, flag, number, plain, special, text};
use crate::{
    Access, Cores, Field, LogLevel, OnLoadFailure, Param, Pin, PipelineOrder, Secret, Shape, Special,
    Supervised, Until, Value,
};

pub(super) const CORES: &[Param] = &[
    special(
        "cores",
        Special {
            form: "auto|number",
            set: |config, words| Cores::parse(words).map(|cores| config.cores = cores),
            get: |config| config.cores.to_string(),
            lines: |config| vec![config.cores.to_string()],
        },
        "auto",
        "Cores to use, at most 1024; each holds one shard of the keys. 'auto' is every CPU that the process \
         may run on.",
    )
    .at_restart(),
    special(
        "pin",
        Special {
            form: "auto|yes|no|cpu,cpu-cpu",
            set: |config, words| Pin::parse(words).map(|pin| config.pin = pin),
            get: |config| config.pin.to_string(),
            lines: |config| vec![config.pin.to_string()],
        },
        "auto",
        "Binds each core's thread to one CPU, or to those listed, in order. 'auto' and 'yes' do, and \
         refuse more cores than CPUs; 'no' leaves it to the kernel, which costs cache misses.",
    )
    .at_restart(),
    plain(
        "pipeline-order",
        choice!(pipeline_order, PipelineOrder),
        "relaxed",
        "'relaxed' lets plain reads and writes of one pipeline overlap when their keys are on different \
         cores; replies keep their order. 'strict' runs every command after the one before it, as Redis \
         does, and is slower.",
    )
    .at_restart(),
];

pub(super) const PROCESS: &[Param] = &[
    plain(
        "databases",
        number!(databases, 1, 65535),
        "16",
        "Numbered databases; SELECT takes 0 to one less than this.",
    )
    .at_start(),
    plain(
        "dir",
        (
            Shape::Text,
            Field {
                get: |config| Value::Text(config.dir.clone()),
                set: |config, value| config.dir = value.text(),
            },
        ),
        "./data",
        "The directory for the server's files; relative to where it was started.",
    )
    .at_start(),
    plain(
        "snapshot-dir",
        text!(snapshot_dir),
        "\"\"",
        "Where snapshot sets are written, and looked for at start besides the data directory: a directory that is there, \
         or s3://bucket/prefix, gs://bucket/prefix, az://container/prefix, with parameters behind a '?'; see \
         docs/operations/object-stores.md. No secrets: they are in the environment or in a file. Empty is the data directory.",
    )
    .at_restart(),
    plain(
        "log-archive-interval",
        number!(log_archive_interval_s, 0, 86_400),
        "0",
        "How often what was written to the log is copied to snapshot-dir as well, so that a machine that is lost with its disk \
         loses no more than that; 0 is never. A start in an empty data directory goes on from what was copied.",
    )
    .unit("seconds")
    .at_restart(),
    plain(
        "import",
        text!(import),
        "\"\"",
        "Data of Redis to begin with, relative to where the server was started: an RDB file (dump.rdb), an append-only file, \
         the append-only directory of Redis 7, or a directory with one of these; empty loads nothing. The server serves nothing \
         before all of it is loaded and written to the data directory, and ends if it cannot be; take the parameter away after that.",
    )
    .at_restart(),
    plain(
        "on-load-failure",
        choice!(on_load_failure, OnLoadFailure),
        "refuse",
        "What a start does when the newest data cannot be had: 'refuse' ends, with the reason; 'previous' takes the newest \
         snapshot that can be read, and the log as far as it goes on from there; 'empty' begins with nothing. What is \
         given up is told, and moved to 'quarantine' in the data directory, never deleted.",
    )
    .at_start(),
    special(
        "recover-until",
        Special {
            form: "time",
            set: |config, words| Until::parse(words).map(|until| config.recover_until = until),
            get: |config| Until::print(config.recover_until.as_ref()),
            lines: |config| vec![stdx::words::quote_if_needed(&Until::print(config.recover_until.as_ref()))],
        },
        "\"\"",
        "Starts with the data of this time at the latest (2026-01-31T12:00:00Z, or seconds since 1970), from the \
         snapshots and pieces of the log that are kept; what is newer is moved to 'quarantine'. Empty takes all there is.",
    )
    .at_start(),
    plain(
        "snapshot-take-over",
        flag!(snapshot_take_over),
        "no",
        "Takes the snapshots that were in 'snapshot-dir' before this data directory for this server's own, and removes them \
         like its own (snapshot-keep). Without it they stay: the server that wrote them may be stopped, and need them.",
    )
    .at_start(),
    plain(
        "expect-data",
        flag!(expect_data),
        "no",
        "Refuses to start with an empty data directory, even one that never held data: for servers that must not begin \
         anew when a disk is not mounted.",
    )
    .at_start(),
    plain(
        "logfile",
        text!(logfile),
        "\"\"",
        "File to write the log to; empty is standard output, as systemd wants it.",
    )
    .at_start(),
    plain(
        "loglevel",
        choice!(loglevel, LogLevel),
        "notice",
        "What is logged; 'notice' is one line per change of state, and none per command.",
    ),
    plain(
        "supervised",
        choice!(supervised, Supervised),
        "no",
        "Tells systemd when the server is ready, and feeds its watchdog. 'auto' does when NOTIFY_SOCKET is \
         set.",
    )
    .at_start(),
    plain("pidfile", text!(pidfile), "\"\"", "File to write the process id to; empty writes none.")
        .at_start(),
    plain(
        "hz",
        number!(hz, 0, INT_MAX, clamp 1 to 500),
        "10",
        "How often background work runs (expiry, timeouts, statistics); kept between 1 and 500.",
    )
    .unit("per second"),
    fixed(
        "daemonize",
        &["no"],
        "no",
        "the server stays in the foreground: let systemd or a container run it",
        "Only 'no': the server stays in the foreground, and systemd or a container runs it.",
    )
    .at_start(),
    fixed(
        "syslog-enabled",
        &["no"],
        "no",
        "the log goes to standard output or to logfile; systemd keeps it in its journal",
        "Only 'no': the log goes to standard output or to logfile.",
    )
    .at_start(),
];

pub(super) const SECURITY: &[Param] = &[
    plain(
        "requirepass",
        (
            Shape::Text,
            Field {
                get: |config| Value::Text(config.requirepass.reveal().into()),
                set: |config, value| config.requirepass = Secret::new(value.text()),
            },
        ),
        "\"\"",
        "The password that AUTH wants before any other command; empty wants none. Keep the file that has it \
         unreadable for others.",
    )
    .secret(),
    plain(
        "enable-debug-command",
        choice!(enable_debug_command, Access),
        "no",
        "Who may use DEBUG: nobody, everybody, or only connections from this machine ('local').",
    )
    .at_start(),
    plain(
        "enable-protected-configs",
        choice!(enable_protected_configs, Access),
        "no",
        "Who may change protected parameters with CONFIG SET: nobody, everybody, or only this machine \
         ('local').",
    )
    .at_start(),
    fixed("enable-module-command", &["no"], "no", "there are no modules", "Only 'no': there are no modules.")
        .at_start(),
    plain("acllog-max-len", number!(acllog_max_len, 0, LONG_MAX), "128", "Entries that ACL LOG keeps.")
        .not_yet("ACL users are not part of this version"),
    fixed(
        "aclfile",
        &[""],
        "\"\"",
        "ACL users are not part of this version: use requirepass",
        "Only empty: ACL users are not part of this version.",
    )
    .at_start(),
];
