//! HSET, HMSET and HSETNX.

use super::due;
use crate::ctx::{Ctx, Outcome};
use crate::effects::Event;
use crate::error::CommandError;
use datatypes::Kind;
use datatypes::hash::KeepExpiry;
use stdx::Args;

pub(super) fn hset(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let made = set(ctx, args, "hset")?;
    ctx.out.int(made);
    Ok(Outcome::Done)
}

pub(super) fn hmset(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    set(ctx, args, "hmset")?;
    ctx.out.ok();
    Ok(Outcome::Done)
}

/// Sets all fields that are given and returns how many are new.
#[inline]
fn set(ctx: &mut Ctx<'_>, args: Args<'_>, command: &'static str) -> Result<i64, CommandError> {
    if !args.len().is_multiple_of(2) {
        return Err(CommandError::Arity(command.into()));
    }
    let (key, pairs) = (ctx.key(args.at(1)), args.from(2));
    due::remove_before(ctx, key, pairs.iter().step_by(2));
    let edited = ctx.core.keyspace.edit(ctx.caller.db, key, Kind::Hash, true, ctx.now, |editing| {
        let mut hash = editing.hash();
        hash.expect(pairs.len() / 2, longest(pairs));
        let mut made = 0;
        for pair in 0..pairs.len() / 2 {
            made += i64::from(hash.set(pairs.at(2 * pair), pairs.at(2 * pair + 1), KeepExpiry::No));
        }
        editing.changed(pairs.len() as u64 / 2);
        made
    })?;
    ctx.event(Event::HASH, "hset", key.bytes);
    Ok(edited.map_or(0, |edited| edited.result))
}

/// The length of the longest of `texts`.
#[inline]
pub(super) fn longest(texts: Args<'_>) -> usize {
    texts.iter().map(<[u8]>::len).max().unwrap_or(0)
}

pub(super) fn hsetnx(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let (key, name, value) = (ctx.key(args.at(1)), args.at(2), args.at(3));
    due::remove_before(ctx, key, [name].into_iter());
    let edited = ctx.core.keyspace.edit(ctx.caller.db, key, Kind::Hash, true, ctx.now, |editing| {
        let mut hash = editing.hash();
        if hash.get().field(name).is_some() {
            return false;
        }
        hash.set(name, value, KeepExpiry::No);
        editing.changed(1);
        true
    })?;
    let done = edited.is_some_and(|edited| edited.result);
    if done {
        ctx.event(Event::HASH, "hset", key.bytes);
    }
    ctx.out.int(done.into());
    Ok(Outcome::Done)
}
