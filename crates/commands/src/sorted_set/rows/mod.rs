//! The rows of the sorted-set commands.

mod algebra;
mod change;
mod range;
mod read;

use crate::row::{Command, Crossing, Flags, KeySpec};

/// The family's rows, in COMMAND's order.
pub const COMMANDS: &[Command] = &[
    change::BZMPOP,
    change::BZPOPMAX,
    change::BZPOPMIN,
    change::ZADD,
    read::ZCARD,
    read::ZCOUNT,
    algebra::ZDIFF,
    algebra::ZDIFFSTORE,
    change::ZINCRBY,
    algebra::ZINTER,
    algebra::ZINTERCARD,
    algebra::ZINTERSTORE,
    read::ZLEXCOUNT,
    change::ZMPOP,
    read::ZMSCORE,
    change::ZPOPMAX,
    change::ZPOPMIN,
    read::ZRANDMEMBER,
    range::ZRANGE,
    range::ZRANGEBYLEX,
    range::ZRANGEBYSCORE,
    range::ZRANGESTORE,
    read::ZRANK,
    change::ZREM,
    change::ZREMRANGEBYLEX,
    change::ZREMRANGEBYRANK,
    change::ZREMRANGEBYSCORE,
    range::ZREVRANGE,
    range::ZREVRANGEBYLEX,
    range::ZREVRANGEBYSCORE,
    read::ZREVRANK,
    read::ZSCAN,
    read::ZSCORE,
    algebra::ZUNION,
    algebra::ZUNIONSTORE,
];

/// What commands have in common that read a little of one sorted set.
const READ: Command = Command {
    flags: Flags::READONLY.or(Flags::FAST),
    categories: &["sortedset"],
    keys: &[KeySpec::range(1, 1, 1, &["RO", "access"])],
    crossing: Crossing::OneShard,
    group: "sorted-set",
    ..Command::EMPTY
};

/// Those that may read much of it.
const SLOW: Command = Command { flags: Flags::READONLY, ..READ };

/// Those that read several, whose number comes first.
const COUNTED: Command =
    Command { keys: &[KeySpec::counted(1, &["RO", "access"])], crossing: Crossing::TwoHops, ..SLOW };

/// Those that store what they read of several.
const STORED: Command = Command {
    flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::SIGNALS),
    keys: &[KeySpec::range(1, 1, 1, &["OW", "update"]), KeySpec::counted(2, &["RO", "access"])],
    ..COUNTED
};
