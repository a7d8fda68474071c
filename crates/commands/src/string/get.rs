//! GET, GETDEL and STRLEN.

use super::value;
use crate::ctx::{Ctx, Outcome};
use crate::effects::{Event, Journal};
use crate::error::CommandError;
use crate::row::{Arg, Command, Crossing, Flags, KeySpec};
use stdx::Args;

pub(super) const GET: Command = Command {
    name: "get",
    arity: 2,
    flags: Flags::READONLY.or(Flags::FAST),
    categories: &["string"],
    keys: &[KeySpec::range(1, 1, 1, &["RO", "access"])],
    crossing: Crossing::OneShard,
    handler: get,
    summary: "Answers the value of a string.",
    since: "1.0.0",
    group: "string",
    args: &[Arg::key()],
    ..Command::EMPTY
};

#[inline]
fn get(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let (key, access) = (ctx.key(args.at(1)), ctx.read_access());
    if !value::reply_key(ctx, key, access)? {
        ctx.out.null();
    }
    Ok(Outcome::Done)
}

pub(super) const GETDEL: Command = Command {
    name: "getdel",
    arity: 2,
    flags: Flags::WRITE.or(Flags::FAST),
    categories: &["string"],
    keys: &[KeySpec::range(1, 1, 1, &["RW", "access", "delete"])],
    crossing: Crossing::OneShard,
    journal: Journal::Rewritten,
    handler: getdel,
    summary: "Answers the value of a string and deletes its key.",
    since: "6.2.0",
    group: "string",
    args: &[Arg::key()],
    ..Command::EMPTY
};

fn getdel(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let (key, access) = (ctx.key(args.at(1)), ctx.read_access());
    if !value::reply_key(ctx, key, access)? {
        ctx.out.null();
        return Ok(Outcome::Done);
    }
    ctx.core.keyspace.remove(ctx.caller.db, key, ctx.now);
    ctx.event(Event::GENERIC, "del", args.at(1));
    ctx.effect(args.at(1), &[b"DEL", args.at(1)]);
    Ok(Outcome::Done)
}

pub(super) const STRLEN: Command = Command {
    name: "strlen",
    arity: 2,
    flags: Flags::READONLY.or(Flags::FAST),
    categories: &["string"],
    keys: &[KeySpec::range(1, 1, 1, &["RO"])],
    crossing: Crossing::OneShard,
    handler: strlen,
    summary: "Answers the length of a string in bytes.",
    since: "2.2.0",
    group: "string",
    args: &[Arg::key()],
    ..Command::EMPTY
};

fn strlen(ctx: &mut Ctx<'_>, args: Args<'_>) -> Result<Outcome, CommandError> {
    let access = ctx.read_access();
    let len = value::find(ctx, args.at(1), access)?.map_or(0, value::len);
    ctx.out.int(len as i64);
    Ok(Outcome::Done)
}

#[cfg(test)]
mod tests {
    use crate::testing::{World, check, check_effects, check_events};

    #[test]
    fn get_answers_bytes_numbers_and_null() {
        check(&["GET k"], "$-1");
        check(&["SET k hello", "GET k"], "$5 hello");
        check(&["SET k 12", "get k"], "$2 12");
        check(&["SET k ''", "GET k"], "$0 ");
        check(&["GET"], "-ERR wrong number of arguments for 'get' command");
    }

    #[test]
    fn getdel_answers_once() {
        check(&["SET k v", "GETDEL k"], "$1 v");
        check(&["SET k v", "GETDEL k", "GETDEL k"], "$-1");
        check(&["SET k v", "GETDEL k", "EXISTS k"], ":0");
        check_effects(&["SET k v", "GETDEL k"], "DEL k");
        check_events(&["SET k v", "GETDEL k"], "del:k");
        check_effects(&["GETDEL k"], "");
        check_events(&["GETDEL k"], "");
    }

    #[test]
    fn strlen_counts_bytes_of_numbers_too() {
        check(&["STRLEN k"], ":0");
        check(&["SET k hello", "STRLEN k"], ":5");
        check(&["SET k -123", "STRLEN k"], ":4");
    }

    #[test]
    fn reads_count_hits_and_misses() {
        let mut world = World::new(1);
        for line in ["SET k v", "GET k", "GET none", "STRLEN k", "GETDEL k", "GETDEL k"] {
            world.run(line);
        }
        let stats = world.cores[0].keyspace.stats;
        assert_eq!((stats.hits, stats.misses), (3, 2));
    }
}
