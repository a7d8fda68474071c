//! DEBUG, as far as clients' test suites use it. Every core runs it; home answers.

mod digest;
mod populate;
mod protocol;
mod reload;
mod stream;

use crate::core::{Action, Core};
use crate::ctx::{Caller, Ctx, Outcome, parse_int};
use crate::error::CommandError;
use keyspace::{Access, EntryRef};
use rdb::{Version, Writer};
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
        (b"SET-DISABLE-DENY-SCRIPTS", 3) => {
            ctx.core.scripts_may_debug = parse_int(args.at(2)).unwrap_or(0) != 0;
        }
        (b"PAUSE-CRON", 3) => ctx.core.pauses_upkeep = parse_int(args.at(2)).unwrap_or(0) != 0,
        (b"OBJECT", 3..) => object(ctx, args.at(2)),
        (b"DIGEST", 2) => digest::part(ctx),
        (b"DIGEST-VALUE", _) => digest::values_part(ctx, args.from(2)),
        (b"POPULATE", 3..=5) => populate::populate(ctx, args)?,
        (b"RELOAD", _) => reload::reload(ctx, args.from(2))?,
        (b"LOG", 3) if ctx.caller.slot.is_some() => {
            let line = String::from_utf8_lossy(args.at(2)).into_owned();
            ctx.core.actions.push(Action::Log { line });
        }
        (b"STREAM", 3..) => stream::step(ctx, args.from(2))?,
        (b"STREAM", 2) => {}
        // Home alone has something to do, or nobody.
        (b"HELP", 2) | (b"ERROR" | b"PROTOCOL" | b"LOG", 3) => {}
        (b"QUICKLIST-PACKED-THRESHOLD", 3) => {}
        (b"REPLYBUFFER", 4) if is_of_reply_buffers(args.at(2)) => {}
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
        b"STREAM" => stream::reply(ctx),
        b"DIGEST" => digest::whole(ctx, parts),
        b"DIGEST-VALUE" => digest::values_whole(ctx, args.len() - 2, parts),
        b"PROTOCOL" => protocol::protocol(ctx, args.at(2))?,
        b"ERROR" => return Err(CommandError::Text(args.at(2).to_vec().into())),
        b"HELP" => {
            ctx.out.array(HELP.len());
            HELP.iter().for_each(|line| ctx.out.simple(line));
        }
        _ => ctx.out.ok(),
    }
    Ok(())
}

/// What DEBUG REPLYBUFFER sets in Redis. Here a connection has no buffer of its own whose size is kept.
fn is_of_reply_buffers(word: &[u8]) -> bool {
    word.eq_ignore_ascii_case(b"PEAK-RESET-TIME") || word.eq_ignore_ascii_case(b"RESIZING")
}

/// DEBUG OBJECT key, on the core that has it. The reference count is OBJECT REFCOUNT's; there is no address
/// that is worth printing.
fn object(ctx: &mut Ctx<'_>, key: &[u8]) {
    let (db, now, key) = (ctx.db(), ctx.now, ctx.key(key));
    if !ctx.core.keyspace.owns(key.slot) {
        return;
    }
    // At this time nothing has expired: a key that is there is found.
    let before_all = UnixMs(0);
    if let Some(entry) = ctx.core.keyspace.find(db, key, before_all, Access::Peek) {
        let owners = crate::generic::owners(&ctx.core.config, entry);
        let text = description(entry, owners, ctx.core.config.rdbcompression, now);
        ctx.out.simple(&text);
    }
}

fn description(entry: EntryRef<'_>, owners: i64, compress: bool, now: UnixMs) -> String {
    let idle_s = entry.idle_s(now);
    let lru = (now.0 / 1000 - idle_s as i64) & 0xff_ffff;
    let (encoding, mut saved) = (entry.encoding(), Vec::new());
    Writer::new(&mut saved, Version::V10, compress).value(entry.value());
    let length = saved.len();
    format!(
        "Value at:0x0 refcount:{owners} encoding:{encoding} serializedlength:{length} lru:{lru} lru_seconds_idle:{idle_s}"
    )
}

/// Seconds with a fraction; what is not a number is 0, as in Redis.
fn seconds(text: &[u8]) -> f64 {
    let parsed = std::str::from_utf8(text).ok().and_then(|text| text.parse::<f64>().ok());
    parsed.filter(|seconds| seconds.is_finite()).unwrap_or(0.0).clamp(0.0, SLEEP_SECONDS_MAX)
}

