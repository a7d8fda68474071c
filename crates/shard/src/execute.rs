//! Running one command.

use crate::upkeep::{make_room, tell_change};
use commands::effects;
use commands::{Caller, CommandError, CommandRef, Core, Ctx, Flags, OUT_OF_MEMORY, Outcome};
use stdx::{Args, Slot, UnixMs};

/// Runs `command` and appends its reply to `out`. The caller has found that it may run here and now: it is
/// authenticated, its keys are this shard's and are not locked. `slot` is that of its first key. When it parks its client
/// nothing is written, and `core.parking` says what for.
#[inline]
pub fn execute(
    core: &mut Core,
    command: CommandRef,
    caller: Caller,
    args: Args<'_>,
    slot: Option<Slot>,
    out: &mut Vec<u8>,
    now: UnixMs,
) -> Outcome {
    let is_limited = command.row.flags.has(Flags::DENYOOM) && core.config.maxmemory != 0;
    if is_limited && !make_room(core, now) {
        refuse(core, command, out);
        return Outcome::Refused;
    }
    let outcome = run(core, command, caller, args, slot, out, now);
    if is_limited {
        tell_change(core);
    }
    outcome
}

/// The same without asking whether memory allows it: for the parts of a command that was asked before.
#[inline]
pub fn run(
    core: &mut Core,
    command: CommandRef,
    caller: Caller,
    args: Args<'_>,
    slot: Option<Slot>,
    out: &mut Vec<u8>,
    now: UnixMs,
) -> Outcome {
    run_whole_or_part::<true>(core, command, caller, args, slot, out, now)
}

/// The same for one shard's part of a command whose failure is counted once, when the reply is put together.
#[inline]
pub fn run_part(
    core: &mut Core,
    command: CommandRef,
    caller: Caller,
    args: Args<'_>,
    out: &mut Vec<u8>,
    now: UnixMs,
) -> Outcome {
    run_whole_or_part::<false>(core, command, caller, args, None, out, now)
}

#[inline]
fn run_whole_or_part<const WHOLE: bool>(
    core: &mut Core,
    command: CommandRef,
    caller: Caller,
    args: Args<'_>,
    slot: Option<Slot>,
    out: &mut Vec<u8>,
    now: UnixMs,
) -> Outcome {
    let start = out.len();
    core.long.begin();
    let mark = effects::begin(core);
    let mut ctx = Ctx::new(core, caller, out, now);
    ctx.routed = slot.map(|slot| (std::ptr::from_ref(args.at(command.first_key as usize)), slot));
    let outcome = match (command.row.handler)(&mut ctx, args) {
        Ok(outcome) => outcome,
        Err(error) => {
            fail(core, WHOLE.then_some(command), &error, start, out);
            Outcome::Done
        }
    };
    effects::end(core, mark, command, &caller, args);
    outcome
}

#[cold]
fn fail(core: &mut Core, counted: Option<CommandRef>, error: &CommandError, start: usize, out: &mut Vec<u8>) {
    let text = error.text();
    out.truncate(start);
    drop(core.long.take());
    resp::Reply::new(out, resp::Proto::Resp2).error(&text);
    if let Some(command) = counted {
        core.stats.failed(command.index, &text);
    }
}

#[cold]
fn refuse(core: &mut Core, command: CommandRef, out: &mut Vec<u8>) {
    core.long.begin();
    core.stats.rejected(command.index, OUT_OF_MEMORY);
    resp::Reply::new(out, resp::Proto::Resp2).error(OUT_OF_MEMORY);
}
