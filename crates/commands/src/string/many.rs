//! MGET, MSET and MSETNX.

use super::value;
use crate::ctx::{Ctx, Outcome};
use crate::effects::Event;
use crate::error::CommandError;
use crate::row::{Arg, Command, Crossing, Flags, KeySpec, Merge};
use keyspace::{Access, NewString, Ttl};
use stdx::Args;

pub(super) const MGET: Command = Command {
    name: "mget",
    arity: -2,
    flags: Flags::READONLY.or(Flags::FAST),
    categories: &["string"],
    keys: &[KeySpec::range(1, -1, 1, &["RO", "access"])],
    crossing: Crossing::Fanout(Merge::PerKey),
    handler: mget,
    summary: "Answers the values of several strings, read at one instant.",
    since: "1.0.0",
    group: "string",
    complexity: "O(N) with N the number of keys",
    tips: &["request_policy:multi_shard"],
    args: &[Arg::key().multiple()],
    ..Command::EMPTY
};

fn mget(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let access = ctx.read_access();
    ctx.out.array(args.len() - 1);
    ctx.each_key(args.from(1), 1, |ctx, _, key| {
        // A value of another kind is answered as none.
        if !value::reply_key(ctx, key, access).unwrap_or(false) {
            ctx.out.null();
        }
    });
    Ok(Outcome::Done)
}

pub(super) const MSET: Command = Command {
    name: "mset",
    arity: -3,
    flags: Flags::WRITE.or(Flags::DENYOOM),
    categories: &["string"],
    keys: &[KeySpec::range(1, -1, 2, &["OW", "update"])],
    crossing: Crossing::Fanout(Merge::First),
    handler: mset,
    summary: "Stores several strings at one instant.",
    since: "1.0.1",
    group: "string",
    complexity: "O(N) with N the number of keys",
    tips: &["request_policy:multi_shard", "response_policy:all_succeeded"],
    args: &[Arg::block("data", &[Arg::key(), Arg::new("value", "string")]).multiple()],
    ..Command::EMPTY
};

fn mset(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    store(ctx, args);
    ctx.out.ok();
    Ok(Outcome::Done)
}

pub(super) const MSETNX: Command = Command {
    name: "msetnx",
    arity: -3,
    flags: Flags::WRITE.or(Flags::DENYOOM),
    categories: &["string"],
    keys: &[KeySpec::range(1, -1, 2, &["OW", "insert"])],
    crossing: Crossing::TwoHops,
    handler: msetnx,
    summary: "Stores several strings at one instant, if none of their keys exists.",
    since: "1.0.1",
    group: "string",
    complexity: "O(N) with N the number of keys",
    args: &[Arg::block("data", &[Arg::key(), Arg::new("value", "string")]).multiple()],
    ..Command::EMPTY
};

fn msetnx(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    for key in args.from(1).iter().step_by(2) {
        let key = ctx.key(key);
        if ctx.core.keyspace.find(ctx.caller.db, key, ctx.now, Access::Write).is_some() {
            ctx.out.int(0);
            return Ok(Outcome::Done);
        }
    }
    store(ctx, args);
    ctx.out.int(1);
    Ok(Outcome::Done)
}

/// Stores the pairs of `args`, which are whole: the lookup of the command has seen to it.
fn store(ctx: &mut Ctx<'_>, args: Args<'_>) {
    ctx.each_key(args.from(1), 2, |ctx, at, key| {
        let value = NewString::Bytes(args.at(at + 2));
        ctx.core.keyspace.set_string(ctx.caller.db, key, value, Ttl::Clear, ctx.now);
        ctx.event(Event::STRING, "set", key.bytes);
    });
}

#[cfg(test)]
mod tests {
    use crate::testing::{check, check_effects, check_events};

    #[test]
    fn mget_answers_in_order_with_nulls() {
        check(&["MSET a 1 b x", "MGET b none a a"], "*4 $1 x $-1 $1 1 $1 1");
    }

    #[test]
    fn mset_takes_the_last_of_a_key() {
        check(&["MSET a 1 a 2"], "+OK");
        check(&["MSET a 1 a 2", "GET a"], "$1 2");
        check(&["SET a 1 EX 10", "MSET a 2", "TTL a"], ":-1");
    }

    #[test]
    fn msetnx_stores_all_or_none() {
        check(&["MSETNX a 1 b 2"], ":1");
        check(&["SET b 1", "MSETNX a 1 b 2"], ":0");
        check(&["SET b 1", "MSETNX a 1 b 2", "EXISTS a"], ":0");
        check(&["MSETNX a 1 a 2", "GET a"], "$1 2");
    }

    #[test]
    fn both_are_their_own_effect() {
        check_effects(&["MSET a 1 b 2"], "MSET a 1 b 2");
        check_events(&["MSET a 1 b 2"], "set:a set:b");
        check_effects(&["MSETNX a 1 b 2"], "MSETNX a 1 b 2");
        check_events(&["MSETNX a 1 b 2"], "set:a set:b");
        check_effects(&["SET a 1", "MSETNX a 1 b 2"], "");
        check_events(&["SET a 1", "MSETNX a 1 b 2"], "");
    }

    #[test]
    fn pairs_are_whole() {
        check(&["MSET a 1 b"], "-ERR wrong number of arguments for 'mset' command");
        check(&["MSETNX a 1 b"], "-ERR wrong number of arguments for 'msetnx' command");
        check(&["MSET a"], "-ERR wrong number of arguments for 'mset' command");
        check(&["MSET a 1 b", "EXISTS a"], ":0");
    }
}
