//! The slow log and the latency monitor, as far as they look at commands.

use commands::{ClientSlot, CommandRef, Core, Flags};
use stdx::args::OwnedArgs;
use stdx::{Args, UnixMs};

/// Whether a command took so long that the slow log wants it; the latency monitor takes it here if it wants it.
#[inline]
pub(crate) fn is_slow(core: &mut Core, command: CommandRef, nanos: u64, now: UnixMs) -> bool {
    let event = if command.row.flags.has(Flags::FAST) { "fast-command" } else { "command" };
    core.note_latency(event, nanos, now);
    // A negative threshold, off, is a very large unsigned one.
    let threshold_us = core.config.slowlog_log_slower_than_us as u64;
    nanos / 1000 >= threshold_us && !command.row.flags.has(Flags::SKIP_SLOWLOG)
}

/// Enters a command in the slow log of the core that its client is connected to.
#[cold]
pub(crate) fn note_slow(
    core: &mut Core,
    command: CommandRef,
    args: Args<'_>,
    nanos: u64,
    client: ClientSlot,
    now: UnixMs,
) {
    let redacted = commands::server::redact::redacted(command, args);
    let args = redacted.as_ref().map_or(args, OwnedArgs::as_args);
    let Some(client) = core.clients.get(client) else { return };
    let len_max = core.config.slowlog_max_len as usize;
    core.slowlog.push(args, now.0 / 1000, nanos / 1000, (&client.addr, &client.name), len_max);
}
