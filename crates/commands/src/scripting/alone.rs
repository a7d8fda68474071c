//! Runs one command for a script, all of whose keys are this shard's. What looks at the whole keyspace does so only where
//! there is one shard, or where the script holds all of them.

use crate::core::Core;
use crate::ctx::{Caller, Ctx, Outcome};
use crate::effects;
use crate::error::CommandError;
use crate::monitor;
use crate::row::{Crossing, Merge};
use crate::table::CommandRef;
use stdx::{Args, UnixMs};

/// Runs it and counts it. Its reply, or its error, is appended to `out`. `since`: when its script began. Returns when it
/// ended. Both by [`Core::nanos`].
#[inline]
pub(super) fn run(
    core: &mut Core,
    command: CommandRef,
    caller: &mut Caller,
    args: Args<'_>,
    out: &mut Vec<u8>,
    (now, since): (UnixMs, u64),
) -> u64 {
    let began = (core.nanos)();
    core.long.begin();
    let start = out.len();
    let mark = effects::begin(core);
    let result = match command.row.crossing {
        Crossing::Global(_, Merge::Custom(_)) => merged(core, command, *caller, args, out, now),
        Crossing::Session if command.row.name == "select" => select(core, caller, args, out),
        _ => (command.row.handler)(&mut Ctx::new(core, *caller, out, now), args),
    };
    match result {
        Ok(Outcome::Done | Outcome::Refused) => {}
        Ok(Outcome::Park) => unreachable!("nothing parks in a script"),
        Err(error) => fail(core, command, &error, start, out),
    }
    effects::end(core, mark, command, caller, args);
    let ended = (core.nanos)();
    core.stats.record(command.index, ended - began);
    if core.pubsub.has_monitors() {
        let elapsed_us = (ended - since) / 1000;
        monitor::show_scripted(core, command, args, caller.db, core.clock_us + elapsed_us as i64);
    }
    ended
}

#[cold]
fn fail(core: &mut Core, command: CommandRef, error: &CommandError, start: usize, out: &mut Vec<u8>) {
    let text = error.text();
    out.truncate(start);
    resp::Reply::new(out, resp::Proto::Resp2).error(&text);
    core.stats.failed(command.index, &text);
}

/// A command whose reply is put together from those of all shards: here of one.
fn merged(
    core: &mut Core,
    command: CommandRef,
    caller: Caller,
    args: Args<'_>,
    out: &mut Vec<u8>,
    now: UnixMs,
) -> Result<Outcome, CommandError> {
    let Crossing::Global(_, Merge::Custom(merge)) = command.row.crossing else {
        unreachable!("called for these")
    };
    let mut part = Vec::new();
    (command.row.handler)(&mut Ctx::new(core, caller, &mut part, now), args)?;
    merge(&mut Ctx::new(core, caller, out, now), args, &[&part])?;
    Ok(Outcome::Done)
}

/// SELECT for the rest of the script, not for its client.
fn select(
    core: &Core,
    caller: &mut Caller,
    args: Args<'_>,
    out: &mut Vec<u8>,
) -> Result<Outcome, CommandError> {
    caller.db = crate::connection::database(core, args.at(1))?;
    resp::Reply::new(out, caller.proto).ok();
    Ok(Outcome::Done)
}
