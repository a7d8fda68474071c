//! EXPIRE, PEXPIRE, EXPIREAT, PEXPIREAT and PERSIST.

use crate::ctx::{Ctx, Outcome};
use crate::effects::{self, Event, Journal};
use crate::error::{CommandError, printed};
use crate::row::{Arg, Command, Crossing, Flags, KeySpec};
use crate::time::Time;
use keyspace::Access;
use stdx::{Args, UnixMs};

/// What EXPIRE and its kin have in common; they differ in how they say when.
const SETS_EXPIRY: Command = Command {
    arity: -3,
    flags: Flags::WRITE.or(Flags::FAST),
    categories: &["keyspace"],
    keys: &[KeySpec::range(1, 1, 1, &["RW", "update"])],
    crossing: Crossing::OneShard,
    journal: Journal::Rewritten,
    group: "generic",
    history: &[("7.0.0", "`NX`, `XX`, `GT` and `LT` came.")],
    ..Command::EMPTY
};

const CONDITION: Arg = Arg::one_of(
    "condition",
    &[Arg::token("nx", "NX"), Arg::token("xx", "XX"), Arg::token("gt", "GT"), Arg::token("lt", "LT")],
)
.optional()
.since("7.0.0");

pub(super) const EXPIRE: Command = Command {
    name: "expire",
    handler: |ctx, args| set(ctx, args, Time::EX, "expire"),
    summary: "Sets the time to live of a key, in seconds.",
    since: "1.0.0",
    args: &[Arg::key(), Arg::new("seconds", "integer"), CONDITION],
    ..SETS_EXPIRY
};

pub(super) const PEXPIRE: Command = Command {
    name: "pexpire",
    handler: |ctx, args| set(ctx, args, Time::PX, "pexpire"),
    summary: "Sets the time to live of a key, in milliseconds.",
    since: "2.6.0",
    args: &[Arg::key(), Arg::new("milliseconds", "integer"), CONDITION],
    ..SETS_EXPIRY
};

pub(super) const EXPIREAT: Command = Command {
    name: "expireat",
    handler: |ctx, args| set(ctx, args, Time::EXAT, "expireat"),
    summary: "Sets the instant at which a key expires, in seconds of Unix time.",
    since: "1.2.0",
    args: &[Arg::key(), Arg::new("unix-time-seconds", "unix-time"), CONDITION],
    ..SETS_EXPIRY
};

pub(super) const PEXPIREAT: Command = Command {
    name: "pexpireat",
    handler: |ctx, args| set(ctx, args, Time::PXAT, "pexpireat"),
    summary: "Sets the instant at which a key expires, in milliseconds of Unix time.",
    since: "2.6.0",
    args: &[Arg::key(), Arg::new("unix-time-milliseconds", "unix-time"), CONDITION],
    ..SETS_EXPIRY
};

/// Sets the expiry. An instant that has passed deletes the key and counts as done. Errors name `command`.
fn set(
    ctx: &mut Ctx<'_>,
    args: Args<'_>,
    time: Time,
    command: &'static str,
) -> Result<Outcome, CommandError> {
    let condition = Condition::parse(args)?;
    let at = time.after(ctx.int(args, 2)?, ctx.now).ok_or(CommandError::InvalidExpire(command))?;
    change(ctx, args, Some(at), |old| condition.allows(old, at))
}

/// Gives the key this expiry, or none, if there is such a key and `allows` says so of the expiry it has.
fn change(
    ctx: &mut Ctx<'_>,
    args: Args<'_>,
    to: Option<UnixMs>,
    allows: impl FnOnce(Option<UnixMs>) -> bool,
) -> Result<Outcome, CommandError> {
    let key = ctx.key(args.at(1));
    let found = ctx.core.keyspace.find(ctx.caller.db, key, ctx.now, Access::Write);
    let done = found.is_some_and(|entry| allows(entry.expiry()));
    if done {
        set_expiry(ctx, args.at(1), to);
    }
    ctx.out.int(done.into());
    Ok(Outcome::Done)
}

