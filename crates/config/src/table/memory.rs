//! How much memory keys may take, and how keys leave.

use super::INT_MAX;
use crate::param::{choice, flag, memory, number, plain};
use crate::{Field, MaxmemoryPolicy, Param, Shape, Value};

pub(super) const MEMORY: &[Param] = &[
    plain(
        "maxmemory",
        memory!(maxmemory, 0, u64::MAX),
        "0",
        "Memory that the data may take; above it keys are evicted, or writes refused. 0 is no limit: set \
         one in production, below what the machine has.",
    ),
    plain(
        "maxmemory-policy",
        choice!(maxmemory_policy, MaxmemoryPolicy),
        "noeviction",
        "Which keys are evicted when memory is full. 'noeviction' evicts none and answers writes with an \
         error, so no data goes unasked.",
    ),
    plain(
        "maxmemory-samples",
        number!(maxmemory_samples, 1, INT_MAX),
        "5",
        "Keys compared to find one to evict; more choose better and cost more CPU.",
    ),
    plain(
        "maxmemory-eviction-tenacity",
        number!(maxmemory_eviction_tenacity, 0, 100),
        "10",
        "How long one command may evict before it goes on: 0 very short, 100 until memory suffices.",
    ),
    plain(
        "maxmemory-clients",
        (
            Shape::MemoryOrPercent,
            Field {
                get: |config| Value::MemoryOrPercent(config.maxmemory_clients),
                set: |config, value| config.maxmemory_clients = value.memory_or_percent(),
            },
        ),
        "0",
        "Memory that all clients' buffers may take together, or a share of maxmemory (5%); above it the \
         largest clients are cut, but for those that said CLIENT NO-EVICT. Looked after hz times a second. 0 is no \
         limit.",
    ),
    plain(
        "lfu-log-factor",
        number!(lfu_log_factor, 0, INT_MAX),
        "10",
        "How slowly a key's use counter grows under the LFU policies; larger tells heavier use apart.",
    ),
    plain(
        "lfu-decay-time",
        number!(lfu_decay_time_min, 0, INT_MAX),
        "1",
        "Time after which an unused key's counter goes down by one; 0 never.",
    )
    .unit("minutes"),
    plain(
        "disable-thp",
        flag!(disable_thp),
        "yes",
        "Does without transparent huge pages: the kernel clears 2 MiB at a time to give one, and commands wait for that.",
    )
    .at_start(),
];

/// Why it makes no difference how a client asks for it.
const ALWAYS_SLICED: &str = "large values are always freed in slices";

pub(super) const FREEING: &[Param] = &[
    plain(
        "lazyfree-lazy-eviction",
        flag!(lazyfree_lazy_eviction),
        "no",
        "Replicas of Redis are told to free evicted values in the background (UNLINK); here large ones are always freed in slices.",
    ),
    plain("lazyfree-lazy-expire", flag!(lazyfree_lazy_expire), "no", "The same of expired values."),
    plain(
        "lazyfree-lazy-server-del",
        flag!(lazyfree_lazy_server_del),
        "no",
        "The same of values that SPOP empties and RESTORE replaces by nothing.",
    ),
    plain("lazyfree-lazy-user-del", flag!(lazyfree_lazy_user_del), "no", "Makes DEL free as UNLINK does.")
        .not_yet(ALWAYS_SLICED),
    plain(
        "lazyfree-lazy-user-flush",
        flag!(lazyfree_lazy_user_flush),
        "no",
        "Makes FLUSHDB and FLUSHALL without SYNC or ASYNC free as ASYNC does.",
    )
    .not_yet(ALWAYS_SLICED),
    plain(
        "active-expire-effort",
        number!(active_expire_effort, 1, 10),
        "1",
        "How hard the background looks for expired keys: 1 little CPU, 10 little memory held by dead keys.",
    ),
];
