//! Commands on keys of any kind, and on whole databases.
//!
//! Source: the Redis 7.2 command pages of the group `generic`, and of `server` those that change the keyspace.

mod copy;
mod count;
mod database;
mod dump;
mod expire;
mod keys;
mod object;
mod random;
mod rename;
pub(crate) mod scan;
pub mod sort;
mod ttl;

use crate::ctx::{Ctx, parse_int};
use crate::error::CommandError;
use crate::row::Command;
use stdx::DbIndex;

pub use copy::destination_db;
pub(crate) use expire::set_expiry;
pub(crate) use object::owners;
pub use scan::COUNT_DEFAULT;

/// The family's rows, in COMMAND's order.
pub const COMMANDS: &[Command] = &[
    copy::COPY,
    database::DBSIZE,
    count::DEL,
    dump::DUMP,
    count::EXISTS,
    expire::EXPIRE,
    expire::EXPIREAT,
    ttl::EXPIRETIME,
    database::FLUSHALL,
    database::FLUSHDB,
    keys::KEYS,
    copy::MOVE,
    object::OBJECT,
    expire::PERSIST,
    expire::PEXPIRE,
    expire::PEXPIREAT,
    ttl::PEXPIRETIME,
    ttl::PTTL,
    random::RANDOMKEY,
    rename::RENAME,
    rename::RENAMENX,
    dump::RESTORE,
    scan::SCAN,
    sort::SORT,
    sort::SORT_RO,
    database::SWAPDB,
    count::TOUCH,
    ttl::TTL,
    keys::TYPE,
    count::UNLINK,
];

/// A database named by a client. Errors: `NotInteger`; another text past 32 bits; `DbIndex`.
fn parse_db(text: &[u8], databases: u16) -> Result<DbIndex, CommandError> {
    let number = parse_int(text).ok_or(CommandError::NotInteger)?;
    in_range(i32::try_from(number).map_err(|_| CommandError::PAST_32_BITS)?, databases)
}

fn parse_i32(text: &[u8]) -> Option<i32> {
    i32::try_from(parse_int(text)?).ok()
}

fn in_range(number: i32, databases: u16) -> Result<DbIndex, CommandError> {
    let index = u16::try_from(number).ok().filter(|&index| index < databases);
    index.map(DbIndex).ok_or(CommandError::DbIndex)
}

/// Runs `change` as one change, however many steps it takes in the keyspace.
fn as_one_change<R>(ctx: &mut Ctx<'_>, change: impl FnOnce(&mut Ctx<'_>) -> R) -> R {
    let before = ctx.core.keyspace.stats.dirty;
    let result = change(ctx);
    ctx.core.keyspace.stats.dirty = before + 1;
    result
}