/// The longest sleep.
const SLEEP_SECONDS_MAX: f64 = 3600.0;

const HELP: [&str; 33] = [
    "DEBUG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "DIGEST",
    "    A digest of all data: equal where the data are.",
    "DIGEST-VALUE [<key> ...]",
    "    Digests of the values of these keys.",
    "ERROR <text>",
    "    Answers an error of this text.",
    "LOG <text>",
    "    Writes to the server's log.",
    "OBJECT <key>",
    "    Describes how the value of the key is kept.",
    "PAUSE-CRON <0|1>",
    "    Whether nothing expires, is evicted or forgotten but when commands look.",
    "POPULATE <count> [<prefix>] [<size>]",
    "    Makes strings named <prefix>:0 and so on, but for those that are there.",
    "PROTOCOL <type>",
    "    Answers a reply of the type: string, integer, double, bignum, null, array, set, map, attrib, push, verbatim,",
    "    true, false.",
    "QUICKLIST-PACKED-THRESHOLD <size>",
    "    Accepted, without effect.",
    "RELOAD [MERGE] [NOFLUSH]",
    "    Writes every value as it is saved, and reads it back.",
    "REPLYBUFFER <PEAK-RESET-TIME | RESIZING> <value>",
    "    Accepted, without effect.",
    "SET-ACTIVE-EXPIRE <0|1>",
    "    Whether expired keys are removed without being looked at.",
    "SET-DISABLE-DENY-SCRIPTS <0|1>",
    "    Whether scripts may call DEBUG.",
    "SLEEP <seconds>",
    "    Stands still for so long, on every core.",
    "STREAM [FROM <replid> <offset> <db> | FEED <bytes> | END]",
    "    A master's stream in the place of a link. Answers where the data is.",
    "HELP",
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
        world.check(&["DEBUG PAUSE-CRON 1"], "+OK");
        assert!(world.cores.iter().all(|core| core.pauses_upkeep));
        world.check(&["DEBUG PAUSE-CRON 0", "DEBUG SET-ACTIVE-EXPIRE 1"], "+OK");
        assert!(world.cores.iter().all(|core| !core.pauses_upkeep));
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
        world.run("SET d 1 PX 1");
        world.wait_ms(2);
        assert!(world.run("DEBUG OBJECT d").starts_with("+Value"), "it has expired, but is there");
        world.check(&["EXISTS d"], ":0");
    }

    #[test]
    fn scripts_may_call_it_for_as_long_as_they_are_let() {
        let mut world = World::new(1);
        world.cores[0].config.enable_debug_command = config::Access::Local;
        let call = |words: &str| format!("EVAL \"redis.setresp(3) return redis.pcall({words})\" 0");
        let refused = "-ERR This Redis command is not allowed from script";
        world.check(&[&call("'DEBUG', 'PROTOCOL', 'double'")], refused);
        world.check(&["DEBUG SET-DISABLE-DENY-SCRIPTS 1"], "+OK");
        world.check(&[&call("'DEBUG', 'PROTOCOL', 'double'")], "$5 3.141");
        world.check(&[&call("'SUBSCRIBE', 'channel'")], refused);
        world.check(&["DEBUG SET-DISABLE-DENY-SCRIPTS 0"], "+OK");
        world.check(&[&call("'DEBUG', 'PROTOCOL', 'double'")], refused);
    }

    #[test]
    fn the_log_gets_one_line() {
        let mut world = world();
        world.check(&["DEBUG LOG 'some text'"], "+OK");
        assert_eq!(world.cores[0].actions, [Action::Log { line: "some text".into() }]);
        assert_eq!(world.cores[1].actions, []);
    }

    #[test]
    fn other_subcommands() {
        let mut world = world();
        world.check(&["DEBUG ERROR 'OOPS not so'"], "-OOPS not so");
        world.check(&["DEBUG PAUSE-CRON 1", "DEBUG REPLYBUFFER resizing 0"], "+OK");
        world.check(
            &["DEBUG REPLYBUFFER FOO 0"],
            "-ERR unknown subcommand or wrong number of arguments for 'REPLYBUFFER'. Try DEBUG HELP.",
        );
        world.check(&["DEBUG QUICKLIST-PACKED-THRESHOLD 1b"], "+OK");
        world.check(
            &["DEBUG FOO"],
            "-ERR unknown subcommand or wrong number of arguments for 'FOO'. Try DEBUG HELP.",
        );
    }
}
