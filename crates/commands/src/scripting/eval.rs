//! EVAL, EVALSHA, FCALL and those that only read: what they name, and running it where it is.

use super::call::Rules;
use super::execution::{Execution, Paused, Progress, ScriptKind};
use super::tameness::is_tame;
use crate::core::{Core, limits};
use crate::ctx::{Caller, Ctx, Outcome, parse_int};
use crate::error::CommandError;
use crate::replica;
use crate::row::Flags;
use crate::table::CommandRef;
use script::{Found, Refusal, ScriptFlags};
use stdx::{Args, UnixMs};

/// EVAL script numkeys [key ...] [arg ...]
pub(super) fn eval(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    run(ctx, args, Named::Text, false)
}

/// EVALSHA sha1 numkeys [key ...] [arg ...]
pub(super) fn evalsha(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    run(ctx, args, Named::Sha, false)
}

/// EVAL_RO script numkeys [key ...] [arg ...]
pub(super) fn eval_ro(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    run(ctx, args, Named::Text, true)
}

/// EVALSHA_RO sha1 numkeys [key ...] [arg ...]
pub(super) fn evalsha_ro(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    run(ctx, args, Named::Sha, true)
}

/// FCALL function numkeys [key ...] [arg ...]
pub(super) fn fcall(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    run(ctx, args, Named::Function, false)
}

/// FCALL_RO function numkeys [key ...] [arg ...]
pub(super) fn fcall_ro(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    run(ctx, args, Named::Function, true)
}

/// How a command names what is to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Named {
    Text,
    Sha,
    Function,
}

/// What a command is to run.
#[derive(Clone, Debug)]
pub struct Callee {
    what: What,
    /// What it says of itself.
    pub flags: ScriptFlags,
    /// How many of the arguments, from the fourth on, are keys.
    pub keys: usize,
    /// Whether its commands are known to keep to those keys.
    pub is_tame: bool,
}

#[derive(Clone, Debug)]
enum What {
    Script(Found),
    Function(String),
}

/// Finds what a command is to run. Errors: there is no such thing, or it is none, or its keys are not counted right.
pub fn callee(core: &mut Core, command: CommandRef, args: Args<'_>) -> Result<Callee, CommandError> {
    let named = match command.row.name {
        "eval" | "eval_ro" => Named::Text,
        "evalsha" | "evalsha_ro" => Named::Sha,
        _ => Named::Function,
    };
    find(core, args, named)
}

#[inline]
fn find(core: &mut Core, args: Args<'_>, named: Named) -> Result<Callee, CommandError> {
    match named {
        Named::Text => {
            let keys = count_keys(args, CommandError::NotInteger)?;
            let found = core.scripts.script(args.at(1)).map_err(refusal)?;
            Ok(script_callee(core, found, keys))
        }
        Named::Sha => {
            if args.at(1).len() != 40 {
                return Err(CommandError::NO_SCRIPT);
            }
            let keys = count_keys(args, CommandError::NotInteger)?;
            let found = core.scripts.script_by_sha(args.at(1)).map_err(refusal)?;
            Ok(script_callee(core, found, keys))
        }
        Named::Function => {
            let function = core.scripts.function(args.at(1)).ok_or(CommandError::NO_FUNCTION)?;
            let keys = count_keys(args, CommandError::FCALL_KEYS)?;
            let (what, flags) = (What::Function(function.name), function.flags);
            Ok(Callee { what, flags, keys, is_tame: false })
        }
    }
}

fn script_callee(core: &Core, found: Found, keys: usize) -> Callee {
    let script = core.scripts.found(found);
    // What is not for scripts is taken for tame, as it does not run.
    let is_tame = !core.scripts_may_debug && is_tame(script);
    Callee { what: What::Script(found), flags: script.flags, keys, is_tame }
}

/// The third argument: how many keys follow.
fn count_keys(args: Args<'_>, not_integer: CommandError) -> Result<usize, CommandError> {
    let wanted = parse_int(args.at(2)).ok_or(not_integer)?;
    match usize::try_from(wanted) {
        Err(_) => Err(CommandError::NUMKEYS_NEGATIVE),
        Ok(keys) if keys > args.len() - 3 => Err(CommandError::NUMKEYS_PAST_ARGS),
        Ok(keys) => Ok(keys),
    }
}

#[cold]
fn refusal(refusal: Refusal) -> CommandError {
    match refusal {
        Refusal::Wrong(text) => text.into(),
        Refusal::Unknown => CommandError::NO_SCRIPT,
        Refusal::NoMemory => CommandError::NO_INTERPRETER,
    }
}

