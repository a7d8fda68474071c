//! String commands: one value of bytes per key, kept as a number where it is the text of one.
//!
//! Source: the Redis 7.2 command pages of the group `string`. Errors are answered in Redis's order: an argument that
//! is no number is told before the key is looked up, or after, as Redis does in that command.

mod append;
mod counter;
mod get;
mod getex;
mod lcs;
mod many;
mod options;
mod range;
#[cfg(test)]
pub(crate) mod replay;
mod set;
pub(crate) mod value;

use crate::row::Command;

/// The family's rows, in COMMAND's order.
pub const COMMANDS: &[Command] = &[
    append::APPEND,
    counter::DECR,
    counter::DECRBY,
    get::GET,
    get::GETDEL,
    getex::GETEX,
    range::GETRANGE,
    set::GETSET,
    counter::INCR,
    counter::INCRBY,
    counter::INCRBYFLOAT,
    lcs::LCS,
    many::MGET,
    many::MSET,
    many::MSETNX,
    set::PSETEX,
    set::SET,
    set::SETEX,
    set::SETNX,
    append::SETRANGE,
    get::STRLEN,
    range::SUBSTR,
];
