//! Up to which size a collection is kept in one compact piece of memory.

use super::{INT_MAX, LONG_MAX, MEMORY_MAX};
use crate::Param;
use crate::param::{memory, number, plain};

pub(super) const ENCODINGS: &[Param] = &[
    plain(
        "hash-max-listpack-entries",
        number!(hash_max_listpack_entries, 0, LONG_MAX),
        "512",
        "A hash of more fields leaves the compact encoding.",
    )
    .alias("hash-max-ziplist-entries"),
    plain(
        "hash-max-listpack-value",
        memory!(hash_max_listpack_value, 0, MEMORY_MAX),
        "64",
        "A hash with a longer field or value leaves the compact encoding.",
    )
    .alias("hash-max-ziplist-value"),
    plain(
        "list-max-listpack-size",
        number!(list_max_listpack_size, -INT_MAX - 1, INT_MAX),
        "-2",
        "The size of one node of a list: -1 to -5 are 4, 8, 16, 32 and 64 KiB, a positive number is entries.",
    )
    .alias("list-max-ziplist-size"),
    plain(
        "list-compress-depth",
        number!(list_compress_depth, 0, INT_MAX),
        "0",
        "Nodes at each end of a list that are never compressed; 0 compresses none.",
    )
    .not_yet("lists are never compressed"),
    plain(
        "set-max-intset-entries",
        number!(set_max_intset_entries, 0, LONG_MAX),
        "512",
        "A set of more integers leaves the integer encoding.",
    ),
    plain(
        "set-max-listpack-entries",
        number!(set_max_listpack_entries, 0, LONG_MAX),
        "128",
        "A set of more members leaves the compact encoding.",
    ),
    plain(
        "set-max-listpack-value",
        memory!(set_max_listpack_value, 0, MEMORY_MAX),
        "64",
        "A set with a longer member leaves the compact encoding.",
    ),
    plain(
        "zset-max-listpack-entries",
        number!(zset_max_listpack_entries, 0, LONG_MAX),
        "128",
        "A sorted set of more members leaves the compact encoding.",
    )
    .alias("zset-max-ziplist-entries"),
    plain(
        "zset-max-listpack-value",
        memory!(zset_max_listpack_value, 0, MEMORY_MAX),
        "64",
        "A sorted set with a longer member leaves the compact encoding.",
    )
    .alias("zset-max-ziplist-value"),
    plain(
        "stream-node-max-bytes",
        memory!(stream_node_max_bytes, 0, MEMORY_MAX),
        "4096",
        "The size of one node of a stream; 0 is no bound.",
    ),
    plain(
        "stream-node-max-entries",
        number!(stream_node_max_entries, 0, LONG_MAX),
        "100",
        "Entries of one node of a stream; 0 is no bound.",
    ),
    plain(
        "hll-sparse-max-bytes",
        memory!(hll_sparse_max_bytes, 0, MEMORY_MAX),
        "3000",
        "A HyperLogLog above this size leaves the sparse encoding.",
    ),
];