/// Begins to run it. Errors: it may not run now.
#[inline]
pub fn start(
    core: &mut Core,
    callee: &Callee,
    caller: Caller,
    args: Args<'_>,
    is_read_only: bool,
    now: UnixMs,
) -> Result<Execution, CommandError> {
    let flags = callee.flags;
    let says_what_it_does = !flags.has(ScriptFlags::UNSAID);
    let reads_only = flags.has(ScriptFlags::NO_WRITES);
    if says_what_it_does && !reads_only && core.shared.replica.is_read_only(&core.config) {
        return Err(CommandError::Text(replica::READ_ONLY.as_bytes().into()));
    }
    if says_what_it_does && is_read_only && !reads_only {
        return Err(CommandError::WRITING_SCRIPT_READ_ONLY);
    }
    if !flags.has(ScriptFlags::ALLOW_STALE) && core.shared.replica.hides_data(&core.config) {
        return Err(CommandError::Text(replica::MASTER_DOWN.as_bytes().into()));
    }
    if says_what_it_does
        && !reads_only
        && core.shared.health.refuses_any()
        && let Some(refusal) = core.shared.health.script_refusal()
    {
        return Err(CommandError::Text(refusal));
    }
    let allows_oom = reads_only || flags.has(ScriptFlags::ALLOW_OOM);
    if says_what_it_does && !allows_oom && core.config.maxmemory != 0 && !(core.make_room)(core, now) {
        // As Redis has it: who calls it is refused like any command, and one in a transaction when its turn comes.
        let refused = if caller.may_park { CommandError::OUT_OF_MEMORY } else { CommandError::SCRIPT_OOM };
        return Err(refused);
    }
    core.scripts.set_limits(limits(&core.config));
    let (keys, rest) = (args.part(3, callee.keys), args.from(3 + callee.keys));
    let began = (core.nanos)();
    let pause_at = if caller.may_park { began + FIRST_SLICE_NANOS } else { u64::MAX };
    let (run, kind) = match &callee.what {
        What::Script(found) => (core.scripts.begin(*found, keys, rest, pause_at), ScriptKind::Eval),
        What::Function(name) => {
            (core.scripts.begin_function(name, keys, rest, pause_at), ScriptKind::Function)
        }
    };
    let run = run.map_err(|why| match why {
        Refusal::Unknown => CommandError::NO_FUNCTION,
        other => refusal(other),
    })?;
    let rules = Rules::of(core, flags, is_read_only, now);
    Ok(Execution::new(run, caller, kind, rules, (began, pause_at), (now, core.clock_us)))
}

/// Runs it to its end, all its keys being here; or until it has run for long: then the server goes on with it.
#[inline]
fn run(ctx: &mut Ctx<'_>, args: Args<'_>, named: Named, is_read_only: bool) -> Result<Outcome, CommandError> {
    let callee = find(ctx.core, args, named)?;
    let mut execution = start(ctx.core, &callee, ctx.caller, args, is_read_only, ctx.now)?;
    match execution.advance(ctx.core, |_, _| true) {
        Progress::Ended => execution.finish(ctx.core, args, &mut ctx.out),
        Progress::Paused => {
            let running = execution.describe(args);
            ctx.core.paused = Some(Box::new(Paused { execution, running }));
            Ok(Outcome::Done)
        }
        Progress::Elsewhere(_) => unreachable!("all its commands are here"),
    }
}

/// Whether a command runs a script that may not write, whatever the script says.
pub fn is_read_only(command: CommandRef) -> bool {
    command.row.flags.has(Flags::READONLY)
}

/// The flags by which a command that runs a script is admitted to a replica: what the script says of itself stands above its command's row.
pub fn admission_flags(core: &mut Core, command: CommandRef, args: Args<'_>) -> Flags {
    let row = command.row.flags;
    let says = callee(core, command, args).map_or(ScriptFlags::UNSAID, |callee| callee.flags);
    if says.has(ScriptFlags::UNSAID) {
        return row;
    }
    let flags = if says.has(ScriptFlags::ALLOW_STALE) { row } else { row.without(Flags::STALE) };
    if says.has(ScriptFlags::NO_WRITES) { flags } else { flags.or(Flags::WRITE) }
}

/// Whether a command may write, as far as the script that it runs says.
pub fn may_write(core: &mut Core, command: CommandRef, args: Args<'_>) -> bool {
    let says = callee(core, command, args).map_or(ScriptFlags::UNSAID, |callee| callee.flags);
    command.row.flags.has(Flags::MAY_REPLICATE)
        && (says.has(ScriptFlags::UNSAID) || !says.has(ScriptFlags::NO_WRITES))
}

/// How long a script runs before others have their turn, in nanoseconds.
const FIRST_SLICE_NANOS: u64 = 5_000_000;