/// Sets or takes away the expiry of a key that is there, and says so: PEXPIREAT, PERSIST, or DEL for an instant that
/// has passed.
pub(crate) fn set_expiry(ctx: &mut Ctx<'_>, name: &[u8], expiry: Option<UnixMs>) {
    let key = ctx.key(name);
    ctx.core.keyspace.set_expiry(ctx.caller.db, key, expiry, ctx.now);
    match expiry {
        Some(at) if at <= ctx.now => {
            ctx.event(Event::GENERIC, "del", name);
            let word = effects::removal(ctx.core.config.lazyfree_lazy_expire);
            ctx.effect(name, &[word, name]);
        }
        Some(at) => {
            ctx.event(Event::GENERIC, "expire", name);
            ctx.effect_at(name, &[b"PEXPIREAT", name], at);
        }
        None => {
            ctx.event(Event::GENERIC, "persist", name);
            ctx.effect(name, &[b"PERSIST", name]);
        }
    }
}

/// When an expiry may be changed. XX may stand beside GT or LT.
#[derive(Clone, Copy, Default)]
struct Condition {
    absent: bool,
    present: bool,
    greater: bool,
    less: bool,
}

impl Condition {
    fn parse(args: Args<'_>) -> Result<Self, CommandError> {
        let mut condition = Self::default();
        for word in args.from(3).iter() {
            let is = |name: &[u8]| word.eq_ignore_ascii_case(name);
            let flag = if is(b"NX") {
                &mut condition.absent
            } else if is(b"XX") {
                &mut condition.present
            } else if is(b"GT") {
                &mut condition.greater
            } else if is(b"LT") {
                &mut condition.less
            } else {
                return Err([b"ERR Unsupported option ", printed(word)].concat().into());
            };
            *flag = true;
        }
        if condition.absent && (condition.present || condition.greater || condition.less) {
            return Err(CommandError::NX_AND_OTHERS);
        }
        if condition.greater && condition.less {
            return Err(CommandError::GT_AND_LT);
        }
        Ok(condition)
    }

    /// Whether `old` may become `new`; no expiry is later than any.
    fn allows(self, old: Option<UnixMs>, new: UnixMs) -> bool {
        match old {
            None => !self.present && !self.greater,
            Some(old) => !self.absent && (!self.greater || new > old) && (!self.less || new < old),
        }
    }
}

pub(super) const PERSIST: Command = Command {
    name: "persist",
    arity: 2,
    handler: |ctx, args| change(ctx, args, None, |old| old.is_some()),
    summary: "Takes the expiry of a key away.",
    since: "2.2.0",
    history: &[],
    args: &[Arg::key()],
    ..SETS_EXPIRY
};

#[cfg(test)]
mod tests {
    use crate::testing::{World, check, check_effects, check_events};

    #[test]
    fn four_ways_to_say_when() {
        check(&["EXPIRE k 10"], ":0");
        check(&["SET k v", "EXPIRE k 10"], ":1");
        check(&["SET k v", "EXPIRE k 10", "PTTL k"], ":10000");
        check(&["SET k v", "PEXPIRE k 10", "PTTL k"], ":10");
        check(&["SET k v", "EXPIREAT k 1700000010", "PTTL k"], ":10000");
        check(&["SET k v", "PEXPIREAT k 1700000000010", "PTTL k"], ":10");
    }

    #[test]
    fn a_time_that_has_passed_deletes() {
        for line in
            ["EXPIRE k 0", "EXPIRE k -1", "PEXPIRE k -9223372036854775808", "EXPIREAT k 1", "PEXPIREAT k -5"]
        {
            check(&["SET k v", line], ":1");
            check(&["SET k v", line, "DBSIZE"], ":0");
            check(&[line], ":0");
        }
    }

    #[test]
    fn times_that_do_not_fit() {
        for (line, command) in [
            ("EXPIRE k 9223372036854775807", "expire"),
            ("EXPIRE k -9223372036854775808", "expire"),
            ("EXPIRE k 9223372036854775", "expire"),
            ("PEXPIRE k 9223372036854775807", "pexpire"),
            ("EXPIREAT k 9223372036854776", "expireat"),
        ] {
            check(&["SET k v", line], &format!("-ERR invalid expire time in '{command}' command"));
        }
        check(&["SET k v", "PEXPIREAT k 9223372036854775807"], ":1");
        check(&["EXPIRE k ten"], "-ERR value is not an integer or out of range");
    }

