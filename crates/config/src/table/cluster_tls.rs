//! Cluster mode and TLS, which this version has not. What tunes them is accepted, kept and printed as Redis does while
//! they are off; what would switch them on, or have somebody believe that a connection is encrypted, is refused.

use super::{INT_MAX, LONG_MAX, MEMORY_MAX};
use crate::Param;
use crate::Shape::{Bool, Choice, Int, Memory, Text};
use crate::param::{fixed, inert};

pub(super) const NO_CLUSTER: &str = "cluster mode is not part of this version";
pub(super) const NO_TLS: &str = "TLS is not part of this version";

pub(super) const CLUSTER: &[Param] = &[
    fixed(
        "cluster-enabled",
        &["no"],
        "no",
        NO_CLUSTER,
        "Only 'no': cluster mode is not part of this version.",
    )
    .at_start(),
    inert("cluster-config-file", Text, "nodes.conf", NO_CLUSTER, "File of a node's own configuration.")
        .at_start(),
    inert("cluster-port", Int(0, 65535), "0", NO_CLUSTER, "Port of the cluster's bus.").at_start(),
    inert(
        "cluster-node-timeout",
        Int(0, LONG_MAX),
        "15000",
        NO_CLUSTER,
        "Milliseconds after which a node failed.",
    ),
    inert(
        "cluster-require-full-coverage",
        Bool,
        "yes",
        NO_CLUSTER,
        "Stops serving while a slot has no node.",
    ),
    inert("cluster-allow-reads-when-down", Bool, "no", NO_CLUSTER, "Serves reads while the cluster is down."),
    inert(
        "cluster-allow-pubsubshard-when-down",
        Bool,
        "yes",
        NO_CLUSTER,
        "Serves sharded channels while the cluster is down.",
    ),
    inert("cluster-allow-replica-migration", Bool, "yes", NO_CLUSTER, "Lets replicas move to other masters."),
    inert(
        "cluster-migration-barrier",
        Int(0, INT_MAX),
        "1",
        NO_CLUSTER,
        "Replicas that a master keeps then.",
    ),
    inert(
        "cluster-replica-validity-factor",
        Int(0, INT_MAX),
        "10",
        NO_CLUSTER,
        "Node timeouts after which a replica is too old for a failover.",
    )
    .alias("cluster-slave-validity-factor"),
    inert(
        "cluster-replica-no-failover",
        Bool,
        "no",
        NO_CLUSTER,
        "Keeps a replica from a failover of its own.",
    )
    .alias("cluster-slave-no-failover"),
    inert(
        "cluster-link-sendbuf-limit",
        Memory(0, MEMORY_MAX),
        "0",
        NO_CLUSTER,
        "Output buffer of a link to a node.",
    ),
    inert("cluster-announce-ip", Text, "\"\"", NO_CLUSTER, "Address that other nodes are told."),
    inert("cluster-announce-port", Int(0, 65535), "0", NO_CLUSTER, "Port that other nodes are told."),
    inert("cluster-announce-tls-port", Int(0, 65535), "0", NO_CLUSTER, "TLS port that other nodes are told."),
    inert(
        "cluster-announce-bus-port",
        Int(0, 65535),
        "0",
        NO_CLUSTER,
        "Port of the bus that others are told.",
    ),
    inert("cluster-announce-hostname", Text, "\"\"", NO_CLUSTER, "Host name that clients are told."),
    inert("cluster-announce-human-nodename", Text, "\"\"", NO_CLUSTER, "Name of the node in logs."),
    inert(
        "cluster-preferred-endpoint-type",
        Choice(&["ip", "hostname", "unknown-endpoint"]),
        "ip",
        NO_CLUSTER,
        "What clients are redirected to.",
    ),
];

pub(super) const TLS: &[Param] = &[
    fixed("tls-port", &["0"], "0", NO_TLS, "Only 0: TLS is not part of this version."),
    fixed("tls-replication", &["no"], "no", NO_TLS, "Only 'no': TLS is not part of this version."),
    fixed("tls-cluster", &["no"], "no", NO_TLS, "Only 'no': TLS is not part of this version."),
    empty("tls-cert-file"),
    empty("tls-key-file"),
    empty("tls-key-file-pass").secret(),
    empty("tls-client-cert-file"),
    empty("tls-client-key-file"),
    empty("tls-client-key-file-pass").secret(),
    empty("tls-dh-params-file"),
    empty("tls-ca-cert-file"),
    empty("tls-ca-cert-dir"),
    empty("tls-protocols"),
    empty("tls-ciphers"),
    empty("tls-ciphersuites"),
    inert(
        "tls-auth-clients",
        Choice(&["yes", "no", "optional"]),
        "yes",
        NO_TLS,
        "Asks clients for certificates.",
    ),
    inert("tls-prefer-server-ciphers", Bool, "no", NO_TLS, "Lets the server choose the cipher."),
    inert("tls-session-caching", Bool, "yes", NO_TLS, "Lets clients resume sessions."),
    inert("tls-session-cache-size", Int(0, INT_MAX), "20480", NO_TLS, "Sessions that are remembered."),
    inert("tls-session-cache-timeout", Int(0, INT_MAX), "300", NO_TLS, "Seconds for which they are."),
];

/// A certificate, a key or a choice of ciphers.
const fn empty(name: &'static str) -> Param {
    fixed(name, &[""], "\"\"", NO_TLS, "Only empty: TLS is not part of this version.")
}
