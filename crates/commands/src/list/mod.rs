//! List commands: elements in order, pushed and popped at either end.
//!
//! Source: the Redis 7.2 command pages of the group `list`. Errors are answered in Redis's order: some arguments are
//! looked at before the key, some after, as Redis does in that command.

mod change;
mod multi_pop;
mod pop;
mod position;
mod push;
mod read;
#[cfg(test)]
pub(crate) mod replay;
mod transfer;
mod trim;

use crate::ctx::{Ctx, parse_int};
use crate::effects::Event;
use crate::error::CommandError;
use crate::row::{Arg, Command};
use datatypes::Element;
use datatypes::list::End;
use resp::Reply;

/// The family's rows, in COMMAND's order.
pub const COMMANDS: &[Command] = &[
    transfer::BLMOVE,
    multi_pop::BLMPOP,
    pop::BLPOP,
    pop::BRPOP,
    transfer::BRPOPLPUSH,
    read::LINDEX,
    change::LINSERT,
    read::LLEN,
    transfer::LMOVE,
    multi_pop::LMPOP,
    pop::LPOP,
    position::LPOS,
    push::LPUSH,
    push::LPUSHX,
    read::LRANGE,
    change::LREM,
    change::LSET,
    trim::LTRIM,
    pop::RPOP,
    transfer::RPOPLPUSH,
    push::RPUSH,
    push::RPUSHX,
];

/// Writes an element as a bulk string.
#[inline]
fn reply(out: &mut Reply<'_>, element: Element<'_>) {
    match element {
        Element::Bytes(bytes) => out.bulk(bytes),
        Element::Int(int) => out.bulk_int(int),
    }
}

/// What [`parse_end`] reads.
const ENDS: &[Arg] = &[Arg::token("left", "LEFT"), Arg::token("right", "RIGHT")];

/// LEFT or RIGHT. Errors: `Syntax`.
fn parse_end(word: &[u8]) -> Result<End, CommandError> {
    if word.eq_ignore_ascii_case(b"left") {
        Ok(End::Front)
    } else if word.eq_ignore_ascii_case(b"right") {
        Ok(End::Back)
    } else {
        Err(CommandError::Syntax)
    }
}

/// An integer of at least `least`. Errors: `otherwise`, also for what is no number.
fn parse_count(text: &[u8], least: i64, otherwise: CommandError) -> Result<usize, CommandError> {
    let count = parse_int(text).filter(|&count| count >= least);
    count.map(|count| count as usize).ok_or(otherwise)
}

/// The place of a list that an index means, which counts from the end when negative; `None` before the first.
fn place(index: i64, len: usize) -> Option<usize> {
    usize::try_from(if index < 0 { index + len as i64 } else { index }).ok()
}

/// Where the elements from `start` to `stop`, both included, begin in a list of `len`, and how many they are.
fn range(start: i64, stop: i64, len: usize) -> (usize, usize) {
    let start = place(start, len).unwrap_or(0);
    let end = place(stop, len).map_or(0, |stop| stop.saturating_add(1)).min(len);
    if start < end { (start, end - start) } else { (0, 0) }
}

/// What fires when elements were pushed.
fn pushed(ctx: &mut Ctx<'_>, key: &[u8], end: End) {
    ctx.event(Event::LIST, if end == End::Front { "lpush" } else { "rpush" }, key);
}

/// What fires when elements were popped.
fn popped(ctx: &mut Ctx<'_>, key: &[u8], end: End, removed: bool) {
    taken(ctx, key, if end == End::Front { "lpop" } else { "rpop" }, removed);
}

/// What fires when elements went.
fn taken(ctx: &mut Ctx<'_>, key: &[u8], name: &'static str, removed: bool) {
    ctx.event(Event::LIST, name, key);
    if removed {
        ctx.event(Event::GENERIC, "del", key);
    }
}
