//! Bounds of Lua scripts.

use super::{INT_MAX, LONG_MAX};
use crate::Param;
use crate::param::{memory, number, plain};

pub(super) const SCRIPTS: &[Param] = &[
    plain(
        "busy-reply-threshold",
        number!(busy_reply_threshold_ms, 0, LONG_MAX),
        "5000",
        "A script that runs longer lets other clients of its shard be told BUSY; 0 never does. SCRIPT KILL ends it at any \
         time, if it has not written.",
    )
    .alias("lua-time-limit")
    .unit("milliseconds"),
    plain(
        "lua-memory-max",
        memory!(lua_memory_max, 1 << 20, INT_MAX as u64),
        "256mb",
        "Memory that one script may take on its core; past it the script ends with an error. What it wrote stays.",
    ),
    plain(
        "lua-instructions-max",
        number!(lua_instructions_max, 0, LONG_MAX),
        "0",
        "Instructions of Lua that one script may run; past them it ends with an error, and what it wrote stays. 0 is no \
         limit.",
    ),
];