    #[test]
    fn conditions() {
        const WITH: &str = "SET k v EX 100";
        const WITHOUT: &str = "SET k v";
        for (set, line, expected) in [
            (WITH, "EXPIRE k 200 NX", ":0"),
            (WITHOUT, "EXPIRE k 200 NX", ":1"),
            (WITH, "EXPIRE k 200 XX", ":1"),
            (WITHOUT, "EXPIRE k 200 XX", ":0"),
            (WITH, "EXPIRE k 200 GT", ":1"),
            (WITH, "EXPIRE k 100 GT", ":0"),
            (WITHOUT, "EXPIRE k 200 gt", ":0"),
            (WITH, "EXPIRE k 50 LT", ":1"),
            (WITH, "EXPIRE k 100 LT", ":0"),
            (WITHOUT, "EXPIRE k 200 LT", ":1"),
            (WITHOUT, "EXPIRE k 200 XX LT", ":0"),
            (WITH, "EXPIRE k 50 XX LT", ":1"),
            (WITH, "EXPIRE k -1 GT", ":0"),
        ] {
            check(&[set, line], expected);
        }
    }

    #[test]
    fn conditions_that_do_not_go_together() {
        const NX: &str = "-ERR NX and XX, GT or LT options at the same time are not compatible";
        check(&["EXPIRE k 1 NX XX"], NX);
        check(&["EXPIRE k 1 GT NX"], NX);
        check(&["PEXPIREAT k 1 NX LT GT"], NX);
        check(&["EXPIRE k 1 GT LT"], "-ERR GT and LT options at the same time are not compatible");
        check(&["EXPIRE k x foo"], "-ERR Unsupported option foo");
    }

    #[test]
    fn effects_are_instants() {
        check_effects(&["SET k v", "EXPIRE k 10"], "PEXPIREAT k 1700000010000");
        check_effects(&["SET k v", "PEXPIRE k 10 NX"], "PEXPIREAT k 1700000000010");
        check_effects(&["SET k v", "EXPIREAT k 1700000010"], "PEXPIREAT k 1700000010000");
        check_effects(&["SET k v", "PEXPIREAT k 1700000000010"], "PEXPIREAT k 1700000000010");
        check_effects(&["SET k v", "EXPIRE k -1"], "DEL k");
        check_effects(&["SET k v", "EXPIRE k 10 XX"], "");
        check_effects(&["EXPIRE k 10"], "");
        check_effects(&["SET k v EX 10", "PERSIST k"], "PERSIST k");
        check_effects(&["SET k v", "PERSIST k"], "");
        check_events(&["SET k v", "EXPIRE k 10"], "expire:k");
        check_events(&["SET k v", "PEXPIREAT k 5"], "del:k");
        check_events(&["SET k v EX 10", "PERSIST k"], "persist:k");
        check_events(&["SET k v", "EXPIRE k 10 XX"], "");
    }

    #[test]
    fn persist_takes_an_expiry_away_once() {
        check(&["PERSIST k"], ":0");
        check(&["SET k v", "PERSIST k"], ":0");
        check(&["SET k v EX 10", "PERSIST k"], ":1");
        check(&["SET k v EX 10", "PERSIST k", "PERSIST k"], ":0");
        check(&["SET k v EX 10", "PERSIST k", "TTL k"], ":-1");
    }

    #[test]
    fn only_changes_are_dirty_and_none_is_a_read() {
        let mut world = World::new(1);
        for line in ["SET k v", "EXPIRE k 10", "EXPIRE k 20 NX", "EXPIRE none 10", "PERSIST k", "PERSIST k"] {
            world.run(line);
        }
        world.run("EXPIRE k -1");
        let stats = world.cores[0].keyspace.stats;
        assert_eq!((stats.dirty, stats.hits, stats.misses), (4, 0, 0));
    }
}
