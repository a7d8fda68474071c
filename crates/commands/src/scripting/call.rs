//! What a script may run: redis.call's checks, in Redis's order and words.

use crate::core::Core;
use crate::error::OUT_OF_MEMORY;
use crate::parking;
use crate::replica::READ_ONLY;
use crate::row::Flags;
use crate::table::{self, CommandRef, Misfit};
use script::ScriptFlags;
use std::borrow::Cow;
use stdx::{Args, UnixMs};

/// What holds for the commands of one script.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    /// It may not write.
    pub(super) read_only: bool,
    /// Memory was full when it began, and it has to mind.
    pub(super) is_full: bool,
    /// The disk could not keep what is written when it began.
    pub(super) disk_fails: bool,
    /// The server was a replica that takes no writes of clients when it began.
    pub(super) is_replica: bool,
    /// It was one without its master, which shows no data.
    pub(super) is_stale: bool,
    /// It may call DEBUG, which is not for scripts.
    pub(super) may_debug: bool,
}

impl Rules {
    /// For a script that says this of itself, called by a command that lets it read only or not.
    pub(super) fn of(core: &mut Core, flags: ScriptFlags, is_read_only: bool, now: UnixMs) -> Self {
        let says = |flag| !flags.has(ScriptFlags::UNSAID) && flags.has(flag);
        let minds = core.config.maxmemory != 0 && !says(ScriptFlags::ALLOW_OOM);
        Self {
            read_only: is_read_only || says(ScriptFlags::NO_WRITES),
            is_full: minds && !(core.make_room)(core, now),
            disk_fails: core.shared.health.refuses_any(),
            is_replica: core.shared.replica.is_read_only(&core.config),
            is_stale: core.shared.replica.hides_data(&core.config),
            may_debug: core.scripts_may_debug,
        }
    }
}

/// Why a command does not run.
#[derive(Debug)]
pub(super) enum Refusal {
    /// No such command.
    Unknown,
    /// These words, for this command.
    Of(CommandRef, &'static str),
    /// It would write what the disk cannot keep.
    Disk(CommandRef),
    /// Its arguments are not as many as it takes, in a way that only the command itself can tell.
    HalfGroup(CommandRef),
    /// XREAD and XREADGROUP with the option BLOCK; the name as it was written.
    Blocks(CommandRef, Vec<u8>),
}

/// Looks a command up and says whether the script may run it.
#[inline]
pub(super) fn admit(rules: &Rules, wrote: &mut bool, args: Args<'_>) -> Result<CommandRef, Refusal> {
    let command = match table::lookup(args) {
        Ok(command) => command,
        Err(Misfit::Unknown(_)) => return Err(Refusal::Unknown),
        Err(Misfit::Arity(command)) => return Err(Refusal::Of(command, WRONG_COUNT)),
        Err(Misfit::HalfGroup(command)) => return Err(Refusal::HalfGroup(command)),
    };
    let flags = command.row.flags;
    if rules.is_stale && !flags.has(Flags::STALE) {
        return Err(Refusal::Of(command, STALE));
    }
    if flags.0 & LOOKED_AT.0 == 0 {
        return Ok(command);
    }
    if flags.has(Flags::NOSCRIPT) && !(rules.may_debug && command.row.name == "debug") {
        return Err(Refusal::Of(command, "ERR This Redis command is not allowed from script"));
    }
    let writes = flags.has(Flags::WRITE);
    if rules.read_only && (writes || flags.has(Flags::MAY_REPLICATE)) {
        return Err(Refusal::Of(command, "ERR Write commands are not allowed from read-only scripts."));
    }
    if writes && rules.is_replica {
        return Err(Refusal::Of(command, READ_ONLY));
    }
    if writes && rules.disk_fails {
        return Err(Refusal::Disk(command));
    }
    // Others that block find nobody to wait for, and answer as at the end of their time.
    if command.row.name.starts_with("xread") && parking::may_park(command.row.name, args) {
        return Err(Refusal::Blocks(command, args.at(0).to_vec()));
    }
    // A script that has written is not stopped in its middle.
    if rules.is_full && !*wrote && flags.has(Flags::DENYOOM) {
        return Err(Refusal::Of(command, OUT_OF_MEMORY));
    }
    *wrote |= writes;
    Ok(command)
}

/// redis.acl_check_cmd: `:1` for every command there is, as there is one user who may do everything.
pub(super) fn may_run(args: Args<'_>, out: &mut Vec<u8>) {
    let reply: &[u8] = match table::lookup(args) {
        Err(Misfit::Unknown(_)) => b"-ERR unknown\r\n",
        _ => b":1\r\n",
    };
    out.extend_from_slice(reply);
}

impl Refusal {
    /// Writes the error, and counts it.
    #[cold]
    pub(super) fn write(&self, core: &mut Core, out: &mut Vec<u8>) {
        let text = match self {
            Self::Unknown => {
                core.stats.refused(UNKNOWN);
                UNKNOWN.as_bytes().into()
            }
            Self::Of(command, text) => {
                core.stats.rejected(command.index, text);
                text.as_bytes().into()
            }
            Self::Disk(command) => {
                // The disk may be well again by now; the script goes on as it began.
                let text = core.shared.health.refusal().unwrap_or(Cow::Borrowed(DISK_FAILED.as_bytes()));
                core.stats.rejected(command.index, &text);
                text
            }
            Self::HalfGroup(command) => {
                let text = Misfit::HalfGroup(command).error().text();
                core.stats.record_untimed(command.index);
                core.stats.failed(command.index, &text);
                text
            }
            Self::Blocks(command, name) => {
                let rest = b" command is not allowed with BLOCK option from scripts";
                let text = [b"ERR ", &name[..], rest].concat();
                core.stats.record_untimed(command.index);
                core.stats.failed(command.index, &text);
                text.into()
            }
        };
        resp::Reply::new(out, resp::Proto::Resp2).error(&text);
    }
}

const LOOKED_AT: Flags =
    Flags::NOSCRIPT.or(Flags::WRITE).or(Flags::MAY_REPLICATE).or(Flags::DENYOOM).or(Flags::BLOCKING);
const UNKNOWN: &str = "ERR Unknown Redis command called from script";
const WRONG_COUNT: &str = "ERR Wrong number of args calling Redis command from script";
const STALE: &str = "ERR Can not execute the command on a stale replica";
const DISK_FAILED: &str = "MISCONF Errors writing to the AOF file";
