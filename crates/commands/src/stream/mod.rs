//! Stream commands: entries by id, and groups of consumers that share them.
//!
//! Source: the Redis 7.2 command pages of the group `stream`. Errors are answered in Redis's order: what is wrong with the
//! arguments before or after the key is looked up, as Redis does in that command.

mod ack;
mod add;
mod claim;
mod delete;
mod group;
mod info;
mod journal;
mod pending;
mod range;
mod read;
#[cfg(test)]
mod replay;
mod reply;
mod rows;
mod setid;
mod trimming;

pub(crate) use read::{blocks, takes_from};
pub use rows::COMMANDS;

use crate::ctx::Ctx;
use crate::error::CommandError;
use datatypes::{Stream, StreamId};
use keyspace::{Access, Editing};
use stdx::Args;

/// The stream at `key`, or `None` when there is none. Errors: `WrongType`.
fn find<'c>(ctx: &'c mut Ctx<'_>, key: &[u8], access: Access) -> Result<Option<&'c Stream>, CommandError> {
    let key = ctx.key(key);
    match ctx.core.keyspace.find(ctx.caller.db, key, ctx.now, access) {
        Some(entry) => entry.stream().map(Some).ok_or(CommandError::WrongType),
        None => Ok(None),
    }
}

/// Counts a read of a stream that is not there, which Redis does for commands that change what was delivered.
#[cold]
fn missed(ctx: &mut Ctx<'_>, key: &[u8]) {
    let (key, access) = (ctx.key(key), ctx.read_access());
    ctx.core.keyspace.find(ctx.caller.db, key, ctx.now, access);
}

/// Changes the stream at `key`, if it is there. Errors: `WrongType`, and those of `change`.
macro_rules! edit {
    ($ctx:expr, $key:expr, $change:expr) => {
        $crate::stream::edit!($ctx, $key, false, $change)
    };
    ($ctx:expr, $key:expr, $make:expr, $change:expr) => {{
        let key = $ctx.key($key);
        let edited =
            $ctx.core.keyspace.edit($ctx.caller.db, key, keyspace::Kind::Stream, $make, $ctx.now, $change)?;
        edited.map(|edited| edited.result).transpose()
    }};
}
use edit;

/// An id with both parts, or the first alone. Errors: `STREAM_ID`.
fn id(arg: &[u8]) -> Result<StreamId, CommandError> {
    StreamId::parse(arg, 0).ok_or(CommandError::STREAM_ID)
}

/// Checks that all of `args` are ids, so that a command is done as a whole or not at all.
fn check_ids(args: Args<'_>) -> Result<(), CommandError> {
    args.iter().try_for_each(|arg| id(arg).map(drop))
}

/// The first id of a range: `(` before it excludes it. Errors: `STREAM_ID`, `STREAM_START`.
fn range_start(arg: &[u8]) -> Result<StreamId, CommandError> {
    match excluded(arg) {
        Some(arg) => id(arg)?.next().ok_or(CommandError::STREAM_START),
        None => StreamId::parse_end(arg, 0).ok_or(CommandError::STREAM_ID),
    }
}

/// The last id of a range. Errors: `STREAM_ID`, `STREAM_END`.
fn range_end(arg: &[u8]) -> Result<StreamId, CommandError> {
    match excluded(arg) {
        Some(arg) => {
            let id = StreamId::parse(arg, u64::MAX).ok_or(CommandError::STREAM_ID)?;
            id.before().ok_or(CommandError::STREAM_END)
        }
        None => StreamId::parse_end(arg, u64::MAX).ok_or(CommandError::STREAM_ID),
    }
}

fn excluded(arg: &[u8]) -> Option<&[u8]> {
    arg.strip_prefix(b"(").filter(|rest| !rest.is_empty())
}

/// Whether an argument is this word, in any case.
fn is(arg: &[u8], word: &str) -> bool {
    arg.eq_ignore_ascii_case(word.as_bytes())
}

/// The entries' part of [`Editing`], and how many changes there were.
fn changed(editing: &mut Editing<'_>, changes: u64) {
    if changes > 0 {
        editing.changed(changes);
    }
}
