//! DEBUG, as far as clients' test suites use it. Every core runs it; home answers.

use crate::core::{Action, Core};
use crate::ctx::{Caller, Ctx, Outcome, parse_int};
use crate::error::CommandError;
use keyspace::{Access, EntryRef, StringRef};
use stdx::{Args, UnixMs};

/// Whether `caller` may run DEBUG here. Admission asks it before any core runs the command.
/// Errors: Redis's refusal, which names the parameter.
pub fn allowed(core: &Core, caller: &Caller) -> Result<(), CommandError> {
    if core.config.enable_debug_command.allows(caller.local) {
        Ok(())
    } else {
        Err(CommandError::DEBUG_NOT_ALLOWED)
    }
}

/// DEBUG subcommand...: one core's part. What one core cannot answer (a key of another) it leaves out.
pub(super) fn debug(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    allowed(ctx.core, &ctx.caller)?;
    match (args.at(1).to_ascii_uppercase().as_slice(), args.len()) {
        (b"SLEEP", 3) => {
            let micros = (seconds(args.at(2)) * 1e6) as u64;
            ctx.core.actions.push(Action::Sleep { micros });
        }
        (b"SET-ACTIVE-EXPIRE", 3) => ctx.core.active_expire = parse_int(args.at(2)).unwrap_or(0) != 0,
        (b"QUICKLIST-PACKED-THRESHOLD", 3) | (b"HELP", 2) => {}
        (b"OBJECT", 3..) => object(ctx, args.at(2)),
        _ => return Err(CommandError::subcommand("DEBUG", args.at(1))),
    }
    Ok(Outcome::Done)
}

/// The reply, at home: OK, or the one part that has something to say.
pub(super) fn merge(ctx: &mut Ctx<'_>, args: Args<'_>, parts: &[&[u8]]) -> Result<(), CommandError> {
    match args.at(1).to_ascii_uppercase().as_slice() {
        b"OBJECT" => {
            let found = parts.iter().find(|part| !part.is_empty()).ok_or(CommandError::NoSuchKey)?;
            ctx.out.raw(found);
        }
        b"HELP" => {
            ctx.out.array(HELP.len());
            HELP.iter().for_each(|line| ctx.out.simple(line));
        }
        _ => ctx.out.ok(),
    }
    Ok(())
}

/// DEBUG OBJECT key, on the core that has it. The reference count is OBJECT REFCOUNT's; there is no address
/// that is worth printing.
fn object(ctx: &mut Ctx<'_>, key: &[u8]) {
    let (db, now, key) = (ctx.db(), ctx.now, ctx.key(key));
    if !ctx.core.keyspace.owns(key.slot) {
        return;
    }
    if let Some(entry) = ctx.core.keyspace.find(db, key, now, Access::Peek) {
        let owners = crate::generic::owners(&ctx.core.config, entry);
        let text = description(entry, owners, now);
        ctx.out.simple(&text);
    }
}

fn description(entry: EntryRef<'_>, owners: i64, now: UnixMs) -> String {
    let idle_s = entry.idle_s(now);
    let lru = (now.0 / 1000 - idle_s as i64) & 0xff_ffff;
    let (encoding, length) = (entry.encoding(), entry.string().map_or(0, serialized_len));
    format!(
        "Value at:0x0 refcount:{owners} encoding:{encoding} serializedlength:{length} lru:{lru} lru_seconds_idle:{idle_s}"
    )
}

/// How many bytes a string takes in an RDB file, uncompressed.
fn serialized_len(value: StringRef<'_>) -> usize {
    match value {
        StringRef::Int(-128..=127) => 2,
        StringRef::Int(-32_768..=32_767) => 3,
        StringRef::Int(number) if i32::try_from(number).is_ok() => 5,
        StringRef::Int(number) => 1 + number.to_string().len(),
        StringRef::Bytes(bytes) => {
            let header = match bytes.len() {
                ..64 => 1,
                64..16384 => 2,
                _ => 5,
            };
            header + bytes.len()
        }
    }
}

/// Seconds with a fraction; what is not a number is 0, as in Redis.
fn seconds(text: &[u8]) -> f64 {
    let parsed = std::str::from_utf8(text).ok().and_then(|text| text.parse::<f64>().ok());
    parsed.filter(|seconds| seconds.is_finite()).unwrap_or(0.0).clamp(0.0, SLEEP_SECONDS_MAX)
}

/// The longest sleep.
const SLEEP_SECONDS_MAX: f64 = 3600.0;

const HELP: [&str; 9] = [
    "DEBUG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "OBJECT key",
    "    Describes how the value of the key is kept.",
    "QUICKLIST-PACKED-THRESHOLD size",
    "    Accepted, without effect.",
    "SET-ACTIVE-EXPIRE <0 | 1>",
    "    Whether expired keys are removed without being looked at.",
    "SLEEP seconds",
    "    Stands still for so long, on every core.",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{World, check};

    fn world() -> World {
        let mut world = World::new(2);
        world.cores.iter_mut().for_each(|core| core.config.enable_debug_command = config::Access::Local);
        world
    }

    #[test]
    fn it_is_refused_unless_it_was_enabled() {
        check(&["DEBUG SLEEP 0"], &format!("-{}", CommandError::DEBUG_NOT_ALLOWED));
        let mut world = world();
        world.client().flags.set(crate::client::ClientFlags::LOCAL, false);
        world.check(&["DEBUG SLEEP 0"], &format!("-{}", CommandError::DEBUG_NOT_ALLOWED));
    }

    #[test]
    fn every_core_sleeps_and_stops_expiring() {
        let mut world = world();
        world.check(&["DEBUG SLEEP 0.25", "DEBUG SET-ACTIVE-EXPIRE 0"], "+OK");
        for core in &world.cores {
            assert_eq!(core.actions, [Action::Sleep { micros: 250_000 }]);
            assert!(!core.active_expire);
        }
        world.check(&["DEBUG SET-ACTIVE-EXPIRE 1"], "+OK");
        assert!(world.cores.iter().all(|core| core.active_expire));
    }

    #[test]
    fn objects_are_found_on_whichever_core_they_are() {
        let mut world = world();
        world.run("SET a 12345");
        world.run("SET b 'some text'");
        assert_ne!(world.owner("a"), world.owner("b"));
        let number = world.run("DEBUG OBJECT a");
        assert!(
            number.starts_with("+Value at:0x0 refcount:1 encoding:int serializedlength:3 lru:"),
            "{number}"
        );
        world.run("SET c 9999");
        let shared = world.run("DEBUG OBJECT c");
        assert!(
            shared.starts_with("+Value at:0x0 refcount:2147483647 encoding:int"),
            "as OBJECT REFCOUNT: {shared}"
        );
        let text = world.run("DEBUG OBJECT b");
        assert!(text.contains("encoding:embstr serializedlength:10"), "{text}");
        world.check(&["DEBUG OBJECT nowhere"], "-ERR no such key");
    }

    #[test]
    fn other_subcommands() {
        let mut world = world();
        world.check(&["DEBUG QUICKLIST-PACKED-THRESHOLD 1b"], "+OK");
        world.check(
            &["DEBUG FOO"],
            "-ERR unknown subcommand or wrong number of arguments for 'FOO'. Try DEBUG HELP.",
        );
    }
}
