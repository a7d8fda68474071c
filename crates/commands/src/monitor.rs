//! MONITOR: what clients are shown of all commands.
//!
//! A monitor is subscribed to a kind of its own, so every core knows whether there is any, and a line goes the way of a
//! message. It is made where the client is connected, once its command has run or has been sent to its shard.

use crate::client::{Client, ClientFlags, ClientSlot};
use crate::core::Core;
use crate::ctx::{Ctx, Outcome};
use crate::error::CommandError;
use crate::row::{Crossing, Flags};
use crate::server::redact::redacted;
use crate::table::CommandRef;
use pubsub::{Kind, Subscriber};
use std::io::Write;
use stdx::args::OwnedArgs;
use stdx::{Args, DbIndex};

/// MONITOR
pub(crate) fn monitor(ctx: &mut Ctx<'_>, _: Args<'_>) -> Result<Outcome, CommandError> {
    let slot = ctx.caller.slot.filter(|_| ctx.caller.may_park).ok_or(CommandError::MONITOR_DENIED)?;
    if ctx.core.pubsub.subscribe(Kind::Monitor, Subscriber(slot.0), b"") {
        ctx.client().flags.set(ClientFlags::MONITOR, true);
        ctx.out.ok();
    }
    // Redis gives one that is a monitor already no answer.
    Ok(Outcome::Done)
}

/// Shows monitors a command that a client of this core has run, unless it is not for them to see: those of administrators
/// are not. Those that run scripts are shown when they begin, all others when they have run. Call it only when there are
/// monitors ([`pubsub::PubSub::has_monitors`]). `db`: the database that is selected then; `now_us`: since 1970.
#[cold]
pub fn show(
    core: &mut Core,
    client: ClientSlot,
    command: CommandRef,
    args: Args<'_>,
    db: DbIndex,
    now_us: i64,
) {
    if is_shown(command)
        && let Some(client) = core.clients.get(client)
    {
        let line = line(core, command, args, db, Source::Client(client), now_us);
        core.pubsub.show(&line);
    }
}

/// The same of a command that a script has run.
#[cold]
pub fn show_scripted(core: &mut Core, command: CommandRef, args: Args<'_>, db: DbIndex, now_us: i64) {
    if is_shown(command) {
        let line = line(core, command, args, db, Source::Script, now_us);
        core.pubsub.show(&line);
    }
}

/// Who a command came from.
#[derive(Clone, Copy, Debug)]
enum Source<'a> {
    Client(&'a Client),
    Script,
}

/// Redis hides those that run scripts where it shows commands that have run, and shows them by themselves.
fn is_shown(command: CommandRef) -> bool {
    const HIDDEN: u32 = Flags::SKIP_MONITOR.0 | Flags::ADMIN.0;
    command.row.flags.0 & HIDDEN == 0 || matches!(command.row.crossing, Crossing::Script)
}

fn line(
    core: &Core,
    command: CommandRef,
    args: Args<'_>,
    db: DbIndex,
    source: Source<'_>,
    now_us: i64,
) -> Vec<u8> {
    let unixsocket = core.config.unixsocket.as_deref().unwrap_or_default();
    let hidden = redacted(command, args);
    let args = hidden.as_ref().map_or(args, OwnedArgs::as_args);
    let mut line = Vec::with_capacity(64 + args.iter().map(|arg| arg.len() + 3).sum::<usize>());
    let (seconds, micros) = (now_us / 1_000_000, now_us % 1_000_000);
    let _ = write!(line, "+{seconds}.{micros:06} [{} ", db.0);
    let _ = match source {
        Source::Script => write!(line, "lua]"),
        Source::Client(client) if client.flags.has(ClientFlags::UNIX) => write!(line, "unix:{unixsocket}]"),
        Source::Client(client) => write!(line, "{}]", client.addr),
    };
    for arg in args.iter() {
        line.push(b' ');
        quote(arg, &mut line);
    }
    line.extend_from_slice(b"\r\n");
    line
}

/// As Redis prints a string that may hold anything.
fn quote(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for &byte in text {
        match byte {
            b'\\' | b'"' => out.extend_from_slice(&[b'\\', byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            7 => out.extend_from_slice(b"\\a"),
            8 => out.extend_from_slice(b"\\b"),
            b' '..=b'~' => out.push(byte),
            _ => {
                let _ = write!(out, "\\x{byte:02x}");
            }
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{START, World};

    #[track_caller]
    fn check(args: &[&[u8]], expected: &str) {
        let mut world = World::new(1);
        let client = world.client().clone();
        let args = OwnedArgs::new(args);
        let command = crate::table::lookup(args.as_args()).expect("a command");
        let now_us = START.0 * 1000 + 7;
        let line =
            line(&world.cores[0], command, args.as_args(), DbIndex(3), Source::Client(&client), now_us);
        assert_eq!(String::from_utf8(line).expect("it is quoted"), expected);
    }

    #[test]
    fn commands_are_shown_with_what_they_were_given() {
        check(&[b"set", b"k", b"v"], "+1700000000.000007 [3 127.0.0.1:50001] \"set\" \"k\" \"v\"\r\n");
        check(
            &[b"EcHo", b"\x00\n\r\t\x07\x08\"\\ ~\x7f\xff"],
            "+1700000000.000007 [3 127.0.0.1:50001] \"EcHo\" \"\\x00\\n\\r\\t\\a\\b\\\"\\\\ ~\\x7f\\xff\"\r\n",
        );
        check(&[b"auth", b"secret"], "+1700000000.000007 [3 127.0.0.1:50001] \"auth\" \"(redacted)\"\r\n");
    }

    #[test]
    fn commands_of_administrators_are_not_shown() {
        let shown = |line: &str| {
            let args = OwnedArgs::new(&line.split(' ').collect::<Vec<_>>());
            is_shown(crate::table::lookup(args.as_args()).expect("a command"))
        };
        assert!(
            ["get k", "exec", "eval x 0", "fcall f 0", "auth x", "client id", "publish c m"]
                .iter()
                .all(|line| shown(line))
        );
        assert!(["config get x", "client list", "monitor", "debug sleep 0"].iter().all(|line| !shown(line)));
    }

    #[test]
    fn one_is_a_monitor_until_reset() {
        let mut world = World::new(1);
        world.check(&["MONITOR"], "+OK");
        assert!(world.cores[0].pubsub.has_monitors());
        assert!(world.run("CLIENT INFO").contains(" flags=O "));
        world.check(&["MONITOR"], "");
        world.check(&["RESET"], "+RESET");
        assert!(!world.cores[0].pubsub.has_monitors());
        assert!(world.run("CLIENT INFO").contains(" flags=N "));
    }
}
