//! SET, SETNX, SETEX, PSETEX and GETSET: storing one string over whatever was there.

use super::options::{self, Expiry, For, Options};
use super::value;
use crate::ctx::{Ctx, Outcome};
use crate::effects::{Event, Journal};
use crate::error::CommandError;
use crate::row::{Arg, Command, Crossing, Flags, KeySpec};
use crate::time::Time;
use keyspace::{Access, NewString, Ttl};
use stdx::Args;

pub(super) const SET: Command = Command {
    name: "set",
    arity: -3,
    flags: Flags::WRITE.or(Flags::DENYOOM),
    categories: &["string"],
    keys: &[KeySpec {
        notes: "with GET it also reads the old value",
        ..KeySpec::range(1, 1, 1, &["RW", "access", "update", "variable_flags"])
    }],
    key_flags: Some(key_flags),
    crossing: Crossing::OneShard,
    journal: Journal::Rewritten,
    handler: set,
    summary: "Stores a string under a key, whatever the key held before.",
    since: "1.0.0",
    group: "string",
    history: &[
        ("2.6.12", "`EX`, `PX`, `NX` and `XX` came."),
        ("6.0.0", "`KEEPTTL` came."),
        ("6.2.0", "`GET`, `EXAT` and `PXAT` came."),
        ("7.0.0", "`NX` and `GET` may stand together."),
    ],
    args: &[
        Arg::key(),
        Arg::new("value", "string"),
        Arg::one_of("condition", &[Arg::token("nx", "NX"), Arg::token("xx", "XX")])
            .optional()
            .since("2.6.12"),
        Arg::token("get", "GET").optional().since("6.2.0"),
        Arg::one_of(
            "expiration",
            &[
                Arg::new("seconds", "integer").after("EX").since("2.6.12"),
                Arg::new("milliseconds", "integer").after("PX").since("2.6.12"),
                Arg::new("unix-time-seconds", "unix-time").after("EXAT").since("6.2.0"),
                Arg::new("unix-time-milliseconds", "unix-time").after("PXAT").since("6.2.0"),
                Arg::token("keepttl", "KEEPTTL").since("6.0.0"),
            ],
        )
        .optional(),
    ],
    ..Command::EMPTY
};

