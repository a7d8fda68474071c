//! GETEX: a read that may change the time to live.

use super::options::{self, Expiry, For};
use super::value;
use crate::ctx::{Ctx, Outcome};
use crate::effects::Journal;
use crate::error::CommandError;
use crate::generic;
use crate::row::{Arg, Command, Crossing, Flags, KeySpec};
use keyspace::Access;
use stdx::Args;

pub(super) const GETEX: Command = Command {
    name: "getex",
    arity: -2,
    flags: Flags::WRITE.or(Flags::FAST),
    categories: &["string"],
    keys: &[KeySpec {
        notes: "the options change the time to live",
        ..KeySpec::range(1, 1, 1, &["RW", "access", "update"])
    }],
    crossing: Crossing::OneShard,
    journal: Journal::Rewritten,
    handler: getex,
    summary: "Answers the value of a string and sets or takes away its time to live.",
    since: "6.2.0",
    group: "string",
    args: &[
        Arg::key(),
        Arg::one_of(
            "expiration",
            &[
                Arg::new("seconds", "integer").after("EX"),
                Arg::new("milliseconds", "integer").after("PX"),
                Arg::new("unix-time-seconds", "unix-time").after("EXAT"),
                Arg::new("unix-time-milliseconds", "unix-time").after("PXAT"),
                Arg::token("persist", "PERSIST"),
            ],
        )
        .optional(),
    ],
    ..Command::EMPTY
};

fn getex(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let options = options::parse(args, 2, For::GetEx)?;
    let (key, access) = (ctx.key(args.at(1)), ctx.read_access());
    let Some(entry) = ctx.core.keyspace.find(ctx.caller.db, key, ctx.now, access) else {
        ctx.out.null();
        return Ok(Outcome::Done);
    };
    value::string(entry)?;
    let change = match options.expiry {
        Expiry::Time(time, given) => Some(Some(time.instant(given, ctx.now, "getex")?)),
        Expiry::Persist if entry.expiry().is_some() => Some(None),
        Expiry::Persist | Expiry::Keep | Expiry::Unsaid => None,
    };
    value::reply_key(ctx, key, Access::Peek)?;
    if let Some(expiry) = change {
        generic::set_expiry(ctx, args.at(1), expiry);
    }
    Ok(Outcome::Done)
}

#[cfg(test)]
mod tests {
    use crate::testing::{World, check, check_effects, check_events};

    #[test]
    fn the_value_is_answered_and_the_expiry_changed() {
        check(&["GETEX k"], "$-1");
        check(&["GETEX k EX 0"], "$-1");
        check(&["SET k v EX 100", "GETEX k"], "$1 v");
        check(&["SET k v EX 100", "GETEX k", "TTL k"], ":100");
        check(&["SET k v", "GETEX k EX 10", "TTL k"], ":10");
        check(&["SET k v", "GETEX k PX 10", "PTTL k"], ":10");
        check(&["SET k v", "GETEX k EXAT 1700000010", "TTL k"], ":10");
        check(&["SET k v EX 100", "GETEX k PERSIST", "TTL k"], ":-1");
    }

    #[test]
    fn a_time_that_has_passed_deletes() {
        check(&["SET k v", "GETEX k PXAT 1"], "$1 v");
        check(&["SET k v", "GETEX k PXAT 1", "DBSIZE"], ":0");
    }

    #[test]
    fn effects_are_what_becomes_of_the_expiry() {
        check_effects(&["SET k v", "GETEX k EX 10"], "PEXPIREAT k 1700000010000");
        check_effects(&["SET k v", "GETEX k PXAT 1"], "DEL k");
        check_effects(&["SET k v EX 10", "GETEX k PERSIST"], "PERSIST k");
        check_effects(&["SET k v", "GETEX k PERSIST"], "");
        check_effects(&["SET k v EX 10", "GETEX k"], "");
        check_events(&["SET k v", "GETEX k EX 10"], "expire:k");
        check_events(&["SET k v", "GETEX k PXAT 1"], "del:k");
        check_events(&["SET k v EX 10", "GETEX k PERSIST"], "persist:k");
        check_events(&["SET k v EX 10", "GETEX k"], "");
    }

    #[test]
    fn wrong_options() {
        check(&["GETEX k PERSIST EX 10"], "-ERR syntax error");
        check(&["GETEX k KEEPTTL"], "-ERR syntax error");
        check(&["GETEX k NX"], "-ERR syntax error");
        check(&["GETEX k EX"], "-ERR syntax error");
        check(&["SET k v", "GETEX k EX 0"], "-ERR invalid expire time in 'getex' command");
        check(&["SET k v", "GETEX k EX x"], "-ERR value is not an integer or out of range");
    }

    #[test]
    fn only_a_change_is_dirty() {
        let mut world = World::new(1);
        for line in ["SET k v", "GETEX k", "GETEX k PERSIST", "GETEX none EX 10", "GETEX k EX 10"] {
            world.run(line);
        }
        assert_eq!(world.cores[0].keyspace.stats.dirty, 2);
    }
}
