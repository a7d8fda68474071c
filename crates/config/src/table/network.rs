//! Where the server listens, and what a client may cost.

use super::{INT_MAX, MEMORY_MAX};
use crate::param::{flag, memory, number, plain, special, text};
use crate::{OutputLimits, Param, Special, bind};

pub(super) const NETWORK: &[Param] = &[
    plain("port", number!(port, 0, 65535), "6379", "TCP port to listen on; 0 listens on no TCP port.")
        .at_restart(),
    special(
        "bind",
        Special {
            form: "address ...",
            set: |config, words| bind::parse(words).map(|addresses| config.bind = addresses),
            get: |config| bind::print(&config.bind),
            lines: |config| {
                vec![if config.bind.is_empty() { "\"\"".into() } else { bind::print(&config.bind) }]
            },
        },
        "127.0.0.1 -::1",
        "Addresses to listen on, at most 16; '*' is every IPv4 and '::*' every IPv6 address. An address \
         with a leading '-' may be missing. Only loopback by default, so that nobody outside reaches an \
         unprotected server.",
    )
    .at_restart(),
    plain(
        "unixsocket",
        text!(unixsocket),
        "\"\"",
        "Path of a unix socket to listen on as well; empty is none.",
    )
    .at_start(),
    plain(
        "unixsocketperm",
        number!(octal unixsocketperm, 0o777),
        "0",
        "Permissions of the unix socket, octal; 0 leaves what the umask gives.",
    )
    .at_start(),
    plain(
        "tcp-backlog",
        number!(tcp_backlog, 0, INT_MAX),
        "511",
        "Connections that wait to be accepted, on each core; the kernel caps it at net.core.somaxconn.",
    )
    .at_start(),
    plain(
        "timeout",
        number!(timeout_s, 0, INT_MAX),
        "0",
        "Closes a client that sent nothing for so long, unless it waits for a key or listens to channels or as a monitor; \
         0 never does, since pooled connections are idle for long.",
    )
    .unit("seconds"),
    plain(
        "tcp-keepalive",
        number!(tcp_keepalive_s, 0, INT_MAX),
        "300",
        "Asks a silent peer after so long whether it is alive, so that dead ones are noticed; 0 does not \
         ask.",
    )
    .unit("seconds"),
    plain(
        "protected-mode",
        flag!(protected_mode),
        "yes",
        "While no password is set, refuses the commands of every connection that does not come from this \
         machine.",
    ),
];

pub(super) const CLIENTS: &[Param] = &[
    plain(
        "maxclients",
        number!(maxclients, 1, u32::MAX as i64),
        "10000",
        "Connections at one time; more are refused. The limit of open files (LimitNOFILE) must allow for it.",
    ),
    special(
        "client-output-buffer-limit",
        Special {
            form: "class hard soft seconds ...",
            set: |config, words| {
                let limits = config.client_output_buffer_limit.parse(words)?;
                config.client_output_buffer_limit = limits;
                Ok(())
            },
            get: |config| config.client_output_buffer_limit.to_string(),
            lines: |config| OutputLimits::lines(&config.client_output_buffer_limit),
        },
        "normal 0 0 0 replica 256mb 64mb 60 pubsub 32mb 8mb 60",
        "Cuts a client that does not read its replies: at once above the hard bound in bytes, or above the \
         soft one for longer than so many seconds. 0 is no bound. Classes: normal, replica, pubsub; those \
         not named keep their bounds.",
    ),
    plain(
        "client-query-buffer-limit",
        memory!(client_query_buffer_limit, 1 << 20, MEMORY_MAX),
        "1gb",
        "Cuts a client whose unfinished request is larger than this.",
    ),
    plain(
        "proto-max-bulk-len",
        memory!(proto_max_bulk_len, 1 << 20, MEMORY_MAX),
        "512mb",
        "The largest single argument of a request, and so the largest string.",
    ),
    plain(
        "tracking-table-max-keys",
        number!(tracking_table_max_keys, 0, super::LONG_MAX),
        "1000000",
        "Keys remembered for clients that cache on their side (CLIENT TRACKING), on all cores together; 0 is no bound.",
    ),
];