/// Without GET it only overwrites.
fn key_flags(args: Args<'_>, _: u32) -> &'static [&'static str] {
    let gets = args.from(3).iter().any(|word| word.eq_ignore_ascii_case(b"GET"));
    if gets { &["RW", "access", "update"] } else { &["OW", "update"] }
}

#[inline]
fn set(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    if args.len() > 3 {
        return set_with_options(ctx, args);
    }
    put(ctx, args.at(1), args.at(2), Ttl::Clear);
    ctx.effect_as_is(args.at(1), args);
    ctx.out.ok();
    Ok(Outcome::Done)
}

fn set_with_options(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let Options { existing, get, expiry } = options::parse(args, 3, For::Set)?;
    let ttl = match expiry {
        Expiry::Keep => Ttl::Keep,
        Expiry::Time(time, given) => Ttl::At(time.instant(given, ctx.now, "set")?),
        Expiry::Unsaid | Expiry::Persist => Ttl::Clear,
    };
    let key = args.at(1);
    let found = if get { reply_old(ctx, key)? } else { existing.is_some() && exists(ctx, key) };
    let met = existing.is_none_or(|wanted| wanted == found);
    if met {
        store(ctx, key, args.at(2), ttl);
    }
    match (get, met) {
        (true, _) => {}
        (false, true) => ctx.out.ok(),
        (false, false) => ctx.out.null(),
    }
    Ok(Outcome::Done)
}

pub(super) const SETNX: Command = Command {
    name: "setnx",
    arity: 3,
    flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
    categories: &["string"],
    keys: &[KeySpec::range(1, 1, 1, &["OW", "insert"])],
    crossing: Crossing::OneShard,
    journal: Journal::Rewritten,
    handler: setnx,
    summary: "Stores a string under a key that does not exist yet.",
    since: "1.0.0",
    group: "string",
    deprecated: Some(("2.6.12", "`SET` with `NX`")),
    args: &[Arg::key(), Arg::new("value", "string")],
    ..Command::EMPTY
};

fn setnx(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let fresh = !exists(ctx, args.at(1));
    if fresh {
        store(ctx, args.at(1), args.at(2), Ttl::Clear);
    }
    ctx.out.int(fresh.into());
    Ok(Outcome::Done)
}

pub(super) const SETEX: Command = Command {
    name: "setex",
    arity: 4,
    flags: Flags::WRITE.or(Flags::DENYOOM),
    categories: &["string"],
    keys: &[KeySpec::range(1, 1, 1, &["OW", "update"])],
    crossing: Crossing::OneShard,
    journal: Journal::Rewritten,
    handler: setex,
    summary: "Stores a string under a key with a time to live in seconds.",
    since: "2.0.0",
    group: "string",
    deprecated: Some(("2.6.12", "`SET` with `EX`")),
    args: &[Arg::key(), Arg::new("seconds", "integer"), Arg::new("value", "string")],
    ..Command::EMPTY
};

fn setex(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    set_for(ctx, args, Time::EX, "setex")
}

pub(super) const PSETEX: Command = Command {
    name: "psetex",
    arity: 4,
    flags: Flags::WRITE.or(Flags::DENYOOM),
    categories: &["string"],
    keys: &[KeySpec::range(1, 1, 1, &["OW", "update"])],
    crossing: Crossing::OneShard,
    journal: Journal::Rewritten,
    handler: psetex,
    summary: "Stores a string under a key with a time to live in milliseconds.",
    since: "2.6.0",
    group: "string",
    deprecated: Some(("2.6.12", "`SET` with `PX`")),
    args: &[Arg::key(), Arg::new("milliseconds", "integer"), Arg::new("value", "string")],
    ..Command::EMPTY
};

fn psetex(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    set_for(ctx, args, Time::PX, "psetex")
}

fn set_for(
    ctx: &mut Ctx<'_>,
    args: Args<'_>,
    time: Time,
    command: &'static str,
) -> Result<Outcome, CommandError> {
    let at = time.instant(args.at(2), ctx.now, command)?;
    store(ctx, args.at(1), args.at(3), Ttl::At(at));
    ctx.out.ok();
    Ok(Outcome::Done)
}

pub(super) const GETSET: Command = Command {
    name: "getset",
    arity: 3,
    flags: Flags::WRITE.or(Flags::DENYOOM).or(Flags::FAST),
    categories: &["string"],
    keys: &[KeySpec::range(1, 1, 1, &["RW", "access", "update"])],
    crossing: Crossing::OneShard,
    journal: Journal::Rewritten,
    handler: getset,
    summary: "Stores a string under a key and answers the one it held before.",
    since: "1.0.0",
    group: "string",
    deprecated: Some(("6.2.0", "`SET` with `GET`")),
    args: &[Arg::key(), Arg::new("value", "string")],
    ..Command::EMPTY
};

fn getset(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    reply_old(ctx, args.at(1))?;
    store(ctx, args.at(1), args.at(2), Ttl::Clear);
    Ok(Outcome::Done)
}

/// Stores a string; its effect is SET with the expiry as an instant, whichever command it was.
#[inline]
fn store(ctx: &mut Ctx<'_>, name: &[u8], value: &[u8], ttl: Ttl) {
    put(ctx, name, value, ttl);
    match ttl {
        Ttl::Clear => ctx.effect(name, &[b"SET", name, value]),
        Ttl::Keep => ctx.effect(name, &[b"SET", name, value, b"KEEPTTL"]),
        Ttl::At(at) => {
            ctx.event(Event::GENERIC, "expire", name);
            ctx.effect_at(name, &[b"SET", name, value, b"PXAT"], at);
        }
    }
}

/// The same without its effect.
#[inline]
fn put(ctx: &mut Ctx<'_>, name: &[u8], value: &[u8], ttl: Ttl) {
    let key = ctx.key(name);
    ctx.core.keyspace.set_string(ctx.caller.db, key, NewString::Bytes(value), ttl, ctx.now);
    ctx.event(Event::STRING, "set", name);
}

fn exists(ctx: &mut Ctx<'_>, key: &[u8]) -> bool {
    let key = ctx.key(key);
    ctx.core.keyspace.find(ctx.caller.db, key, ctx.now, Access::Write).is_some()
}

/// Answers the string that is there, or null, and says which. Errors: `WrongType`.
fn reply_old(ctx: &mut Ctx<'_>, key: &[u8]) -> Result<bool, CommandError> {
    let (key, access) = (ctx.key(key), ctx.read_access());
    let found = value::reply_key(ctx, key, access)?;
    if !found {
        ctx.out.null();
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use crate::testing::{START, World, check, check_effects, check_events};

    #[test]
    fn set_overwrites_and_clears_the_expiry() {
        check(&["SET k v"], "+OK");
        check(&["SET k v EX 10", "SET k w", "TTL k"], ":-1");
        check(&["SET k v EX 10", "SET k w KEEPTTL", "TTL k"], ":10");
        check(&["SET k 007", "GET k"], "$3 007");
    }

    #[test]
    fn times_in_every_form() {
        check(&["SET k v EX 10", "PTTL k"], ":10000");
        check(&["SET k v px 10", "PTTL k"], ":10");
        check(&["SET k v EXAT 1700000100", "TTL k"], ":100");
        check(&["SET k v PXAT 1700000000001", "PTTL k"], ":1");
        check(&["SET k v EX 10 EX 20", "TTL k"], ":20");
        check(&["SETEX k 10 v", "TTL k"], ":10");
        check(&["PSETEX k 10 v", "PTTL k"], ":10");
        check(&["SET k v PXAT 1", "GET k"], "$-1");
    }

    #[test]
    fn times_that_are_none() {
        for (line, command) in [
            ("SET k v EX 0", "set"),
            ("SET k v PX -1", "set"),
            ("SET k v EX 9223372036854775807", "set"),
            ("SET k v PX 9223372036854775807", "set"),
            ("SET k v EX 9223372036854775", "set"),
            ("SET k v EXAT 0", "set"),
            ("SETEX k 0 v", "setex"),
            ("PSETEX k -5 v", "psetex"),
        ] {
            check(&[line], &format!("-ERR invalid expire time in '{command}' command"));
        }
        check(&["SET k v PXAT 9223372036854775807"], "+OK");
        check(&["SET k v EX ten"], "-ERR value is not an integer or out of range");
        check(&["SETEX k 1.5 v"], "-ERR value is not an integer or out of range");
    }

    #[test]
    fn conditions() {
        check(&["SET k v NX"], "+OK");
        check(&["SET k v", "SET k w NX"], "$-1");
        check(&["SET k w XX"], "$-1");
        check(&["SET k v", "SET k w xx", "GET k"], "$1 w");
        check(&["SETNX k v"], ":1");
        check(&["SETNX k v", "SETNX k w"], ":0");
        check(&["SET k v NX NX"], "+OK");
    }

    #[test]
    fn get_answers_the_old_value() {
        check(&["SET k v GET"], "$-1");
        check(&["SET k v", "SET k w GET"], "$1 v");
        check(&["SET k v", "SET k w NX GET", "GET k"], "$1 v");
        check(&["SET k v NX GET", "GET k"], "$1 v");
        check(&["SET k v XX GET", "EXISTS k"], ":0");
        check(&["GETSET k v"], "$-1");
        check(&["SET k v EX 10", "GETSET k w"], "$1 v");
        check(&["SET k v EX 10", "GETSET k w", "TTL k"], ":-1");
    }

    #[test]
    fn options_that_do_not_go_together() {
        for options in [
            "NX XX",
            "XX NX",
            "KEEPTTL EX 10",
            "EX 10 KEEPTTL",
            "EX 10 PX 10",
            "EXAT 10 PXAT 10",
            "EX",
            "PERSIST",
            "FOO",
            "NX NXX",
        ] {
            check(&[&format!("SET k v {options}")], "-ERR syntax error");
        }
    }

    #[test]
    fn an_expired_key_counts_as_absent() {
        let mut world = World::new(1);
        world.run("SET k v PX 10");
        world.wait_ms(10);
        assert_eq!(world.now.0, START.0 + 10);
        world.check(&["SET k w XX"], "$-1");
        world.check(&["SET k w NX KEEPTTL", "TTL k"], ":-1");
    }

    #[test]
    fn set_get_counts_a_read_and_conditions_do_not() {
        let mut world = World::new(1);
        for line in ["SET k v NX", "SET k v XX", "SETNX k v", "SET k v GET", "SET k2 v GET"] {
            world.run(line);
        }
        let stats = world.cores[0].keyspace.stats;
        assert_eq!((stats.hits, stats.misses, stats.dirty), (1, 1, 4));
    }

    #[test]
    fn effects_are_sets_with_an_instant() {
        check_effects(&["SET k v"], "SET k v");
        check_effects(&["SET k v EX 10"], "SET k v PXAT 1700000010000");
        check_effects(&["SET k v PX 10 GET"], "SET k v PXAT 1700000000010");
        check_effects(&["SET k v EXAT 1700000001"], "SET k v PXAT 1700000001000");
        check_effects(&["SET k v NX GET"], "SET k v");
        check_effects(&["SET k v", "SET k v XX KEEPTTL"], "SET k v KEEPTTL");
        check_effects(&["SET k v XX"], "");
        check_effects(&["SETEX k 10 v"], "SET k v PXAT 1700000010000");
        check_effects(&["PSETEX k 10 v"], "SET k v PXAT 1700000000010");
        check_effects(&["SETNX k v"], "SET k v");
        check_effects(&["SET k v", "SETNX k w"], "");
        check_effects(&["GETSET k v"], "SET k v");
        check_effects(&["SETEX k 0 v"], "");
    }

    #[test]
    fn events_are_set_and_expire() {
        check_events(&["SET k v"], "set:k");
        check_events(&["SET k v EX 10"], "set:k expire:k");
        check_events(&["SET k v XX"], "");
        check_events(&["SET k v KEEPTTL"], "set:k");
        check_events(&["PSETEX k 10 v"], "set:k expire:k");
        check_events(&["SETNX k v"], "set:k");
        check_events(&["GETSET k v"], "set:k");
    }
}
