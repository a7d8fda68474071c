//! TTL, PTTL, EXPIRETIME and PEXPIRETIME.

use crate::ctx::{Ctx, Outcome};
use crate::error::CommandError;
use crate::row::{Arg, Command, Crossing, Flags, KeySpec};
use keyspace::Access;
use stdx::{Args, UnixMs};

/// What TTL and its kin have in common; they differ in what they make of the expiry.
const TELLS_EXPIRY: Command = Command {
    arity: 2,
    flags: Flags::READONLY.or(Flags::FAST),
    categories: &["keyspace"],
    keys: &[KeySpec::range(1, 1, 1, &["RO", "access"])],
    crossing: Crossing::OneShard,
    group: "generic",
    args: &[Arg::key()],
    ..Command::EMPTY
};

/// And those that tell the time left.
const TELLS_TIME_LEFT: Command = Command {
    history: &[("2.8.0", "-2 for a key that is not there.")],
    tips: &["nondeterministic_output"],
    ..TELLS_EXPIRY
};

pub(super) const TTL: Command = Command {
    name: "ttl",
    handler: |ctx, args| answer(ctx, args, |at, now| in_seconds(left(at, now))),
    summary: "Answers the time to live of a key, in seconds.",
    since: "1.0.0",
    ..TELLS_TIME_LEFT
};

pub(super) const PTTL: Command = Command {
    name: "pttl",
    handler: |ctx, args| answer(ctx, args, left),
    summary: "Answers the time to live of a key, in milliseconds.",
    since: "2.6.0",
    ..TELLS_TIME_LEFT
};

pub(super) const EXPIRETIME: Command = Command {
    name: "expiretime",
    handler: |ctx, args| answer(ctx, args, |at, _| in_seconds(at.0)),
    summary: "Answers the instant at which a key expires, in seconds of Unix time.",
    since: "7.0.0",
    ..TELLS_EXPIRY
};

pub(super) const PEXPIRETIME: Command = Command {
    name: "pexpiretime",
    handler: |ctx, args| answer(ctx, args, |at, _| at.0),
    summary: "Answers the instant at which a key expires, in milliseconds of Unix time.",
    since: "7.0.0",
    ..TELLS_EXPIRY
};

/// Answers what `of` makes of the expiry and of now; -2 when there is no key, -1 when it has no expiry.
fn answer(ctx: &mut Ctx<'_>, args: Args<'_>, of: fn(UnixMs, UnixMs) -> i64) -> Result<Outcome, CommandError> {
    let key = ctx.key(args.at(1));
    let found = ctx.core.keyspace.find(ctx.caller.db, key, ctx.now, Access::NoTouch);
    let answer = match found.map(|entry| entry.expiry()) {
        None => -2,
        Some(None) => -1,
        Some(Some(at)) => of(at, ctx.now),
    };
    ctx.out.int(answer);
    Ok(Outcome::Done)
}

fn left(at: UnixMs, now: UnixMs) -> i64 {
    at.0.saturating_sub(now.0).max(0)
}

/// Rounded to the nearest second, half a second up.
fn in_seconds(ms: i64) -> i64 {
    ms / 1000 + i64::from(ms % 1000 >= 500)
}

#[cfg(test)]
mod tests {
    use crate::testing::{World, check};

    #[test]
    fn no_key_no_expiry() {
        for command in ["TTL", "PTTL", "EXPIRETIME", "PEXPIRETIME"] {
            check(&[&format!("{command} k")], ":-2");
            check(&["SET k v", &format!("{command} k")], ":-1");
        }
    }

    #[test]
    fn seconds_are_rounded() {
        check(&["SET k v PX 1499", "TTL k"], ":1");
        check(&["SET k v PX 1500", "TTL k"], ":2");
        check(&["SET k v PX 499", "TTL k"], ":0");
        check(&["SET k v PX 1499", "PTTL k"], ":1499");
        check(&["SET k v PXAT 1700000001500", "EXPIRETIME k"], ":1700000002");
        check(&["SET k v PXAT 1700000001500", "PEXPIRETIME k"], ":1700000001500");
        check(&["SET k v PXAT 9223372036854775807", "EXPIRETIME k"], ":9223372036854776");
    }

    #[test]
    fn time_passes_and_reads_are_counted() {
        let mut world = World::new(1);
        world.run("SET k v EX 10");
        world.wait_ms(4000);
        world.check(&["TTL k"], ":6");
        world.wait_ms(6000);
        world.check(&["TTL k"], ":-2");
        let stats = world.cores[0].keyspace.stats;
        assert_eq!((stats.hits, stats.misses, stats.expired), (1, 1, 1));
    }
}
