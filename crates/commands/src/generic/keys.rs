//! KEYS and TYPE.

use crate::ctx::{Ctx, Outcome};
use crate::error::CommandError;
use crate::row::{Arg, Command, Crossing, Flags, KeySpec, Lock, Merge};
use keyspace::Access;
use stdx::{Args, glob};

pub(super) const KEYS: Command = Command {
    name: "keys",
    arity: 2,
    flags: Flags::READONLY,
    categories: &["keyspace", "dangerous"],
    crossing: Crossing::Global(Lock::Shared, Merge::Concat),
    handler: keys,
    summary: "Answers all keys whose names match a pattern.",
    since: "1.0.0",
    group: "generic",
    complexity: "O(N) with N the number of keys in the database",
    tips: &["request_policy:all_shards", "nondeterministic_output_order"],
    args: &[Arg::new("pattern", "pattern")],
    ..Command::EMPTY
};

fn keys(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let pattern = args.at(1);
    let array = ctx.out.deferred();
    let mut found = 0;
    let asked = |key: &[u8]| matches(pattern, key);
    let out = &mut ctx.out;
    // Those that it does not tell of because their time has come are gone then, for everybody, whatever other clocks say.
    ctx.core.keyspace.visit_expiring(ctx.caller.db, ctx.now, &asked, &mut |entry| {
        if asked(entry.key()) {
            out.bulk(entry.key());
            found += 1;
        }
    });
    out.close_array(array, found);
    Ok(Outcome::Done)
}

/// Whether a key is asked for by `pattern`: `*` alone also matches the empty key, which [`glob`] does not.
pub(super) fn matches(pattern: &[u8], key: &[u8]) -> bool {
    pattern == b"*" || glob::matches(pattern, key, false)
}

pub(super) const TYPE: Command = Command {
    name: "type",
    arity: 2,
    flags: Flags::READONLY.or(Flags::FAST),
    categories: &["keyspace"],
    keys: &[KeySpec::range(1, 1, 1, &["RO"])],
    crossing: Crossing::OneShard,
    handler: type_of,
    summary: "Answers what kind of value a key holds, or none.",
    since: "1.0.0",
    group: "generic",
    args: &[Arg::key()],
    ..Command::EMPTY
};

fn type_of(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let key = ctx.key(args.at(1));
    let found = ctx.core.keyspace.find(ctx.caller.db, key, ctx.now, Access::NoTouch);
    let name = found.map_or("none", |entry| entry.kind().name());
    ctx.out.simple(name);
    Ok(Outcome::Done)
}

#[cfg(test)]
mod tests {
    use crate::testing::{World, check};

    #[test]
    fn keys_match_a_pattern() {
        check(&["KEYS *"], "*0");
        check(&["SET k v", "KEYS *"], "*1 $1 k");
        check(&["SET '' v", "KEYS *"], "*1 $0 ");
        check(&["MSET ab 1 cd 2", "KEYS a?"], "*1 $2 ab");
        check(&["MSET ab 1 cd 2", "KEYS [c-d]*"], "*1 $2 cd");
        check(&["SET k v PX 1", "KEYS k"], "*1 $1 k");
        let mut world = World::new(1);
        world.run("SET k v PX 1");
        world.wait_ms(1);
        world.check(&["KEYS *"], "*0");
    }

    /// Cores have clocks of their own: a command of another core may come with an earlier time.
    #[test]
    fn what_has_expired_by_one_clock_has_by_all() {
        let looks = [
            "KEYS *",
            "KEYS k",
            "SCAN 0",
            "GET k",
            "EXISTS k",
            "TYPE k",
            "TTL k",
            "TOUCH k",
            "SINTER k l",
            "SUNION k l",
        ];
        let more = [
            "ZUNION 2 k l",
            "SMEMBERS k",
            "MGET k l",
            "COPY k m",
            "RENAMENX k m",
            "RANDOMKEY",
            "LCS k l",
            "SORT k",
        ];
        for look in looks.iter().chain(&more) {
            let mut world = World::new(1);
            for command in ["SET k v", "PEXPIRE k 10"] {
                world.run(command);
            }
            world.wait_ms(10);
            world.run(look);
            world.wait_ms(-5);
            assert_eq!(world.run("EXISTS k"), ":0", "{look}");
        }
    }

    #[test]
    fn type_of_a_key() {
        check(&["TYPE k"], "+none");
        check(&["SET k v", "TYPE k"], "+string");
    }
}
